"""The pace at which requests may be sent."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from infra.engines.endpoint.rate_limits import Cost, RateLimits


@dataclass
class Clock:
    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


def cost(prompt_chars: int = 0, max_tokens: int = 0, num_candidates: int = 1) -> Cost:
    return Cost(prompt_chars, max_tokens, num_candidates)


def test_requests_are_spaced_evenly() -> None:
    limits = RateLimits(requests_per_minute=120, clock=Clock())
    assert [limits.reserve(cost()).wait_s for _ in range(4)] == [0.0, 0.5, 1.0, 1.5]


def test_idle_time_is_not_saved_up_for_a_burst() -> None:
    clock = Clock()
    limits = RateLimits(requests_per_minute=60, clock=clock)
    limits.reserve(cost())
    clock.now_s += 3600
    assert [limits.reserve(cost()).wait_s for _ in range(2)] == [0.0, 1.0]


def test_no_minute_sees_more_requests_than_allowed() -> None:
    clock = Clock()
    limits = RateLimits(requests_per_minute=30, clock=clock)
    sent_s = []
    for _ in range(200):
        clock.now_s += limits.reserve(cost()).wait_s + 0.3
        sent_s.append(clock.now_s)
    for start in sent_s:
        assert sum(start <= moment < start + 60 for moment in sent_s) <= 31


def test_tokens_of_prompt_and_candidates_are_expected() -> None:
    limits = RateLimits(tokens_per_minute=6000, clock=Clock())
    limits.reserve(cost(prompt_chars=400, max_tokens=100, num_candidates=4))  # 100 + 400
    assert limits.reserve(cost()).wait_s == pytest.approx(5.0)


def test_a_reply_corrects_what_was_expected() -> None:
    limits = RateLimits(tokens_per_minute=6000, clock=Clock())
    taken = limits.reserve(cost(max_tokens=1000))
    limits.settle(taken, prompt_tokens=0, completion_tokens=200)
    assert limits.reserve(cost(max_tokens=1000)).wait_s == pytest.approx(2.0)


def test_later_requests_are_expected_to_cost_what_replies_did() -> None:
    limits = RateLimits(tokens_per_minute=6000, clock=Clock())
    taken = limits.reserve(cost(max_tokens=1000))
    limits.settle(taken, prompt_tokens=0, completion_tokens=100)
    assert limits.reserve(cost(max_tokens=1000)).tokens == pytest.approx(100)
    assert limits.reserve(cost(max_tokens=50)).tokens == pytest.approx(50)


def test_a_request_above_a_minutes_allowance_goes_and_the_next_waits() -> None:
    limits = RateLimits(tokens_per_minute=600, clock=Clock())
    assert limits.reserve(cost(max_tokens=1200)).wait_s == 0.0
    assert limits.reserve(cost(max_tokens=1)).wait_s == pytest.approx(120.0)
