"""Column flags of the command line as recipe overrides: a run has one source of settings."""

from __future__ import annotations

import json
from collections.abc import Sequence


def column_overrides(
    *,
    question: str | None,
    answer: str | None,
    candidates: Sequence[str] | None,
    correct: Sequence[str] | None,
    answer_type: str | None,
) -> list[str]:
    """`--question-column q` -> `source.columns.question="q"`; what is not given is left out."""
    values = {
        "source.columns.question": question,
        "source.columns.answer": answer,
        "source.columns.candidates": list(candidates) if candidates else None,
        "source.columns.correct": list(correct) if correct else None,
        "source.answer_type": answer_type,
    }
    return [
        f"{key}={json.dumps(value, ensure_ascii=False)}"
        for key, value in values.items()
        if value is not None
    ]
