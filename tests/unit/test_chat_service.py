"""`litecot serve`: OpenAI's form over an engine, and errors that its clients understand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from infra.hosting.chat_service import ChatService
from tasks.ports import Completion, PermanentError, Prompt, Sampling, TransientError


class Echo:
    """An engine that answers with what it was asked, and how."""

    asked: Sampling

    async def complete(self, prompt: Prompt, sampling: Sampling) -> list[Completion]:
        self.asked = sampling
        if prompt.text == "busy":
            raise TransientError("one moment")
        if prompt.text == "long":
            raise PermanentError("prompt_too_long", "9 000 tokens")
        return [
            Completion(text=f"{prompt.text}/{n}", finish_reason="stop", prompt_tokens=5,
                       completion_tokens=3, latency_s=0.1)
            for n in range(sampling.num_candidates)
        ]  # fmt: skip


@pytest.fixture
async def client() -> AsyncIterator[TestClient[Any, Any]]:
    async with TestClient(TestServer(ChatService(Echo(), "tiny").app())) as one:  # type: ignore[arg-type]
        yield one


def asking(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "tiny", "messages": [{"role": "user", "content": text}], **more}


async def test_candidates_come_together_with_their_usage(client: TestClient[Any, Any]) -> None:
    system = {"role": "system", "content": "Be brief."}
    body = asking("3 + 4?", n=2, seed=7, max_tokens=9, stop="###", temperature=0.5)
    body["messages"].insert(0, system)
    reply = await client.post("/v1/chat/completions", json=body)
    told = await reply.json()
    assert [one["message"]["content"] for one in told["choices"]] == [
        "Be brief.\n\n3 + 4?/0", "Be brief.\n\n3 + 4?/1",
    ]  # fmt: skip
    assert told["usage"] == {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11}
    listed = await (await client.get("/v1/models")).json()
    assert [one["id"] for one in listed["data"]] == ["tiny"]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (asking("x", model="huge"), 404, "no model 'huge' here"),
        (asking("busy"), 503, "one moment"),
        (asking("long"), 400, "prompt_too_long: 9 000 tokens"),
        (asking("x", stream=True), 400, "stream"),
        (asking("x", n=0), 400, "n: "),
        ({"model": "tiny"}, 400, "messages: "),
        ({"messages": [{"role": "assistant", "content": "x"}]}, 400, "one user turn"),
        ([], 400, "no JSON object"),
    ],
)
async def test_what_cannot_be_answered_is_an_error(
    client: TestClient[Any, Any], body: Any, status: int, said: str
) -> None:
    reply = await client.post("/v1/chat/completions", json=body)
    assert reply.status == status
    assert said in (await reply.json())["error"]["message"]
