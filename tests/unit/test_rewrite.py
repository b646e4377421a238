"""DAP rewrites: tried again with the reason, rejected with the last one, paid for in full."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from flows.recipes.loading import load_recipe
from flows.recipes.recipe import RecipeError
from tasks.ports import Grader
from tasks.rewrite import RewriteConfig, RewriteRecord, rewrite, split_level
from tasks.rewrite_faults import read_check
from tasks.schemas import Rationale, Rejection
from tests.fakes import AnswerGrader, Reply, ScriptedChat, completion, ports, words

GOOD, WRONG = "two and two. answer 4", "two and two. answer 5"
SOUND = "Reason: each step follows.\nLogic: sound\nCompleteness: complete"
FLAWED = "Reason: 2 + 2 is\nLogic: flawed\nCompleteness: complete"


def rows_of(
    *replies: Reply,
    record: dict[str, Any] | None = None,
    grader: Grader | None = None,
    **settings: Any,
) -> tuple[Sequence[Rationale | Rejection], ScriptedChat]:
    config = RewriteConfig.model_validate(settings)
    known: dict[str, Any] = {
        "record_id": "p", "problem_id": "p", "question": "2 + 2 = ?", "answer": "4",
        "answer_type": "integer", "level": "medium" if config.variant == "two_step" else None,
        "parent_id": "long", "parent_text": "THE CHAIN. answer 4", "parent_model": "writer",
        "parent_engine": "imported",
    }  # fmt: skip
    chat = ScriptedChat(replies, name="teacher-1")
    one = RewriteRecord(**{**known, **(record or {})})
    asked = ports(chat={"teacher": chat}, prompts=config.prompt, grader=grader)
    found = asyncio.run(rewrite(one, asked, config))
    assert chat.num_given == len(replies)  # every scripted reply was asked for
    return found, chat


def run(*replies: Reply, **how: Any) -> tuple[Rationale | Rejection, ScriptedChat]:
    (row,), chat = rows_of(*replies, **how)
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
    assert "could not be used" not in chat.asked[0][0].text
    assert "could not be used: the final answer changed to 5. Mend" in chat.asked[1][0].text
    assert chat.asked[0][1].seed != chat.asked[1][1].seed


def test_the_teacher_may_reject_it() -> None:
    row, chat = run(GOOD, FLAWED, GOOD, SOUND)
    assert isinstance(row, Rationale)
    assert "could not be used: its logic is flawed (2 + 2 is). Mend" in chat.asked[2][0].text
    assert row.faults == "1 (medium) its logic is flawed (2 + 2 is)"


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
    assert row.detail == (
        "2 attempts failed: 1 (medium) the final answer changed to 5; "
        "2 (medium) the final answer changed to 5"
    )
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
    ("reply", "fault", "words"),
    [
        (completion("no end", finish_reason="length"), "truncated", "limit of 99 tokens"),
        (completion(GOOD, finish_reason="content_filter"), "truncated", "by a content filter"),
        (completion(GOOD, finish_reason="odd"), "truncated", "a reason nobody knows: odd"),
        ("two and two", "no_answer", "it states no final answer"),
        (WRONG, "answer_changed", "the final answer changed to 5"),
        (words(11), "too_long_for_easy", "it has 11 tokens, the limit for an easy problem is 10"),
        ("<think> answer 4", "no_answer", "it states no final answer"),
    ],
)
def test_every_fault_is_told_in_words(reply: Reply, fault: str, words: str) -> None:
    settings = {"max_attempts": 1, "max_tokens_easy": 10, "max_tokens": 99}
    row, _ = run(reply, record={"level": "easy"}, **settings)
    assert isinstance(row, Rejection)
    assert row.reason == fault
    assert row.detail.startswith("1 attempts failed: 1 (easy) ")
    assert words in row.detail


GUESSED = "Analysis: two and two.\n2 + 2 = 4"
STATED = GUESSED + "\nSo \\boxed{4}."


def test_an_answer_that_is_not_stated_is_tried_again_with_the_reason() -> None:
    row, chat = run(GUESSED, STATED, SOUND, grader=AnswerGrader())
    assert isinstance(row, Rationale)
    assert (row.text, row.stated_as) == (STATED, "box")
    assert "its final answer (4) is not stated as such" in chat.asked[1][0].text
    assert row.faults is not None
    assert row.faults.startswith("1 (medium) its final answer (4) is not stated as such")


def test_a_rewrite_that_never_states_its_answer_is_rejected() -> None:
    row, chat = run(GUESSED, GUESSED, GUESSED, grader=AnswerGrader())
    assert isinstance(row, Rejection)
    assert (row.reason, len(chat.asked)) == ("answer_not_stated", 3)  # no check is paid for


def test_a_prompt_of_ones_own_may_ask_for_a_bare_answer() -> None:
    row, _ = run(GUESSED, SOUND, grader=AnswerGrader(), require_stated_answer=False)
    assert isinstance(row, Rationale)
    assert row.stated_as == "closing_line"


def test_with_only_chains_that_were_cut_off_nobody_is_asked() -> None:
    row, chat = run(record={"parent_id": None, "parent_text": None, "num_cut_off": 2})
    assert isinstance(row, Rejection)
    assert (row.reason, chat.asked) == ("no_whole_candidate", [])
    assert row.detail == "2 long chains reached the gold answer, and all were cut off"


def test_a_thought_is_no_part_of_the_rewrite() -> None:
    row, chat = run(f"answer 5 it seems, or rather 4\n</think>\n\n{GOOD}", SOUND)
    assert isinstance(row, Rationale)
    assert (row.text, row.num_tokens) == (GOOD, len(GOOD.split()))
    assert row.completion_tokens > row.num_tokens  # it is paid for
    assert "or rather" not in chat.asked[1][0].text


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        ("valid", None), ("Valid.", None), ("not invalid: valid", None),
        ("INVALID", "teacher_rejected"), ("seems valid, but: invalid", "teacher_rejected"),
        ("", "check_unread"), ("validated", "check_unread"),
        (SOUND, None), (FLAWED, "teacher_rejected"),
        ("**Logic:** Sound\n**Completeness:** *Incomplete*", "teacher_rejected"),
        ("Logic: flawed at first sight, yet\n" + SOUND, None),
        ("Logic: sound", "check_unread"),
        ("<think>Logic: flawed. Completeness: incomplete</think>" + SOUND, None),
        ("<think>Logic: sound. Completeness: complete", "check_unread"),
        ('{"reason": "r", "logic": "sound", "completeness": "complete"}', None),
        ('```json\n{"logic": "sound", "completeness": "incomplete"}\n```', "teacher_rejected"),
        ('{"reason": "is x \\in S? no", "logic": "flawed", "completeness": "complete"}',
         "teacher_rejected"),  # not JSON: \\i is no escape
        ('{"reason": "it looks valid', "check_unread"),
    ],
)  # fmt: skip
def test_what_a_check_says(reply: str, fault: str | None) -> None:
    found = read_check(reply)
    assert (found.reason if found else None) == fault


def test_what_the_check_says_is_one_line_of_bounded_length() -> None:
    found = read_check(f"Reason: so\x00\u202e {'no ' * 500}\nLogic: flawed\nCompleteness: complete")
    assert found is not None
    assert found.words.startswith("its logic is flawed (so no no ")
    assert len(found.words) < 350
    both = read_check("It skips\na case.\nLogic: flawed\nCompleteness: incomplete")
    assert both is not None
    assert both.words.startswith("its logic is flawed and it is incomplete (It skips a case.")


def test_an_unread_check_is_not_the_rewrites_fault() -> None:
    row, chat = run(GOOD, "hm", GOOD, SOUND)
    assert isinstance(row, Rationale)
    assert "could not be used" not in chat.asked[2][0].text
    assert row.faults == "1 (medium) the teacher's check gave no verdict"


# --- fallback


def test_the_original_can_stand_in_for_a_rewrite_that_failed() -> None:
    (refused, row), _ = rows_of(WRONG, max_attempts=1, fallback="original")
    assert isinstance(refused, Rejection)
    assert isinstance(row, Rationale)
    assert (refused.reason, refused.num_requests) == ("answer_changed", 1)
    assert (row.kind, row.parent_id, row.text) == ("rewritten", "long", "THE CHAIN. answer 4")
    assert (row.model, row.engine, row.finish_reason) == ("writer", "imported", "original")
    assert (row.verdict, row.num_requests, row.prompt_sha) == ("correct", 0, None)
    assert row.faults == "1 (medium) the final answer changed to 5"


def test_without_a_right_chain_there_is_no_original() -> None:
    row, _ = run(record={"parent_id": None, "parent_text": None}, fallback="original")
    assert isinstance(row, Rejection)


def test_an_easy_rewrite_that_stays_too_long_is_tried_as_medium() -> None:
    row, chat = run(
        words(11), words(12), words(13), SOUND,
        record={"level": "easy"}, max_attempts=2, max_tokens_easy=10, escalate=True,
    )  # fmt: skip
    assert isinstance(row, Rationale)
    assert (row.level, row.num_requests) == ("medium", 4)
    assert "Reflection" not in chat.asked[1][0].text
    assert "Reflection" in chat.asked[2][0].text
    assert row.faults is not None
    assert row.faults.startswith("1 (easy) it has 11 tokens")
    assert len({sampling.seed for _, sampling in chat.asked[:3]}) == 3


def test_only_length_makes_a_problem_harder() -> None:
    row, _ = run(WRONG, record={"level": "easy"}, max_attempts=1, escalate=True)
    assert isinstance(row, Rejection)
    assert row.reason == "answer_changed"


# --- one prompt that judges and rewrites


def test_a_single_prompt_judges_and_rewrites() -> None:
    row, chat = run(f"Difficulty: hard\n\n{GOOD}", SOUND, variant="single_prompt")
    assert isinstance(row, Rationale)
    assert (row.level, row.text, row.num_requests) == ("hard", GOOD, 2)
    assert "Difficulty: easy, medium or hard" in chat.asked[0][0].text
    assert "Difficulty" not in chat.asked[1][0].text


def test_the_limit_is_that_of_the_level_the_reply_names() -> None:
    how: dict[str, Any] = {"variant": "single_prompt", "max_tokens_easy": 10, "max_attempts": 1}
    row, _ = run(f"Difficulty: easy\n{words(11)}", **how)
    assert isinstance(row, Rejection)
    assert row.reason == "too_long_for_easy"
    row, _ = run(f"Difficulty: medium\n{words(11)}", SOUND, **how)
    assert isinstance(row, Rationale)


def test_a_single_prompt_without_a_level_is_tried_again() -> None:
    row, chat = run(GOOD, f"**Difficulty:** easy\n{GOOD}", SOUND, variant="single_prompt")
    assert isinstance(row, Rationale)
    assert row.level == "easy"
    assert "it did not begin with a line such as" in chat.asked[1][0].text
    assert row.faults is not None
    assert row.faults.startswith("1 (no level) it did not begin")


def test_a_single_prompt_may_be_held_to_medium_after_all() -> None:
    row, chat = run(
        f"Difficulty: easy\n{words(11)}", words(12), SOUND,
        variant="single_prompt", max_tokens_easy=10, max_attempts=1, escalate=True,
    )  # fmt: skip
    assert isinstance(row, Rationale)
    assert row.level == "medium"
    assert "Begin with one line" not in chat.asked[1][0].text


@pytest.mark.parametrize(
    ("reply", "level", "text"),
    [
        ("Difficulty: easy\nAnalysis", "easy", "Analysis"),
        ("\n## Difficulty: **Hard**\n\n# Analysis", "hard", "# Analysis"),
        ("difficulty - medium (two ideas)\nx", "medium", "x"),
        ("Difficulty: easy", "easy", ""),
        ("The difficulty: easy\nx", None, "The difficulty: easy\nx"),
        ("Difficulty: impossible\nx", None, "Difficulty: impossible\nx"),
    ],
)
def test_the_first_line_names_the_level(reply: str, level: str | None, text: str) -> None:
    assert split_level(reply) == (level, text)


@pytest.mark.parametrize("prompt", ["nano", "default"])
def test_a_prompt_that_judges_nothing_is_no_single_prompt(prompt: str) -> None:
    with pytest.raises(ValueError, match=r"has to ask for the level.*rewrite.prompt = 'instruct'"):
        RewriteConfig(variant="single_prompt", prompt=prompt)


def test_two_steps_need_the_first() -> None:
    stages = 'stages=["generate", "rewrite"]'
    with pytest.raises(RecipeError, match=r"'two_step' rewrites by the level .* 'single_prompt'$"):
        load_recipe("nano", overrides=[stages])
    single = ["rewrite.variant=single_prompt", "rewrite.prompt=instruct"]
    assert load_recipe("nano", overrides=[stages, *single]).rewrite.variant == "single_prompt"


def test_one_level_may_be_for_all_problems() -> None:
    row, _ = run(GOOD, "valid", level="easy", record={"level": "hard"})
    assert isinstance(row, Rationale)
    assert row.level == "easy"
    with pytest.raises(ValueError, match="the teacher judges it"):
        RewriteConfig(level="easy", variant="single_prompt")
