"""Evaluation: every sample is a row, the control token is asked for and never written out."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tasks.evaluate import BASE, TRAINED, EvaluateConfig, EvaluateRecord, evaluate
from tests.fakes import AnswerGrader, ScriptedChat, completion, ports


def record(**fields: Any) -> EvaluateRecord:
    known: dict[str, Any] = {
        "record_id": "p:false:0", "problem_id": "p", "question": "2 + 2 = ?", "answer": "4",
        "answer_type": "integer", "source": "sums", "compress": False, "sample": 0,
    }  # fmt: skip
    return EvaluateRecord(**{**known, **fields})


@pytest.mark.parametrize("compress", [False, True])
def test_compress_reaches_the_encoder_and_not_the_text(compress: bool) -> None:
    chat = ScriptedChat(["answer 4"], name="student-1")
    one = record(compress=compress)
    (row,) = asyncio.run(
        evaluate(one, ports(chat={"student": chat}), EvaluateConfig(), role="trained")
    )
    ((prompt, _),) = chat.asked
    assert prompt.compress is compress
    assert "<compress>" not in prompt.text
    assert (row.compress, row.role, row.model_id) == (compress, "trained", "student-1")
    assert (row.benchmark, row.verdict, row.extracted_answer) == ("sums", "correct", "4")


def test_truncated_output_is_stored_and_counted() -> None:
    chat = ScriptedChat([completion("on and on", finish_reason="length", latency_s=3.0)])
    (row,) = asyncio.run(
        evaluate(record(), ports(chat={"student": chat}), EvaluateConfig(), role="base")
    )
    assert (row.verdict, row.finish_reason, row.num_tokens) == ("truncated", "length", 3)
    assert (row.num_requests, row.prompt_tokens, row.latency_s) == (1, 10, 3.0)


def test_how_the_answer_was_found_is_told() -> None:
    asked = ports(
        chat={"student": ScriptedChat(["So \\boxed{4}.", "2 + 2 = 4"])}, grader=AnswerGrader()
    )
    found = [
        asyncio.run(evaluate(record(), asked, EvaluateConfig(), role="base"))[0] for _ in range(2)
    ]
    assert [(row.verdict, row.stated_as) for row in found] == [
        ("correct", "box"), ("correct", "closing_line")
    ]  # fmt: skip


def test_samples_of_a_problem_differ_in_seed_and_id() -> None:
    chat = ScriptedChat(["answer 4", "answer 5"])
    rows = []
    for sample in (0, 1):
        one = record(record_id=f"p:false:{sample}", sample=sample)
        ports_ = ports(chat={"student": chat})
        rows += asyncio.run(evaluate(one, ports_, EvaluateConfig(), role="base"))
    assert chat.asked[0][1].seed != chat.asked[1][1].seed
    assert len({row.content_id("fp") for row in rows}) == 2


def test_only_the_trained_student_depends_on_training() -> None:
    assert {stage.name: stage.upstream for stage in (BASE, TRAINED)} == {
        "evaluate-base": (),
        "evaluate-trained": ("train",),
    }


def test_the_stage_evaluates_in_its_role() -> None:
    chat = ScriptedChat(["answer 4"])
    stage = BASE
    (row,) = asyncio.run(stage.step(record(), ports(chat={"student": chat}), EvaluateConfig()))
    assert getattr(row, "role", None) == "base"
