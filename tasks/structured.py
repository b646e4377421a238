"""Replies that end in a choice: a reason, then one of a few words; held to a JSON schema or not.

Invariants: the reason comes first, so that the choice is made after it; a reasoning model's thought
is never read as its choice, nor is a reply that was cut off before it. Without a schema the choice
is the last line that names it ("Difficulty: easy", "**Logic:** sound").

A sample: '{"reason": "Two short steps.", "level": "easy"}'
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

MAX_REASON_CHARS = 1000  # so that the choice comes before the reply is cut off
_THOUGHT_START, _THOUGHT_END = "<think>", "</think>"
_FENCE = re.compile(r"^```\w*\s*|\s*```$")
_REASON = re.compile(r"^\W{0,4}reason\W{1,4}(.*)", re.I | re.M)


def choice_schema(name: str, choices: Sequence[str]) -> str:
    """The JSON Schema, as JSON, of {"reason": ..., `name`: one of `choices`}."""
    return choices_schema({name: choices})


def choices_schema(fields: Mapping[str, Sequence[str]]) -> str:
    """The same for several choices, made in order."""
    reason = {"type": "string", "maxLength": MAX_REASON_CHARS}
    choices = {name: {"type": "string", "enum": list(allowed)} for name, allowed in fields.items()}
    return json.dumps(
        {
            "type": "object",
            "properties": {"reason": reason, **choices},
            "required": ["reason", *fields],
            "additionalProperties": False,
        }
    )


def after_thought(reply: str) -> str:
    """The reply behind a reasoning model's thought; nothing where the thought never ended."""
    _, ended, answer = reply.rpartition(_THOUGHT_END)
    if ended:
        return answer.lstrip()
    return "" if reply.lstrip().startswith(_THOUGHT_START) else reply


def is_object(reply: str) -> bool:
    """Whether the reply is a JSON object, or the beginning of one: then its prose is no choice."""
    return _FENCE.sub("", after_thought(reply).strip()).startswith("{")


def read_choice(reply: str, name: str, choices: Sequence[str]) -> str | None:
    """The choice called `name`; None where the reply makes none."""
    found = _as_object(reply).get(name)
    if isinstance(found, str) and found.strip().lower() in choices:
        return found.strip().lower()
    labelled = rf"\b{re.escape(name)}\W{{1,8}}({'|'.join(map(re.escape, choices))})\b"
    stated = re.findall(labelled, after_thought(reply), re.I)
    return stated[-1].lower() if stated else None


def read_reason(reply: str, *, max_chars: int) -> str:
    """Why, in one line: the field or the line "Reason: ...", else the last words of the prose."""
    found = _as_object(reply).get("reason")
    if not isinstance(found, str):
        prose = "" if is_object(reply) else after_thought(reply)
        lines = _REASON.findall(prose)
        found = lines[-1] if lines else one_line(prose)[-max_chars:]
    return one_line(found)[:max_chars]


def one_line(text: str) -> str:
    """Without line breaks, control characters and marks that turn the direction of a text."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _as_object(reply: str) -> dict[str, Any]:
    try:
        found = json.loads(_FENCE.sub("", after_thought(reply).strip()))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
