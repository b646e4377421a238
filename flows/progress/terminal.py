"""What a person at a terminal sees of a run: bars where there is a terminal, plain lines elsewhere.

Invariant: one bar (or line) a stage, shards summed; nothing is printed for a stage with no work.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console

from flows.progress.text import plain

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

BAR_WIDTH = 24


@dataclass
class StageCount:
    """Records of one stage, by shard: done and pending."""

    done: dict[Any, int] = field(default_factory=dict)
    pending: dict[Any, int] = field(default_factory=dict)
    num_shards: int = 1

    def update(self, shard: Any, done: int, pending: int) -> None:
        self.done[shard] = done
        self.pending[shard] = pending

    @property
    def totals(self) -> tuple[int, int]:
        """Done and pending over the shards seen."""
        return sum(self.done.values()), sum(self.pending.values())

    @property
    def share(self) -> float:
        """0..1 of the stage, a shard not yet begun counting as nothing done."""
        shares = [self.done[s] / self.pending[s] if self.pending[s] else 1.0 for s in self.pending]
        return sum(shares) / max(self.num_shards, len(shares), 1)


class Terminal:
    """Shows stages as they advance. `console` None shows nothing."""

    def __init__(self, console: Console | None) -> None:
        self._console = console
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    @contextmanager
    def live(self) -> Iterator[None]:
        """While this lasts, bars are drawn (on a terminal)."""
        if self._console is None or not self._console.is_terminal:
            yield
            return
        self._bars = _progress(self._console)
        with self._bars:
            yield
        self._bars = None

    def say(self, line: str) -> None:
        """One plain line."""
        if self._console is not None:
            self._console.print(plain(line), markup=False, highlight=False, soft_wrap=True)

    def say_where_no_bars_are(self, line: str) -> None:
        """For what a bar shows all the time."""
        if self._bars is None:
            self.say(line)

    def advance(self, stage: str, done: int, pending: int, *, text: str = "") -> None:
        """`done` of `pending` records of `stage`, over all shards begun; `text` beside the bar."""
        if self._bars is None or not pending:
            return
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(plain(stage), total=pending, text="")
        self._bars.update(self._tasks[stage], completed=done, total=pending, text=plain(text))

    def finished(self, stage: str, *, shard: int | None, num_rows: int, num_rejected: int,
                 seconds: float) -> None:  # fmt: skip
        """A stage of a shard ended; a line where there are no bars."""
        if self._bars is not None:
            return
        where = "" if shard is None else f" shard {shard}"
        rejected = f", {num_rejected} rejected" if num_rejected else ""
        self.say(f"  {stage}{where}: {num_rows} rows{rejected}, {seconds:.1f} s")


def _progress(console: Console) -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Column

    rest = Column(no_wrap=True, overflow="ellipsis", ratio=1)  # what the other columns leave
    return Progress(
        TextColumn("  {task.description:<16}", markup=False), BarColumn(bar_width=BAR_WIDTH),
        MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("{task.fields[text]}", markup=False, table_column=rest),
        console=console, expand=True,
    )  # fmt: skip


def silent_terminal() -> Terminal:
    """Shows nothing: a scheduled run is watched in Prefect's UI."""
    return Terminal(None)
