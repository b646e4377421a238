"""Where a sentence or a heading states an answer: "the answer is X", "X is the answer".

Invariant: every repetition in a pattern is bounded; a question ("is the answer 5?") and a condition
("if the answer is 5") state nothing.
Sample: in "Thus B is the right choice, not A." the statement is B.
"""

from __future__ import annotations

import re

from tasks.answers import languages
from tasks.answers.statement import MAX_ANSWER_CHARACTERS, MAX_MARKS, Statement, corrected
from tasks.ports import StatedAs

_PHRASE = re.compile(
    r"(?:\banswers?\b[^.?!\n:=$\\]{0,70}?(?:\b(?:is|are|was|be)\b|:|[-=]>|=)"
    r"|\b(?:correct|right|best)\s(?:option|choice)s?\s{0,2}(?:\b(?:is|are)\b|:)"
    r"|^[ \t#]{0,8}(?:(?P<short>A|Ans|ANS)\.?[ \t]?:|(?:option|choice)\s?:"
    r"|(?P<heading>(?:(?:the|my)\s)?(?:final\s|correct\s)?answer)[ \t]{0,4}\n))"
    r"[:\s]{0,4}(?:-\s)?",
    re.IGNORECASE | re.MULTILINE,
)


_HYPOTHESIS = re.compile(
    r"\b(?:if|whether|unless|suppose|assume|imagine|assuming)\s(?:that\s)?(?:the|my|this)?\s?$",
    re.I,
)


_LABEL = re.compile(r"[\s#*_>-]{0,6}(?:(?:the|final|my|correct)\s){0,2}answer\s?:\s{0,4}", re.I)


_SENTENCE_END = re.compile(
    r"(?<![.\s])(?<!\bsq)(?<!\bcu)(?<!\bSt)(?<!\bMr)(?<!\bDr)(?:\.(?![Mm]\.)|\?|!(?!\s{0,2}[-=+*/\\<>^$]))(?=[\"')\]]?(?:\s|\Z|[A-Z]))"
)


def find_phrases(tail: str) -> list[Statement]:
    """The statements of sentences and headings in `tail`, in no order."""
    found = _subjects(tail)
    patterns = [_PHRASE, *languages.phrases_of(tail)]
    for pattern in patterns:
        for match in list(pattern.finditer(tail))[-MAX_MARKS:]:
            statement = _phrase(tail, match)
            if statement is not None:
                found.append(statement)
    return found


_SUBJECT = re.compile(
    r"^(?P<lead>[^\S\n]{0,8}(?:(?:so|thus|hence|therefore|then|clearly),?\s)?)(?P<value>[^\n]{1,200}?)"
    r",?\s(?:is|are)\s(?:therefore\s|thus\s|indeed\s)?(?:the|my|our)\s(?:final\s|correct\s|right\s|best\s)?"
    r"(?:answer|choice|option)\b(?!\s(?:to|of|for)\b)",
    re.IGNORECASE | re.MULTILINE,
)
_NAMED = re.compile(r"answer|choice|option")
_NO_SUBJECT = re.compile(
    r"(?:\b(?:if|whether|think|that|what|which|this|it|here|below|above|following)\b|n't|\\boxed)",
    re.IGNORECASE,
)
_ADDED_DENIAL = re.compile(r",\snot\b.*", re.DOTALL | re.IGNORECASE)
_BEFORE_DENIAL = re.compile(r"\A(?:therefore|thus|hence|clearly),?\s(?=not\s)", re.IGNORECASE)


def _subjects(tail: str) -> list[Statement]:
    """`64 is the answer.`, `Thus B is the right choice, not A.`"""
    if "answer" not in tail and "choice" not in tail and "option" not in tail:
        return []
    found = []
    for named in list(_NAMED.finditer(tail))[-MAX_MARKS:]:
        start, end = tail.rfind("\n", 0, named.start()) + 1, tail.find("\n", named.end())
        match = _SUBJECT.match(tail, start, end if end >= 0 else len(tail))
        if match is None:
            continue
        sentence = re.split(r"(?<=[.!?])\s", match["value"])[-1]
        value = corrected(_ADDED_DENIAL.sub("", _LEAD.sub("", sentence)).strip())
        value = value.rpartition(", ")[2] if _CONCESSION.match(value) else value
        asks = "?" in tail[match.end() :].partition("\n")[0].partition(".")[0]
        if value and not asks and not _NO_SUBJECT.search(value) and not _OPENER.fullmatch(value):
            found.append(Statement(value, value, match.start("value"), "phrase"))
    return found


_CONCESSION = re.compile(r"(?:although|though|while)\b", re.IGNORECASE)
_OPENER = re.compile(r"(?:so|thus|hence|then|therefore|wait|hmm|now|and|but)", re.IGNORECASE)
_LEAD = re.compile(r"\A(?:(?:so|thus|hence|therefore|then|clearly),?\s)", re.IGNORECASE)
_DENYING = re.compile(r"\b(?:not|cannot|can't|never|isn't)\b|n't\b", re.IGNORECASE)
_DENIED_ANSWER = re.compile(r"\b(?:wrong|incorrect|false)\s\Z", re.IGNORECASE)
# In other languages the denial has words of its own, or stands behind what it denies.
_DENIED = re.compile(
    r"no\ses\b|n'est\spas\b|non\sè\b|não\sé\b|nicht\b|не\b|不是|不等于|非", re.IGNORECASE
)
_DENIED_BEHIND = (
    "ではない",
    "ではありません",
    "じゃない",
    "아니",
    "아닙니다",
    "不对",
    "错误",
    "ist falsch",
)


def _is_denied(line: str) -> bool:
    if _DENIED.match(line):
        return True
    if line.isascii() and "falsch" not in line:
        return False
    clause = re.split(r"[\n.,;]", line, maxsplit=1)[0]
    return any(words in clause for words in _DENIED_BEHIND)


_TAG_SIGNS = ("<", "/")  # of <answer>, which is no word of a sentence


def _phrase(tail: str, match: re.Match[str]) -> Statement | None:
    before = tail[max(0, match.start() - 30) : match.start()]
    if before[-1:] in _TAG_SIGNS or _HYPOTHESIS.search(before):
        return None
    line = _line_after(tail, match.end())
    line = corrected(_BEFORE_DENIAL.sub("", line))
    if _DENYING.search(match.group()) or _DENIED_ANSWER.search(before) or _is_denied(line):
        line = "not " + line
    label = _line_before(tail, match)
    is_marked = any(match.groupdict().values()) or any(
        pattern.fullmatch(label) is not None for pattern in (_LABEL, languages.LABEL)
    )
    value = _display(line) or _factorial(line, is_marked) or _sentence(line)
    after = tail[match.end() + len(value) :][:1]
    if after == "?" or "\\boxed" in line[: len(value) + 8]:
        return None
    is_open = match.end() + len(value) >= len(tail)
    stated_as: StatedAs = "label" if is_marked else "phrase"
    return Statement(value.strip(), _unstopped(line), match.start(), stated_as, is_open)


def _line_before(tail: str, match: re.Match[str]) -> str:
    start = tail.rfind("\n", max(0, match.start() - 40), match.start()) + 1
    return tail[max(start, match.start() - 40) : match.end()]


def _line_after(tail: str, start: int) -> str:
    rest = tail[start : start + MAX_ANSWER_CHARACTERS]
    if rest[:2] in ("\\[", "$$") or rest.startswith("\\begin"):
        return rest
    return rest.partition("\n")[0]


_DISPLAY = re.compile(r"\\\[([^\0]{1,800}?)\\\]|\$\$([^$]{1,800})\$\$")


def _display(line: str) -> str | None:
    match = _DISPLAY.match(line)
    return match.group() if match else None


def _sentence(line: str) -> str:
    match = _SENTENCE_END.search(line)
    return line[: match.start()] if match else line


_FACTORIAL = re.compile(r"[-+*/()0-9\s]{1,40}!{1,2}\s*")


def _factorial(line: str, is_marked: bool) -> str | None:
    """`5!` behind a label, `1/5!`; behind a phrase it may be joy ("The answer is 5!")."""
    if not _FACTORIAL.fullmatch(line):
        return None
    return line.strip() if is_marked or re.search(r"[0-9)]\s?[-+*/]", line) else None


def _unstopped(line: str) -> str:
    return line.strip().removesuffix(".").strip()
