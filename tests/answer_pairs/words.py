"""Numbers in English words.

A sample: spell_out(1234) == "one thousand two hundred thirty-four".
"""

from __future__ import annotations

from fractions import Fraction

_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_PARTS = {
    2: ("half", "halves"), 3: ("third", "thirds"), 4: ("quarter", "quarters"),
    5: ("fifth", "fifths"), 6: ("sixth", "sixths"), 7: ("seventh", "sevenths"),
    8: ("eighth", "eighths"), 9: ("ninth", "ninths"), 10: ("tenth", "tenths"),
    12: ("twelfth", "twelfths"), 20: ("twentieth", "twentieths"),
}  # fmt: skip
MOST = 999_999


def spell_out(number: int, *, british: bool = False, minus: str = "negative") -> str:
    """A whole number of at most six digits; British English says "and" behind the hundreds."""
    if number < 0:
        return f"{minus} {spell_out(-number, british=british)}"
    if number < 20:
        return _ONES[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return _TENS[tens - 2] + (f"-{_ONES[ones]}" if ones else "")
    if number < 1000:
        hundreds, rest = divmod(number, 100)
        joint = " and " if british else " "
        return f"{_ONES[hundreds]} hundred" + (
            joint + spell_out(rest, british=british) if rest else ""
        )  # fmt: skip
    thousands, rest = divmod(number, 1000)
    joint = " and " if british and rest < 100 else " "
    return f"{spell_out(thousands, british=british)} thousand" + (
        joint + spell_out(rest, british=british) if rest else ""
    )  # fmt: skip


def fractions_in_words(value: Fraction) -> list[str]:
    """Ways to say a proper or mixed positive fraction; none where English has no usual one."""
    whole, rest = divmod(value, 1)
    if not rest or rest.denominator not in _PARTS or whole > 99:
        return []
    part = _PARTS[rest.denominator][rest.numerator > 1]
    number = _ONES[rest.numerator] if rest.numerator < 20 else ""
    said = [f"{number}{joint}{part}" for joint in " -"]
    if rest.denominator == 4:
        said += [f"{number}-fourth{'s' if rest.numerator > 1 else ''}"]
    if not whole:
        return said
    said = [f"{spell_out(int(whole))} and {each}" for each in said]
    if rest == Fraction(1, 2):
        said.append(f"{spell_out(int(whole))} and a half")
    return said


def decimal_in_words(text: str) -> str:
    """ "2.05" is "two point zero five"; a leading minus is said."""
    sign = "negative " if text.startswith("-") else ""
    whole, _, digits = text.lstrip("-").partition(".")
    return f"{sign}{spell_out(int(whole))} point " + " ".join(_ONES[int(d)] for d in digits)
