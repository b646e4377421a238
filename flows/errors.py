"""Errors of Prefect's server; what a command refuses is tasks.errors.UsageError.

Invariant: the message is one line that names the thing and the remedy.
"""

from __future__ import annotations

from tasks.errors import LitecotError


class ServerError(LitecotError, RuntimeError):
    """Prefect's server cannot be reached or started; the message is one line."""
