"""Models that vLLM hosts."""
