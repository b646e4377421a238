"""What the Prefect UI shows of a run: progress a stage, the funnel as a table, the summary as text.

Invariant: the UI never slows the work: a progress artifact is updated at most every two seconds.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any
from uuid import UUID

from prefect.artifacts import (
    acreate_markdown_artifact,
    acreate_progress_artifact,
    acreate_table_artifact,
    aupdate_progress_artifact,
)

UPDATE_EVERY_S = 2.0


def artifact_key(*parts: str) -> str:
    """Prefect's keys: lower case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


class StageProgress:
    """The progress artifact of one stage."""

    def __init__(self, recipe: str, stage: str) -> None:
        self._key = artifact_key(recipe, stage)
        self._one_at_a_time = asyncio.Lock()  # shards that begin together make one artifact
        self._artifact: UUID | None = None
        self._updated_at = 0.0

    async def show(self, share: float, text: str, *, is_last: bool = False) -> None:
        """`share` 0..1 done. The key says stage and recipe; a card has room for `text` alone."""
        now = time.monotonic()
        if not is_last and now - self._updated_at < UPDATE_EVERY_S:
            return
        self._updated_at = now
        percent = round(100 * share, 1)
        async with self._one_at_a_time:
            if self._artifact is None:
                self._artifact = await acreate_progress_artifact(
                    percent, key=self._key, description=text
                )
            else:
                await aupdate_progress_artifact(self._artifact, percent, description=text)


async def show_table(name: str, rows: list[dict[str, Any]], description: str) -> None:
    """A table artifact."""
    await acreate_table_artifact(table=rows, key=artifact_key(name), description=description)


async def show_markdown(name: str, text: str, description: str) -> None:
    """A markdown artifact."""
    await acreate_markdown_artifact(text, key=artifact_key(name), description=description)
