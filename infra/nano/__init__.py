"""The embedded world: verifiable word problems, and tiny models trained on them from scratch."""
