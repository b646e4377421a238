"""Trying again: only what may pass, not for ever, and never as a herd."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.runs.retries import (
    FIRST_BACKOFF_S,
    LONGEST_BACKOFF_S,
    RetryingChat,
    backoff_s,
    persist,
)
from tasks.ports import PermanentError, Prompt, Sampling, TransientError
from tests.fakes import FunctionChat, Reply

DRAWS = 200


@given(attempt=st.integers(1, 60))
def test_a_wait_doubles_up_to_a_minute_and_half_of_it_is_chance(attempt: int) -> None:
    longest = min(FIRST_BACKOFF_S * 2 ** (attempt - 1), LONGEST_BACKOFF_S)
    assert longest / 2 <= backoff_s(attempt) <= longest


@pytest.mark.parametrize("attempt", [1, 4, 20])
def test_those_who_failed_together_do_not_come_back_together(attempt: int) -> None:
    """Draws fill the half that is chance: 200 in a row within a tenth of it are impossible."""
    longest = min(FIRST_BACKOFF_S * 2 ** (attempt - 1), LONGEST_BACKOFF_S)
    waits = [backoff_s(attempt) for _ in range(DRAWS)]
    assert len(set(waits)) > DRAWS / 2
    assert min(waits) < 0.55 * longest
    assert max(waits) > 0.95 * longest


class Waits:
    """A pause that takes no time and remembers what was asked of it."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def failing(faults: list[Exception]) -> Callable[[str], Reply]:
    """Each fault once, then an answer."""
    return lambda text: faults.pop(0) if faults else "answer 4"


async def complete(chat: FunctionChat, waits: Waits, *, max_attempts: int = 6) -> str:
    model = RetryingChat(chat, max_attempts=max_attempts, pause=waits)
    (reply,) = await model.complete(Prompt(text="2 + 2?"), Sampling())
    return reply.text


async def test_each_wait_is_longer_than_the_one_before() -> None:
    chat, waits = FunctionChat(failing([TransientError("busy")] * 5)), Waits()
    assert await complete(chat, waits) == "answer 4"
    assert len(chat.asked) == 6
    bounds = [FIRST_BACKOFF_S * 2**n for n in range(5)]
    assert all(low / 2 <= s <= low for s, low in zip(waits.seconds, bounds, strict=True))


async def test_the_servers_own_wait_comes_on_top() -> None:
    faults: list[Exception] = [TransientError("busy", retry_after_s=30.0)]
    waits = Waits()
    await complete(FunctionChat(failing(faults)), waits)
    (wait,) = waits.seconds
    assert 30 + FIRST_BACKOFF_S / 2 <= wait <= 30 + FIRST_BACKOFF_S


@pytest.mark.parametrize("max_attempts", [1, 3])
async def test_the_last_try_is_the_last(max_attempts: int) -> None:
    chat, waits = FunctionChat(failing([TransientError("busy")] * 9)), Waits()
    with pytest.raises(TransientError, match="busy"):
        await complete(chat, waits, max_attempts=max_attempts)
    assert (len(chat.asked), len(waits.seconds)) == (max_attempts, max_attempts - 1)


@pytest.mark.parametrize("error", [PermanentError("refused", "no"), KeyError("a bug")])
async def test_what_cannot_pass_is_not_tried_again(error: Exception) -> None:
    waits = Waits()

    async def ask() -> str:
        raise error

    with pytest.raises(type(error)) as caught:
        await persist(ask, max_attempts=6, pause=waits)
    assert caught.value is error
    assert waits.seconds == []
