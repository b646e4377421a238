"""Errors of the flows and of Prefect's server, and what Prefect's words for an error come to.

Invariant: the message is one line that names the thing and the remedy.

A sample: reason("Flow run encountered an exception: CorpusError: /data: no space left ...")
    -> "/data: no space left ..."
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tasks.errors import LitecotError

_PREFECTS_WORDS = re.compile(r"(?:Flow|Task) run encountered an exception:? (\w+): (.+)", re.DOTALL)


class ServerError(LitecotError, RuntimeError):
    """Prefect's server cannot be reached or started; the message is one line."""


class WorseError(LitecotError):
    """A student is surely worse than its baseline, by more than is allowed."""


def reason(message: str) -> str | None:
    """The error's own line in what Prefect says of it; None where it is no error of ours."""
    found = _PREFECTS_WORDS.fullmatch(message)
    if found is None or found[1] not in {kind.__name__ for kind in _kinds(LitecotError)}:
        return None
    return found[2]


def _kinds(of: type[Exception]) -> Iterator[type[Exception]]:
    yield of
    for kind in of.__subclasses__():
        yield from _kinds(kind)
