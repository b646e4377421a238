r"""LaTeX in what models wrote, as MathML that browsers show without a script or a font of ours.

Role: finds formulas ($..$, $$..$$, \(..\), \[..\]) and has latex2mathml translate them. Invariants:
what is not surely a formula, or that it cannot translate, stays the text it was; what it made is
rebuilt from elements that only lay mathematics out, so that no link, style or script can pass.

A sample: parts(r"so $x^2$") == ["so ", Formula("$x^2$", ...)]
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from xml.etree import ElementTree

from markupsafe import Markup

from flows.progress.text import is_plain

MOST_LETTERS = 240  # of a formula: longer ones take their time, and no line holds them
MOST_COMMANDS = 40  # of a formula
MOST_NESTED = 16  # braces in braces
MOST_FORMULAS = 60  # of a text
_FORMULA = re.compile(
    rf"""
    \$\$ (?P<display>[^$]{{1,{MOST_LETTERS}}}) \$\$
  | \\\[ (?P<bracket>.{{1,{MOST_LETTERS}}}?) \\\]
  | \\\( (?P<inline>.{{1,{MOST_LETTERS}}}?) \\\)
  | (?<![\\\w$]) \$ (?=\S) (?P<dollar>[^$\n]{{1,{MOST_LETTERS}}}) (?<=\S) (?<!\\) \$ (?![\d$])
    """,
    re.X | re.S,
)
_MATHEMATICAL = re.compile(r"[\\^_={}<>+*/]|^-?[\d.,]+$|^[A-Za-z](?:'|\(\w\))?$|^\S*-\S*$")
NAMESPACE = "http://www.w3.org/1998/Math/MathML"
_ELEMENTS = {
    "math", "mrow", "mi", "mn", "mo", "mtext", "mspace", "mfrac", "msqrt", "mroot", "msub", "msup",
    "msubsup", "munder", "mover", "munderover", "mtable", "mtr", "mtd", "mpadded", "mphantom",
    "menclose", "mstyle", "mmultiscripts", "mprescripts", "none",
}  # fmt: skip
_ATTRIBUTES = {
    "display", "displaystyle", "scriptlevel", "mathvariant", "stretchy", "fence", "form",
    "separator", "movablelimits", "accent", "accentunder", "linethickness", "columnalign",
    "rowspacing", "columnspacing", "width", "height", "depth", "lspace", "rspace", "minsize",
    "maxsize", "notation", "symmetric", "largeop",
}  # fmt: skip
_VALUE = re.compile(r"[\w.%+\- ]{0,40}")


@dataclass(frozen=True)
class Formula:
    """`source` as it was written, its delimiters included."""

    source: str
    mathml: Markup


def parts(text: str) -> list[str | Formula]:
    """The text, each formula that can be shown as one apart."""
    found: list[str | Formula] = []
    end = 0
    for match in islice(_FORMULA.finditer(text), MOST_FORMULAS):
        is_block = match["display"] is not None or match["bracket"] is not None
        latex = next(group for group in match.groups() if group is not None)
        mathml = (
            _shown(latex, is_block) if _is_formula(latex, match["dollar"] is not None) else None
        )
        if mathml is not None:
            found += [text[end : match.start()], Formula(match[0], mathml)]
            end = match.end()
    return [part for part in [*found, text[end:]] if part]


def _is_formula(latex: str, is_dollar: bool) -> bool:
    """Between dollars may stand a price: "$5 and then $6"."""
    return not is_dollar or bool(_MATHEMATICAL.search(latex.strip()))


@lru_cache(maxsize=4096)
def _shown(latex: str, is_block: bool) -> Markup | None:
    """None where it cannot be translated."""
    num_commands = sum(latex.count(sign) for sign in "\\_^")
    if not is_plain(latex) or _depth(latex) > MOST_NESTED or num_commands > MOST_COMMANDS:
        return None
    from latex2mathml.converter import convert

    try:
        made = convert(latex.strip(), display="block" if is_block else "inline")
        root = _rebuilt(ElementTree.fromstring(made))
    except Exception:  # its errors have no common class; whatever fails stays text
        return None
    if root is None:
        return None
    root.attrib["xmlns"] = NAMESPACE
    return Markup(ElementTree.tostring(root, encoding="unicode", short_empty_elements=False))


def _depth(latex: str) -> int:
    deepest = depth = 0
    for letter in latex:
        depth += (letter == "{") - (letter == "}")
        deepest = max(deepest, depth)
    return deepest


def _rebuilt(element: ElementTree.Element) -> ElementTree.Element | None:
    """Of known elements and attributes alone; None where there is another, or a command that was
    not understood."""
    tag = element.tag.removeprefix(f"{{{NAMESPACE}}}")
    if tag not in _ELEMENTS or "\\" in (element.text or ""):
        return None
    attributes = {
        name: value
        for name, value in element.attrib.items()
        if name in _ATTRIBUTES and _VALUE.fullmatch(value)
    }
    made = ElementTree.Element(tag, attributes)
    made.text = element.text
    for child in element:
        if (inner := _rebuilt(child)) is None:
            return None
        made.append(inner)
    return made
