"""Errors a person can mend: which they are, what exit code they give, one line each.

Invariant: importing this loads no heavy library; errors are recognised by class name along the MRO.
"""

from __future__ import annotations

import sys
from typing import NoReturn

import typer

from tasks.errors import LitecotError

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130

# Class name -> exit code. By name, so that no module is imported to recognise its errors.
KNOWN: dict[str, int] = {
    "RecipeError": EXIT_USAGE,
    "IngestError": EXIT_USAGE,
    "ModelFilesError": EXIT_USAGE,
    "PlacementError": EXIT_USAGE,
    "CorpusError": EXIT_USAGE,
    "QueryRefusedError": EXIT_USAGE,
    "QueryFailedError": EXIT_USAGE,
    "UnknownRunError": EXIT_USAGE,
    "UnknownIdError": EXIT_USAGE,
    "UnknownQuestionError": EXIT_USAGE,
    "PublishError": EXIT_USAGE,
    "SettingsError": EXIT_USAGE,
    "StageFailedError": EXIT_FAILED,
    "EndpointError": EXIT_FAILED,
    "StoreUnavailableError": EXIT_FAILED,
    "DiskFullError": EXIT_FAILED,
    "TrainingError": EXIT_FAILED,
    "NothingToTrainError": EXIT_FAILED,
    "NotTrainedError": EXIT_FAILED,
}
ABOUT_THE_TEXT = {"ParserException", "BinderException", "CatalogException"}  # of a query


def exit_code(error: BaseException) -> int | None:
    """The exit code of a known error; None for a bug."""
    if isinstance(error, LitecotError):
        return error.exit_code
    for cls in type(error).__mro__:
        if cls.__name__ in KNOWN:
            return KNOWN[cls.__name__]
    return None


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
    """Say it on stderr and leave."""
    print(f"litecot: {message}", file=sys.stderr)
    raise typer.Exit(code)
