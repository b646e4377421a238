"""LaTeX and plain mathematics brought to one spelling, and taken apart at the top level.

Invariant: `canonical` is idempotent in effect (equal inputs stay equal) and linear in its input; it
evaluates nothing. Units, currency and text commands become plain words for `quantities` to read.
"""

from __future__ import annotations

import re

from tasks.answers.symbols import plain

_TEXT = re.compile(
    r"\\(?:text|textbf|textit|textrm|textnormal|mathrm|mathbf|mathit|mathsf|mbox|hbox|operatorname)"
    r"\s?\*?\{([^{}]{0,400})\}"
)
_REPLACEMENTS = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\(?:left|right|[bB]igg?)[lr]?(?![a-zA-Z])\.?", ""),
        (r"\\(?:displaystyle|textstyle|limits|hfill|newline|nonumber)(?![a-zA-Z])", " "),
        (r"(?<=[0-9]),?\\!\s?,?(?=[0-9]{3}(?![0-9]))|(?<=[0-9])\{,\}(?=[0-9])", ""),
        (r"(?<=[0-9])(?:\\,|~)(?=[0-9]{3}(?![0-9]))", ""),
        (r"\\[!]", ""),
        (r"(?<!\\)\\(?:[,;: ]|q?quad(?![a-zA-Z]))|~", " "),
        (r"(?<!\\)\\[()\[\]$]|\$", ""),
        (r"(?<=[0-9])\s?\^?\s?\{?\s?(?:st|nd|rd|th)\b\s?\}?", ""),
        (r"\^\s?\{?\s?\\circ\s?\}?|\\degrees?(?![a-zA-Z])|\\circ\s?$", " "),
        (r"\\[dtc]frac(?![a-zA-Z])", r"\\frac"),
        (r"\\le(?![a-zA-Z])", r"\\leq"),
        (r"\\ge(?![a-zA-Z])", r"\\geq"),
        (r"\\ne(?![a-zA-Z])", r"\\neq"),
        (r"\\l?dots(?![a-zA-Z])", "..."),
        (r"\\frac\s?([0-9])\s?([0-9a-zA-Z])", r"\\frac{\1}{\2}"),
        (r"\\frac\s?([0-9a-zA-Z])\s?\{", r"\\frac{\1}{"),
        (r"\\frac\s?(\\[a-zA-Z]{2,10})\s?([0-9a-zA-Z])(?![a-zA-Z])", r"\\frac{\1}{\2}"),
        (r"(\\frac\{[^{}]{1,60}\})\s?([0-9a-zA-Z])", r"\1{\2}"),
        (r"\\sqrt\s?([0-9a-zA-Z])", r"\\sqrt{\1}"),
        (r"([_^])\s?\{\s?(\w)\s?\}", r"\1\2"),
        (r"_\s?\{\s?([0-9]{1,3}|ten|two)\s?\}", r"_\1"),
        (r"\s+", " "),
    )
]
_EXCLAMATION = re.compile(r"(?<=[A-Za-z]{2})!{1,9}\Z")  # behind a number it is a factorial
_OUTER_BRACES = re.compile(r"\{([^{}]*)\}")


def canonical(text: str) -> str:
    """One spelling of `text`: delimiters, spacing and style gone, `\\frac12` as `\\frac{1}{2}`."""
    for _ in range(3):
        text = _TEXT.sub(r" \1 ", text)
    text = plain(text)
    for pattern, replacement in _REPLACEMENTS:
        text = pattern.sub(replacement, text)
    text = _EXCLAMATION.sub("", text.strip()).rstrip(".,;:").strip()
    whole = _OUTER_BRACES.fullmatch(text)
    return whole[1].strip() if whole and "," not in text else text


def compact(text: str) -> str:
    """Canonical text without any space: what string equality is taken on."""
    return re.sub(r"\s", "", text)


_OPENING, _CLOSING = "([{", ")]}"


def split_top(text: str, separator: str) -> list[str]:
    """Parts of `text` between `separator`s that stand in no bracket; mixed brackets may pair."""
    parts, depth, start, at = [], 0, 0, 0
    while at < len(text):
        if text[at] in _OPENING:
            depth += 1
        elif text[at] in _CLOSING:
            depth -= 1
        elif depth == 0 and text.startswith(separator, at):
            parts.append(text[start:at].strip())
            start = at = at + len(separator)
            continue
        at += 1
    return [*parts, text[start:].strip()]


def enclosure(text: str) -> tuple[str, str]:
    """Brackets around all of `text`, and their content: `[0,1)` is ("[)", "0,1"); else "", text."""
    if len(text) > 3 and text.startswith("\\{") and text.endswith("\\}"):
        return "{}", text[2:-2].strip()
    if len(text) < 2 or text[0] not in "([" or text[-1] not in ")]":
        return "", text
    depth = 0
    for at, character in enumerate(text):
        depth += (character in _OPENING) - (character in _CLOSING)
        if depth == 0:
            return (text[0] + text[-1], text[1:-1].strip()) if at == len(text) - 1 else ("", text)
    return "", text


_THOUSANDS = re.compile(r"(?<![0-9.,])[0-9]{1,3}(?:,[0-9]{3}){1,12}(?![0-9])")
_CONNECTOR = re.compile(r"\s(?:and|or)\s|;|,\s?(?:and|or)\s", re.IGNORECASE)
_SPACED_PM = re.compile(r"\\pm|\\mp")


def list_items(text: str) -> list[str]:
    """Items of a bare list: `3, 5 and 7`, `x=1 or x=2`, `1 \\pm \\sqrt2`; thousands are no list."""
    if _SPACED_PM.search(text) and len(_SPACED_PM.findall(text)) == 1:
        return [_SPACED_PM.sub("+", text), _SPACED_PM.sub("-", text)]
    listed = _CONNECTOR.sub(", ", text)
    return [item for item in split_top(without_thousands(listed), ",") if item]


def without_thousands(text: str) -> str:
    """`1,000` as 1000; in brackets the comma separates."""
    return _THOUSANDS.sub(lambda match: match.group().replace(",", ""), text)


_MATRIX = re.compile(r"\\begin\s?\{([pbB]?)(?:matrix|array)\}(?:\{[lcr|]{1,20}\})?")


def matrix_rows(text: str) -> list[list[str]] | None:
    """Cells of `text` where all of it is one matrix (round, square or no brackets), else None."""
    match = _MATRIX.match(text)
    end = text.rfind("\\end")
    if match is None or text.count("\\begin") != 1 or text[end:].count("}") != 1 or text[-1] != "}":
        return None
    rows = re.split(r"\\\\(?:\[[^\]]{0,10}\])?", text[match.end() : end])
    return [[cell.strip() for cell in row.split("&")] for row in rows if row.strip()]


_NAME = re.compile(
    r"\s*(?:[A-Za-z]\w?|\\[a-zA-Z]{2,10}|[A-Za-z]{1,2}_\w|[A-Za-z](?:\^\{-1\})?\([^()=]{1,12}\))"
    r"\s*(=|\\in(?![a-z]))\s*"
)


def without_name(text: str) -> str:
    """`x = 5` is 5, `f(x) = 2x` is 2x, `x \\in [0,1]` is [0,1]; anything else is itself."""
    match = _NAME.match(text)
    return text[match.end() :] if match and "=" not in text[match.end() :] else text
