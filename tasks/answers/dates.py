"""Dates: MM/DD/YYYY, ISO and prose, read without any default taken from today.

Invariant: pure; a date that does not exist (12/32/1929) is no date. Month first, as the data sets
ask for, so 23/12/1986 is none either. A missing year matches any year, a two-digit year its last
two digits.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass

_MONTHS = {name.lower()[:3]: number for number, name in enumerate(calendar.month_name) if name}
_NAME = r"(?P<name>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?"
_DAY = r"(?P<day>[0-9]{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>[0-9]{4})"
_FORMS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?<![0-9/-])(?P<month>[0-9]{1,2})(?P<sep>[/.-])(?P<day>[0-9]{1,2})(?P=sep)"
        r"(?P<year>[0-9]{4}|[0-9]{2})(?![0-9/])",
        r"(?<![0-9/-])(?P<year>[0-9]{4})(?P<sep>[/.-])(?P<month>[0-9]{1,2})(?P=sep)"
        r"(?P<day>[0-9]{1,2})(?![0-9/])",
        rf"\b{_NAME}\s{{0,2}}(?:the\s)?{_DAY}(?:,?\s{{0,2}}(?:of\s)?{_YEAR})?(?![0-9])",
        rf"(?<![0-9]){_DAY}\s{{0,2}}(?:day\s)?(?:of\s)?{_NAME}(?:,?\s{{0,2}}{_YEAR})?(?![0-9])",
        r"(?<![0-9/-])(?P<month>[0-9]{1,2})/(?P<day>[0-9]{1,2})(?![0-9/])",
    )
]


@dataclass(frozen=True)
class CalendarDate:
    """Month and day, and the year as far as it was written (None, or two or four digits)."""

    month: int
    day: int
    year: str | None

    def matches(self, other: CalendarDate) -> bool:
        """Same day, years compared as far as both state them."""
        if (self.month, self.day) != (other.month, other.day):
            return False
        if self.year is None or other.year is None:
            return True
        digits = min(len(self.year), len(other.year))
        return self.year[-digits:] == other.year[-digits:]

    def __str__(self) -> str:
        return f"{self.month:02d}/{self.day:02d}" + (f"/{self.year}" if self.year else "")


def dates_in(text: str) -> list[CalendarDate]:
    """Every date of `text`, in order of appearance; the longest form at a place counts."""
    found: dict[int, tuple[int, CalendarDate]] = {}
    for form in _FORMS:
        for match in form.finditer(text):
            date = _calendar_date(match.groupdict())
            if date is not None and not _covered(match.span(), found):
                found[match.start()] = (match.end(), date)
    return [found[start][1] for start in sorted(found)]


_NUMERIC = re.compile(r"[0-9]{1,4}[/-][0-9]{1,2}[/-][0-9]{1,4}")
_COPULA = re.compile(r"\b(?:is|was|are|were|be)\b|[:=]")
_ASIDE = re.compile(r"\b(?:however|depending)\b", re.IGNORECASE)
_DAY_FIRST = re.compile(r"[0-9/]{8,10}\s\(?in\sthe\sUK\b")
_REFUSAL = re.compile(
    r"\b(?:cannot|can't|could not|couldn't|unable to|not enough|not possible|n/a)\b", re.IGNORECASE
)


def read_date(text: str) -> str | None:
    """The first date, in MM/DD/YYYY; what only looks like one is given as it stands."""
    dates = dates_in(text)
    if dates:
        return str(dates[0])
    numeric = _NUMERIC.search(text)
    return numeric.group() if numeric else None


def read_closing_date(line: str) -> str | None:
    """Of `The date a week after 5/6/2002 is 5/13/2002` the date its last verb gives; of `A or B` A.

    A line that says it cannot tell gives none, whatever dates it mentions.
    """
    if _REFUSAL.search(line):
        return None
    main = _DAY_FIRST.sub("", _ASIDE.split(line)[0])
    ends = [match.end() for match in _COPULA.finditer(main)]
    for start in [*reversed(ends[-8:]), 0]:
        dates = dates_in(main[start:])
        if dates:
            return str(dates[0])
    return read_date(line)


def _covered(span: tuple[int, int], found: dict[int, tuple[int, CalendarDate]]) -> bool:
    return any(start < span[1] and span[0] < end for start, (end, _) in found.items())


def _calendar_date(groups: dict[str, str | None]) -> CalendarDate | None:
    name = groups.get("name")
    month = _MONTHS[name.lower()] if name else int(groups["month"] or 0)
    day = int(groups["day"] or 0)
    year = groups.get("year")
    if not 1 <= month <= 12 or year == "0000":
        return None
    # A year of unknown century may be a leap year.
    full = int(year) if year and len(year) == 4 else 2000
    return (
        CalendarDate(month, day, year) if 1 <= day <= calendar.monthrange(full, month)[1] else None
    )
