"""Corpora of earlier versions are read, written and migrated; those of later ones are refused in a
line that says what they need.

corpora/version-1.tar.gz is the sample corpus as the code of 21 November 2026 wrote it (commit
f012263): a manifest of version 1, no checksums, and tables without the columns that came since.
"""

from __future__ import annotations

import json
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from infra.storage import Corpus, CorpusError, CorpusWriter
from infra.storage import manifest as manifests
from infra.storage.manifest import load_manifest, save_manifest
from infra.storage.parquet_parts import layout
from sql.database import connect
from tasks.schemas import SCHEMA, TABLES, arrow_schema
from tests.killed import kill_at, num_published
from tests.unit import sample_corpus as sample
from tests.unit.test_corpus_care import command, copied, ids
from tests.unit.test_storage import finish, shown

# Of the columns of every table under SCHEMA. Where one changes, raise SCHEMA, say in
# tasks/schemas.py what it is and in infra/care/migrating.py how older parts come to have it.
LAYOUTS = {
    "problems": "fd3ba6", "memberships": "b4258f", "candidates": "76cac1", "rationales": "3f4924",
    "difficulties": "5c34f3", "scores": "e0cd2f", "selections": "5014e8", "examples": "c2f8ed",
    "perplexities": "ca37fb", "rejections": "d1e503", "evaluations": "ccdd06", "models": "833fb7",
    "training_steps": "ae8063", "forecasts": "b877e4", "runs": "886046", "invocations": "204569",
}  # fmt: skip
OLD = Path(__file__).parent / "corpora" / "version-1.tar.gz"


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("old") / "corpus"
    with tarfile.open(OLD) as packed:
        packed.extractall(folder, filter="data")
    return folder


@pytest.fixture
def old(unpacked: Path, tmp_path: Path) -> Path:
    return copied(unpacked, tmp_path / "old")


def test_the_schema_is_another_one_wherever_a_column_is() -> None:
    layouts = {table: layout(arrow_schema(row_type)) for table, row_type in TABLES.items()}
    assert (SCHEMA, layouts) == (2, LAYOUTS)


def rows(corpus: Path) -> dict[str, Any]:
    """What our own views show, of all tables."""
    with connect(Corpus(corpus).parts()) as database:
        return {t: sorted(map(repr, database.rows_of(f"raw_{t}").rows)) for t in TABLES}


def test_an_earlier_corpus_is_read_as_it_is(old: Path) -> None:
    found = rows(old)
    assert [len(found[table]) for table in ("problems", "rationales", "runs")] == [4, 8, 2]
    assert found["training_steps"] == []
    code, out, err = command("check", "--corpus", old)
    assert (code, err) == (0, "")
    assert out.startswith(f"{old}: 16 parts, 35 rows, ")
    assert "of an earlier version, without a checksum" in out
    assert "`litecot corpus migrate` adds them" in out


def test_an_earlier_corpus_is_migrated_and_no_row_changes(old: Path) -> None:
    before = rows(old)
    code, out, err = command("migrate", "--corpus", old)
    assert (code, err) == (0, "")
    assert out == f"{old}: schema 1 is 2 now; 11 parts written anew\n"
    assert rows(old) == before
    for table, row_type in TABLES.items():  # whoever globs a folder has one layout
        for path in shown(old, table):
            assert pq.read_schema(path).equals(arrow_schema(row_type), check_metadata=False)
    read = json.loads((old / "_manifest.json").read_text())
    assert (read["version"], read["schema"]) == (3, SCHEMA)
    assert all(part["checksum"] for live in read["parts"].values() for part in live)
    code, out, _ = command("check", "--corpus", old)
    assert (code, "note: " in out) == (0, False)
    assert command("migrate", "--corpus", old)[1] == f"{old}: has schema 2, nothing to do\n"
    with CorpusWriter(old) as writer:  # its ids are as they were
        again = writer.finish(
            "x", [sample.LONG.row], stage_fingerprint="fp-generate", run_id=sample.RUN_ID
        )
        assert (again, finish(writer, 1)) == (0, 1)


def test_the_next_writer_writes_the_manifest_of_this_version_and_touches_no_part(old: Path) -> None:
    names = {path.name for table in TABLES for path in shown(old, table)}
    with CorpusWriter(old) as writer:
        assert writer.warnings == ()
    assert {path.name for table in TABLES for path in shown(old, table)} == names
    read = json.loads((old / "_manifest.json").read_text())
    assert (read["version"], read["schema"]) == (3, 1)


def test_killed_while_it_migrates_it_is_of_one_version_or_the_other(
    old: Path, tmp_path: Path
) -> None:
    before = ids(old)
    last = num_published("corpus", "migrate", "--corpus", copied(old, tmp_path / "done"))
    for back in (2, 1):
        copy = copied(old, tmp_path / str(back))
        kill_at(last - back, "corpus", "migrate", "--corpus", copy)
        assert ids(copy) == before
        assert command("migrate", "--corpus", copy)[0] == 0
        assert ids(copy) == before
        assert Corpus(copy).manifest().schema == SCHEMA


def test_a_new_corpus_has_the_schema_of_this_version(tmp_path: Path) -> None:
    with CorpusWriter(tmp_path / "c") as writer:
        finish(writer, 1)
    assert Corpus(tmp_path / "c").manifest().schema == SCHEMA


@pytest.mark.parametrize("later", ["VERSION", "SCHEMA"])
def test_an_older_reader_says_which_version_a_newer_corpus_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, later: str
) -> None:
    """A later version writes fields that nobody knows here."""
    corpus = tmp_path / "c"
    with CorpusWriter(corpus) as writer:
        finish(writer, 1)
    known = getattr(manifests, later)
    monkeypatch.setattr(manifests, later, known + 1)
    monkeypatch.setattr(manifests, "NEEDS", "7.1")
    found = load_manifest(Corpus(corpus).store) if later == "SCHEMA" else None
    if found is not None:
        save_manifest(Corpus(corpus).store, replace(found, schema=known + 1))
    else:
        monkeypatch.setattr(manifests, "SEALED", range(2, known + 2))
        CorpusWriter(corpus).close()
    monkeypatch.undo()
    what = {"VERSION": "manifest", "SCHEMA": "schema"}[later]
    for asked in ("check", "compact", "migrate", "size"):
        code, out, err = command(asked, "--corpus", corpus)
        assert code == (1 if asked == "check" else 2)
        assert (
            f"needs litecot 7.1 or later (its {what} is of version {known + 1}, and this litecot, "
            in out + err
        )
        assert f", knows {known}); upgrade litecot" in out + err
    with pytest.raises(CorpusError, match=r"needs litecot 7\.1 or later"):
        Corpus(corpus).parts()
