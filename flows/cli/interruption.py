"""Ctrl-C and SIGTERM end a command tidily: what is finished is saved, and a run can be resumed.

The work of a run is in a thread with an event loop of its own and the main thread only listens,
because Prefect and Ray install signal handlers of their own in the thread that runs the flow.
Invariants: while a flow runs, the first signal cancels it and waits for its clean-up; any other
ends the process at once, children with it, and loses nothing that was finished. Of an interrupted
command one line is said, and it is the last on stderr.

A sample: `guard()` as the first thing; then `report = run_interruptibly(lambda: liter(order))`.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Generic, NoReturn, TypeVar

from flows.cli.messages import EXIT_INTERRUPTED, fail

ResultT = TypeVar("ResultT")
INTERRUPTED = "interrupted; what is finished is saved, run the same command again to go on"
SIGNALS = (signal.SIGINT, signal.SIGTERM)
POLL_S = 0.2
SHOW_CURSOR = b"\x1b[?25h"  # bars hide it


class _Guard:
    """Whether this process says the line itself when it ends, and has been interrupted."""

    pid = 0
    stderr = 2  # as it was at first: while Ray starts, 2 is a file (infra/hosting/ray_cluster.py)
    is_interrupted = False


def guard() -> None:
    """From now on a signal ends this process with the one line; to be called before all else.

    Nothing runs yet that would have to end in order, and an exception raised in the middle of an
    import leaves half of a library, which then says so.
    """
    if _Guard.pid == os.getpid():
        return
    _Guard.pid = os.getpid()
    with suppress(OSError):  # closed by whoever started us
        _Guard.stderr = os.dup(2)
    atexit.register(_leave_if_interrupted)  # the first to be registered is the last to be called
    for number in SIGNALS:
        signal.signal(number, _leave)


@contextmanager
def cleaning_up() -> Iterator[None]:
    """Inside, a signal is an exception: for a command that has files to take away again."""
    with _handled_by(signal.default_int_handler):
        yield


def ended_by_signals(end: Callable[[], object], work: Callable[[], ResultT]) -> ResultT:
    """What `work` returns, in a thread: DuckDB minds no signal while it computes. `end` makes it
    raise. Where signals are exceptions: KeyboardInterrupt once it has ended.
    """
    from concurrent.futures import ThreadPoolExecutor

    is_interrupted = False
    with ThreadPoolExecutor(1, thread_name_prefix="query") as pool:
        future = pool.submit(work)
        while True:
            try:
                found = future.result(timeout=POLL_S if is_interrupted else None)
            except KeyboardInterrupt:
                is_interrupted = True
            except TimeoutError:
                if future.done():
                    raise
            except BaseException:
                if is_interrupted:
                    raise KeyboardInterrupt from None
                raise
            else:
                if is_interrupted:
                    raise KeyboardInterrupt
                return found
            end()  # again and again: it may have come between two steps


def end_interrupted() -> NoReturn:
    """Leave a command in order; the line is said when all else has ended."""
    if _Guard.pid != os.getpid():
        fail(INTERRUPTED, code=EXIT_INTERRUPTED)
    _Guard.is_interrupted = True
    sys.exit(EXIT_INTERRUPTED)


def _leave_if_interrupted() -> None:
    if _Guard.is_interrupted:
        _leave()


def _leave(number: int = 0, frame: FrameType | None = None) -> NoReturn:
    """Say the line and end, the one place that does so without the interpreter's own end.

    What had to end has ended or ends with us: this is the last of the exit handlers, or nothing
    that was finished is in memory only. Behind them come the teardown of modules in no order and
    the word of every library whose objects a thread still holds (DuckDB's "leaked" pages).
    """
    if _Guard.pid == os.getpid():  # not a fork of ours
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):  # the signal may have come while it was writing
                stream.flush()
        with suppress(OSError):
            if os.isatty(1):
                os.write(1, SHOW_CURSOR)
            os.write(_Guard.stderr, f"litecot: {INTERRUPTED}\n".encode())
    os._exit(EXIT_INTERRUPTED)


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], Any]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler_before in before.items():
            signal.signal(number, handler_before)


class _Work(Generic[ResultT]):
    def __init__(self, start: Callable[[], Awaitable[ResultT]]) -> None:
        self._start = start
        self._cancel: Callable[[], Any] | None = None
        self.is_interrupted = False
        self.result: ResultT | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        import asyncio  # not before the signals are minded

        try:
            self.result = asyncio.run(self._work())
        except BaseException as error:  # handed to the main thread
            self.error = error

    async def _work(self) -> ResultT:
        import asyncio

        task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        assert task is not None
        self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        if self.is_interrupted:  # before there was a loop
            raise asyncio.CancelledError
        return await self._start()

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.is_interrupted:
            _leave()
        self.is_interrupted = True
        if self._cancel is not None:
            with suppress(RuntimeError):  # the loop has just ended
                self._cancel()


def run_interruptibly(start: Callable[[], Awaitable[ResultT]]) -> ResultT:
    """The awaited result of `start`. Raises what it raises; KeyboardInterrupt where interrupted."""
    work = _Work(start)
    thread = threading.Thread(target=work.run, name="flow")
    with _handled_by(work.interrupt):
        thread.start()
        while thread.is_alive():
            thread.join(POLL_S)
    if work.is_interrupted:
        work.error = None  # it holds all that the run had open
        raise KeyboardInterrupt
    if work.error is not None:
        raise work.error
    assert work.result is not None
    return work.result
