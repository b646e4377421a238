"""Quantities with a unit or a second half: lengths, money, durations, clock times, dates.

Invariant: a unit is left out or is the gold answer's own; second halves (minutes, am and pm, the
month) are part of the value.

A sample: clock_times -> gold 7:30 PM, equal 19:30, unequal 7:30 a.m.
"""

from __future__ import annotations

import random
from datetime import date, timedelta
from fractions import Fraction

from tests.answer_pairs.forms import Case, Form, latex, plain, prose
from tests.answer_pairs.numbers import decimal, grouped
from tests.answer_pairs.roots import frac

LENGTHS = {"cm": "centimeters", "m": "meters", "km": "kilometers", "in": "inches", "ft": "feet",
           "mm": "millimeters"}  # fmt: skip
PLAIN_UNITS = ("apples", "students", "boxes", "hours", "minutes", "kg", "mph", "km/h", "m/s",
               "miles", "pounds", "days", "people", "points", "liters", "grams")  # fmt: skip
MONTHS = (
    "January February March April May June July August September October November December".split()
)


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
        )
        return frac(factor, "\\pi"), plain_text, None
    if kind == "root":
        factor = Fraction(rng.randint(2, 20), rng.choice((1, 1, 2, 4)))
        plain_text = f"{factor.numerator}√{root}" + (
            f"/{factor.denominator}" if factor.denominator > 1 else ""
        )
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
             plain("two", f"{flat} {unit} or 7/13 {unit}"), plain("zeros", f"0 {unit}")]  # fmt: skip
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
             latex("times x", f"{number}x \\text{{ {unit}}}"), plain("root", f"{number}√2 {unit}")]  # fmt: skip
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
                equal=forms(number), unequal=[forms(number + rng.choice((1, -1, 30))), wrong])  # fmt: skip


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
             prose("range", f"between ${exact} and ${cents // 100 + 9}")]  # fmt: skip
    if rng.random() < 0.15:
        return Case(golds=[plain("bare", exact), *foreign[:1]],
                    equal=[*foreign, plain("bare", exact)],
                    unequal=[[plain(sign, f"{sign}{cents // 100 + 3}"),
                              plain("behind", f"{cents // 100 + 3} {sign}")]])  # fmt: skip
    return Case(golds=golds, equal=forms(cents), unequal=[forms(other), wrong])


def durations(rng: random.Random) -> Case:
    """Two units, of which both count."""
    big, small = rng.choice((("hours", "minutes"), ("feet", "inches"), ("minutes", "seconds"),
                             ("years", "months")))  # fmt: skip
    a, b = rng.randint(2, 11), rng.randint(2, 11)

    def forms(a: int, b: int) -> list[Form]:
        return [plain("plain", f"{a} {big} {b} {small}"),
                plain("and", f"{a} {big} and {b} {small}"),
                latex("text", f"{a} \\text{{ {big} }} {b} \\text{{ {small}}}"),
                latex("one text", f"\\text{{{a} {big} {b} {small}}}"),
                plain("comma", f"{a} {big}, {b} {small}"),
                latex("text and", f"{a} \\text{{ {big} and }} {b} \\text{{ {small}}}")]  # fmt: skip

    other = rng.choice([(a, b + 1), (a + 1, b), (b, a) if a != b else (a, b + 5), (a, b - 1)])
    wrong = [plain("first", f"{a} {big}"), plain("second", f"{b} {small}"), plain("bare", str(a)),
             plain("sum", str(a + b)), latex("first", f"{a} \\text{{ {big}}}")]  # fmt: skip
    return Case(golds=[plain("plain", f"{a} {big} {b} {small}"),
                       plain("and", f"{a} {big} and {b} {small}")], equal=forms(a, b),
                       unequal=[forms(*other), wrong])  # fmt: skip


def clock_forms(hour: int, minute: int, *, full_hour: bool = False) -> list[Form]:
    """Hour 0 to 23; noon and midnight are left out by whoever samples."""
    half, shown = ("AM" if hour < 12 else "PM"), hour % 12 or 12
    dotted = f"{half[0].lower()}.m."
    time = f"{shown}:{minute:02d}"
    found = [plain("AM", f"{time} {half}"), plain("a.m.", f"{time} {dotted}"),
             plain("am", f"{time} {half.lower()}"), plain("tight", f"{time}{half}"),
             latex("text", f"{time} \\text{{ {dotted}}}"),
             latex("all text", f"\\text{{{time} {half}}}"),
             plain("tight am", f"{time}{half.lower()}"), plain("A.M.", f"{time} {half[0]}.M."),
             latex("one text", f"{time}\\text{{ {half}}}")]  # fmt: skip
    if hour > 12 or full_hour:
        found.append(plain("24 h", f"{hour:02d}:{minute:02d}"))
    if not minute:
        found += [plain("hour", f"{shown} {half}"), plain("hour a.m.", f"{shown} {dotted}"),
                  plain("hour am", f"{shown}{half.lower()}")]  # fmt: skip
    return found


def clock_times(rng: random.Random) -> Case:
    hour, minute = rng.choice([each for each in range(24) if each % 12]), rng.choice((0, 0, 5, 15,
            30, 45, rng.randint(1, 59)))  # fmt: skip
    shown, half = hour % 12, "AM" if hour < 12 else "PM"
    golds = [plain("AM", f"{shown}:{minute:02d} {half}"),
             plain("a.m.", f"{shown}:{minute:02d} {half[0].lower()}.m.")]  # fmt: skip
    if not minute:
        golds += [plain("hour", f"{shown} {half.lower()}")] * 2
    others = [((hour + 12) % 24, minute), ((hour + 12) % 24, minute), (hour, (minute + 1) % 60),
              (hour, (minute + 30) % 60), ((hour + 1) % 12 + 12 * (hour // 12) or 1, minute)]  # fmt: skip
    other = rng.choice([each for each in others if each != (hour, minute) and each[0] % 12])
    wrong = [prose("hours", f"{shown} hours"), plain("minute",
            f"{shown}:{(minute + 7) % 60:02d} {half}"), prose("or",
                    f"{shown}:{minute:02d} {half} or {shown % 11 + 1}:{minute:02d} {half}")]  # fmt: skip
    return Case(golds=golds, equal=clock_forms(hour, minute),
                unequal=[clock_forms(*other), clock_forms(*other), wrong],
                question="What time is it then?")  # fmt: skip


def ordinal(number: int) -> str:
    ending = "th" if 10 < number < 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def date_forms(day: date) -> list[Form]:
    month, short = MONTHS[day.month - 1], MONTHS[day.month - 1][:3]
    return [
        plain("padded", day.strftime("%m/%d/%Y")), plain("bare",
                f"{day.month}/{day.day}/{day.year}"), plain("ISO", day.isoformat()),
                plain("month day", f"{month} {day.day}, {day.year}"),
        plain("short", f"{short} {day.day}, {day.year}"),
        plain("day month", f"{day.day} {month} {day.year}"),
        plain("ordinal", f"{month} {ordinal(day.day)}, {day.year}"),
        latex("text", f"\\text{{{month} {day.day}, {day.year}}}"),
        plain("the", f"the {ordinal(day.day)} of {month} {day.year}"),
        plain("no year", f"{month} {day.day}"), plain("dashes", day.strftime("%m-%d-%Y")),
    ]  # fmt: skip


def dates(rng: random.Random) -> Case:
    day = date(rng.randint(1900, 2030), 1, 1) + timedelta(rng.randint(0, 364))
    other = rng.choice([day + timedelta(1), day - timedelta(1), day + timedelta(31),
                        day + timedelta(400), date(day.year + 1, day.month, min(day.day, 28)),
                        day - timedelta(29)])  # fmt: skip
    unequal = [each for each in date_forms(other) if each.name != "no year" or (other.month,
            other.day) != (day.month, day.day)]  # fmt: skip
    wrong = []
    if day.day <= 12 and day.day != day.month:
        wrong += [plain("day first", day.strftime("%d/%m/%Y"))]
    golds = [plain("padded", day.strftime("%m/%d/%Y"))] * 3 + [plain("month day",
            f"{MONTHS[day.month - 1]} {day.day}, {day.year}"), plain("ISO", day.isoformat())]  # fmt: skip
    return Case(golds=golds, equal=date_forms(day), unequal=[unequal, wrong],
                question="What is the date?", types=(None, "date"))  # fmt: skip


def days_of_a_month(rng: random.Random) -> Case:
    """Dates without a year, of which the month counts."""
    month, day = rng.randrange(12), rng.randint(1, 28)

    def forms(month: int, day: int) -> list[Form]:
        long, short = MONTHS[month], MONTHS[month][:3]
        return [plain("day short", f"{day} {short}"), plain("short day", f"{short} {day}"),
                plain("month day", f"{long} {day}"), plain("day month", f"{day} {long}"),
                plain("ordinal", f"{long} {ordinal(day)}"),
                plain("of", f"{ordinal(day)} of {long}"),
                plain("the", f"the {ordinal(day)} of {long}"),
                latex("text", f"\\text{{{long} {day}}}")]  # fmt: skip

    golds = [plain("day short", f"{day} {MONTHS[month][:3]}"),
             plain("month day", f"{MONTHS[month]} {day}"),
             plain("short day", f"{MONTHS[month][:3]} {day}")]  # fmt: skip
    other = rng.choice([((month + 1) % 12, day), ((month + 5) % 12, day), (month, day % 28 + 1),
                        (month, (day + 9) % 28 + 1)])  # fmt: skip
    wrong = [plain("month", MONTHS[month]), plain("other month", MONTHS[(month + 3) % 12])]
    return Case(golds=golds, equal=forms(month, day), unequal=[forms(*other), forms(*other), wrong],
                question="What is the date?")  # fmt: skip
