"""Log lines quote records: they are made safe for a terminal whoever prints them.

Invariant: done where records are made, so it holds for Prefect's handlers and Python's last resort
alike; a record without anything to escape is left as it is. Of an error of ours Prefect logs the
line and no traceback: there is nothing in that which a person could mend.

A sample: escape_log_records(); logging.getLogger("x").warning("bad row: %s", "\x1b[2J")
    prints `bad row: \\x1b[2J`
"""

from __future__ import annotations

import ast
import logging
import re
from typing import Any

from flows.errors import reason
from flows.progress.text import is_plain, plain
from tasks.errors import LitecotError

PREFECTS = "prefect."  # its loggers
FAILED = "failed: "
ERROR = "litecot_error"  # of a record: what it was about
_OUR_HOOKS = re.compile(r"(?:Running hook|Hook) 'say_")
_FAILED = "Finished in state Failed("
_FORMATTER = logging.Formatter()


def escape_log_records() -> None:
    """From here on, in this process. Idempotent."""
    make = logging.getLogRecordFactory()
    if isinstance(make, _Escaping):
        return
    logging.setLogRecordFactory(_Escaping(make))
    logging.getLogger(f"{PREFECTS}task_runs").addFilter(_is_news_of_task)
    logging.getLogger(f"{PREFECTS}flow_runs").addFilter(_is_news_of_flow)


def _is_news_of_task(record: logging.LogRecord) -> bool:
    """A task's own line says how it ended; Prefect adds another one each time."""
    message = record.getMessage()
    return message != "Finished in state Completed()" and not message.startswith(FAILED)


def _is_news_of_flow(record: logging.LogRecord) -> bool:
    """An error of ours is the flow's last line, after hooks that only write the state's message."""
    is_ours = isinstance(getattr(record, ERROR, None), LitecotError)
    return not is_ours and _OUR_HOOKS.match(record.getMessage()) is None


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
        if record.name.startswith(PREFECTS) and (line := _line(record, message)) is not None:
            message = record.msg = line
            setattr(record, ERROR, record.exc_info[1] if record.exc_info else None)
            record.args = record.exc_info = None
        if not is_plain(message):
            record.msg, record.args = plain(message), None
        if record.exc_info and record.exc_info[0] is not None:
            text = _FORMATTER.formatException(record.exc_info)
            record.exc_text = None if is_plain(text) else plain(text)
        return record


def _line(record: logging.LogRecord, message: str) -> str | None:
    """What is to be said instead, where it is about an error of ours."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, LitecotError):
        return str(error)
    if not message.startswith(_FAILED):
        return None
    try:
        why = reason(ast.literal_eval(message.removeprefix(_FAILED).removesuffix(")")))
    except (ValueError, SyntaxError):  # more is said of that state
        return None
    return None if why is None else f"{FAILED}{why}"
