"""MACC: a compressor refines a chain round by round until its length rebounds (METHODS 2.2).

Each sample runs its own loop, so depth is chosen per sample and nobody waits for a batch.
Invariant: the kept round is the shortest before the first rebound, its answer is the gold one, and
every round is a stored row; the last one carries the reason the loop ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from tasks.ports import Completion, Grade, Ports, Prompt, Sampling
from tasks.schemas import Rationale
from tasks.stage import Record, Stage, StageConfig, derive_seed
from tasks.verify import grade_completion

StopReason = Literal["rebound", "answer_changed", "truncated", "min_reduction", "max_rounds"]


class CompressConfig(StageConfig):
    """Bounds of the loop. `min_reduction` and `max_rounds` are guards of ours (METHODS 2.2)."""

    source: Literal["long", "rewritten"] = "rewritten"
    temperature: float = Field(default=0.0, ge=0)
    max_tokens: int = Field(default=8192, ge=1)
    max_rounds: int = Field(default=8, ge=1)
    min_reduction: float = Field(default=0.01, ge=0, lt=1, description="share of tokens a round")


@dataclass(frozen=True, kw_only=True)
class CompressRecord(Record):
    question: str
    answer: str
    answer_type: str
    level: str | None
    candidate: int
    text: str
    num_tokens: int


@dataclass(frozen=True, kw_only=True)
class Round:
    """One reply of the compressor; `stop` None means the loop goes on."""

    number: int
    completion: Completion
    prompt: Prompt
    grade: Grade
    num_tokens: int
    stop: StopReason | None


def stop_reason(
    *, number: int, before: int, after: int, verdict: str, config: CompressConfig
) -> StopReason | None:
    """Why the loop ends after round `number`, whose length went `before` -> `after` tokens."""
    if verdict == "truncated":
        return "truncated"
    if verdict != "correct":
        return "answer_changed"
    if after > before:
        return "rebound"
    if before - after < max(1.0, config.min_reduction * before):
        return "min_reduction"
    return "max_rounds" if number >= config.max_rounds else None


def chosen_round(lengths: Sequence[int], stop: StopReason | None) -> int | None:
    """The kept round, from 1; `lengths[0]` is the chain itself, the rest its rounds in order.

    None when no round is right and shorter: the chain is already minimal for this compressor.
    """
    is_last_usable = stop in (None, "max_rounds", "min_reduction")
    usable = len(lengths) if is_last_usable else len(lengths) - 1
    best = min(range(usable), key=lambda number: (lengths[number], number))
    return best or None


async def _run_round(
    number: int, text: str, *, before: int, record: CompressRecord, ports: Ports,
    config: CompressConfig,
) -> Round:  # fmt: skip
    prompt = ports.prompts.render("compress", question=record.question, rationale=text)
    sampling = Sampling(
        temperature=config.temperature,
        max_tokens=config.max_tokens,
        seed=derive_seed(ports.seed, "compress", record.record_id, number),
    )
    (completion,) = await ports.chat["compressor"].complete(prompt, sampling)
    grade = await grade_completion(completion, record, ports)
    after = ports.tokens.count(completion.text)
    verdict = "truncated" if completion.finish_reason == "length" else grade.verdict
    stop = stop_reason(number=number, before=before, after=after, verdict=verdict, config=config)
    return Round(
        number=number,
        completion=completion,
        prompt=prompt,
        grade=grade,
        num_tokens=after,
        stop=stop,
    )


async def compress(
    record: CompressRecord, ports: Ports, config: CompressConfig
) -> Sequence[Rationale]:
    """One Rationale (kind "compressed") a round, the rebound included; at most one is `chosen`."""
    rounds: list[Round] = []
    text, length = record.text, record.num_tokens
    while not rounds or rounds[-1].stop is None:
        current = await _run_round(
            len(rounds) + 1, text, before=length, record=record, ports=ports, config=config
        )
        rounds.append(current)
        text, length = current.completion.text, current.num_tokens
    lengths = [record.num_tokens, *(r.num_tokens for r in rounds)]
    kept = chosen_round(lengths, rounds[-1].stop)
    return [_row(r, record, ports, chosen=r.number == kept) for r in rounds]


def _row(current: Round, record: CompressRecord, ports: Ports, *, chosen: bool) -> Rationale:
    compressor = ports.chat["compressor"]
    return Rationale(
        problem_id=record.problem_id,
        parent_id=record.record_id,
        kind="compressed",
        candidate=record.candidate,
        round=current.number,
        level=record.level,
        model=compressor.name,
        engine=compressor.engine,
        text=current.completion.text,
        num_tokens=current.num_tokens,
        verdict=current.grade.verdict,
        extracted_answer=current.grade.extracted_answer,
        chosen=chosen,
        stop_reason=current.stop,
        finish_reason=current.completion.finish_reason,
        prompt_sha=current.prompt.sha,
        num_requests=1,
        prompt_tokens=current.completion.prompt_tokens,
        completion_tokens=current.completion.completion_tokens,
        latency_s=current.completion.latency_s,
    )


STAGE = Stage(
    name="compress",
    reads="compress",
    writes=Rationale,
    record=CompressRecord,
    config=CompressConfig,
    step=compress,
    roles=("compressor",),
    prompts=("compress",),
    upstream=("generate", "verify", "difficulty", "rewrite"),
)
