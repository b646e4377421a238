"""What goes wrong with an engine itself, as opposed to one request."""

from __future__ import annotations

from tasks.errors import LitecotError
from tasks.ports import TransientError


class EngineBrokenError(TransientError):
    """The engine says that it cannot go on (its core died, CUDA failed): it has to be replaced.

    An engine raises it for every request from then on. The pool starts another engine, treats what
    was in flight as after any death, and sends it again; no caller of a pool sees this error.
    """


class EngineDied(TransientError):  # noqa: N818  # an event, as the design calls it
    """Engine after engine was lost under a request that cannot be blamed; it may be sent again."""


class EngineStartError(LitecotError):
    """The engine's process dies while it loads, again and again: one line with what it said."""
