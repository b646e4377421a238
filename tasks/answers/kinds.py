"""The answer types: how each reads a stated value, a last line, and compares with the gold answer.

Invariant: `read` returns None for what cannot be an answer of the type, so that such a phrase ("the
answer is reasonable") is passed over; readings are short strings fit for a Parquet column.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from tasks.answers import words
from tasks.answers.dates import dates_in, read_closing_date, read_date
from tasks.answers.equality import Leaf, same_mathematics
from tasks.answers.quantities import IN_PROSE, numbers_in, read_quantity, same_quantity
from tasks.answers.stated import Statement
from tasks.answers.symbolic import UnreadableGoldError
from tasks.registry import Registry


@dataclass(frozen=True, kw_only=True)
class AnswerType:
    """One answer type, by the name that problems and flags give it.

    `read` reduces a statement to the answer, `read_line` a last line that announces nothing;
    of which the last `num_closing_lines` are tried ("I think that is right." may follow a number);
    `compare(gold, stated, symbolic)` raises UnreadableGoldError, None means symbolic is needed.
    """

    name: str
    read: Callable[[Statement], str | None]
    read_line: Callable[[str], str | None]
    compare: Callable[[str, str, Leaf], bool | None]
    num_closing_lines: int = 1


_PROSE_WORD = re.compile(r"(?<![\\A-Za-z_^{])[A-Za-z][a-z']{1,30}(?![\w(^{])")
_SPAN = re.compile(
    r"\$(?![\s$])([^$]{1,400}?)(?<!\s)\$(?![0-9])|\\\(([^\0]{1,400}?)\\\)|\\\[([^\0]{1,800}?)\\\]"
)
_CONNECTING = {"and", "or"}


def _words_of(text: str) -> list[str]:
    return [word for word in _PROSE_WORD.findall(text) if word.lower() not in _CONNECTING]


def _spans(text: str) -> list[str]:
    return [match[1] or match[2] or match[3] for match in _SPAN.finditer(text)]


_DIRECTLY = re.compile(r"(?:about|approximately|exactly|indeed|definitely|only|simply|just|then)\s")
# "to be ready at 5" is a purpose, "needs to be 5" a statement.
_COPULA = re.compile(r"\b(?:is|are|was|(?<!to )be|be(?=\s[-+$\\(]{0,3}[0-9])|equals|gives)\s|=\s?")
_CONDITION = re.compile(r"\s(?:when|if|because|since|while|whenever|as long as)\s")
_WAYS = re.compile(r"\bin\s(?=[0-9,]{1,30}\s(?:different\s|distinct\s|possible\s)?ways\b)")


def _objects(text: str) -> list[str]:
    """Parts of a sentence in the order to look for its answer; of `the sum is 12` `12`.

    What a condition says (`... when the width is 25`) is looked at last.
    """
    bare = _DIRECTLY.sub("", text.strip())
    if re.match(r"[-+$\\(\[]{0,4}[0-9]|\$|\\[(\[]", bare) and "=" not in bare:
        return [bare]
    clause = _CONDITION.split(bare, maxsplit=1)[0]
    ways = [clause[match.end() :] for match in _WAYS.finditer(clause)]
    return [*reversed(ways[-1:]), *_predicates(clause), clause, *_predicates(bare), bare]


def _predicates(clause: str) -> list[str]:
    """What follows each verb or `=` of a clause, the last one first."""
    ends = [match.end() for match in _COPULA.finditer(clause)]
    return [clause[end:] for end in reversed(ends[-5:])]


def _number_of_sentence(text: str) -> str | None:
    """The number a sentence is about: what its last verb or `=` gives, else its first one."""
    for part in _objects(text):
        numbers = numbers_in(part)
        if numbers:
            return numbers[0]
    first_word = text.strip().split(" ", 1)[0].strip(",.;*")
    return first_word if read_quantity(first_word) is not None else None


_JUDGEMENTS = {
    "correct", "right", "wrong", "incorrect", "reasonable", "consistent", "clear", "sound", "valid",
    "indeed", "confirmed", "simply", "the", "same", "in", "as", "not", "to", "a", "an",
}  # fmt: skip


def read_mathematics(statement: Statement) -> str | None:
    """The mathematics of a statement: formulas out of their sentence, numbers out of prose."""
    value = statement.value.strip().strip("*").strip()
    if _SPAN.search(value):
        return _formula_of_sentence(value)
    if _is_sentence(value):
        return _number_of_sentence(value) or (value if statement.is_marked else None)
    if statement.is_marked:
        return value or None
    words_in = value.lower().split()
    if not words_in or words_in[0] in _JUDGEMENTS:
        return None
    return value if len(words_in) <= 3 or re.search(r"[0-9\\=^]", value) else None


def _formula_of_sentence(value: str) -> str | None:
    """`$5$ cm` is 5; of `the degree of $f$ is $3$` the 3; a value of formulas alone stays whole."""
    if not _words_of(_SPAN.sub(" ", value)):
        return value
    for part in _objects(value):
        spans, numbers = _spans(part), numbers_in(_SPAN.sub(" ", part))
        if spans or numbers:
            return spans[0].strip() if spans else numbers[0]
    return None


def _is_sentence(value: str) -> bool:
    return len(_words_of(value)) >= 2 and "\\" not in value and read_quantity(value) is None


def read_mathematics_line(line: str) -> str | None:
    """The last formula of a closing line, whole (the gold may be an equation), else its number."""
    spans = _spans(line)
    numbers = numbers_in(_SPAN.sub(" ", line))
    if spans and (not numbers or line.rstrip(" .").endswith(("$", "\\)", "\\]"))):
        return spans[-1].strip() or None
    if not spans and "=" in line and not _words_of(line):
        return _DELIMITERS.sub("", line).strip() or None
    return _subject(line) or (numbers[-1] if numbers else None)


_DELIMITERS = re.compile(r"\\[()\[\]]|\$")
_SUBJECT = re.compile(
    rf"({IN_PROSE.pattern})\s(?:is|was|are|were)\s(?:indeed\s)?the\b[^=]{{0,300}}\Z"
)


def _subject(line: str) -> str | None:
    """Of a closing sentence `326.5 is the sum of 313.9 and 12.6` its subject."""
    match = _SUBJECT.match(re.split(r"(?<=[.!?])\s", line.strip())[-1])
    return match[1] if match else None


def _compare_mathematics(gold: str, stated: str, symbolic: Leaf) -> bool | None:
    if not gold.strip(" $\\{}[]().,"):
        raise UnreadableGoldError(gold)
    return same_mathematics(gold, stated, symbolic=symbolic)


_NUMBER_OF_LATEX = re.compile(
    r"\\[()\[\]]|\\(?:text|mathrm|textbf)\s?\{([^{}]{0,200})\}|\\[,!;: ]|(?<=\d)\$|\*\*"
)


def read_number(statement: Statement) -> str | None:
    """The number stated, with its sign, percent or scale word, its unit left out."""
    value = _NUMBER_OF_LATEX.sub(lambda match: f" {match[1]} " if match[1] else "", statement.value)
    value = re.sub(r"(?<=[0-9])(?:\{,\}|,\s?(?=[0-9]{3}\s))(?=[0-9])", "", value).strip()
    if read_quantity(value) is not None:
        return value
    return _number_of_sentence(value)


def read_number_line(line: str) -> str | None:
    """The last number of a closing line."""
    plain_line = _NUMBER_OF_LATEX.sub(" ", line)
    numbers = numbers_in(plain_line)
    return _subject(plain_line) or (numbers[-1] if numbers else None)


def _compare_numbers(gold: str, stated: str, symbolic: Leaf) -> bool | None:
    expected = read_number(Statement(gold, gold, 0, "box"))
    left = read_quantity(expected) if expected else None
    if left is None:
        raise UnreadableGoldError(gold)
    right = read_quantity(stated)
    return right is not None and same_quantity(left, right)


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
    return statement.value.strip().strip("*").strip() or None


def _compare_choices(gold: str, stated: str, symbolic: Leaf) -> bool | None:
    """By letter where both name one, else by the option's text."""
    (letter, text), (other_letter, other_text) = (
        words.split_option(gold),
        words.split_option(stated),
    )
    if not any(map(str.isalnum, text)):
        raise UnreadableGoldError(gold)
    if text == other_text:
        return True
    letters, others = letter or _several(gold), other_letter or words.read_letters(stated)
    return letters == others if letters and others else False


def _several(gold: str) -> str | None:
    letters = words.read_letters(gold)
    return letters if letters and "," in letters else None


_SHORT_LINE_WORDS = 4


def _read_text(statement: Statement) -> str | None:
    return statement.value.strip().strip("*\"'").strip() or None


def _read_text_line(line: str) -> str | None:
    """A closing line that is nothing but an answer: a few words."""
    bare = line.strip(" .!*\"'")
    return bare if 0 < len(bare.split()) <= _SHORT_LINE_WORDS and "=" not in bare else None


def _compare_texts(gold: str, stated: str, symbolic: Leaf) -> bool | None:
    expected = words.canonical_text(gold)
    if not expected:
        raise UnreadableGoldError(gold)
    if expected == words.canonical_text(stated):
        return True
    left, right = read_quantity(gold), read_quantity(stated)
    return left is not None and right is not None and same_quantity(left, right)


MATH = AnswerType(
    name="math",
    read=read_mathematics,
    read_line=read_mathematics_line,
    num_closing_lines=3,
    compare=_compare_mathematics,
)
INTEGER = AnswerType(
    name="integer",
    read=read_number,
    read_line=read_number_line,
    num_closing_lines=3,
    compare=_compare_numbers,
)
CHOICE = AnswerType(
    name="choice", read=_read_choice, read_line=words.read_closing_letter, compare=_compare_choices
)
YES_NO = AnswerType(
    name="yes_no", read=_read_yes_no, read_line=words.read_closing_yes_no, compare=_compare_yes_no
)
DATE = AnswerType(name="date", read=_read_date, read_line=read_closing_date, compare=_compare_dates)
TEXT = AnswerType(name="text", read=_read_text, read_line=_read_text_line, compare=_compare_texts)
ANSWER_TYPES = Registry(
    "answer type", AnswerType, folder="tasks.answers.kinds", group="litecot.answer_types"
)
