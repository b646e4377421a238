"""Expressions with a name in them, and equations of one name.

Invariant: a polynomial is its coefficients, highest first; two are equal exactly when those are and
the name is the same.

A sample: quadratics -> gold x^2+3x+2, equal (x+1)(x+2), unequal x^2-3x+2.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from fractions import Fraction

from tests.answer_pairs.forms import Case, Form, latex, plain, signed
from tests.answer_pairs.numbers import SUPER
from tests.answer_pairs.roots import frac


def monomial(factor: int, power: int, name: str, *, style: str) -> str:
    """Without its sign; `style` is latex, plain, star (x**2 with *) or unicode."""
    factor = abs(factor)
    if not power:
        return str(factor)
    above = {"latex": f"^{{{power}}}", "short": f"^{power}", "plain": f"^{power}",
             "star": f"**{power}", "unicode": str(power).translate(SUPER)}[style]  # fmt: skip
    times = "" if factor == 1 else f"{factor}*" if style == "star" else str(factor)
    return times + name + ("" if power == 1 else above)


def polynomial(
    factors: Sequence[int],
    name: str = "x",
    *,
    style: str = "short",
    wide: bool = False,
    turned: bool = False,
) -> str:
    """The sum, from the highest power down or, turned, up."""
    terms = [(factor, len(factors) - 1 - index) for index, factor in enumerate(factors) if factor]
    if turned:
        terms.reverse()
    text = ""
    for factor, power in terms:
        term = monomial(factor, power, name, style=style)
        if not text:
            text = f"{'-' if factor < 0 else ''}{term}"
        else:
            sign = "-" if factor < 0 else "+"
            text += f" {sign} {term}" if wide else f"{sign}{term}"
    return text or "0"


def polynomial_forms(factors: Sequence[int], name: str = "x") -> list[Form]:
    return [
        latex("short", polynomial(factors, name)), latex("wide",
                polynomial(factors, name, wide=True)), latex("braces",
                        polynomial(factors, name, style="latex")),
        latex("turned", polynomial(factors, name, turned=True, wide=True)),
        plain("plain", polynomial(factors, name, style="plain", wide=True)),
        plain("**", polynomial(factors, name, style="star", wide=True)),
        plain("unicode", polynomial(factors, name, style="unicode", wide=True)),
        plain("tight **", polynomial(factors, name, style="star")),
        latex("brackets", f"\\left({polynomial(factors, name, wide=True)}\\right)"),
    ]  # fmt: skip


def changed(factors: Sequence[int], rng: random.Random) -> list[int]:
    other = list(factors)
    index = rng.randrange(len(other))
    other[index] = rng.choice([each for each in (-other[index], other[index] + 1,
            other[index] + 2) if each not in (0, other[index])])  # fmt: skip
    return other


def quadratics(rng: random.Random) -> Case:
    """Expanded; factored forms are stated too."""
    p, q, lead = rng.choice((-5, -3, -2, -1, 1, 2, 4, 6)), rng.choice((-7, -4, -2, 1, 3,
            5)), rng.choice((1, 1, 2, 3))  # fmt: skip
    factors = [lead, -lead * (p + q), lead * p * q]
    times = "" if lead == 1 else str(lead)
    products = [f"{times}(x {signed(str(abs(p)), -p)})(x {signed(str(abs(q)), -q)})",
                f"{times}(x{-q:+d})(x{-p:+d})"]  # fmt: skip
    equal = polynomial_forms(factors) * 2 + [latex("factored",
            each) for each in products] + [plain("factored", products[0])]  # fmt: skip
    text = polynomial(factors)
    wrong = [
        latex("other name", polynomial(factors, "y")), latex("lead", str(lead)),
        latex("first term", polynomial([lead, 0, 0])),
        latex("plus one", polynomial([lead, factors[1], factors[2] + 1])),
        latex("minus", polynomial([-each for each in factors])), latex("greater", f"{text} > 0"),
        latex("higher", polynomial([*factors, 0])), latex("constant", str(factors[2])),
        latex("over x", f"\\frac{{{text}}}{{x}}"), latex("root", f"\\sqrt{{{text}}}"),
    ]  # fmt: skip
    return Case(golds=[latex("short", text), latex("wide", polynomial(factors, wide=True))],
                equal=equal, unequal=[polynomial_forms(changed(factors, rng)), wrong])  # fmt: skip


def linear(rng: random.Random) -> Case:
    name = rng.choice("xyntab")
    factors = rng.choice([[rng.randint(2, 30), 0], [rng.randint(1, 9),
            rng.choice((-7, -2, 1, 4, 10))], [-rng.randint(2, 9), rng.randint(1, 20)]])  # fmt: skip
    other_name = rng.choice([each for each in "xyntab" if each != name])
    text = polynomial(factors, name)
    wrong = [
        latex("other name", polynomial(factors, other_name)), latex("factor", str(factors[0])),
        latex("squared", f"({text})^2"), latex("plus one",
                polynomial([factors[0], factors[1] + 1 or 3], name)),
        latex("greater", f"{text} > 0"), latex("over", f"\\frac{{{text}}}{{2}}"),
        latex("and name", polynomial(factors, f"{name}{other_name}")),
    ]  # fmt: skip
    return Case(golds=[latex("short", text), latex("wide", polynomial(factors, name, wide=True))],
                equal=polynomial_forms(factors, name),
                unequal=[polynomial_forms([factors[0] + 1, factors[1]], name), wrong],
                types=(None, "math"))  # fmt: skip


def quotients(rng: random.Random) -> Case:
    a, b, c = rng.randint(1, 9), rng.randint(1, 9), rng.choice((-3, -2, 2, 5))
    if a * b == c:  # it would be a constant
        a += 1
    top, bottom = polynomial([1, a], wide=True), polynomial([b, c], wide=True)
    equal = [
        latex("frac", f"\\frac{{{top}}}{{{bottom}}}"), latex("dfrac",
                f"\\dfrac{{{top}}}{{{bottom}}}"), plain("slash", f"({top})/({bottom})"),
        latex("turned",
              f"\\frac{{{polynomial([1, a], turned=True)}}}{{{polynomial([b, c], turned=True)}}}"),
              latex("doubled", f"\\frac{{2({top})}}{{2({bottom})}}"),
        latex("both signs", f"\\frac{{-({top})}}{{-({bottom})}}"),
        latex("tight", f"\\frac{{{top.replace(' ', '')}}}{{{bottom.replace(' ', '')}}}"),
    ]  # fmt: skip
    wrong = [
        latex("upside down", f"\\frac{{{bottom}}}{{{top}}}"), latex("top", top),
        latex("bottom", bottom), latex("minus", f"-\\frac{{{top}}}{{{bottom}}}"),
        latex("product", f"({top})({bottom})"),
        latex("next", f"\\frac{{{polynomial([1, a + 1])}}}{{{bottom}}}"),
        latex("plus one", f"\\frac{{{top}}}{{{bottom}}} + 1"),
        latex("other name", f"\\frac{{{polynomial([1, a], 'y')}}}{{{polynomial([b, c], 'y')}}}"),
    ]  # fmt: skip
    return Case(golds=equal[:2], equal=equal, unequal=[wrong])


def lines(rng: random.Random) -> Case:
    """Equations of a line, solved for y."""
    a, b = rng.choice((-4, -2, -1, 1, 2, 3, 5)), rng.choice((-6, -3, 1, 4, 8))

    def forms(a: int, b: int) -> list[Form]:
        return [
            latex("short", f"y={polynomial([a, b])}"), latex("wide",
                    f"y = {polynomial([a, b], wide=True)}"),
                    latex("turned", f"y = {polynomial([a, b], turned=True, wide=True)}"),
            plain("plain", f"y = {polynomial([a, b], wide=True)}"),
            plain("tight", f"y={polynomial([a, b])}"), latex("other way",
                    f"{polynomial([a, b], wide=True)} = y"),
        ]  # fmt: skip

    other = rng.choice([(a, -b), (-a, b), (a + 1 or 2, b), (a, b + 1)])
    wrong = [latex("constant", str(b)), latex("slope", str(a)),
             latex("greater", f"y > {polynomial([a, b])}")]  # fmt: skip
    if a != -1:  # there x and y may change places
        wrong.append(latex("other names", f"x = {polynomial([a, b], 'y')}"))
    return Case(golds=forms(a, b)[:2], equal=forms(a, b), unequal=[forms(*other), wrong])


def solutions(rng: random.Random) -> Case:
    """x = v, where v is what was asked for."""
    value = Fraction(rng.randint(2, 60), rng.choice((1, 1, 2, 3, 7))) * rng.choice((1, 1, -1))
    other = rng.choice([-value, value + 1, value * 2, value + Fraction(1, 5)])

    def forms(value: Fraction) -> list[Form]:
        text, flat = frac(value), str(value)
        return [
            latex("x", f"x = {text}"), latex("n", f"n={text}"), plain("x", f"x = {flat}"),
            plain("tight", f"x={flat}"), latex("f", f"f(3) = {text}"),
            latex("AB", f"AB = {text}"), latex("other way", f"{text} = x"),
            latex("index", f"x_1 = {text}"), latex("text", f"\\text{{Total}} = {text}"),
        ]  # fmt: skip

    bare = [latex("bare", frac(value)), plain("bare", str(value))]
    text = frac(value)
    wrong = [latex("times y", f"x = {text}y"), latex("greater", f"x > {text}"),
             latex("at most", f"x \\le {text}"), latex("not", f"x \\ne {text}"),
             latex("two", f"x = {text}, x = {frac(value + 2)}"),
             latex("or", f"x = {text} \\text{{ or }} x = {frac(value + 2)}")]  # fmt: skip
    if rng.random() < 0.3:
        return Case(golds=[latex("x", f"x = {text}"), latex("tight", f"x={text}")],
                    equal=[*bare, latex("x", f"x = {text}"), plain("x", f"x = {value}")],
                    unequal=[[*forms(other)[:1], latex("bare", frac(other)),
                              plain("bare", str(other))], wrong])  # fmt: skip
    return Case(golds=[*bare[:1], latex("frac", frac(value))], equal=forms(value),
                unequal=[forms(other), wrong])  # fmt: skip
