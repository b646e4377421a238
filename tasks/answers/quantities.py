"""Numbers as people and LaTeX write them, read exactly.

Invariant: a value is a `Fraction`, never a float, so nothing is rounded on the way; anything longer
than MAX_CHARACTERS or with an exponent above 400 is not a number here.
Samples: `1,000`, `$18`, `-3.50`, `\\frac{14}{3}`, `137 1/2`, `6.72\\times10^{-5}`, `12\\%`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

MAX_CHARACTERS = 300
_MAX_EXPONENT = 400
TOLERANCE = Fraction(1, 10**6)  # relative, as math-verify rounds to six digits

_DECIMAL = (
    r"(?:[0-9]{1,3}(?:,[0-9]{3}){1,12}(?![0-9])|[0-9]{1,200})(?:\.[0-9]{0,200})?|\.[0-9]{1,200}"
)
_SIGN = r"(?P<sign>[-+]?)\s?"
_PERCENT = r"\s?(?P<percent>(?:\\?%|percent\b)?)"
_SHAPES = [
    re.compile(_SIGN + shape + _PERCENT)
    for shape in (
        rf"(?P<whole>{_DECIMAL})",
        rf"\(?(?P<over>{_DECIMAL})\)?\s?/\s?\(?(?P<under>{_DECIMAL})\)?",
        rf"\\frac\{{\s?(?P<inner>-?)(?P<over>{_DECIMAL})\s?\}}\{{\s?(?P<under>{_DECIMAL})\s?\}}",
        r"(?P<whole>[0-9]{1,200})\s?\\frac\{(?P<over>[0-9]{1,100})\}\{(?P<under>[0-9]{1,100})\}",
        r"(?P<whole>[0-9]{1,200})(?:\s|\sand\s)(?P<over>[0-9]{1,100})/(?P<under>[0-9]{1,100})",
        rf"(?P<whole>{_DECIMAL})\s?(?:\\times|\\cdot|\*|x)\s?10\s?(?:\^|\*\*)\s?"
        r"\{?\s?(?P<power>[-+]?[0-9]{1,3})\s?\}?",
        rf"(?P<whole>{_DECIMAL})[eE](?P<power>[-+]?[0-9]{{1,3}})",
    )
]
_SCALES = {
    "hundred": 100,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
}
_SCALED = re.compile(rf"(.{{1,80}}?)\s({'|'.join(_SCALES)})", re.IGNORECASE)
_SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
    "twenty",
)  # fmt: skip
_WORDS = {word: number for number, word in enumerate(_SMALL)} | {
    "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90
}  # fmt: skip
# A unit is words or known symbols behind the number; one letter alone may be a variable.
_UNIT = re.compile(
    r"(?:\s(?:[a-zA-Z'./-]{2,30}|[mgshlLNJWVKCF])"
    r"|(?<=[0-9}%])(?:cm|mm|km|kg|lbs?|ft|mph|hrs?|mins?))"
    r"(?:\s?\^\{?[23]\}?)?\.?\Z"
)
_CURRENCY = re.compile(r"\\?\$|[€£¥₹]|\b(?:USD|US|Rs|Re)\b\.?\s?")


@dataclass(frozen=True)
class Quantity:
    """A number; of a percentage the value is what stands before the sign."""

    value: Fraction
    is_percent: bool = False


def read_quantity(text: str) -> Quantity | None:
    """The number `text` is, its unit and currency left out; None where it is more than a number."""
    return None if len(text) > MAX_CHARACTERS else _read_quantity(text)


@lru_cache(maxsize=4096)  # the candidates of a problem share its gold answer, and often theirs
def _read_quantity(text: str) -> Quantity | None:
    bare = " ".join(_CURRENCY.sub("", text).split()).rstrip("., ").lstrip(", ")
    return _shaped(bare) or _worded(bare) or _shaped(_without_units(bare))


def same_quantity(gold: Quantity, stated: Quantity) -> bool:
    """Equality; a percentage equals its number and its hundredth (50% = 50 = 0.5).

    Two percentages equal each other only as they stand.
    """
    if _close(gold.value, stated.value):
        return True
    if gold.is_percent == stated.is_percent:
        return False
    left = gold.value / 100 if gold.is_percent else gold.value
    return _close(left, stated.value / 100 if stated.is_percent else stated.value)


def _close(gold: Fraction, stated: Fraction) -> bool:
    """Whole numbers exactly, others to six digits: 0.333333 is a third, 0.33 is not."""
    if gold.denominator == 1 or stated.denominator == 1:
        return gold == stated
    return abs(gold - stated) <= abs(gold) * TOLERANCE


def _without_units(text: str) -> str:
    for _ in range(5):
        shorter = _UNIT.sub("", text)
        if shorter == text or not shorter:
            break
        text = shorter.rstrip()
    return text


def _worded(text: str) -> Quantity | None:
    word = text.lower()
    if word in _WORDS:
        return Quantity(Fraction(_WORDS[word]))
    tens, _, unit = word.partition("-")
    if tens in _WORDS and unit in _WORDS and _WORDS[tens] >= 20 and 0 < _WORDS[unit] < 10:
        return Quantity(Fraction(_WORDS[tens] + _WORDS[unit]))
    scaled = _SCALED.match(text)
    if scaled is None:
        return None
    rest = text[scaled.end() :]
    base = _shaped(scaled[1]) or _worded(scaled[1])
    if base is None or _without_units("1" + rest) != "1":
        return None
    return Quantity(base.value * _SCALES[scaled[2].lower()])


def _shaped(text: str) -> Quantity | None:
    for shape in _SHAPES:
        match = shape.fullmatch(text)
        if match is not None:
            return _quantity(match.groupdict())
    return None


def _quantity(groups: dict[str, str | None]) -> Quantity | None:
    value = _decimal(groups.get("whole") or "0")
    if groups.get("over") is not None:
        under = _decimal(groups["under"] or "")
        if under == 0:
            return None
        part = _decimal(groups["over"] or "") / under
        value += -part if groups.get("inner") == "-" else part
    power = int(groups.get("power") or "0")
    if abs(power) > _MAX_EXPONENT:
        return None
    value *= Fraction(10) ** power
    return Quantity(-value if groups["sign"] == "-" else value, bool(groups["percent"]))


def _decimal(text: str) -> Fraction:
    return Fraction(text.replace(",", "").rstrip(".") or "0")


# Within prose: a number, a simple fraction, a percentage; no part of a name or of another number.
IN_PROSE = re.compile(
    rf"(?<![\w.])(?:(?<=[\s($=€£])-|(?<![^\s])-)?\$?(?:{_DECIMAL})"
    r"(?:\s?/\s?[0-9]{1,20}|\s[0-9]{1,20}/[0-9]{1,20})?"
    r"(?:\s?\\?%|\s(?:percent|hundred|thousand|million|billion|trillion)\b)?"
)


def numbers_in(text: str) -> list[str]:
    """Every number of a sentence, as written, in order; `text` is bounded by its caller."""
    return [match.group().rstrip(" ,.") for match in IN_PROSE.finditer(text)]
