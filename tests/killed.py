"""A command of ours that is killed (kill -9) at the n-th file that it makes durable.

Each is a process of its own, forked from a server that has imported everything and done nothing.
A sample: `kill_at(2, "corpus", "compact", "--corpus", "c")`
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing.connection import Connection
from typing import Any

IMPORTED = [
    "flows.cli.main", "flows.cli.corpus.care", "flows.cli.corpus.check", "pyarrow.parquet",
    "pyarrow.json", "infra.care.healing", "duckdb", "numpy",
]  # fmt: skip
_processes = multiprocessing.get_context("forkserver")


def num_published(*arguments: object) -> int:
    """How many files a command publishes that comes to its end."""
    exit_code, count = _run(10**6, *arguments)
    assert exit_code == 0
    return count


def kill_at(number: int, *arguments: object) -> None:
    """After the `number`-th file that it publishes."""
    assert _run(number, *arguments)[0] == -signal.SIGKILL


def _run(number: int, *arguments: object) -> tuple[int | None, int]:
    _processes.set_forkserver_preload(IMPORTED)
    here, there = _processes.Pipe(duplex=False)
    process = _processes.Process(target=_command, args=(number, [*map(str, arguments)], there))
    process.start()
    there.close()
    count = 0
    try:
        while True:
            count = here.recv()
    except EOFError:  # it ended, or was ended
        process.join()
    return process.exitcode, count


def _command(number: int, arguments: list[str], told: Connection) -> None:
    from flows.cli.main import app
    from infra.storage.local import LocalStore

    publish, count, counting = LocalStore.publish, 0, threading.Lock()

    def counted(self: LocalStore, name: str, **options: Any) -> str:
        nonlocal count
        tag = publish(self, name, **options)
        with counting:  # several threads publish
            count += 1
            told.send(count)
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)
        return tag

    LocalStore.publish = counted  # type: ignore[method-assign]
    sys.argv = ["litecot", *arguments]
    app()
