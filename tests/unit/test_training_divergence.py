"""When training is called diverging: a loss that grew and does not fall, never a hump."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.training.curve import DIVERGED_STEPS, diverged_to

FACTOR = 2.0
FIRST = [1.0] * DIVERGED_STEPS


def stopped_at(losses: list[float], factor: float = FACTOR) -> int | None:
    steps = range(1, len(losses) + 1)
    return next((step for step in steps if diverged_to(losses[:step], factor)), None)


def hump(top: float, at: int, width: float, num_steps: int = 120) -> list[float]:
    """From 1, with a bump of that height around a step, down to nearly 0."""
    return [
        math.exp(-step / 40) + (top - 1) * math.exp(-(((step - at) / width) ** 2))
        for step in range(num_steps)
    ]


@pytest.mark.parametrize(
    ("losses", "step"),
    [
        (FIRST + [8.0] * 60, 30),  # a step up, and it stays
        (FIRST + [1.0] * 40 + [8.0] * 60, 62),  # later: as soon as the window before is above
        (FIRST + [3.0, 5.0] * 30, 30),  # up and down, but up
        ([1.1**step for step in range(80)], 30),  # grows on and on
        (FIRST + [1.9] * 60, None),  # not that much
        (FIRST + [8.0] * 4 + [1.0] * 60, None),  # a few bad batches
        ([8.0] * 30, None),  # high from the start
        (FIRST + [8.0] * 19, None),  # too soon to say
    ],
)
def test_what_grows_and_stays_is_stopped(losses: list[float], step: int | None) -> None:
    assert stopped_at(losses) == step


@pytest.mark.parametrize("top", [2.5, 4.0])
def test_a_hump_at_the_end_of_a_warm_up_is_let_go_on(top: float) -> None:
    losses = hump(top, at=15, width=6)
    windows = [sum(losses[at : at + 10]) / 10 for at in range(len(losses) - 9)]
    assert max(windows[10:]) > 1.1 * windows[0]  # it rose
    assert stopped_at(losses, factor=1.1) is None


def test_zero_never_stops() -> None:
    assert stopped_at([1.1**step for step in range(80)], factor=0) is None


@given(st.lists(st.floats(0.01, 100), min_size=30, max_size=90), st.floats(1, 4))
def test_what_falls_is_never_stopped(losses: list[float], factor: float) -> None:
    assert stopped_at(sorted(losses, reverse=True), factor) is None


@given(st.lists(st.floats(0.5, 1.0), min_size=10, max_size=60), st.floats(2.5, 50))
def test_what_stays_up_is_stopped_within_thirty_steps(start: list[float], top: float) -> None:
    step = stopped_at(start + [top * (1 + 0.01 * n) for n in range(3 * DIVERGED_STEPS)])
    assert step is not None
    assert len(start) < step <= len(start) + 3 * DIVERGED_STEPS
