"""MACC's loop: whatever a compressor writes, the right round is kept and every round is a row."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.compress import CompressConfig, CompressRecord, StopReason, chosen_round, compress
from tasks.schemas import Rationale
from tests.fakes import ScriptedChat, completion, ports, words

FIRST = 20  # words of the chain to be compressed


@dataclass(frozen=True)
class Written:
    """One reply of a compressor: its length in words, its answer, whether it was cut off."""

    length: int
    answer: str = "4"
    is_cut_off: bool = False

    @property
    def is_valid(self) -> bool:
        return self.answer == "4" and not self.is_cut_off


def record(length: int = FIRST) -> CompressRecord:
    return CompressRecord(
        record_id="parent", problem_id="p", question="2 + 2 = ?", answer="4", answer_type="integer",
        level="easy", candidate=3, text=words(length), num_tokens=length,
    )  # fmt: skip


def run(written: Sequence[Written], **settings: object) -> tuple[list[Rationale], ScriptedChat]:
    replies = [
        completion(words(w.length, w.answer), finish_reason="length" if w.is_cut_off else "stop")
        for w in written
    ]
    chat = ScriptedChat(replies, name="squeezer")
    config = CompressConfig.model_validate({"min_reduction": 0.0, **settings})
    rows = asyncio.run(compress(record(), ports(chat={"compressor": chat}), config))
    return list(rows), chat


def kept(rows: Sequence[Rationale]) -> list[int]:
    return [row.round for row in rows if row.chosen]


def expected(written: Sequence[Written], max_rounds: int) -> tuple[list[Written], str, int | None]:
    """The rounds that are run, why they end and which is kept, said another way than the code."""
    length, run_rounds, good = FIRST, [], []
    for number, one in enumerate(written[:max_rounds], start=1):
        run_rounds.append(one)
        if one.is_cut_off:
            return run_rounds, "truncated", _shortest(good)
        if one.answer != "4":
            return run_rounds, "answer_changed", _shortest(good)
        if one.length > length:
            return run_rounds, "rebound", _shortest(good)
        if one.length == length:
            return run_rounds, "min_reduction", _shortest(good)
        good.append((one.length, number))
        length = one.length
    return run_rounds, "max_rounds", _shortest(good)


def _shortest(good: Sequence[tuple[int, int]]) -> int | None:
    return min(good)[1] if good else None


written_rounds = st.builds(
    Written,
    length=st.integers(2, FIRST + 3),
    answer=st.sampled_from(["4", "4", "4", "4", "5"]),
    is_cut_off=st.sampled_from([False, False, False, True]),
)


@given(st.lists(written_rounds, min_size=8, max_size=8), st.integers(1, 8))
def test_whatever_a_compressor_writes(written: list[Written], max_rounds: int) -> None:
    rounds, stop, best = expected(written, max_rounds)
    rows, chat = run(written, max_rounds=max_rounds)
    assert [row.num_tokens for row in rows] == [one.length for one in rounds]
    assert [row.round for row in rows] == list(range(1, len(rounds) + 1))
    assert [row.stop_reason for row in rows] == [None] * (len(rounds) - 1) + [stop]
    assert len(chat.asked) == len(rows) <= max_rounds
    assert kept(rows) == ([] if best is None else [best])
    assert all(rounds[number - 1].is_valid for number in kept(rows))
    assert all(row.num_tokens < FIRST and row.verdict == "correct" for row in rows if row.chosen)


@given(st.lists(st.integers(3, FIRST - 1), min_size=8, max_size=8, unique=True))
def test_falling_lengths_keep_the_last_round(lengths: list[int]) -> None:
    rows, _ = run([Written(n) for n in sorted(lengths, reverse=True)], max_rounds=8)
    assert kept(rows) == [8]
    assert rows[-1].stop_reason == "max_rounds"


def test_stops_at_the_first_rebound_though_shorter_ones_would_come() -> None:
    rows, chat = run([Written(15), Written(12), Written(14), Written(3)])
    assert kept(rows) == [2]
    assert [row.stop_reason for row in rows] == [None, None, "rebound"]
    assert len(chat.asked) == 3


def test_nothing_is_kept_when_the_first_round_rebounds() -> None:
    rows, _ = run([Written(FIRST + 1)])
    assert kept(rows) == []
    assert [row.stop_reason for row in rows] == ["rebound"]


@pytest.mark.parametrize(
    ("last", "reason"),
    [(Written(5, answer="5"), "answer_changed"), (Written(5, is_cut_off=True), "truncated")],
)
def test_a_spoilt_round_is_stored_and_never_kept(last: Written, reason: str) -> None:
    rows, _ = run([Written(10), last])
    assert kept(rows) == [1]
    assert rows[-1].stop_reason == reason
    assert rows[-1].num_tokens == 5


def test_a_round_without_an_answer_ends_the_loop() -> None:
    chat = ScriptedChat(["much shorter"])
    (row,) = asyncio.run(compress(record(), ports(chat={"compressor": chat}), CompressConfig()))
    assert (row.verdict, row.stop_reason, row.chosen) == ("no_answer", "answer_changed", False)


def test_too_small_a_reduction_ends_the_loop_and_is_kept() -> None:
    rows, _ = run([Written(15), Written(14)], min_reduction=0.1)
    assert kept(rows) == [2]
    assert rows[-1].stop_reason == "min_reduction"


def test_a_round_of_equal_length_is_not_kept() -> None:
    rows, _ = run([Written(15), Written(15)])
    assert kept(rows) == [1]


def test_each_round_refines_the_one_before_with_a_seed_of_its_own() -> None:
    _, chat = run([Written(15), Written(12), Written(13)])
    assert [words(FIRST) in p.text for p, _ in chat.asked] == [True, False, False]
    assert words(15) in chat.asked[1][0].text
    assert len({sampling.seed for _, sampling in chat.asked}) == 3


def test_rows_tell_where_they_come_from_and_what_they_cost() -> None:
    rows, _ = run([Written(15), Written(16)])
    first = rows[0]
    assert (first.parent_id, first.candidate, first.level) == ("parent", 3, "easy")
    assert (first.kind, first.model, first.engine) == ("compressed", "squeezer", "fake")
    assert [row.num_requests for row in rows] == [1, 1]
    assert [row.completion_tokens for row in rows] == [15, 16]
    assert len({row.content_id("fp") for row in rows}) == 2


@given(st.lists(st.integers(1, 50), min_size=2, max_size=9), st.sampled_from([None, "max_rounds"]))
def test_the_kept_round_is_shorter_than_the_chain(
    lengths: list[int], stop: StopReason | None
) -> None:
    best = chosen_round(lengths, stop)
    if best is None:
        assert min(lengths) == lengths[0]
    else:
        assert lengths[best] == min(lengths) < lengths[0]
