"""Whoever globs a table's folder with any Parquet reader has current rows, each once, at any time.

A kill between two steps is the second step that never returns: what it leaves is copied, looked at
as a glob sees it, and opened by the next writer.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset

from infra.storage import Corpus, CorpusWriter
from infra.storage import local as local_store
from infra.storage.manifest import load_manifest, save_manifest
from tests.unit.test_storage import finish, questions, shown, stored

STEPS = ("link", "unlink", "replace")
NUM_ROWS = 4


def globbed(folder: Path) -> list[str]:
    """The questions that a Parquet reader of another project finds in the folder."""
    if not shown(folder.parent, folder.name):
        return []
    return sorted(pq.read_table(folder).column("question").to_pylist())


def filled(corpus: Path, **options: Any) -> CorpusWriter:
    """Four parts of a row each, the writer still open."""
    writer = CorpusWriter(corpus, **options)
    for number in range(NUM_ROWS):
        finish(writer, number)
        writer.flush()
    return writer


EXPECTED = [f"q{number}" for number in range(NUM_ROWS)]


def test_any_reader_of_a_folder_has_current_rows_only(tmp_path: Path) -> None:
    """While replaced parts still wait for who has them open."""
    corpus = tmp_path / "c"
    with filled(corpus) as writer:
        before = writer.parts()["problems"]
        writer.compact()
        assert all(Path(file).exists() for file in before)
        folder = corpus / "problems"
        assert [path.suffix for path in folder.iterdir()] == [".parquet"]
        counted = duckdb.sql(f"select count(*) from read_parquet('{folder}/*.parquet')").fetchall()
        loaded = load_dataset(
            "parquet", data_dir=str(folder), split="train", cache_dir=str(tmp_path / "cache")
        )
        assert (globbed(folder), counted, len(loaded)) == (EXPECTED, [(NUM_ROWS,)], NUM_ROWS)
        assert [pq.read_table(file).num_rows for file in before] == [1] * NUM_ROWS
    assert len(stored(corpus)) == NUM_ROWS


def test_a_glob_while_parts_are_written_and_merged(tmp_path: Path) -> None:
    """A row is never there twice; a file that went while it was read is a loud error."""
    corpus, done = tmp_path / "c", threading.Event()
    faults: list[object] = []

    def look() -> None:
        while not done.is_set():
            try:
                seen = globbed(corpus / "problems")
            except (FileNotFoundError, pa.ArrowInvalid):
                continue
            if len(seen) != len(set(seen)):
                faults.append(seen)

    with filled(corpus, grace_s=0) as writer:
        looking = threading.Thread(target=look)
        looking.start()
        for number in range(NUM_ROWS, NUM_ROWS + 30):
            finish(writer, number)
            writer.flush()
            if number % 4 == 0:
                writer.compact()
        done.set()
        looking.join()
    assert faults == []


class Killed(BaseException):
    """SIGKILL, as far as one process can play it."""


def killed_at(step: int, monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> bool:
    """Do `work` up to its step number `step` on the disk; whether it came so far."""
    num_done = 0

    def counted(act: Callable[..., Any]) -> Callable[..., Any]:
        def acting(*arguments: Any, **options: Any) -> Any:
            nonlocal num_done
            if num_done == step:
                raise Killed
            num_done += 1
            return act(*arguments, **options)

        return acting

    with monkeypatch.context() as patched:
        for name in STEPS:
            patched.setattr(os, name, counted(getattr(os, name)))
        try:
            work()
        except Killed:
            return True
    return False


@pytest.mark.parametrize("has_links", [True, False])
def test_a_kill_between_any_two_steps_of_a_compaction_is_healed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    if not has_links:
        monkeypatch.setattr(local_store, "_link", without_links)
    made, is_missing = tmp_path / "made", []
    filled(made).close()
    for step in range(100):
        corpus, left = tmp_path / f"c{step}", tmp_path / f"left{step}"
        shutil.copytree(made, corpus)
        with CorpusWriter(corpus) as writer:
            struck = killed_at(step, monkeypatch, writer.compact)
            shutil.copytree(corpus, left)
        seen = globbed(left / "problems")
        assert len(seen) == len(set(seen))
        is_missing.append(seen != EXPECTED)
        CorpusWriter(left).close()
        assert globbed(left / "problems") == questions(left) == EXPECTED
        assert Corpus(left).faults() == []
        if not struck:
            break
    assert step >= NUM_ROWS + 3  # the part, the manifest, each that goes, the one that comes
    assert not is_missing[0]
    assert not is_missing[-1]


def without_links(path: Path, to: Path) -> bool:
    to.parent.mkdir(parents=True, exist_ok=True)
    return False


def test_a_disk_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    corpus = tmp_path / "c"
    with filled(corpus, grace_s=60) as writer:
        assert writer.compact() == NUM_ROWS
        assert globbed(corpus / "problems") == questions(corpus) == EXPECTED
    with CorpusWriter(corpus, grace_s=0):
        pass
    assert not list((corpus / "_parts" / "problems").iterdir())
    assert globbed(corpus / "problems") == EXPECTED


def test_what_an_older_version_left_beside_its_parts_goes_at_the_next_write(
    tmp_path: Path,
) -> None:
    """It kept replaced parts in the table's folder, wrote there, and knew no `_parts`."""
    corpus = tmp_path / "c"
    with filled(corpus) as writer:
        writer.compact()
        replaced = sorted((corpus / "_parts" / "problems").iterdir())
    for path in replaced:
        if not (corpus / "problems" / path.name).exists():
            path.rename(corpus / "problems" / path.name)
    shutil.rmtree(corpus / "_parts")
    (corpus / "problems" / "part-000000000099-aaaaaa-bbbbbb.parquet.tmp").write_bytes(b"PAR1torn")
    assert len(shown(corpus)) == 1 + NUM_ROWS
    CorpusWriter(corpus).close()
    assert globbed(corpus / "problems") == questions(corpus) == EXPECTED
    assert len(list((corpus / "problems").iterdir())) == 1


def test_a_copy_has_one_file_a_part_again_after_its_next_write(tmp_path: Path) -> None:
    corpus = tmp_path / "c"
    filled(corpus).close()
    copy = Path(shutil.copytree(corpus, tmp_path / "copy"))
    assert {path.stat().st_nlink for path in shown(copy)} == {1}
    CorpusWriter(copy).close()
    assert {path.stat().st_nlink for path in shown(copy)} == {2}


def test_a_long_part_has_no_second_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing merges it, and a copy of the corpus would have all its bytes twice."""
    monkeypatch.setattr(local_store, "LARGE_BYTES", 1)
    corpus = tmp_path / "c"
    filled(corpus).close()
    assert not list((corpus / "_parts").rglob("*.parquet"))
    assert Corpus(corpus).parts()["problems"] == [str(path) for path in shown(corpus)]


def test_parts_of_a_manifest_put_back_are_shown_again(tmp_path: Path) -> None:
    """Whatever is live by the manifest is in the folder after the next write."""
    corpus = tmp_path / "c"
    with filled(corpus) as writer:
        before = load_manifest(writer.store)
        assert before is not None
        writer.compact()
        save_manifest(writer.store, before)
    CorpusWriter(corpus).close()
    assert len(shown(corpus)) == NUM_ROWS
    assert globbed(corpus / "problems") == EXPECTED
