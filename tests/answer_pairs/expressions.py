"""Expressions in several names, roots and fractions of names, products left as they are.

Invariant: each case lists ways to write one expression and, apart, expressions that differ from it
for nearly all values of their names.

A sample: monomials -> gold 3a^2b, equal 3ba^2, unequal 3ab^2.
"""

from __future__ import annotations

import random
from fractions import Fraction

from tests.answer_pairs.forms import Case, Form, latex, plain
from tests.answer_pairs.numbers import decimal
from tests.answer_pairs.roots import frac


def power(name: str, exponent: int, style: str = "^N") -> str:
    return name if exponent == 1 else name + style.replace("N", str(exponent))


def monomials(rng: random.Random) -> Case:
    first, second = rng.choice(("ab", "xy", "pq", "mn", "rh", "xz"))
    factor, m, n = rng.randint(2, 12), rng.randint(1, 3), rng.randint(1, 4)

    def forms(factor: int, m: int, n: int) -> list[Form]:
        one, other = power(first, m), power(second, n)
        return [
            latex("short", f"{factor}{one}{other}"), latex("turned", f"{factor}{other}{one}"),
            latex("blanks", f"{factor} {one} {other}"), plain("^", f"{factor}{one}{other}"),
            latex("braces", f"{factor}{power(first, m, '^{N}')}{power(second, n, '^{N}')}"),
            latex("times", f"{factor} \\cdot {one} \\cdot {other}"),
            plain("*", f"{factor}*{one}*{other}"), latex("behind", f"{one}{other} \\cdot {factor}"),
            plain("**", f"{factor}*{power(first, m, '**N')}*{power(second, n, '**N')}"),
            latex("half of double", f"\\frac{{{2 * factor}{one}{other}}}{{2}}"),
        ]  # fmt: skip

    others = [(factor + 1, m, n), (factor, m + 1, n), (factor, m, n + 1), (factor, n, m)]
    other = rng.choice([each for each in others if each != (factor, m, n)])
    text = forms(factor, m, n)[0].text
    wrong = [
        latex("factor", str(factor)), latex("no factor", f"{power(first, m)}{power(second, n)}"),
        latex("minus", f"-{text}"), latex("plus", f"{factor}{power(first, m)}+{power(second, n)}"),
        latex("below", f"\\frac{{{factor}{power(first, m)}}}{{{power(second, n)}}}"),
        latex("one name", f"{factor}{power(first, m)}"), latex("greater", f"{text} > 0"),
        latex("squared", f"({text})^2"), latex("pair", f"({text}, 1)"),
    ]  # fmt: skip
    golds = forms(factor, m, n)[:1] + forms(factor, m, n)[4:5]
    return Case(golds=golds, equal=forms(factor, m, n), unequal=[forms(*other), wrong])


def parts(rng: random.Random) -> Case:
    """A share of a name, before it, below it and as a decimal."""
    name = rng.choice("xynt")
    value = Fraction(rng.choice((1, 3, 5, 7)), rng.choice((2, 4, 5, 10)))
    if value.denominator == 1:
        value = Fraction(1, 2)

    def forms(value: Fraction) -> list[Form]:
        a, b = value.numerator, value.denominator
        above = f"{'' if a == 1 else a}{name}"
        return [
            latex("above", f"\\frac{{{above}}}{{{b}}}"), latex("before", f"{frac(value)}{name}"),
            plain("slash", f"{above}/{b}"), plain("decimal", f"{decimal(value)}{name}"),
            latex("decimal", f"{decimal(value)}{name}"), plain("brackets", f"({a}/{b}){name}"),
            latex("times", f"{frac(value)} \\cdot {name}"), plain("*", f"{a}*{name}/{b}"),
            latex("dfrac", f"\\dfrac{{{above}}}{{{b}}}"),
        ]  # fmt: skip

    a, b = value.numerator, value.denominator
    wrong = [
        latex("name below", f"\\frac{{{a}}}{{{b}{name}}}"), latex("no name", frac(value)),
        latex("name", name), latex("upside down", f"\\frac{{{b}}}{{{a}}}{name}"),
        latex("plus", f"{frac(value)} + {name}"), latex("squared", f"{frac(value)}{name}^2"),
        latex("minus", f"-{frac(value)}{name}"), latex("other", frac(value) + ("z" + name)[0]),
    ]  # fmt: skip
    other = rng.choice([value + 1, value / 2, value * 2 + Fraction(1, 10)])
    return Case(golds=forms(value)[:2], equal=forms(value), unequal=[forms(other), wrong])


def root_powers(rng: random.Random) -> Case:
    """Fractional and negative powers of a name beside roots and quotients."""
    name = rng.choice("xyzt")
    families = [
        [f"\\sqrt{{{name}}}", f"{name}^{{1/2}}", f"{name}^{{\\frac{{1}}{{2}}}}", f"{name}^{{0.5}}"],
        [f"\\frac{{1}}{{{name}}}", f"{name}^{{-1}}", f"\\dfrac{{1}}{{{name}}}", f"1/{name}"],
        [f"\\frac{{1}}{{{name}^2}}", f"{name}^{{-2}}", f"\\left(\\frac{{1}}{{{name}}}\\right)^2",
         f"1/{name}^2"],
        [f"\\sqrt[3]{{{name}}}", f"{name}^{{1/3}}", f"{name}^{{\\frac{{1}}{{3}}}}"],
        [f"\\frac{{1}}{{\\sqrt{{{name}}}}}", f"{name}^{{-1/2}}",
         f"\\left(\\sqrt{{{name}}}\\right)^{{-1}}"],
        [f"{name}^2", f"{name} \\cdot {name}", f"{name}^{{2}}", f"{name}{name}"],
        [f"{name}^3", f"{name}^2 \\cdot {name}", f"{name}^{{3}}", f"\\frac{{{name}^4}}{{{name}}}"],
    ]  # fmt: skip
    index = rng.randrange(len(families))
    others = [each for i, family in enumerate(families) if i != index for each in family]
    texts = families[index]
    return Case(
        golds=[latex("first", texts[0])],
        equal=[latex(f"form {i}", each) for i, each in enumerate(texts)],
        unequal=[[latex("other", each) for each in others],
                 [latex("minus", f"-{texts[0]}"), latex("twice", f"2 \\cdot {texts[0]}"),
                  latex("plus one", f"{texts[0]} + 1"), plain("one", "1")]],
    )  # fmt: skip


def products(rng: random.Random) -> Case:
    """Squares and products that may be left or multiplied out."""
    a, b = rng.randint(2, 9), rng.randint(2, 9)
    kinds = [
        ([f"(x+{a})^2", f"x^2+{2 * a}x+{a * a}", f"({a}+x)^2", f"(x+{a})(x+{a})",
          f"(x + {a})^{{2}}"],
         [f"x^2+{a * a}", f"(x-{a})^2", f"x^2-{2 * a}x+{a * a}", f"(x+{a})^3", f"x+{a}"]),
        ([f"{a}(x+{b})", f"{a}x+{a * b}", f"(x+{b}) \\cdot {a}", f"{a}x + {a * b}", f"{a}({b}+x)"],
         [f"{a}x+{b}", f"x+{a * b}", f"{a}(x-{b})", f"{a}(x+{b + 1})", f"{a * b}x+{a}"]),
        ([f"x^2-{a * a}", f"(x-{a})(x+{a})", f"(x+{a})(x-{a})", f"-{a * a}+x^2"],
         [f"x^2+{a * a}", f"(x-{a})^2", f"x^2-{a}", f"{a * a}-x^2"]),
        ([f"x^3+{a**3}", f"(x+{a})(x^2-{a}x+{a * a})", f"{a**3}+x^3"],
         [f"(x+{a})^3", f"x^3-{a**3}", f"(x+{a})(x^2+{a}x+{a * a})", f"x^3+{a**3 + 1}"]),
        ([f"x(x+{a})", f"x^2+{a}x", f"(x+{a})x", f"{a}x+x^2"],
         [f"x^2+{a}", f"x(x-{a})", f"x+{a}", f"x^2+{a}x+1"]),
        ([f"\\frac{{x+{a}}}{{2}}", f"\\frac{{x}}{{2}}+\\frac{{{a}}}{{2}}",
          f"\\frac{{1}}{{2}}(x+{a})",
          f"(x+{a})/2"],
         [f"\\frac{{x}}{{2}}+{a}", f"x+\\frac{{{a}}}{{2}}", f"\\frac{{x-{a}}}{{2}}", f"x+{a}"]),
    ]  # fmt: skip
    same, different = rng.choice(kinds)
    return Case(
        golds=[latex("expanded", same[1] if "(" in same[0] else same[0])],
        equal=[*(latex(f"form {i}", each) for i, each in enumerate(same)),
               *(plain(f"form {i}", each) for i, each in enumerate(same) if "\\" not in each)],
        unequal=[[*(latex(f"other {i}", each) for i, each in enumerate(different)),
                  *(plain(f"other {i}", each) for i, each in enumerate(different)
                    if "\\" not in each)]],
    )  # fmt: skip


def whole_parts(rng: random.Random) -> Case:
    """Floors, ceilings and absolute values that are a whole number."""
    n = rng.randint(2, 60)
    equal = [
        latex("floor", f"\\lfloor {n}.7 \\rfloor"), latex("ceiling", f"\\lceil {n - 1}.2 \\rceil"),
        latex("absolute", f"|-{n}|"), latex("difference", f"|{n} - {2 * n}|"),
        latex("left", f"\\left| -{n} \\right|"), latex("quotient", f"\\frac{{{6 * n}}}{{6}}"),
        latex("floor of quotient", f"\\left\\lfloor \\frac{{{2 * n + 1}}}{{2}} \\right\\rfloor"),
        latex("minus minus", f"-(-{n})"), latex("times one", f"{n} \\cdot 1"),
    ]  # fmt: skip
    wrong = [
        latex("floor", f"\\lfloor {n + 1}.7 \\rfloor"), latex("ceiling", f"\\lceil {n}.2 \\rceil"),
        latex("minus absolute", f"-|{n}|"), latex("absolute", f"|{n + 3}|"),
        latex("bare", f"{n}.7"), latex("minus", f"-({n})"),
        latex("quotient", f"\\frac{{6}}{{{6 * n}}}"),
        latex("difference", f"|{n} - {3 * n}|"), latex("name", f"|x - {n}|"),
    ]  # fmt: skip
    return Case(golds=[plain("digits", str(n))], equal=equal, unequal=[wrong])


def inverse_angles(rng: random.Random) -> Case:
    table = [
        (["\\frac{\\pi}{4}", "\\arctan 1", "\\tan^{-1} 1", "\\arctan(1)", "0.25\\pi"],
         ["\\frac{\\pi}{2}", "\\arctan 2", "1", "\\tan 1", "\\frac{\\pi}{3}"]),
        (["\\frac{\\pi}{6}", "\\arcsin \\frac{1}{2}", "\\arcsin(1/2)", "\\sin^{-1}\\frac{1}{2}"],
         ["\\arccos \\frac{1}{2}", "\\frac{\\pi}{3}", "\\frac{1}{2}", "\\sin \\frac{1}{2}"]),
        (["\\frac{\\pi}{3}", "\\arccos \\frac{1}{2}", "\\arctan \\sqrt{3}", "\\cos^{-1}(1/2)"],
         ["\\arcsin \\frac{1}{2}", "\\frac{\\pi}{6}", "\\sqrt{3}", "\\frac{2\\pi}{3}"]),
        (["\\arctan \\frac{3}{4}", "\\tan^{-1} \\frac{3}{4}", "\\arctan(3/4)", "\\arctan(0.75)"],
         ["\\arctan \\frac{4}{3}", "\\frac{3}{4}", "\\tan \\frac{3}{4}", "\\arcsin \\frac{3}{4}"]),
        (["\\sqrt{2}", "\\sec 45^\\circ", "\\frac{2}{\\sqrt{2}}", "2^{1/2}", "\\csc 45^\\circ"],
         ["\\sec 60^\\circ", "2", "\\frac{1}{\\sqrt{2}}", "\\tan 45^\\circ"]),
        (["\\sqrt{3}", "\\cot 30^\\circ", "\\tan 60^\\circ", "\\frac{3}{\\sqrt{3}}", "3^{0.5}"],
         ["\\cot 60^\\circ", "\\frac{\\sqrt{3}}{3}", "3", "\\tan 30^\\circ"]),
    ]  # fmt: skip
    same, different = rng.choice(table)
    return Case(
        golds=[latex("first", same[0])],
        equal=[latex(f"form {i}", each) for i, each in enumerate(same)],
        unequal=[[latex(f"other {i}", each) for i, each in enumerate(different)]],
    )  # fmt: skip


def decimal_factors(rng: random.Random) -> Case:
    """Multiples of pi or a root by a decimal."""
    value = Fraction(rng.choice((1, 3, 5, 7, 9, 11, 15, 25)), rng.choice((2, 4, 5, 10)))
    tail, shown = rng.choice((("\\pi", "π"), ("\\sqrt{2}", "√2"), ("\\sqrt{3}", "√3")))

    def forms(value: Fraction) -> list[Form]:
        text = decimal(value)
        return [
            latex("decimal", f"{text}{tail}"), plain("decimal", f"{text}{shown}"),
            latex("frac", frac(value, tail)), latex("times", f"{text} \\cdot {tail}"),
            latex("behind", f"{tail} \\cdot {text}"),
            latex("half", frac(value * 2, tail) + " \\div 2"),
        ]  # fmt: skip

    other = rng.choice([value + 1, value * 10, value / 2])
    wrong = [latex("bare", frac(value)), latex("tail", f"{decimal(value + 2)} + {tail}"),
             latex("squared", f"({decimal(value)}{tail})^2"),
             latex("minus", f"-{decimal(value)}{tail}"),
             latex("times x", f"{decimal(value)}{tail}x")]  # fmt: skip
    if value == 1:
        value = Fraction(3, 2)
        other = Fraction(5, 2)
        wrong = wrong[:2]
    return Case(golds=[forms(value)[2]], equal=forms(value), unequal=[forms(other), wrong])
