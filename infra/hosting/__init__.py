"""Pools of replicas and who is asked what; only the modules ray_* here know Ray."""
