"""Numbers as people and LaTeX write them, read exactly.

Invariant: a value is a `Fraction`, never a float, so nothing is rounded on the way; anything longer
than MAX_CHARACTERS or with an exponent above 400 is not a number here.
Samples: `1,000`, `$18`, `-3.50`, `\\frac{14}{3}`, `137 1/2`, `6.72\\times10^{-5}`, `12\\%`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

from tasks.answers.number_words import (
    CJK_SCALES,
    FOREIGN_SCALES,
    SCALES,
    is_number_word,
    read_number_words,
)
from tasks.answers.units import Unit, is_meaningful, is_only_power, read_unit

MAX_CHARACTERS = 300
_MAX_EXPONENT = 400
TOLERANCE = Fraction(1, 10**6)  # relative, as math-verify rounds to six digits

# Digits in groups: by a comma (1,000; 1,00,000), a blank, an apostrophe, an underscore; or by
# points where more, or a decimal comma, tell them from a decimal point (1.234.567; 1.234,50).
GROUPED = (
    r"[0-9]{1,3}(?:(?:,[0-9]{3}){1,12}|(?:\s[0-9]{3}){1,12}|(?:'[0-9]{3}){1,12}|(?:_[0-9]{3}){1,12})"
    r"(?![0-9])"
    r"|[0-9]{1,2}(?:,[0-9]{2}){1,12},[0-9]{3}(?![0-9])"
)
POINTED = (
    r"[0-9]{1,3}(?:(?:\.[0-9]{3}){2,12}(?:,[0-9]{1,20})?|(?:\.[0-9]{3}){1,12},[0-9]{1,20})"
    r"(?![0-9.])"
)
_DECIMAL = rf"(?:{POINTED}|(?:{GROUPED}|[0-9]{{1,200}})(?:\.[0-9]{{0,200}})?|\.[0-9]{{1,200}})"
_SIMPLE = (
    r"(?:[0-9]{1,3}(?:,[0-9]{3}){1,12}(?![0-9])|[0-9]{1,200})(?:\.[0-9]{0,200})?|\.[0-9]{1,200}"
)
_SIGN = r"(?P<sign>[-+]?)\s?"
_PERCENT = r"\s?(?P<percent>(?:\\?%|per\s?cent\b)?)"
_SHAPES = [
    re.compile(_SIGN + shape + _PERCENT)
    for shape in (
        rf"(?P<whole>{_DECIMAL})",
        rf"\(?(?P<over>{_SIMPLE})\)?\s?/\s?\(?(?P<under>{_SIMPLE})\)?",
        rf"\\frac\{{\s?(?P<inner>-?)(?P<over>{_SIMPLE})\s?\}}\{{\s?(?P<under>{_SIMPLE})\s?\}}",
        r"(?P<whole>[0-9]{1,200})\s?\\frac\{(?P<over>[0-9]{1,100})\}\{(?P<under>[0-9]{1,100})\}",
        r"(?P<whole>[0-9]{1,200})(?:\s|\sand\s)(?P<over>[0-9]{1,100})/(?P<under>[0-9]{1,100})",
        rf"(?P<whole>{_DECIMAL})\s?(?:\\times|\\cdot|\*|x)\s?10\s?(?:\^|\*\*)\s?"
        r"\{?\s?(?P<power>[-+]?[0-9]{1,3})\s?\}?",
        rf"(?P<whole>{_DECIMAL})[eE](?P<power>[-+]?[0-9]{{1,3}})",
    )
]
_REPEATING = re.compile(
    r"(?P<sign>[-+]?)\s?(?P<whole>[0-9]{0,30})\.(?P<fixed>[0-9]{0,30}?)(?:\\(?:overline|bar|dot)\s?\{?"
    r"(?P<period>[0-9]{1,60})\}?|\((?P<bracketed>[0-9]{1,60})\)"
    r"|(?P<shown>[0-9]{1,12}?)(?P=shown){1,30}(?P<cut>[0-9]{0,12})(?:\.{3}|\\[lc]?dots))"
)
_ALL_SCALES = SCALES | FOREIGN_SCALES
_SCALED = re.compile(
    rf"(.{{1,80}}?)\s({'|'.join(sorted(_ALL_SCALES, key=len, reverse=True))})s?", re.IGNORECASE
)
_AND_PART = re.compile(r"([0-9]{1,30})\sand\s(.{1,40})")  # 29 and a half
_CJK_SCALE = "|".join(sorted(CJK_SCALES, key=len, reverse=True))
_MYRIAD = re.compile(rf"(.{{1,80}}?)\s?({_CJK_SCALE})")
CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
# A unit is words or known symbols behind the number; one letter alone may be a variable.
_UNIT = re.compile(
    r"(?:\s(?:an?\s|per\s)?(?:[A-Za-zΩμµ\u00c0-\u024f\u0400-\u04ff][A-Za-zΩμ\u00c0-\u024f\u0400-\u04ff0-9'./-]{1,29}|[mgshlLNJWVKCFAΩ])"
    r"|(?<=[0-9}%])(?:cm|mm|km|kg|lbs?|ft|mph|hrs?|mins?|ml|mg)"
    rf"|\s?(?!(?:{_CJK_SCALE})(?![米克瓦卡帕]))[{CJK}]{{1,8}}(?:/[{CJK}]{{1,4}})?|\s?\(\s?(?:[{CJK}]{{1,4}}|[a-z]{{1,12}}(?:\s?\^[23])?)\s?\)|\s?(?:\\degree|deg|¢))"
    r"(?:\s?\^\{?[23]\}?)?\.?\Z"
)
_MAX_UNIT_WORDS = 5
_CURRENCY = re.compile(r"\bUS\s?\\?\$|\\?\$|[€£¥₹₽₩]|\b(?:USD|US|Rs|Re|EUR|RMB|CNY)\b\.?\s?")
_SIGN_WORD = re.compile(
    r"\A(?:(?:minus|negative|moins|menos|минус)\s|[负負]|マイナス|마이너스\s?)(?=[0-9.\\])",
    re.IGNORECASE,
)
_COPULA = re.compile(r"(?<=\S)\s?(?:です|である|だ|입니다|이다)\Z")
_COUNTED = re.compile(  # 两个, 三元: a number in characters and what is counted
    r"([零〇一二三四五六七八九十百千万亿两]{1,12})"
    r"[个個只位人名元块角分天年月岁本页条张把头件台辆支枝双对组套种次米克吨升度倍斤]"
)
_DOLLARS = read_unit("dollars")
COMPOUND = re.compile(
    rf"([0-9][0-9.,/]{{0,30}})\s?([a-zA-Z]{{1,20}}|[{CJK}]{{1,4}})\.?(?:,?\sand\s|,\s?|\s)?"
)


@dataclass(frozen=True)
class Quantity:
    """A number; of a percentage the value is what stands before the sign.

    `unit` is the known one behind it; a unit of another kind is left out.
    """

    value: Fraction
    is_percent: bool = False
    unit: Unit | None = None


def read_quantity(text: str) -> Quantity | None:
    """The number `text` is, its unit and currency left out; None where it is more than a number."""
    return None if len(text) > MAX_CHARACTERS else _read_quantity(text)


@lru_cache(maxsize=4096)  # the candidates of a problem share its gold answer, and often theirs
def _read_quantity(text: str) -> Quantity | None:
    bare = " ".join(_CURRENCY.sub("", text).split()).rstrip(", ").lstrip(", ")
    bare = bare if bare.endswith("...") and "." in bare[:-3] else bare.rstrip(". ")
    bare = _SIGN_WORD.sub("-", bare if bare.isascii() else _COPULA.sub("", bare))
    found = _shaped(bare) or _worded(bare)
    if found is not None:
        return replace(found, unit=_DOLLARS) if text.count("$") == 1 else found
    number, unit = split_unit(bare)
    if number == bare:
        return None
    found = _shaped(number) or _worded(number)
    if found is None:
        return read_compound(bare)
    return replace(found, unit=read_unit(unit))


def same_quantity(gold: Quantity, stated: Quantity) -> bool:
    """Equality; a percentage equals its number and its hundredth (50% = 50 = 0.5).

    Two percentages equal each other only as they stand; two known units are converted.
    """
    if gold.unit is not None and stated.unit is not None:
        return gold.unit.dimension == stated.unit.dimension and _close(
            gold.value * gold.unit.factor, stated.value * stated.unit.factor
        )
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


def _changes(unit: str) -> bool:
    """Whether what looks like a unit is part of the number: "5 or more", "twenty thousand"."""
    return is_meaningful(unit) or is_number_word(unit)


def split_unit(text: str) -> tuple[str, str]:
    """`text` without the unit at its end, and that unit: `3\\pi cm^2` is ("3\\pi", "cm^2").

    Words that change the number ("5 or more", "7 pm", "5 March") are no unit, and stay.
    """
    rest = text
    for _ in range(_MAX_UNIT_WORDS):
        match = _UNIT.search(rest) if _shaped(rest) is None else None
        if match is None or not rest[: match.start()].strip() or _changes(match.group()):
            break
        rest = rest[: match.start()].rstrip()
    unit = text[len(rest) :].strip()
    return (text, "") if is_only_power(unit) else (rest, unit)


def read_compound(text: str) -> Quantity | None:
    """`5 hours 30 minutes`: falling units of one kind, in the first of them."""
    at, total, first, last = 0, Fraction(0), None, None
    while at < len(text):
        match = COMPOUND.match(text, at)
        number = _shaped(match[1]) if match else None
        unit = read_unit(match[2]) if match else None
        if match is None or number is None or unit is None:
            return None
        if last is not None and (unit.dimension != last.dimension or unit.factor >= last.factor):
            return None
        total += number.value * unit.factor
        first, last, at = first or unit, unit, match.end()
    return Quantity(total / first.factor, unit=first) if first else None


def _worded(text: str) -> Quantity | None:
    if text.lower().endswith((" percent", " per cent", "%")):
        inner = read_number_words(re.sub(r"\s?(?:per\s?cent|%)\Z", "", text, flags=re.IGNORECASE))
        return None if inner is None else Quantity(inner, is_percent=True)
    if text.startswith("百分之"):
        rest = _shaped(text[3:]) or _worded(text[3:])
        return rest and replace(rest, is_percent=True)
    counted = None if text.isascii() else _COUNTED.fullmatch(text)
    number = read_number_words(counted[1] if counted else text)
    if number is not None:
        return Quantity(number)
    mixed = _AND_PART.fullmatch(text)
    part = read_number_words(mixed[2]) if mixed else None
    if mixed is not None and part is not None and part < 1:
        return Quantity(Fraction(mixed[1]) + part)
    for pattern, scales in ((_SCALED, _ALL_SCALES), (_MYRIAD, CJK_SCALES)):
        scaled = pattern.fullmatch(text)
        base = _shaped(scaled[1]) if scaled else None
        if scaled is not None and base is not None:
            return Quantity(base.value * scales[scaled[2].lower()])
    return None


def read_repeating(text: str) -> Fraction | None:
    """`0.1\\overline{6}`, `0.1(6)`, `0.1666...` as 1/6; None for anything else."""
    match = _REPEATING.fullmatch(text)
    if match is None:
        return None
    shown, cut = match["shown"], match["cut"] or ""
    period = match["period"] or match["bracketed"] or shown
    if shown and not (shown.startswith(cut) and len(text) - text.index(".") > 6):
        return None
    scale = 10 ** len(match["fixed"])
    value = Fraction(int((match["whole"] or "0") + match["fixed"]), scale)
    value += Fraction(int(period), scale * (10 ** len(period) - 1))
    return -value if match["sign"] == "-" else value


def _shaped(text: str) -> Quantity | None:
    for shape in _SHAPES:
        match = shape.fullmatch(text)
        if match is not None:
            return _quantity(match.groupdict())
    repeating = read_repeating(text) if "." in text and text[-1:] in ").}s" else None
    return None if repeating is None else Quantity(repeating)


def _quantity(groups: dict[str, str | None]) -> Quantity | None:
    value = _decimal(groups.get("whole") or "0")
    if groups.get("over") is not None:
        under = _decimal(groups["under"] or "")
        if under == 0:
            return None
        part = _decimal(groups["over"] or "") / under
        if groups.get("whole") and part >= 1:
            return None  # `1 and 52/3` is no mixed number
        value += -part if groups.get("inner") == "-" else part
    power = int(groups.get("power") or "0")
    if abs(power) > _MAX_EXPONENT:
        return None
    value *= Fraction(10) ** power
    return Quantity(-value if groups["sign"] == "-" else value, bool(groups["percent"]))


_SEPARATORS = re.compile(r"[,\s'_]")


def _decimal(text: str) -> Fraction:
    if text.count(".") > 1 or 0 <= text.find(".") < text.find(","):
        text = text.replace(".", "").replace(",", ".")
    return Fraction(_SEPARATORS.sub("", text).rstrip(".") or "0")
