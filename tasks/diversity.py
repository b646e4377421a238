"""Diversity: which rationales of a problem nearly repeat a better one (MoRSD, METHODS 3.3).

Two texts are near-duplicates where the Jaccard similarity of their n-grams, as multisets, reaches
a threshold. Invariant: exact; a pair's similarity is left out only where a bound shows that it is
below the threshold.

A sample: near_duplicates([best, copy_of_best], size=3, least=0.8) == {"copy": "best"}
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Protocol

from tasks.scripts import spaced


class HasText(Protocol):
    """A rationale, as far as it is compared with others."""

    @property
    def rationale_id(self) -> str: ...

    @property
    def text(self) -> str: ...


_WORD = re.compile(r"\w+|[^\w\s]")
Ngram = tuple[str, ...]


def words_of(text: str) -> list[str]:
    """Words and marks, case folded, in order; of an empty text one empty word.

    A script without blanks (Chinese, Thai) has no words to see: its characters stand for them.
    """
    return _WORD.findall(spaced(text.casefold())) or [""]


def ngrams(words: Sequence[str], size: int) -> Iterable[Ngram]:
    """The runs of `size` words; fewer words are one n-gram."""
    if len(words) < size:
        return [tuple(words)]
    return zip(*(words[start:] for start in range(size)), strict=False)


class Multiset:
    """What a text consists of, in the form that makes `overlap` mostly one set operation."""

    def __init__(self, elements: Iterable[Any]) -> None:
        counts = Counter(elements)
        self._elements = frozenset(counts)
        self._again = {element: number - 1 for element, number in counts.items() if number > 1}
        self._get_again = self._again.__getitem__

    def __len__(self) -> int:
        return len(self._elements) + sum(self._again.values())

    def overlap(self, other: Multiset) -> int:
        """How many elements both have, repeated ones as often as both repeat them."""
        again = self._again.keys() & other._again.keys()
        repeated = sum(map(min, map(self._get_again, again), map(other._get_again, again)))
        return len(self._elements & other._elements) + repeated


def jaccard(left: Multiset, right: Multiset) -> float:
    """Jaccard similarity of two multisets that are not empty, 0..1."""
    return _similarity(left.overlap(right), len(left), len(right))


def _similarity(shared: int, num_left: int, num_right: int) -> float:
    """Grows with `shared`, so what an upper bound of it gives bounds the similarity too."""
    return shared / (num_left + num_right - shared)


class _Prepared:
    """A text as `near_duplicates` compares it: its n-grams are made when they are needed."""

    def __init__(self, candidate: HasText, size: int) -> None:
        self.rationale_id = candidate.rationale_id
        self._words, self._size = words_of(candidate.text), size
        self.num_ngrams = max(1, len(self._words) - size + 1)

    @cached_property
    def first_words(self) -> Multiset:
        """Of its n-grams: two texts share no more n-grams than first words of n-grams."""
        return Multiset(self._words[: self.num_ngrams])

    @cached_property
    def ngrams(self) -> Multiset:
        return Multiset(ngrams(self._words, self._size))

    def is_near(self, other: _Prepared, least: float) -> bool:
        """Whether the Jaccard similarity is at least `least`; cheap bounds come first."""
        sizes = self.num_ngrams, other.num_ngrams
        if _similarity(min(sizes), *sizes) < least:
            return False
        if _similarity(self.first_words.overlap(other.first_words), *sizes) < least:
            return False
        return _similarity(self.ngrams.overlap(other.ngrams), *sizes) >= least


def near_duplicates(ordered: Sequence[HasText], *, size: int, least: float) -> dict[str, str]:
    """rationale_id -> id of the best one it nearly repeats. `ordered` is best first; `size` words
    an n-gram; `least` similarity, 0..1."""
    kept: list[_Prepared] = []
    duplicates: dict[str, str] = {}
    for candidate in ordered if len(ordered) > 1 else ():
        text = _Prepared(candidate, size)
        twin = next((better for better in kept if text.is_near(better, least)), None)
        if twin is None:
            kept.append(text)
        else:
            duplicates[text.rationale_id] = twin.rationale_id
    return duplicates
