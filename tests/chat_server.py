"""An OpenAI-compatible server that answers at once, late, wrongly or not at all, as it is told.

Role: stands for somebody's server in tests and benches, over real sockets. Invariants: what a
prompt meets depends on the seed and the prompt alone, so a run can be repeated; every request is
logged when it arrives and when it is answered, so a test can count what was paid twice.

By itself: `python -m tests.chat_server CONFIG.json` prints its base URL as the first line, e.g.
http://127.0.0.1:40123/v1, and serves until SIGTERM. CONFIG.json holds the fields of ServerConfig:
    {"delay": {"median_s": 0.2, "p99_s": 4}, "log": "asked.jsonl",
     "faults": [{"kind": "429", "share": 0.1, "times": 2, "retry_after_s": 0.1}]}
In a test: `async with serving(ServerConfig()) as server: ...` (this loop), or
`with serving_in_thread(config) as server: ...`, or `with serving_in_process(config) as base_url`.
A line of the log: {"time":1763700000.123,"prompt":"9f86d081884c7d65","event":"answered",
"status":200,"n":4,"seed":7}; status is null where nothing was answered (yet).
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path
from statistics import NormalDist
from typing import Any

from aiohttp import web

_P99 = NormalDist().inv_cdf(0.99)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER of no seconds: close() sends RST


@dataclass(frozen=True, kw_only=True)
class Delay:
    """Seconds before the answer: `fixed_s`, or log-normal by its median and 99th percentile."""

    fixed_s: float = 0.0
    median_s: float | None = None
    p99_s: float | None = None

    def seconds(self, uniform: float) -> float:
        """The delay at this quantile, in (0, 1)."""
        if self.median_s is None:
            return self.fixed_s
        sigma = math.log((self.p99_s or self.median_s) / self.median_s) / _P99
        return self.median_s * math.exp(sigma * NormalDist().inv_cdf(uniform))


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What goes wrong, for the prompts that hold `marker` or else a `share` of all prompts.

    `kind`: an HTTP status ("429", "500", "400", ...), reset, hang, slow_drip, malformed_json,
    wrong_num_choices, empty_text or truncated. `times`: how often a prompt meets it; None: always.
    """

    kind: str
    share: float = 1.0
    marker: str | None = None
    times: int | None = None
    retry_after_s: float | str | None = None
    message: str | None = None  # of the error in the body of a status
    headers: Mapping[str, str] = field(default_factory=dict)  # sent with a status
    num_choices: int | None = None  # of wrong_num_choices; None: one too many
    drip_s: float = 0.05  # between the bytes of slow_drip


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """What is served, how fast, and what goes wrong: the first fault that holds."""

    port: int = 0  # 0: any free one
    seed: int = 0
    model: str | None = None  # the one it has (404 for others); None: any
    api_key: str | None = None  # that it asks for (401 without)
    reply: str = "2 + 2 = 4. The answer is 4."
    reasoning: str | None = None  # apart from the content
    reasoning_field: str = "reasoning_content"  # or: reasoning
    ignore_n: bool = False  # one choice, whatever is asked
    has_models: bool = True  # GET /v1/models
    completion_tokens: int | None = None  # of a choice; None: a word each
    delay: Delay = Delay()
    faults: tuple[Fault, ...] = ()
    log: str | None = None

    @classmethod
    def from_json(cls, text: str) -> ServerConfig:
        """Raises TypeError for a field that is not known."""
        fields = json.loads(text)
        fields["delay"] = Delay(**fields.get("delay", {}))
        fields["faults"] = tuple(Fault(**fault) for fault in fields.get("faults", ()))
        return cls(**fields)

    def to_json(self) -> str:
        """What `from_json` reads."""
        return json.dumps(asdict(self))


def prompt_hash(text: str) -> str:
    """How the log names a prompt (its last user message)."""
    return blake2b(text.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True)
class Asked:
    """A request, read."""

    text: str  # the last user message
    prompt: str  # its hash
    n: int
    seed: int | None
    body: dict[str, Any]

    @classmethod
    def read(cls, raw: bytes) -> Asked:
        body = json.loads(raw)
        users = [m["content"] for m in body["messages"] if m["role"] == "user"]
        text = users[-1] if users else ""
        return cls(text, prompt_hash(text), body.get("n") or 1, body.get("seed"), body)


class ChatServer:
    """The handler and what it has seen; `base_url` once it listens."""

    def __init__(self, config: ServerConfig) -> None:
        self.config = config
        self.base_url = ""
        self.arrived: Counter[str] = Counter()  # prompt hash -> requests
        self.asked: deque[dict[str, Any]] = deque(maxlen=10_000)  # the last bodies, as they arrived
        self.headers: dict[str, str] = {}  # of the last request
        self.in_flight = 0
        self.most_in_flight = 0
        self._met: Counter[tuple[int, str]] = Counter()  # (fault, prompt) -> times
        self._log: int | None = None
        self._runner: web.ServerRunner | None = None

    async def start(self) -> None:
        """Listen on loopback."""
        if self.config.log:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            self._log = os.open(self.config.log, flags, 0o644)
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None))
        await self._runner.setup()
        site = web.TCPSite(
            self._runner, "127.0.0.1", self.config.port, backlog=4096, shutdown_timeout=0.1
        )
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.base_url = f"http://{host}:{port}/v1"

    async def stop(self) -> None:
        """Close every connection, answered or not."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._log is not None:
            os.close(self._log)
            self._log = None

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/v1/models" and self.config.has_models:
            return self._models(request)
        if request.path != "/v1/chat/completions":
            return _status(404, "no such page")
        self.headers = dict(request.headers)
        asked = Asked.read(await request.read())
        self.asked.append(asked.body)
        self.arrived[asked.prompt] += 1
        self._write(asked, "arrived", None)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            response = await self._answer(request, asked)
        finally:
            self.in_flight -= 1
        self._write(asked, "answered", response.status)
        return response

    def _models(self, request: web.BaseRequest) -> web.Response:
        if not self._is_allowed(request):
            return _status(401, "wrong key")
        served = [{"id": self.config.model or "any", "object": "model"}]
        return web.json_response({"object": "list", "data": served})

    def _is_allowed(self, request: web.BaseRequest) -> bool:
        key = self.config.api_key
        return key is None or request.headers.get("Authorization") == f"Bearer {key}"

    async def _answer(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        if not self._is_allowed(request):
            return _status(401, f"wrong key: {request.headers.get('Authorization')}")
        if self.config.model not in (None, asked.body["model"]):
            message = f"The model `{asked.body['model']}` does not exist."
            return _status(404, message, code="model_not_found")
        delay_s = self.config.delay.seconds(self._uniform("delay", asked))
        if delay_s > 0:
            await asyncio.sleep(delay_s)
        fault = self._fault(asked)
        if fault is None:
            return _json(self.reply(asked, _num_choices(self.config, asked)))
        return await self._fail(request, asked, fault)

    def _uniform(self, purpose: str, asked: Asked) -> float:
        key = f"{self.config.seed}/{purpose}/{asked.text}"
        number = int.from_bytes(blake2b(key.encode(), digest_size=8).digest())
        return (number + 0.5) / 2**64

    def _fault(self, asked: Asked) -> Fault | None:
        for number, fault in enumerate(self.config.faults):
            key = (number, asked.prompt)
            if fault.times is not None and self._met[key] >= fault.times:
                continue
            if fault.marker is not None and fault.marker not in asked.text:
                continue
            if fault.share >= 1 or self._uniform(f"fault {number}", asked) < fault.share:
                self._met[key] += 1
                return fault
        return None

    async def _fail(
        self, request: web.BaseRequest, asked: Asked, fault: Fault
    ) -> web.StreamResponse:
        num_choices = _num_choices(self.config, asked)
        match fault.kind:
            case "reset":
                _reset(request)
                raise asyncio.CancelledError
            case "hang":
                await asyncio.sleep(3600)
                return _status(500, "hung")
            case "slow_drip":
                return await _drip(request, self.reply(asked, num_choices), fault.drip_s)
            case "malformed_json":
                reply = self.reply(asked, num_choices)
                return _json(reply[: len(reply) // 2])
            case "wrong_num_choices":
                wrong = num_choices + 1 if fault.num_choices is None else fault.num_choices
                return _json(self.reply(asked, wrong))
            case "empty_text":
                return _json(self.reply(asked, num_choices, text=""))
            case "truncated":
                return _json(self.reply(asked, num_choices, finish_reason="length"))
            case status if status.isdecimal():
                headers = dict(fault.headers)
                if fault.retry_after_s is not None:
                    headers["Retry-After"] = str(fault.retry_after_s)
                return _status(int(status), fault.message or f"fault {status}", headers=headers)
            case other:
                raise ValueError(f"no fault {other!r}")

    def reply(
        self, asked: Asked, num_choices: int, *, text: str | None = None,
        finish_reason: str = "stop",
    ) -> bytes:  # fmt: skip
        """The body of a reply; `text` None: the configured one."""
        config = self.config
        text = config.reply if text is None else text
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if config.reasoning is not None:
            message[config.reasoning_field] = config.reasoning
        num_tokens = config.completion_tokens or len(f"{config.reasoning or ''} {text}".split())
        prompt_tokens, completion_tokens = len(asked.text.split()), num_tokens * num_choices
        reply = {
            "id": "chatcmpl-" + asked.prompt,
            "object": "chat.completion",
            "created": int(time.time()),
            "model": asked.body["model"],
            "choices": [
                {"index": index, "message": message, "finish_reason": finish_reason}
                for index in range(num_choices)
            ],
            "usage": {
                "prompt_tokens": prompt_tokens,
                "completion_tokens": completion_tokens,
                "total_tokens": prompt_tokens + completion_tokens,
            },
        }
        return json.dumps(reply).encode()

    def _write(self, asked: Asked, event: str, status: int | None) -> None:
        if self._log is None:
            return
        code = "null" if status is None else status
        seed = "null" if asked.seed is None else asked.seed
        line = (
            f'{{"time":{time.time():.6f},"prompt":"{asked.prompt}","event":"{event}",'
            f'"status":{code},"n":{asked.n},"seed":{seed}}}\n'
        )
        os.write(self._log, line.encode())  # one append, so nothing is lost and lines stay whole


def _num_choices(config: ServerConfig, asked: Asked) -> int:
    return 1 if config.ignore_n else asked.n


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")


def _status(
    status: int, message: str, *, code: str | None = None, headers: Mapping[str, str] | None = None
) -> web.Response:
    error = {"message": message, "type": "error", "param": None, "code": code}
    return web.json_response({"error": error}, status=status, headers=headers)


def _reset(request: web.BaseRequest) -> None:
    transport = request.transport
    assert transport is not None
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()


async def _drip(request: web.BaseRequest, body: bytes, drip_s: float) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    for byte in body:
        await response.write(bytes([byte]))
        await asyncio.sleep(drip_s)
    await response.write_eof()
    return response


@asynccontextmanager
async def serving(config: ServerConfig) -> AsyncIterator[ChatServer]:
    """A server in this event loop."""
    server = ChatServer(config)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@contextmanager
def serving_in_thread(
    config: ServerConfig, *, make: Callable[[ServerConfig], ChatServer] = ChatServer
) -> Iterator[ChatServer]:
    """A server in a thread with a loop of its own; `make` gives one that answers otherwise."""
    server = make(config)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def serving_in_process(config: ServerConfig) -> Iterator[str]:
    """A server in a process of its own; yields its base URL."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "server.json")
        path.write_text(config.to_json())
        command = [sys.executable, "-m", "tests.chat_server", str(path)]
        root = Path(__file__).parent.parent
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root)
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
            process.wait()


def read_log(path: Path) -> list[dict[str, Any]]:
    """The log's lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]


async def _serve_until_stopped(config: ServerConfig) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with serving(config) as server:
        print(server.base_url, flush=True)
        await stopped.wait()


if __name__ == "__main__":
    asyncio.run(_serve_until_stopped(ServerConfig.from_json(Path(sys.argv[1]).read_text())))
