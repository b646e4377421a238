"""Numbers inside a sentence, with what belongs to them.

Invariant: a number is part of no name and of no other number; `text` is bounded by its caller.
Samples: of "it costs 5 or 6 dollars" the first number is `5 or 6`, of "at 7 pm we" `7 pm`.
"""

from __future__ import annotations

import re

from tasks.answers.number_words import CJK_SCALES, FOREIGN_SCALES
from tasks.answers.quantities import (
    CJK,
    COMPOUND,
    GROUPED,
    POINTED,
    read_compound,
    read_quantity,
)
from tasks.answers.units import is_meaningful, read_unit

# Within prose: a number, a simple fraction, a percentage; no part of a name or of another number.
_PROSE_DECIMAL = (
    rf"(?:{POINTED}|(?:{GROUPED}(?!\s?[0-9])|[0-9]{{1,200}})(?:\.[0-9]{{0,200}})?|\.[0-9]{{1,200}})"
)


IN_PROSE = re.compile(
    rf"(?<![A-Za-z0-9_.\u00c0-\u024f\u0400-\u04ff])(?:(?<=[\s($=€£{CJK}])-|(?<![^\s])-)?\$?{_PROSE_DECIMAL}"
    r"(?:\s?/\s?[0-9]{1,20}|\s[0-9]{1,20}/[0-9]{1,20})?"
    r"(?:\.{3}|\s?\\?%|\s(?:per\s?cent|dozen|hundred|thousand|million|billion|trillion)\b|\s?[万萬亿億]"
    r"|(?:\s?:\s?[0-9]{2})?\s?[ap]\.?m\b\.?)?",
)


def numbers_in(text: str) -> list[str]:
    """Every number of a sentence, as written, in order; `text` is bounded by its caller."""
    return [_untailed(match.group()) for match in IN_PROSE.finditer(text)]


def _untailed(number: str) -> str:
    return number if number.endswith("...") else number.rstrip(" ,.")


# What makes more of a number than it is: 5^2, 5x, 5!, 5:3, 5\sqrt2; a unit behind it does not.
_TIGHT = re.compile(r"[^\s,;.?)\]]*(?:[.,](?=[^\s.,])[^\s,;.?)\]]*)*")


_BOUND = re.compile(  # what stands before a number and makes another one of it
    r"(?:\b(?:at\s(?:least|most)|(?:more|less|fewer|greater|larger|smaller)\sthan|no\s(?:more|less|fewer)\sthan"
    r"|up\sto|over|under|above|below|exceeds|different\sfrom|(?:square|cube)\sroot\sof|half\sof|(?:square|cube)"
    r"\sof|twice|double|triple|between(?:\s\S{1,20}\sand)?|either\s\S{1,20}\sor|from\s\S{1,20}\sto"
    r"|al\s(?:menos|más)|(?:más|menos)\sde|(?:mayor|menor)\sque|raíz\sde|au\s(?:moins|plus)|(?:plus|moins)\sde"
    r"|entre|racine\sde|(?:mehr|weniger|größer|kleiner)\sals|mindestens|höchstens|zwischen|(?:die\s)?wurzel\saus"
    r"|не\s(?:менее|более)|больше|меньше|от|корень\sиз|pelo\smenos|mais\sde|almeno|più\sdi)\s\$?"
    r"|大于|小于|不等于|不是|超过|少于|多于|不少于|不超过|至少是?|至多是?|可能是|不到|根号|正负|近|比)\s?\Z",
    re.IGNORECASE,
)
_OR = re.compile(
    r"(?:\s[^\W\d_]{1,12})?\s(?:or|to|oder|ou|o|или|또는|または|または|divided\sby|times|plus|minus|over)\s"
    r"(?:[-+$]{0,2}[0-9][^\s;?]{0,40}|more\b|less\b|fewer\b)"
)


_CHANGED = re.compile(
    rf"\s?(?:[{CJK}]{{1,12}}|[A-Za-z\u00c0-\u024f\u0400-\u04ff]{{2,12}}(?:\s(?:demi|medio))?)"
)
_MONTH = re.compile(r"\s?(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}\b")


_SMALLER_UNIT = re.compile(rf"\s?[a-zA-Z{CJK}]{{1,10}}\.?,?\s?(?:and\s)?(?=[0-9])")


def first_number(text: str) -> str | None:
    """The first number of a sentence and what belongs to it: `5 or 6`, `5x`, `at least 5`."""
    match = IN_PROSE.search(text)
    if match is None:
        return None
    number = _untailed(match.group())
    end = match.start() + len(number)
    tight = _TIGHT.match(text, end)
    if tight is not None and tight.group() and not re.match(rf"[*$\"'{CJK}-]", tight.group()):
        longer = number + tight.group().rstrip("*$\"'.!:")
        if read_quantity(longer) is None:
            return longer
    for pattern in (_OR, _MONTH):
        if more := pattern.match(text, end):
            return number + more.group().rstrip(".,")
    changed = _changed(text, end)
    if changed:
        return number + changed
    return _compounded(text, match.start(), end) or bounded(text, match.start()) + number


def _changed(text: str, end: int) -> str:
    """The word behind a number that makes another of it ("12 Millionen", 18以上); else nothing."""
    follows = _CHANGED.match(text, end)
    word = follows.group() if follows else ""
    if word.isascii() or word.strip().lower() in FOREIGN_SCALES:
        is_scale = word.strip().lower() in (*FOREIGN_SCALES, "squared", "cubed")
        return word if is_scale or word.endswith((" demi", " medio")) else ""
    return word if is_meaningful(word) or word.strip() in CJK_SCALES else ""


def bounded(text: str, start: int) -> str:
    """What stands before the number at `start` and bounds it: "at least "; else nothing."""
    bound = _BOUND.search(text[:start][-40:])
    return bound.group().strip() + " " if bound else ""


_AROUND = "\"'*.,;:!?"


def last_number(text: str) -> str | None:
    """The last number of a sentence, with the formula it is written into (`3^4`, `√15`)."""
    matches = list(IN_PROSE.finditer(text))
    if not matches:
        return None
    match, number = matches[-1], _untailed(matches[-1].group())
    before = _WORD_BEFORE.search(text[: match.start()])
    start = before.start() if before else match.start()
    behind = _WORD_BEHIND.match(text, match.start() + len(number))
    word = text[start : behind.end() if behind else len(text)].strip(_AROUND)
    if _FORMULA.search(word) is not None and word != number:
        return word
    changed = _changed(text, match.start() + len(number))
    return bounded(text, match.start()) + number + changed


_WORD_BEFORE = re.compile(rf"[^\s{CJK}]*\Z")
_WORD_BEHIND = re.compile(rf"[^\s{CJK}]*")
_FORMULA = re.compile(r"[\\^_<>]|[0-9)][*/!:]|[0-9][eE][-+]?[0-9]")


def _compounded(text: str, start: int, end: int) -> str | None:
    """`5 hours 30 minutes` from `start`; None where the number stands alone."""
    if _SMALLER_UNIT.match(text, end) is None:
        return None
    at = start
    while match := COMPOUND.match(text, at):
        if read_unit(match[2]) is None:
            break
        at = match.end()
    found = text[start:at].strip(" ,.")
    found = re.sub(r"\sand\Z", "", found)
    return (
        found
        if at > end and read_compound(found) is not None and len(found) > end - start
        else None
    )
