"""Training examples: original and compressed chains in one mixture (MACC 3).

The compressed ones are asked for by the control token `<compress>`, which the encoder adds; the
stored prompt never contains it. Invariant: one example a kept selection, or a rejection: whoever
selected it, a chain that was cut off is not taught.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from tasks.generate import PROMPT
from tasks.ports import Ports
from tasks.schemas import Example, Rejection
from tasks.stage import Record, Stage, StageConfig


class MixConfig(StageConfig):
    """`prompt` is the variant of the generation prompt the student is trained on."""

    mark_compressed: bool = Field(
        default=True, description="false: compressed chains are asked for as all others, a control"
    )


@dataclass(frozen=True, kw_only=True)
class MixRecord(Record):
    rationale_id: str
    question: str
    condition: str
    text: str
    incomplete: str | None = None  # why the chain is no whole one


async def mix(record: MixRecord, ports: Ports, config: MixConfig) -> Sequence[Example | Rejection]:
    """One Example, or the Rejection of a chain that is no whole one."""
    if record.incomplete:
        return [
            Rejection(
                record_id=record.record_id,
                problem_id=record.problem_id,
                stage="mix",
                reason=record.incomplete,
                detail=f"chain {record.rationale_id} is no whole one: it would teach to break off",
            )
        ]
    prompt = ports.prompts.render("generate", question=record.question)
    return [
        Example(
            rationale_id=record.rationale_id,
            problem_id=record.problem_id,
            condition=record.condition if config.mark_compressed else "original",
            prompt=prompt.text,
            completion=record.text,
            num_tokens=ports.tokens.count(record.text),
        )
    ]


STAGE = Stage(
    name="mix",
    reads="mix",
    writes=Example,
    record=MixRecord,
    config=MixConfig,
    step=mix,
    prompts=(PROMPT,),
    upstream=("select",),
    is_global=True,
)
