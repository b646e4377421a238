"""`kill -9` of the whole process tree at a random moment: nothing lost, nothing doubled."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.crash import crash_and_compare

pytestmark = pytest.mark.usefixtures("prefect_server", "warm_engines")

SMALL = ("nano", "--limit", "12", "--set", "shard_size=6", "--set", 'stages=["generate", '
         '"difficulty", "rewrite", "compress", "score", "select", "mix"]')  # fmt: skip


def test_killed_runs_end_in_the_same_tables(tmp_path: Path) -> None:
    report = crash_and_compare(tmp_path, SMALL, kills=1, seed=20)
    assert report.killed_after_requests
    assert report.differing_tables == []
    assert report.duplicate_ids == {}
    assert report.leftovers == []
    assert report.rows["examples"] > 0
    # Only what was in flight when it was killed may be asked again.
    assert report.num_repeated <= 12 * len(report.killed_after_requests)
