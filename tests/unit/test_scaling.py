"""When a pool grows and shrinks."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from infra.hosting.scaling import START, Bounds, Pressure, decide

BOUNDS = Bounds(minimum=1, maximum=3, up_after_s=10, down_after_s=60)


def decided(
    *, replicas: int, starting: int = 0, waited_s: float = 0, idle_s: Mapping[int, float] = {}
) -> str | int | None:
    pressure = Pressure(
        num_replicas=replicas, num_starting=starting, waited_s=waited_s, idle_s=idle_s
    )
    return decide(pressure, BOUNDS)


def test_a_long_wait_starts_one_more() -> None:
    assert decided(replicas=1, waited_s=11) == START
    assert decided(replicas=1, waited_s=9) is None
    assert decided(replicas=3, waited_s=11) is None


def test_one_step_at_a_time() -> None:
    assert decided(replicas=2, starting=1, waited_s=100) is None


def test_a_long_idle_replica_above_the_minimum_ends() -> None:
    assert decided(replicas=2, idle_s={0: 61, 1: 70}) == 1
    assert decided(replicas=2, idle_s={1: 59}) is None
    assert decided(replicas=1, idle_s={0: 1000}) is None


def test_none_ends_while_somebody_waits() -> None:
    assert decided(replicas=2, waited_s=1, idle_s={1: 100}) is None


@given(
    replicas=st.integers(1, 3),
    starting=st.integers(0, 3),
    waited_s=st.floats(0, 1000),
    idle_s=st.dictionaries(st.integers(0, 2), st.floats(0, 1000)),
)
def test_bounds_hold(
    replicas: int, starting: int, waited_s: float, idle_s: dict[int, float]
) -> None:
    step = decided(replicas=replicas, starting=starting, waited_s=waited_s, idle_s=idle_s)
    if step == START:
        assert replicas < BOUNDS.maximum
    elif step is not None:
        assert replicas > BOUNDS.minimum
        assert step in idle_s
