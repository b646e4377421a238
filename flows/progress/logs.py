"""Log lines quote records: they are made safe for a terminal whoever prints them.

Invariant: done where records are made, so it holds for Prefect's handlers and Python's last resort
alike; a record without anything to escape is left as it is.

A sample: escape_log_records(); logging.getLogger("x").warning("bad row: %s", "\x1b[2J")
    prints `bad row: \\x1b[2J`
"""

from __future__ import annotations

import logging
from typing import Any

from flows.progress.text import is_plain, plain

_FORMATTER = logging.Formatter()


def escape_log_records() -> None:
    """From here on, in this process. Idempotent."""
    make = logging.getLogRecordFactory()
    if isinstance(make, _Escaping):
        return
    logging.setLogRecordFactory(_Escaping(make))


class _Escaping:
    """Makes records as `make` does, and escapes what they say and the errors they bring."""

    def __init__(self, make: Any) -> None:
        self._make = make

    def __call__(self, *arguments: Any, **named: Any) -> logging.LogRecord:
        record: logging.LogRecord = self._make(*arguments, **named)
        try:
            message = record.getMessage()
        except Exception:  # a call with wrong arguments: logging itself will tell
            return record
        if not is_plain(message):
            record.msg, record.args = plain(message), None
        if record.exc_info and record.exc_info[0] is not None:
            text = _FORMATTER.formatException(record.exc_info)
            record.exc_text = None if is_plain(text) else plain(text)
        return record
