"""Plain characters: what a model typed, in the ASCII and LaTeX the other modules read.

Invariant: idempotent, never raises, never longer than a small multiple of its input; lone
surrogates, NUL and direction overrides are gone afterwards, so a result can be stored anywhere.
"""

from __future__ import annotations

import re
import unicodedata

_TABLE = str.maketrans(
    {
        "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-",
        "×": "\\times ", "·": "\\cdot ", "⋅": "\\cdot ", "÷": "/", "⁄": "/", "∕": "/",
        "√": "\\sqrt", "∛": "\\sqrt[3]", "π": "\\pi ", "∞": "\\infty ", "∪": "\\cup ",
        "∩": "\\cap ",
        "≤": "\\leq ", "≥": "\\geq ", "≠": "\\neq ", "≈": "\\approx ", "±": "\\pm ",
        "∈": "\\in ", "°": "^\\circ ", "θ": "\\theta ", "∅": "\\emptyset ",
        "ℝ": "\\mathbb{R}", "∖": "\\setminus ", "∨": "\\lor ", "∧": "\\land ", "∠": "\\angle ",
        "∣": "|", "∶": ":", "￥": "¥",
        "½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3", "⅛": "1/8",
        "⅕": "1/5", "⅖": "2/5", "⅗": "3/5", "⅘": "4/5", "⅙": "1/6", "⅚": "5/6", "⅜": "3/8",
        "⅝": "5/8", "⅞": "7/8",
        "‘": "'", "’": "'", "“": '"', "”": '"', "，": ",", "：": ":", "。": ". ",
    }
)  # fmt: skip
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿˣ", "0123456789-+nx")
_LOWERED = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_SCRIPTS = re.compile("([⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿˣ]+)|([₀₁₂₃₄₅₆₇₈₉]+)")
_SMALL_FRACTION = re.compile("([0-9]?)([⁰¹²³⁴⁵⁶⁷⁸⁹]+)[⁄∕/]([₀₁₂₃₄₅₆₇₈₉]+)")
_VULGAR = re.compile("(?<=[0-9])(?=[½¼¾⅓⅔⅛⅕⅖⅗⅘⅙⅚⅜⅝⅞])")
_RADICAL = re.compile(r"([√∛])\s?([0-9]+(?:\.[0-9]+)?|[A-Za-zπ])")  # all the digits are under it
_BLANK_BEHIND_COMMAND = re.compile(
    r"(?:(?<=\\pi)|(?<=circ)|(?<=nfty)|(?<=heta)|(?<=yset)) (?=[.,;:!?)])"
)
_DROPPED = {"So", "Cc", "Cf", "Cs", "Co", "Cn"}
_ODD = re.compile(r"[^\n\t\r -~]")  # all but printable ASCII and white space


def plain(text: str) -> str:
    """`text` with typographic and mathematical characters in ASCII or LaTeX, the invisible gone."""
    if text.isascii():
        return _ODD.sub(_plain_character, text)
    text = _VULGAR.sub(" ", text)
    text = _SMALL_FRACTION.sub(_small_fraction, text)
    text = _RADICAL.sub(r"\1{\2}", _SCRIPTS.sub(_script, text)).translate(_TABLE)
    return _BLANK_BEHIND_COMMAND.sub("", _ODD.sub(_plain_character, text))


def _script(match: re.Match[str]) -> str:
    """`²` as ^2, `⁻¹⁰` as ^{-10}, `₅` as _5."""
    raised, lowered = match.groups()
    digits = raised.translate(_RAISED) if raised else lowered.translate(_LOWERED)
    return ("^" if raised else "_") + (digits if len(digits) == 1 else f"{{{digits}}}")


def _small_fraction(match: re.Match[str]) -> str:
    """`⁷⁄₂₅₀` as 7/250, `2⁷⁄₉` as 2 7/9."""
    whole, over, under = match.groups()
    gap = " " if whole else ""
    return f"{whole}{gap}{over.translate(_RAISED)}/{under.translate(_LOWERED)}"


def _plain_character(match: re.Match[str]) -> str:
    character = match.group()
    if unicodedata.category(character) in _DROPPED and character != "\ufffd":
        return ""
    if character.isspace():
        return " "
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    if "！" <= character <= "～":  # full-width ASCII
        return chr(ord(character) - 0xFEE0)
    return character


_EMPHASIS = re.compile(r"(?<![\w)}])\*\*|\*\*(?![\w({\\-])")
_CONTROL_TOKEN = re.compile(
    r"<\|[^|<>\n]{1,40}\|>|</?s>|<eos>|<(?:start|end)_of_turn>"
    r"|</?(?:b|strong|i|em|u|code|mark|span|p|br)\s?/?>"
)
_UNDERLINED = re.compile(
    r"(?<![\w\\}^)])_{1,2}(?=[^\s_][^_\n]{0,40}_)|(?<=[^\s_\\])_{1,2}(?![\w{\\(])"
)


def without_markup(text: str) -> str:
    """`text` without emphasis, and without the control tokens that some sources spell out."""
    text = _EMPHASIS.sub("", text) if "**" in text else text
    text = _CONTROL_TOKEN.sub("", text) if "<" in text else text
    text = _UNDERLINED.sub("", text) if "_" in text else text
    return text.replace("`", "").replace("==", "")
