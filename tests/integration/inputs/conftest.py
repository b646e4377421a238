"""`ask`: what a stage has left to do over a small corpus."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.runs.plan import config_json
from sql.database import Database, connect
from sql.pending import count_pending, stream_pending
from tasks.scorers import SCORERS
from tasks.stage import StageConfig
from tests.integration.inputs.rows import (
    BASE,
    CONFIGS,
    RECORDS,
    TABLES,
    Ask,
    Records,
)
from tests.unit import sample_corpus as sample
from tests.unit.sample_corpus import (
    FINGERPRINTS,
    RUN_ID,
    Made,
)


@pytest.fixture(scope="module", autouse=True)
def mine() -> Iterator[None]:
    """A scorer from outside."""
    assert "mine" not in SCORERS
    SCORERS.add(replace(SCORERS["ifd"], name="mine"), origin="test", sha="test", source="test")
    yield
    SCORERS.remove("test")


@pytest.fixture(scope="module")
def views() -> Database:
    """Over the corpus of one test after another: making all views takes longer than to ask."""
    return connect({})


@pytest.fixture
def ask(tmp_path: Path, views: Database) -> Ask:
    """ask(stage, *rows, config=..., shard=...): what `stage` has left to do over BASE and rows."""

    def asked(
        reads: str, *rows: Made, config: StageConfig | None = None, shard: int | None = None
    ) -> Records:
        parts = sample.write_rows(tmp_path / "corpus", [*BASE, *rows])
        views.show(parts)
        views.set_run(RUN_ID, FINGERPRINTS)
        query: dict[str, Any] = {
            "reads": reads, "table": TABLES[reads], "shard": shard,
            "fingerprint": FINGERPRINTS.get(reads, FINGERPRINTS["evaluate-base"]),
            "config": config_json(config or CONFIGS[reads]()),
        }  # fmt: skip
        found = list(stream_pending(views, **query))
        assert count_pending(views, **query) == len(found)
        for row in found:  # each is what the step takes
            RECORDS[reads].from_row(row)
        return found

    return asked
