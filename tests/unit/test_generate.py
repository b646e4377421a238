"""Long chains: one request a problem, a row a candidate, usage counted once."""

from __future__ import annotations

import asyncio

import pytest

from tasks.generate import GenerateConfig, GenerateRecord, generate
from tasks.ports import Grader
from tasks.schemas import Rationale
from tests.fakes import AnswerGrader, ScriptedChat, completion, ports


def record(problem_id: str = "p") -> GenerateRecord:
    return GenerateRecord(
        record_id=problem_id, problem_id=problem_id, question="2 + 2 = ?", answer="4",
        answer_type="integer",
    )  # fmt: skip


def run(
    chat: ScriptedChat,
    *,
    seed: int = 7,
    problem_id: str = "p",
    grader: Grader | None = None,
    **settings: object,
) -> list[Rationale]:
    config = GenerateConfig.model_validate(settings)
    ports_ = ports(chat={"teacher": chat}, seed=seed, grader=grader)
    return list(asyncio.run(generate(record(problem_id), ports_, config)))


THREE = (
    completion("answer 4", prompt_tokens=30, latency_s=2.0),
    completion("so answer 5", prompt_tokens=30, latency_s=1.5),
    completion("cut", finish_reason="length", prompt_tokens=30, latency_s=1.9),
)


def test_candidates_share_one_request() -> None:
    chat = ScriptedChat(THREE)
    rows = run(chat, num_candidates=3, temperature=0.8, top_p=0.9, max_tokens=99)
    ((prompt, sampling),) = chat.asked
    assert "2 + 2 = ?" in prompt.text
    assert sampling.num_candidates == 3
    assert (sampling.temperature, sampling.top_p, sampling.max_tokens) == (0.8, 0.9, 99)
    assert [row.candidate for row in rows] == [0, 1, 2]


def test_every_candidate_is_a_row_whatever_its_verdict() -> None:
    rows = run(ScriptedChat(THREE), num_candidates=3)
    assert [row.verdict for row in rows] == ["correct", "wrong", "truncated"]
    assert [row.extracted_answer for row in rows] == ["4", "5", None]
    assert [row.finish_reason for row in rows] == ["stop", "stop", "length"]
    assert {row.kind for row in rows} == {"long"}
    assert len({row.content_id("fp") for row in rows}) == 3


@pytest.mark.parametrize("reason", ["length", "content_filter", "a_word_nobody_knows"])
def test_what_a_text_says_where_it_was_broken_off_is_not_its_answer(reason: str) -> None:
    """2 + 2 = 4 may go on: it is read as an answer where the text ended by itself only."""
    texts = [("2 + 2 = 4", reason), ("2 + 2 = 4", "stop"), ("The answer is 4. Now", reason)]
    chat = ScriptedChat([completion(text, finish_reason=why) for text, why in texts])
    found = run(chat, num_candidates=3, grader=AnswerGrader())
    assert [(row.verdict, row.stated_as, row.finish_reason) for row in found] == [
        ("truncated", None, reason), ("correct", "closing_line", "stop"),
        ("correct", "phrase", reason),
    ]  # fmt: skip


def test_the_shared_prompt_is_paid_for_on_candidate_0() -> None:
    rows = run(ScriptedChat(THREE), num_candidates=3)
    assert [row.num_requests for row in rows] == [1, 0, 0]
    assert [row.prompt_tokens for row in rows] == [30, 0, 0]
    assert [row.completion_tokens for row in rows] == [2, 3, 1]
    assert [row.latency_s for row in rows] == [2.0, 0.0, 0.0]


def test_the_seed_depends_on_the_run_and_the_problem_alone() -> None:
    def seed_of(seed: int, problem_id: str) -> int:
        chat = ScriptedChat(["answer 4"])
        run(chat, seed=seed, problem_id=problem_id, num_candidates=1)
        return chat.asked[0][1].seed

    assert seed_of(1, "p") == seed_of(1, "p")
    assert len({seed_of(1, "p"), seed_of(2, "p"), seed_of(1, "q")}) == 3
