"""Questions held out for evaluation: whether a text is one of them, or holds too much of one.

Invariant: an answer depends on the questions added, not on their order. Sample: after "Amanda
received $50 as a gift. ..." was added from eval.jsonl:3, a rationale that quotes half of it gives
Twin(where="eval.jsonl:3", similarity=0.61, shared="amanda received 50 as a gift", ...).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from tasks.intake.wording import digest, ngrams, wording, words_of

LEAST_SHARED = 13  # words in common with a held-out question, or all of a shorter one
MAX_SHARING = 10  # held-out questions that have an n-gram; what more have is a template's
MAX_SHARED_WORDS = 16  # of the shared text, in a message
_FEW = range(1, MAX_SHARING + 1)


@dataclass(frozen=True, kw_only=True)
class Twin:
    """What something repeats: where it is, how much of it, and the text in common."""

    where: str
    similarity: float  # 0..1; 1 is the same wording
    shared: str = ""
    problem_id: str | None = None


class HeldOut:
    """Evaluation questions, indexed; some 7 kB each.

    A text overlaps one where the `ngram`-word runs they share (8, as s1 and open-r1 have it) cover
    at least the share `overlap` of its words (a half, Cosmopedia) and LEAST_SHARED words (GPT-3):
    "express your answer as a common fraction" is nobody's question. Runs that are mostly numbers
    ("1 2 3 4 5 6 7 8", the code of a figure) and runs of more than MAX_SHARING questions (a
    preamble, a template; NeMo Curator's max_matches) do not count, on either side of the share.
    Questions shorter than `ngram` are found by equality only.
    """

    def __init__(self, *, ngram: int, overlap: float) -> None:
        self._ngram, self._overlap = ngram, overlap
        self._by_wording: dict[bytes, int] = {}
        self._sharing: dict[int, list[int]] = {}  # hash of an n-gram -> questions
        self._questions: list[tuple[str, str | None, str]] = []  # where, problem id, words

    def __len__(self) -> int:
        return len(self._questions)

    def add(self, question: str, *, where: str, problem_id: str | None = None) -> None:
        """`problem_id`: where the question is a problem of the run."""
        key = digest(wording(question))
        if key in self._by_wording:
            return
        number = self._by_wording[key] = len(self._questions)
        words = words_of(question)
        self._questions.append((where, problem_id, " ".join(words)))
        for gram in {gram for _, gram in self._telling(words)}:
            sharing = self._sharing.setdefault(gram, [])
            if len(sharing) <= MAX_SHARING:
                sharing.append(number)

    def same(self, tokens: Sequence[str]) -> Twin | None:
        """The held-out question of this wording."""
        number = self._by_wording.get(digest(" ".join(tokens)))
        if number is None:
            return None
        where, problem_id, _ = self._questions[number]
        return Twin(where=where, similarity=1.0, problem_id=problem_id)

    def overlapping(self, text: str) -> Twin | None:
        """The held-out question of which `text` holds most, if that is too much."""
        hashes = self._hashes(words_of(text))
        found = {gram for gram in hashes if len(self._sharing.get(gram, ())) in _FEW}
        if not found:
            return None
        counts = Counter(number for gram in found for number in self._sharing[gram])
        twins = [twin for number in sorted(counts) if (twin := self._compare(number, found))]
        return max(twins, key=lambda twin: twin.similarity, default=None)

    def _compare(self, number: int, found: set[int]) -> Twin | None:
        where, problem_id, text = self._questions[number]
        words = text.split(" ")
        telling = [(n, g) for n, g in self._telling(words) if len(self._sharing[g]) in _FEW]
        covered = self._places(start for start, gram in telling if gram in found)
        size = len(self._places(start for start, _ in telling))
        similarity = len(covered) / size
        if similarity < self._overlap or len(covered) < min(LEAST_SHARED, size):
            return None
        runs = [[index for _, index in run] for _, run in groupby(enumerate(covered), _offset)]
        longest = max(runs, key=len)[:MAX_SHARED_WORDS]
        shared = " ".join(words[index] for index in longest)
        return Twin(where=where, similarity=similarity, shared=shared, problem_id=problem_id)

    def _places(self, starts: Iterable[int]) -> list[int]:
        """Of the words in the n-grams that start there, in order."""
        return sorted({start + n for start in starts for n in range(self._ngram)})

    def _telling(self, words: Sequence[str]) -> list[tuple[int, int]]:
        """(start, hash) of the n-grams at least half of which are words, not numbers."""
        n = self._ngram
        return [
            (start, gram)
            for start, gram in enumerate(self._hashes(words))
            if 2 * sum(map(_is_word, words[start : start + n])) >= n
        ]

    def _hashes(self, words: Sequence[str]) -> list[int]:
        n = self._ngram
        return [hash(gram) for gram in ngrams(words, n)] if 0 < n <= len(words) else []


def _is_word(word: str) -> bool:
    return word.isalpha() and (len(word) > 1 or not word.isascii())


def _offset(numbered: tuple[int, int]) -> int:
    """The same for neighbours in a run of indices."""
    return numbered[1] - numbered[0]
