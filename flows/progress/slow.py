"""A bar for what is usually over before anybody would look: it appears after two seconds.

Invariant: nothing is printed before, nor where there is no terminal; results on stdout stay clean.

    with shown_if_slow("reading the parts") as advance:
        advance(1_000_000, 5_000_000)  # bytes done, of all
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

PATIENCE_S = 2.0


@contextmanager
def shown_if_slow(
    what: str, *, are_bytes: bool = True
) -> Iterator[Callable[[int, int], None]]:  # fmt: skip
    """Yields what is told the bytes done and those of all; other things than bytes are counted."""
    from rich.console import Console

    console, started = Console(stderr=True), time.monotonic()
    update: Callable[[int, int], None] | None = None
    with ExitStack() as stack:

        def advance(done: int, total: int) -> None:
            nonlocal update
            is_slow = time.monotonic() - started > PATIENCE_S
            if update is None and is_slow and console.is_terminal:
                update = _bar(what, console, stack, are_bytes=are_bytes)
            if update is not None:
                update(done, total)

        yield advance


def _bar(
    what: str, console: object, stack: ExitStack, *, are_bytes: bool
) -> Callable[[int, int], None]:
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    amount = DownloadColumn() if are_bytes else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), amount, TimeRemainingColumn())
    progress = stack.enter_context(Progress(*columns, console=console, transient=True))  # type: ignore[arg-type]
    task = progress.add_task(what, total=None)
    return lambda done, total: progress.update(task, completed=done, total=total)
