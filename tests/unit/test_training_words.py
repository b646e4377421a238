"""What training says while it goes on, and when."""

from __future__ import annotations

import io
import re

import pytest

from flows.progress.consoles import console
from flows.progress.terminal import Terminal
from flows.progress.training import TrainingWords, duration, left_out, rounded
from infra.training.job import reason_of
from infra.training.reports import StepReport, TrainStart

START = TrainStart(
    engine="DeepSpeedEngine", distributed_type="DEEPSPEED",
    zero_stage=2, optimizer="DeepSpeedZeroOptimizer", world_size=2,
    device="cpu", num_steps=960, batch_size=28, batching="grouped", num_examples=251,
    num_held_out=25, num_too_long=2,
)  # fmt: skip


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def step(number: int, **more: float) -> StepReport:
    return StepReport(step=number, num_steps=960, seconds=float(number), **more)  # type: ignore[arg-type]


def test_the_first_line_says_who_trains_and_the_second_what_is_left_out() -> None:
    words = TrainingWords()
    words.begin(START)
    assert words.lines() == [
        "2 ranks, DeepSpeed ZeRO-2 on cpu (DeepSpeedEngine, DEEPSPEED), 960 steps of 28 examples,"
        " grouped, 25 held out",
        "2 of 278 examples are longer than train.max_length and were left out",
    ]
    assert words.lines() == []
    assert left_out(1, 8) == "1 of 8 examples is longer than train.max_length and was left out"


def test_a_step_has_its_losses_its_speed_and_the_time_left() -> None:
    words = TrainingWords()
    words.advance(step(0, held_out_loss=2.0))
    assert words.text == "step 0 of 960, held-out 2.000"
    words.advance(step(96, held_out_loss=0.61, loss=0.7))
    words.advance(step(240, loss=0.512, tokens_per_s=18_312.4))
    assert words.text == (
        "step 240 of 960, loss 0.512, held-out 0.610, 18 300 tokens/s, 12 min left"
    )
    words.advance(step(960, loss=0.4))
    assert words.text.endswith("saving")


def test_what_is_waited_for_is_said_once_and_shown_while_it_lasts() -> None:
    words = TrainingWords()
    words.advance(step(96, loss=0.7))
    words.note("rank 1 died")
    words.note("no room")
    assert words.text == words.beside_bar == "no room"
    assert words.lines() == ["rank 1 died", "no room"]
    words.note("")
    assert (words.text, words.lines()) == ("step 96 of 960, loss 0.700", [])


def test_the_pace_is_that_of_this_attempt() -> None:
    words = TrainingWords()
    words.advance(step(0))
    words.advance(step(500))
    for number, seconds in ((401, 10.0), (402, 20.0)):
        words.advance(StepReport(step=number, num_steps=404, attempt=2, seconds=seconds))
    assert words.text == "step 402 of 404, 20 s left"


def test_nobody_waits_longer_than_twenty_seconds_for_a_line() -> None:
    clock = Clock()
    words = TrainingWords(clock)
    told: list[float] = []
    for second in range(600):  # on their way for a minute, then a step every 50 s
        clock.now = float(second)
        if second == 60:
            words.begin(START)
        if second > 60 and second % 50 == 0:
            words.advance(step(second))
        told += [clock.now] * len(words.lines())
    assert max(b - a for a, b in zip([0.0, *told], [*told, 600.0], strict=True)) <= 20


def test_a_line_without_a_new_step_says_how_long_that_is() -> None:
    clock = Clock()
    words = TrainingWords(clock)
    clock.now = 20.0
    assert words.lines() == ["the ranks are on their way, 20 s"]
    words.advance(step(1))
    clock.now = 40.0
    assert words.lines() == ["step 1 of 960"]
    clock.now = 60.0
    assert words.lines() == ["step 1 of 960, 40 s since that step"]


def test_tenths_are_told_but_not_in_a_rush() -> None:
    clock = Clock()
    words = TrainingWords(clock)
    told = []
    for number in range(961):
        clock.now = number / 100  # ten seconds in all
        words.advance(step(number))
        told += words.lines()
    assert 3 <= len(told) <= 5
    assert told[0].startswith("step 201 of 960") or told[0].startswith("step 200 of 960")


def test_numbers_and_times_are_short() -> None:
    assert [rounded(n) for n in (0.6, 85.2, 999.4, 18_349, 1_234_567)] == [
        "1", "85", "999", "18 300", "1 230 000",
    ]  # fmt: skip
    assert [duration(s) for s in (40, 720, 7_500, 273_600)] == [
        "40 s", "12 min", "2 h 5 min", "3 d 4 h",
    ]  # fmt: skip


@pytest.mark.parametrize("width", [80, 120])
def test_a_bar_has_the_words_that_fit_and_cuts_no_name(width: int) -> None:
    words = TrainingWords()
    words.advance(step(120, loss=0.512, held_out_loss=0.61, tokens_per_s=18_300.0))
    stream = io.StringIO()
    terminal = Terminal(console(file=stream, force_terminal=True, width=width))
    with terminal.live():
        terminal.advance("evaluate-trained", 3, 40)
        terminal.advance("train", 120, 960, text=words.beside_bar)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())
    assert "evaluate-trained" in shown.splitlines()[-2]
    assert "120/960" in shown.splitlines()[-1]
    assert "loss 0.512" in shown.splitlines()[-1]
    assert ("18 300 tokens/s" in shown) == (width == 120)


def test_why_an_actor_died_is_said_not_only_that_it_did() -> None:
    died = ActorDiedError(
        "The actor died unexpectedly before finishing this task.\n\tclass_name: Monitor\n"
        "The actor is dead because its node has died.\nThe actor never ran."
    )
    assert reason_of(died) == "ActorDiedError: The actor is dead because its node has died."
    assert reason_of(ValueError("too\nlong")) == "ValueError: too"
    assert reason_of(ValueError()) == "ValueError: "


class ActorDiedError(Exception):
    """Named as Ray's, and as long."""
