"""Which problems of an input were seen already: what a row adds to what came before it.

Invariant: no two problems share a wording (tasks/intake/wording.py), one wording has one answer
(however it is spelt: the verifier says whether two are one), and the first stays. Some 200 bytes a
problem are kept, packed, as inputs have millions of rows.
A sample: the second "3 + 4 = ?" with another solution gives an item with that candidate alone,
numbered on, `is_new` False and the first one's problem_id.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tasks.intake.rows import IngestedProblem, RowError
from tasks.intake.wording import digest, wording
from tasks.schemas import Candidate

MAX_GOLD_BYTES = 400  # longer golds are equal by their wording only
SameGold = Callable[[str, str, str, str], bool]
"""Whether the verifier calls two golds equal: (answer, answer_type) of the first, of the other."""


class SeenProblems:
    """Tells duplicates: wording -> problem id, answer, next candidate number, texts, packed.

    `same_gold` is asked only where two problems of one wording have differently worded golds.
    """

    def __init__(self, same_gold: SameGold | None = None) -> None:
        self._known: dict[bytes, bytes] = {}
        self._same_gold = same_gold

    def __len__(self) -> int:
        return len(self._known)

    def admit(self, item: IngestedProblem) -> IngestedProblem:
        """The item if new; what it adds if its problem is known. Raises RowError otherwise."""
        key = digest(" ".join(item.tokens))
        answer = digest(wording(item.problem.answer))
        texts = [digest(candidate.text) for candidate in item.candidates]
        known = self._known.get(key)
        if known is None:
            head = bytes.fromhex(item.problem_id) + answer
            gold = _pack_gold(item.problem.answer_type, item.problem.answer)
            self._known[key] = _pack(head, _next_number(item.candidates), gold, texts)
            return item
        problem_id = known[:8]
        if known[8:16] != answer and not self._is_same(known, item):
            detail = "the question was seen before with another answer; the first is kept"
            raise RowError("conflicting_answer", detail, problem_id.hex())
        added = self._merge(key, known, item, texts)
        return replace(item, problem_id=problem_id.hex(), candidates=added, is_new=False)

    def _is_same(self, known: bytes, item: IngestedProblem) -> bool:
        gold, _ = _gold_and_texts(known)
        other = _pack_gold(item.problem.answer_type, item.problem.answer)
        if self._same_gold is None or not gold or not other:
            return False
        kind, _, answer = gold.decode().partition("\0")
        return self._same_gold(answer, kind, item.problem.answer, item.problem.answer_type)

    def _merge(
        self, key: bytes, known: bytes, item: IngestedProblem, texts: list[bytes]
    ) -> list[Candidate]:
        """The item's candidates that the known problem has not, numbered on."""
        head, number = known[:16], int.from_bytes(known[16:20], "big")
        gold, old = _gold_and_texts(known)
        had = {old[n : n + 8] for n in range(0, len(old), 8)}
        new = [n for n, text in enumerate(texts) if text not in had]
        problem_id = head[:8].hex()
        if not new:
            raise RowError("duplicate_problem", "the problem was seen before", problem_id)
        imported = [old, *(texts[n] for n in new)]
        self._known[key] = _pack(head, number + len(new), gold, imported)
        return [
            replace(item.candidates[n], problem_id=problem_id, candidate=number + k)
            for k, n in enumerate(new)
        ]


def _next_number(candidates: Sequence[Candidate]) -> int:
    return candidates[-1].candidate + 1 if candidates else 0


def _pack(head: bytes, next_number: int, gold: bytes, texts: Sequence[bytes]) -> bytes:
    """`head`: problem id and digest of the answer, 8 bytes each."""
    size = len(gold).to_bytes(2, "big")
    return b"".join((head, next_number.to_bytes(4, "big"), size, gold, *texts))


def _pack_gold(answer_type: str, answer: str) -> bytes:
    """Empty where it is too long to be compared."""
    gold = f"{answer_type}\0{answer}".encode()
    return gold if len(gold) <= MAX_GOLD_BYTES else b""


def _gold_and_texts(known: bytes) -> tuple[bytes, bytes]:
    end = 22 + int.from_bytes(known[20:22], "big")
    return known[22:end], known[end:]
