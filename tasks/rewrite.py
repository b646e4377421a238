"""DAP: the teacher rewrites a correct long chain by the template of its level, then verifies it.

Invariant: a rewrite whose answer is not the gold one, or that the teacher rejects, is tried again
up to `max_attempts` times, then rejected with its reason; it never enters the corpus (LiteCoT 3-4).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from tasks.ports import Completion, Grade, Ports, Prompt, Sampling
from tasks.schemas import Rationale, Rejection
from tasks.stage import Record, Stage, StageConfig, derive_seed, usage_of
from tasks.structured import choice_schema, read_choice
from tasks.verify import grade_completion


class RewriteConfig(StageConfig):
    """Template by level and its checks. `max_tokens_easy`: 300 in the brief."""

    temperature: float = Field(default=0.6, ge=0)
    top_p: float = Field(default=0.95, gt=0, le=1)
    max_tokens: int = Field(default=8192, ge=1)
    max_tokens_easy: int = Field(default=300, ge=1, description="an easy rewrite may be no longer")
    max_attempts: int = Field(default=3, ge=1)
    teacher_check: bool = True
    max_tokens_check: int = Field(default=1024, ge=1)
    structured_check: bool = False
    """Hold the teacher's check to a JSON schema (engines vllm and endpoint). Off by default: a
    reasoning model has to be free to think before it answers, and a schema starts at once."""


@dataclass(frozen=True, kw_only=True)
class RewriteRecord(Record):
    question: str
    answer: str
    answer_type: str
    level: str
    parent_id: str | None  # None: no candidate was correct
    parent_text: str | None


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One rewrite with its verdicts; `fault` None means it is accepted."""

    completion: Completion
    prompt: Prompt
    grade: Grade
    fault: str | None


VERDICTS = ("valid", "invalid")
_VALID = re.compile(r"\b(invalid|valid)\b", re.I)


def is_accepted(reply: str) -> bool:
    """What a structured reply says, else the last of valid / invalid; neither is invalid."""
    chosen = read_choice(reply, "verdict", VERDICTS)
    found = [chosen] if chosen else _VALID.findall(reply)
    return bool(found) and found[-1].lower() == "valid"


def fault_of(
    grade: Grade, num_tokens: int, record: RewriteRecord, config: RewriteConfig
) -> str | None:
    """Why a rewrite cannot be used, before the teacher is asked."""
    if grade.verdict == "truncated":
        return "truncated"
    if grade.verdict != "correct":
        return "answer_changed"
    if record.level == "easy" and num_tokens > config.max_tokens_easy:
        return "too_long_for_easy"
    return None


async def _teacher_rejects(
    text: str, *, record: RewriteRecord, ports: Ports, config: RewriteConfig, seed: int
) -> tuple[bool, list[Completion]]:
    prompt = ports.prompts.render("verify", question=record.question, rationale=text)
    schema = choice_schema("verdict", VERDICTS) if config.structured_check else None
    sampling = Sampling(max_tokens=config.max_tokens_check, seed=seed, json_schema=schema)
    reply = await ports.chat["teacher"].complete(prompt, sampling)
    return not is_accepted(reply[0].text), reply


async def _attempt(
    number: int,
    feedback: str,
    *,
    record: RewriteRecord,
    ports: Ports,
    config: RewriteConfig,
    paid: list[list[Completion]],
) -> Attempt:
    seed = derive_seed(ports.seed, "rewrite", record.parent_id, number)
    prompt = ports.prompts.render(
        "rewrite",
        question=record.question,
        rationale=record.parent_text or "",
        level=record.level,
        feedback=feedback,
    )
    sampling = Sampling(
        temperature=config.temperature, top_p=config.top_p, max_tokens=config.max_tokens, seed=seed
    )
    reply = await ports.chat["teacher"].complete(prompt, sampling)
    paid.append(reply)
    grade = await grade_completion(reply[0], record, ports)
    cut_off = reply[0].finish_reason == "length"  # even behind a right answer: not a whole text
    num_tokens = ports.tokens.count(reply[0].text)
    fault = "truncated" if cut_off else fault_of(grade, num_tokens, record, config)
    if fault is None and config.teacher_check:
        rejects, check = await _teacher_rejects(
            reply[0].text, record=record, ports=ports, config=config, seed=seed
        )
        paid.append(check)
        fault = "teacher_rejected" if rejects else None
    return Attempt(completion=reply[0], prompt=prompt, grade=grade, fault=fault)


async def rewrite(
    record: RewriteRecord, ports: Ports, config: RewriteConfig
) -> Sequence[Rationale | Rejection]:
    """One Rationale (kind "rewritten"), or one Rejection naming the last attempt's fault."""
    if record.parent_id is None:
        return [_rejected(record, "no_correct_candidate", "no long chain reached the gold answer")]
    paid: list[list[Completion]] = []
    fault = ""
    for number in range(config.max_attempts):
        attempt = await _attempt(
            number, fault, record=record, ports=ports, config=config, paid=paid
        )
        if attempt.fault is None:
            return [_accepted(attempt, record, ports, paid)]
        fault = attempt.fault
    detail = (
        f"{config.max_attempts} attempts failed; last answer {attempt.grade.extracted_answer!r}"
    )
    return [_rejected(record, fault, detail, model=ports.chat["teacher"].name, paid=paid)]


def _accepted(
    attempt: Attempt, record: RewriteRecord, ports: Ports, paid: list[list[Completion]]
) -> Rationale:
    teacher = ports.chat["teacher"]
    text = attempt.completion.text
    return Rationale(
        problem_id=record.problem_id,
        parent_id=record.parent_id,
        kind="rewritten",
        level=record.level,
        model=teacher.name,
        engine=teacher.engine,
        text=text,
        num_tokens=ports.tokens.count(text),
        verdict=attempt.grade.verdict,
        extracted_answer=attempt.grade.extracted_answer,
        finish_reason=attempt.completion.finish_reason,
        prompt_sha=attempt.prompt.sha,
        **usage_of(paid),
    )


def _rejected(
    record: RewriteRecord,
    reason: str,
    detail: str,
    *,
    model: str | None = None,
    paid: Sequence[Sequence[Completion]] = (),
) -> Rejection:
    return Rejection(
        record_id=record.record_id,
        problem_id=record.problem_id,
        stage="rewrite",
        reason=reason,
        detail=detail,
        model=model,
        **usage_of(paid),
    )


STAGE = Stage(
    name="rewrite",
    reads="rewrite",
    writes=Rationale,
    record=RewriteRecord,
    config=RewriteConfig,
    step=rewrite,
    roles=("teacher",),
    prompts=("rewrite", "verify"),
    upstream=("generate", "verify", "difficulty"),
)
