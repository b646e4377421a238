"""Errors that a person can mend. Each says in one line what is wrong and what to do about it.

Invariant: whatever derives from LitecotError ends a command with that line and its exit code, and
without a traceback; anything else is a bug of ours.
"""

from __future__ import annotations

from typing import ClassVar


class LitecotError(Exception):
    """Something could not be done; what is finished is saved."""

    exit_code: ClassVar[int] = 1


class UsageError(LitecotError, ValueError):
    """What was asked for cannot be: wrong usage, wrong input, something that is not there."""

    exit_code = 2
