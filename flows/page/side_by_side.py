"""A chain beside what was made of it: which of its words the next version has no more.

Role: from texts to HTML, words and formulas compared by difflib. Invariants: what a model wrote is
text, escaped, with what a browser would obey or hide made visible; whatever it is, no more than
MOST_CHARACTERS of it, and so few words compared that it takes no time.

A sample: marked(["a b c", "a c"]) -> ["a <del>b </del>c", "a c"]
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby, pairwise

from markupsafe import Markup, escape

from flows.page.mathematics import Formula, parts
from flows.progress.text import plain

MOST_CHARACTERS = 4000  # of a text that is shown
MOST_WORDS = 1200  # compared: what is behind them counts as alike
MOST_PAIRS = 60_000  # of equal words in both: what difflib's time grows with
_WORD = re.compile(r"\S{1,200}\s*|\s+")


@dataclass(frozen=True)
class Word:
    """`key` is what is compared: the word without what follows it."""

    key: str
    shown: Markup


@dataclass(frozen=True, kw_only=True)
class Marked:
    """`share_cut` of the words compared are not in the next version; None where there is none."""

    html: Markup
    share_cut: float | None


def in_words(text: str) -> list[Word]:
    """Words and formulas, each with the space behind it."""
    found: list[Word] = []
    for part in parts(text):
        if isinstance(part, Formula):
            found.append(Word(part.source, part.mathml))
            continue
        for word in _WORD.findall(part):
            if found and not word.strip():  # behind a formula
                found[-1] = Word(found[-1].key, found[-1].shown + escape(plain(word)))
            else:
                found.append(Word(word.strip(), escape(plain(word))))
    return found


def formatted(text: str) -> Markup:
    """A text alone: escaped, its formulas as mathematics."""
    return Markup("").join(word.shown for word in in_words(text[:MOST_CHARACTERS]))


def marked(texts: Sequence[str]) -> list[Marked]:
    """Of versions one after another: in each what the next one has no more is <del>."""
    versions = [in_words(text[:MOST_CHARACTERS]) for text in texts]
    found = [_cut(this, after) for this, after in pairwise(versions)]
    last = [Marked(html=_joined(words, [False] * len(words)), share_cut=None)
            for words in versions[-1:]]  # fmt: skip
    return [*found, *last]


def _cut(this: Sequence[Word], after: Sequence[Word]) -> Marked:
    compared, others = _comparable([word.key for word in this], [word.key for word in after])
    matcher = SequenceMatcher(None, compared, others, autojunk=False)
    is_cut = [True] * len(compared) + [False] * (len(this) - len(compared))
    for start, _, size in matcher.get_matching_blocks():
        is_cut[start : start + size] = [False] * size
    share = sum(is_cut) / len(compared) if compared else 0.0
    return Marked(html=_joined(this, is_cut), share_cut=share)


def _comparable(this: Sequence[str], after: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """The beginnings that are compared: of "a a a ..." and "a b a b ..." little is."""
    num = MOST_WORDS
    while _num_pairs(this[:num], after[:num]) > MOST_PAIRS:
        num //= 2
    return this[:num], after[:num]


def _num_pairs(this: Sequence[str], after: Sequence[str]) -> int:
    times = Counter(after)
    return sum(num * times[word] for word, num in Counter(this).items())


def _joined(words: Sequence[Word], is_cut: Sequence[bool]) -> Markup:
    html = Markup("")
    for cut, some in groupby(zip(words, is_cut, strict=True), key=lambda pair: pair[1]):
        run = Markup("").join(word.shown for word, _ in some)
        html += Markup("<del>{}</del>").format(run) if cut else run
    return html
