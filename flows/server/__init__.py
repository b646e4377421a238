"""Prefect's server: a standing one, a temporary one, and the environment of both."""
