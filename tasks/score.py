"""Student scores: Rationale Difficulty (MoRSD 2) and the scorers offered beside it (METHODS 4).

RD(q, r, a) = PPL_student(a | q, r) / PPL_student(a | q); lower means the rationale helps more.
The rationale's own last answer statement is cut off before scoring (`strip_answer`, our choice):
left in, any rationale would "help" by being copied from.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from tasks.ports import Ports, ScoreRequest, ScoringModel, TokenScores
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
    window_steps: int = Field(default=2, ge=0, description="naturalness: steps of context")


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


def mean_nll(scores: Sequence[TokenScores]) -> float:
    """Mean negative log-likelihood over all tokens, nats; 0 for no token."""
    values = [p for s in scores for p in s.logprobs]
    return -math.fsum(values) / len(values) if values else 0.0


def perplexity(nll: float) -> float:
    """exp(nll), infinite instead of an overflow."""
    return math.exp(nll) if nll < 700 else math.inf


def rationale_difficulty(
    *, nll_given: float, nll_alone: float, form: Literal["ratio", "difference"]
) -> float:
    """RD from the answer's mean negative log-likelihood with and without the rationale."""
    difference = nll_given - nll_alone
    return perplexity(difference) if form == "ratio" else difference


def rank_surprisal_ratio(scores: TokenScores, *, rank_clip: int) -> float | None:
    """RSR: sum of clipped ranks over the sum of surprisals; None for no surprise at all."""
    surprisal = -math.fsum(scores.logprobs)
    ranks = sum(min(rank, rank_clip) for rank in scores.ranks)
    return ranks / surprisal if surprisal > 0 else None


def split_steps(text: str) -> list[str]:
    """The lines of a rationale that say something."""
    return [line for line in text.splitlines() if line.strip()]


async def local_naturalness(text: str, student: ScoringModel, *, window: int) -> float | None:
    """Mean log-probability of each step given only `window` steps before it."""
    steps = split_steps(text)
    requests = [
        ScoreRequest(prompt=None, targets=("\n".join(steps[max(0, i - window) : i]), step))
        for i, step in enumerate(steps)
    ]
    scored = await asyncio.gather(*(student.score(request) for request in requests))
    means = [-mean_nll(targets[1:]) for targets in scored]
    return math.fsum(means) / len(means) if means else None


async def score(record: ScoreRecord, ports: Ports, config: ScoreConfig) -> Sequence[Score]:
    """One Score row a rationale."""
    student = ports.scoring["student"]
    prompt = ports.prompts.render("generate", question=record.question)
    rationale = without_answer(record.text) if config.strip_answer else record.text
    answer = config.answer_template.format(answer=record.answer)
    given, alone, unconditional = await asyncio.gather(
        student.score(ScoreRequest(prompt=prompt, targets=(rationale, "\n" + answer))),
        student.score(ScoreRequest(prompt=prompt, targets=(answer,))),
        _unconditional(rationale, student, config),
    )
    natural = None
    if "naturalness" in config.scorers:
        natural = await local_naturalness(rationale, student, window=config.window_steps)
    return [_row(record, student, config, scores=(given, alone, unconditional), natural=natural)]


async def _unconditional(
    rationale: str, student: ScoringModel, config: ScoreConfig
) -> list[TokenScores] | None:
    if "ifd" not in config.scorers:
        return None
    return await student.score(ScoreRequest(prompt=None, targets=(rationale,)))


def _row(
    record: ScoreRecord,
    student: ScoringModel,
    config: ScoreConfig,
    *,
    scores: tuple[list[TokenScores], list[TokenScores], list[TokenScores] | None],
    natural: float | None,
) -> Score:
    (rationale, answer), (answer_alone,), unconditional = scores
    nll, nll_given, nll_alone = (mean_nll([s]) for s in (rationale, answer, answer_alone))
    wanted = config.scorers
    return Score(
        rationale_id=record.record_id,
        problem_id=record.problem_id,
        student=student.name,
        num_tokens=len(rationale.logprobs),
        num_answer_tokens=len(answer.logprobs),
        ppl_rationale=perplexity(nll),
        ppl_answer=perplexity(nll_alone),
        ppl_answer_given_rationale=perplexity(nll_given),
        rd=rationale_difficulty(nll_given=nll_given, nll_alone=nll_alone, form=config.rd_form),
        ifd=nll / mean_nll(unconditional) if unconditional and mean_nll(unconditional) else None,
        grape=-nll if "grape" in wanted else None,
        rsr=rank_surprisal_ratio(rationale, rank_clip=config.rank_clip)
        if "rsr" in wanted
        else None,
        naturalness=natural,
    )


STAGE = Stage(
    name="score",
    reads="score",
    writes=Score,
    record=ScoreRecord,
    config=ScoreConfig,
    step=score,
    roles=("student",),
    prompts=("generate",),
    upstream=("generate", "verify", "rewrite", "compress"),
)
