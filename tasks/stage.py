"""The contract of a step: a declaration and one coroutine; one generic runner drives them all.

Invariant: `step` is a pure function of (record, replies of its ports, config): it may be run again
after a crash and gives the same rows.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Self, TypedDict, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field

from tasks.costs import Expectation
from tasks.ports import Completion, Ports, Role
from tasks.prompts import PromptError, PromptFile, is_own, load_prompt, prompt_named
from tasks.prompts.values import StepPrompt
from tasks.schemas import TABLES, Row

Level = Literal["easy", "medium", "hard"]
StagePhase = Literal["corpus", "evaluation"]  # evaluation: alone, after training

_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_KEY = re.compile(r"[a-z][a-z0-9_]*")  # of a recipe


class StageConfig(BaseModel):
    """Base of every table of a recipe: frozen, and a wrong key is an error.

    A setting that is called `prompt`, or ends in `_prompt`, names a variant that ships or a file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str = Field(default="default", description="variant that ships, or a file of yours")

    def asked(self, roles: tuple[Role, ...]) -> tuple[Role, ...]:
        """Of a stage's roles those that these settings have it ask."""
        return roles

    def wants(self, stage: str, tables: Collection[str]) -> bool:
        """Whether `stage`, one of those that this table configures, is to run."""
        return True

    def needed_kinds(self) -> tuple[str, ...]:
        """Kinds of rationale that a stage before it has to make."""
        return ()

    def read_kinds(self) -> tuple[str, ...]:
        """Kinds of rationale that it reads where there are any."""
        return self.needed_kinds()

    def which_records(self) -> tuple[str, ...]:
        """Settings that say which records there are, and nothing of what becomes of one."""
        return ()

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
    phase: StagePhase = "corpus"
    asks_trained: bool = False  # its student is the one this run trained
    grades: bool = False  # its rows have verdicts, which depend on the answer types
    schema_setting: str = ""  # the setting that holds replies to a JSON schema
    expects: Expectation | None = None  # what it will cost; None: `--plan` says it does not know

    def __post_init__(self) -> None:
        """Raises ValueError, for its author, at what a declaration can know to be wrong."""
        if fault := next(_faults(self), ""):
            raise ValueError(f"stage {self.name!r}: {fault}")

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


def _faults(stage: Stage[Any, Any]) -> Iterator[str]:
    """What is wrong with a declaration, worst first: each may keep the next from being seen."""
    for key, pattern in (("name", _NAME), ("settings", _KEY)):
        value = getattr(stage, key)
        if not isinstance(value, str) or not pattern.fullmatch(value):
            what = "table" if key == "settings" and stage.table else "name"
            yield f"{what} {value!r}: use lower case letters, digits and _, a letter first"
    for key in ("roles", "prompts", "upstream", "makes"):
        if not isinstance(getattr(stage, key), tuple):
            yield f"{key} is no tuple"
    if not isinstance(stage.query, str):
        yield "query is no text"
    if not callable(stage.step):
        yield "step is no function"
    if not _is_a(stage.record, Record):
        yield "record is no class derived from Record"
    if stage.writes not in TABLES.values():
        yield f"writes is no row of the corpus: {', '.join(r.__name__ for r in TABLES.values())}"
    if stage.phase not in get_args(StagePhase):
        yield f"phase {stage.phase!r}: corpus or evaluation"
    for role in stage.roles:
        if role not in get_args(Role):
            yield f"role {role!r}: teacher, compressor or student"
    try:
        stage.title.format(kind="long", candidate=0, level="easy", round=0)
    except (AttributeError, LookupError, ValueError) as error:
        yield f"title {stage.title!r}: {error}: formats {{kind}} {{candidate}} {{level}} {{round}}"
    yield from _faults_of_config(stage)


def _faults_of_config(stage: Stage[Any, Any]) -> Iterator[str]:
    if not _is_a(stage.config, StageConfig):
        yield "config is no class derived from StageConfig"
    needed = [name for name, field in stage.config.model_fields.items() if field.is_required()]
    if needed:
        verb = "need defaults" if len(needed) > 1 else "needs a default"
        yield f"config {stage.config.__name__}: {', '.join(needed)} {verb}"
    named = {"schema_setting": [stage.schema_setting] if stage.schema_setting else []}
    named["prompts: setting"] = [use.setting for use in stage.prompts]
    for key, settings in named.items():
        for name in settings:
            if name not in stage.config.model_fields and not hasattr(stage.config, name):
                yield f"{key} {name!r} is no setting of {stage.config.__name__}"


def _is_a(value: object, base: type) -> bool:
    return isinstance(value, type) and issubclass(value, base)


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
