"""Replies of OpenAI-compatible chat servers, whatever they send.

Role: bytes in, candidates out. Invariants: whatever the bytes, `parse_reply` gives a ChatReply with
at least one usable candidate, or a Refusal where the reply holds an error, or raises
TransientError, never anything else; a candidate that is usable is given whatever is wrong with the
others, the usage or the numbering.

A sample: {"choices": [{"index": 0, "message": {"content": "4"}, "finish_reason": "stop"}],
"usage": {"prompt_tokens": 9, "completion_tokens": 1}}
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

from infra.engines.endpoint.error_bodies import ErrorBody, error_in, error_of
from infra.engines.endpoint.finish_reasons import BROKEN_OFF, finish_reason
from infra.engines.endpoint.refusals import Key, Refusal, one_line, server_message
from infra.engines.endpoint.thoughts import Habit, with_one_thought
from infra.engines.endpoint.wire import read_json, whole
from tasks.ports import Completion, TransientError

_MOST_TOKENS = 2**40  # a count above is none
_REASONING = (
    "reasoning_content", "reasoning", "reasoning_details", "reasoning_text", "thinking",
    "thinking_blocks", "thought", "thoughts",
)  # fmt: skip
_THOUGHTS = {"thinking", "reasoning", "thought", "reasoning_text", "reasoning_content", "think"}
_WORDS_OF_PART = ("text", "content", "value", "thinking", "reasoning", "summary", "output_text")
_MAX_DEPTH = 8


@dataclass(frozen=True)
class Candidate:
    """One usable choice."""

    text: str
    finish_reason: str  # stop | length | content_filter, or the server's own word


@dataclass(frozen=True)
class ChatReply:
    """Choices in their order, None for one that broke off; tokens as the server counted them, the
    prompt's once and those of all choices together, zero where it did not say."""

    candidates: tuple[Candidate | None, ...]
    prompt_tokens: int = 0
    completion_tokens: int = 0


def parse_reply(
    raw: bytes, *, key: Key, headers: Mapping[str, str], charset: str | None, habit: Habit
) -> ChatReply | Refusal:
    """See the module. Raises TransientError, e.g. for malformed JSON."""
    try:
        found = read_json(raw, charset=charset)
    except ValueError as fault:
        raise _no_completion(f"no JSON ({one_line(str(fault))})", raw, key) from None
    if not isinstance(found, dict):
        raise _no_completion("no object", raw, key)
    if (error := error_in(found)) is not None:
        return Refusal.inside(error, headers, key=key)
    choices = found.get("choices")
    listed = [choices] if isinstance(choices, dict) else choices
    if not isinstance(listed, list):
        raise _no_completion("no choices", raw, key)
    read = [_candidate(choice, habit) for choice in _in_order(listed)]
    usable = tuple(choice if isinstance(choice, Candidate) else None for choice in read)
    if any(usable):
        prompt_tokens, completion_tokens = _usage(found.get("usage"))
        return ChatReply(usable, prompt_tokens, completion_tokens)
    for choice in read:
        if isinstance(choice, ErrorBody):
            return Refusal.inside(choice, headers, key=key)
    if not read:
        raise TransientError("the server's reply has no choices")
    ends = [choice for choice in read if isinstance(choice, str)]
    raise TransientError(f"the server broke off: {key.hide(ends[0])}")


def completions(reply: ChatReply, *, latency_s: float) -> list[Completion | None]:
    """One a choice. Servers count the tokens of all choices: shared out by the length of texts."""
    texts = [choice.text for choice in reply.candidates if choice is not None]
    shares = iter(_shares(reply.completion_tokens, texts))
    return [
        None
        if choice is None
        else Completion(
            text=choice.text,
            finish_reason=choice.finish_reason,
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=next(shares),
            latency_s=latency_s,
        )
        for choice in reply.candidates
    ]


def _no_completion(what: str, raw: bytes, key: Key) -> TransientError:
    said = key.hide(server_message(raw)) or "nothing"
    return TransientError(f"the server's reply is no chat completion: {what}; it said: {said}")


def _in_order(choices: list[Any]) -> list[Any]:
    """By their index where all have one of their own, else as they came."""
    indexes = [_index(choice) for choice in choices]
    known = [index for index in indexes if index is not None]
    if len(set(known)) < len(choices):
        return choices
    return [choice for _, choice in sorted(zip(known, choices, strict=True), key=lambda p: p[0])]


def _index(choice: Any) -> int | None:
    index = choice.get("index") if isinstance(choice, dict) else None
    if isinstance(index, str) and index.strip().isdecimal() and len(index) < 10:
        return int(index)
    return index if isinstance(index, int) and not isinstance(index, bool) else None


def _candidate(choice: Any, habit: Habit) -> Candidate | ErrorBody | str:
    """A usable one, the error it holds, or how it broke off."""
    if not isinstance(choice, dict):
        return "a choice is no object"
    message = choice.get("message", choice.get("delta"))
    fields = message if isinstance(message, dict) else {"content": message}
    for place in (choice, fields):
        if place.get("error"):
            return error_of(place)
    said = choice.get("finish_reason", choice.get("stop_reason"))
    reason = finish_reason(said)
    if reason == BROKEN_OFF:
        return f"finish_reason {one_line(str(said)[:80])}"
    content, told, refused = _read_content(fields.get("content", choice.get("text")))
    if not content and isinstance(text := choice.get("text"), str):
        content = text
    reasoning = next(filter(None, (_words(fields.get(name)) for name in _REASONING)), "") or told
    refused = refused or _words(fields.get("refusal"))
    if refused and not content.strip():  # the model declines, beside the content
        content, reason = refused, "content_filter"
    text = with_one_thought(
        whole(content), whole(reasoning), is_cut_off=reason == "length", habit=habit
    )
    return Candidate(text, reason)


def _read_content(content: Any) -> tuple[str, str, str]:
    """Text, thought and refusal of a content: a text, or parts of several kinds."""
    if isinstance(content, str):
        return content, "", ""
    parts = content if isinstance(content, list) else [content]
    texts, thoughts, refusals = [], [], []
    for part in parts:
        kind = part.get("type") if isinstance(part, dict) else None
        kind = kind.partition(".")[0].lower() if isinstance(kind, str) else ""
        if kind == "refusal":
            refusals.append(_words(part.get("refusal") or part))
        elif kind in _THOUGHTS or (isinstance(part, dict) and part.get("thought") is True):
            thoughts.append(_words(part))
        else:
            texts.append(_words(part))
    return "".join(texts), "\n".join(filter(None, thoughts)), "\n".join(filter(None, refusals))


def _words(found: Any, depth: int = 0) -> str:
    """The text of a part, however deep it lies; nothing where it is a picture or encrypted."""
    if isinstance(found, str):
        return found
    if depth > _MAX_DEPTH:
        return ""
    if isinstance(found, list):
        return "".join(_words(part, depth + 1) for part in found)
    if not isinstance(found, dict):
        return ""
    texts = (_words(found.get(name), depth + 1) for name in _WORDS_OF_PART)
    return next(filter(None, texts), "")


def _usage(usage: Any) -> tuple[int, int]:
    """Prompt and completion tokens."""
    if not isinstance(usage, dict):
        return 0, 0
    prompt = _count(usage.get("prompt_tokens")) or _count(usage.get("input_tokens"))
    written = _count(usage.get("completion_tokens")) or _count(usage.get("output_tokens"))
    if prompt and not written:
        written = max(_count(usage.get("total_tokens")) - prompt, 0)
    return prompt, written


def _count(value: Any) -> int:
    """A whole number of tokens; zero for what is none."""
    if isinstance(value, str) and len(value) < 30:
        try:
            value = float(value)
        except ValueError:
            return 0
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    is_count = math.isfinite(value) if isinstance(value, float) else True
    return int(value) if is_count and 0 <= value <= _MOST_TOKENS else 0


def _shares(total: int, texts: list[str]) -> list[int]:
    """Whole numbers in proportion to the texts' lengths that add up to `total`."""
    if len(texts) == 1:
        return [total]
    ends = list(accumulate((len(text) + 1 for text in texts), initial=0))
    bounds = [total * end // ends[-1] for end in ends]
    return [after - before for before, after in pairwise(bounds)]
