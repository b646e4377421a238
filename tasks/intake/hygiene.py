"""Hygiene: which problems are removed before anything is spent on them, and why.

Role: `screen` stands between reading (tasks/intake/problems.py) and storing (infra/runs/intake.py).
Invariants: what is worded like a held-out question, or covers half of it, is never passed on; of
near-duplicates the first stays; whatever is removed leaves a Rejection that names its twin.

A sample: after "Amanda received $50 as a gift. ..." at sums.jsonl:3, "Josie received $50 ..." is
Rejection(reason="near_duplicate_question", twin="sums.jsonl:3", similarity=0.93, ...).
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import accumulate

from pydantic import BaseModel, ConfigDict, Field

from tasks.intake.held_out import HeldOut, Twin
from tasks.intake.problems import STAGE, IngestedProblem, Item
from tasks.intake.wording import DIGEST_BITS, digest, mathematics, ngrams, wording
from tasks.schemas import Candidate, Rejection, content_id

MAX_COMPARED = 64  # earlier problems a new one is compared with, at most
MOST_MISSED = 0.02  # of the pairs exactly at the threshold, by the choice of bands
NUM_TABLES = 8  # of unequal size, so that they double one after the other


class HygieneConfig(BaseModel):
    """What is removed at ingest. docs/hygiene.md has the sources of the defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    near_duplicates: bool = Field(default=True, description="remove near-duplicate questions")
    threshold: float = Field(default=0.8, gt=0, le=1, description="n-gram Jaccard that is near")
    ngram: int = Field(default=3, ge=1, description="tokens an n-gram, for near-duplicates")
    num_perm: int = Field(default=32, ge=4, description="MinHash values a problem")
    seed: int = Field(default=0, ge=0, description="of the MinHash permutations")
    evaluation_sets: tuple[str, ...] = Field(
        default=(), description="files or hub ids kept from training, beside evaluate.problems"
    )
    evaluation_ngram: int = Field(default=8, ge=0, description="words an n-gram; 0: equality only")
    evaluation_overlap: float = Field(
        default=0.5, gt=0, le=1, description="share of an evaluation question that is too much"
    )
    check_rationales: bool = Field(default=True, description="look into imported rationales too")


class NearDuplicates:
    """Finds the earlier problem a new one nearly repeats; some 1.3 kB of memory a problem.

    Near: the same mathematics (numbers, signs, LaTeX commands), the same gold answer, and an
    n-gram Jaccard of the wordings of at least `threshold`. "Tom has 3 apples" and "Tom has 5
    apples" are two problems. Candidates come from MinHash LSH (Broder 1997; rensa), over n-grams
    marked with the mathematics and the answer, so that the problems of one template never meet;
    each is then compared in full. At most MOST_MISSED of the pairs at the threshold are missed.
    Which of NUM_TABLES indexes a problem is in follows from its mark; they grow by doubling, and
    one that did so for all problems at once would take twice the memory a problem just after.
    """

    def __init__(self, config: HygieneConfig) -> None:
        from rensa import RMinHash, RMinHashLSH

        self._config = config
        self._sketch = RMinHash
        num_bands = config.num_perm // _rows_a_band(config.num_perm, config.threshold)
        self._tables = [
            RMinHashLSH(threshold=config.threshold, num_perm=config.num_perm, num_bands=num_bands)
            for _ in range(NUM_TABLES)
        ]
        self._bounds = _staggered(NUM_TABLES)
        self._records, self._ends = bytearray(), array("Q", [0])  # mark, where, id, tokens

    def __len__(self) -> int:
        return len(self._ends) - 1

    def admit(self, item: IngestedProblem) -> Twin | None:
        """The earlier problem that this one nearly repeats; else None, and it is remembered."""
        answer = wording(item.problem.answer)
        mark = digest(f"{mathematics(item.tokens)}\n{answer}").hex()
        grams = set(ngrams(item.tokens, self._config.ngram))
        sketch = self._sketch(self._config.num_perm, self._config.seed)
        sketch.update([f"{mark} {gram}" for gram in grams])
        table = self._tables[bisect(self._bounds, int(mark, 16) / 2**DIGEST_BITS)]
        numbers = sorted(table.query(sketch))
        for number in numbers[:MAX_COMPARED]:
            if twin := self._compare(number, mark, grams):
                return twin
        if len(numbers) < MAX_COMPARED:  # bounds the work where thousands share a preamble
            table.insert(len(self), sketch)
            self._remember(item, mark)
        return None

    def _remember(self, item: IngestedProblem, mark: str) -> None:
        record = "\0".join((mark, _where(item), item.problem_id, " ".join(item.tokens)))
        self._records += record.encode()
        self._ends.append(len(self._records))

    def _compare(self, number: int, mark: str, grams: set[str]) -> Twin | None:
        record = self._records[self._ends[number] : self._ends[number + 1]].decode()
        known, where, problem_id, text = record.split("\0", 3)
        if known != mark:  # their n-grams are disjoint: an accident of hashing
            return None
        others = set(ngrams(text.split(" "), self._config.ngram))
        similarity = len(grams & others) / len(grams | others)
        if similarity < self._config.threshold:
            return None
        return Twin(where=where, similarity=similarity, problem_id=problem_id)


def screen(
    items: Iterable[Item],
    *,
    held_out: HeldOut | None = None,
    near: NearDuplicates | None = None,
    check_rationales: bool = True,
) -> Iterator[Item]:
    """The items with what hygiene removes turned into Rejections; order and the rest are kept.

    A removed problem goes with its imported rationales, in later rows too.
    """
    removed: dict[str, Rejection] = {}
    for item in items:
        if isinstance(item, Rejection):
            yield item
            continue
        refusal = removed.get(item.problem_id)
        if refusal is None and item.is_new and (refusal := _refusal(item, held_out, near)):
            removed[item.problem_id] = refusal
        if refusal is not None:
            yield refusal
        elif held_out and check_rationales and item.candidates:
            yield from _without_quotations(item, held_out)
        else:
            yield item


def _refusal(
    item: IngestedProblem, held_out: HeldOut | None, near: NearDuplicates | None
) -> Rejection | None:
    if held_out and (twin := held_out.same(item.tokens) or _same_stem(item, held_out)):
        says = f"is held out for evaluation ({twin.where}), so it is not trained on"
        return _reject(item, "in_evaluation_set", says, twin)
    if held_out and (twin := held_out.overlapping(item.problem.question)):
        says = f"holds {twin.similarity:.0%} of {twin.where}, which is held out for evaluation"
        says += f", e.g. {twin.shared!r}"
        return _reject(item, "shares_ngram_with_evaluation", says, twin)
    if near is not None and (twin := near.admit(item)):
        says = f"nearly repeats {twin.where} ({twin.similarity:.0%} of their wording in common)"
        return _reject(item, "near_duplicate_question", says, twin)
    return None


def _same_stem(item: IngestedProblem, held_out: HeldOut) -> Twin | None:
    return held_out.same(item.stem) if item.stem else None


def _reject(item: IngestedProblem, reason: str, says: str, twin: Twin) -> Rejection:
    lost = f"; rationales lost: {len(item.candidates)}" if item.candidates else ""
    return Rejection(
        stage=STAGE,
        record_id=item.problem_id,
        problem_id=twin.problem_id,
        reason=reason,
        detail=f"{_where(item)}: {says}{lost}",
        twin=twin.where,
        similarity=round(twin.similarity, 4),
    )


def _without_quotations(item: IngestedProblem, held_out: HeldOut) -> Iterator[Item]:
    """The rationales that quote a held-out question, refused; then the item with the others."""
    kept: list[Candidate] = []
    for candidate in item.candidates:
        if twin := held_out.overlapping(candidate.text):
            yield _reject_rationale(item, candidate, twin)
        else:
            kept.append(candidate)
    if kept or item.is_new:
        yield replace(item, candidates=kept)


def _reject_rationale(item: IngestedProblem, candidate: Candidate, twin: Twin) -> Rejection:
    says = f"holds {twin.similarity:.0%} of {twin.where}, which is held out for evaluation"
    return Rejection(
        stage=STAGE,
        record_id=content_id(item.problem_id, candidate.candidate, candidate.text),
        problem_id=item.problem_id,
        reason="rationale_shares_ngram_with_evaluation",
        detail=f"{_where(item)}: rationale {candidate.candidate} {says}, e.g. {twin.shared!r}",
        twin=twin.where,
        similarity=round(twin.similarity, 4),
    )


def held_out_questions(
    questions: Iterable[tuple[str, str]], config: HygieneConfig, *, ids: Mapping[str, str]
) -> HeldOut:
    """An index of (where, question); `ids`: wording -> problem id of those in the run."""
    index = HeldOut(ngram=config.evaluation_ngram, overlap=config.evaluation_overlap)
    for where, question in questions:
        index.add(question, where=where, problem_id=ids.get(wording(question)))
    return index


def _rows_a_band(num_perm: int, threshold: float) -> int:
    """The most rows a band with which few pairs at the threshold are missed: fewest bands."""
    for rows in sorted((r for r in range(1, num_perm + 1) if num_perm % r == 0), reverse=True):
        if math.pow(1 - threshold**rows, num_perm // rows) <= MOST_MISSED:
            return rows
    return 1


def _staggered(num_tables: int) -> list[float]:
    """Upper bounds in 0..1 of tables whose sizes are evenly spread, by factor, from 1 to 2."""
    sizes = [math.pow(2, n / num_tables) for n in range(num_tables)]
    return [end / sum(sizes) for end in accumulate(sizes)][:-1]


def _where(item: IngestedProblem) -> str:
    return f"{item.problem.source}:{item.problem.line}"
