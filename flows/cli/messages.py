"""Errors a person can mend: which they are, what exit code they give, one line each.

Invariant: importing this loads no heavy library; an error of ours is a LitecotError and brings its
exit code along, one of a library (Prefect's, DuckDB's) is recognised by its class's name.

A sample: CorpusError("/data/corpus is no corpus: ...") -> that line on stderr, exit code 2
"""

from __future__ import annotations

import sys
from typing import NoReturn

from tasks.errors import LitecotError

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130

# A query's text is at fault, not what it read.
ABOUT_THE_TEXT = {
    "ParserException", "BinderException", "CatalogException", "OutOfMemoryException", "MemoryError",
}  # fmt: skip


def exit_code(error: BaseException) -> int | None:
    """The exit code of a known error; None for a bug."""
    return error.exit_code if isinstance(error, LitecotError) else None


def is_interruption(error: BaseException) -> bool:
    """Ctrl-C, SIGTERM (which Prefect raises as a TerminationSignal) or a cancelled flow."""
    names = {cls.__name__ for cls in type(error).__mro__}
    return bool(names & {"KeyboardInterrupt", "TerminationSignal", "CancelledError"})


def is_query_fault(error: BaseException) -> bool:
    """Whether DuckDB failed over what it read, not over a query's text."""
    cause = error.__cause__ if type(error).__name__ == "QueryFailedError" else error
    kind = type(cause)
    return kind.__module__.endswith("duckdb") and kind.__name__ not in ABOUT_THE_TEXT


def one_line(error: BaseException) -> str:
    """The message; several lines only where the error brings a log along."""
    return str(error).strip() or type(error).__name__


def fail(message: str, *, code: int = EXIT_FAILED) -> NoReturn:
    """Say it on stderr and leave. Errors quote rows, and rows hold anything."""
    import typer  # not before somebody minds the signals (flows/cli/entry.py)

    from flows.progress.text import say

    say(f"litecot: {message}", file=sys.stderr)
    raise typer.Exit(code)
