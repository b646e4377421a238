"""One row of a source as a problem with the candidates it brings, or the reason why it is none.

Invariant: pure; what is kept is normalised text without control characters, and every oddity that
did not stop it is a warning. A sample: {"question": " 3 + 4 = ?", "answer": "... #### 7"} ->
IngestedProblem(problem=Problem(question="3 + 4 = ?", answer="7", answer_type="integer", ...)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tasks import answers
from tasks.answers.kinds import ANSWER_TYPES
from tasks.intake.columns import ColumnMapping, Resolved, SourceConfig
from tasks.intake.endings import read_endings
from tasks.intake.sources import Fields, SourceRow
from tasks.intake.values import (
    MISSING,
    Imported,
    answer_text,
    clean_text,
    control_text,
    imported_candidates,
    lookup,
    normalise,
    to_text,
)
from tasks.intake.wording import tokens_of
from tasks.schemas import Candidate, Problem


@dataclass(frozen=True, kw_only=True)
class IngestedProblem:
    """A row that was accepted. `is_new` False: the problem was seen before, its candidates not.

    `problem_id` is the first problem's of this wording; `tokens` are those of the question.
    """

    problem: Problem
    problem_id: str
    tokens: Sequence[str] = field(repr=False)
    candidates: list[Candidate] = field(default_factory=list)
    warnings: tuple[str, ...] = ()
    is_new: bool = True


class RowError(Exception):
    """This row is no problem: becomes a Rejection."""

    def __init__(self, reason: str, detail: str, problem_id: str | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.problem_id = problem_id


def read_problem(row: SourceRow, one: Resolved, config: SourceConfig) -> IngestedProblem:
    """Raises RowError."""
    columns = one.columns
    question, warnings = read_question(row.fields, columns, config.max_question_chars)
    answer = _read_answer(row.fields, columns, config.max_question_chars)
    answer_type, doubts = _read_answer_type(row.fields, columns, config, answer, question)
    subject = None if columns.subject is None else to_text(lookup(row.fields, columns.subject))
    problem = Problem(
        source=one.source.name,
        line=row.line,
        question=question,
        answer=answer,
        answer_type=answer_type,
        subject=None if subject is None else normalise(clean_text(subject)[0]) or None,
    )
    problem_id = problem.content_id()
    candidates, complaints = _read_candidates(row.fields, problem_id, columns, config)
    told = dict.fromkeys((*row.warnings, *warnings, *doubts, *complaints))
    return IngestedProblem(
        problem=problem, problem_id=problem_id, tokens=tokens_of(question), candidates=candidates,
        warnings=tuple(told),
    )  # fmt: skip


def read_question(
    fields: Fields, columns: ColumnMapping, max_chars: int
) -> tuple[str, tuple[str, ...]]:
    """The question, and what is odd about it. Raises RowError."""
    values = [lookup(fields, column) for column in columns.question_columns()]
    if any(isinstance(value, (dict, list, bytes)) for value in values):
        raise RowError("question_not_text", "the question is no text: name a column inside it")
    parts = [text for value in values if (text := to_text(value)) is not None]
    if sum(map(len, parts)) > max_chars:
        raise RowError("question_too_long", f"question longer than {max_chars} characters")
    text, warnings = clean_text("\n".join(parts))
    if not (question := normalise(text)):
        raise RowError("empty_question", "no question")
    if control_text(question):
        warnings = (*warnings, "control_text_in_question")
    return question, warnings


def _read_answer(fields: Fields, columns: ColumnMapping, max_chars: int) -> str:
    value = lookup(fields, columns.answer or "")
    if isinstance(value, (dict, bytes)):
        raise RowError("answer_not_text", "the answer is no text: name a column inside it")
    if isinstance(value, str) and len(value) > max_chars:
        raise RowError("answer_too_long", f"answer longer than {max_chars} characters")
    answer = answer_text(value)
    if answer is None:
        what = f"column {columns.answer} is {'absent' if value is MISSING else 'empty'}"
        raise RowError("missing_answer", f"no answer: {what}")
    return answer


def _read_answer_type(
    fields: Fields, columns: ColumnMapping, config: SourceConfig, answer: str, question: str
) -> tuple[str, tuple[str, ...]]:
    if config.answer_type is not None:
        return config.answer_type, ()
    said = to_text(lookup(fields, columns.answer_type)) if columns.answer_type else None
    if said is not None and said in ANSWER_TYPES:
        return said, ()
    return answers.infer_answer_type(answer, question), ("unknown_answer_type",) if said else ()


def _read_candidates(
    fields: Fields, problem_id: str, columns: ColumnMapping, config: SourceConfig
) -> tuple[list[Candidate], tuple[str, ...]]:
    if not columns.candidates:
        return [], ()
    imported, warnings = imported_candidates(
        fields, columns.candidates, columns.correct, columns.candidate_model
    )
    endings = read_endings(fields, columns.candidates, count=len(imported))
    found = []
    for number, one in enumerate(imported):
        if one.text is not None:
            candidate, doubts = _read_candidate(one, number, problem_id, config)
            found.append(replace(candidate, finish_reason=endings[number]))
            warnings += doubts
    return found, warnings


def _read_candidate(
    imported: Imported, number: int, problem_id: str, config: SourceConfig
) -> tuple[Candidate, tuple[str, ...]]:
    text, warnings = clean_text(imported.text or "")
    if control_text(text):
        warnings = (*warnings, "control_text_in_candidate")
    candidate = Candidate(
        problem_id=problem_id,
        candidate=number,
        text=text,
        model=imported.model or config.candidate_model,
        recorded_correct=imported.correct,
    )
    return candidate, warnings
