"""Times of day: 3:30 PM, 3:30 p.m., 15:30, 7 o'clock, noon, 下午3点30分.

Invariant: pure. A time without its half of the day matches either half; hours above 12 need none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

_NOON = 12 * 60
_CLOCK = re.compile(
    r"\s*(?:(?P<half_before>上午|早上|下午|晚上|午前|午後)\s?)?"
    r"(?P<hour>[0-9]{1,2})(?:\s?(?::|点|點|時|时)\s?(?P<minute>[0-9]{2})?分?)?"
    r"\s?(?P<half>[ap]\.?\s?m\b\.?|o'?clock|in the (?:morning|afternoon|evening)|noon|midnight)?"
    r"\s*\.?\s*",
    re.IGNORECASE,
)
_NAMED = {"noon": _NOON, "midnight": 0, "12 noon": _NOON, "12 midnight": 0}


@dataclass(frozen=True)
class Time:
    """Minutes from midnight; without its half of the day, from the half's beginning."""

    minutes: int
    has_half: bool

    @property
    def hour(self) -> Fraction:
        """Hours from midnight, minutes as their fraction."""
        return Fraction(self.minutes, 60)

    def matches(self, other: Time) -> bool:
        """The same time, halves compared as far as both state them."""
        if self.has_half and other.has_half:
            return self.minutes == other.minutes
        return self.minutes % _NOON == other.minutes % _NOON


def read_time(text: str) -> Time | None:
    """The time of day that all of `text` is, by its colon, half or "o'clock"; else None."""
    if len(text) > 40:
        return None
    named = _NAMED.get(text.strip(" .").lower())
    if named is not None:
        return Time(named, has_half=True)
    match = _CLOCK.fullmatch(text)
    if match is None or not any(match.group("minute", "half", "half_before")):
        return None
    hour, minute = int(match["hour"]), int(match["minute"] or 0)
    half = (match["half"] or match["half_before"] or "").lower()
    if hour > 24 or minute > 59:
        return None
    is_afternoon = half[:1] == "p" or half in ("下午", "晚上", "午後") or "noon" in half[-9:]
    is_afternoon = is_afternoon or half.endswith("evening")
    has_half = (bool(half) and "clock" not in half) or hour > 12 or match["hour"][0] == "0"
    if not has_half:
        return Time(hour * 60 + minute, has_half=False)
    if hour <= 12 and half:
        hour = hour % 12 + (12 if is_afternoon else 0)
    return Time(hour * 60 + minute, has_half=True)
