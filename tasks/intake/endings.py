"""Whether a brought candidate ended by itself, where its row says so in a column that is named so.

Invariant: pure; nothing is guessed from the text, and what does not line up with the candidates
says nothing. The names are those of published data and of replies (OpenR1, OpenAI, Anthropic).

A sample: {"generations": ["...", "..."], "finish_reasons": ["stop", "length"]} with candidates
("generations",) -> (None, "length").
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tasks.intake.sources import Fields
from tasks.intake.values import flat, lookup, read_flag, to_text

REASONS = ("finish_reason", "finish_reasons", "stop_reason", "stop_reasons")
IS_WHOLE = {"is_reasoning_complete": True, "is_truncated": False}  # column -> what a whole one has
_WHOLE = frozenset((
    "stop", "stop_sequence", "stop_token", "eos", "eos_token", "end", "end_turn", "end_of_turn",
    "done", "complete", "completed", "finished", "success", "null", "none", "nan", "yes",
))  # fmt: skip
_LENGTH = frozenset((
    "length", "max_length", "max_tokens", "max_output_tokens", "max_new_tokens", "model_length",
    "token_limit", "context_length", "truncated", "incomplete", "no",
))  # fmt: skip
_FILTERED = frozenset(("content_filter", "content_filtered", "safety", "recitation", "refusal"))
MAX_WORD = 40  # characters


def ending_columns(candidates: Sequence[str]) -> tuple[str, ...]:
    """The columns that may say how these candidates ended: beside them, where they are nested."""
    return tuple(c for name in (*REASONS, *IS_WHOLE) for c in _beside(candidates, name))


def _beside(candidates: Sequence[str], name: str) -> list[str]:
    owners = [column.rpartition(".")[0] for column in candidates]
    return list(dict.fromkeys(f"{owner}.{name}".lstrip(".") for owner in owners))


def read_endings(
    fields: Fields, candidates: Sequence[str], *, count: int
) -> tuple[str | None, ...]:
    """One a candidate: length, content_filter, or a word that nobody knows, as it stands there;
    None where it ended by itself, or where nothing is said. `count`: of the row's candidates."""
    found: list[str | None] = [None] * count
    for name in (*REASONS, *IS_WHOLE):
        columns = _beside(candidates, name)
        said = [one for column in columns for one in flat(lookup(fields, column))]
        if len(said) == count:
            found = [before or _meaning(name, one) for before, one in zip(found, said, strict=True)]
    return tuple(found)


def _meaning(name: str, said: object) -> str | None:
    if name in IS_WHOLE:
        return "length" if read_flag(said) is (not IS_WHOLE[name]) else None
    word = re.sub(r"[^a-z0-9]+", "_", (to_text(said) or "").lower()).strip("_")
    word = re.sub(r"^(?:finish|stop)_?reason_(?=.)", "", word)  # FINISH_REASON_STOP
    if not word or word in _WHOLE:
        return None
    if word in _LENGTH:
        return "length"
    return "content_filter" if word in _FILTERED else word[:MAX_WORD]
