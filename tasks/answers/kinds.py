"""The answer types: how each reads a stated value, a last line, and compares with the gold answer.

Invariant: `read` returns None for what cannot be an answer of the type, so that such a phrase ("the
answer is reasonable") is passed over; readings are short strings fit for a Parquet column.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from tasks.answers import latex, words
from tasks.answers.dates import dates_in, read_closing_date, read_date
from tasks.answers.equality import Leaf, same_mathematics
from tasks.answers.quantities import read_quantity, same_quantity
from tasks.answers.real_sets import is_named_set
from tasks.answers.sentences import (
    has_number,
    read_mathematics,
    read_mathematics_line,
    read_number,
    read_number_line,
    without_adverbs,
    without_delimiters,
)
from tasks.answers.statement import NEGATION, Statement
from tasks.answers.symbolic import UnreadableGoldError
from tasks.registry import Registry


def always(reading: str) -> bool:
    """Every reading."""
    return True


def never(reading: str) -> bool:
    """No reading."""
    return False


@dataclass(frozen=True, kw_only=True)
class AnswerType:
    """One answer type, by the name that problems and flags give it.

    `read` reduces a statement to the answer, `read_line` a last line that announces nothing;
    of which the last `num_closing_lines` are tried ("I think that is right." may follow a number);
    `tries_line`: of which readings the whole line will do too (answers that hold a full stop);
    `compare(gold, stated, symbolic)` raises UnreadableGoldError, None means symbolic is needed.
    """

    name: str
    read: Callable[[Statement], str | None]
    read_line: Callable[[str], str | None]
    compare: Callable[[str, str, Leaf], bool | None]
    num_closing_lines: int = 1
    tries_line: Callable[[str], bool] = always


def _compare_mathematics(gold: str, stated: str, symbolic: Leaf) -> bool | None:
    if not gold.strip(" $\\{}[]().,") and not is_named_set(gold):
        raise UnreadableGoldError(gold)
    left = read_quantity(gold)
    right = read_quantity(stated) or read_quantity(latex.canonical(stated)) if left else None
    if left is not None and right is not None:
        return same_quantity(left, right)
    return same_mathematics(gold, stated, symbolic=symbolic)


def _compare_numbers(gold: str, stated: str, symbolic: Leaf) -> bool | None:
    """As mathematics, where either is more than a plain quantity."""
    expected = read_number(Statement(gold, gold, 0, "box")) or gold
    left, right = read_quantity(expected), read_quantity(stated)
    if left is not None and right is not None:
        return same_quantity(left, right)
    if not has_number(expected) and left is None:
        raise UnreadableGoldError(gold)
    return same_mathematics(expected, stated, symbolic=symbolic)


def _read_date(statement: Statement) -> str | None:
    return read_date(statement.line) or (statement.value if statement.is_marked else None)


def _compare_dates(gold: str, stated: str, symbolic: Leaf) -> bool | None:
    expected, found = dates_in(gold), dates_in(stated)
    if not expected:
        raise UnreadableGoldError(gold)
    return bool(found) and expected[0].matches(found[0])


def _read_yes_no(statement: Statement) -> str | None:
    return words.read_yes_no(statement.value)


def _compare_yes_no(gold: str, stated: str, symbolic: Leaf) -> bool | None:
    expected = words.read_yes_no(gold)
    if expected is None:
        raise UnreadableGoldError(gold)
    return expected == stated


def _read_choice(statement: Statement) -> str | None:
    """The whole statement: letter and text are told apart when both sides are known."""
    return without_adverbs(without_delimiters(statement.value)) or None


def _compare_choices(gold: str, stated: str, symbolic: Leaf) -> bool | None:
    """By letter where both name one, else by the option's text."""
    (letter, text), (other_letter, other_text) = (
        words.split_option(gold),
        words.split_option(stated),
    )
    if not any(map(str.isalnum, text)):
        raise UnreadableGoldError(gold)
    letters = letter or _several(gold)
    others = other_letter or words.read_letters(stated)
    if letters and others:
        return letters == others
    return text == other_text


def _read_choice_line(line: str) -> str | None:
    letter = words.read_closing_letter(line)
    if letter is not None or NEGATION.search(line) or line.rstrip().endswith("?"):
        return letter
    return _read_text_line(line)


def _names_no_letter(reading: str) -> bool:
    return words.read_letters(reading) is None


def _several(gold: str) -> str | None:
    letters = words.read_letters(gold)
    return letters if letters and "," in letters else None


_SHORT_LINE_WORDS = 4


def _read_text(statement: Statement) -> str | None:
    return without_adverbs(without_delimiters(statement.value)).strip("*\"'").strip() or None


def _read_text_line(line: str) -> str | None:
    """A closing line that is nothing but an answer: a few words."""
    bare = line.strip(" .!*\"'")
    return bare if 0 < len(bare.split()) <= _SHORT_LINE_WORDS and "=" not in bare else None


def _compare_texts(gold: str, stated: str, symbolic: Leaf) -> bool | None:
    expected = words.canonical_text(gold)
    if not expected:
        raise UnreadableGoldError(gold)
    letters = words.read_letters(gold) if len(gold) < 30 else None
    if letters is not None and ("," in letters or len(expected) == 1):
        return letters == words.read_letters(stated)
    if not _MATHEMATICAL.search(gold) and expected == words.canonical_text(stated):
        return True
    return same_mathematics(gold, stated) is True


_MATHEMATICAL = re.compile(
    r"\A(?!.*[A-Za-z]{3})[^\n]*[0-9][^\n]*\Z"
)  # punctuation counts: 6! is not -6!


MATH = AnswerType(
    name="math",
    read=read_mathematics,
    read_line=read_mathematics_line,
    num_closing_lines=3,
    tries_line=never,
    compare=_compare_mathematics,
)
INTEGER = AnswerType(
    name="integer",
    read=read_number,
    read_line=read_number_line,
    num_closing_lines=3,
    tries_line=never,
    compare=_compare_numbers,
)
CHOICE = AnswerType(
    name="choice",
    tries_line=_names_no_letter,
    read=_read_choice,
    read_line=_read_choice_line,
    compare=_compare_choices,
)
YES_NO = AnswerType(
    name="yes_no", read=_read_yes_no, read_line=words.read_closing_yes_no, compare=_compare_yes_no
)
DATE = AnswerType(name="date", read=_read_date, read_line=read_closing_date, compare=_compare_dates)
TEXT = AnswerType(name="text", read=_read_text, read_line=_read_text_line, compare=_compare_texts)
ANSWER_TYPES = Registry(
    "answer type", AnswerType, folder="tasks.answers.kinds", group="litecot.answer_types"
)
