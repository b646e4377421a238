"""Scorers: one file each; what is in this folder is registered, and so are plug-ins' scorers.

Invariant: a value is what tasks/score.py stores for the scorer of that name. The five of COLUMNS
have a column of `scores`, all others are in its map `others`.

A sample: SCORERS["rd"].formula, list(SCORERS) == ["grape", "ifd", "length", ...]
"""

from __future__ import annotations

from tasks.registry import Registry
from tasks.scorers.scorer import Scorer

SCORERS: Registry[Scorer] = Registry(
    "scorer", Scorer, folder="tasks.scorers", group="litecot.scorers"
)
COLUMNS = ("rd", "ifd", "grape", "rsr", "naturalness")
ALWAYS = ("rd", "length")  # there whatever score.scorers says: num_tokens is the length
