"""Evaluation on held-out problems: accuracy and tokens, with and without `<compress>`.

Invariant: a problem that was trained on is never evaluated on (ingest keeps the splits apart and
sql/checks proves it). pass@1 is the mean over samples; every sample is a row.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from pydantic import Field

from tasks.costs import CostBook, Expectation, ExpectedUsage
from tasks.generate import PROMPT
from tasks.ports import Ports, Prompt, Sampling
from tasks.schemas import Evaluation
from tasks.stage import Record, Stage, StageConfig, derive_seed, usage_of
from tasks.verify import grade_completion

Evaluated = Literal["base", "trained"]
Asked = Literal["both", "plain", "compress"]


class EvaluateConfig(StageConfig):
    """Sampling of the evaluation: LiteCoT repository's values (METHODS 1.7)."""

    problems: tuple[str, ...] = Field(
        default=(),
        description="sets of held-out problems: benchmarks, files, hub ids; never trained on",
    )
    limit: int | None = Field(default=None, ge=1, description="only the first of them; unset: all")
    models: tuple[Evaluated, ...] = Field(
        default=("base", "trained"), description="who is asked: the base, the trained student"
    )
    num_samples: int = Field(default=1, ge=1, description="answers a problem and prompt")
    compress: Asked = Field(
        default="both", description="both | plain | compress: prompts without and with <compress>"
    )
    name: str | None = Field(
        default=None, description="the base's name in rows; unset: its own, of a folder with a hash"
    )
    temperature: float = Field(default=0.6, ge=0, description="of sampling; 0 is greedy")
    top_p: float = Field(default=0.95, gt=0, le=1, description="nucleus of sampling")
    max_tokens: int = Field(
        default=32_768, ge=1, description="tokens of an answer; more and it is cut off"
    )

    def which_records(self) -> tuple[str, ...]:
        """More samples, or another benchmark, leave the answers that are there what they are."""
        return ("problems", "limit", "models", "num_samples", "compress")

    def wants(self, stage: str, tables: Collection[str]) -> bool:
        """The models listed; a trained one only where the recipe trains it."""
        role = ROLES[stage]
        return role in self.models and (role == "base" or "train" in tables)


@dataclass(frozen=True, kw_only=True)
class EvaluateRecord(Record):
    question: str
    answer: str
    answer_type: str
    source: str
    family: str | None = None
    compress: bool
    sample: int


async def evaluate(
    record: EvaluateRecord, ports: Ports, config: EvaluateConfig, *, role: Evaluated
) -> Sequence[Evaluation]:
    """One Evaluation row a (problem, compress, sample) of the model in the role `student`."""
    student = ports.chat["student"]
    prompt = ports.prompts.render("generate", question=record.question, compress=record.compress)
    sampling = Sampling(
        temperature=config.temperature,
        top_p=config.top_p,
        max_tokens=config.max_tokens,
        seed=derive_seed(ports.seed, "evaluate", record.record_id),
    )
    (completion,) = reply = await student.complete(prompt, sampling)
    grade = await grade_completion(completion, record, ports)
    return [
        Evaluation(
            model_id=student.name,
            role=role,
            benchmark=record.source,
            problem_id=record.problem_id,
            sample=record.sample,
            compress=record.compress,
            text=completion.text,
            num_tokens=completion.completion_tokens,
            verdict=grade.verdict,
            extracted_answer=grade.extracted_answer,
            stated_as=grade.stated_as,
            finish_reason=completion.finish_reason,
            family=record.family,
            settings=_settings(prompt, sampling),
            **usage_of([reply]),
        )
    ]


def _settings(prompt: Prompt, sampling: Sampling) -> str:
    """What two models have to share for their answers to be compared; the seed is not of it."""
    asked = asdict(sampling) | {"prompt": prompt.sha}
    names = ("max_tokens", "prompt", "temperature", "top_p")
    return json.dumps({name: asked[name] for name in names})


def evaluation_stage(role: Evaluated) -> Stage[EvaluateRecord, EvaluateConfig]:
    """The stage that evaluates the base or the trained student."""

    async def step(
        record: EvaluateRecord, ports: Ports, config: EvaluateConfig
    ) -> Sequence[Evaluation]:
        return await evaluate(record, ports, config, role=role)

    def usage(book: CostBook, config: EvaluateConfig) -> ExpectedUsage:
        return ExpectedUsage(
            requests=1,
            prompt_tokens=book.question + book.template("generate", config.prompt),
            completion_tokens=min(book.assume(f"{role}_eval_tokens"), config.max_tokens),
        )

    return Stage(
        name=f"evaluate-{role}",
        table="evaluate",
        reads="evaluate",
        writes=Evaluation,
        record=EvaluateRecord,
        config=EvaluateConfig,
        step=step,
        roles=("student",),
        prompts=(PROMPT,),
        upstream=("train",) if role == "trained" else (),
        is_global=True,
        phase="evaluation",
        grades=True,
        asks_trained=role == "trained",
        expects=Expectation(records=_records, usage=usage),
    )


def _records(book: CostBook, config: EvaluateConfig) -> float:
    held_out = min(book.num_held_out, config.limit or book.num_held_out)
    return held_out * (2 if config.compress == "both" else 1) * config.num_samples


BASE, TRAINED = evaluation_stage("base"), evaluation_stage("trained")
ROLES: dict[str, Evaluated] = {BASE.name: "base", TRAINED.name: "trained"}
