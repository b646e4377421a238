"""Which column holds what: what the user said, and a guess for what was left unsaid.

Invariant: a guess is made only where it is safe. Columns that could both be meant must agree on
the rows looked at; otherwise, or where there is none, IngestError names the columns there are and
the flag that settles it. Every guess is reported in Resolved.guessed.

A sample: ColumnMapping(question="question", answer="gt", candidates=("code",), correct=("score",)).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from tasks.answers.kinds import ANSWER_TYPES
from tasks.intake.sources import Fields, IngestError, Source
from tasks.intake.values import (
    MISSING,
    align,
    answer_text,
    flat,
    lookup,
    normalise,
    read_flag,
    to_text,
)

QUESTION_NAMES = ("question", "problem", "prompt", "input")
ANSWER_NAMES = (
    "answer", "gt", "gold", "final_answer", "ground_truth", "target", "gt_answer", "gold_answer"
)  # fmt: skip
CANDIDATE_NAMES = (
    "rationale", "rationales", "solution", "solutions", "code", "model_outputs", "generations",
    "completion", "completions", "response", "responses", "candidates", "candidate",
)  # fmt: skip
CORRECT_NAMES = (
    "is_correct", "correct", "per_sample_correct", "recorded_correct", "correctness",
    "score", "scores",
)  # fmt: skip
SUBJECT_NAMES = ("subject", "topic", "category", "type")
MODEL_NAMES = ("candidate_model", "model", "model_name")
# Beside a question column these hold a part of the question: leaving them out is not safe.
QUESTION_PARTS = ("body", "context", "passage", "choices", "options", "instruction")
MAX_COLUMNS_NAMED = 30
MAX_VALUE_CHARS = 40  # of a cell, in a message


class ColumnMapping(BaseModel):
    """Columns by dotted path ("6b_finetuning.solution"); what is left out is guessed.

    Several question columns are joined by a line break. Each candidates column holds a text or a
    list of texts; `correct` and `candidate_model` run parallel to them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str | tuple[str, ...] | None = None
    answer: str | None = None
    candidates: tuple[str, ...] = ()
    correct: tuple[str, ...] = ()
    candidate_model: tuple[str, ...] = ()
    subject: str | None = None
    answer_type: str | None = None

    def question_columns(self) -> tuple[str, ...]:
        return (self.question,) if isinstance(self.question, str) else self.question or ()

    def all_columns(self) -> tuple[str, ...]:
        single = (self.answer, self.subject, self.answer_type)
        return (
            *self.question_columns(), *filter(None, single),
            *self.candidates, *self.correct, *self.candidate_model,
        )  # fmt: skip


class SourceConfig(BaseModel):
    """How to read the inputs; what a person can set about them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: ColumnMapping = ColumnMapping()
    candidates: Literal["guess", "require", "ignore"] = "guess"
    answer_type: str | None = None  # for all problems; above column and inference
    candidate_model: str | None = None  # for candidates whose row does not name their model
    max_line_bytes: int = Field(default=8_000_000, ge=1)
    max_question_chars: int = Field(default=100_000, ge=1)

    @field_validator("answer_type")
    @classmethod
    def _check_answer_type(cls, name: str | None) -> str | None:
        if name is not None:
            ANSWER_TYPES[name]  # raises with the names there are
        return name


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """A source with its columns settled. `guessed` names the fields of `columns` nobody gave."""

    source: Source
    columns: ColumnMapping
    guessed: tuple[str, ...]

    def describe(self) -> str:
        """One line for a person: which column serves as what, guesses marked."""
        shown = self.columns.model_dump(exclude_defaults=True)
        texts = {k: v if isinstance(v, str) else ", ".join(v) for k, v in shown.items()}
        parts = [f"{k}={v}{' (guessed)' if k in self.guessed else ''}" for k, v in texts.items()]
        return f"{self.source.name}: {'; '.join(parts)}"


def resolve_columns(source: Source, rows: Sequence[Fields], config: SourceConfig) -> Resolved:
    """Settles the columns on the first rows of the source. Raises IngestError."""
    table = _Table(source.name, rows)
    given = config.columns
    _check_given(table, given, config.candidates)
    found: dict[str, str | tuple[str, ...] | None] = {}
    if not given.question:
        found["question"] = _guess_question(table)
    if given.answer is None:
        found["answer"] = table.guess("--answer-column", ANSWER_NAMES, answer_text)
        if found["answer"] is None:
            raise table.error("no column that could be the answer", "--answer-column")
    if given.subject is None:
        found["subject"] = table.first(SUBJECT_NAMES)
    if given.answer_type is None:
        found["answer_type"] = table.first(("answer_type",))
    known = given.model_copy(update=found)
    if config.candidates == "ignore":
        known = known.model_copy(update={"candidates": (), "correct": (), "candidate_model": ()})
    else:
        known, more = _guess_candidates(table, known, is_required=config.candidates == "require")
        found |= more
    guessed = tuple(name for name, value in found.items() if value)
    return Resolved(source=source, columns=known, guessed=guessed)


class _Table:
    """The first rows of a source, seen by column: a column of objects shows as its parts."""

    def __init__(self, name: str, rows: Sequence[Fields]) -> None:
        self.name = name
        self.rows = rows
        self.columns: dict[str, None] = {}
        for row in rows:
            for key, value in row.items():
                parts = [f"{key}.{part}" for part in value] if isinstance(value, dict) else [key]
                self.columns.update(dict.fromkeys(parts))

    def error(self, problem: str, flag: str) -> IngestError:
        shown = ", ".join(list(self.columns)[:MAX_COLUMNS_NAMED]) or "none"
        more = ", ..." if len(self.columns) > MAX_COLUMNS_NAMED else ""
        return IngestError(f"{self.name}: {problem}; columns: {shown}{more}; name it with {flag}")

    def has(self, column: str) -> bool:
        return any(lookup(row, column) is not MISSING for row in self.rows)

    def named(self, names: Sequence[str]) -> list[str]:
        return [column for name in names for column in self.columns if column.lower() == name]

    def first(self, names: Sequence[str]) -> str | None:
        return next(iter(self.named(names)), None)

    def guess(
        self, flag: str, names: Sequence[str], read: Callable[[object], object]
    ) -> str | None:
        found = self.choose(flag, [(name,) for name in self.named(names)], read)
        return found[0] if found else None

    def choose(
        self,
        flag: str,
        options: Sequence[tuple[str, ...]],
        read: Callable[[object], object],
    ) -> tuple[str, ...]:
        """The first option, if the others say the same on every row that has both."""
        for other in options[1:]:
            for row in self.rows:
                pair = [[read(lookup(row, c)) for c in option] for option in (options[0], other)]
                if pair[0] != pair[1] and all(None not in values for values in pair):
                    raise self.error(_difference((options[0], other), pair), flag)
        return options[0] if options else ()


def _difference(options: Sequence[tuple[str, ...]], pair: Sequence[list[object]]) -> str:
    one, two = ("+".join(option) for option in options)
    shown = [" ".join(repr(values[0]).split())[:MAX_VALUE_CHARS] for values in pair]
    return f"both {one} and {two} could be meant, and they differ ({shown[0]} and {shown[1]})"


def _check_given(table: _Table, given: ColumnMapping, candidates: str) -> None:
    flags = {
        "--question-column": given.question_columns(),
        "--answer-column": (given.answer,) if given.answer else (),
        "--subject-column": (given.subject,) if given.subject else (),
        "--answer-type-column": (given.answer_type,) if given.answer_type else (),
    }
    if candidates != "ignore":
        flags["--candidates-column"] = given.candidates
        flags["--correct-column"] = given.correct
        flags["--candidate-model-column"] = given.candidate_model
    for flag, columns in flags.items():
        for column in columns:
            if not table.has(column):
                raise table.error(f"no column {column!r}", flag)
    for flag in ("--correct-column", "--candidate-model-column"):
        count = len(flags.get(flag, ()))
        if given.candidates and count not in (0, 1, len(given.candidates)):
            raise IngestError(
                f"{table.name}: {flag} is given {count} times and --candidates-column"
                f" {len(given.candidates)} times: give one each, in the same order"
            )


def _guess_question(table: _Table) -> str:
    column = table.guess("--question-column", QUESTION_NAMES, _question_text)
    if column is None:
        raise table.error("no column that could be the question", "--question-column")
    if part := table.first(QUESTION_PARTS):
        raise table.error(
            f"column {part} may belong to the question, beside {column}",
            f"--question-column {column}, or once for each part",
        )
    return column


def _question_text(value: object) -> str | None:
    text = to_text(value)
    return None if text is None else normalise(text)


def _guess_candidates(
    table: _Table, known: ColumnMapping, *, is_required: bool
) -> tuple[ColumnMapping, dict[str, str | tuple[str, ...] | None]]:
    found: dict[str, str | tuple[str, ...] | None] = {}
    if not known.candidates:
        taken = set(known.all_columns())
        options = [o for o in _families(table, CANDIDATE_NAMES) if not taken & set(o)]
        found["candidates"] = table.choose("--candidates-column", options, _texts)
        if is_required and not found["candidates"]:
            raise table.error("no column that could be the candidates", "--candidates-column")
        known = known.model_copy(update=found)
    if known.candidates and not known.correct:
        beside = _label_options(table, known.candidates)
        options = [option for option in beside if _are_labels(table, known, option)]
        found["correct"] = table.choose("--correct-column", options, _flags)
    if known.candidates and not known.candidate_model and (model := table.first(MODEL_NAMES)):
        found["candidate_model"] = (model,)
    return known.model_copy(update=found), found


def _families(table: _Table, names: Sequence[str]) -> list[tuple[str, ...]]:
    """Columns of these names; those of one name inside sibling objects go together."""
    inside = [[c for c in table.columns if c.lower().endswith(f".{name}")] for name in names]
    return [*((c,) for c in table.named(names)), *(tuple(group) for group in inside if group)]


def _label_options(table: _Table, candidates: Sequence[str]) -> list[tuple[str, ...]]:
    owners = [column.rpartition(".")[0] for column in candidates]
    if not all(owners):
        return [(column,) for column in table.named(CORRECT_NAMES)]
    beside = [tuple(f"{owner}.{name}" for owner in owners) for name in CORRECT_NAMES]
    return [option for option in beside if all(column in table.columns for column in option)]


def _are_labels(table: _Table, known: ColumnMapping, option: tuple[str, ...]) -> bool:
    """Whether these columns hold a readable label for each candidate of each row."""
    for row in table.rows:
        texts = [lookup(row, column) for column in known.candidates]
        if not any(_texts(value) for value in texts):
            continue
        labels = align(row, option, [len(flat(value)) for value in texts])
        if labels is None or any(_is_unreadable(label) for label in labels):
            return False
    return True


def _is_unreadable(label: object) -> bool:
    return label is not None and label is not MISSING and read_flag(label) is None


def _texts(value: object) -> list[str | None] | None:
    texts = [to_text(item) for item in flat(value)]
    return texts if any(texts) else None


def _flags(value: object) -> list[bool | None]:
    return [read_flag(item) for item in flat(value)]
