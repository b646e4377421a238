"""Before and around a run: `litecot init`, `run`, `train`, their plans, and `status`."""
