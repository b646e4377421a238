"""Requests and replies of OpenAI-compatible chat servers, as far as they are used.

Role: bytes out, typed bytes in. Invariant: whatever bytes a server sends, `parse_reply` gives a
ChatReply or raises TransientError, never anything else.

A sample reply: {"choices": [{"index": 0, "message": {"content": "4"}, "finish_reason": "stop"}],
"usage": {"prompt_tokens": 9, "completion_tokens": 1}}
"""

from __future__ import annotations

import json
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any, Literal, NotRequired, TypedDict

from pydantic import BaseModel, Field, ValidationError
from pydantic_core import to_json

from infra.engines.endpoint.refusals import one_line, server_message
from tasks.ports import Completion, Sampling, TransientError

TokenLimit = Literal["max_tokens", "max_completion_tokens"]
MAX_SEED = 2**31  # what every server takes
_LENGTH = {"length", "max_tokens", "model_length"}
_BROKEN_OFF = {"error", "abort"}  # by the server's own fault


class Message(TypedDict):
    """A turn of the conversation."""

    role: Literal["user"]
    content: str


class ChatRequest(TypedDict):
    """POST /chat/completions."""

    model: str
    messages: list[Message]
    temperature: float
    top_p: float
    seed: int
    max_tokens: NotRequired[int]
    max_completion_tokens: NotRequired[int]
    n: NotRequired[int]
    stop: NotRequired[list[str]]
    response_format: NotRequired[dict[str, Any]]


class ReplyMessage(BaseModel):
    """What the assistant wrote; reasoning apart where the server runs a reasoning parser."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class ReplyChoice(BaseModel):
    """One candidate."""

    index: int = 0
    message: ReplyMessage
    finish_reason: str | None = None

    @property
    def text(self) -> str:
        """The whole text, reasoning inside <think> tags as a server without a parser gives it."""
        content = self.message.content or ""
        reasoning = self.message.reasoning_content or self.message.reasoning
        if not reasoning:
            return content
        thought = "<think>\n" + reasoning.strip("\n")
        if not content and self.finish_reason in _LENGTH:
            return thought  # cut off while it was thinking
        return f"{thought}\n</think>\n\n{content.lstrip(chr(10))}"


class ReportedUsage(BaseModel):
    """Tokens of the prompt, once, and of all choices together."""

    prompt_tokens: int = Field(default=0, ge=0)
    completion_tokens: int = Field(default=0, ge=0)


class ChatReply(BaseModel):
    """The answer to a ChatRequest."""

    choices: list[ReplyChoice]
    usage: ReportedUsage | None = None


def chat_request(
    model: str, text: str, sampling: Sampling, *, num_candidates: int, seed: int, limit: TokenLimit
) -> bytes:
    """The body that asks for `num_candidates` replies to `text`."""
    request: ChatRequest = {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": seed % MAX_SEED,
    }
    if limit == "max_tokens":
        request["max_tokens"] = sampling.max_tokens
    else:
        request["max_completion_tokens"] = sampling.max_tokens
    if num_candidates > 1:
        request["n"] = num_candidates
    if sampling.stop:
        request["stop"] = list(sampling.stop)
    if sampling.json_schema is not None:
        request["response_format"] = _response_format(sampling.json_schema)
    return to_json(request)


@lru_cache(maxsize=64)
def _response_format(schema: str) -> dict[str, Any]:
    named = {"name": "reply", "schema": json.loads(schema), "strict": True}
    return {"type": "json_schema", "json_schema": named}


def parse_reply(raw: bytes) -> ChatReply:
    """Choices in the order of their index. Raises TransientError, e.g. for malformed JSON."""
    try:
        reply = ChatReply.model_validate_json(raw)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"])
        said = server_message(raw) or "nothing"
        what = one_line(f"{where} {fault['msg']}")
        raise TransientError(
            f"the server's reply is no chat completion: {what}; it said: {said}"
        ) from None
    if not reply.choices:
        raise TransientError("the server's reply has no choices")
    for choice in reply.choices:
        if choice.finish_reason in _BROKEN_OFF:
            raise TransientError(f"the server broke off: finish_reason {choice.finish_reason}")
    reply.choices.sort(key=lambda choice: choice.index)
    return reply


def completions(reply: ChatReply, *, latency_s: float) -> list[Completion]:
    """One a choice. Servers count the tokens of all choices: shared out by the length of texts."""
    texts = [choice.text for choice in reply.choices]
    usage = reply.usage or ReportedUsage()
    return [
        Completion(
            text=text,
            finish_reason=_finish_reason(choice),
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=num_tokens,
            latency_s=latency_s,
        )
        for choice, text, num_tokens in zip(
            reply.choices, texts, _shares(usage.completion_tokens, texts), strict=True
        )
    ]


def _finish_reason(choice: ReplyChoice) -> str:
    if choice.finish_reason in _LENGTH:
        return "length"
    return "content_filter" if choice.finish_reason == "content_filter" else "stop"


def _shares(total: int, texts: list[str]) -> list[int]:
    """Whole numbers in proportion to the texts' lengths that add up to `total`."""
    if len(texts) == 1:
        return [total]
    ends = list(accumulate((len(text) + 1 for text in texts), initial=0))
    bounds = [total * end // ends[-1] for end in ends]
    return [after - before for before, after in pairwise(bounds)]
