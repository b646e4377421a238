"""A shard that fails lets the others end before its error is heard; an interruption does not."""

from __future__ import annotations

import asyncio

import pytest

from flows.corpus import all_to_their_end


async def test_other_shards_end_before_the_error_is_told() -> None:
    ended = []

    async def shard(number: int) -> None:
        if number == 0:
            raise RuntimeError("shard 0")
        await asyncio.sleep(0.01)
        ended.append(number)

    failed = await all_to_their_end(shard(number) for number in range(3))
    assert ended == [1, 2]
    assert [str(error) for error in failed] == ["shard 0", "None", "None"]


async def test_an_interruption_is_no_failed_shard() -> None:
    async def shard() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await all_to_their_end([shard()])
