"""What the commands share: their common options, and errors in one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from flows.cli import tab
from flows.cli.interruption import end_interrupted
from flows.cli.messages import (
    EXIT_USAGE,
    exit_code,
    fail,
    is_interruption,
    is_query_fault,
    one_line,
)
from tasks.errors import let_go

DEFAULT_CORPUS = "corpus"
CorpusOption = Annotated[
    str,
    typer.Option(
        "--corpus",
        envvar="LITECOT_CORPUS",
        help="Corpus: a folder or s3://bucket/path.",
        autocompletion=tab.corpora,
    ),
]
RunOption = Annotated[
    str | None,
    typer.Option(
        "--run",
        help="A run's id or its start; default: the latest.",
        autocompletion=tab.runs,
    ),
]
ArmsOption = Annotated[
    str | None, typer.Option(help="Only these, joined by commas; default: all there are.")
]
PilotOption = Annotated[
    list[str] | None, typer.Option("--set", help="A setting of every run, for a pilot; repeatable.")
]
PageOption = Annotated[
    Path | None, typer.Option(help="Write verdicts, tables and plots here, e.g. replication.md.")
]
ReportOption = Annotated[
    bool, typer.Option("--report", help="Only report what the corpus has; run nothing.")
]
PlanOption = Annotated[bool, typer.Option("--plan", help="Say what would be done, and stop.")]
JsonOption = Annotated[bool, typer.Option("--json", help="For programs: one JSON value.")]
RecipeArgument = Annotated[
    str,
    typer.Argument(help="A shipped recipe's name, or a TOML file.", autocompletion=tab.recipes),
]
SeedOption = Annotated[int | None, typer.Option(min=0, help="Seed of all sampling.")]


@contextmanager
def clear_errors(corpus: str | None = None) -> Iterator[None]:
    """One line and an exit code for whatever a person can mend. `corpus`: what is read within."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
    except BaseException as error:
        if is_interruption(error):
            end_interrupted()
        if corpus is not None and is_query_fault(error):
            from flows.cli.readers import rot_in

            if rot := rot_in(corpus):
                fail(rot, code=EXIT_USAGE)
        if (code := exit_code(error)) is None:
            raise
        let_go(error)
        fail(one_line(error), code=code)
