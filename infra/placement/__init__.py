"""Which models are loaded when, on which GPUs: decided before anything starts."""
