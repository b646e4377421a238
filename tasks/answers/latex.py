"""LaTeX and plain mathematics brought to one spelling, and taken apart at the top level.

Invariant: `canonical` is idempotent in effect (equal inputs stay equal) and linear in its input; it
evaluates nothing. Units, currency and text commands become plain words for `quantities` to read.
"""

from __future__ import annotations

import re
from functools import lru_cache

from tasks.answers.symbols import plain

_TEXT = re.compile(
    r"\\(?:text|rm|boldsymbol|underline|textbf|textit|textrm|textnormal|mathrm|mathbf|mathit|mathsf|mbox|hbox|operatorname)"
    r"\s?\*?\{([^{}]{0,400})\}"
)


def _relation(match: re.Match[str]) -> str:
    """`\\geqslant` as `\\geq`, `\\lt` as `<`."""
    name = match.group()
    is_greater, is_strict = name[1] == "g", name in ("\\gt", "\\lt")
    return (">" if is_greater else "<") if is_strict else f"\\{name[1]}eq "


def _power(match: re.Match[str]) -> str:
    return "^2" if match[1] == "squared" else "^3"


_REPLACEMENTS = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\(?:left|right|[bB]igg?)[lr]?(?![a-zA-Z])\.?", ""),
        (r"\A\{\s?\\displaystyle(?![a-zA-Z])\s?(.*)\}\Z", r"\1"),
        (r"\\(?:displaystyle|textstyle|limits|hfill|newline|nonumber)(?![a-zA-Z])", " "),
        (r"\\(?:[lr]vert|[lr]Vert|mid|vert)(?![a-zA-Z])", "|"),
        (r"\\(?:lbrace|\{)", r"\\{"),
        (r"\\(?:rbrace|\})", r"\\}"),
        (r"\\(?:begin|end)\s?\{(?:aligned|align\*?|gathered|equation\*?)\}", " "),
        (r"(?<!\\)\\#", ""),
        (r"\{-\}", "-"),
        (r"\\dot\s?\{?([0-9])\}?([0-9]{0,9})\\dot\s?\{?([0-9])\}?", r"\\overline{\1\2\3}"),
        (r"(?<=[0-9])\{,\}(?=[0-9]{3},[0-9]{3})", ","),
        (r"\b(?:positive\s)?infinity\b", r"\\infty "),
        (r"\\(?:text)?color\s?\{[^{}]{1,30}\}", " "),
        (r"\\(?:langle|left\s?<)(?![a-zA-Z])|[⟨〈]", "("),
        (r"\\rangle(?![a-zA-Z])|[⟩〉]", ")"),
        (r"\\(?:tiny|small|large|Large|huge|Huge|bf|it|rm|sf|underline)(?![a-zA-Z])", " "),
        (r"\{([^{}]{1,60})\\choose(?![a-z])([^{}]{1,60})\}", r"\\binom{\1}{\2}"),
        (r"\{([^{}]{1,60})\\over(?![a-z])([^{}]{1,60})\}", r"\\frac{\1}{\2}"),
        (r"\\(?:geqslant|gt(?:eq)?)(?![a-zA-Z])", _relation),
        (r"\\(?:leqslant|lt(?:eq)?)(?![a-zA-Z])", _relation),
        (r"(?<=[0-9]),?\\!\s?,?(?=[0-9]{3}(?![0-9]))|(?<=[0-9])\{,\}(?=[0-9]{2,3}(?![0-9]))", ""),
        (r"(?<=[0-9])(?:\\[,;: ]|~)(?=[0-9]{3}(?![0-9]))", ""),
        (r"(?<=[0-9])\{,\}(?=[0-9])", "."),
        (r"\\[!]", ""),
        (r"(?<!\\)\\(?:[,;: ]|q?quad(?![a-zA-Z]))|~", " "),
        (r"\bUS\s?\\?\$", ""),
        (r"(?<!\\)\\[()\[\]$]|\$", ""),
        (r"(?<=[0-9])\s?\^?\s?\{?\s?(?:st|nd|rd|th)\b\s?\}?", ""),
        (
            r"\^\s?(?:\{\s?\\circ\s?\}|\\circ(?![a-zA-Z]))|\\degrees?(?![a-zA-Z])|\\circ\s?$",
            r"\\degree ",
        ),
        (r"\\(?:varnothing|emptyset|empty)(?![a-zA-Z])", r"\\emptyset "),
        (r"\\mathbb\s?\{?\s?R\s?\}?|\\R(?![a-zA-Z])|\\Re(?![a-zA-Z])", r"\\reals "),
        (r"\\(?:lor|vee)(?![a-zA-Z])", " or "),
        (r"\\(?:land|wedge)(?![a-zA-Z])", " and "),
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
        (r"([_^])\s?\{\s?(\w)\s?\}(?![\w.])", r"\1\2"),
        (r"_\s?\{\s?([0-9]{1,3}|ten|two)\s?\}", r"_\1"),
        (r"(?:the\s)?square\sroot\sof\s([0-9]{1,30})", r"\\sqrt{\1}"),
        (r"(?:the\s)?cube\sroot\sof\s([0-9]{1,30})", r"\\sqrt[3]{\1}"),
        (r"(?<=[0-9])\sdivided\sby\s(?=[0-9])", "/"),
        (r"(?<=[0-9])\stimes\s(?=[0-9])", r"\\times "),
        (r"(?<=[0-9])\s?比\s?(?=[0-9])", ":"),
        (r"(?<=[0-9a-zA-Z)}])\s(squared|cubed)\s?\Z", _power),
        (r"\s+", " "),
    )
]
_FUNCTION_OF_ANGLE = re.compile(r"\\?(?:sin|cos|tan|cot|sec|csc)(?![a-zA-Z])")
_MAX_REMEMBERED = 300
_EMPTY_SET = re.compile(r"(?:the\s)?(?:empty|null)\sset|\\?\{\s?\\?\}|\\emptyset", re.IGNORECASE)
_EXCLAMATION = re.compile(r"(?<=[A-Za-z]{2})!{1,9}\Z")  # behind a number it is a factorial


def canonical(text: str) -> str:
    """One spelling of `text`: delimiters, spacing and style gone, `\\frac12` as `\\frac{1}{2}`."""
    return _short_canonical(text) if len(text) <= _MAX_REMEMBERED else _canonical(text)


@lru_cache(maxsize=4096)  # candidates of a problem share their gold, and often their answers
def _short_canonical(text: str) -> str:
    return _canonical(text)


def _canonical(text: str) -> str:
    for _ in range(3):
        text = _TEXT.sub(r" \1 ", text)
    text = plain(text)
    for pattern, replacement in _REPLACEMENTS:
        text = pattern.sub(replacement, text)
    if "\\degree" in text and not _FUNCTION_OF_ANGLE.search(text):
        text = " ".join(text.replace("\\degree", " ").split())
    text = _EXCLAMATION.sub("", text.strip())
    text = text.strip() if text.endswith("...") else text.rstrip(" .,;:\\")
    text = text if _EMPTY_SET.fullmatch(text) else _without_outer_braces(text)
    return "\\emptyset" if _EMPTY_SET.fullmatch(text) else text


def _without_outer_braces(text: str) -> str:
    """`{x + 1}` as x + 1; `{1, 2}` is a set."""
    for _ in range(3):
        if (
            not (text.startswith("{") and text.endswith("}"))
            or _closing_brace(text) != len(text) - 1
        ):
            break
        inner = text[1:-1].strip()
        if len(split_top(inner, ",")) > 1:
            break
        text = inner
    return text


def _closing_brace(text: str) -> int:
    """Where the brace that `text` begins with is closed; -1 where it is not."""
    depth = 0
    for at, character in enumerate(text):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return at
    return -1


_BLANK = re.compile(r"(?<![0-9])\s|\s(?![0-9])")


def compact(text: str) -> str:
    """Canonical text without spaces but between digits: what string equality is taken on."""
    return _BLANK.sub("", text)


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
    if text.startswith("{") and _closing_brace(text) == len(text) - 1:
        return "{}", text[1:-1].strip()
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


_BRACKETED_MATRIX = re.compile(r"[\[(]\s?(\\begin.{1,900}\})\s?[\])]", re.DOTALL)
_MATRIX = re.compile(r"\\begin\s?\{([pbB]?)(?:matrix|array)\}(?:\{[lcr|]{1,20}\})?")


def matrix_rows(text: str) -> list[list[str]] | None:
    """Cells of `text` where all of it is one matrix (round, square or no brackets), else None."""
    bracketed = _BRACKETED_MATRIX.fullmatch(text)
    text = bracketed[1] if bracketed else text
    match = _MATRIX.match(text)
    end = text.rfind("\\end")
    if match is None or text.count("\\begin") != 1 or text[end:].count("}") != 1 or text[-1] != "}":
        return None
    rows = re.split(r"\\\\(?:\[[^\]]{0,10}\])?", text[match.end() : end])
    return [[cell.strip() for cell in row.split("&")] for row in rows if row.strip()]


_NAME = re.compile(
    r"\s*(?:[A-Z]\s?\\c[au]p\s?[A-Z]|\([a-z](?:,\s?[a-z]){1,3}\)|[A-Za-z]\w?|\\[a-zA-Z]{2,10}|[A-Za-z]{1,2}_\w|[A-Za-z](?:\^\{-1\})?\([^()=]{1,12}\))"
    r"\s*(=|\\in(?![a-z]))\s*"
)


_MEMBER = re.compile(r"\A\\?[A-Za-z]\w?\s?\\in(?![a-z])\s*")


def without_member(text: str) -> str:
    """`x \\in \\{1, 2\\}` is \\{1, 2\\}."""
    return _MEMBER.sub("", text)


_TURNED = re.compile(r"([^=]{1,200})=\s?[A-Za-z]\w?\s?")  # 5 = x


def without_name(text: str) -> str:
    """`x = 5` is 5, `f(x) = 2x` is 2x, `x \\in [0,1]` is [0,1]; anything else is itself."""
    match = _NAME.match(text) or None
    if match is None:
        turned = _TURNED.fullmatch(text)
        return turned[1].strip() if turned else text
    return text[match.end() :] if "=" not in text[match.end() :] else text
