"""The grader over worker processes: what a model wrote is compared where it can do no harm.

Invariant: every call ends within its limits. Reading a text and comparing words and numbers is
linear in a bounded tail and done here; symbolic comparison, which may ask for 9**9**9**9, gets two
short strings in a worker with a wall-clock and a memory limit. A worker that exceeds one is killed
and replaced, and the verdict is `unverifiable`. An answer type from outside does all of its work in
a worker; what it raises there comes back as words, never as an object of its own.

A sample: "answer type 'roman' (./mine.py): RuntimeError: boom"
"""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import TimeoutError as TaskTimeoutError
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from tasks.answers.kinds import ANSWER_TYPES
from tasks.answers.symbolic import same_symbolically, warm_up
from tasks.answers.verdict import Comparison, grade, read_answer
from tasks.errors import LitecotError
from tasks.plugins import load_plugins, loaded_plugins
from tasks.ports import Grade

DEFAULT_TIME_LIMIT_S = 5.0
DEFAULT_MEMORY_LIMIT_MIB = 1_536  # beyond what a worker has after its imports
MAX_POOLS = 3  # for one comparison, where others break them
MAX_FAULT_CHARACTERS = 300

ResultT = TypeVar("ResultT")


class AnswerTypeError(LitecotError):
    """The code of an answer type from outside failed; one line naming it and its file."""


@dataclass(frozen=True)
class Fault:
    """What code from outside raised in a worker: words alone, which any process can read."""

    words: str


class ProcessGrader:
    """`Grader` over at most `max_workers` processes, started at the first symbolic comparison.

    Safe beside Ray, torch and asyncio: workers come from a fork server (or are spawned), never from
    a fork of this process. Time counts from when a worker takes the comparison up, so a long queue
    fails nobody. `close` ends the workers; the grader cannot be used afterwards.
    """

    def __init__(
        self,
        *,
        max_workers: int = 2,
        time_limit_s: float = DEFAULT_TIME_LIMIT_S,
        memory_limit_mib: int = DEFAULT_MEMORY_LIMIT_MIB,
    ) -> None:
        self._max_workers = max_workers
        self._time_limit_s = time_limit_s
        self._memory_limit_mib = memory_limit_mib
        self._pool: ProcessPool | None = None
        self._lock = threading.Lock()
        self._is_closed = False

    async def grade(self, text: str, *, answer: str, answer_type: str, truncated: bool) -> Grade:
        """The verdict on `text`.

        Raises PluginError (unknown type), AnswerTypeError (a type from outside failed),
        RuntimeError once closed.
        """
        entry = ANSWER_TYPES.entry(answer_type)
        if entry.sha:
            unverifiable: Grade | Fault = Grade(verdict="unverifiable")
            graded = await self._elsewhere(
                grade_guarded, text, answer, answer_type, truncated, otherwise=unverifiable
            )
            if isinstance(graded, Fault):
                raise AnswerTypeError(
                    f"answer type {answer_type!r} ({entry.origin}): {graded.words}"
                )
            return graded
        outcome = read_answer(text, answer=answer, answer_type=answer_type, truncated=truncated)
        if isinstance(outcome, Grade):
            return outcome
        if cheap := outcome.settle_cheaply():
            return cheap
        return await self._elsewhere(
            settle_symbolically, outcome, otherwise=outcome.grade("unverifiable")
        )

    def close(self) -> None:
        """End the workers; comparisons still waiting are dropped."""
        with self._lock:
            pool, self._pool, self._is_closed = self._pool, None, True
        if pool is not None:
            _end(pool)

    async def _elsewhere(
        self, work: Callable[..., ResultT], *args: object, otherwise: ResultT
    ) -> ResultT:
        """What a worker makes of it; `otherwise` where that exceeds a limit."""
        for _ in range(MAX_POOLS):
            try:
                return await asyncio.wrap_future(self._schedule(work, args))
            except (TaskTimeoutError, ProcessExpired, MemoryError, RecursionError):
                return otherwise
            except BrokenProcessPool:
                continue  # a worker that was idle died: nothing this comparison did
        return otherwise

    def _schedule(
        self, work: Callable[..., ResultT], args: tuple[object, ...]
    ) -> ProcessFuture[ResultT]:
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the grader is closed")
            if self._pool is not None and not self._pool.active:
                _end(self._pool)
                self._pool = None
            self._pool = self._pool or self._new_pool()
            return self._pool.schedule(work, args=args, timeout=self._time_limit_s)

    def _new_pool(self) -> ProcessPool:
        return ProcessPool(
            max_workers=self._max_workers,
            initializer=prepare_worker,
            initargs=(self._memory_limit_mib, loaded_plugins()),
            context=_context(),
        )


def _end(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]
    pool.join()


def settle_symbolically(comparison: Comparison) -> Grade:
    """Runs in a worker's main thread. Raises MemoryError, RecursionError."""
    grade = comparison.settle(same_symbolically)
    return grade or comparison.grade("unverifiable")


def grade_guarded(text: str, answer: str, answer_type: str, truncated: bool) -> Grade | Fault:
    """Runs in a worker: all of the grading by a type from outside, whatever its code does."""
    try:
        graded = grade(text, answer=answer, answer_type=answer_type, truncated=truncated)
    except (MemoryError, RecursionError):
        return Grade(verdict="unverifiable")
    except BaseException as error:  # also SystemExit: the worker is ours
        return Fault(_words_of(error))
    read = graded.extracted_answer
    if read is not None and type(read) is not str:  # would not travel, nor fit a column
        return Fault(f"read gives {type(read).__name__!r}, not a str or None")
    return graded


def _words_of(error: BaseException) -> str:
    name = type(error).__name__
    try:
        told = " ".join(str(error).split())[:MAX_FAULT_CHARACTERS]
    except BaseException:  # its own __str__
        told = ""
    return f"{name}: {told}" if told else name


def prepare_worker(memory_limit_mib: int, plugins: Sequence[str] = ()) -> None:
    """In a new worker: import sympy and the run's plug-ins, then limit the address space to
    `memory_limit_mib` more.

    SIGTERM gets its default action back: a worker deep in a big-number power runs no Python handler
    and would only fall to SIGKILL seconds later.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    warm_up()
    load_plugins(plugins)
    limit = _address_space_bytes() + memory_limit_mib * 1024 * 1024
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _address_space_bytes() -> int:
    """Virtual size of this process; 0 where the system does not tell (an absolute limit then)."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * resource.getpagesize()


def _context() -> multiprocessing.context.BaseContext:
    """A fork server where there is one: no threads, and sympy is imported once for all workers."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["math_verify"])
    return context
