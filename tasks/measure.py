"""Perplexity of the training examples under the student as it is before training.

A stage that a recipe may have (`stages`: behind `mix`): what a student finds in its examples is a
feature that its accuracy is forecast from (MACC, METHODS 2.4). One request an example, of a sample
that is bounded and the same every time: the first by id, and ids are hashes.

Invariant: the completion is read as it will be learnt, the whole of it; `<compress>` is left out of
the prompt, for the student has yet to learn what it means.

A sample row: Perplexity(example_id="ab12", condition="compressed", num_tokens=96, perplexity=2.31)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from tasks.costs import CostBook, Expectation, ExpectedUsage
from tasks.ports import Ports, Prompt, ScoreRequest
from tasks.schemas import Perplexity
from tasks.scorers.scorer import mean_nll, perplexity
from tasks.stage import Record, Stage, StageConfig


class MeasureConfig(StageConfig):
    """How many examples are read. The prompt is the example's own."""

    num_examples: int = Field(default=256, ge=1, description="examples read, of each condition")


@dataclass(frozen=True, kw_only=True)
class MeasureRecord(Record):
    prompt: str
    completion: str
    condition: str


async def measure(
    record: MeasureRecord, ports: Ports, config: MeasureConfig
) -> Sequence[Perplexity]:
    """One Perplexity row an example."""
    student = ports.scoring["student"]
    request = ScoreRequest(prompt=Prompt(text=record.prompt), targets=(record.completion,))
    (read,) = await student.score(request)
    return [
        Perplexity(
            example_id=record.record_id,
            problem_id=record.problem_id,
            condition=record.condition,
            student=student.name,
            num_tokens=len(read.logprobs),
            perplexity=perplexity(mean_nll(read)),
        )
    ]


def _records(book: CostBook, config: MeasureConfig) -> float:
    return min(book.examples(), 2.0 * config.num_examples)


def _usage(book: CostBook, config: MeasureConfig) -> ExpectedUsage:
    return ExpectedUsage(requests=1, prompt_tokens=book.training_data()[1])


STAGE = Stage(
    name="measure",
    reads="measure",
    writes=Perplexity,
    record=MeasureRecord,
    config=MeasureConfig,
    step=measure,
    roles=("student",),
    upstream=("mix",),
    is_global=True,
    expects=Expectation(records=_records, usage=_usage),
)
