"""A shard that fails lets the others end before its error is heard."""

from __future__ import annotations

import asyncio

import pytest

from flows.corpus import all_to_their_end


async def test_other_shards_end_before_the_error_is_raised() -> None:
    ended = []

    async def shard(number: int) -> None:
        if number == 0:
            raise RuntimeError("shard 0")
        await asyncio.sleep(0.01)
        ended.append(number)

    with pytest.raises(RuntimeError, match="shard 0"):
        await all_to_their_end(shard(number) for number in range(3))
    assert ended == [1, 2]
