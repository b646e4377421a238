"""Plain characters: what a model typed, in the ASCII and LaTeX the other modules read.

Invariant: idempotent, never raises, never longer than a small multiple of its input; lone
surrogates, NUL and direction overrides are gone afterwards, so a result can be stored anywhere.
"""

from __future__ import annotations

import re
import unicodedata

_TABLE = str.maketrans(
    {
        "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-",  # noqa: RUF001
        "×": "\\times ", "·": "\\cdot ", "⋅": "\\cdot ", "÷": "/", "⁄": "/", "∕": "/",  # noqa: RUF001
        "√": "\\sqrt", "π": "\\pi ", "∞": "\\infty ", "∪": "\\cup ", "∩": "\\cap ",  # noqa: RUF001
        "≤": "\\leq ", "≥": "\\geq ", "≠": "\\neq ", "≈": "\\approx ", "±": "\\pm ",
        "∈": "\\in ", "°": "^\\circ ", "θ": "\\theta ", "∅": "\\emptyset ",
        "²": "^2", "³": "^3", "¹": "^1", "⁰": "^0", "⁴": "^4", "⁵": "^5", "⁶": "^6",
        "⁷": "^7", "⁸": "^8", "⁹": "^9",
        "½": " 1/2", "¼": " 1/4", "¾": " 3/4", "⅓": " 1/3", "⅔": " 2/3", "⅛": " 1/8",
        "‘": "'", "’": "'", "“": '"', "”": '"', "，": ",", "：": ":", "。": ". ",  # noqa: RUF001
    }
)  # fmt: skip
_DROPPED = {"Cc", "Cf", "Cs", "Co", "Cn"}
_ODD = re.compile(r"[^\n\t\r -~]")  # all but printable ASCII and white space


def plain(text: str) -> str:
    """`text` with typographic and mathematical characters in ASCII or LaTeX, the invisible gone."""
    if not text.isascii():
        text = text.translate(_TABLE)
    return _ODD.sub(_plain_character, text)


def _plain_character(match: re.Match[str]) -> str:
    character = match.group()
    if unicodedata.category(character) in _DROPPED:
        return ""
    if character.isspace():
        return " "
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    if "！" <= character <= "～":  # noqa: RUF001  full-width ASCII
        return chr(ord(character) - 0xFEE0)
    return character


_EMPHASIS = re.compile(r"(?<![\w)}])\*\*|\*\*(?![\w({])")
_CONTROL_TOKEN = re.compile(r"<\|[^|<>\n]{1,40}\|>|</?s>|<eos>")


def without_markup(text: str) -> str:
    """`text` without Markdown bold and without the spelled-out control tokens some sources keep."""
    return _CONTROL_TOKEN.sub("", _EMPHASIS.sub("", text))
