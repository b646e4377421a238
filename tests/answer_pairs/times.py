"""Durations, clock times, dates: quantities with a second half.

Invariant: the second half (minutes, am and pm, the month) is part of the value.

A sample: clock_times -> gold 7:30 PM, equal 19:30, unequal 7:30 a.m.
"""

from __future__ import annotations

import random
from datetime import date, timedelta

from tests.answer_pairs.forms import Case, Form, latex, plain, prose

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip


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
              (hour, (minute + 30) % 60), ((hour + 1) % 12 + 12 * (hour // 12) or 1,
                                           minute)]  # fmt: skip
    other = rng.choice([each for each in others if each != (hour, minute) and each[0] % 12])
    wrong = [
        prose("hours", f"{shown} hours"),
        plain("minute", f"{shown}:{(minute + 7) % 60:02d} {half}"),
        prose("or", f"{shown}:{minute:02d} {half} or {shown % 11 + 1}:{minute:02d} {half}"),
    ]
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
            f"{MONTHS[day.month - 1]} {day.day}, {day.year}"),
            plain("ISO", day.isoformat())]  # fmt: skip
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
