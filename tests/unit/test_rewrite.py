"""DAP rewrites: tried again with the reason, rejected with the last one, paid for in full."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tasks.rewrite import RewriteConfig, RewriteRecord, is_accepted, rewrite
from tasks.schemas import Rationale, Rejection
from tests.fakes import Reply, ScriptedChat, completion, ports, words

GOOD, WRONG = "two and two. answer 4", "two and two. answer 5"


def run(
    *replies: Reply, record: dict[str, Any] | None = None, **settings: Any
) -> tuple[Rationale | Rejection, ScriptedChat]:
    known: dict[str, Any] = {
        "record_id": "p", "problem_id": "p", "question": "2 + 2 = ?", "answer": "4",
        "answer_type": "integer", "level": "medium", "parent_id": "long",
        "parent_text": "THE CHAIN",
    }  # fmt: skip
    chat = ScriptedChat(replies, name="teacher-1")
    one = RewriteRecord(**{**known, **(record or {})})
    config = RewriteConfig.model_validate(settings)
    (row,) = asyncio.run(rewrite(one, ports(chat={"teacher": chat}), config))
    return row, chat


def test_a_good_rewrite_is_checked_and_kept() -> None:
    row, chat = run(GOOD, "valid")
    assert isinstance(row, Rationale)
    assert (row.kind, row.level, row.parent_id) == ("rewritten", "medium", "long")
    assert (row.text, row.verdict, row.model) == (GOOD, "correct", "teacher-1")
    assert "THE CHAIN" in chat.asked[0][0].text
    assert GOOD in chat.asked[1][0].text


def test_a_changed_answer_is_tried_again_with_the_reason() -> None:
    row, chat = run(WRONG, GOOD, "valid")
    assert isinstance(row, Rationale)
    assert "answer changed" not in chat.asked[0][0].text
    assert "answer changed" in chat.asked[1][0].text
    assert chat.asked[0][1].seed != chat.asked[1][1].seed


def test_the_teacher_may_reject_it() -> None:
    row, chat = run(GOOD, "a step is missing: invalid", GOOD, "valid")
    assert isinstance(row, Rationale)
    assert "teacher rejected" in chat.asked[2][0].text


def test_usage_adds_up_over_attempts_and_checks() -> None:
    row, _ = run(WRONG, GOOD, "invalid", GOOD, "valid")
    assert isinstance(row, Rationale)
    assert row.num_requests == 5
    assert row.prompt_tokens == 50
    assert row.completion_tokens == 3 * 5 + 2
    assert row.latency_s == pytest.approx(2.5)


def test_after_the_last_attempt_it_is_rejected_with_its_reason() -> None:
    row, chat = run(WRONG, WRONG, max_attempts=2)
    assert isinstance(row, Rejection)
    assert (row.stage, row.reason, row.record_id) == ("rewrite", "answer_changed", "p")
    assert row.detail == "2 attempts failed; last answer '5'"
    assert (row.num_requests, row.completion_tokens, row.model) == (2, 10, "teacher-1")
    assert len(chat.asked) == 2


def test_the_last_fault_is_the_reason() -> None:
    row, _ = run(WRONG, GOOD, "invalid", max_attempts=2)
    assert isinstance(row, Rejection)
    assert row.reason == "teacher_rejected"


@pytest.mark.parametrize(
    "reply",
    [
        completion("and so on", finish_reason="length"),
        completion(GOOD + " and so on", finish_reason="length"),
    ],
    ids=["before the answer", "behind the answer"],
)
def test_a_cut_off_rewrite_is_never_taught(reply: Reply) -> None:
    row, chat = run(reply, max_attempts=1)
    assert isinstance(row, Rejection)
    assert row.reason == "truncated"
    assert len(chat.asked) == 1


def test_an_easy_rewrite_must_be_short() -> None:
    long = words(11)
    row, _ = run(long, record={"level": "easy"}, max_attempts=1, max_tokens_easy=10)
    assert isinstance(row, Rejection)
    assert row.reason == "too_long_for_easy"
    row, _ = run(long, "valid", record={"level": "hard"}, max_attempts=1, max_tokens_easy=10)
    assert isinstance(row, Rationale)


def test_without_a_right_chain_nobody_is_asked() -> None:
    row, chat = run(record={"parent_id": None, "parent_text": None})
    assert isinstance(row, Rejection)
    assert (row.reason, row.num_requests, row.model) == ("no_correct_candidate", 0, None)
    assert chat.asked == []


def test_the_check_can_be_left_out() -> None:
    row, chat = run(GOOD, teacher_check=False)
    assert isinstance(row, Rationale)
    assert len(chat.asked) == 1


@pytest.mark.parametrize(
    ("reply", "accepted"),
    [
        ("valid", True), ("Valid.", True), ("invalid", False), ("INVALID", False),
        ("not invalid: valid", True), ("seems valid, but: invalid", False), ("", False),
        ("validated", False),
    ],
)  # fmt: skip
def test_the_last_word_decides(reply: str, accepted: bool) -> None:
    assert is_accepted(reply) is accepted
