"""The questions a person asks of a corpus: the analyses that say what they ask.

Invariant: an analysis is a question when its second line is `-- asks: ...?`; the others are parts
of other commands.

    questions()["kinds_kept"] == "Which kinds of rationale win the selection?"
"""

from __future__ import annotations

from sql.database import did_you_mean, names, statement
from tasks.errors import UsageError

KIND = "analyses"
_MARK = "-- asks: "


class UnknownQuestionError(UsageError):
    """There is no analysis of that name."""


def questions() -> dict[str, str]:
    """Name -> what it asks, sorted by name."""
    asked = {name: statement(KIND, name).splitlines()[1] for name in names(KIND)}
    return {name: line.removeprefix(_MARK) for name, line in asked.items() if _MARK in line}


def check_question(name: str) -> None:
    """Raises UnknownQuestionError."""
    if name not in questions():
        meant = did_you_mean(name, questions())
        raise UnknownQuestionError(f"no question {name!r}. {meant}`litecot ask` lists them all")


def question_text(name: str) -> str:
    """The query that answers a question. Raises UnknownQuestionError."""
    check_question(name)
    return statement(KIND, name)
