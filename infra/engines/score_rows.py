"""What is scored, as token ids: one row a text, with the spans of its targets.

Role: shared by the engines that score. Invariants: each text is tokenised apart, so the split
between context and target is exact; a row's tokens are those that training gives the same text.

A sample: a prompt of 9 tokens and a target of 4 -> ScoreRow(ids=[...13 ids], targets=[(9, 13)])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from infra.engines.chat import ChatEncoder
from tasks.ports import ScoreRequest


@dataclass(eq=False, frozen=True, kw_only=True)
class ScoreRow:
    """A text as ids, from its first token on; `targets` are where its targets start and stop."""

    ids: list[int]
    targets: list[tuple[int, int]]


def encode_rows(chat: ChatEncoder, request: ScoreRequest) -> list[ScoreRow]:
    """The request's own row, and one for each of those beside it."""
    known: dict[str, list[int]] = {}

    def encode(text: str) -> list[int]:
        if text not in known:
            known[text] = chat.encode_text(text)
        return known[text]

    rows = []
    for each in (request, *request.beside):
        prompt = each.prompt
        ids = [*(chat.encode_start() if prompt is None else chat.encode_prompt(prompt))]
        first, *texts = chat.written_parts([*each.context, *each.targets])
        for text in (first, *texts[: len(each.context)]):
            ids += encode(text)
        targets = []
        for text in texts[len(each.context) :]:
            targets.append((len(ids), len(ids) + len(encode(text))))
            ids += encode(text)
        rows.append(ScoreRow(ids=ids, targets=targets))
    return rows


def longer_rows(rows: Sequence[ScoreRow]) -> list[int]:
    """For each row the index of one that begins with it, and that no other one begins with."""
    found = [0] * len(rows)
    longer = -1
    for index in sorted(range(len(rows)), key=lambda i: rows[i].ids, reverse=True):
        ids = rows[index].ids
        if longer < 0 or rows[longer].ids[: len(ids)] != ids:
            longer = index
        found[index] = longer
    return found
