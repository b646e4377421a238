"""Every check of sql/checks has a corpus that makes it fail, and fails for nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from sql.database import connect, names
from tests.unit import sample_corpus as sample
from tests.unit.sample_corpus import LONG, LONG_WRONG, P0, P3, REWRITTEN, Made

REPEATED = "duplicate_ids"  # the writer cannot make one: the same file is listed twice
CUT_OFF = sample.rationale("generate", P0, candidate=9, finish_reason="length")
BROKEN: dict[str, Callable[[], Sequence[Made]]] = {
    "orphan_rows": lambda: [sample.rationale("generate", "0" * 16)],
    "unaccounted_candidates": lambda: [
        sample.rationale("rewrite", P0, kind="rewritten", parent_id=LONG.id, candidate=7)
    ],
    "kept_wrong": lambda: [sample.selection(LONG_WRONG.id, "original", rank=2)],
    "kept_incomplete": lambda: [
        CUT_OFF, sample.selection(CUT_OFF.id, "original", rank=2)
    ],
    "dropped_examples": lambda: [sample.example(LONG.id, "original")],
    "train_eval_overlap": lambda: [sample.member(P3)],
    "compressed_longer": lambda: [
        sample.rationale(
            "compress", P0, kind="compressed", parent_id=REWRITTEN.id, round=3, chosen=True,
            num_tokens=61,
        )
    ],
}  # fmt: skip


def failing_checks(parts: dict[str, list[str]]) -> set[str]:
    database = connect(parts)
    return {name for name in names("checks") if database.run_file("checks", name).rows}


def test_each_check_has_a_corpus_that_fails_it() -> None:
    assert {*BROKEN, REPEATED} == set(names("checks"))


def test_sound_corpus_passes(tmp_path: Path) -> None:
    assert failing_checks(sample.write_sample(tmp_path / "c")) == set()


@pytest.mark.parametrize("check", sorted(BROKEN))
def test_check_fails(tmp_path: Path, check: str) -> None:
    parts = sample.write_rows(tmp_path / "c", [*sample.EVERYTHING, *BROKEN[check]()])
    assert check in failing_checks(parts)


def test_repeated_rows_are_found(tmp_path: Path) -> None:
    parts = sample.write_sample(tmp_path / "c")
    assert failing_checks({**parts, "models": parts["models"] * 2}) == {REPEATED}


def test_lost_selection_is_found_once_examples_exist(tmp_path: Path) -> None:
    forgotten = sample.rationale(
        "rewrite", sample.P1, kind="rewritten", parent_id=sample.IMPORTED.id
    )
    parts = sample.write_rows(tmp_path / "c", [*sample.EVERYTHING, forgotten])
    assert failing_checks(parts) == {"unaccounted_candidates"}
