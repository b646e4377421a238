"""The least a client can do: prompts from a JSONL file, replies to a JSONL file, over aiohttp.

Role: the alternative that `test_dispatch` measures the runner against.

    python -m tests.bench.bare_client BASE_URL PROMPTS.jsonl REPLIES.jsonl IN_FLIGHT
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from typing import IO

import aiohttp


async def ask_all(base_url: str, prompts: str, replies: str, in_flight: int) -> None:
    """One line a reply, written as it comes."""
    connector = aiohttp.TCPConnector(limit=in_flight)
    with open(prompts) as source, open(replies, "w", buffering=1) as target:
        lines = iter(source)
        async with aiohttp.ClientSession(connector=connector) as session:
            url = f"{base_url}/chat/completions"
            workers = (worker(session, url, lines, target) for _ in range(in_flight))
            await asyncio.gather(*workers)


async def worker(
    session: aiohttp.ClientSession, url: str, lines: Iterator[str], target: IO[str]
) -> None:
    """Line after line, until none is left."""
    for line in lines:
        prompt = json.loads(line)
        body = {
            "model": "served",
            "messages": [{"role": "user", "content": prompt["text"]}],
            "temperature": 0.6,
            "max_tokens": 32768,
        }
        async with session.post(url, json=body) as response:
            reply = await response.json()
        target.write(json.dumps({"id": prompt["id"], "reply": reply}) + "\n")


if __name__ == "__main__":
    asyncio.run(ask_all(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
