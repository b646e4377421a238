"""Evaluated models against a baseline: what differs on the same questions, in numbers and in words.

Invariant: read-only; whatever compares models (the command, a flow, a report) asks `compare_models`
and says what it found with `sentences`, so that the same answers give the same words everywhere.

    named     which models a person means
    compared  the answers, the tests, the flips
    words     sentences and tables
"""

from __future__ import annotations

MARGIN = 0.02  # a difference of accuracy that does not matter, unless a person says otherwise
