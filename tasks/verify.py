"""Verdicts: does a text's last stated answer equal the gold one (MoRSD's accuracy filter).

Every step that makes text asks here; the stage `verify` does it for imported rationales.
Invariant: a verdict is stored beside the answer that was read, so a disagreement can be looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tasks.costs import Expectation, ExpectedUsage
from tasks.ports import Completion, Grade, Ports
from tasks.schemas import Rationale
from tasks.stage import Record, Stage, StageConfig


class HasGold(Protocol):
    """A record that knows its gold answer."""

    @property
    def answer(self) -> str: ...

    @property
    def answer_type(self) -> str: ...


async def grade_completion(completion: Completion, record: HasGold, ports: Ports) -> Grade:
    """Grade what a model wrote; a cut-off text without a stated answer is `truncated`."""
    return await ports.grader.grade(
        completion.text,
        answer=record.answer,
        answer_type=record.answer_type,
        truncated=completion.finish_reason != "stop",  # by a filter, or for a reason nobody knows
    )


class VerifyConfig(StageConfig):
    """No settings yet; the answer types are those of METHODS section 5."""


@dataclass(frozen=True, kw_only=True)
class VerifyRecord(Record):
    answer: str
    answer_type: str
    candidate: int
    text: str
    model: str | None
    recorded_correct: bool | None
    finish_reason: str | None = None  # None: the source does not say that it was cut off


async def verify(record: VerifyRecord, ports: Ports, config: VerifyConfig) -> Sequence[Rationale]:
    """One Rationale (kind "long") an imported candidate; its finish_reason is "imported" where the
    source does not say that it was cut off."""
    grade = await ports.grader.grade(
        record.text,
        answer=record.answer,
        answer_type=record.answer_type,
        truncated=record.finish_reason is not None,
    )
    return [
        Rationale(
            problem_id=record.problem_id,
            candidate_id=record.record_id,
            kind="long",
            candidate=record.candidate,
            model=record.model or "brought",
            engine="imported",
            text=record.text,
            num_tokens=ports.tokens.count(record.text),
            verdict=grade.verdict,
            extracted_answer=grade.extracted_answer,
            stated_as=grade.stated_as,
            recorded_correct=record.recorded_correct,
            finish_reason=record.finish_reason or "imported",
        )
    ]


STAGE = Stage(
    name="verify",
    reads="verify",
    writes=Rationale,
    record=VerifyRecord,
    config=VerifyConfig,
    step=verify,
    revision=2,  # answers are compared as mathematics, a thought states none
    makes=("long",),
    grades=True,
    title="long chain {candidate}",
    expects=Expectation(
        records=lambda book, config: book.num_problems * book.num_candidates,
        usage=lambda book, config: ExpectedUsage(),
        chains=lambda book, config: book.num_problems * book.num_candidates * book.share_correct,
        length=lambda book, config: book.imported_length() or book.assume("long_tokens"),
    ),
)
