"""A model behind an OpenAI-compatible server of our own: what `litecot serve` starts.

Role: one machine answers for another, and whoever has no GPU and no key has an endpoint to try.
Invariants: the same request gives the same text whatever else is in flight; requests are answered
together, as the engine batches them; it listens where it was told to and nowhere else; what cannot
be answered is an error in OpenAI's form, never half a reply.

A sample: POST /v1/chat/completions {"model": "nano:teacher", "messages": [{"role": "user",
"content": "..."}], "n": 4, "seed": 7} -> {"choices": [{"index": 0, "message": {...}, ...}], ...}
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from infra.engines.engine import Engine
from tasks.ports import Completion, PermanentError, Prompt, Sampling, TransientError

MAX_BODY = 32 * 2**20
MAX_TOKENS = 2048  # where a request names no limit


class _Message(BaseModel):
    role: str
    content: str | list[dict[str, Any]]

    @property
    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return "".join(str(part.get("text", "")) for part in self.content)


class ChatRequest(BaseModel):
    """The part of OpenAI's request that means something here; the rest is not looked at."""

    model_config = ConfigDict(extra="ignore")

    messages: list[_Message] = Field(min_length=1)
    n: int = Field(default=1, ge=1, le=1024)
    temperature: float = Field(default=1.0, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    seed: int = 0
    stop: str | list[str] | None = None
    stream: bool = False

    def sampling(self) -> Sampling:
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return Sampling(
            temperature=self.temperature, top_p=self.top_p, num_candidates=self.n, seed=self.seed,
            max_tokens=self.max_completion_tokens or self.max_tokens or MAX_TOKENS,
            stop=tuple(stop),
        )  # fmt: skip

    def question(self) -> str:
        """The one turn that is asked. Raises PermanentError: our engines take a question."""
        if self.stream:
            raise PermanentError("refused", "stream: this server sends whole replies")
        system = [one.text for one in self.messages[:-1] if one.role == "system"]
        if len(system) < len(self.messages) - 1 or self.messages[-1].role != "user":
            raise PermanentError("refused", "messages: one user turn, behind system turns if any")
        return "\n\n".join([*system, self.messages[-1].text])


class ChatService:
    """Answers for `engine` under `name`."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._name = name

    def app(self) -> web.Application:
        """Its routes."""
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_get("/health", self._health)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._complete)
        return app

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _models(self, request: web.Request) -> web.Response:
        listed = [{"id": self._name, "object": "model", "created": 0, "owned_by": "litecot"}]
        return web.json_response({"object": "list", "data": listed})

    async def _complete(self, request: web.Request) -> web.Response:
        try:
            body = await request.json()
            if body.get("model", self._name) != self._name:
                return _error(404, f"no model {body['model']!r} here: this is {self._name}")
            asked = ChatRequest.model_validate(body)
            prompt = Prompt(text=asked.question())
            replies = await self._engine.complete(prompt, asked.sampling())
        except (json.JSONDecodeError, AttributeError):
            return _error(400, "the body is no JSON object")
        except ValidationError as error:
            first = error.errors()[0]
            return _error(400, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
        except PermanentError as error:
            return _error(400, f"{error.reason}: {error}")
        except TransientError as error:
            return _error(503, str(error))
        return web.json_response(_reply(self._name, replies))


def _reply(name: str, replies: Sequence[Completion]) -> Mapping[str, Any]:
    prompt, written = replies[0].prompt_tokens, sum(one.completion_tokens for one in replies)
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": name,
        "choices": [
            {
                "index": number,
                "message": {"role": "assistant", "content": one.text},
                "finish_reason": one.finish_reason,
            }
            for number, one in enumerate(replies)
        ],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": written,
            "total_tokens": prompt + written,
        },
    }


def _error(status: int, message: str) -> web.Response:
    told = {"message": message, "type": "invalid_request_error" if status < 500 else "server_error"}
    return web.json_response({"error": told}, status=status)


async def serve(
    engine: Engine, name: str, *, host: str, port: int,
    started: Callable[[str], object], stopped: Awaitable[object] | None = None,
) -> None:  # fmt: skip
    """Answer until cancelled or `stopped`; `started` is told the base URL. Raises OSError."""
    runner = web.AppRunner(ChatService(engine, name).app(), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound = runner.addresses[0][1]
        started(f"http://{host}:{bound}/v1")
        await (stopped or asyncio.Event().wait())
    finally:
        await runner.cleanup()
