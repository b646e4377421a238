"""Rational numbers: whole numbers, fractions, decimals, percentages.

Invariant: every value is a Fraction or an int, and forms are equal exactly when their values are.
What is debatable is no pair (see pairs.py).

A sample: integers -> gold 1234, equal 1{,}234, unequal 1234\\sqrt{2}.
"""

# ruff: noqa: RUF001  signs and letters that look alike are what it is about

from __future__ import annotations

import random
from fractions import Fraction

from tests.answer_pairs.forms import Case, Form, latex, plain, prose, said, words
from tests.answer_pairs.words import MOST, spell_out

SPACES = {"blank": " ", "no-break": "\u00a0", "thin": "\u2009", "narrow": "\u202f"}
VULGAR = {
    Fraction(1, 2): "½", Fraction(1, 3): "⅓", Fraction(2, 3): "⅔", Fraction(1, 4): "¼",
    Fraction(3, 4): "¾", Fraction(1, 5): "⅕", Fraction(2, 5): "⅖", Fraction(3, 5): "⅗",
    Fraction(4, 5): "⅘", Fraction(1, 6): "⅙", Fraction(5, 6): "⅚", Fraction(1, 8): "⅛",
    Fraction(3, 8): "⅜", Fraction(5, 8): "⅝", Fraction(7, 8): "⅞",
}  # fmt: skip
FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")
SUPER = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
SUB = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def grouped(number: int, mark: str) -> str:
    return f"{number:,}".replace(",", mark)


def grouped_indian(number: int) -> str:
    head, tail = str(number)[:-3], str(number)[-3:]
    pairs = [head[max(0, end - 2) : end] for end in range(len(head), 0, -2)]
    return ",".join([*reversed(pairs), tail])


def decimal(value: Fraction) -> str:
    """The finite decimal expansion. Raises ValueError where there is none."""
    scale = 0
    while (value * 10**scale).denominator != 1:
        scale += 1
        if scale > 60:
            raise ValueError(f"{value} has no finite expansion")
    if not scale:
        return str(value.numerator)
    digits = str(abs(int(value * 10**scale))).rjust(scale + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-scale]}.{digits[-scale:]}"


def is_finite(value: Fraction) -> bool:
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1


def rounded(value: Fraction, digits: int) -> str:
    """To so many digits behind the point, halves up."""
    scaled = abs(value) * 10**digits
    text = str(int(scaled + Fraction(1, 2))).rjust(digits + 1, "0")
    return f"{'-' if value < 0 else ''}{text[:-digits]}.{text[-digits:]}"


def too_short(value: Fraction) -> list[Form]:
    """Two digits behind the point, where they are off by more than a thousandth."""
    short = rounded(value, 2)
    if abs(Fraction(short) - value) * 1000 <= abs(value):
        return []
    return [plain("two digits", short), latex("two digits", short)]


def repeating(value: Fraction) -> tuple[str, str, str] | None:
    """Whole part with sign, digits before the repetend, the repetend; None: finite or long."""
    rest, digits, seen = abs(value) % 1, "", {}
    while rest and rest not in seen:
        seen[rest] = len(digits)
        digit, rest = divmod(rest * 10, 1)
        digits += str(digit)
        if len(digits) > 8:
            return None
    if not rest:
        return None
    start = seen[rest]
    return f"{'-' if value < 0 else ''}{int(abs(value))}", digits[:start], digits[start:]


def integer_forms(number: int) -> list[Form]:
    """The ways to write a whole number itself, no arithmetic."""
    minus, digits = ("-" if number < 0 else ""), str(abs(number))
    forms = [
        plain("digits", str(number)), plain("point zero", f"{number}.0"),
        latex("digits", str(number)), latex("text", f"\\text{{{number}}}"),
        latex("bold", f"\\mathbf{{{number}}}"), latex("textbf", f"\\textbf{{{number}}}"),
        plain("full-width", minus + digits.translate(FULL_WIDTH)),
    ]  # fmt: skip
    if number < 0:
        forms += [
            plain("unicode minus", f"\u2212{digits}"), prose("minus", f"minus {digits}"),
            prose("negative", f"negative {digits}"),
        ]  # fmt: skip
    if abs(number) >= 1000:
        mark = minus + f"{abs(number):,}"
        forms += [plain("thousands", mark), latex("thousands", mark)]
        forms += [
            latex(f"grouped {each}", minus + grouped(abs(number), each))
            for each in ("{,}", "\\,", ",\\!", "\\ ", "~", "\\;")
        ]  # fmt: skip
        forms += [
            plain(f"grouped {name}", minus + grouped(abs(number), mark))
            for name, mark in (*SPACES.items(), ("'", "'"), ("’", "’"), ("_", "_"))
        ]  # fmt: skip
    if abs(number) >= 100_000:
        forms.append(plain("Indian", minus + grouped_indian(abs(number))))
    if abs(number) <= MOST:
        forms += [
            words("words", spell_out(number)), words("British", spell_out(number, british=True)),
            words("Words", spell_out(number, minus="minus").capitalize()),
        ]  # fmt: skip
    return forms


def near_integer(number: int, rng: random.Random) -> int:
    """Another whole number that looks alike."""
    swapped = str(abs(number))[::-1]
    other = rng.choice(
        [number + 1, number - 1, number + 10, -number, number * 10, number // 10, number + 100,
         int(swapped), number * 2, number + 1000, number + rng.randint(2, 50)]
    )  # fmt: skip
    return other if other != number else number + 1


def with_more(number: int, rng: random.Random) -> list[Form]:
    """Expressions that hold the digits of `number` (not 0) first, and are something else."""
    more, small = number + rng.randint(1, 9), rng.choice((2, 3, 5, 7))
    forms = [
        latex("times root", f"{number}\\sqrt{{{small}}}"), latex("times pi", f"{number}\\pi"),
        latex("times x", f"{number}x"), latex("complex", f"{number}+{small}i"),
        latex("greater", f"x > {number}"), latex("ray", f"[{number},\\infty)"),
        latex("at most", f"x \\le {number}"), latex("pair", f"({number},{more})"),
        latex("or", f"{number} \\text{{ or }} {more}"), latex("to the x", f"{number}^x"),
        latex("plus root", f"{number}+{small}\\sqrt{{3}}"), latex("matrix",
            f"\\begin{{pmatrix}}{number}\\\\{more}\\end{{pmatrix}}"),
        latex("set", f"\\{{{number}, {more}\\}}"), latex("plus minus", f"\\pm {abs(number)}"),
        latex("plus x", f"{number}+x"), latex("minus x", f"{number}-x"),
        latex("plus one", f"{number} + 1"), latex("times power", f"{number} \\cdot 10^{{{small}}}"),
        latex("times e", f"{number}e"), latex("imaginary", f"{number}i"),
        latex("times sine", f"{number}\\sin x"), latex("times log", f"{number}\\ln 2"),
        latex("index", f"a_{{{abs(number)}}}"), latex("argument", f"f({number})"),
        latex("inside", f"\\sin({number})"), latex("thousand", f"{number} \\text{{ thousand}}"),
        latex("to", f"{number} \\text{{ to }} {more}"),
        latex("below x", f"\\frac{{{number}}}{{x}}"),
        latex("over x", f"\\frac{{x}}{{{number}}}"), latex("between", f"{number} < x < {more}"),
        latex("not", f"x \\neq {number}"), latex("open", f"({number}, \\infty)"),
        latex("power of x", f"x^{{{number}}}"), latex("multiples", f"{number} + {small}k"),
        latex("cube root", f"{number}\\sqrt[3]{{{small}}}"),
        latex("and", f"{number} \\text{{ and }} {more}"),
        latex("empty", "\\emptyset"), plain("none", "none"),
        latex("vector", f"\\langle {number}, {more} \\rangle"),
        plain("to", f"{number} to {more}"), plain("times ten", f"{number}e{small}"),
        latex("sum of powers", f"{number}x^2+{small}x"),
        plain("times root", f"{number}√{small}"), plain("times x", f"{number}x"),
        plain("times pi", f"{number}π"), plain("greater", f"x > {number}"),
        plain("times sqrt", f"{number}*sqrt({small})"), plain("pair", f"({number}, {more})"),
        prose("or", f"{number} or {more}"), prose("and", f"{number} and {more}"),
        prose("at least", f"at least {number}"), prose("more than", f"more than {number}"),
        prose("at most", f"at most {number}"), prose("less than", f"less than {number}"),
        prose("between", f"between {number} and {more}"), plain("list", f"{number}, {more}"),
        prose("not", f"not {number}"),
        said("two boxes", f"So they are $\\boxed{{{number}}}$ and $\\boxed{{{more}}}$."),
    ]  # fmt: skip
    if abs(number) > 1:
        forms += [latex("square", f"{number}^2"), plain("square", f"{number}²"),
                  plain("square", f"{number}^2"), latex("over",
                          f"\\frac{{{number}}}{{{abs(number) + 1}}}"),
                  plain("over", f"{number}/{abs(number) + 1}"),
                  latex("one over", f"\\frac{{1}}{{{number}}}")]  # fmt: skip
    if number > 2:
        forms.append(latex("factorial", f"{number}!"))
    if number > 0:
        forms += [
            latex("mixed", f"{number}\\frac{{1}}{{{small}}}"),
            plain("mixed", f"{number} 1/{small}"),
            plain("half", f"{number}.5"), plain("vulgar", f"{number}½"),
            plain("ratio", f"{number}:{small + number}"),
            latex("ratio", f"{number}:{small + number}"),
            prose("and a half", f"{number} and a half"), plain("range", f"{number}-{more}"),
            prose("hours", f"{number} hours 30 minutes"),
            latex("hours", f"{number} \\text{{ hours }} 30 \\text{{ minutes}}"),
        ]  # fmt: skip
        if number < 1000:
            said_so = spell_out(number)
            if number in (2, 3):
                forms += [words("thirds or quarters", ("two thirds",
                        "three quarters")[number - 2])] * 5  # fmt: skip
            forms += [words("thousand", f"{said_so} thousand"),
                      words("and a half", f"{said_so} and a half"),
                      words("minus", f"minus {said_so}"), words("negative", f"negative {said_so}"),
                      prose("minus", f"minus {number}"),
                      prose("negative", f"negative {number}"),
                      prose("point", f"{said_so} point five")]  # fmt: skip
            forms += [plain("thousand", f"{number},000"), plain("thousand", f"{number} 000"),
                      latex("thousand", f"{number}{{,}}000")]  # fmt: skip
    return forms


def integers(rng: random.Random) -> Case:
    number = rng.choice(
        (rng.randint(2, 30), rng.randint(2, 999), rng.randint(1000, 99_999),
         rng.randint(100_000, 10**9), -rng.randint(1, 99), -rng.randint(1000, 10**6))
    )  # fmt: skip
    golds = [plain("digits", str(number))] * 4
    golds += [
        latex("dollars", f"${number}$"),
        plain("worked", f"So {rng.randint(2, 9)} * 7 is not all of it.\n#### {number}"),
    ]  # fmt: skip
    if abs(number) >= 1000:
        golds += [plain("thousands", f"{number:,}"), latex("{,}", grouped(number, "{,}")),
                  latex(",\\!", grouped(number, ",\\!")),
                  latex("\\,", grouped(number, "\\,"))]  # fmt: skip
    return Case(
        golds=golds,
        equal=integer_forms(number),
        unequal=[integer_forms(near_integer(number, rng)), with_more(number, rng)],
        types=(None, None, None, "integer", "math"),
        scalar=True,
    )  # fmt: skip
