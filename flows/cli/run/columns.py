"""Column flags of the command line as recipe overrides: a run has one source of settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

import typer

QuestionColumn = Annotated[
    list[str] | None,
    typer.Option(
        help="Column of the question, or of a conversation that asks it; repeatable: parts "
        "are joined by line breaks.",
        rich_help_panel="Columns",
    ),
]
OptionsColumn = Annotated[
    list[str] | None,
    typer.Option(
        help="Column of all options of a multiple choice; or one each, repeatable, in order.",
        rich_help_panel="Columns",
    ),
]
AnswerColumn = Annotated[
    list[str] | None,
    typer.Option(
        help="Column of the gold answer; repeatable: parts are joined by commas.",
        rich_help_panel="Columns",
    ),
]
CandidatesColumn = Annotated[
    list[str] | None,
    typer.Option(
        help="Column of a rationale, or of a list of them; dotted paths reach into objects; "
        "repeatable.",
        rich_help_panel="Columns",
    ),
]
CorrectColumn = Annotated[
    list[str] | None,
    typer.Option(
        help="The source's own grading, parallel to the candidates; repeatable.",
        rich_help_panel="Columns",
    ),
]
CandidateModelColumn = Annotated[
    list[str] | None,
    typer.Option(
        help="The model that wrote a rationale, parallel to the candidates; repeatable.",
        rich_help_panel="Columns",
    ),
]
SubjectColumn = Annotated[
    list[str] | None,
    typer.Option(
        help="Column of the topic; repeatable: joined by commas.", rich_help_panel="Columns"
    ),
]
AnswerTypeColumn = Annotated[
    list[str] | None,
    typer.Option(
        help="Column of the answer's type; repeatable: the first that holds one.",
        rich_help_panel="Columns",
    ),
]
AnswerType = Annotated[
    str | None,
    typer.Option(
        help="math | integer | choice | yes_no | date | text; guessed if not given.",
        rich_help_panel="Columns",
    ),
]


def column_overrides(
    *,
    question: Sequence[str] | None,
    answer: Sequence[str] | None,
    options: Sequence[str] | None,
    candidates: Sequence[str] | None,
    correct: Sequence[str] | None,
    candidate_model: Sequence[str] | None,
    subject: Sequence[str] | None,
    answer_type_column: Sequence[str] | None,
    answer_type: str | None,
) -> list[str]:
    """`--question-column q` -> `source.columns.question="q"`; what is not given is left out.

    A flag given several times is a list. Given once it is the text alone where a text is the usual
    form, so that nobody's fingerprint changes.
    """
    values = {
        "source.columns.question": _one_or_several(question),
        "source.columns.answer": _one_or_several(answer),
        "source.columns.options": list(options) if options else None,
        "source.columns.candidates": list(candidates) if candidates else None,
        "source.columns.correct": list(correct) if correct else None,
        "source.columns.candidate_model": list(candidate_model) if candidate_model else None,
        "source.columns.subject": _one_or_several(subject),
        "source.columns.answer_type": _one_or_several(answer_type_column),
        "source.answer_type": answer_type,
    }
    return [
        f"{key}={json.dumps(value, ensure_ascii=False)}"
        for key, value in values.items()
        if value is not None
    ]


def _one_or_several(columns: Sequence[str] | None) -> str | list[str] | None:
    if not columns:
        return None
    return columns[0] if len(columns) == 1 else list(columns)
