"""S3 for tests: moto's server on loopback, and a proxy before it that can misbehave.

A sample:
    with s3_service() as s3:
        s3.refuse = lambda method, path: method == "PUT" and "part-" in path   # 503 SlowDown
        CorpusWriter(s3.new_corpus())
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import aiohttp
import boto3
from aiohttp import web

BUCKET = "corpora"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
HOP_BY_HOP = {"transfer-encoding", "connection", "content-encoding", "content-length", "date"}
SLOW_DOWN = (503, "SlowDown")
SESSION = web.AppKey("session", aiohttp.ClientSession)

Chooser = Callable[[str, str], bool]  # (method, path) -> whether this request is hit


def no_request(method: str, path: str) -> bool:
    return False


@dataclass
class S3Service:
    """A running service; `refuse`, `reset` and `lose_reply` choose requests to be unkind to."""

    backend: str
    url: str = ""
    refuse: Chooser = no_request  # answered with `refusal` before it does anything
    refusal: tuple[int, str] = SLOW_DOWN
    reset: Chooser = no_request  # connection cut before it does anything
    lose_reply: Chooser = no_request  # done, but 503 is what the client sees
    ignores_conditions: bool = False
    requests: list[tuple[str, str]] = field(default_factory=list)
    bytes_served: int = 0

    def new_corpus(self) -> str:
        """URL of a prefix nobody used, here or in another module: all of moto's servers in a
        process serve the same objects."""
        return f"s3://{BUCKET}/prefix/{uuid4().hex[:8]}"

    def client(self) -> Any:
        """Straight to the backend, past all unkindness."""
        return boto3.client("s3", endpoint_url=self.backend, region_name="us-east-1")

    def keys(self, corpus: str) -> list[str]:
        """Names of a corpus' objects."""
        prefix = corpus.removeprefix(f"s3://{BUCKET}/") + "/"
        pages = self.client().get_paginator("list_objects_v2").paginate(
            Bucket=BUCKET, Prefix=prefix
        )  # fmt: skip
        return [
            item["Key"].removeprefix(prefix) for page in pages for item in page.get("Contents", ())
        ]

    def behave(self) -> None:
        self.refuse = self.reset = self.lose_reply = no_request
        self.refusal, self.ignores_conditions = SLOW_DOWN, False

    async def handle(self, request: web.Request) -> web.StreamResponse:
        method, path = request.method, request.path_qs
        body = await request.read()
        self.requests.append((method, path))
        if self.refuse(method, path):
            return _error(*self.refusal)
        if self.reset(method, path):
            assert request.transport is not None
            request.transport.abort()
            raise asyncio.CancelledError
        status, headers, content = await self._forward(request, body)
        if self.lose_reply(method, path):
            return _error(*SLOW_DOWN)
        self.bytes_served += len(content) if method == "GET" else 0
        return web.Response(status=status, headers=headers, body=content)

    async def _forward(
        self, request: web.Request, body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        dropped = {"host", "transfer-encoding", "content-length", "expect", "connection"}
        if self.ignores_conditions:
            dropped |= {"if-match", "if-none-match"}
        headers = {k: v for k, v in request.headers.items() if k.lower() not in dropped}
        url = f"{self.backend}{request.raw_path}"
        session = request.app[SESSION]
        async with session.request(request.method, url, data=body, headers=headers) as reply:
            kept = {k: v for k, v in reply.headers.items() if k.lower() not in HOP_BY_HOP}
            if request.method == "HEAD":
                kept["Content-Length"] = reply.headers.get("Content-Length", "0")
            return reply.status, kept, await reply.read()


def _error(status: int, code: str) -> web.Response:
    text = f"<Error><Code>{code}</Code><Message>said the proxy</Message></Error>"
    return web.Response(status=status, text=text, content_type="application/xml")


async def _serve(service: S3Service, started: threading.Event, ended: asyncio.Event) -> None:
    app = web.Application(client_max_size=2**30)
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        app[SESSION] = session
        app.router.add_route("*", "/{path:.*}", service.handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        service.url = f"http://127.0.0.1:{port}"
        started.set()
        await ended.wait()
        await runner.cleanup()


@contextmanager
def s3_service() -> Iterator[S3Service]:
    """One bucket, and the environment that leads there, until the end."""
    from moto.server import ThreadedMotoServer

    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    service = S3Service(backend=f"http://{host}:{port}")
    loop, started, ended = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    thread = threading.Thread(
        target=loop.run_until_complete, args=[_serve(service, started, ended)], daemon=True
    )
    thread.start()
    started.wait()
    before = dict(os.environ)
    os.environ.update(ENVIRONMENT, AWS_ENDPOINT_URL=service.url)
    try:
        service.client().create_bucket(Bucket=BUCKET)
        yield service
    finally:
        os.environ.clear()
        os.environ.update(before)
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        moto.stop()
