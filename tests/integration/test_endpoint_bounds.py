"""How much of a reply is read: a whole one of many megabytes, and of one that will not end no more
than the largest that makes sense."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from infra.engines.endpoint.client import MAX_REPLY_BYTES
from infra.runs.models import RunModels
from infra.settings import Settings
from tasks.ports import TransientError
from tests.chat_server import Asked, ChatServer, ServerConfig
from tests.integration.test_endpoint import ask, config

MEBIBYTE = 2**20
IN_SOCKETS = 16 * MEBIBYTE  # what may be on its way when the client turns away


class VerboseServer(ChatServer):
    """Answers, and goes on with `num_mebibytes` of spaces."""

    num_mebibytes = 0
    num_sent = 0

    async def _answer(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(self.reply(asked, 1))
        while self.num_sent < self.num_mebibytes * MEBIBYTE:
            await response.write(b" " * MEBIBYTE)
            self.num_sent += MEBIBYTE
        await response.write_eof()
        return response


@asynccontextmanager
async def asking_verbose(
    num_mebibytes: int,
) -> AsyncIterator[tuple[VerboseServer, Any]]:
    server = VerboseServer(ServerConfig())
    server.num_mebibytes = num_mebibytes
    await server.start()
    models = RunModels(Settings())
    try:
        yield server, models.model(config(server.base_url))
    finally:
        models.close()
        await server.stop()


async def test_a_long_reply_is_read_whole() -> None:
    async with asking_verbose(24) as (_, model):
        (reply,) = await ask(model)
    assert reply.text.endswith("The answer is 4.")


async def test_of_a_larger_one_no_more_than_128_mebibytes_are_read() -> None:
    """The client turns away itself, and tells a fault that may pass."""
    async with asking_verbose(400) as (server, model):
        with pytest.raises(TransientError, match=f"a reply of more than {MAX_REPLY_BYTES} bytes"):
            await ask(model)
    assert MAX_REPLY_BYTES == 128 * MEBIBYTE
    assert MAX_REPLY_BYTES <= server.num_sent + MEBIBYTE <= MAX_REPLY_BYTES + IN_SOCKETS
