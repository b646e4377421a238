"""Parts of one corpus run side by side: what both replications are made of.

Invariants: a part that fails, for whatever reason, stops no other and is told at the end; where
nothing more can be stored all of it ends. One writer, one grader and one Ray serve all parts.

A sample: await run_parts({"raw steps 1": coroutine_function}, "corpus", outcome, at_once=2)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from flows.progress.terminal import Terminal, silent_terminal
from flows.session import runs_together, shown_on, terminal_here
from infra.storage.errors import CorpusError
from tasks.errors import LitecotError, let_go

Part = Callable[[], Awaitable[None]]


@dataclass(kw_only=True)
class Outcome:
    """What an invocation did."""

    num_parts: int
    num_done_before: int = 0
    num_requests: int = 0  # to models, scoring aside
    seconds: float = 0.0
    failures: dict[str, str] = field(default_factory=dict)  # part -> why, one line

    @property
    def num_new(self) -> int:
        """Parts that were done by it."""
        return self.num_parts - self.num_done_before - len(self.failures)


async def run_parts(
    parts: Mapping[str, Part], corpus: str, outcome: Outcome, *, at_once: int
) -> None:
    """All of them, and `outcome` told. Raises CorpusError where nothing more can be stored."""
    if not parts:
        return
    from transformers import AutoTokenizer as _  # noqa: F401 - two threads at once cannot

    from infra.hosting.ray_cluster import ray_kept

    room, told = asyncio.Semaphore(at_once), _Told(terminal_here(), outcome, len(parts))

    async def run(name: str) -> None:
        async with room:
            began = time.monotonic()
            try:
                await parts[name]()
            except CorpusError:  # nothing more can be stored
                raise
            except Exception as error:  # of this part alone, a bug too
                told.failed(name, error)
            else:
                told.done(name, time.monotonic() - began)

    with shown_on(silent_terminal()), ray_kept(), runs_together(corpus) as shared:
        before = shared.writer.counts()[0]
        try:
            async with asyncio.TaskGroup() as group:
                for name in parts:
                    group.create_task(run(name))
        except ExceptionGroup as stopped:
            raise stopped.exceptions[0] from None
        finally:
            outcome.num_requests = shared.writer.counts()[0] - before


class _Told:
    """Which part, how many of how many, how long still."""

    def __init__(self, terminal: Terminal, outcome: Outcome, num_todo: int) -> None:
        self._outcome, self._terminal, self._num_todo = outcome, terminal, num_todo
        self._started, self._ended = time.monotonic(), 0

    def done(self, name: str, seconds: float) -> None:
        self._say(f"{name}: {seconds:.0f} s")

    def failed(self, name: str, error: Exception) -> None:
        line = next(iter(str(error).splitlines()), "")
        if not isinstance(error, LitecotError):
            line = f"{type(error).__name__}: {line}"
        let_go(error)
        self._outcome.failures[name] = line
        self._say(f"{name}: failed: {line}")

    def _say(self, words: str) -> None:
        self._ended += 1
        elapsed = time.monotonic() - self._started
        left = elapsed / self._ended * (self._num_todo - self._ended)
        count = f"{self._outcome.num_done_before + self._ended} of {self._outcome.num_parts}"
        self._terminal.say(f"  {count}  {words}, about {left / 60:.0f} min left")
