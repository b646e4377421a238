"""The contract of a step: a declaration and one coroutine; one generic runner drives them all.

Invariant: `step` is a pure function of (record, replies of its ports, config): it may be run again
after a crash and gives the same rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Self, TypedDict, TypeVar

from pydantic import BaseModel, ConfigDict

from tasks.costs import Expectation
from tasks.ports import Completion, Ports, Role
from tasks.prompts import PromptError, PromptFile, is_own, load_prompt, prompt_named
from tasks.prompts.values import StepPrompt
from tasks.schemas import Row

Level = Literal["easy", "medium", "hard"]


class StageConfig(BaseModel):
    """Base of every table of a recipe: frozen, and a wrong key is an error.

    A setting that is called `prompt`, or ends in `_prompt`, names a variant that ships or a file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str = "default"

    def asked(self, roles: tuple[Role, ...]) -> tuple[Role, ...]:
        """Of a stage's roles those that these settings have it ask."""
        return roles

    def wants(self, stage: str, tables: Collection[str]) -> bool:
        """Whether `stage`, one of those that this table configures, is to run."""
        return True

    def needed_kinds(self) -> tuple[str, ...]:
        """Kinds of rationale that a stage before it has to make."""
        return ()

    def kinds_read(self) -> tuple[str, ...]:
        """Kinds of rationale that it reads; a stage from outside may make them."""
        return self.needed_kinds()

    def for_query(self) -> str:
        """What the stage's query sees as getvariable('config'): JSON."""
        return self.model_dump_json()

    def sources(self) -> tuple[str, ...]:
        """Hashes of the plug-ins that these settings name; they belong in the fingerprint."""
        return ()


@dataclass(frozen=True, kw_only=True)
class Record:
    """Base of what a stage reads: one row of sql/inputs/<reads>.sql, by column name."""

    record_id: str
    problem_id: str

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """Build from a query row, whose columns are the fields."""
        return cls(**row)


RecordT = TypeVar("RecordT", bound=Record)
ConfigT = TypeVar("ConfigT", bound=StageConfig)


@dataclass(frozen=True, kw_only=True)
class Stage(Generic[RecordT, ConfigT]):
    """All there is to know of a step; recipe, plan, run, report, `show` and costs derive from it.

    Of a stage from outside, `query` is the text of its query, and `reads` a name for it.
    """

    name: str
    reads: str  # the query sql/inputs/<reads>.sql
    writes: type[Row]
    record: type[RecordT]
    config: type[ConfigT]
    step: Callable[[RecordT, Ports, ConfigT], Awaitable[Sequence[Row]]]
    roles: tuple[Role, ...] = ()
    prompts: tuple[StepPrompt, ...] = ()  # their text enters the fingerprint, in this order
    upstream: tuple[str, ...] = ()  # stages whose rows its query reads
    is_global: bool = False  # needs every shard's rows: runs once, after all shards
    revision: int = 0  # raised when the same settings begin to give other rows

    table: str = ""  # of the recipe, with its settings; the stage's own name where not said
    query: str = ""
    makes: tuple[str, ...] = ()  # kinds of rationale it writes
    title: str = "{kind}"  # of such a chain, in `litecot show`: {kind} {candidate} {level} {round}
    phase: Literal["corpus", "evaluation"] = "corpus"  # evaluation: alone, after training
    asks_trained: bool = False  # its student is the one this run trained
    schema_setting: str = ""  # the setting that holds replies to a JSON schema
    expects: Expectation | None = None  # what it will cost; None: `--plan` says it does not know

    @property
    def settings(self) -> str:
        """The recipe's table that configures it."""
        return self.table or self.name

    def asked(self, config: ConfigT) -> tuple[Role, ...]:
        """The roles it really asks under these settings."""
        return config.asked(self.roles)

    def is_wanted(self, config: ConfigT, tables: Collection[str]) -> bool:
        """Whether a recipe that names `tables` as its stages has it do anything."""
        return self.settings in tables and config.wants(self.name, tables)

    def prompt_name(self, step: str, config: StageConfig) -> str:
        """The variant or file that `config` names for `step`."""
        setting, beside = {use.step: use.setting for use in self.prompts}[step], config.prompt
        named: str | None = getattr(config, setting)
        if named is None and is_own(beside):
            beside = self._variant_of(beside)
        default = type(config).model_fields["prompt"].default
        return prompt_named(step, named=named, beside=beside, default=default)

    def _variant_of(self, name: str) -> str:
        """The shipped variant that the file is a copy of; the name itself where it is none."""
        (step,) = (use.step for use in self.prompts if use.setting == "prompt")
        try:
            return load_prompt(step, name).twin or name
        except PromptError:
            return name

    def load_prompts(self, config: StageConfig) -> dict[str, PromptFile]:
        """Step -> its prompt, read now. Raises PromptError."""
        names = {use.step: self.prompt_name(use.step, config) for use in self.prompts}
        return {step: load_prompt(step, name) for step, name in names.items()}


class UsageTotals(TypedDict):
    """The Usage columns of a row, as keyword arguments."""

    num_requests: int
    prompt_tokens: int
    completion_tokens: int
    latency_s: float


def usage_of(requests: Iterable[Sequence[Completion]]) -> UsageTotals:
    """Sum over requests; the candidates of one request share its prompt and its latency."""
    total: UsageTotals = {
        "num_requests": 0, "prompt_tokens": 0, "completion_tokens": 0, "latency_s": 0.0
    }  # fmt: skip
    for candidates in requests:
        total["num_requests"] += 1
        total["prompt_tokens"] += candidates[0].prompt_tokens
        total["completion_tokens"] += sum(c.completion_tokens for c in candidates)
        total["latency_s"] += max(c.latency_s for c in candidates)
    return total


def derive_seed(*parts: object) -> int:
    """A 63-bit seed from `parts`: stable across processes, machines and Python versions."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode(errors="replace")).digest()
    return int.from_bytes(digest[:8], "big") >> 1
