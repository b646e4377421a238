"""A corpus in a bucket."""
