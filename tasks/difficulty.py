"""Difficulty without human labels: the teacher's verdict and three measured signals (LiteCoT 1.2).

Measured signals, each 0..1, null where nothing measures it: problem type (share of wrong candidates
in the subject), step complexity of the rationale, historical error rate of the problem (this run's
candidates and earlier runs'). Those that compare problems do so within a shard, in
sql/inputs/difficulty.sql, so that no score depends on which shard ends first.
Invariant: every component is stored beside the score, and the thresholds beside the level.

A sample: teacher_level="hard", type_score=0.31, step_score=0.84, error_rate=0.5, measured=0.598,
difficulty=0.799, level="hard".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from pydantic import Field, model_validator

from tasks.costs import CostBook, Expectation, ExpectedUsage
from tasks.ports import Completion, Ports, Role, Sampling
from tasks.prompts.values import QUESTION, StepPrompt, structured
from tasks.schemas import Difficulty
from tasks.stage import Level, Record, Stage, StageConfig, derive_seed, usage_of
from tasks.structured import after_thought, choice_schema, is_object, read_choice, read_reason

TEACHER_SCORE: dict[Level, float] = {"easy": 0.0, "medium": 0.5, "hard": 1.0}
LEVELS = tuple(TEACHER_SCORE)
UNKNOWN = 0.5  # the score of a problem that no signal measures
MAX_REASON_CHARS = 500
PROMPT = StepPrompt(step="judge", values=(QUESTION, structured("difficulty.structured")))


class DifficultyConfig(StageConfig):
    """How the signals are weighed. Weights and thresholds are our choice (docs/litecot.md)."""

    prompt: str = Field(default="instruct", description="variant that ships, or a file of yours")
    signal: Literal["teacher", "measured", "blended", "random"] = Field(
        default="blended",
        description="what grades: the teacher, what was measured, both, or chance as a control",
    )
    teacher_weight: float = Field(
        default=0.5, ge=0, le=1, description="of the teacher's grade, where signals are blended"
    )
    type_weight: float = Field(
        default=0.2, ge=0, description="of the error rate of a problem's subject"
    )
    step_weight: float = Field(default=0.4, ge=0, description="of the steps that its chains take")
    error_weight: float = Field(
        default=0.4, ge=0, description="of the error rate of its own chains"
    )
    subject_prior: float = Field(
        default=20, ge=0, description="candidates of all subjects that a subject's share starts at"
    )
    history: bool = Field(
        default=True, description="error rates count the candidates of earlier runs, too"
    )
    num_steps_hard: int | None = Field(
        default=None,
        ge=1,
        description="step_score: counted steps that are fully complex; left out: by length",
    )
    thresholds: Literal["fixed", "quantile"] = Field(
        default="fixed", description="levels by scores, or by shares of the problems"
    )
    medium_from: float = Field(default=1 / 3, ge=0, le=1, description="a score, or a quantile")
    hard_from: float = Field(default=2 / 3, ge=0, le=1, description="a score, or a quantile")
    max_tokens: int = Field(default=4096, ge=1, description="a reasoning model thinks first")
    structured: bool = Field(default=False, description="hold the teacher to a JSON schema")
    """Hold the teacher's verdict to a JSON schema (engines vllm and endpoint). Off by default: a
    reasoning model has to be free to think before it answers, and a schema starts at once."""

    def asked(self, roles: tuple[Role, ...]) -> tuple[Role, ...]:
        """Nobody where it only measures, or draws."""
        return () if self.signal in ("measured", "random") else roles

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
    rationale: str | None  # the shortest correct long chain if there is one, else the shortest
    num_tokens: int | None  # its length
    length_quantile: float | None  # share of the shard's problems whose rationale is shorter, 0..1
    num_wrong: int
    num_graded: int
    subject_error_rate: float | None


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
    """The level a judge's reply names as its verdict, else the last it mentions, or None."""
    chosen = read_choice(text, "level", LEVELS) or read_choice(text, "difficulty", LEVELS)
    mentioned = [] if is_object(text) else _LEVEL.findall(after_thought(text))
    found = chosen or (mentioned[-1].lower() if mentioned else None)
    return cast(Level, found) if found else None


def step_score(record: DifficultyRecord, config: DifficultyConfig) -> float | None:
    """Step complexity. By default the rationale's length (its steps times the length of a step).

    Lengths have no unit across tokenizers and teachers, so what counts is the rank among the
    shard's problems. With `num_steps_hard`, the counted steps as a share of it.
    """
    if config.num_steps_hard is None:
        return record.length_quantile
    return min(1.0, count_steps(record.rationale or "") / config.num_steps_hard)


def measured_score(
    *,
    type_score: float | None,
    step_score: float | None,
    error_rate: float | None,
    config: DifficultyConfig,
) -> float:
    """Weighted mean of the signals there are, 0..1."""
    weights = (config.type_weight, config.step_weight, config.error_weight)
    signals = (type_score, step_score, error_rate)
    known = [(w, s) for w, s in zip(weights, signals, strict=True) if s is not None]
    total = sum(w for w, _ in known)
    return sum(w * s for w, s in known) / total if total else UNKNOWN


def blend(measured: float, teacher: Level | None, config: DifficultyConfig) -> float:
    """The score the level is read from; without a readable teacher verdict, the measured one."""
    if teacher is None or config.signal == "measured":
        return measured
    weight = 1.0 if config.signal == "teacher" else config.teacher_weight
    return weight * TEACHER_SCORE[teacher] + (1 - weight) * measured


def drawn_score(problem_id: str, *, seed: int) -> float:
    """A control: uniform in [0, 1), from the problem's id and the run's seed."""
    return derive_seed(seed, "difficulty", problem_id) / 2**63


def level_of(score: float, config: DifficultyConfig) -> Level:
    """easy < medium_from <= medium < hard_from <= hard."""
    if score < config.medium_from:
        return "easy"
    return "medium" if score < config.hard_from else "hard"


async def _ask_teacher(
    record: DifficultyRecord, ports: Ports, config: DifficultyConfig
) -> list[Completion]:
    structured = "yes" if config.structured else ""
    prompt = ports.prompts.render("judge", question=record.question, structured=structured)
    seed = derive_seed(ports.seed, "judge", record.problem_id)
    schema = choice_schema("level", LEVELS) if config.structured else None
    sampling = Sampling(max_tokens=config.max_tokens, seed=seed, json_schema=schema)
    return await ports.chat["teacher"].complete(prompt, sampling)


async def grade_difficulty(
    record: DifficultyRecord, ports: Ports, config: DifficultyConfig
) -> Sequence[Difficulty]:
    """One Difficulty row a problem."""
    asks = bool(config.asked(("teacher",)))
    replies = [await _ask_teacher(record, ports, config)] if asks else []
    verdict = replies[0][0].text if replies else ""
    teacher = read_level(verdict)
    complexity = step_score(record, config)
    error_rate = record.num_wrong / record.num_graded if record.num_graded else None
    measured = measured_score(
        type_score=record.subject_error_rate,
        step_score=complexity,
        error_rate=error_rate,
        config=config,
    )
    score = blend(measured, teacher, config)
    if config.signal == "random":
        score = drawn_score(record.problem_id, seed=ports.seed)
    return [
        Difficulty(
            problem_id=record.problem_id,
            teacher_level=teacher,
            teacher_reason=read_reason(verdict, max_chars=MAX_REASON_CHARS) or None,
            type_score=record.subject_error_rate,
            step_score=complexity,
            error_rate=error_rate,
            measured=measured,
            num_steps=None if record.rationale is None else count_steps(record.rationale),
            num_tokens=record.num_tokens,
            num_wrong=record.num_wrong,
            num_graded=record.num_graded,
            difficulty=score,
            thresholds=config.thresholds,
            medium_from=config.medium_from,
            hard_from=config.hard_from,
            level=level_of(score, config) if config.thresholds == "fixed" else None,
            model=ports.chat["teacher"].name if replies else None,
            **usage_of(replies),
        )
    ]


def _usage(book: CostBook, config: DifficultyConfig) -> ExpectedUsage:
    return ExpectedUsage(
        requests=1,
        prompt_tokens=book.question + book.template("judge", config.prompt),
        completion_tokens=book.reply(book.assume("verdict_tokens"), config.max_tokens),
    )


STAGE = Stage(
    name="difficulty",
    reads="difficulty",
    writes=Difficulty,
    record=DifficultyRecord,
    config=DifficultyConfig,
    step=grade_difficulty,
    roles=("teacher",),
    prompts=(PROMPT,),
    upstream=("generate", "verify"),
    schema_setting="structured",
    expects=Expectation(records=lambda book, config: book.num_problems, usage=_usage),
)
