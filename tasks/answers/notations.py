"""Notations that are no expression: times of day, days, ranges, ratios, numbers of other bases.

Invariant: a decision is certain; UNDECIDED is no verdict, another rule may have one.
Samples: `7 pm` is 19:00 and not 7 am, `5-7` is a range and not -2, `5:3` is 10:6, 204_5 is 204.
"""

from __future__ import annotations

import re
from fractions import Fraction

from tasks.answers import latex
from tasks.answers.clock import read_time
from tasks.answers.comparison import is_constant
from tasks.answers.dates import dates_in
from tasks.answers.quantities import read_quantity

Decision = tuple[bool, bool | None]
UNDECIDED: Decision = (False, None)


def as_based(gold: str, stated: str) -> Decision:
    """`204_5`, `204 in base 5`; the base is the question's, so that 204 alone will do."""
    left, right = _based(gold), _based(stated)
    number = read_quantity(gold)
    if left is None and right is not None and right[1] == 10 and number is not None:
        return True, right[0].isdecimal() and int(right[0]) == number.value
    if left is None or (right is None and read_quantity(stated) is None):
        return UNDECIDED
    digits, base = right or (latex.compact(stated).replace(",", ""), left[1])
    return True, (digits, base) == left


def _based(text: str) -> tuple[str, int] | None:
    match = _BASED.fullmatch(text)
    if match is None:
        return None
    base = read_quantity(match["index"] or match["base"])
    return (match["digits"], int(base.value)) if base is not None else None


_BASED = re.compile(
    r"\(?(?P<digits>[0-9A-F]{1,60})\)?(?:\s?_\s?\{?\s?(?:base\s)?(?P<index>[0-9]{1,2}|[a-z]{3,8})\s?\}?"
    r"|\s(?:in\s)?base[\s-](?P<base>[0-9]{1,2}|[a-z]{3,8}))"
)


def as_times(gold: str, stated: str) -> Decision:
    """Times of day and days of the year: `7 pm` is not 7 am, `5 Mar` not 5 Apr."""
    left, right = read_time(gold), read_time(stated)
    if left is not None and right is not None:
        return True, left.matches(right)
    time, other = left or right, stated if left else gold
    if time is not None and other.isdecimal():  # of 7 pm the hour alone
        hours = {time.hour, time.hour - 12} if time.hour > 12 else {time.hour}
        return True, int(other) in hours
    if time is not None and (time.has_half or is_number(other)):
        return True, False
    if _MONTH.search(gold):
        left_dates, right_dates = dates_in(gold), dates_in(stated)
        if left_dates:
            return True, bool(right_dates) and left_dates[0].matches(right_dates[0])
    return UNDECIDED


_MONTH = re.compile(r"\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b", re.IGNORECASE)


_RANGE = re.compile(r"([0-9.,]+)\s?(?:-{1,3}|\\sim|~|to)\s?([0-9.,]+)")


def as_ranges(gold: str, stated: str) -> Decision:
    """`5-7` is from 5 to 7, not -2, and `5:3` a ratio; neither equals one of its numbers."""
    for read in (_range, _ratio):
        left, right = read(gold), read(stated)
        if left and right:
            return True, _proportional(left, right, exactly=read is _range)
        if read is _range and left and is_number(stated):
            return True, False
        if read is _ratio and (left or right) and read_quantity(gold if right else stated):
            return True, _is_quotient(gold, stated)
    return UNDECIDED


def _range(text: str) -> list[Fraction] | None:
    match = _RANGE.fullmatch(re.sub(r"\A(?:from|between)\s", "", text))
    ends = [read_quantity(end) for end in match.groups()] if match else []
    values = [end.value for end in ends if end is not None]
    return values if len(values) == 2 and values[0] < values[1] else None


def _ratio(text: str) -> list[Fraction] | None:
    parts = [read_quantity(part) for part in re.split(r"\s?:\s?|\sto\s", text)]
    values = [part.value for part in parts if part is not None]
    return values if 2 <= len(values) == len(parts) and all(values) else None


def _proportional(left: list[Fraction], right: list[Fraction], *, exactly: bool) -> bool:
    if exactly or len(left) != len(right):
        return left == right
    return all(a * right[0] == b * left[0] for a, b in zip(left, right, strict=True))


def _is_quotient(gold: str, stated: str) -> bool:
    """A ratio of two against the fraction it is: 5:3 and 5/3."""
    ratio = _ratio(gold) or _ratio(stated) or []
    number = read_quantity(stated if _ratio(gold) else gold)
    return len(ratio) == 2 and number is not None and number.value == ratio[0] / ratio[1]


def is_number(text: str) -> bool:
    """Whether `text` is one number: a quantity, or an expression without variables."""
    return read_quantity(text) is not None or is_constant(text)
