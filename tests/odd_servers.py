"""Chat servers with habits of their own: one refuses parameters, one does everything odd.

Role: stand for services that are nearly OpenAI's. Invariant: they keep their own account of what
was asked and of which choices were usable, so a test need not believe the client.

A sample: `with serving_in_thread(ServerConfig(), make=SloppyServer) as server: ...` and then
`server.usable[prompt_hash(text)] == 3`
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from aiohttp import web

from tests.chat_server import Asked, ChatServer, ServerConfig, _reset

GOOD = "3 + 4 = 7. The answer is 7."
USAGE = {"prompt_tokens": 11, "completion_tokens": 27}
REFUSED = "[refused: {}]"  # in a question: how it is refused, always
MOST_FAULTS = 3  # requests of one prompt that meet a passing fault
Body = dict[str, Any]


class CountingServer(ChatServer):
    """Counts usable choices by prompt, and replies by kind."""

    def __init__(self, config: ServerConfig) -> None:
        super().__init__(config)
        self.usable: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()


class StrictServer(CountingServer):
    """Takes no seed, no top_p and no n, and says so in three dialects; has nothing else against
    anybody."""

    async def _answer(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        for name, status, body in (
            ("n", 400, {"error": {"message": "'n' : number must be at most 1"}}),
            ("seed", 422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"],
                                       "msg": "Extra inputs are not permitted"}]}),
            ("top_p", 400, {"error": {"message": "Unsupported parameter: 'top_p' is not supported "
                                      "with this model.", "code": "unsupported_parameter"}}),
        ):  # fmt: skip
            if name in asked.body and (name != "n" or asked.n > 1):
                self.kinds[f"no {name}"] += 1
                return _json(body, status)
        self.kinds["answered"] += 1
        self.usable[asked.prompt] += 1
        return _json(_reply(1))


class SloppyServer(CountingServer):
    """Answers a prompt's requests in ways drawn at random by the prompt and their number."""

    async def _answer(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        for kind, (status, body) in REFUSALS.items():
            if REFUSED.format(kind) in asked.text:
                self.kinds[kind] += 1
                return _json(body, status) if isinstance(body, dict) else _page(body, status)
        number = self.arrived[asked.prompt]
        draw = self._uniform(f"reply {number}", asked)
        may_fail = number <= MOST_FAULTS and self.usable.total() > 100
        if may_fail and draw < 0.35:
            kind, make = _pick(FAULTS, draw / 0.35)
            self.kinds[kind] += 1
            response: web.StreamResponse = await make(request, asked)
            return response
        if number == 1 and draw > 0.75:
            kind, change = _pick(PARTIAL, (draw - 0.75) / 0.25)
            body, num_usable = change(_reply(asked.n))
            raw = json.dumps(body).encode()
        else:
            kind, wrap = _pick(USABLE, self._uniform(f"kind {number}", asked))
            raw, num_usable = wrap(_reply(asked.n)), asked.n
        self.kinds[kind] += 1
        self.usable[asked.prompt] += num_usable
        return await _send(request, kind, raw)


def _reply(n: int) -> Body:
    return {
        "id": "x",
        "choices": [
            {"index": i, "message": {"content": GOOD}, "finish_reason": "stop"} for i in range(n)
        ],
        "usage": dict(USAGE),
    }


def _each(change: Callable[[Body], Any]) -> Callable[[Body], bytes]:
    def wrap(reply: Body) -> bytes:
        for choice in reply["choices"]:
            change(choice)
        return json.dumps(reply).encode()

    return wrap


def _content(value: Any, **message: Any) -> Callable[[Body], bytes]:
    return _each(lambda choice: choice.update(message={"content": value, **message}))


def _ends(word: Any) -> Callable[[Body], bytes]:
    return _each(lambda choice: choice.update(finish_reason=word))


def _usage(usage: Any) -> Callable[[Body], bytes]:
    return lambda reply: json.dumps({**reply, "usage": usage}).encode()


def _around(before: bytes, after: bytes = b"") -> Callable[[Body], bytes]:
    return lambda reply: before + json.dumps(reply).encode() + after


def _stream(reply: Body) -> bytes:
    events = [
        {"choices": [{"index": choice["index"], "delta": {"content": part}, "finish_reason": end}]}
        for choice in reply["choices"]
        for part, end in ((GOOD[:9], None), (GOOD[9:], None), ("", "stop"))
    ]
    return b"".join(b"data: %s\n\n" % json.dumps(e).encode() for e in events) + b"data: [DONE]\n\n"


def _surplus(reply: Body) -> bytes:
    reply["choices"].append(dict(reply["choices"][0], index=len(reply["choices"])))
    return json.dumps(reply).encode()


TEXT = {"type": "text", "text": GOOD}
THINKING = {"type": "thinking", "thinking": [{"type": "text", "text": "three and four"}]}
# Every choice of these can be used.
USABLE: dict[str, Callable[[Body], bytes]] = {
    "plain": _around(b""),
    "blank lines": _around(b"\n" * 8),
    "comments": _around(b": keep-alive\n\n"),
    "byte-order mark": _around(b"\xef\xbb\xbf"),
    "utf-16": lambda reply: json.dumps(reply).encode("utf-16"),
    "gzip": _around(b""),
    "wrong charset": _content(GOOD + " Größe"),
    "stream": _stream,
    "error null": lambda reply: json.dumps({**reply, "error": None}).encode(),
    "surplus choice": _surplus,
    "parts": _content([TEXT]),
    "thinking part": _content([THINKING, TEXT]),
    "text style": _each(lambda choice: choice.update(text=choice.pop("message")["content"])),
    "half a character": _content(GOOD + " \ud83d"),
    "nul": _content("3 + 4\0 = 7. The answer is 7."),
    "usage null": _usage(None),
    "usage of nulls": _usage({"prompt_tokens": 11, "completion_tokens": None}),
    "usage negative": _usage({"prompt_tokens": -1, "completion_tokens": -9}),
    "usage in words": _usage({"prompt_tokens": "11", "completion_tokens": "nine"}),
    "usage in halves": _usage({"prompt_tokens": 11.0, "completion_tokens": 9.5}),
    "index null": _each(lambda choice: choice.update(index=None)),
    "index the same": _each(lambda choice: choice.update(index=0)),
    "index a text": _each(lambda choice: choice.update(index=str(choice["index"]))),
    "no index": _each(lambda choice: choice.pop("index")),
    "thought apart": _content(GOOD, reasoning_content="three and four"),
    "thought with tags": _content(GOOD, reasoning="<think>\nthree and four\n</think>"),
    "thought twice": _content(
        f"<think>\nthree and four\n</think>\n\n{GOOD}", reasoning="three and four"
    ),
    "thought unopened": _content(f"three and four\n</think>\n\n{GOOD}"),
    "thought cut off": _each(
        lambda choice: choice.update(
            message={"content": None, "reasoning": "three and"}, finish_reason="length"
        )
    ),
    "ends null": _ends(None),
    "ends eos": _ends("eos"),
    "ends MAX_TOKENS": _ends("MAX_TOKENS"),
    "ends SAFETY": _ends("SAFETY"),
    "ends in a word of its own": _ends("eureka"),
    "declines in words": _content(None, refusal="I would rather not."),
}
GONE = {"code": 502, "message": "upstream went away"}


def _first(change: Body) -> Callable[[Body], tuple[Body, int]]:
    """The first choice cannot be used."""

    def spoil(reply: Body) -> tuple[Body, int]:
        reply["choices"][0].update(change)
        return reply, len(reply["choices"]) - 1

    return spoil


def _fewer(reply: Body) -> tuple[Body, int]:
    if len(reply["choices"]) > 2:  # one of several: that is a server that ignores n
        del reply["choices"][-1]
    return reply, len(reply["choices"])


# Some choices of these can be used. Only at a prompt's first request.
PARTIAL: dict[str, Callable[[Body], tuple[Body, int]]] = {
    "one choice failed": _first({"error": GONE, "finish_reason": None}),
    "one choice broke off": _first({"finish_reason": "insufficient_system_resource"}),
    "one choice empty": _first({"message": {"content": ""}}),
    "one choice a thought only": _first({"message": {"content": None, "reasoning": "7. So 7."}}),
    "one choice too few": _fewer,
}


async def _reset_it(request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
    _reset(request)
    raise asyncio.CancelledError


async def _cut(request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "5000"})
    await response.prepare(request)
    await response.write(b'{"choices":[')
    assert request.transport is not None
    request.transport.close()
    return response


def _fixed(body: Any, status: int = 200, **headers: str) -> Callable[..., Any]:
    async def make(request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        if isinstance(body, bytes):
            return web.Response(body=body, status=status, headers=headers, content_type="text/html")
        return _json(body(asked.n) if callable(body) else body, status)

    return make


def _with(**changes: Any) -> Callable[[int], Body]:
    def body(n: int) -> Body:
        reply = {**_reply(n), **changes.get("top", {})}
        for choice in reply["choices"]:
            choice.update(changes.get("choice", {}))
        return reply

    return body


# None of these can be used, and another try may succeed.
FAULTS: dict[str, Callable[..., Any]] = {
    **{f"HTTP {status}": _fixed(b"busy", status) for status in (408, 409, 425, 429, 503, 524, 529)},
    "rate as 413": _fixed({"error": {"message": "too large: tokens per minute (TPM)"}}, 413),
    "error 429": _fixed({"error": {"code": 429, "message": "slow down"}}),
    "error in words": _fixed({"error": {"type": "overloaded_error", "message": "busy"}}),
    "error beside choices": _fixed(_with(top={"error": GONE})),
    "error in choices": _fixed(_with(choice={"error": GONE})),
    "broke off": _fixed(_with(choice={"finish_reason": "insufficient_system_resource"})),
    "timed out": _fixed(_with(choice={"finish_reason": "timeout"})),
    "no choices": _fixed({"choices": []}),
    "blank": _fixed(b"\n\n\n\n"),
    "login page": _fixed(b"<!doctype html><html><body>Please log in</body></html>"),
    "gateway page": _fixed(b"<html><title>502 Bad Gateway</title></html>", 502),
    "zipped 500": _fixed(gzip.compress(b'{"error": "z"}'), 500, **{"Content-Encoding": "gzip"}),
    "half a reply": _fixed(json.dumps(_reply(3)).encode()[:80]),
    "page not found, once": _fixed(b"404 page not found", 404),
    "cut body": _cut,
    "reset": _reset_it,
}  # fmt: skip
BLOCKED = (b"<!DOCTYPE html><html><head><title>Attention Required! | Cloudflare</title></head>"
           b"<body>Sorry, you have been blocked</body></html>")  # fmt: skip
# A record's own: always.
REFUSALS: dict[str, tuple[int, Any]] = {
    "firewall": (403, BLOCKED),
    "flagged": (403, {"error": {"message": "your input was flagged", "code": 403}}),
    "flagged inside": (200, {"error": {"message": "no", "code": 403,
                                       "metadata": {"reasons": ["violence"]}}}),
    "not understood": (200, {"error": {"message": "not understood", "code": 400}}),
    "bad": (400, {"error": "bad thing"}),
    "invalid": (422, {"detail": [{"loc": ["body"], "msg": "value is not a valid integer"}]}),
    "too large": (413, b"<html><h1>413 Request Entity Too Large</h1></html>"),
    "too long": (400, {"error": {"message": "maximum context length is 9 tokens", "code": 400}}),
}  # fmt: skip


def _pick(table: dict[str, Any], draw: float) -> tuple[str, Any]:
    return list(table.items())[min(int(draw * len(table)), len(table) - 1)]


def _json(body: Body, status: int = 200) -> web.Response:
    raw = json.dumps(body).encode()
    return web.Response(body=raw, status=status, content_type="application/json")


def _page(body: bytes, status: int) -> web.Response:
    return web.Response(body=body, status=status, content_type="text/html")


async def _send(request: web.BaseRequest, kind: str, raw: bytes) -> web.StreamResponse:
    headers = {"Content-Type": "application/json"}
    if kind == "gzip":
        headers["Content-Encoding"], raw = "gzip", gzip.compress(raw)
    if kind == "wrong charset":
        headers["Content-Type"] = "application/json; charset=iso-8859-1"
    if kind != "blank lines":
        return web.Response(body=raw, headers=headers)
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    for start in range(8):
        await response.write(raw[start : start + 1])
        await asyncio.sleep(0.005)
    await response.write(raw[8:])
    await response.write_eof()
    return response
