"""The shipped recipes (TOML), and what reads a recipe and plans its run."""
