r"""A question's wording: its tokens, whatever its spelling, spacing and LaTeX dress.

Role: what "the same question" means to deduplication and decontamination (tasks/intake/hygiene.py).
Invariant: two texts of one wording ask the same thing; nothing that carries mathematics (numbers,
signs, brackets, LaTeX commands) is dropped, so "3 - 4" and "3 + 4", "[0,1]" and "(0,1)" differ.

A sample: wording(r"Find $\dfrac{1}{2}$ of 1,000.") == wording(r"find \( \frac 1 2 \) of 1000")
== r"find \frac 1 2 of 1000".
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence

from tasks.scripts import spaced

DIGEST_BITS = 64
_QUOTES = str.maketrans({
    "\u2018": "'", "\u2019": "'", "\u201c": None, "\u201d": None, '"': None, "`": None,
    "\u2010": "-", "\u2011": "-", "\u2012": "-", "\u2013": "-", "\u2014": "-", "\u2212": "-",
    "$": " ", "~": " ", "\u2044": "/", "\u00ad": None, "\u200b": None,
})  # fmt: skip
# LaTeX that changes how a formula looks, not what it says: \left, \displaystyle, \, \quad, \text.
_DRESS = re.compile(
    r"\\(?:[,;:!>()\[\]\s\\]|(?:left|right|[bB]igg?[lr]?|displaystyle|limits|q?quad|text\w*"
    r"|mbox|math(?:rm|bf|it|sf)|operatorname)(?![a-z]))"
)
_SYNONYMS = (
    ("\\dfrac", "\\frac"), ("\\tfrac", "\\frac"), ("\\cfrac", "\\frac"),
    ("\\dbinom", "\\binom"), ("\\tbinom", "\\binom"), ("\\leq", "\\le"), ("\\geq", "\\ge"),
    ("\\neq", "\\ne"), ("\\%", "%"),
)  # fmt: skip
_RAISED = re.compile("[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+")  # x\u00b2 is x^2, not x2
_LOWERED = re.compile("[\u2080-\u2089]+")
_FRACTION = re.compile("(?=[\u00bc-\u00be\u2150-\u215e])")  # 3\u00bd is 3 1/2, not 31/2
_APOSTROPHE = re.compile(r"(?<=[a-z])'(?=[a-z])")  # Tom's; the prime of f'(x) stays
_HYPHEN = re.compile(r"(?<=[^\W\d_]{2})-(?=[^\W\d_]{2})")  # well-known
_THOUSANDS = re.compile(r"(?<=\d)(?:,|\{,\})(?=\d{3}(?!\d))")
# {2} is 2, {\pi} is \pi, x^{-1} is x^-1; {n+1} keeps its braces, as in \{2\} they are a set's.
_LONE = re.compile(r"(?<!\\)\{\s*([^\W_]+|\\[a-z]+)\s*\}|(?<=[_^])\s*\{\s*([-+]\s*[^\W_]+)\s*\}")
_EMPTY = re.compile(r"(?<!\\)\{\s*\}(?=\s*[_^])")  # {}_n C_k
# What TeX takes for an argument without braces is one token: \frac12 is \frac{1}{2}.
_BRACED = r"\{(?:[^{}]++|\{[^{}]*+\})*+\}"
_ONE = r"\s+[^\W_]|\d"
_FIRST = re.compile(rf"(\\(?:frac|binom)(?={_ONE})\s*|\\sqrt(?:\[[^\]]*\])?(?=\d))([^\W_])")
_SECOND = re.compile(rf"(\\(?:frac|binom)\s*(?:{_BRACED}\s*|\\[a-z]++(?:\s+|(?=\d))))([^\W_])")
_TOKEN = re.compile(r"\d*\.\d+|\\[a-z]+|[^\W_]+|[^\s.,;?]")
_WORD = re.compile(r"[^\W_]+")
_NUMBER_WORDS = frozenset((
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "hundred", "thousand", "million", "dozen", "half", "third", "quarter",
    "once", "twice", "double", "triple",
))  # fmt: skip


def tokens_of(text: str) -> list[str]:
    """The tokens of the text's wording: words, numbers, signs, LaTeX commands; never none."""
    whole = text
    if not text.isascii():
        text = _FRACTION.sub(" ", _LOWERED.sub(r"_\g<0>", _RAISED.sub(r"^\g<0>", text)))
        text = _plain(text)
    text = text.translate(_QUOTES).casefold()
    if "\\" in text:
        text = _DRESS.sub(" ", text)
        for spelling, usual in _SYNONYMS:
            text = text.replace(spelling, usual)
        if "\\frac" in text or "\\binom" in text or "\\sqrt" in text:
            text = _SECOND.sub(r"\1{\2}", _FIRST.sub(r"\1{\2}", text))
    if "," in text:
        text = _THOUSANDS.sub("", text)
    if "{" in text:
        text = _LONE.sub(_bare, _EMPTY.sub(" ", text))
    if "'" in text:
        text = _APOSTROPHE.sub("", text)
    if "-" in text:
        text = _HYPHEN.sub(" ", text)
    return _TOKEN.findall(text) or [whole.strip()]


def _bare(braced: re.Match[str]) -> str:
    return f" {braced[1] or braced[2]} "


def words_of(text: str) -> list[str]:
    """Words and numbers alone, without case and punctuation: what is compared across long texts."""
    return _WORD.findall((text if text.isascii() else _plain(text)).casefold())


def wording(text: str) -> str:
    """The tokens joined by blanks: equal for texts that differ in dress only."""
    return " ".join(tokens_of(text))


def mathematics(tokens: Sequence[str]) -> str:
    """Numbers, number words, signs and LaTeX commands, sorted: a template's blanks, filled in."""
    return " ".join(sorted(t for t in tokens if not t.isalpha() or t in _NUMBER_WORDS))


def ngrams(tokens: Sequence[str], n: int) -> Iterator[str]:
    """Every `n` tokens in a row, joined by blanks; all of them at once where they are fewer."""
    for start in range(max(len(tokens) - n + 1, 1)):
        yield " ".join(tokens[start : start + n])


def _plain(text: str) -> str:
    return spaced(unicodedata.normalize("NFKC", text))


def digest(text: str) -> bytes:
    """DIGEST_BITS of a hash: what is remembered of a text, where there are millions."""
    return hashlib.blake2b(text.encode(), digest_size=DIGEST_BITS // 8).digest()
