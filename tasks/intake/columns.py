"""Which column holds what, as a person says it: declarations only.

Invariant: frozen and closed; a column is a dotted path. tasks/intake/guesses.py settles what is
left unsaid.

A sample: ColumnMapping(question="question", answer="gt", candidates=("code",), correct=("score",)).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from tasks.answers.kinds import ANSWER_TYPES
from tasks.benchmarks import load_benchmark
from tasks.intake.chat import System, Turns
from tasks.intake.choices import Reading
from tasks.intake.sources import Source


class ColumnMapping(BaseModel):
    """Columns by dotted path ("6b_finetuning.solution"); what is left out is guessed.

    Several question columns are joined by a line break, several answer or subject columns as the
    items of a list are. A conversation asks by its last user turn and answers by its last reply.
    `options`: one column that holds them all, or one each. Each candidates column holds a text or a
    list of texts; `correct` and `candidate_model` run parallel to them. Of several columns for the
    answer's type the first that holds one counts. Questions equal in `family` are not independent
    of one another, as evaluation has to know.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str | tuple[str, ...] | None = Field(
        default=None, description="the question, or the parts it is joined from"
    )
    answer: str | tuple[str, ...] | None = Field(default=None, description="the gold answer")
    candidates: tuple[str, ...] = Field(
        default=(), description="rationales that are there already, a text or a list of them each"
    )
    correct: tuple[str, ...] = Field(
        default=(), description="whether each candidate is right, parallel to candidates"
    )
    candidate_model: tuple[str, ...] = Field(
        default=(), description="who wrote each candidate, parallel to candidates"
    )
    subject: str | tuple[str, ...] | None = Field(
        default=None, description="what a problem is about; kept, and counted by"
    )
    answer_type: str | tuple[str, ...] | None = Field(
        default=None,
        description="how answers are compared; of several columns the first that says so",
    )
    options: tuple[str, ...] = Field(
        default=(), description="choices: one column that holds them all, or one each"
    )
    family: str | tuple[str, ...] | None = Field(
        default=None, description="questions equal in it are not independent of one another"
    )

    def question_columns(self) -> tuple[str, ...]:
        return _several(self.question)

    def answer_columns(self) -> tuple[str, ...]:
        return _several(self.answer)

    def subject_columns(self) -> tuple[str, ...]:
        return _several(self.subject)

    def answer_type_columns(self) -> tuple[str, ...]:
        return _several(self.answer_type)

    def family_columns(self) -> tuple[str, ...]:
        return _several(self.family)

    def all_columns(self) -> tuple[str, ...]:
        return (
            *self.question_columns(), *self.options, *self.answer_columns(),
            *self.subject_columns(), *self.answer_type_columns(), *self.family_columns(),
            *self.candidates, *self.correct, *self.candidate_model,
        )  # fmt: skip


def _several(columns: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (columns,) if isinstance(columns, str) else columns or ()


class SourceConfig(BaseModel):
    """How to read the inputs; what a person can set about them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: ColumnMapping = Field(
        default=ColumnMapping(), description="which columns hold what; what is left out is guessed"
    )
    candidates: Literal["guess", "require", "ignore"] = Field(
        default="guess",
        description="rationales in the rows: found by name, refused without, or left alone",
    )
    answer_type: str | None = Field(
        default=None,
        description="of all problems; goes before a column and what the answers look like",
    )
    candidate_model: str | None = Field(
        default=None, description="who wrote candidates whose row does not say"
    )
    options: Literal["guess", "ignore"] = Field(
        default="guess", description="ignore: none but those that are named"
    )
    turns: Turns = Field(
        default="refuse", description="what stands before the last user turn of a conversation"
    )
    system: System = Field(
        default="keep", description="a conversation's system turn, before the question"
    )
    max_line_bytes: int = Field(
        default=8_000_000, ge=1, description="a longer line is rejected, and told"
    )
    max_question_chars: int = Field(
        default=100_000, ge=1, description="a longer question is rejected, and told"
    )

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
    reading: Reading = field(default_factory=Reading)  # how the gold counts options

    def describe(self) -> str:
        """One line for a person: which column serves as what, guesses marked."""
        shown = self.columns.model_dump(exclude_defaults=True)
        texts = {k: v if isinstance(v, str) else ", ".join(v) for k, v in shown.items()}
        parts = [f"{k}={v}{' (guessed)' if k in self.guessed else ''}" for k, v in texts.items()]
        if self.columns.options and self.reading.is_sure and not self.reading.by_text:
            parts.append(f"the answer counts the options from {self.reading.base}")
        return f"{self.source.name}: {'; '.join(parts)}"


def of_benchmark(name: str) -> SourceConfig:
    """How a benchmark's rows are read, as its file says. Raises BenchmarkError."""
    told = load_benchmark(name)
    columns = ColumnMapping(
        question=told.question, options=_several(told.options), answer=told.answer,
        subject=told.subject, family=told.family,
    )  # fmt: skip
    return SourceConfig(columns=columns, candidates="ignore", answer_type=told.answer_type)
