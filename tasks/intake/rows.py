"""One row of a source as a problem with the candidates it brings, or the reason why it is none.

Invariant: pure; a question is its text as it came, with its options as lines behind it, and every
oddity that did not stop it is a warning.

A sample: {"question": " 3 + 4 = ?", "answer": "... #### 7"} ->
IngestedProblem(problem=Problem(question="3 + 4 = ?", answer="7", answer_type="integer", ...)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tasks import answers
from tasks.answers.kinds import ANSWER_TYPES
from tasks.intake.chat import ChatError, ask, read_chat
from tasks.intake.choices import Options, Reading, read_options, which
from tasks.intake.columns import ColumnMapping, Resolved, SourceConfig
from tasks.intake.endings import read_endings
from tasks.intake.sources import Fields, SourceRow
from tasks.intake.values import (
    MISSING,
    Imported,
    answer_text,
    as_it_came,
    cell,
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

    `problem_id` is the first problem's of this wording; `family` is what questions that are not
    independent of it share; `tokens` are those of the question, `stem`
    those of the question without its options and without a system turn, where it has any.
    """

    problem: Problem
    problem_id: str
    tokens: Sequence[str] = field(repr=False)
    candidates: list[Candidate] = field(default_factory=list)
    warnings: tuple[str, ...] = ()
    is_new: bool = True
    family: str | None = None
    stem: Sequence[str] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Question:
    """A question as it is asked; `stem`: without its options and a system turn."""

    text: str
    stem: str
    options: Options | None
    warnings: tuple[str, ...]


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
    question = read_question(row.fields, columns, config)
    answer, answer_type, doubts = _read_gold(row.fields, one, config, question)
    problem = Problem(
        source=one.source.name,
        line=row.line,
        question=question.text,
        answer=answer,
        answer_type=answer_type,
        subject=_name_in(row.fields, columns.subject_columns()),
    )
    problem_id = problem.content_id()
    candidates, complaints = _read_candidates(row.fields, problem_id, columns, config)
    told = dict.fromkeys((*row.warnings, *question.warnings, *doubts, *complaints))
    return IngestedProblem(
        problem=problem, problem_id=problem_id, tokens=tokens_of(question.text),
        candidates=candidates, warnings=tuple(told),
        family=_name_in(row.fields, columns.family_columns()),
        stem=tokens_of(question.stem) if question.stem != question.text else (),
    )  # fmt: skip


def _name_in(fields: Fields, columns: Sequence[str]) -> str | None:
    """What these columns hold, in one line; None where that is nothing."""
    found = joined(fields, columns)
    return None if found is None else normalise(clean_text(found)[0]) or None


def read_question(fields: Fields, columns: ColumnMapping, config: SourceConfig) -> Question:
    """The question with its options, and what is odd about it. Raises RowError."""
    asked = [_part(fields, column, config) for column in columns.question_columns()]
    parts = [(text, stem) for text, stem in asked if text is not None]
    if sum(len(text) for text, _ in parts) > config.max_question_chars:
        limit = config.max_question_chars
        raise RowError("question_too_long", f"question longer than {limit} characters")
    text, warnings = clean_text("\n".join(text for text, _ in parts))
    if not (question := as_it_came(text)):
        raise RowError("empty_question", "no question")
    stem = as_it_came(clean_text("\n".join(stem for _, stem in parts))[0])
    options = options_of(fields, columns)
    if options is not None and not options.are_in(question):
        question = "\n".join((question, *options.lines()))
    if control_text(question):
        warnings = (*warnings, "control_text_in_question")
    return Question(question, stem, options, warnings)


def _part(fields: Fields, column: str, config: SourceConfig) -> tuple[str | None, str]:
    """The text of a question column, and that of its user's turn alone. Raises RowError."""
    value = cell(fields, column)
    if (chat := read_chat(value)) is not None:
        try:
            asked = ask(chat, turns=config.turns, system=config.system)
        except ChatError as error:
            raise RowError(error.reason, error.detail) from None
        return asked.question, asked.stem
    if isinstance(value, (dict, list, bytes)):
        raise RowError("question_not_text", f"the question is no text: {_inside(column, value)}")
    text = to_text(value)
    return text, text or ""


def _inside(column: str, value: object) -> str:
    """What to name in the place of a column that holds objects, a list or bytes."""
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return f"{column} holds a list; are these options? name it with --options-column {column}"
    first = value[0] if isinstance(value, list) and value else value
    if isinstance(first, dict) and first:
        at = f"{column}.0" if isinstance(value, list) else column
        named = ", ".join(f"{at}.{key}" for key in list(first)[:5])
        return f"name a column inside it ({named})"
    return "name another column"


def options_of(fields: Fields, columns: ColumnMapping) -> Options | None:
    """Raises RowError."""
    if not columns.options:
        return None
    try:
        return read_options([cell(fields, column) for column in columns.options])
    except ValueError as error:
        raise RowError("unreadable_options", str(error)) from None


def joined(fields: Fields, columns: Sequence[str]) -> str | None:
    """What the columns hold, joined as the items of a list are; None where they hold nothing."""
    return to_text([lookup(fields, column) for column in columns]) if columns else None


def _read_gold(
    fields: Fields, one: Resolved, config: SourceConfig, question: Question
) -> tuple[str, str, tuple[str, ...]]:
    """The gold answer, its type and what is odd about them. Raises RowError."""
    columns, options = one.columns, question.options
    values = [lookup(fields, column) for column in columns.answer_columns()]
    value = values[0] if len(values) == 1 else list(filter(None, map(answer_text, values)))
    named = _named_option(value, options, one.reading) if options else None
    if options is None or named is None:
        answer = _read_answer(value, columns, config.max_question_chars)
        answer_type, doubts = _read_answer_type(fields, columns, config, answer, question.text)
        if options and config.answer_type is None and not columns.answer_type:
            count = len(options.texts)
            what = f"the gold answer {answer[:40]!r} is none of the {count} options"
            raise RowError("answer_not_an_option", what)
        return answer, answer_type, doubts
    letters, texts, doubts = named
    answer_type, more = _read_answer_type(fields, columns, config, letters, question.text)
    said = config.answer_type or (answer_type if columns.answer_type else None)
    if said in (None, "choice"):
        return letters, "choice", doubts + more
    return normalise(texts), answer_type, doubts + more


def _named_option(
    value: object, options: Options, reading: Reading
) -> tuple[str, str, tuple[str, ...]] | None:
    """Letters and texts of the options that the gold names, and doubts; None: it names none."""
    gold = which(value, options, reading)
    if gold is None:
        return None
    texts = ", ".join(options.texts[number] for number in gold.numbers)
    return gold.letters(), texts, ("ambiguous_gold",) * gold.is_ambiguous


def _read_answer(value: object, columns: ColumnMapping, max_chars: int) -> str:
    named = ", ".join(columns.answer_columns())
    if isinstance(value, (dict, bytes)):
        raise RowError("answer_not_text", f"the answer is no text: {_inside(named, value)}")
    if isinstance(value, str) and len(value) > max_chars:
        raise RowError("answer_too_long", f"answer longer than {max_chars} characters")
    answer = answer_text(value)
    if answer is None:
        what = f"column {named} is {'absent' if value is MISSING else 'empty'}"
        raise RowError("missing_answer", f"no answer: {what}")
    return answer


def _read_answer_type(
    fields: Fields, columns: ColumnMapping, config: SourceConfig, answer: str, question: str
) -> tuple[str, tuple[str, ...]]:
    if config.answer_type is not None:
        return config.answer_type, ()
    held = [to_text(lookup(fields, column)) for column in columns.answer_type_columns()]
    said = next(filter(None, held), None)
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
