"""Conversations in a cell: messages (role, content), ShareGPT (from, value), content in parts.

Invariant: a question is one user turn. What else a conversation holds is kept with it, or refused
with words: the system turn stands before it, earlier turns go by `Turns`.

A sample: [{"role": "user", "content": "3 + 4?"}, {"role": "assistant", "content": "It is 7."}] asks
"3 + 4?" and replies "It is 7."
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

Turns = Literal["refuse", "join", "last"]
System = Literal["keep", "drop"]

CHAT_NAMES = (
    "messages", "conversations", "conversation", "chat", "dialogue", "dialog", "turns", "trajectory"
)  # fmt: skip
TEXT_KEYS = ("content", "value", "text")
ROLE_KEYS = ("role", "from", "speaker")
_REASONING_KEYS = ("reasoning_content", "reasoning", "thinking")
_ROLES = {
    "user": "user", "human": "user", "prompter": "user",
    "assistant": "assistant", "gpt": "assistant", "bot": "assistant", "model": "assistant",
    "chatgpt": "assistant", "ai": "assistant",
    "system": "system", "developer": "system",
}  # fmt: skip
_SAID_BY = {"user": "User", "assistant": "Assistant"}
_BETWEEN = "\n\n"


class ChatError(Exception):
    """This conversation asks no question that can be taken; `reason` is snake_case."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Turn:
    """One message. `role`: user, assistant, system, or as the source has it; None: no text."""

    role: str
    text: str | None


@dataclass(frozen=True, slots=True)
class Asked:
    """A question out of a conversation; `stem` is the user's turn alone."""

    question: str
    stem: str


def read_chat(value: object) -> list[Turn] | None:
    """The messages of a conversation (JSON text too); None where the value is none."""
    if isinstance(value, str) and value.lstrip().startswith("[{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    if not isinstance(value, list) or not value:
        return None
    turns = [_turn(message) for message in value]
    return None if None in turns else [turn for turn in turns if turn is not None]


def _turn(message: object) -> Turn | None:
    if not isinstance(message, dict):
        return None
    said_by = next((message[key] for key in ROLE_KEYS if isinstance(message.get(key), str)), None)
    key = next((key for key in TEXT_KEYS if key in message), None)
    if said_by is None or key is None:
        return None
    role = _ROLES.get(said_by.strip().lower(), said_by)
    text = _text_of(message[key])
    thought = next((m for k in _REASONING_KEYS if isinstance(m := message.get(k), str) and m), None)
    if thought and role == "assistant" and text is not None and "</think>" not in text:
        text = f"<think>\n{thought}\n</think>{_BETWEEN}{text}"
    return Turn(role, text)


def _text_of(content: object) -> str | None:
    """A message's content: text, or text in parts; None for nothing, and where a part is none."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not content:
        return None
    parts = [part.get("text") if isinstance(part, dict) else part for part in content]
    texts = [part for part in parts if isinstance(part, str)]
    return "".join(texts) if len(texts) == len(parts) else None


def ask(chat: list[Turn], *, turns: Turns, system: System) -> Asked:
    """The question: the last user turn, the system turn before it. Raises ChatError."""
    told = [turn for turn in chat if turn.role == "system"]
    said = [turn for turn in chat if turn.role != "system"]
    last = next((n for n in range(len(said), 0, -1) if said[n - 1].role == "user"), 0)
    if not last:
        raise ChatError("no_user_turn", "the conversation has no turn of a user")
    first = last  # of the user turns in a row that end with the last one
    while first and said[first - 1].role == "user":
        first -= 1
    asked = said[first:last]
    earlier = [] if turns == "last" else said[:first]
    if unread := next((t for t in (*told, *earlier, *asked) if t.text is None), None):
        raise ChatError("turn_not_text", f"a turn of the {unread.role} is no text (an image?)")
    if earlier and turns == "refuse":
        raise ChatError(
            "several_turns",
            f"{last - first + len(earlier)} turns stand before the reply: source.turns = 'join' "
            "takes them all for the question, 'last' the last one of the user",
        )
    if odd := next((t.role for t in earlier if t.role not in _SAID_BY), None):
        raise ChatError("unknown_role", f"a turn of {odd!r} is neither the user's nor a reply")
    stem = _BETWEEN.join(turn.text or "" for turn in asked)
    parts = [turn.text or "" for turn in told if system == "keep"]
    if earlier:
        parts += [f"{_SAID_BY[turn.role]}: {turn.text}" for turn in earlier]
        parts.append(f"{_SAID_BY['user']}: {stem}")
    else:
        parts.append(stem)
    return Asked(question=_BETWEEN.join(part for part in parts if part.strip()), stem=stem)


def reply(chat: list[Turn]) -> str | None:
    """The last assistant turn behind the last user turn; None where there is none."""
    for turn in reversed(chat):
        if turn.role == "assistant":
            return turn.text
        if turn.role == "user":
            return None
    return None
