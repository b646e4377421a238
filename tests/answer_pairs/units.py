"""Quantities with a unit: lengths, areas, volumes, things counted, degrees, money.

Invariant: a unit is left out or is the gold answer's own.

A sample: lengths -> gold 3\\pi, equal 3\\pi\\text{ cm}^2, unequal 3\\pi + 1.
"""

from __future__ import annotations

import random
from fractions import Fraction

from tests.answer_pairs.forms import Case, Form, latex, plain, prose
from tests.answer_pairs.numbers import decimal, grouped
from tests.answer_pairs.roots import frac

LENGTHS = {"cm": "centimeters", "m": "meters", "km": "kilometers", "in": "inches", "ft": "feet",
           "mm": "millimeters"}  # fmt: skip
PLAIN_UNITS = ("apples", "students", "boxes", "hours", "minutes", "kg", "mph", "km/h", "m/s",
               "miles", "pounds", "days", "people", "points", "liters", "grams")  # fmt: skip


def spellings(rng: random.Random, kind: str) -> tuple[str, str, int | None]:
    """A value in LaTeX and in plain text, and as a number where it is whole."""
    number = rng.randint(2, 400)
    root = rng.choice((2, 3, 5, 7))
    if kind == "whole":
        return str(number), str(number), number
    if kind == "pi":
        factor = Fraction(rng.randint(2, 50), rng.choice((1, 1, 2, 3)))
        plain_text = f"{factor.numerator}π" + (
            f"/{factor.denominator}" if factor.denominator > 1 else ""
        )  # fmt: skip
        return frac(factor, "\\pi"), plain_text, None
    if kind == "root":
        factor = Fraction(rng.randint(2, 20), rng.choice((1, 1, 2, 4)))
        plain_text = f"{'' if factor.numerator == 1 else factor.numerator}√{root}" + (
            f"/{factor.denominator}" if factor.denominator > 1 else ""
        )  # fmt: skip
        return frac(factor, f"\\sqrt{{{root}}}"), plain_text, None
    if kind == "decimal":
        value = decimal(Fraction(number * 10 + 3, 100))
        return value, value, None
    value = Fraction(number * 6 + 1, 6)
    return frac(value), str(value), None


def measured(text: str, flat: str, unit: str, power: int) -> list[Form]:
    """The value with a length, area or volume behind it."""
    above = {1: "", 2: "^2", 3: "^3"}[power]
    braces = {1: "", 2: "^{2}", 3: "^{3}"}[power]
    small = {1: "", 2: "²", 3: "³"}[power]
    adjective = {1: "", 2: "square ", 3: "cubic "}[power]
    name = adjective + LENGTHS[unit]
    found = [
        latex("text", f"{text} \\text{{ {unit}}}{above}"),
        latex("tight text", f"{text}\\text{{ {unit}}}{braces}"),
        latex("mathrm", f"{text}\\ \\mathrm{{{unit}}}{above}"),
        latex("thin", f"{text}\\,\\text{{{unit}}}{braces}"),
        latex("name", f"{text} \\text{{ {name}}}"), plain("unit", f"{flat} {unit}{small}"),
        plain("unit^", f"{flat} {unit}{above}"),
        plain("name", f"{flat} {name}"), latex("mathrm ~", f"{text}~\\mathrm{{{unit}}}{braces}"),
        latex("dollars text", f"{text} \\; \\text{{{unit}}}{above}"),
    ]  # fmt: skip
    if power > 1:
        short = {2: "sq.", 3: "cu."}[power]
        found += [plain("sq.", f"{flat} {short} {unit}"),
                  latex("sq. units", f"{text} \\text{{ {short} units}}"),
                  latex("square units", f"{text} \\text{{ {adjective}units}}"),
                  latex("units", f"{text} \\text{{ units}}{above}"),
                  plain("square units", f"{flat} {adjective}units")]  # fmt: skip
    else:
        found += [latex("units", f"{text} \\text{{ units}}"), plain("units", f"{flat} units")]
    return found


def lengths(rng: random.Random) -> Case:
    """Lengths, areas, volumes; values of every kind."""
    kind = rng.choice(("whole", "pi", "root", "decimal", "fraction"))
    unit, power = rng.choice(list(LENGTHS)), rng.choice((1, 2, 2, 3))
    text, flat, number = spellings(rng, kind)
    other_text, other_flat, _ = spellings(rng, kind)
    while other_text == text:
        other_text, other_flat, _ = spellings(rng, kind)
    bare = [latex("bare", text), plain("bare", flat)]
    golds = bare[:1] * 2 + measured(text, flat, unit, power)[:3]
    wrong = [latex("unit times x", f"{text}x \\text{{ {unit}}}"),
             latex("more", f"{text} + 1 \\text{{ {unit}}}"),
             plain("two", f"{flat} {unit} or 7/13 {unit}"),
             plain("zeros", f"0 {unit}")]  # fmt: skip
    if number:
        wrong += [plain("longer", f"{number}5 {unit}"), plain("point", f"{number}.5 {unit}"),
                  latex("root", f"{number}\\sqrt{{2}} \\text{{ {unit}}}"),
                  latex("pi", f"{number}\\pi \\text{{ {unit}}}"),
                  plain("minus", f"-{number} {unit}")]  # fmt: skip
    return Case(golds=golds, equal=measured(text, flat, unit, power) * 2 + bare,
                unequal=[measured(other_text, other_flat, unit, power), wrong])  # fmt: skip


def counted(rng: random.Random) -> Case:
    """A number of things."""
    unit = rng.choice(PLAIN_UNITS)
    number = rng.choice((rng.randint(2, 99), rng.randint(1000, 99_999)))

    def forms(number: int) -> list[Form]:
        return [plain("unit", f"{number} {unit}"), plain("thousands", f"{number:,} {unit}"),
                latex("text", f"{number} \\text{{ {unit}}}"),
                latex("tight", f"{number}\\text{{ {unit}}}"),
                latex("mathrm", f"{number}\\ \\mathrm{{{unit}}}"),
                prose("dollars", f"${number}$ {unit}"), prose("bold", f"**{number}** {unit}"),
                latex("grouped", f"{grouped(number, '{,}')} \\text{{ {unit}}}")]  # fmt: skip

    golds = [plain("bare", str(number)), plain("bare", str(number)),
             plain("unit", f"{number} {unit}")]  # fmt: skip
    other = rng.choice([number + 1, number * 10, number - 1, number + 30])
    wrong = [prose("two", f"{number} or {number + 2} {unit}"),
             prose("at least", f"at least {number} {unit}"),
             prose("range", f"between {number} and {number + 9} {unit}"),
             plain("tenth", f"{number}.5 {unit}"),
             latex("times x", f"{number}x \\text{{ {unit}}}"),
             plain("root", f"{number}√2 {unit}")]  # fmt: skip
    return Case(golds=golds, equal=[*forms(number), plain("bare", str(number))],
                unequal=[forms(other), wrong])  # fmt: skip


def degrees(rng: random.Random) -> Case:
    number = rng.randint(2, 359)

    def forms(number: int) -> list[Form]:
        return [latex("circ", f"{number}^\\circ"), latex("braces", f"{number}^{{\\circ}}"),
                plain("°", f"{number}°"), plain("degrees", f"{number} degrees"),
                latex("text", f"{number} \\text{{ degrees}}"),
                latex("x =", f"x = {number}^\\circ"), plain("bare", str(number))]  # fmt: skip

    wrong = [latex("radians", f"{number}\\pi"), latex("sin", f"\\sin {number}^\\circ"),
             latex("half", f"{number}.5^\\circ"), latex("longer", f"{number}1^\\circ"),
             latex("minus", f"-{number}^\\circ")]  # fmt: skip
    return Case(golds=[plain("bare", str(number)), latex("circ", f"{number}^\\circ")],
                equal=forms(number), unequal=[forms(number + rng.choice((1, -1, 30))),
                        wrong])  # fmt: skip


def money(rng: random.Random) -> Case:
    """Whole amounts and amounts with cents."""
    cents = rng.choice((rng.randint(2, 900) * 100, rng.randint(1000, 90_000) * 100,
                        rng.randint(101, 99_999)))  # fmt: skip

    def forms(cents: int) -> list[Form]:
        exact = f"{cents // 100}.{cents % 100:02d}"
        amounts = [exact, f"{cents // 100:,}.{cents % 100:02d}"] + ([str(cents // 100),
                f"{cents // 100:,}"] if cents % 100 == 0 else [])  # fmt: skip
        found = []
        for amount in amounts:
            found += [plain("$", f"${amount}"), latex("\\$", f"\\${amount}"),
                      plain("dollars", f"{amount} dollars"),
                      latex("text dollars", f"{amount} \\text{{ dollars}}"),
                      plain("USD", f"{amount} USD"),
                      latex("text $", f"\\text{{\\${amount}}}"), plain("bare", amount),
                      plain("US", f"US${amount}")]  # fmt: skip
        if cents % 100:
            both = f"{cents // 100} dollars and {cents % 100} cents"
            found += [plain("and cents", both)] * 3
        return found

    sign = rng.choice("€£")
    exact = str(cents // 100) if cents % 100 == 0 else f"{cents // 100}.{cents % 100:02d}"
    golds = [plain("bare", exact), plain("bare", exact), plain("$", f"${exact}"),
             latex("\\$", f"\\${exact}")]  # fmt: skip
    other = rng.choice([cents + 100, cents * 10, cents + 1, cents - 50])
    foreign = [plain(sign, f"{sign}{exact}"), plain(f"behind {sign}", f"{exact}{sign}"),
               plain(f"blank {sign}", f"{exact} {sign}")]  # fmt: skip
    wrong = [plain("two", f"${exact} or ${cents // 100 + 7}"), prose("each", f"more than ${exact}"),
             plain("minus", f"-${exact}"), latex("times x", f"\\${exact}x"),
             plain("cents", f"{cents // 100} dollars and {(cents + 37) % 100 or 9} cents"),
             prose("range", f"between ${exact} and ${cents // 100 + 9}")]  # fmt: skip
    if rng.random() < 0.15:
        return Case(golds=[plain("bare", exact), *foreign[:1]],
                    equal=[*foreign, plain("bare", exact)],
                    unequal=[[plain(sign, f"{sign}{cents // 100 + 3}"),
                              plain("behind", f"{cents // 100 + 3} {sign}")]])  # fmt: skip
    return Case(golds=golds, equal=forms(cents), unequal=[forms(other), wrong])
