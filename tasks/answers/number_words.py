"""Numbers written in words, in English and in Chinese characters.

Invariant: a phrase is read whole or not at all, exactly, in time linear in its length.
Samples: "seventy-three" is 73, "minus eight" -8, "three quarters" 3/4, "two and a half" 5/2,
"2.5 million" 2500000 (the number before a scale is read by the caller), "三分之二" 2/3.
"""

from __future__ import annotations

import re
from fractions import Fraction

MAX_CHARACTERS = 120

_SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_UNITS = {word: number for number, word in enumerate(_SMALL)}
_TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fourty": 40, "fifty": 50, "sixty": 60, "seventy": 70,
    "eighty": 80, "ninety": 90,
}  # fmt: skip
SCALES = {
    "dozen": 12, "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9,
    "trillion": 10**12,
}  # fmt: skip
FOREIGN_SCALES = {
    word: scale
    for words, scale in (
        ("mil mille mila tausend тысяч тысячи тысяча тыс", 10**3),
        ("millones millón millionen milhões milhão milioni миллионов миллиона миллион млн", 10**6),
        ("milliards milliard milliarden milliarde miliardi миллиардов миллиард млрд", 10**9),
    )
    for word in words.split()
}
_PARTS = {
    "half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7,
    "eighth": 8, "ninth": 9, "tenth": 10, "eleventh": 11, "twelfth": 12, "hundredth": 100,
    "thousandth": 1000,
}  # fmt: skip
_PARTS |= {f"{word}th": number for word, number in _UNITS.items() if number >= 13}
_PARTS |= {f"{word[:-1]}ieth": number for word, number in _TENS.items()}
_PARTS |= {f"{word}s": number for word, number in _PARTS.items()} | {"halves": 2}
_SIGNS = {"minus", "negative"}
_SPOKEN = {*_UNITS, *_TENS, *SCALES, *_PARTS, *FOREIGN_SCALES}
_VOCABULARY = {*_UNITS, *_TENS, *SCALES, *_PARTS, *_SIGNS, "a", "an", "and", "point", "hundreds"}

# A phrase of number words inside a sentence; "a", "and", "point" only between others.
_WORD = "|".join(sorted({*_UNITS, *_TENS, *SCALES, *_PARTS}, key=lambda word: -len(word)))
IN_PROSE = re.compile(
    rf"\b(?:(?:minus|negative)\s)?(?:an?\s(?=half|third|quarter|dozen|hundred|thousand|million))?"
    rf"(?:{_WORD})(?:(?:[\s-](?:and\s(?:an?\s)?|an?\s|point\s)?)(?:{_WORD})){{0,12}}\b",
    re.IGNORECASE,
)


def read_number_words(text: str) -> Fraction | None:
    """The number `text` spells out; None where it is anything else."""
    if len(text) > MAX_CHARACTERS:
        return None
    if not text.isascii():
        return _read_chinese(text)
    words = text.lower().replace("-", " ").split()
    if not words or not _VOCABULARY.issuperset(words) or words[-1] in ("and", "a", "an", "point"):
        return None
    sign = -1 if words[0] in _SIGNS else 1
    value = _unsigned(words[1:] if sign < 0 else words)
    return None if value is None else sign * value


def is_number_word(text: str) -> bool:
    """Whether a word of `text` is a number, or part of one."""
    words = text.lower().replace("-", " ").split()
    return any(word.strip(".") in _SPOKEN for word in words)


def _unsigned(words: list[str]) -> Fraction | None:
    if "point" in words:
        return _with_point(words)
    if words and words[-1] in _PARTS:
        return _with_part(words)
    value = _whole(words)
    return None if value is None else Fraction(value)


def _with_point(words: list[str]) -> Fraction | None:
    at = words.index("point")
    digits = [_UNITS.get(word, 10) for word in words[at + 1 :]]
    whole = _whole(words[:at]) if at else 0
    if whole is None or not digits or max(digits) > 9:
        return None
    return whole + Fraction(int("".join(map(str, digits))), 10 ** len(digits))


def _with_part(words: list[str]) -> Fraction | None:
    """`three quarters`, `a third`, `half`, `two and a half`, `one and three quarters`."""
    under, before = _PARTS[words[-1]], words[:-1]
    if "and" in before:
        at = len(before) - 1 - before[::-1].index("and")
        whole, over = _whole(before[:at]), _count(before[at + 1 :])
        return None if whole is None or over is None else whole + Fraction(over, under)
    over = _count(before)
    return None if over is None else Fraction(over, under)


def _count(words: list[str]) -> int | None:
    return 1 if words in ([], ["a"], ["an"]) else _whole(words)


def _whole(words: list[str]) -> int | None:
    """`one hundred and five thousand` as 105000; None where the words do not make one number."""
    total = group = 0
    last = 10**15  # the scale before, which only gets smaller
    expects_word = True
    for position, word in enumerate(words):
        if word == "and":
            if position == 0 or group % 100:
                return None
        elif word in ("a", "an"):
            if position or len(words) == 1:
                return None
            group = 1
        elif word in _UNITS or word in _TENS:
            number = _UNITS.get(word, _TENS.get(word, 0))
            room = group % (10 if number < 10 else 100)
            if room or (number < 10 and group % 100 in range(1, 20)) or (number == 0 and position):
                return None
            group += number
        elif word in ("hundred", "dozen"):
            if not 0 < group < 100:
                return None
            group *= SCALES[word]
        elif word in SCALES and group and SCALES[word] < last:
            last = SCALES[word]
            total, group = total + group * last, 0
        else:
            return None
        expects_word = word == "and"
    return None if expects_word else total + group


_DIGITS = {character: number for number, character in enumerate("零一二三四五六七八九")} | {
    "〇": 0, "两": 2, "兩": 2,
}  # fmt: skip
_PLACES = {"十": 10, "百": 100, "千": 1000}
MYRIADS = {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}
CJK_SCALES = MYRIADS | {
    "百": 100, "千": 1000, "十万": 10**5, "百万": 10**6, "千万": 10**7, "백": 100, "천": 1000,
    "만": 10**4, "억": 10**8,
}  # fmt: skip
CHINESE = re.compile(r"[负負]?(?:[零〇一二三四五六七八九两兩十百千万萬亿億半点點]|分之)+")


def _read_chinese(text: str) -> Fraction | None:
    if not CHINESE.fullmatch(text):
        return None
    if text[0] in "负負":
        value = _read_chinese(text[1:])
        return None if value is None else -value
    if text == "半":
        return Fraction(1, 2)
    under, parted, over = text.partition("分之")
    if parted:
        below, above = _chinese_whole(under), _chinese_decimal(over)
        return Fraction(above) / below if below and above is not None else None
    return _chinese_decimal(text)


def _chinese_decimal(text: str) -> Fraction | None:
    whole, pointed, digits = text.replace("點", "点").partition("点")
    value = _chinese_whole(whole)
    if value is None or (pointed and not (digits and set(digits) <= set(_DIGITS))):
        return None
    fraction = "".join(str(_DIGITS[digit]) for digit in digits)
    return value + (Fraction(int(fraction), 10 ** len(fraction)) if fraction else Fraction(0))


def _chinese_whole(text: str) -> int | None:
    total = group = digit = 0
    for character in text:
        if character in _DIGITS:
            digit = _DIGITS[character]
        elif character in _PLACES:
            group += (digit or 1) * _PLACES[character]
            digit = 0
        elif character in MYRIADS:
            total = (total + group + digit) * MYRIADS[character]
            group = digit = 0
        else:
            return None
    return total + group + digit if text else None
