"""Difficulty without human labels: the teacher's verdict and three measured signals (LiteCoT 1.2).

Measured signals, each 0..1: problem type (share of wrong candidates in the subject), step
complexity of the rationale, historical error rate of the problem (this run's candidates and
earlier runs').
Invariant: every component is stored beside the level it led to.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from pydantic import Field, model_validator

from tasks.ports import Completion, Ports, Sampling
from tasks.schemas import Difficulty
from tasks.stage import Level, Record, Stage, StageConfig, derive_seed, usage_of
from tasks.structured import choice_schema, read_choice

TEACHER_SCORE: dict[Level, float] = {"easy": 0.0, "medium": 0.5, "hard": 1.0}
LEVELS = tuple(TEACHER_SCORE)


class DifficultyConfig(StageConfig):
    """How the signals are weighed. Weights and thresholds are our choice (METHODS 1.2)."""

    signal: Literal["teacher", "measured", "blended"] = "blended"
    teacher_weight: float = Field(default=0.5, ge=0, le=1)
    type_weight: float = Field(default=0.2, ge=0)
    step_weight: float = Field(default=0.4, ge=0)
    error_weight: float = Field(default=0.4, ge=0)
    num_steps_hard: int = Field(default=20, ge=1, description="steps that count as fully complex")
    medium_from: float = Field(default=1 / 3, ge=0, le=1)
    hard_from: float = Field(default=2 / 3, ge=0, le=1)
    max_tokens: int = Field(default=512, ge=1)
    structured: bool = False
    """Hold the teacher's verdict to a JSON schema (engines vllm and endpoint). Off by default: a
    reasoning model has to be free to think before it answers, and a schema starts at once."""

    @model_validator(mode="after")
    def _check(self) -> DifficultyConfig:
        if self.type_weight + self.step_weight + self.error_weight <= 0:
            raise ValueError("one of type_weight, step_weight, error_weight must be above 0")
        if self.medium_from > self.hard_from:
            raise ValueError("medium_from must not be above hard_from")
        return self


@dataclass(frozen=True, kw_only=True)
class DifficultyRecord(Record):
    question: str
    rationale: str | None  # a correct long chain if there is one, else any
    num_wrong: int
    num_graded: int
    subject_error_rate: float


_STEP = re.compile(
    r"^\s{0,8}(?:#?\d{1,3}(?:[):]|\.(?!\d))|step\s{1,3}\d{1,3}\b|[-*]\s)", re.I | re.M
)
_SENTENCE = re.compile(r"[.!?](?:\s|$)")
_LEVEL = re.compile(r"\b(easy|medium|hard)\b", re.I)


def count_steps(rationale: str) -> int:
    """Distinct numbered or bulleted steps; where there are none, sentences."""
    steps = {match.strip().lower() for match in _STEP.findall(rationale)}
    bullets = len(_STEP.findall(rationale)) if steps & {"-", "*"} else 0
    return max(len(steps), bullets) or len(_SENTENCE.findall(rationale))


def read_level(text: str) -> Level | None:
    """What a structured reply says, else the last of easy / medium / hard in it, or None."""
    chosen = read_choice(text, "level", LEVELS)
    found = [chosen] if chosen else _LEVEL.findall(text)
    return cast(Level, found[-1].lower()) if found else None


def measured_score(
    *, type_score: float, step_score: float, error_rate: float, config: DifficultyConfig
) -> float:
    """Weighted mean of the three signals, 0..1."""
    weights = (config.type_weight, config.step_weight, config.error_weight)
    signals = (type_score, step_score, error_rate)
    return sum(w * s for w, s in zip(weights, signals, strict=True)) / sum(weights)


def blend(measured: float, teacher: Level | None, config: DifficultyConfig) -> float:
    """The score the level is read from; without a readable teacher verdict, the measured one."""
    if teacher is None or config.signal == "measured":
        return measured
    weight = 1.0 if config.signal == "teacher" else config.teacher_weight
    return weight * TEACHER_SCORE[teacher] + (1 - weight) * measured


def level_of(score: float, config: DifficultyConfig) -> Level:
    """easy < medium_from <= medium < hard_from <= hard."""
    if score < config.medium_from:
        return "easy"
    return "medium" if score < config.hard_from else "hard"


async def _ask_teacher(
    record: DifficultyRecord, ports: Ports, config: DifficultyConfig
) -> list[Completion]:
    prompt = ports.prompts.render("judge", question=record.question)
    seed = derive_seed(ports.seed, "judge", record.problem_id)
    schema = choice_schema("level", LEVELS) if config.structured else None
    sampling = Sampling(max_tokens=config.max_tokens, seed=seed, json_schema=schema)
    return await ports.chat["teacher"].complete(prompt, sampling)


async def grade_difficulty(
    record: DifficultyRecord, ports: Ports, config: DifficultyConfig
) -> Sequence[Difficulty]:
    """One Difficulty row a problem."""
    replies = [] if config.signal == "measured" else [await _ask_teacher(record, ports, config)]
    teacher = read_level(replies[0][0].text) if replies else None
    error_rate = record.num_wrong / record.num_graded if record.num_graded else 0.0
    step_score = min(1.0, count_steps(record.rationale or "") / config.num_steps_hard)
    measured = measured_score(
        type_score=record.subject_error_rate,
        step_score=step_score,
        error_rate=error_rate,
        config=config,
    )
    score = blend(measured, teacher, config)
    return [
        Difficulty(
            problem_id=record.problem_id,
            teacher_level=teacher,
            type_score=record.subject_error_rate,
            step_score=step_score,
            error_rate=error_rate,
            difficulty=score,
            level=level_of(score, config),
            model=ports.chat["teacher"].name if replies else None,
            **usage_of(replies),
        )
    ]


STAGE = Stage(
    name="difficulty",
    reads="difficulty",
    writes=Difficulty,
    record=DifficultyRecord,
    config=DifficultyConfig,
    step=grade_difficulty,
    roles=("teacher",),
    prompts=("judge",),
    upstream=("generate", "verify"),
)
