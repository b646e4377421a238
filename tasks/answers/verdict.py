"""Grading: read the last stated answer, compare it with the gold one, give one of five verdicts.

Invariant: reading is linear and bounded; only `Comparison.settle` with a symbolic leaf can be slow,
and it needs nothing but two short strings, so it can be done in another process.
Sample: grade("... The answer is 5.", answer="5", answer_type="integer", truncated=False) is
Grade(verdict="correct", extracted_answer="5").
"""

from __future__ import annotations

from dataclasses import dataclass

from tasks.answers.equality import Leaf, undecided
from tasks.answers.kinds import KINDS, AnswerKind
from tasks.answers.stated import (
    MAX_ANSWER_CHARACTERS,
    Statement,
    find_statements,
    last_lines,
    tail_of,
)
from tasks.answers.symbolic import UnreadableGoldError, same_symbolically
from tasks.answers.symbols import plain
from tasks.ports import Grade

_MAX_WORKED_SOLUTION = 200_000
_PREAMBLE = 24  # characters: "So the final answer is"; further in, a phrase is part of the answer


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A stated answer beside the gold one; `whole_line` is tried where `stated` differs."""

    answer_type: str
    gold: str
    stated: str
    whole_line: str

    def settle(self, symbolic: Leaf) -> Grade | None:
        """The grade; None where only a symbolic leaf could tell and `symbolic` told nothing."""
        compare = KINDS[self.answer_type].compare
        try:
            verdicts = [
                compare(self.gold, stated, symbolic) for stated in {self.stated, self.whole_line}
            ]
        except (UnreadableGoldError, RecursionError):
            return Grade(verdict="unverifiable", extracted_answer=self.stated)
        if True not in verdicts and None in verdicts:
            return None
        is_correct = True in verdicts
        return Grade(verdict="correct" if is_correct else "wrong", extracted_answer=self.stated)


def grade(text: str, *, answer: str, answer_type: str, truncated: bool) -> Grade:
    """Grade `text` against the gold `answer`. Unlimited in time: give strangers' text to a Grader.

    Raises ValueError for an unknown `answer_type`.
    """
    outcome = read_answer(text, answer=answer, answer_type=answer_type, truncated=truncated)
    if isinstance(outcome, Grade):
        return outcome
    settled = outcome.settle(undecided) or outcome.settle(same_symbolically)
    return settled or Grade(verdict="unverifiable", extracted_answer=outcome.stated)


def read_answer(text: str, *, answer: str, answer_type: str, truncated: bool) -> Grade | Comparison:
    """What remains to be compared, or the grade where nothing does. Raises ValueError."""
    kind = KINDS.get(answer_type)
    if kind is None:
        raise ValueError(f"answer_type {answer_type!r} is none of {', '.join(KINDS)}")
    gold = gold_answer(answer)
    if not gold or len(gold) > MAX_ANSWER_CHARACTERS:
        return Grade(verdict="unverifiable")
    found = _last_answer(text, kind, truncated=truncated)
    if found is None:
        return Grade(verdict="truncated" if truncated else "no_answer")
    stated, whole_line = found
    return Comparison(answer_type=answer_type, gold=gold, stated=stated, whole_line=whole_line)


def gold_answer(text: str) -> str:
    """The answer of a gold text: after `####`, in a box, after "A:" or a phrase; else all."""
    bounded = plain(text[-_MAX_WORKED_SOLUTION:]).strip()
    statements = find_statements(tail_of(bounded))
    if statements and (
        "\n" in bounded or statements[-1].is_marked or statements[-1].start < _PREAMBLE
    ):
        return statements[-1].value
    return bounded


_THOUGHT_END = "</think>"


def _last_answer(text: str, kind: AnswerKind, *, truncated: bool) -> tuple[str, str] | None:
    """The last answer stated after the thought, else in it; a closing line only of whole texts."""
    thought, ended, final = text.rpartition(_THOUGHT_END)
    if truncated and not ended and "<think>" in text:
        return None  # cut off while thinking: nothing is final yet
    tail = tail_of(final)
    found = _stated(tail, kind, truncated=truncated)
    if found is None and not truncated:
        readings = map(kind.read_line, last_lines(tail)[: kind.num_closing_lines])
        found = next(((reading, reading) for reading in readings if reading), None)
    return found or (_stated(tail_of(thought), kind, truncated=False) if thought else None)


def _stated(tail: str, kind: AnswerKind, *, truncated: bool) -> tuple[str, str] | None:
    statements = [s for s in find_statements(tail) if not (truncated and s.is_open)]
    for statement in reversed(statements):
        reading = kind.read(statement)
        if reading is not None:
            return reading, _whole_line(statement, reading)
    return None


def _whole_line(statement: Statement, reading: str) -> str:
    return statement.line if reading == statement.value else reading
