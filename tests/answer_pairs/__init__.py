"""Pairs of a gold answer and a chain's ending, with the truth known by construction."""
