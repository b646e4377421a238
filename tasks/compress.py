"""MACC: a compressor refines a chain round by round until its length rebounds (METHODS 2.2).

Each sample runs its own loop, so depth is chosen per sample and nobody waits for a batch. When the
loop ends and which round is kept is the method's to say (tasks/compress_methods.py). Invariant: the
kept round's answer is the gold one, and every round is a stored row; the last one carries the
reason the loop ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from jinja2 import TemplateError
from pydantic import BaseModel, Field, model_validator

from tasks.compress_methods import (
    METHODS,
    CompressionMethod,
    CompressionRule,
    GuardedRule,
    Outcome,
)
from tasks.costs import CostBook, Expectation, ExpectedUsage
from tasks.ports import Completion, PermanentError, Ports, Prompt, Sampling, StatedAs
from tasks.prompts import PromptError, is_own, load_prompt
from tasks.prompts.checks import asks_for
from tasks.prompts.values import QUESTION, PromptValue, StepPrompt, rationale
from tasks.schemas import Rationale
from tasks.stage import Record, Stage, StageConfig, derive_seed
from tasks.structured import after_thought
from tasks.verify import grade_completion

PROMPT = StepPrompt(
    step="compress",
    values=(
        QUESTION,
        rationale("the chain, and from the second round on the round before"),
        PromptValue(
            name="target_percent",
            meaning='fixed_ratio: the length asked for, in percent, e.g. "60"; else ""',
            samples=("", "60"),
        ),
        PromptValue(
            name="target_tokens",
            meaning='fixed_ratio: the same in tokens of the student, e.g. "180"; else ""',
            samples=("", "180"),
        ),
    ),
)


class CompressConfig(StageConfig):
    """Method and bounds of the loop; docs/macc.md says which setting belongs to which method."""

    prompt: str = Field(default="instruct", description="variant that ships, or a file of yours")
    source: str = Field(default="rewritten", description="kind of chain that is compressed")
    method: str = Field(default="until_rebound", description="litecot plugins lists them")
    options: dict[str, Any] = Field(default={}, description="of a method from a plug-in")
    temperature: float = Field(
        default=0.0, ge=0, description="of sampling; 0: always the likeliest token"
    )
    max_tokens: int = Field(default=8192, ge=1, description="limit of a round")
    max_rounds: int = Field(default=8, ge=1, description="until_rebound: guard of ours")
    min_reduction: float = Field(
        default=0.01,
        ge=0,
        lt=1,
        description="until_rebound: guard of ours, share of tokens a round",
    )
    require_stated_answer: bool = Field(
        default=True, description="an answer that only the closing line gives away spoils a round"
    )
    num_rounds: int = Field(default=3, ge=1, description="fixed_rounds: rounds a chain")
    until_ratio: float = Field(
        default=0.5, gt=0, lt=1, description="until_ratio: share of the chain's tokens to reach"
    )
    ratios: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        default=(0.5, 0.6, 0.7, 0.8, 0.9),
        min_length=1,
        description="fixed_ratio: shares of the chain's tokens, one drawn a chain (TokenSkip)",
    )

    @model_validator(mode="after")
    def _check_method(self) -> CompressConfig:
        if self.how.options is None and self.options:
            raise ValueError(f"options: method {self.method!r} has no options")
        self.method_settings()
        return self

    @model_validator(mode="after")
    def _check_prompt(self) -> CompressConfig:
        if self.how.asks_for_length and not _asks_for_length(self.prompt):
            raise ValueError(
                f"method {self.method!r} has to ask for a length, which prompt {self.prompt!r} "
                "does not: set compress.prompt = 'instruct', or write {{ target_tokens }} in yours"
            )
        return self

    @property
    def how(self) -> CompressionMethod:
        """The method. Raises PluginError where there is none of that name."""
        return METHODS[self.method]

    def method_settings(self) -> BaseModel:
        """What the method is made from. Raises ValueError for options it does not know."""
        declared = self.how.options
        return self if declared is None else declared.model_validate(self.options)

    def rule(self) -> CompressionRule:
        """The method's decisions: when to stop, which round to keep."""
        rule = self.how.rule(self.method_settings())
        is_ours = not METHODS.entry(self.method).sha
        return rule if is_ours else GuardedRule(method=self.how, rule=rule)

    def needed_kinds(self) -> tuple[str, ...]:
        """The chains that are compressed."""
        return (self.source,)

    def sources(self) -> tuple[str, ...]:
        """Of a method from outside."""
        return tuple(filter(None, [METHODS.entry(self.method).sha]))


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
class Round(Outcome):
    """One reply of the compressor, its thought cut off; the completion's usage is the whole's."""

    number: int
    completion: Completion
    prompt: Prompt
    extracted_answer: str | None
    stated_as: StatedAs | None


def target_ratio(record: CompressRecord, ports: Ports, config: CompressConfig) -> float | None:
    """The share of the chain's tokens to ask for: drawn by the run's seed and the chain's id."""
    if not config.how.asks_for_length:
        return None
    drawn = derive_seed(ports.seed, "compress", "ratio", record.record_id)
    return config.ratios[drawn % len(config.ratios)]


def _render(text: str, ratio: float | None, record: CompressRecord, ports: Ports) -> Prompt:
    return ports.prompts.render(
        "compress",
        question=record.question,
        rationale=text,
        target_percent="" if ratio is None else f"{100 * ratio:.0f}",
        target_tokens="" if ratio is None else str(max(1, round(ratio * record.num_tokens))),
    )


async def _run_round(
    number: int, prompt: Prompt, *, record: CompressRecord, ports: Ports, config: CompressConfig
) -> Round:
    sampling = Sampling(
        temperature=config.temperature,
        max_tokens=config.max_tokens,
        seed=derive_seed(ports.seed, "compress", record.record_id, number),
    )
    (reply,) = await ports.chat["compressor"].complete(prompt, sampling)
    completion = replace(reply, text=after_thought(reply.text))
    grade = await grade_completion(completion, record, ports)
    return Round(
        number=number,
        completion=completion,
        prompt=prompt,
        num_tokens=ports.tokens.count(completion.text),
        verdict=grade.verdict,
        is_stated=not (config.require_stated_answer and grade.is_guessed),
        extracted_answer=grade.extracted_answer,
        stated_as=grade.stated_as,
        finish_reason=completion.finish_reason,
    )


async def compress(
    record: CompressRecord, ports: Ports, config: CompressConfig
) -> Sequence[Rationale]:
    """One Rationale (kind "compressed") a round, the rebound included; at most one is `chosen`."""
    rule, ratio = config.rule(), target_ratio(record, ports, config)
    rounds: list[Round] = []
    stop: str | None = None
    text = record.text
    while stop is None:
        prompt = _render(text, ratio, record, ports)
        number = len(rounds) + 1
        try:
            now = await _run_round(number, prompt, record=record, ports=ports, config=config)
        except PermanentError:
            if not rounds:
                raise
            stop = "refused"  # the rounds before it are good, and paid for
            break
        rounds.append(now)
        stop, text = rule.stop(record.num_tokens, rounds), now.completion.text
    kept = rule.kept(record.num_tokens, rounds)
    rows = [_row(r, record, ports, ratio=ratio, chosen=r.number == kept) for r in rounds]
    return [*rows[:-1], replace(rows[-1], stop_reason=stop)]


def _row(
    current: Round, record: CompressRecord, ports: Ports, *, ratio: float | None, chosen: bool
) -> Rationale:
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
        target_ratio=ratio,
        reached_ratio=current.num_tokens / record.num_tokens,
        verdict=current.verdict,
        extracted_answer=current.extracted_answer,
        stated_as=current.stated_as,
        chosen=chosen,
        finish_reason=current.finish_reason,
        prompt_sha=current.prompt.sha,
        num_requests=1,
        prompt_tokens=current.completion.prompt_tokens,
        completion_tokens=current.completion.completion_tokens,
        latency_s=current.completion.latency_s,
    )


def _asks_for_length(prompt: str) -> bool:
    try:
        return asks_for(load_prompt("compress", prompt), "target_tokens")
    except (PromptError, TemplateError):
        if is_own(prompt):  # it cannot be used at all: the checks of the recipe say why
            return True
        raise


def _rounds(book: CostBook, config: CompressConfig) -> float:
    rounds: float = config.how.rounds(book, config.method_settings())
    return rounds


def _length(book: CostBook, config: CompressConfig) -> float:
    """Of the kept round: the one before the rebound."""
    shorter: float = book.assume("round_ratio") ** max(1.0, _rounds(book, config) - 1)
    return book.length(config.source) * shorter


def _usage(book: CostBook, config: CompressConfig) -> ExpectedUsage:
    rounds, ratio = _rounds(book, config), book.assume("round_ratio")
    thought = book.assume("thinking_tokens") if book.compressor_thinks else 0
    read = book.length(config.source) * _mean_power(ratio, rounds)
    asked = book.question + book.template("compress", config.prompt) + read
    return ExpectedUsage(
        requests=rounds,
        prompt_tokens=rounds * asked,
        completion_tokens=rounds * min(read * ratio + thought, config.max_tokens),
    )


def _mean_power(ratio: float, rounds: float) -> float:
    """Mean of 1, ratio, ratio squared ... over so many rounds."""
    return rounds and (rounds if ratio == 1 else (1 - ratio**rounds) / (1 - ratio)) / rounds


STAGE = Stage(
    name="compress",
    reads="compress",
    writes=Rationale,
    record=CompressRecord,
    config=CompressConfig,
    step=compress,
    roles=("compressor",),
    prompts=(PROMPT,),
    upstream=("generate", "verify", "difficulty", "rewrite"),
    makes=("compressed",),
    grades=True,
    title="compressed, round {round}",
    expects=Expectation(
        records=lambda book, config: book.chains(config.source),
        usage=_usage,
        chains=lambda book, config: book.chains(config.source),
        length=_length,
    ),
)
