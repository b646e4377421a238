"""Models that transformers hosts, in this machine's memory: our decoding and scoring loops."""
