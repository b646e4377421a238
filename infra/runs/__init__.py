"""One run: its plan, the runner that drives stages, retries, commits, grading."""
