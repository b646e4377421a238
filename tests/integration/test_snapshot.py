"""A published snapshot is loaded by `datasets`, says where it comes from, and never changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from datasets import load_dataset

from infra.publishing.snapshot import PublishError, write_snapshot
from sql.database import Database, connect
from tests.unit import sample_corpus as sample


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    return connect(sample.write_sample(tmp_path_factory.mktemp("corpus") / "sample"))


@pytest.fixture(scope="module")
def folder(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("published") / "snapshot"
    written = write_snapshot(database, target, licences={"sample": "MIT"})
    assert (written.num_examples, written.num_files) == (2, 1)
    return target


def test_datasets_loads_the_folder(folder: Path, tmp_path: Path) -> None:
    loaded = load_dataset(str(folder), cache_dir=str(tmp_path))
    assert loaded.keys() == {"train"}
    rows = {row["condition"]: row for row in loaded["train"]}
    assert rows["compressed"]["compress"] is True
    assert rows["original"]["compress"] is False
    assert rows["compressed"]["messages"] == [
        {"role": "user", "content": "What is 0 + 1?"},
        {"role": "assistant", "content": "1"},
    ]
    assert rows["compressed"]["original_tokens"] == sample.LONG.row.num_tokens  # type: ignore[attr-defined]
    assert rows["compressed"]["parent_id"] == sample.REWRITTEN.id
    assert rows["original"]["level"] == "easy"


def test_the_card_has_front_matter_counts_prompts_and_licences(folder: Path) -> None:
    card = (folder / "README.md").read_text()
    _, front, body = card.split("---\n", 2)
    assert yaml.safe_load(front)["configs"][0]["data_files"][0]["path"] == "data/train-*.parquet"
    assert "2 training examples for 1 problems" in body
    assert "| sample | 2 | MIT |" in body
    assert "| compressed | 1 | 40 | 100 |" in body
    assert "| kept | 1 | 2 |" in body
    assert body.count("█") > 0


def test_provenance_names_the_run(folder: Path) -> None:
    told = json.loads((folder / "provenance.json").read_text())
    assert told["run_id"] == sample.RUN_ID
    assert told["fingerprints"]["mix"] == "fp-mix"


def test_a_snapshot_is_never_written_over(database: Database, folder: Path) -> None:
    before = sorted((p, p.stat().st_mtime_ns) for p in folder.rglob("*"))
    with pytest.raises(PublishError, match="snapshots never change"):
        write_snapshot(database, folder, licences={})
    assert sorted((p, p.stat().st_mtime_ns) for p in folder.rglob("*")) == before


def test_a_run_without_examples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="no training examples"):
        write_snapshot(connect({}), tmp_path / "snapshot", licences={})
    assert list(tmp_path.iterdir()) == []


def test_a_licence_for_an_unknown_source_is_refused(database: Database, tmp_path: Path) -> None:
    with pytest.raises(PublishError, match=r"no problem comes from 'gsm'; the sources are sample"):
        write_snapshot(database, tmp_path / "snapshot", licences={"gsm": "MIT"})


def test_a_source_cannot_break_the_table(tmp_path: Path) -> None:
    from infra.publishing.card import _cell

    assert _cell("a|b\n<script>") == "a\\|b &lt;script>"


def test_a_snapshot_in_a_bucket_is_refused(database: Database, tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="a snapshot is a folder of this machine"):
        write_snapshot(database, Path("s3://bucket/snapshot"), licences={})
    assert not Path("s3:").exists()
