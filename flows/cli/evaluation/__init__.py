"""What a model can do: `litecot evaluate`, `compare`, `forecast`, `try`, and their tables."""
