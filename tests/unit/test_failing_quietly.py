"""A command that fails says its line and nothing else, whatever its trace still holds."""

from __future__ import annotations

import subprocess
import sys

FAILING = """
import ctypes
import duckdb, typer
from flows.cli.options import clear_errors
from tasks.errors import LitecotError

def ask():
    connection = duckdb.connect()
    raise LitecotError("the teacher is gone")

try:
    with clear_errors():
        try:
            ask()
        except LitecotError as error:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(error))  # it outlives Python
            raise LitecotError("no answer") from error
except typer.Exit as left:
    assert left.exit_code == 1
"""


def test_an_open_connection_is_not_told_of() -> None:
    made = subprocess.run(
        [sys.executable, "-c", FAILING], capture_output=True, text=True, check=True
    )
    assert made.stderr == "litecot: no answer\n"
