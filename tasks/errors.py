"""Errors that a person can mend. Each says in one line what is wrong and what to do about it.

Invariant: whatever derives from LitecotError ends a command with that line and its exit code, and
without a traceback; anything else is a bug of ours.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar


class LitecotError(Exception):
    """Something could not be done; what is finished is saved."""

    exit_code: ClassVar[int] = 1


class UsageError(LitecotError, ValueError):
    """What was asked for cannot be: wrong usage, wrong input, something that is not there."""

    exit_code = 2


def let_go(error: BaseException | None) -> None:
    """A trace that nobody will see keeps nothing: of a connection that is alive when Python ends,
    DuckDB's binding says forty lines."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def near_names(name: str, known: Iterable[str], *, cutoff: float = 0.7) -> str:
    """Which of `known` may have been meant: "'verify' or 'generate'"; empty where none is near.

    `cutoff`: likeness in [0, 1], our choice: at difflib's own, 0.6, names came that nobody meant.
    """
    return " or ".join(map(repr, get_close_matches(name, list(known), n=2, cutoff=cutoff)))
