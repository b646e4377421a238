"""Long rationales: the teacher samples several full chains for every problem (LiteCoT 1, MoRSD 1).

Invariant: one request a problem; its candidates share the prompt, each has its own seed, and every
one becomes a row whatever its verdict. Truncated output is an outcome, not an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from tasks.costs import CostBook, Expectation, ExpectedUsage
from tasks.ports import Ports, Sampling
from tasks.prompts.values import QUESTION, StepPrompt
from tasks.schemas import Rationale
from tasks.stage import Record, Stage, StageConfig, derive_seed
from tasks.verify import grade_completion

PROMPT = StepPrompt(step="generate", values=(QUESTION,))


class GenerateConfig(StageConfig):
    """Sampling of the long chains. Temperature, top-p: the LiteCoT repository's values."""

    num_candidates: int = Field(default=4, ge=1, le=1024, description="chains asked for a problem")
    temperature: float = Field(
        default=0.6, ge=0, description="of sampling; 0: always the likeliest token"
    )
    top_p: float = Field(
        default=0.95, gt=0, le=1, description="share of probability that is sampled from"
    )
    max_tokens: int = Field(
        default=32_768, ge=1, description="limit of a chain; what reaches it is cut off"
    )


@dataclass(frozen=True, kw_only=True)
class GenerateRecord(Record):
    question: str
    answer: str
    answer_type: str


async def generate(
    record: GenerateRecord, ports: Ports, config: GenerateConfig
) -> Sequence[Rationale]:
    """One Rationale (kind "long") a candidate; usage of the shared prompt is on candidate 0."""
    teacher = ports.chat["teacher"]
    prompt = ports.prompts.render("generate", question=record.question)
    sampling = Sampling(
        temperature=config.temperature,
        top_p=config.top_p,
        max_tokens=config.max_tokens,
        num_candidates=config.num_candidates,
        seed=derive_seed(ports.seed, "generate", record.problem_id),
    )
    rows = []
    for number, completion in enumerate(await teacher.complete(prompt, sampling)):
        grade = await grade_completion(completion, record, ports)
        rows.append(
            Rationale(
                problem_id=record.problem_id,
                kind="long",
                candidate=number,
                model=teacher.name,
                engine=teacher.engine,
                text=completion.text,
                num_tokens=ports.tokens.count(completion.text),
                verdict=grade.verdict,
                extracted_answer=grade.extracted_answer,
                stated_as=grade.stated_as,
                finish_reason=completion.finish_reason,
                prompt_sha=prompt.sha,
                num_requests=int(number == 0),
                prompt_tokens=completion.prompt_tokens if number == 0 else 0,
                completion_tokens=completion.completion_tokens,
                latency_s=completion.latency_s if number == 0 else 0.0,
            )
        )
    return rows


def _usage(book: CostBook, config: GenerateConfig) -> ExpectedUsage:
    return ExpectedUsage(
        requests=1,
        prompt_tokens=book.question + book.template("generate", config.prompt),
        completion_tokens=config.num_candidates * book.length("long"),
    )


STAGE = Stage(
    name="generate",
    reads="generate",
    writes=Rationale,
    record=GenerateRecord,
    config=GenerateConfig,
    step=generate,
    roles=("teacher",),
    prompts=(PROMPT,),
    makes=("long",),
    grades=True,
    title="long chain {candidate}",
    expects=Expectation(
        records=lambda book, config: book.num_problems,
        usage=_usage,
        chains=lambda book, config: book.num_problems * config.num_candidates * book.share_correct,
        length=lambda book, config: min(book.assume("long_tokens"), config.max_tokens),
    ),
)
