"""Student scores: Rationale Difficulty (MoRSD 2) and the scorers offered beside it (METHODS 4).

RD(q, r, a) = PPL_student(a | q, r) / PPL_student(a | q); lower means the rationale helps more.
The rationale's own last answer statement is cut off before scoring (`strip_answer`, our choice):
left in, any rationale would "help" by being copied from.

Invariants: one request a rationale; the answer has the same tokens with and without the rationale,
so an empty rationale has RD 1 (difference: 0). Formulas and measurements: docs/scoring.md.

A sample row: Score(rationale_id="ab12", num_tokens=96, rd=0.41, ifd=0.87, grape=-0.63, rsr=3.1)
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Literal

from pydantic import Field, field_validator

from tasks.generate import PROMPT
from tasks.ports import Ports, Prompt, ScoreRequest, TokenScores
from tasks.schemas import Score
from tasks.stage import Record, Stage, StageConfig

Kind = Literal["long", "rewritten", "compressed"]
Scorer = Literal["rd", "ifd", "grape", "rsr", "naturalness"]


class ScoreConfig(StageConfig):
    """Which scores, and RD's form. Defaults: METHODS 3.2 and 4."""

    kinds: tuple[Kind, ...] = ("long", "rewritten", "compressed")
    scorers: tuple[Scorer, ...] = ("rd", "ifd", "grape", "rsr")
    rd_form: Literal["ratio", "difference"] = "ratio"
    strip_answer: bool = True
    answer_template: str = "The answer is {answer}."
    rank_clip: int = Field(default=100, ge=1, description="RSR: ranks above this count as this")
    window_steps: int = Field(
        default=2, ge=0, description="naturalness: steps of context; each is one more to compute"
    )

    @field_validator("answer_template")
    @classmethod
    def _check_template(cls, text: str) -> str:
        if fault := _template_fault(text):
            raise ValueError(
                f"{text!r}: {fault}: write {{answer}} where the answer goes, and {{{{ }}}} for "
                "braces that stay"
            )
        return text


def _template_fault(text: str) -> str:
    """Why the answer cannot be put into it; empty where it can."""
    try:
        names = [name for _, name, _, _ in Formatter().parse(text) if name is not None]
        if unknown := [name for name in names if name != "answer"]:
            return f"{{{unknown[0]}}} is not given"
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


def mean_nll(scores: TokenScores) -> float:
    """Mean negative log-likelihood of a token, nats; 0 for no token."""
    return -math.fsum(scores.logprobs) / len(scores.logprobs) if scores.logprobs else 0.0


def perplexity(nll: float) -> float:
    """exp(nll), infinite instead of an overflow."""
    return math.exp(nll) if nll < 700 else math.inf


def rationale_difficulty(
    *, nll_given: float, nll_alone: float, form: Literal["ratio", "difference"]
) -> float:
    """RD from the answer's mean negative log-likelihood with and without the rationale."""
    difference = nll_given - nll_alone
    return perplexity(difference) if form == "ratio" else difference


def instruction_difficulty(given: TokenScores, unconditional: TokenScores) -> float | None:
    """IFD: cross-entropy behind the question over cross-entropy without; None for no surprise."""
    alone = mean_nll(unconditional)
    return mean_nll(given) / alone if alone > 0 else None


def rank_surprisal_ratio(scores: TokenScores, *, rank_clip: int) -> float | None:
    """RSR: sum of clipped ranks over the sum of surprisals; None for no surprise at all."""
    surprisal = -math.fsum(scores.logprobs)
    ranks = sum(min(rank, rank_clip) for rank in scores.ranks)
    return ranks / surprisal if surprisal > 0 else None


def local_naturalness(steps: Sequence[TokenScores]) -> float | None:
    """Mean over steps of a step's mean log-probability behind its window; None for no step."""
    return -math.fsum(map(mean_nll, steps)) / len(steps) if steps else None


def split_steps(text: str) -> list[str]:
    """The lines that say something, each with its line break and the blank lines behind it.

    Joined they are the text again, but for blank lines before the first.
    """
    steps: list[str] = []
    for line in text.splitlines(keepends=True):
        if line.strip():
            steps.append(line)
        elif steps:
            steps[-1] += line
    return steps


def score_request(record: ScoreRecord, prompt: Prompt, config: ScoreConfig) -> ScoreRequest:
    """All that one rationale asks of the student, in one request.

    Its own targets are the rationale, a line break that nobody reads, and the answer; beside it are
    the answer alone and, where wanted, the rationale alone and each step behind its window.
    """
    rationale = without_answer(record.text) if config.strip_answer else record.text
    answer = config.answer_template.format(answer=record.answer)
    beside = [ScoreRequest(prompt=prompt, targets=(answer,))]
    if "ifd" in config.scorers:
        beside.append(ScoreRequest(prompt=None, targets=(rationale,)))
    if "naturalness" in config.scorers:
        steps, window = split_steps(rationale), config.window_steps
        beside += [
            ScoreRequest(prompt=None, context=tuple(steps[max(0, i - window) : i]), targets=(step,))
            for i, step in enumerate(steps)
        ]
    between = "\n" if rationale else ""
    return ScoreRequest(prompt=prompt, targets=(rationale, between, answer), beside=tuple(beside))


async def score(record: ScoreRecord, ports: Ports, config: ScoreConfig) -> Sequence[Score]:
    """One Score row a rationale."""
    student = ports.scoring["student"]
    prompt = ports.prompts.render("generate", question=record.question)
    scored = await student.score(score_request(record, prompt, config))
    return [_row(record, student.name, config, scored)]


def _row(
    record: ScoreRecord, student: str, config: ScoreConfig, scored: Sequence[TokenScores]
) -> Score:
    rationale, _, answer, answer_alone, *more = scored
    unconditional = more.pop(0) if "ifd" in config.scorers else None
    nll, nll_given, nll_alone = map(mean_nll, (rationale, answer, answer_alone))
    wanted = config.scorers if rationale.logprobs else ()
    return Score(
        rationale_id=record.record_id,
        problem_id=record.problem_id,
        student=student,
        num_tokens=len(rationale.logprobs),
        num_answer_tokens=len(answer.logprobs),
        ppl_rationale=perplexity(nll),
        ppl_answer=perplexity(nll_alone),
        ppl_answer_given_rationale=perplexity(nll_given),
        rd=rationale_difficulty(nll_given=nll_given, nll_alone=nll_alone, form=config.rd_form),
        ifd=instruction_difficulty(rationale, unconditional) if unconditional else None,
        grape=-nll if "grape" in wanted else None,
        rsr=rank_surprisal_ratio(rationale, rank_clip=config.rank_clip)
        if "rsr" in wanted
        else None,
        naturalness=local_naturalness(more),
    )


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
)
