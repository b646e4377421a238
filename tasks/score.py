"""Student scores: one request a rationale, and what each scorer (tasks/scorers) makes of the reply.

The rationale's own last answer statement is cut off before scoring (`strip_answer`, our choice):
left in, any rationale would "help" by being copied from.

Invariants: one request a rationale, whichever scorers; Rationale Difficulty is always computed;
scorers that have no column of their own are in `others`, only those that have a value.
Formulas and measurements: docs/scoring.md.

A sample row: Score(rationale_id="ab12", num_tokens=96, rd=0.41, ifd=0.87, grape=-0.63, rsr=3.1)
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from string import Formatter
from typing import Any, Self

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from tasks.costs import CostBook, Expectation, ExpectedUsage
from tasks.errors import UsageError
from tasks.generate import PROMPT
from tasks.ports import Ports, Prompt, ScoreRequest, TokenScores
from tasks.schemas import Score
from tasks.scorers import COLUMNS, SCORERS
from tasks.scorers.scorer import RdForm, Scored, Scorer, Texts, mean_nll, perplexity
from tasks.stage import Record, Stage, StageConfig


class ScoreConfig(StageConfig):
    """Which scores, and RD's form. Defaults: METHODS 3.2 and 4."""

    kinds: tuple[str, ...] = Field(
        default=("long", "rewritten", "compressed"), description="rationales that are scored"
    )
    scorers: tuple[str, ...] = Field(
        default=("rd", "ifd", "grape", "rsr"), description="measures of the student's reading"
    )
    rd_form: RdForm = Field(
        default="ratio", description="reasoning difficulty as a ratio or a difference"
    )
    strip_answer: bool = Field(
        default=True, description="score the chain without its closing answer"
    )
    only_correct: bool = Field(
        default=True, description="false: chains with another verdict are scored too, a control"
    )
    answer_template: str = Field(
        default="The answer is {answer}.", description="how the answer is put before the student"
    )
    rank_clip: int = Field(default=100, ge=1, description="RSR: ranks above this count as this")
    window_steps: int = Field(
        default=2, ge=0, description="naturalness: steps of context; each is one more to compute"
    )
    options: dict[str, dict[str, Any]] = Field(
        default={}, description="scorer -> its own settings, for scorers that declare some"
    )

    @field_validator("scorers")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            SCORERS.entry(name)  # raises an error that names those there are
        return names

    @field_validator("answer_template")
    @classmethod
    def _check_template(cls, text: str) -> str:
        if fault := _template_fault(text):
            raise ValueError(
                f"{text!r}: {fault}: write {{answer}} where the answer goes, and {{{{ }}}} for "
                "braces that stay"
            )
        return text

    @model_validator(mode="after")
    def _check_options(self) -> Self:
        for name in self.options:
            if name not in self.scorers or SCORERS[name].options is None:
                raise ValueError(f"options.{name}: {name!r} is no scorer of score.scorers with any")
        for name in self.scorers:
            self.options_of(name)
        return self

    def read_kinds(self) -> tuple[str, ...]:
        """Correct chains of these kinds, where a stage makes them."""
        return self.kinds

    def sources(self) -> tuple[str, ...]:
        """Hashes of the plug-ins among its scorers."""
        return tuple(sha for name in sorted(set(self.scorers)) if (sha := SCORERS.entry(name).sha))

    def options_of(self, name: str) -> BaseModel | None:
        """The settings of a scorer's own, None where it declares none. Raises UsageError."""
        model = SCORERS[name].options
        try:
            return None if model is None else model.model_validate(self.options.get(name, {}))
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, ("options", name, *first["loc"])))
            raise UsageError(f"{key}: {first['msg']}") from None


def score_passes(config: ScoreConfig) -> float:
    """How many times a rationale goes through the student, counted in its own length."""
    return 1 + sum(SCORERS[name].passes(config) for name in set(config.scorers))


def _template_fault(text: str) -> str:
    """Why the answer cannot be put into it; empty where it can."""
    try:
        fields = [each for each in Formatter().parse(text) if each[1] is not None]
        names = [name for _, name, _, _ in fields]
        if unknown := [name for name in names if name != "answer"]:
            return f"{{{unknown[0]}}} is not given"
        if forms := [form for _, _, form, _ in fields if form]:
            return f"{{answer:{forms[0]}}} has a format, and the answer is put in as it is"
        text.format(answer="5")
    except (ValueError, LookupError) as error:
        return f"cannot be filled in ({type(error).__name__}: {error})"
    return "" if names else "does not say the answer"


@dataclass(frozen=True, kw_only=True)
class ScoreRecord(Record):
    question: str
    answer: str
    text: str


_ANSWER_LINE = re.compile(
    r"(?:[^\n.]{0,80}\banswer\b[^\n]{0,400}|####[^\n]*|\bA:[^\n]*|[^\n]*\\boxed[^\n]*)\s*\Z", re.I
)
_TAIL_CHARACTERS = 600


def without_answer(text: str) -> str:
    """The rationale without its last answer statement; all of it where nothing else is left."""
    head, tail = text[:-_TAIL_CHARACTERS], text[-_TAIL_CHARACTERS:]
    return (head + _ANSWER_LINE.sub("", tail)).rstrip() or text


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What a scorer asks of the student beside the shared texts."""

    scorer: Scorer
    texts: Texts
    requests: Sequence[ScoreRequest]


def score_request(record: ScoreRecord, prompt: Prompt, config: ScoreConfig) -> ScoreRequest:
    """All that one rationale asks of the student, in one request.

    Its own targets are the rationale, a line break that nobody reads, and the answer; beside it are
    the answer alone and what the scorers want, in the order of the registry.
    """
    texts = _texts(record, prompt, config)
    return _request(texts, _asked(texts, config))


def _request(texts: Texts, asked: Sequence[_Asked]) -> ScoreRequest:
    alone = ScoreRequest(prompt=texts.prompt, targets=(texts.answer,))
    between = "\n" if texts.rationale else ""
    return ScoreRequest(
        prompt=texts.prompt,
        targets=(texts.rationale, between, texts.answer),
        beside=(alone, *(request for one in asked for request in one.requests)),
    )


def _texts(record: ScoreRecord, prompt: Prompt, config: ScoreConfig) -> Texts:
    return Texts(
        rationale_id=record.record_id,
        prompt=prompt,
        rationale=without_answer(record.text) if config.strip_answer else record.text,
        answer=config.answer_template.format(answer=record.answer),
        settings=config,
    )


def _asked(shared: Texts, config: ScoreConfig) -> list[_Asked]:
    """Of those listed, and always of RD; in the order of the registry, not of the list."""
    asked = []
    for name in SCORERS:
        if name in ("rd", *config.scorers):
            texts = replace(shared, options=config.options_of(name))
            scorer = SCORERS[name]
            asked.append(_Asked(scorer=scorer, texts=texts, requests=scorer.beside(texts)))
    return asked


async def score(record: ScoreRecord, ports: Ports, config: ScoreConfig) -> Sequence[Score]:
    """One Score row a rationale."""
    student = ports.scoring["student"]
    prompt = ports.prompts.render("generate", question=record.question)
    texts = _texts(record, prompt, config)
    asked = _asked(texts, config)
    rationale, _, answer, answer_alone, *beside = await student.score(_request(texts, asked))
    shared = Scored(
        texts=texts, rationale=rationale, answer=answer, answer_alone=answer_alone, seed=ports.seed
    )
    return [_row(record, student.name, shared, _values(shared, asked, beside))]


def _values(
    shared: Scored, asked: Sequence[_Asked], beside: Sequence[TokenScores]
) -> dict[str, float | None]:
    """Scorer -> its value. `beside`: what all of them asked for, one after another."""
    values: dict[str, float | None] = {}
    start = 0
    for one in asked:
        stop = start + sum(len(request.targets) for request in one.requests)
        scored = replace(shared, texts=one.texts, beside=tuple(beside[start:stop]))
        values[one.scorer.name] = one.scorer.value(scored)
        start = stop
    return values


def _row(
    record: ScoreRecord, student: str, shared: Scored, values: Mapping[str, float | None]
) -> Score:
    rd = values["rd"]
    assert rd is not None
    others = {n: v for n, v in values.items() if n not in COLUMNS and v is not None}
    return Score(
        rationale_id=record.record_id,
        problem_id=record.problem_id,
        student=student,
        num_tokens=len(shared.rationale.logprobs),
        num_answer_tokens=len(shared.answer.logprobs),
        ppl_rationale=perplexity(mean_nll(shared.rationale)),
        ppl_answer=perplexity(mean_nll(shared.answer_alone)),
        ppl_answer_given_rationale=perplexity(mean_nll(shared.answer)),
        rd=rd,
        ifd=values.get("ifd"),
        grape=values.get("grape"),
        rsr=values.get("rsr"),
        naturalness=values.get("naturalness"),
        others=others or None,
    )


def _usage(book: CostBook, config: ScoreConfig) -> ExpectedUsage:
    """Behind its question; for some scorers also without it, or step by step in windows."""
    read = book.question + score_passes(config) * book.mean_length(config.kinds)
    return ExpectedUsage(requests=1, prompt_tokens=read)


STAGE = Stage(
    name="score",
    reads="score",
    writes=Score,
    record=ScoreRecord,
    config=ScoreConfig,
    step=score,
    roles=("student",),
    prompts=(PROMPT,),
    upstream=("generate", "verify", "rewrite", "compress"),
    revision=1,  # RD's answer without the line break, steps with theirs
    expects=Expectation(
        records=lambda book, config: sum(map(book.chains, config.kinds)), usage=_usage
    ),
)
