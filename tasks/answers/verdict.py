"""Grading: read the last stated answer, compare it with the gold one, give one of five verdicts.

Invariant: reading is linear and bounded; only `Comparison.settle` with a symbolic leaf can be slow,
and it needs nothing but two short strings, so it can be done in another process.
Sample: grade("... The answer is 5.", answer="5", answer_type="integer", truncated=False) is
Grade(verdict="correct", extracted_answer="5").
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from tasks.answers.equality import Leaf
from tasks.answers.kinds import ANSWER_TYPES, AnswerType
from tasks.answers.phrases import find_phrases
from tasks.answers.reach import is_within_reach
from tasks.answers.stated import (
    find_statements,
    last_lines,
    stops_in_sentence,
    stops_inside,
    tail_of,
)
from tasks.answers.statement import MAX_ANSWER_CHARACTERS, Statement, denied
from tasks.answers.symbolic import UnreadableGoldError, same_symbolically
from tasks.answers.symbols import plain
from tasks.ports import Grade, StatedAs, Verdict

_MAX_WORKED_SOLUTION = 200_000
_MAX_REMEMBERED = 4_000
_PREAMBLE = 24  # characters: "So the final answer is"; further in, a phrase is part of the answer


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A stated answer beside the gold one; `whole_line` is tried where `stated` differs."""

    answer_type: str
    gold: str
    stated: str
    whole_line: str
    stated_as: StatedAs

    def grade(self, verdict: Verdict) -> Grade:
        """The grade of what was read."""
        return Grade(verdict=verdict, extracted_answer=self.stated, stated_as=self.stated_as)

    def _readings(self, kind: AnswerType) -> set[str]:
        return {self.stated, self.whole_line} if kind.tries_line(self.stated) else {self.stated}

    def settle(self, symbolic: Leaf) -> Grade | None:
        """The grade; None where only a symbolic leaf could tell and `symbolic` told nothing."""
        kind = ANSWER_TYPES[self.answer_type]
        if _denies(self.stated, kind) is not None and denied(self.gold) is None:
            return self.grade("wrong")
        try:
            verdicts = [
                kind.compare(self.gold, stated, symbolic) for stated in self._readings(kind)
            ]
        except (UnreadableGoldError, RecursionError):
            return self.grade("unverifiable")
        if True not in verdicts and None in verdicts:
            return None
        return self.grade("correct" if True in verdicts else "wrong")

    def settle_cheaply(self) -> Grade | None:
        """The grade as far as no algebra is needed; None where algebra might tell.

        What a type from outside compares by is done in the worker, within its limits.
        """
        if ANSWER_TYPES.entry(self.answer_type).sha:
            return None
        leaves: list[tuple[str, str]] = []
        grade = self.settle(lambda gold, stated: leaves.append((gold, stated)))
        if grade is None and not any(is_within_reach(g) and is_within_reach(s) for g, s in leaves):
            return self.grade("unverifiable")
        return grade


def grade(text: str, *, answer: str, answer_type: str, truncated: bool) -> Grade:
    """Grade `text` against the gold `answer`. Unlimited in time: give strangers' text to a Grader.

    Raises PluginError for an unknown `answer_type`.
    """
    outcome = read_answer(text, answer=answer, answer_type=answer_type, truncated=truncated)
    if isinstance(outcome, Grade):
        return outcome
    settled = outcome.settle_cheaply() or outcome.settle(same_symbolically)
    return settled or outcome.grade("unverifiable")


def read_answer(text: str, *, answer: str, answer_type: str, truncated: bool) -> Grade | Comparison:
    """What remains to be compared, or the grade where nothing does. Raises PluginError."""
    kind = ANSWER_TYPES[answer_type]
    gold = gold_answer(answer)
    if not gold or len(gold) > MAX_ANSWER_CHARACTERS:
        return Grade(verdict="unverifiable")
    final = after_thought(text)
    if final is None:
        return Grade(verdict="truncated")  # cut off while thinking: nothing is final yet
    found = _answer_of(tail_of(final), kind, truncated=truncated)
    if found is None:
        return Grade(verdict="truncated" if truncated else "no_answer")
    return Comparison(
        answer_type=answer_type,
        gold=gold,
        stated=found.value,
        whole_line=found.whole_line,
        stated_as=found.stated_as,
    )


def stated_answer(text: str, *, truncated: bool = False) -> Grade | None:
    """What a text says its answer is, where there is no gold one and so no type; None: nothing.

    Linear and bounded. The verdict is `unverifiable`.
    """
    final = after_thought(text)
    if final is None:
        return None
    tail, kinds = tail_of(final), (ANSWER_TYPES["math"], ANSWER_TYPES["text"])
    found = [_stated(tail, kind, truncated=truncated) for kind in kinds]
    found += [_answer_of(tail, kind, truncated=truncated) for kind in kinds]
    read = next((reading for reading in found if reading is not None), None)
    if read is None:
        return None
    return Grade(verdict="unverifiable", extracted_answer=read.value, stated_as=read.stated_as)


def gold_answer(text: str) -> str:
    """The answer of a gold text: after `####`, in a box, after "A:" or a phrase; else all."""
    return _short_gold_answer(text) if len(text) <= _MAX_REMEMBERED else _gold_answer(text)


@lru_cache(maxsize=1024)  # the candidates of a problem share it
def _short_gold_answer(text: str) -> str:
    return _gold_answer(text)


def _gold_answer(text: str) -> str:
    bounded = plain(text[-_MAX_WORKED_SOLUTION:]).strip()
    statements = find_statements(tail_of(bounded))
    if statements and (
        "\n" in bounded or statements[-1].is_marked or statements[-1].start < _PREAMBLE
    ):
        return statements[-1].value
    return bounded


_THOUGHT = re.compile(
    r"[<\[◁]\|?(?P<end>/)?\s?(?:seed:)?(?:think|thinking|thought|reasoning|reflection)\|?\s?[>\]▷]"
    r"|<\|(?:begin|(?P<close>end))_of_thought\|>"
    r"|<\|channel\|>(?:analysis|(?P<final>final))\s?(?:<\|message\|>)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class _Reading:
    """An answer as read, the whole line it stands in, and how it was found."""

    value: str
    whole_line: str
    stated_as: StatedAs


def after_thought(text: str) -> str | None:
    """What stands behind the last thought; None where a thought was opened and never closed.

    Case, and the tags of other models (<thinking>, <|begin_of_thought|>), do not matter.
    """
    tags = list(_THOUGHT.finditer(text))
    if not tags:
        return text
    last = tags[-1]
    return text[last.end() :] if last["end"] or last["close"] or last["final"] else None


def _answer_of(tail: str, kind: AnswerType, *, truncated: bool = False) -> _Reading | None:
    found = _stated(tail, kind, truncated=truncated)
    if found is None and not truncated:
        reading = _closing(last_lines(tail)[: kind.num_closing_lines], kind)
        found = _Reading(reading, reading, "closing_line") if reading else None
    return found


_NO_NUMBER = re.compile(
    r"\b(?:makes|leaves|is|are|have|has|get)\s(?:none|nothing|impossible|undefined|unclear|unknown|infinity)\b"
    r"|\bno\s(?:such|answer|solutions?)\b|\b(?:does|do)\snot\sexist\b|\bdoesn't\sexist\b|\bcannot\b|\bfails\b"
    r"|无解|不存在|不成立|无法",
    re.IGNORECASE,
)
_REMARK = re.compile(
    r"\b(?:correct|right|reasonable|consistent|sound|confident|sure|sense|that's|that\sis|this\sis|confirmed)\b",
    re.IGNORECASE,
)


def _closing(lines: list[str], kind: AnswerType) -> str | None:
    """What the closing lines say, last first; nothing where the text breaks off before its end."""
    if (
        not lines
        or stops_inside(lines[0])
        or (kind.num_closing_lines > 1 and _NO_NUMBER.search(lines[0]))
    ):
        return None
    reading = kind.read_line(lines[0])
    if reading is None and not _REMARK.search(lines[0]) and find_phrases(lines[0] + "\n"):
        return None  # it announces an answer that is none of the type: no earlier number is it
    if reading is None and kind.num_closing_lines > 1 and any(map(str.isdigit, lines[0])):
        return None  # it denies, asks or supposes: no earlier number is meant either
    if reading is None and stops_in_sentence(lines[0]):
        return None
    return reading or next(filter(None, map(kind.read_line, lines[1:])), None)


def _stated(tail: str, kind: AnswerType, *, truncated: bool) -> _Reading | None:
    statements = [s for s in find_statements(tail) if not (truncated and s.is_open)]
    for statement in reversed(statements):
        denial = _denies(statement.value, kind)
        if denial is None:
            reading = kind.read(statement)
        else:  # what it is not: read as it stands, unless it denies no answer ("not clear")
            is_one = kind.read(replace(statement, value=denial, line=denial)) is not None
            reading = statement.value if is_one else None
        if reading is not None:
            whole_line = _whole_line(statement, reading)
            return _Reading(reading, whole_line, statement.stated_as)
    return None


def _denies(value: str, kind: AnswerType) -> str | None:
    """What `value` says the answer is not; of yes and no it says the other."""
    is_text = isinstance(value, str)  # what a type from outside reads may be anything
    return denied(value) if is_text and kind.name != "yes_no" else None


def _whole_line(statement: Statement, reading: str) -> str:
    """The whole line where the reading is part of it: answers may hold a full stop."""
    is_text = isinstance(reading, str)  # what a type from outside reads may be anything
    return statement.line if is_text and reading in statement.value else reading
