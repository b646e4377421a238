"""Errors of the command line and of Prefect's server.

Invariant: the message is one line that names the thing and the remedy.
"""

from __future__ import annotations


class UsageError(ValueError):
    """The command line asks for something that cannot be; the message is one line."""


class ServerError(RuntimeError):
    """Prefect's server cannot be reached or started; the message is one line."""
