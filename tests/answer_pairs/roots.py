"""Radicals: a times a root, sums with a root, cube roots.

Invariant: a value is (coefficient, radicand) with a square-free (cube-free) radicand, so that two
are equal exactly when both parts are.

A sample: radicals -> gold 5\\sqrt{2}, equal \\sqrt{50} and \\frac{10}{\\sqrt{2}}, unequal 5.
"""

from __future__ import annotations

import random
from decimal import Decimal, localcontext
from fractions import Fraction

from tests.answer_pairs.forms import Case, Form, latex, plain
from tests.answer_pairs.numbers import rounded, too_short

SQUARE_FREE = (2, 3, 5, 6, 7, 10, 11, 13, 15, 17, 19, 21)


def root(number: int) -> Fraction:
    """The square root to forty digits."""
    with localcontext() as context:
        context.prec = 40
        return Fraction(Decimal(number).sqrt())


def frac(value: Fraction, above: str = "") -> str:
    """A quotient in LaTeX with `above` behind its top: \\frac{3\\sqrt{2}}{4}; 1 is not written."""
    minus, top, bottom = "-" if value < 0 else "", abs(value.numerator), value.denominator
    head = above if above and top == 1 else f"{top}{above}"
    return f"{minus}{head}" if bottom == 1 else f"{minus}\\frac{{{head}}}{{{bottom}}}"


def root_forms(factor: Fraction, radicand: int) -> list[Form]:
    """factor * sqrt(radicand), with the root left, under it, below a line and in plain text."""
    minus, size = ("-" if factor < 0 else ""), abs(factor)
    top, bottom, under = size.numerator, size.denominator, f"\\sqrt{{{radicand}}}"
    inside = size * size * radicand
    times = "" if top == 1 else str(top)
    below = "" if bottom == 1 else f"/{bottom}"
    forms = [
        latex("factor", frac(factor, under)),
        latex("no braces", frac(factor, f"\\sqrt{radicand}")) if radicand < 10
        else latex("blank", frac(factor, f"\\sqrt {{{radicand}}}")),
        latex("all under", f"{minus}\\sqrt{{{frac(inside)}}}"),
        latex("root below",
              f"{minus}\\frac{{{top * radicand}}}{{{'' if bottom == 1 else bottom}{under}}}"),
        latex("times", f"{minus}{size.numerator} \\cdot {under}" if bottom == 1
              else f"{minus}\\frac{{{top}}}{{{bottom}}}{under}"),
        latex("half power", f"{minus}{frac(size)} \\cdot {radicand}^{{1/2}}"),
        latex("dfrac half", f"{minus}{frac(size)} \\times {radicand}^{{\\frac{{1}}{{2}}}}"),
        latex("behind", f"{minus}{under} \\cdot {frac(size)}"),
        plain("√", f"{minus}{times}√{radicand}{below}"),
        plain("√()", f"{minus}{times}√({radicand}){below}"),
        plain("* sqrt", f"{minus}{f'{top}*' if top > 1 else ''}sqrt({radicand}){below}"),
        plain("sqrt", f"{minus}{times}sqrt({radicand}){below}"),
        latex("eight digits", rounded(factor * root(radicand), 9)),
        latex("approx", f"{frac(factor, under)} \\approx {rounded(factor * root(radicand), 2)}"),
    ]  # fmt: skip
    if inside.denominator == 1:
        forms += [plain("√ of all", f"{minus}√{inside}"),
                  plain("sqrt of all", f"{minus}sqrt({inside})")]  # fmt: skip
    return forms


def radicals(rng: random.Random) -> Case:
    radicand = rng.choice(SQUARE_FREE)
    factor = Fraction(rng.choice((1, 2, 3, 4, 5, 6, 7, 9, 12)), rng.choice((1, 1, 1, 2, 3, 4, 5)))
    factor *= rng.choice((1, 1, 1, -1))
    others = [(factor + 1, radicand), (-factor, radicand), (1 / factor, radicand),
              (factor * 2, radicand),
              (factor, rng.choice([each for each in SQUARE_FREE if each != radicand]))]  # fmt: skip
    other = rng.choice([each for each in others if each != (factor, radicand) and each[0]])
    under = f"\\sqrt{{{radicand}}}"
    value = frac(factor, under)
    parts = [
        latex("squared", frac(factor * factor * radicand)),
        latex("cube root", frac(factor, f"\\sqrt[3]{{{radicand}}}")),
        latex("no root", frac(factor * radicand)), *too_short(factor * root(radicand)),
        latex("plus minus", f"\\pm {frac(abs(factor), under)}"),
        latex("times x", f"{value}x"), latex("plus one", f"{value} + 1"),
        latex("minus one", f"{value} - 1"),
        latex("pi", f"{value}\\pi"), latex("greater", f"x > {value}"),
        latex("pair", f"({value}, 1)"),
        latex("complex", f"{value}i"), latex("one over", f"\\frac{{1}}{{{radicand}{under}}}"),
    ]  # fmt: skip
    parts.append(latex("factor alone", frac(factor)))
    if factor != 1:
        parts.append(latex("root alone", under))
    if factor == Fraction(1, radicand * radicand):  # the one over it is the value itself
        parts = [each for each in parts if each.name != "one over"]
    golds = [each for each in root_forms(factor, radicand) if each.name in ("factor", "no braces")]
    return Case(
        golds=golds, equal=root_forms(factor, radicand), unequal=[root_forms(*other), parts],
        types=(None, None, "math"), scalar=True,
    )  # fmt: skip


def whole_roots(rng: random.Random) -> Case:
    """A whole number written as a root, and roots that are almost it."""
    number = rng.randint(2, 40)
    square, cube = number * number, number**3
    forms = [
        latex("sqrt", f"\\sqrt{{{square}}}"), plain("√", f"√{square}"),
        plain("sqrt", f"sqrt({square})"),
        latex("cube root", f"\\sqrt[3]{{{cube}}}"), plain("∛", f"∛{cube}"),
        latex("squared root", f"(\\sqrt{{{number}}})^2"),
        latex("two roots", f"\\sqrt{{{2 * number}}} \\cdot \\sqrt{{{2 * number}}} \\div 2"),
        latex("equation", f"\\sqrt{{{square}}} = {number}"),
        plain("equation", f"√{square} = {number}"),
    ]  # fmt: skip
    wrong = [
        latex("sqrt", f"\\sqrt{{{square + 1}}}"), latex("sqrt of it", f"\\sqrt{{{number}}}"),
        plain("√", f"√{number}"), latex("cube root", f"\\sqrt[3]{{{square}}}"),
        latex("root of root", f"\\sqrt{{{number}\\sqrt{{{number}}}}}"),
        plain("√", f"√{square - 1}"),
        latex("minus", f"-\\sqrt{{{square}}}"), latex("plus minus", f"\\pm\\sqrt{{{square}}}"),
        latex("equation", f"\\sqrt{{{(number + 1) ** 2}}} = {number + 1}"),
    ]  # fmt: skip
    return Case(golds=[plain("digits", str(number))], equal=forms, unequal=[wrong], scalar=True)


def surds(rng: random.Random) -> Case:
    """a + b sqrt(c), and its half."""
    a, b, c = rng.randint(1, 20), rng.choice((-3, -2, -1, 1, 2, 3, 5, 12)), rng.choice(SQUARE_FREE)
    below = rng.choice((1, 1, 2, 3))

    def forms(a: int, b: int, c: int) -> list[Form]:
        size, sign = abs(b), "-" if b < 0 else "+"
        term = f"{'' if size == 1 else size}\\sqrt{{{c}}}"
        first = f"{'-' if b < 0 else ''}{term}"
        text = f"{'' if size == 1 else size}√{c}"
        star = f"{'' if size == 1 else f'{size}*'}sqrt({c})"
        bare = [f"{a}{sign}{term}", f"{a} {sign} {term}", f"{first} {signed_number(a)}",
                f"{a} {sign} \\sqrt{{{b * b * c}}}"]  # fmt: skip
        if below > 1:
            split = f"\\frac{{{a}}}{{{below}}} {sign} \\frac{{{term}}}{{{below}}}"
            return [*(latex(f"over {i}", f"\\frac{{{each}}}{{{below}}}") for i,
                      each in enumerate(bare)), latex("split", split),
                    plain("√", f"({a} {sign} {text})/{below}"),
                    plain("sqrt", f"({a} {sign} {star})/{below}")]  # fmt: skip
        return [
            *(latex(f"sum {i}", each) for i, each in enumerate(bare)),
            plain("√", f"{a} {sign} {text}"), plain("sqrt", f"{a} {sign} {star}"),
            plain("tight", f"{a}{sign}{text}"),
            latex("digits", rounded(a + b * root(c), 9)),
        ]  # fmt: skip

    other = rng.choice([(a, -b, c), (a + 1, b, c), (a, b + 4, c) if b != -4 else (a, 1, c),
                        (-a, b, c), (a, b, 23)])  # fmt: skip
    parts = [
        latex("first", str(a)), latex("sum", str(a + b)), latex("second", f"{b}\\sqrt{{{c}}}"),
        latex("plus minus", f"{a} \\pm {abs(b)}\\sqrt{{{c}}}"),
        latex("under one root", f"\\sqrt{{{a}+{b * b * c}}}"),
        latex("times i", f"{a} + {abs(b)}\\sqrt{{{c}}}i"),
        latex("pair", f"({a}, {b}\\sqrt{{{c}}})"),
    ]  # fmt: skip
    return Case(golds=forms(a, b, c)[:1], equal=forms(a, b, c), unequal=[forms(*other), parts],
                types=(None, "math"))  # fmt: skip


def signed_number(number: int) -> str:
    return f"{'-' if number < 0 else '+'} {abs(number)}"
