"""MACC's loop: whatever a compressor writes, the right round is kept and every round is a row."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.compress import CompressConfig, CompressRecord, compress, target_ratio
from tasks.compress_methods import METHODS, STOP_REASONS, GuardedRule, MethodError, Outcome
from tasks.ports import Grader, PermanentError, Verdict
from tasks.schemas import Rationale
from tests.compression_reference import SPOILT, Ended, ended
from tests.fakes import AnswerGrader, ScriptedChat, completion, ports, words

FIRST = 20  # words of the chain to be compressed
MOST = 8  # replies a compressor has ready: more than any loop here may ask for


@dataclass(frozen=True)
class Written:
    """One reply of a compressor: its length in words, its answer, whether it was cut off."""

    length: int
    answer: str = "4"
    finish_reason: str = "stop"

    def outcome(self) -> Outcome:
        verdict = "correct" if self.answer == "4" else "wrong"
        return Outcome(num_tokens=self.length, verdict=verdict, finish_reason=self.finish_reason)


def record(length: int = FIRST, record_id: str = "parent") -> CompressRecord:
    return CompressRecord(
        record_id=record_id, problem_id="p", question="2 + 2 = ?", answer="4",
        answer_type="integer", level="easy", candidate=3, text=words(length), num_tokens=length,
    )  # fmt: skip


def configured(**settings: Any) -> CompressConfig:
    return CompressConfig.model_validate({"min_reduction": 0.0, **settings})


def run(written: Sequence[Written], **settings: Any) -> tuple[list[Rationale], ScriptedChat]:
    replies = [
        completion(words(w.length, w.answer), finish_reason=w.finish_reason) for w in written
    ]
    return refine(replies, **settings)


def refine(
    replies: Sequence[Any],
    *,
    of: CompressRecord | None = None,
    grader: Grader | None = None,
    **settings: Any,
) -> tuple[list[Rationale], ScriptedChat]:
    chat = ScriptedChat(replies, name="squeezer")
    asked = ports(chat={"compressor": chat}, prompts="instruct", grader=grader)
    rows = asyncio.run(compress(of or record(), asked, configured(**settings)))
    return list(rows), chat


def kept(rows: Sequence[Rationale]) -> list[int]:
    return [row.round for row in rows if row.chosen]


def decided(chain_tokens: int, replies: Sequence[Outcome], config: CompressConfig) -> Ended:
    """What the method itself comes to, round by round."""
    rule = config.rule()
    for number in range(1, len(replies) + 1):
        if reason := rule.stop(chain_tokens, replies[:number]):
            return Ended(number, reason, rule.kept(chain_tokens, replies[:number]))
    raise AssertionError("the loop went on for ever")


# --- any sequence of lengths, verdicts and finish reasons

bounds = st.integers(1, MOST)
configs = st.one_of(
    st.builds(
        configured, method=st.just("until_rebound"), max_rounds=bounds,
        min_reduction=st.sampled_from([0.0, 0.01, 0.1, 0.5]),
    ),
    st.builds(configured, method=st.just("fixed_rounds"), num_rounds=bounds),
    st.builds(configured, method=st.sampled_from(["one_round", "fixed_ratio"])),
)  # fmt: skip
outcomes = st.builds(
    Outcome,
    num_tokens=st.integers(0, 60) | st.integers(0, 40_000),
    verdict=st.just("correct") | st.sampled_from(get_args(Verdict)),
    finish_reason=st.just("stop") | st.sampled_from(["stop", "length", "content_filter"]),
    is_stated=st.just(True) | st.booleans(),
)
histories = st.lists(outcomes, min_size=MOST, max_size=MOST)
falling = st.lists(st.integers(0, 60), min_size=MOST, max_size=MOST).map(
    lambda lengths: [Written(n).outcome() for n in sorted(lengths, reverse=True)]
)


@given(st.integers(1, 60) | st.integers(1, 40_000), histories | falling, configs)
def test_any_history_ends_as_the_reference_says(
    chain_tokens: int, replies: list[Outcome], config: CompressConfig
) -> None:
    found = decided(chain_tokens, replies, config)
    assert found == ended(chain_tokens, replies, config)
    assert found.reason in STOP_REASONS
    if found.kept is not None:
        best = replies[found.kept - 1]
        assert (best.verdict, best.finish_reason, best.is_stated) == ("correct", "stop", True)
        assert best.num_tokens < chain_tokens


@given(st.integers(1, 60), histories | falling, st.integers(1, MOST))
def test_macc_keeps_the_shortest_before_the_first_rebound(
    chain_tokens: int, replies: list[Outcome], max_rounds: int
) -> None:
    found = decided(chain_tokens, replies, configured(max_rounds=max_rounds))
    before_stop = [chain_tokens] + [r.num_tokens for r in replies[: found.num_rounds - 1]]
    assert before_stop == sorted(set(before_stop), reverse=True)  # it fell all the way
    if found.reason == "rebound":
        assert replies[found.num_rounds - 1].num_tokens > before_stop[-1]
    if found.reason in SPOILT:
        assert (found.kept or 0) == found.num_rounds - 1
    elif found.reason == "max_rounds":
        assert found.kept == found.num_rounds == max_rounds
    assert found.num_rounds <= max_rounds


DONE = "rounds_done"
BY_HAND: list[tuple[dict[str, Any], list[Written], Ended]] = [
    ({}, [Written(15), Written(12), Written(14), Written(3)], Ended(3, "rebound", 2)),
    ({}, [Written(21)], Ended(1, "rebound", None)),
    ({}, [Written(15), Written(15)], Ended(2, "min_reduction", 1)),
    ({"min_reduction": 0.1}, [Written(15), Written(14)], Ended(2, "min_reduction", 2)),
    ({}, [Written(15), Written(9, answer="5")], Ended(2, "answer_changed", 1)),
    ({}, [Written(25, answer="5")], Ended(1, "answer_changed", None)),
    ({}, [Written(15), Written(9, finish_reason="length")], Ended(2, "truncated", 1)),
    ({"max_rounds": 2}, [Written(15), Written(12), Written(3)], Ended(2, "max_rounds", 2)),
    ({"method": "fixed_rounds"}, [Written(9), Written(14), Written(12)], Ended(3, DONE, 3)),
    ({"method": "fixed_rounds"}, [Written(9), Written(20), Written(30)], Ended(3, DONE, 1)),
    ({"method": "fixed_rounds"}, [Written(9), Written(5, "5")], Ended(2, "answer_changed", 1)),
    ({"method": "one_round"}, [Written(9), Written(5)], Ended(1, "rounds_done", 1)),
    ({"method": "one_round"}, [Written(22)], Ended(1, "rounds_done", None)),
    ({"method": "fixed_ratio"}, [Written(9, finish_reason="length")], Ended(1, "truncated", None)),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "written", "end"), BY_HAND)
def test_ends_known_by_hand(settings: dict[str, Any], written: list[Written], end: Ended) -> None:
    """So that the property above cannot hold because code and reference share a mistake."""
    replies, config = [one.outcome() for one in written], configured(**settings)
    assert ended(FIRST, replies, config) == decided(FIRST, replies, config) == end


written_rounds = st.builds(
    Written,
    length=st.integers(2, FIRST + 3),
    answer=st.sampled_from(["4", "4", "4", "4", "5"]),
    finish_reason=st.sampled_from(["stop", "stop", "stop", "length", "content_filter"]),
)


@given(st.lists(written_rounds, min_size=MOST, max_size=MOST), configs)
def test_whatever_a_compressor_writes(written: list[Written], config: CompressConfig) -> None:
    replies = [one.outcome() for one in written]
    rounds, reason, best = ended(FIRST, replies, config)
    rows, chat = run(written, **config.model_dump())
    assert [row.num_tokens for row in rows] == [one.length for one in written[:rounds]]
    assert [row.round for row in rows] == list(range(1, rounds + 1))
    assert [row.stop_reason for row in rows] == [None] * (rounds - 1) + [reason]
    assert len(chat.asked) == len(rows)
    assert kept(rows) == ([] if best is None else [best])
    assert all(row.num_tokens < FIRST and row.verdict == "correct" for row in rows if row.chosen)
    assert [row.reached_ratio for row in rows] == [one.length / FIRST for one in written[:rounds]]


# --- until_rebound (MACC)


@given(st.lists(st.integers(3, FIRST - 1), min_size=MOST, max_size=MOST, unique=True))
def test_falling_lengths_keep_the_last_round(lengths: list[int]) -> None:
    rows, _ = run([Written(n) for n in sorted(lengths, reverse=True)], max_rounds=MOST)
    assert kept(rows) == [MOST]
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


@pytest.mark.parametrize("method", ["until_rebound", "fixed_rounds"])
@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (Written(5, answer="5"), "answer_changed"),
        (Written(5, finish_reason="length"), "truncated"),
        (Written(5, finish_reason="content_filter"), "truncated"),
    ],
)
def test_a_spoilt_round_is_stored_and_never_kept(last: Written, reason: str, method: str) -> None:
    rows, chat = run([Written(10), last, Written(4)], method=method)
    assert kept(rows) == [1]
    assert rows[-1].stop_reason == reason
    assert rows[-1].num_tokens == 5
    assert len(chat.asked) == 2


def test_a_round_without_an_answer_ends_the_loop() -> None:
    (row,), _ = refine(["much shorter"])
    assert (row.verdict, row.stop_reason, row.chosen) == ("no_answer", "answer_changed", False)


STATED = "First we see that two and two is\n2 + 2 = 4\nso the answer is 4."
GUESSED = "Two and two is\n2 + 2 = 4"


@pytest.mark.parametrize("method", ["until_rebound", "fixed_rounds"])
def test_a_round_that_dropped_the_last_line_is_never_kept(method: str) -> None:
    """Its answer is right, and no longer stated: it would teach to leave the answer out."""
    rows, chat = refine([STATED, GUESSED, "4"], grader=AnswerGrader(), method=method)
    assert [(row.verdict, row.stated_as) for row in rows] == [
        ("correct", "phrase"), ("correct", "closing_line")
    ]  # fmt: skip
    assert (kept(rows), rows[-1].stop_reason, len(chat.asked)) == ([1], "answer_not_stated", 2)
    rows, _ = refine([GUESSED], grader=AnswerGrader(), method=method)
    assert (kept(rows), rows[-1].stop_reason) == ([], "answer_not_stated")


def test_a_prompt_that_asks_for_the_bare_answer_can_say_so() -> None:
    """Where chains end with their result and nothing marks it, the setting is turned off."""
    rows, _ = refine(
        [STATED, GUESSED, STATED], grader=AnswerGrader(), require_stated_answer=False
    )  # fmt: skip
    assert (kept(rows), rows[-1].stop_reason) == ([2], "rebound")


def test_too_small_a_reduction_ends_the_loop_and_is_kept() -> None:
    rows, _ = run([Written(15), Written(14)], min_reduction=0.1)
    assert kept(rows) == [2]
    assert rows[-1].stop_reason == "min_reduction"


def test_a_round_of_equal_length_is_not_kept() -> None:
    rows, _ = run([Written(15), Written(15)])
    assert kept(rows) == [1]
    assert rows[-1].stop_reason == "min_reduction"


# --- the alternatives


def test_fixed_rounds_go_on_behind_a_rebound_and_keep_the_last() -> None:
    rows, _ = run([Written(9), Written(14), Written(12)], method="fixed_rounds", num_rounds=3)
    assert [row.stop_reason for row in rows] == [None, None, "rounds_done"]
    assert kept(rows) == [3]


def test_fixed_rounds_never_keep_what_is_longer_than_the_chain() -> None:
    rows, _ = run([Written(9), Written(FIRST + 2)], method="fixed_rounds", num_rounds=2)
    assert kept(rows) == [1]
    rows, _ = run([Written(FIRST), Written(FIRST + 2)], method="fixed_rounds", num_rounds=2)
    assert kept(rows) == []


@pytest.mark.parametrize("method", ["one_round", "fixed_ratio"])
def test_one_round_asks_once(method: str) -> None:
    rows, chat = run([Written(9), Written(5)], method=method, num_rounds=5)
    assert [row.stop_reason for row in rows] == ["rounds_done"]
    assert (kept(rows), len(chat.asked)) == ([1], 1)


def test_fixed_ratio_asks_for_its_share_and_stores_what_came_of_it() -> None:
    (row,), chat = run([Written(15)], method="fixed_ratio", ratios=[0.6])
    assert "to 60% of its length, which here is about 12 tokens" in chat.asked[0][0].text
    assert (row.target_ratio, row.reached_ratio) == (0.6, 0.75)


def test_other_methods_ask_for_no_length() -> None:
    rows, chat = run([Written(15), Written(16)])
    assert "%" not in chat.asked[0][0].text
    assert [row.target_ratio for row in rows] == [None, None]


def test_ratios_are_drawn_by_chain_and_seed_evenly() -> None:
    config = configured(method="fixed_ratio")
    one, other = ports(seed=1), ports(seed=2)
    chains = [record(record_id=f"chain-{number}") for number in range(2000)]
    drawn = [target_ratio(chain, one, config) for chain in chains]
    assert drawn == [target_ratio(chain, one, config) for chain in chains]
    assert drawn != [target_ratio(chain, other, config) for chain in chains]
    counts = Counter(drawn)
    assert sorted(counts) == [0.5, 0.6, 0.7, 0.8, 0.9]  # every one a TokenSkip ratio
    assert all(300 < count < 500 for count in counts.values())  # 400 expected, sd 18


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"method": "fixed_ratio", "prompt": "default"}, "set compress.prompt = 'instruct'"),
        ({"method": "fixed_ratio", "prompt": "poem"}, "no prompt 'poem' for step 'compress'"),
        ({"method": "squeeze"}, "until_rebound"), ({"ratios": []}, "ratios"),
        ({"ratios": [0.5, 1.0]}, "ratios.1"), ({"num_rounds": 0}, "num_rounds"),
    ],
)  # fmt: skip
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        configured(**settings)


# --- what is asked and what is stored


def test_each_round_refines_the_one_before_with_a_seed_of_its_own() -> None:
    _, chat = run([Written(15), Written(12), Written(13)])
    assert [words(FIRST) in p.text for p, _ in chat.asked] == [True, False, False]
    assert words(15) in chat.asked[1][0].text
    assert len({sampling.seed for _, sampling in chat.asked}) == 3


def test_the_compressors_own_thought_is_no_part_of_the_chain() -> None:
    thought = f"<think>\n{words(400, '5')}\n</think>\n\n"
    replies = [thought + words(15), thought.removeprefix("<think>\n") + words(12), words(13)]
    rows, chat = refine(replies)
    assert [row.text for row in rows] == [words(15), words(12), words(13)]
    assert [row.num_tokens for row in rows] == [15, 12, 13]
    assert (kept(rows), rows[-1].stop_reason) == ([2], "rebound")
    assert rows[0].completion_tokens > 400  # paid for all the same
    assert "think" not in chat.asked[1][0].text


def test_a_reply_cut_off_in_its_thought_is_truncated() -> None:
    (row,), _ = refine([completion(f"<think>\n{words(30)}", finish_reason="length")])
    assert (row.stop_reason, row.chosen) == ("truncated", False)


def test_a_request_refused_behind_a_round_ends_the_loop_and_loses_no_round() -> None:
    refused = PermanentError("refused", "the server does not like round 2")
    (row,), _ = refine([words(15), refused])
    assert (row.num_tokens, row.stop_reason, row.chosen) == (15, "refused", True)


def test_a_first_request_refused_rejects_the_chain() -> None:
    with pytest.raises(PermanentError, match="does not like"):
        refine([PermanentError("refused", "the server does not like it")])


def test_golden_prompt() -> None:
    _, chat = refine(["so answer 4"], method="one_round", of=record(5))
    (text,) = (prompt.text for prompt, _ in chat.asked)
    assert text == (
        "Edit the solution below so that it says the same in fewer tokens. It is not to be solved "
        "again, and nothing is to be added.\n\n"
        "<problem>\n2 + 2 = ?\n</problem>\n\n<solution>\nso so so answer 4\n</solution>\n\n"
        "Rules:\n"
        "- Keep every step that the conclusion rests on, in its order, with its numbers, formulas "
        "and intermediate results.\n"
        "- Keep the final answer as it is and in the same form, for example within \\boxed{}.\n"
        "- Keep sentences and formulas that a reader can follow; do not resort to a private "
        "shorthand.\n"
        "- Take out what carries nothing: repetitions, restatements of the problem, announcements "
        "of what comes next, filler, checks that changed nothing, attempts that led nowhere and "
        "are not used later.\n"
        "- Make one careful pass and take out only a little: the result may be edited again. If "
        "there is nothing left to take out, write the solution as it is.\n\n"
        "Write the edited solution from its first word to its last and nothing else: no "
        "introduction, no comment, no tags, no code fence."
    )


def test_rows_tell_where_they_come_from_and_what_they_cost() -> None:
    rows, _ = run([Written(15), Written(16)])
    first = rows[0]
    assert (first.parent_id, first.candidate, first.level) == ("parent", 3, "easy")
    assert (first.kind, first.model, first.engine) == ("compressed", "squeezer", "fake")
    assert [row.num_requests for row in rows] == [1, 1]
    assert [row.completion_tokens for row in rows] == [15, 16]
    assert len({row.content_id("fp") for row in rows}) == 2


# --- methods from outside


@dataclass(frozen=True)
class Odd:
    """A rule that says the same whatever happened."""

    says: Any = None
    keeps: Any = None

    def stop(self, chain_tokens: int, rounds: Sequence[Outcome]) -> Any:
        return self.says

    def kept(self, chain_tokens: int, rounds: Sequence[Outcome]) -> Any:
        return self.keeps


def guarded(says: Any = None, keeps: Any = None) -> GuardedRule:
    method = replace(METHODS["one_round"], name="odd", most_rounds=3)
    return GuardedRule(method=method, rule=Odd(says, keeps))


def outcome(num_tokens: int = 5, verdict: str = "correct", finish_reason: str = "stop") -> Outcome:
    return Outcome(num_tokens=num_tokens, verdict=verdict, finish_reason=finish_reason)


def test_a_method_from_outside_comes_to_an_end() -> None:
    rule = guarded()
    assert [rule.stop(9, [outcome()] * number) for number in (1, 2, 3)] == [
        None,
        None,
        "max_rounds",
    ]
    assert rule.stop(9, [outcome(verdict="wrong")]) == "answer_changed"
    assert rule.stop(9, [outcome(finish_reason="length")]) == "truncated"


@pytest.mark.parametrize("says", [True, False, "", 3, object()])
def test_what_is_no_reason_to_stop_is_an_error_that_names_the_method(says: Any) -> None:
    with pytest.raises(MethodError, match=r"'odd': stop\(\) returned"):
        guarded(says=says).stop(9, [outcome()])


@pytest.mark.parametrize("keeps", [0, -1, 99, "1", True, 2, 3, 4])
def test_a_round_that_may_not_be_kept_is_an_error(keeps: Any) -> None:
    rounds = [
        outcome(), outcome(num_tokens=9), outcome(verdict="wrong"), outcome(finish_reason="length")
    ]  # fmt: skip
    with pytest.raises(MethodError, match=r"'odd': kept\(\) returned .* \(here \[1\]\)"):
        guarded(keeps=keeps).kept(9, rounds)
    assert guarded(keeps=1).kept(9, rounds) == 1
    assert guarded(keeps=None).kept(9, rounds) is None


def test_until_ratio_goes_on_until_a_round_is_as_short_as_that() -> None:
    """Past a rebound, too: the same share for every chain, whatever it can bear."""
    half = FIRST // 2
    rows, _ = run([Written(FIRST - 1), Written(FIRST), Written(half)], method="until_ratio")
    assert [row.chosen for row in rows] == [False, False, True]
    assert rows[-1].stop_reason == "ratio_reached"
    rows, _ = run([Written(FIRST - 1), Written(FIRST - 2)], method="until_ratio", max_rounds=2)
    assert [row.chosen for row in rows] == [False, True]
    assert rows[-1].stop_reason == "max_rounds"
