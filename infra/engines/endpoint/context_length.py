"""What a server says about lengths: the context, the prompt, the reply that was asked for.

Invariant: pure functions of the server's words; what they do not say stays unknown (None).

A sample: "maximum context length is 4096 tokens ... your prompt contains 96 input tokens" ->
context 4096, prompt 96
"""

from __future__ import annotations

import re

from infra.engines.endpoint.messages import Sent

_NUMBER = re.compile(r"(?<![\w.\-])(\d{1,9}(?:[,_]\d{3})*)(?![\w\-]|\.\d)")
_CONTEXT = re.compile(
    r"(?:context.?(?:length|window|size)|max_model_len|must be <=|total tokens)[^\d]{0,60}"
    r"(\d[\d,_]*)|(\d[\d,_]*)[- ]tokens? (?:context|limit)", re.IGNORECASE,
)  # fmt: skip
_OF_PROMPT = re.compile(
    r"(\d[\d,_]*) (?:tokens? )?(?:in|from|of) the (?:messages|prompt|input)"
    r"|(?:prompt|input|messages)[^\d.]{0,40}?(?:at least )?(\d[\d,_]*) (?:input |prompt )?tokens"
    r"|(\d[\d,_]*) `?(?:inputs?|prompt)`? tokens", re.IGNORECASE,
)  # fmt: skip
_REQUESTED = re.compile(  # tokens of the reply
    r"max_(?:completion_|new_|output_)?tokens|maxOutputTokens|(?:completion|output|new) tokens"
    r"|in the completion|tokens (?:to generate|for the (?:completion|reply|output))",
    re.IGNORECASE,
)
_PROMPT_ALONE = re.compile(r"even without any output|prompt (?:is|was) too long", re.IGNORECASE)
MOST_SHRINKS = 12


def is_about_reply(message: str) -> bool:
    """Whether the words are about the tokens of the reply that were asked for, and its prompt would
    fit by itself."""
    return _REQUESTED.search(message) is not None and not fills_context(message)


def fills_context(message: str) -> bool:
    """Whether the words say that the prompt alone is too long."""
    context, prompt = _first_number(_CONTEXT, message), _first_number(_OF_PROMPT, message)
    is_counted = context is not None and prompt is not None and prompt >= context
    return is_counted or _PROMPT_ALONE.search(message) is not None


def room_for_reply(message: str, sent: Sent, *, prompt_chars: int, num_tries: int) -> int | None:
    """Tokens to ask for instead, where prompt and reply are too long together; None where the
    refusal is about something else, or the prompt alone fills the context."""
    context, prompt = _first_number(_CONTEXT, message), _first_number(_OF_PROMPT, message)
    is_named = _REQUESTED.search(message) or sent.max_tokens in numbers_in(message)
    if context is None or not is_named or fills_context(message):
        return None
    if sent.limit is None or num_tries >= MOST_SHRINKS:
        return None
    is_exact = prompt is not None and "at least" not in message and num_tries == 0
    taken = prompt if prompt and is_exact else max(prompt or 0, prompt_chars // 3)
    rest = context - taken
    most = sent.max_tokens - 1 if is_exact or num_tries == 0 else sent.max_tokens // 2
    room = min(rest if rest > 0 else most // 2, most)
    return room if room >= 1 else None


def numbers_in(message: str) -> list[int]:
    """All whole numbers that stand by themselves."""
    return [int(re.sub(r"[,_]", "", text)) for text in _NUMBER.findall(message)]


def _first_number(pattern: re.Pattern[str], message: str) -> int | None:
    match = pattern.search(message)
    text = next(filter(None, match.groups()), "") if match else ""
    digits = re.sub(r"[,_]", "", text)
    return int(digits) if digits and len(digits) < 12 else None
