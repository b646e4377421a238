"""Training in words: for the terminal, for a pipe, for Prefect's UI and its log.

Invariant: between the first line and the last nobody waits longer than LINE_EVERY_S for one,
whatever the ranks do; a tenth of the steps is told too, unless lines would follow in a rush.

A sample: step 120 of 960, loss 0.512, held-out 0.610, 18 300 tokens/s, 12 min left
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from infra.training.reports import StepReport, TrainStart

LINE_EVERY_S = 20.0
RUSH_S = 2.0  # lines of tenths keep this distance
TENTHS = 10


class TrainingWords:
    """Told what happens, from any thread; asked what to say, by one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = self._said_at = self._step_at = clock()
        self._start: TrainStart | None = None
        self._first: StepReport | None = None  # of this attempt
        self._last: StepReport | None = None
        self._held_out: float | None = None
        self._note = ""
        self._said_step, self._said_tenth = -1, 0
        self._news: deque[str] = deque()

    def begin(self, start: TrainStart) -> None:
        """The ranks have met."""
        self._start = start
        again = f" (attempt {start.attempt})" if start.attempt > 1 else ""
        self._news.append(f"{start.line}{again}")
        if start.num_too_long and start.attempt == 1:
            of = start.num_examples + start.num_held_out + start.num_too_long
            self._news.append(left_out(start.num_too_long, of))

    def note(self, words: str) -> None:
        """Why nothing happens at the moment; "": no more."""
        self._note = words
        if words:
            self._news.append(words)

    def advance(self, report: StepReport) -> None:
        """A step was taken; step 0 is the base."""
        if self._first is None or report.attempt != self._first.attempt:
            self._first = report
        if report.held_out_loss is not None:
            self._held_out = report.held_out_loss
        self._last, self._step_at = report, self._clock()

    @property
    def text(self) -> str:
        """Where it is."""
        if self._note:
            return self._note
        if self._last is None:
            return "the ranks have met" if self._start else "the ranks are on their way"
        last = self._last
        parts = [f"step {last.step} of {last.num_steps}"]
        parts += [] if last.loss is None else [f"loss {last.loss:.3f}"]
        parts += [] if self._held_out is None else [f"held-out {self._held_out:.3f}"]
        parts += [f"{rounded(last.tokens_per_s)} tokens/s"] if last.tokens_per_s else []
        if last.step == last.num_steps:
            parts.append("saving")
        elif (left := self._seconds_left()) is not None:
            parts.append(f"{duration(left)} left")
        return ", ".join(parts)

    @property
    def beside_bar(self) -> str:
        """The same beside a bar, which counts the steps."""
        is_plain = self._note or self._last is None
        return self.text if is_plain else self.text.partition(", ")[2]

    def _seconds_left(self) -> float | None:
        """At the pace of this attempt."""
        first, last = self._first, self._last
        if first is None or last is None or last.step <= first.step:
            return None
        pace = (last.seconds - first.seconds) / (last.step - first.step)
        return pace * (last.num_steps - last.step)

    def lines(self) -> list[str]:
        """What is to be said now, each once."""
        found = [self._news.popleft() for _ in range(len(self._news))]
        if found:
            self._said_at = self._clock()
        silent_s = self._clock() - self._said_at
        tenth = 0 if self._last is None else TENTHS * self._last.step // self._last.num_steps
        if silent_s >= LINE_EVERY_S or (tenth > self._said_tenth and silent_s >= RUSH_S):
            found.append(self._line())
            self._said_at, self._said_tenth = self._clock(), tenth
            self._said_step = -1 if self._last is None else self._last.step
        return found

    def _line(self) -> str:
        if self._last is None:
            return f"{self.text}, {duration(self._clock() - self._began)}"
        if self._last.step == self._said_step:
            return f"{self.text}, {duration(self._clock() - self._step_at)} since that step"
        return self.text


def left_out(num_too_long: int, of: int) -> str:
    """What training left out, in a line."""
    are = "is longer than train.max_length and was" if num_too_long == 1 else None
    are = are or "are longer than train.max_length and were"
    return f"{num_too_long} of {of} examples {are} left out"


def rounded(number: float) -> str:
    """Three digits and zeros: 18 300."""
    digits = max(0, len(str(int(number))) - 3)
    return f"{round(number / 10**digits) * 10**digits:,}".replace(",", " ")


def duration(seconds: float) -> str:
    """40 s, 12 min, 2 h 5 min, 3 d 4 h."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{round(seconds)} s"
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
