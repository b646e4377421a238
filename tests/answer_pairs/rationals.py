"""Fractions, decimals, percentages.

Invariant: values are Fractions; a decimal that only approaches a value is equal from seven digits
on and unequal with two.

A sample: fractions -> gold \\frac{3}{4}, equal "three quarters", unequal \\frac{4}{3}.
"""

# ruff: noqa: RUF001  signs and letters that look alike are what it is about

from __future__ import annotations

import random
from fractions import Fraction

from tests.answer_pairs.forms import Case, Form, latex, plain, words
from tests.answer_pairs.numbers import (
    FULL_WIDTH,
    SUB,
    SUPER,
    VULGAR,
    decimal,
    is_finite,
    repeating,
    rounded,
    too_short,
)
from tests.answer_pairs.words import decimal_in_words, fractions_in_words, spell_out


def quotient_forms(value: Fraction) -> list[Form]:
    """As a quotient of two whole numbers, mixed numbers included."""
    top, bottom = abs(value.numerator), value.denominator
    minus = "-" if value < 0 else ""
    forms = [
        plain("slash", f"{minus}{top}/{bottom}"), latex("slash", f"{minus}{top}/{bottom}"),
        plain("wide slash", f"{minus}{top} / {bottom}"),
        latex("frac", f"{minus}\\frac{{{top}}}{{{bottom}}}"),
        latex("dfrac", f"{minus}\\dfrac{{{top}}}{{{bottom}}}"),
        latex("tfrac", f"{minus}\\tfrac{{{top}}}{{{bottom}}}"),
        latex("cfrac", f"{minus}\\cfrac{{{top}}}{{{bottom}}}"),
        latex("blanks", f"{minus}\\frac{{ {top} }}{{ {bottom} }}"),
        latex("over", f"{minus}{{{top} \\over {bottom}}}"),
        latex("doubled", f"{minus}\\frac{{{2 * top}}}{{{2 * bottom}}}"),
        latex("left right", f"\\left({minus}\\frac{{{top}}}{{{bottom}}}\\right)"),
        latex("divided", f"{minus}{top} \\div {bottom}"),
        latex("sum", f"\\frac{{{value.numerator - 1}}}{{{bottom}}} + \\frac{{1}}{{{bottom}}}"),
        plain("small digits", f"{minus}{str(top).translate(SUPER)}⁄{str(bottom).translate(SUB)}"),
        plain("fraction slash", f"{minus}{top}⁄{bottom}"),
    ]  # fmt: skip
    if value < 0:
        forms += [
            latex("minus above", f"\\frac{{-{top}}}{{{bottom}}}"),
            latex("minus below", f"\\frac{{{top}}}{{-{bottom}}}"),
            plain("unicode minus", f"\u2212{top}/{bottom}"),
        ]  # fmt: skip
    if top < 10 and bottom < 10:
        forms += [latex("frac12", f"{minus}\\frac{top}{bottom}"),
                  latex("dfrac12", f"{minus}\\dfrac{top}{bottom}"),
                  latex("frac1{2}", f"{minus}\\frac{top}{{{bottom}}}")]  # fmt: skip
    if abs(value) > 1:
        whole, rest = divmod(abs(value), 1)
        a, b = rest.numerator, rest.denominator
        forms += [
            latex("mixed", f"{minus}{whole}\\frac{{{a}}}{{{b}}}"),
            latex("mixed dfrac", f"{minus}{whole} \\dfrac{{{a}}}{{{b}}}"),
            plain("mixed", f"{minus}{whole} {a}/{b}"),
        ]  # fmt: skip
    return forms


def fraction_forms(value: Fraction) -> list[Form]:
    """Quotients, vulgar fractions, words, decimals."""
    forms = quotient_forms(value)
    whole, rest = divmod(abs(value), 1)
    minus = "-" if value < 0 else ""
    if rest in VULGAR:
        forms.append(plain("vulgar", f"{minus}{whole or ''}{VULGAR[rest]}"))
    if value > 0:
        forms += [words("words", each) for each in fractions_in_words(value)]
    return forms + decimal_forms(value)


def decimal_forms(value: Fraction) -> list[Form]:
    """Finite, repeating or, from eight digits on, rounded."""
    if is_finite(value):
        text = decimal(value)
        forms = [plain("decimal", text), latex("decimal", text), plain("one more zero", text + "0")]
        if 0 < abs(value) < 1:
            forms.append(plain("no zero", text.replace("0.", ".", 1)))
        return forms
    found = repeating(value)
    forms = [plain("nine digits", rounded(value, 9)), latex("nine digits", rounded(value, 9))]
    if found:
        whole, head, loop = found
        forms += [
            latex("overline", f"{whole}.{head}\\overline{{{loop}}}"),
            plain("brackets", f"{whole}.{head}({loop})"),
            latex("bar", f"{whole}.{head}\\bar{{{loop}}}" if len(loop) == 1
                  else f"{whole}.{head}\\overline{{{loop}}}"),
        ]  # fmt: skip
        if len(loop) == 1:
            forms += [plain("dots", f"{whole}.{head}{loop * 4}..."),
                      latex("ldots", f"{whole}.{head}{loop * 4}\\ldots")]  # fmt: skip
    return forms


def near_fraction(value: Fraction, rng: random.Random) -> Fraction:
    a, b = value.numerator, value.denominator
    others = [Fraction(b, a), -value, Fraction(a + 1, b), Fraction(a, b + 1), value + 1, value / 10,
              value * 2, Fraction(a - 1, b), Fraction(a * 10 + 1, b)]  # fmt: skip
    others = [
        each for each in others
        if each and each.denominator != 1 and abs(each - value) > Fraction(1, 1000) * abs(value)
    ]  # fmt: skip
    return rng.choice(others or [value + Fraction(1, 7)])


def beside_fraction(value: Fraction) -> list[Form]:
    """Expressions that hold the fraction, its parts, or too few of its digits."""
    a, b = value.numerator, value.denominator
    frac = f"\\frac{{{a}}}{{{b}}}"
    forms = [
        plain("top", str(a)), plain("bottom", str(b)), latex("times x", f"{frac}x"),
        latex("times pi", f"{frac}\\pi"), latex("pi below", f"\\frac{{{a}}}{{{b}\\pi}}"),
        latex("plus minus", f"\\pm\\frac{{{abs(a)}}}{{{b}}}"), latex("greater", f"x > {frac}"),
        latex("ray", f"({frac}, \\infty)"), latex("plus one", f"{frac} + 1"),
        latex("pair", f"({a},{b})"),
        latex("root below", f"\\frac{{{a}}}{{\\sqrt{{{b}}}}}"), plain("times x", f"{a}/{b}x^2"),
        plain("longer", f"{a}/{b}1"), latex("and more", f"{frac}, {b}"),
        latex("root above", f"\\frac{{{a}\\sqrt{{2}}}}{{{b}}}"),
    ]  # fmt: skip
    return forms + too_short(value) * 3


def fractions(rng: random.Random) -> Case:
    bottom = rng.choice((2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 16, 20, 21, 27, 36, 45, 64, 99, 128))
    value = Fraction(rng.choice((rng.randint(1, 12), rng.randint(1, 400))), bottom)
    while value.denominator == 1:
        value += Fraction(1, bottom)
    value *= rng.choice((1, 1, 1, -1))
    golds = [form for form in quotient_forms(value)
             if form.name in ("slash", "frac", "dfrac", "mixed", "frac12", "tfrac")]  # fmt: skip
    golds += [form for form in decimal_forms(value) if form.name in ("overline",)]
    return Case(
        golds=golds,
        equal=fraction_forms(value),
        unequal=[fraction_forms(near_fraction(value, rng)), beside_fraction(value)],
        types=(None, None, None, "math"),
        scalar=True,
    )  # fmt: skip


def decimals(rng: random.Random) -> Case:
    places = rng.randint(1, 4)
    value = Fraction(rng.choice((rng.randint(1, 99), rng.randint(1, 10**6))), 10**places)
    while value.denominator == 1:
        value += Fraction(1, 10**places)
    value *= rng.choice((1, 1, 1, -1))
    other = rng.choice([value * 10, value / 10, -value, value + 1, value * Fraction(101, 100) + 1])
    if other.denominator == 1:
        other += Fraction(1, 2)

    def forms(number: Fraction) -> list[Form]:
        text = decimal(number)
        found = decimal_forms(number) * 2 + quotient_forms(number)
        found += [
            plain("full-width", text.translate(FULL_WIDTH)),
            latex("text", f"\\text{{{text}}}"),
        ]  # fmt: skip
        if abs(number) >= 1000:
            comma = f"{int(abs(number)):,}." + text.partition(".")[2]
            found += [plain("thousands", ("-" if number < 0 else "") + comma)]
        if abs(number) < 1000:
            found.append(words("words", decimal_in_words(text)))
        return found

    text = decimal(value)
    beside = [
        latex("times x", f"{text}x"), latex("times pi", f"{text}\\pi"),
        latex("greater", f"x > {text}"),
        plain("pair", f"({text}, 2)"), plain("whole", text.partition(".")[0]),
        plain("digits", text.replace(".", "")), plain("more", f"{text} or {decimal(value + 3)}"),
        latex("power", f"{text} \\times 10^{{3}}"), plain("e", f"{text}e3"),
    ]  # fmt: skip
    return Case(
        golds=[plain("decimal", text), latex("decimal", text)],
        equal=forms(value), unequal=[forms(other), beside],
        types=(None, None, None, "math"), scalar=True,
    )  # fmt: skip


def percentages(rng: random.Random) -> Case:
    """50% = 50 = 0.5 = 1/2 where the gold answer is the percentage; a number is 50% only as 0.5."""
    percent = rng.choice(
        (Fraction(rng.randint(2, 99)), Fraction(rng.randint(101, 400)),
         Fraction(rng.randint(11, 999), 10))
    )  # fmt: skip

    def marked(number: Fraction) -> list[Form]:
        text = decimal(number)
        forms = [
            plain("%", f"{text}%"), latex("\\%", f"{text}\\%"), plain("blank %", f"{text} %"),
            plain("percent", f"{text} percent"), plain("per cent", f"{text} per cent"),
            latex("text percent", f"{text}\\text{{ percent}}"),
            latex("text %", f"{text}\\text{{\\%}}"),
            plain("zero %", f"{text}0%" if "." in text else f"{text}.0%"),
            latex("blank \\%", f"{text}\\ \\%"),
        ]  # fmt: skip
        if number.denominator == 1 and 0 < number < 1000:
            forms += [words("words", f"{spell_out(int(number))} percent")]
        return forms

    text, share = decimal(percent), percent / 100
    near = rng.choice(
        [percent + 1, percent * 10, percent / 10, -percent, percent / 100, 100 - percent]
    )  # fmt: skip
    near = percent + 3 if near == percent else near
    bare = [percent + 2, percent * 100, percent / 1000, -percent, share + 1]
    if rng.random() < 0.3 and share.denominator != 1:  # the gold answer is the number
        golds = [
            plain("decimal", decimal(share)),
            latex("frac", f"\\frac{{{share.numerator}}}{{{share.denominator}}}"),
        ]  # fmt: skip
        return Case(golds=golds, equal=marked(percent), unequal=[marked(percent + rng.choice((1, -1,
                10)))],
                    scalar=True)  # fmt: skip
    return Case(
        golds=[plain("%", f"{text}%"), latex("\\%", f"{text}\\%")],
        equal=marked(percent) * 2 + [plain("bare", text), plain("decimal", decimal(share)),
                                     latex("frac",
                                           f"\\frac{{{share.numerator}}}{{{share.denominator}}}")],
        unequal=[marked(near),
                 [plain("bare", decimal(each)) for each in bare if each not in (percent, share)]],
        types=(None, None, "math"), scalar=True,
    )  # fmt: skip
