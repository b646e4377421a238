"""Snapshots of a corpus that other people load with `datasets`."""
