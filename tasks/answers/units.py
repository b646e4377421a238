"""Units behind a number: which words are one, and the known ones as dimension and factor.

Invariant: an unknown word ("apples", "students") is a unit that is left out, a word that changes
the number ("more", "squared", "pm", "March") is none. Known units let 30 minutes be half an hour
and keep 5 cm from being 5 m.
Samples: read_unit("cm^2") is Unit("length^2", 1/10000), read_unit("apples") is None.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache


@dataclass(frozen=True)
class Unit:
    """What is measured, and how many of its base unit (m, s, g, l, cent) one is."""

    dimension: str
    factor: Fraction


_TABLE = {
    "length": {
        "mm millimeter millimeters millimetre millimetres 毫米": "0.001",
        "cm centimeter centimeters centimetre centimetres 厘米 センチ": "0.01",
        "dm decimeter decimeters decimetre decimetres 分米": "0.1",
        "m meter meters metre metres 米 メートル": "1",
        "km kilometer kilometers kilometre kilometres 千米 公里 キロメートル": "1000",
        "in inch inches": "0.0254",
        "ft foot feet": "0.3048",
        "yd yds yard yards": "0.9144",
        "mi mile miles": "1609.344",
    },
    "time": {
        "s sec secs second seconds 秒": "1",
        "min mins minute minutes 分钟 分鐘": "60",
        "h hr hrs hour hours 小时 小時 時間": "3600",
        "day days 天": "86400",
        "week weeks 周 星期": "604800",
    },
    "months": {"month months 个月": "1", "year years yr yrs 年": "12"},
    "mass": {
        "mg milligram milligrams 毫克": "0.001",
        "g gram grams 克": "1",
        "kg kilogram kilograms 千克 公斤 キログラム": "1000",
        "oz ounce ounces": "28.349523125",
        "lb lbs pound pounds": "453.59237",
    },
    "volume": {
        "ml milliliter milliliters millilitre millilitres 毫升": "0.001",
        "l liter liters litre litres 升": "1",
    },
    "celsius": {"C °C degC celsius Celsius": "1"},
    "fahrenheit": {"F °F degF fahrenheit Fahrenheit": "1"},
    "yuan": {"分": "1", "角 毛": "10", "元 块 圆": "100"},
    "money": {"cent cents ¢": "1", "dollar dollars": "100"},
}
_KNOWN = {
    word: Unit(dimension, Fraction(factor))
    for dimension, units in _TABLE.items()
    for words, factor in units.items()
    for word in words.split()
} | {
    "mph": Unit("length/time", Fraction("1609.344") / 3600),
    "kmh": Unit("length/time", Fraction(1000, 3600)),
    "kph": Unit("length/time", Fraction(1000, 3600)),
}  # fmt: skip
_POWERS = {"square": 2, "sq": 2, "squared": 2, "cubic": 3, "cu": 3, "cubed": 3}

# Words behind a number that make another number, or another kind of thing, of it.
MEANINGFUL = {
    "am", "pm", "a.m", "p.m", "noon", "midnight", "oclock", "o'clock", "bc", "ad",
    "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec",
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
    "and", "or", "to", "by", "times", "plus", "minus", "over", "mod", "choose", "through", "vs",
    "more", "less", "fewer", "above", "below", "up", "greater", "higher", "lower", "not", "than",
    "least", "most", "either", "factorial", "half", "halves", "third", "thirds", "quarter",
    "quarters", "fourths", "fifth", "fifths", "sixths", "eighths", "tenths", "hundredths",
    "percent", "percentage", "if", "when", "while", "pi", "sqrt", "sin", "cos", "tan", "log", "ln",
    "exp", "base", "demi", "medio", "divided", "et", "y", "und",
    "o", "ou", "oder", "dozen", "hundred", "thousand", "million", "billion", "trillion",
}  # fmt: skip
_PLAIN_POWER = re.compile(r"\s?\^\s?\{?\s?(-?[0-9])\s?\}?\Z")


@lru_cache(maxsize=1024)
def read_unit(text: str) -> Unit | None:
    """The known unit `text` names; None for others. Raises nothing."""
    words = [word.strip(".") for word in text.strip(" .").split()]
    power = 1
    if words and words[0].lower() in _POWERS:
        power = _POWERS[words.pop(0).lower()]
    if words and words[-1].lower() in _POWERS:
        power = _POWERS[words.pop().lower()]
    name = " ".join(words)
    if found := _PLAIN_POWER.search(name):
        power, name = int(found[1]), name[: found.start()].strip()
    over, per, under = re.sub(r"\sper\s|\s?/\s?", "/", name).partition("/")
    unit = _known(over)
    if per:
        below = _known(under)
        if unit is None or below is None:
            return None
        unit = Unit(f"{unit.dimension}/{below.dimension}", unit.factor / below.factor)
    if unit is None or power == 1:
        return unit
    dimension = "volume" if (unit.dimension, power) == ("length", 3) else None
    factor = unit.factor**power * (1000 if dimension else 1)  # a cubic metre is 1000 l
    return Unit(dimension or f"{unit.dimension}^{power}", factor)


def _known(word: str) -> Unit | None:
    return _KNOWN.get(word) or _KNOWN.get(word.lower() if len(word) > 1 else word)


_CHANGES = re.compile(
    r"以上|以下|以内|未満|未满|より|から|まで|または|ではな|分の|分之|又|或|이상|이하|미만|초과|또는|에서|보다|분의"
    r"|的(?:平方|立方|[0-9一二两三四五六七八九十]|根|倒数|倍)|\A\s?か|\bet\sdemi|\by\smedio|половин"
    r"|\b(?:und|et|y|и)\b"
)


def is_meaningful(text: str) -> bool:
    """Whether a word of `text` changes the number before it, so that it is no unit."""
    if not text.isascii() and _CHANGES.search(text):
        return True
    return any(word.strip(".,") in MEANINGFUL for word in re.split(r"[\s-]+", text.lower()))


def is_only_power(text: str) -> bool:
    """Whether `text` is "squared" alone: the power of a number, not of a unit."""
    return text.strip(". ").lower() in ("squared", "cubed")
