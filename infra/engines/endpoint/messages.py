"""Requests as OpenAI-compatible chat servers take them.

Role: bytes out. Invariant: a request says all that determines its reply, but for the parameters
that its server does not take.

A sample: {"model": "m", "messages": [{"role": "user", "content": "2 + 2?"}], "temperature": 0.6,
"top_p": 0.95, "seed": 7, "max_tokens": 99}
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NotRequired, TypedDict

from pydantic_core import to_json

from tasks.ports import Sampling

TokenLimit = Literal["max_tokens", "max_completion_tokens"]
Parameter = Literal["n", "seed", "temperature", "top_p"] | TokenLimit
MAX_SEED = 2**31  # what every server takes


@dataclass(frozen=True, kw_only=True)
class Sent:
    """The parameters of one request: None where it carries none."""

    n: int  # 1: not sent
    seed: int | None
    temperature: float | None
    top_p: float | None
    limit: TokenLimit | None
    max_tokens: int

    def has(self, name: Parameter) -> bool:
        """Whether the request carries it."""
        if name == "n":
            return self.n > 1
        if name in ("max_tokens", "max_completion_tokens"):
            return self.limit == name
        return getattr(self, name) is not None


class Message(TypedDict):
    """A turn of the conversation."""

    role: Literal["user"]
    content: str


class ChatRequest(TypedDict):
    """POST /chat/completions."""

    model: str
    messages: list[Message]
    temperature: NotRequired[float]
    top_p: NotRequired[float]
    seed: NotRequired[int]
    max_tokens: NotRequired[int]
    max_completion_tokens: NotRequired[int]
    n: NotRequired[int]
    stop: NotRequired[list[str]]
    response_format: NotRequired[dict[str, Any]]


def chat_request(model: str, text: str, sampling: Sampling, sent: Sent) -> bytes:
    """The body that asks for replies to `text` with the parameters `sent`."""
    request: ChatRequest = {"model": model, "messages": [{"role": "user", "content": text}]}
    if sent.temperature is not None:
        request["temperature"] = sent.temperature
    if sent.top_p is not None:
        request["top_p"] = sent.top_p
    if sent.seed is not None:
        request["seed"] = sent.seed % MAX_SEED
    if sent.limit is not None:
        request[sent.limit] = sent.max_tokens
    if sent.n > 1:
        request["n"] = sent.n
    if sampling.stop:
        request["stop"] = list(sampling.stop)
    if sampling.json_schema is not None:
        request["response_format"] = _response_format(sampling.json_schema)
    return to_json(request)


@lru_cache(maxsize=64)
def _response_format(schema: str) -> dict[str, Any]:
    named = {"name": "reply", "schema": json.loads(schema), "strict": True}
    return {"type": "json_schema", "json_schema": named}
