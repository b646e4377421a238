"""Which type an answer is of, for sources that do not say it."""

from __future__ import annotations

import re

from tasks.answers.dates import dates_in
from tasks.answers.quantities import read_quantity
from tasks.answers.verdict import gold_answer

_OPTIONS = re.compile(r"(?:^|[\s(])\(?A\)?[).:]\s?\S[^\0]{0,2000}?[\s(]\(?B\)?[).:]\s?\S")
_LETTER = re.compile(r"\(?[A-J]\)?\.?(?:\s.{0,200})?|\\text\{\(?[A-J]\)?\}")
_DATE_LIKE = re.compile(r"[0-9]{1,4}[/.-][0-9]{1,2}[/.-][0-9]{2,4}|[A-Za-z0-9., ]{6,40}")


def infer_answer_type(answer: str, question: str) -> str:
    """yes_no, date, choice, integer, math or text, by the gold answer and the options asked."""
    gold = gold_answer(answer).strip("$ ")
    if gold.lower().strip(".") in {"yes", "no", "true", "false"}:
        return "yes_no"
    if _is_choice(gold, question[-8_000:]):
        return "choice"
    if _DATE_LIKE.fullmatch(gold) and any(date.year for date in dates_in(gold)):
        return "date"
    quantity = read_quantity(gold)
    if quantity is not None and "\\" not in gold:
        is_whole = quantity.value.denominator == 1 and not quantity.is_percent
        return "integer" if is_whole else "math"
    return "math" if _is_mathematics(gold) else "text"


def _is_choice(gold: str, question: str) -> bool:
    if re.fullmatch(r"\(?[A-E]\)?\.?", gold):  # some sources keep the options apart
        return True
    if not _OPTIONS.search(question):
        return False
    lettered = _LETTER.fullmatch(gold) is not None and not re.match(r"[AI]\s", gold)
    listed = re.search(
        rf"\b[A-J]\)?[).:]\s?{re.escape(gold[:200])}(?:\W|$)", question, re.IGNORECASE
    )
    return lettered or listed is not None


def _is_mathematics(gold: str) -> bool:
    if re.search(r"[\\^=<>|]|[0-9]!|[0-9A-F]\)?_\{?[0-9]|[0-9]\s?[-+*/]\s?[0-9(]", gold):
        return True
    if re.fullmatch(r"[\s0-9.,;:()\[\]{}/%+*-]{1,200}", gold):
        return bool(re.search(r"[0-9]", gold))
    return (
        re.fullmatch(
            r"-?[0-9]{0,6}[a-z]|-?[0-9]{1,6}[a-z]{1,4}"
            r"|[0-9a-z()+*/ .-]{1,60}[-+*/][0-9a-z()+*/ .-]{1,60}",
            gold,
        )
        is not None
    )
