"""Multiples of pi and e, logarithms, trigonometry of degrees, complex numbers.

Invariant: equality is by identities (log laws, the table of exact values), never by floating point.

A sample: angles -> gold \\frac{1}{2}, equal \\sin 30^\\circ, unequal \\cos 30^\\circ.
"""

from __future__ import annotations

import math
import random
from fractions import Fraction

from tests.answer_pairs.forms import Case, Form, latex, plain, signed
from tests.answer_pairs.numbers import rounded, too_short
from tests.answer_pairs.roots import frac

PI = Fraction("3.14159265358979323846264338327950288419716939937510")
E = Fraction("2.71828182845904523536028747135266249775724709369995")
DEGREES = {
    ("sin", 30): "\\frac{1}{2}", ("sin", 45): "\\frac{\\sqrt{2}}{2}",
    ("sin", 60): "\\frac{\\sqrt{3}}{2}",
    ("cos", 30): "\\frac{\\sqrt{3}}{2}", ("cos", 45): "\\frac{\\sqrt{2}}{2}",
    ("cos", 60): "\\frac{1}{2}",
    ("tan", 30): "\\frac{\\sqrt{3}}{3}", ("tan", 45): "1", ("tan", 60): "\\sqrt{3}",
    ("sin", 150): "\\frac{1}{2}", ("cos", 120): "-\\frac{1}{2}", ("tan", 135): "-1",
    ("sin", 90): "1", ("cos", 180): "-1", ("sin", 210): "-\\frac{1}{2}",
    ("cos", 150): "-\\frac{\\sqrt{3}}{2}",
}  # fmt: skip


def pi_forms(factor: Fraction) -> list[Form]:
    minus, top, bottom = "-" if factor < 0 else "", abs(factor.numerator), factor.denominator
    times, below = "" if top == 1 else str(top), "" if bottom == 1 else f"/{bottom}"
    found = [
        latex("above", frac(factor, "\\pi")), plain("π", f"{minus}{times}π{below}"),
        latex("times", f"{frac(factor)} \\cdot \\pi"),
        plain("* pi", f"{minus}{f'{top}*' if top > 1 else ''}pi{below}"),
        plain("pi", f"{minus}{f'{top} ' if top > 1 else ''}pi{below}"),
        latex("π", frac(factor, "π")), latex("digits", rounded(factor * PI, 9)),
        latex("braces", frac(factor, "{\\pi}")),
        latex("doubled", f"{minus}\\frac{{{2 * top}\\pi}}{{{2 * bottom}}}"),
        latex("approx", f"{frac(factor, chr(92) + 'pi')} \\approx {rounded(factor * PI, 2)}"),
    ]  # fmt: skip
    if bottom > 1:
        found += [latex("before", f"{minus}\\frac{{{top}}}{{{bottom}}}\\pi"),
                  latex("dfrac", f"{minus}\\dfrac{{{times}\\pi}}{{{bottom}}}"),
                  plain("brackets", f"{minus}({top}/{bottom})π")]  # fmt: skip
    return found


def circles(rng: random.Random) -> Case:
    """Multiples of pi."""
    factor = Fraction(rng.choice((1, 2, 3, 4, 5, 7, 8, 9, 16, 25, 100, 144)),
                      rng.choice((1, 1, 1, 2, 3, 4, 6, 12))) * rng.choice((1, 1, 1,
                              -1))  # fmt: skip
    value = frac(factor, "\\pi")
    other = rng.choice([each for each in (factor + 1, -factor, 1 / factor, factor * 2, factor / 2,
                                          factor + Fraction(1, 3)) if each not in (0,
                                                  factor)])  # fmt: skip
    wrong = [
        latex("no pi", frac(factor)), latex("squared", frac(factor, "\\pi^2")),
        latex("below", f"\\frac{{{factor.numerator}}}{{{factor.denominator}\\pi}}"),
        latex("plus", f"{frac(factor)} + \\pi"), *too_short(factor * PI),
        latex("times x", f"{value} x"), latex("plus one", f"{value} + 1"),
        latex("root", frac(factor, "\\sqrt{\\pi}")), latex("e", frac(factor, "e")),
        latex("greater", f"x > {value}"), latex("pair", f"({value}, 1)"),
        latex("plus minus", f"\\pm {frac(abs(factor), chr(92) + 'pi')}"),
        latex("multiples", f"{value} + 2\\pi k"),
    ]  # fmt: skip
    return Case(golds=pi_forms(factor)[:1], equal=pi_forms(factor),
                unequal=[pi_forms(other), wrong], types=(None, "math"), scalar=True)  # fmt: skip


def exponentials(rng: random.Random) -> Case:
    """Multiples and powers of e, small ones too."""
    factor, power = rng.choice((1, 1, 2, 3, 5)), rng.choice((1, 2, 3, 4, -1, -2, -3, -20, -40, -50))

    def forms(factor: int, power: int) -> list[Form]:
        times, above = "" if factor == 1 else str(factor), "" if power == 1 else f"^{{{power}}}"
        found = [
            latex("e", f"{times}e{above}"), latex("mathrm", f"{times}\\mathrm{{e}}{above}"),
            plain("^", f"{f'{factor}*' if times else ''}e^({power})"),
            latex("times", f"{factor} \\cdot e{above}"),
            latex("split", f"{times}e^{{{power - 1}}} \\cdot e"),
            latex("exp", f"{times}\\exp({power})"),
        ]  # fmt: skip
        if power < 0:
            below = "e" if power == -1 else f"e^{{{-power}}}"
            found += [latex("frac", f"\\frac{{{factor}}}{{{below}}}"),
                      latex("blanks", f"\\frac{{ {factor} }}{{ {below} }}"),
                      plain("slash", f"{factor}/e^{-power}"),
                      latex("mathrm below",
                            f"\\frac{{{factor}}}{{\\mathrm{{e}}{below[1:]}}}")]  # fmt: skip
        return found

    value = forms(factor, power)[0].text
    other = rng.choice([(factor + 1, power), (factor, power - 1), (factor, power + 1 or 2),
                        (factor, -power)])  # fmt: skip
    wrong = [latex("factor", str(factor)), latex("zero", "0"), latex("minus", f"-{value}"),
             latex("plus one", f"1 + {value}"), latex("power", str(power)),
             latex("pi", value.replace("e", "\\pi")), latex("times x", f"{value}x"),
             latex("two", value.replace("e", "(2)"))]  # fmt: skip
    golds = [each for each in forms(factor, power) if each.name in ("e", "mathrm", "frac",
            "mathrm below")]  # fmt: skip
    return Case(golds=golds, equal=forms(factor, power), unequal=[forms(*other), wrong])


def differences(rng: random.Random) -> Case:
    """A number less or more a multiple of 1/e or e: what stands behind the first term counts."""
    first, factor = rng.randint(2, 9), rng.choice((-3, -2, -1, 1, 2, 4))

    def forms(first: int, factor: int) -> list[Form]:
        size, sign = abs(factor), "-" if factor < 0 else "+"
        lead = "-" if factor < 0 else ""
        return [
            latex("frac", f"{first} {sign} \\frac{{{size}}}{{e}}"),
            latex("mathrm", f"{first}{sign}\\frac{{{size}}}{{\\mathrm{{e}}}}"),
            latex("blanks", f"{first} {sign} \\frac{{ {size} }}{{ e }}"),
            latex("power", f"{first} {sign} {size}e^{{-1}}"),
            plain("slash", f"{first} {sign} {size}/e"),
            latex("turned", f"{lead}\\frac{{{size}}}{{e}} + {first}"),
            latex("one line", f"\\frac{{{first}e {sign} {size}}}{{e}}"),
        ]  # fmt: skip

    other = rng.choice([(first, -factor), (first + 1, factor), (first, factor + 5),
                        (first, factor - 7)])  # fmt: skip
    wrong = [plain("first", str(first)), latex("first", str(first)),
             latex("no e", str(first + factor)), latex("e above",
                     f"{first} {signed(f'{abs(factor)}e', factor)}")]  # fmt: skip
    return Case(golds=forms(first, factor)[:3], equal=forms(first, factor),
                unequal=[forms(*other), wrong])  # fmt: skip


def logarithms(rng: random.Random) -> Case:
    base, number = rng.choice([(2, 5), (12, 5), (3, 10), (7, 20), (5, 12), (10, 7), (4, 15)])
    inside = f"\\log_{{{base}}} {number}"
    equal = [
        latex("log", inside), latex("brackets", f"\\log_{{{base}}}({number})"),
        latex("braces", f"\\log_{{{base}}}{{{number}}}"),
        latex("ln", f"\\frac{{\\ln {number}}}{{\\ln {base}}}"),
        latex("ln()", f"\\frac{{\\ln({number})}}{{\\ln({base})}}"),
        latex("inverse", f"\\frac{{1}}{{\\log_{{{number}}} {base}}}"),
        latex("square", f"\\frac{{1}}{{2}} \\log_{{{base}}} {number * number}"),
        plain("ln", f"ln({number})/ln({base})"),
    ]  # fmt: skip
    wrong = [
        latex("turned", f"\\log_{{{number}}} {base}"), latex("ln", f"\\ln {number}"),
        latex("upside down", f"\\frac{{\\ln {base}}}{{\\ln {number}}}"),
        latex("next", f"\\log_{{{base}}} {number + 1}"),
        latex("minus", f"-{inside}"), latex("plus one", f"{inside} + 1"),
        latex("number", str(number)), latex("base", str(base)),
        latex("quotient", f"\\frac{{{number}}}{{{base}}}"),
        latex("difference", f"\\ln {number} - \\ln {base}"),
        latex("first digit", f"\\log_{{{base + 10}}} {number}"),
    ]  # fmt: skip
    return Case(golds=equal[:2], equal=equal, unequal=[wrong])


def whole_logarithms(rng: random.Random) -> Case:
    base, power = rng.choice((2, 3, 5, 10)), rng.randint(2, 6)
    equal = [
        latex("log", f"\\log_{{{base}}} {base**power}"),
        latex("brackets", f"\\log_{{{base}}}({base**power})"), latex("ln", f"\\ln e^{{{power}}}"),
        latex("ln()", f"\\ln(e^{{{power}}})"), latex("equation",
                f"\\log_{{{base}}} {base**power} = {power}"),
                latex("power", f"\\log_{{{base}}} {base}^{{{power}}}"),
    ]  # fmt: skip
    wrong = [latex("next", f"\\log_{{{base}}} {base ** (power + 1)}"),
             latex("inside", str(base**power)), latex("minus", f"-\\log_{{{base}}} {base**power}"),
             latex("below", f"\\log_{{{base}}} {base ** (power - 1)}"),
             latex("ln", f"\\ln {base**power}"), latex("plus one",
                     f"\\log_{{{base}}} {base**power} + 1")]  # fmt: skip
    if rng.random() < 0.5:  # the gold answer is the logarithm
        return Case(golds=equal[:2], equal=[*equal[:2], *equal[-2:], plain("digits", str(power)),
                                            latex("digits", str(power))],
                                            unequal=[wrong])  # fmt: skip
    return Case(golds=[plain("digits", str(power))], equal=equal, unequal=[wrong])


def sums_of_logarithms(rng: random.Random) -> Case:
    a, b = rng.choice([(2, 3), (3, 5), (2, 7), (5, 7), (2, 5)])
    equal = [latex("product", f"\\ln {a * b}"), latex("sum", f"\\ln {a} + \\ln {b}"),
             latex("turned", f"\\ln {b} + \\ln {a}"), latex("()", f"\\ln({a * b})"),
             latex("half", f"\\frac{{1}}{{2}}\\ln {(a * b) ** 2}"), plain("ln", f"ln({a * b})"),
             plain("sum", f"ln({a}) + ln({b})")]  # fmt: skip
    wrong = [latex("sum inside", f"\\ln {a + b}"), latex("times", f"\\ln {a} \\cdot \\ln {b}"),
             latex("one", f"\\ln {a}"), latex("no ln", str(a * b)),
             latex("difference", f"\\ln {a} - \\ln {b}"), latex("twice", f"2\\ln {a * b}"),
             latex("quotient", f"\\frac{{\\ln {a}}}{{\\ln {b}}}")]  # fmt: skip
    return Case(golds=equal[:2], equal=equal, unequal=[wrong])


def angles(rng: random.Random) -> Case:
    """Functions of special angles beside their values."""
    (name, angle), value = rng.choice(list(DEGREES.items()))
    gcd = math.gcd(angle, 180)
    top, bottom = angle // gcd, 180 // gcd
    radians = frac(Fraction(top, bottom), "\\pi")

    def forms(name: str) -> list[Form]:
        return [
            latex("degrees", f"\\{name} {angle}^\\circ"),
            latex("braces", f"\\{name} {angle}^{{\\circ}}"),
            latex("brackets", f"\\{name}({angle}^\\circ)"),
            latex("radians", f"\\{name} {radians}" if bottom > 1 else f"\\{name} \\pi"),
            latex("left right", f"\\{name}\\left({radians}\\right)"),
            plain("°", f"{name} {angle}°"), plain("°()", f"{name}({angle}°)"),
        ]  # fmt: skip

    values = [latex("value", value),
              latex("minus", f"-{value}" if not value.startswith("-") else value[1:])]  # fmt: skip
    others = [latex(f"{each[0]} {each[1]}", f"\\{each[0]} {each[1]}^\\circ") for each,
              worth in DEGREES.items() if worth != value]  # fmt: skip
    equation = latex("equation", f"\\{name} {angle}^\\circ = {value}")
    if rng.random() < 0.3:
        return Case(golds=forms(name)[:2], equal=[values[0], *forms(name)],
                    unequal=[others, values[1:]])  # fmt: skip
    return Case(golds=values[:1], equal=[*forms(name), equation], unequal=[others, values[1:]])


def complex_numbers(rng: random.Random) -> Case:
    a, b = rng.choice((-7, -4, -2, -1, 1, 2, 3, 5, 8)), rng.choice((-9, -3, -2, -1, 1, 2, 4, 6))

    def forms(a: int, b: int) -> list[Form]:
        size = "" if abs(b) == 1 else str(abs(b))
        sign, lead = "-" if b < 0 else "+", "-" if b < 0 else ""
        return [
            latex("a+bi", f"{a}{sign}{size}i"), plain("a+bi", f"{a}{sign}{size}i"),
            latex("blanks", f"{a} {sign} {size}i"), plain("blanks", f"{a} {sign} {size}i"),
            latex("turned", f"{lead}{size}i {signed(str(abs(a)), a)}"),
            latex("mathrm", f"{a} {sign} {size}\\mathrm{{i}}"),
            latex("times", f"{a} {sign} {abs(b)} \\cdot i"),
            plain("*", f"{a} {sign} {abs(b)}*i"), latex("brackets",
                    f"\\left({a} {sign} {size}i\\right)"),
        ]  # fmt: skip

    other = rng.choice([each for each in ((a, -b), (-a, b), (b, a), (a + 1, b), (a, b + 10),
                                          (-a, -b)) if each != (a, b)])  # fmt: skip
    wrong = [plain("real part", str(a)), latex("imaginary part", f"{b}i"), plain("sum", str(a + b)),
             latex("pair", f"({a}, {b})"), latex("plus minus", f"{a} \\pm {abs(b)}i"),
             latex("times x", f"{a} + {abs(b)}x"),
             latex("absolute", f"\\sqrt{{{a * a + b * b}}}")]  # fmt: skip
    return Case(golds=[forms(a, b)[0], forms(a, b)[2]], equal=forms(a, b),
                unequal=[forms(*other), wrong], types=(None, "math"))  # fmt: skip
