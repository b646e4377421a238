"""`kill -9` of the whole process tree at a random moment: nothing lost, nothing doubled."""

from __future__ import annotations

from pathlib import Path

from tests.integration.calm_corpus import ARGUMENTS, NUM_PROBLEMS, CalmCorpus
from tests.integration.crash import crash_and_compare


def test_killed_runs_end_in_the_same_tables(calm: CalmCorpus, tmp_path: Path) -> None:
    report = crash_and_compare(calm.folder, tmp_path / "struck", ARGUMENTS[1:], kills=1, seed=20)
    assert report.killed_after_requests
    assert report.differing_tables == []
    assert report.duplicate_ids == {}
    assert report.leftovers == []
    assert report.rows["examples"] > 0
    # Only what was in flight when it was killed may be asked again.
    assert report.num_repeated <= NUM_PROBLEMS * len(report.killed_after_requests)
