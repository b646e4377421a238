"""Replicas of models and who is asked what: no module here knows Ray (infra/actors.py does)."""
