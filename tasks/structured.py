"""Replies held to a JSON schema: a reason, then a choice.

Invariant: the reason comes first, so that the choice is made after it. A reply that is not such an
object (an endpoint that ignores schemas, a reply cut off) is left to the caller's own reader.

A sample: '{"reason": "Two short steps.", "level": "easy"}'
"""

from __future__ import annotations

import json
from collections.abc import Sequence

MAX_REASON_CHARS = 1000  # so that the choice comes before the reply is cut off


def choice_schema(name: str, choices: Sequence[str]) -> str:
    """The JSON Schema, as JSON, of {"reason": ..., `name`: one of `choices`}."""
    return json.dumps(
        {
            "type": "object",
            "properties": {
                "reason": {"type": "string", "maxLength": MAX_REASON_CHARS},
                name: {"type": "string", "enum": list(choices)},
            },
            "required": ["reason", name],
            "additionalProperties": False,
        }
    )


def read_choice(text: str, name: str, choices: Sequence[str]) -> str | None:
    """The choice a reply made; None where it does not follow the schema."""
    try:
        found = json.loads(text).get(name)
    except (ValueError, AttributeError, RecursionError):
        return None
    return found if found in choices else None
