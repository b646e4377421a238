"""Which problems of an input were seen already: what a row adds to what came before it.

Invariant: no two problems share a wording (tasks/intake/wording.py), one wording has one answer,
and the first stays. Some 200 bytes a problem are kept, packed, as inputs have millions of rows.
A sample: the second "3 + 4 = ?" with another solution gives an item with that candidate alone,
numbered on, `is_new` False and the first one's problem_id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tasks.intake.rows import IngestedProblem, RowError
from tasks.intake.wording import digest, wording
from tasks.schemas import Candidate


class SeenProblems:
    """Tells duplicates: wording -> problem id, answer, next candidate number, texts, packed."""

    def __init__(self) -> None:
        self._known: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        return len(self._known)

    def admit(self, item: IngestedProblem) -> IngestedProblem:
        """The item if new; what it adds if its problem is known. Raises RowError otherwise."""
        key = digest(" ".join(item.tokens))
        answer = digest(wording(item.problem.answer))
        texts = [digest(candidate.text) for candidate in item.candidates]
        known = self._known.get(key)
        if known is None:
            problem_id = bytes.fromhex(item.problem_id)
            self._known[key] = _pack(problem_id, answer, _next_number(item.candidates), texts)
            return item
        problem_id = known[:8]
        if known[8:16] != answer:
            detail = "the question was seen before with another answer; the first is kept"
            raise RowError("conflicting_answer", detail, problem_id.hex())
        added = self._merge(key, known, item, texts)
        return replace(item, problem_id=problem_id.hex(), candidates=added, is_new=False)

    def _merge(
        self, key: bytes, known: bytes, item: IngestedProblem, texts: list[bytes]
    ) -> list[Candidate]:
        """The item's candidates that the known problem has not, numbered on."""
        head, number, old = known[:16], int.from_bytes(known[16:20], "big"), known[20:]
        had = {old[n : n + 8] for n in range(0, len(old), 8)}
        new = [n for n, text in enumerate(texts) if text not in had]
        problem_id = head[:8].hex()
        if not new:
            raise RowError("duplicate_problem", "the problem was seen before", problem_id)
        imported = [old, *(texts[n] for n in new)]
        self._known[key] = _pack(head[:8], head[8:], number + len(new), imported)
        return [
            replace(item.candidates[n], problem_id=problem_id, candidate=number + k)
            for k, n in enumerate(new)
        ]


def _next_number(candidates: Sequence[Candidate]) -> int:
    return candidates[-1].candidate + 1 if candidates else 0


def _pack(problem_id: bytes, answer: bytes, next_number: int, texts: Sequence[bytes]) -> bytes:
    return b"".join((problem_id, answer, next_number.to_bytes(4, "big"), *texts))
