"""Whatever moment a writer dies at, the next one has every finished row exactly once.

A copy of the folder taken while a writer is open is what `kill -9` leaves at that moment; files put
back from before a fold are what it leaves between the steps of the fold.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from infra.storage import CorpusWriter
from infra.storage.local import LocalStore
from tests.unit.test_storage import finish, questions, shown

JOURNAL = Path("_journal") / "journal.sqlite"


def killed(corpus: Path, copy: Path) -> Path:
    """What a kill at this moment leaves of `corpus`."""
    return Path(shutil.copytree(corpus, copy))


def test_killed_before_any_fold(tmp_path: Path) -> None:
    with CorpusWriter(tmp_path / "c") as writer:
        finish(writer, 1)
        left = killed(tmp_path / "c", tmp_path / "left")
    assert questions(left) == []
    CorpusWriter(left).close()
    assert questions(left) == ["q1"]


def folded(folder: Path) -> tuple[Path, Path]:
    """A corpus before a fold of two records and after it, as kills would leave them."""
    with CorpusWriter(folder / "c") as writer:
        finish(writer, 1)
        writer.flush()
        finish(writer, 2)
        finish(writer, 3)
        before = killed(folder / "c", folder / "before")
        writer.flush()
        after = killed(folder / "c", folder / "after")
    return before, after


def test_killed_between_writing_parts_and_the_manifest(tmp_path: Path) -> None:
    before, after = folded(tmp_path)
    shutil.copytree(after / "problems", before / "problems", dirs_exist_ok=True)
    CorpusWriter(before).close()
    assert questions(before) == ["q1", "q2", "q3"]
    assert len(list((before / "problems").iterdir())) == 2


def test_killed_between_the_manifest_and_trimming_the_journal(tmp_path: Path) -> None:
    before, after = folded(tmp_path)
    shutil.rmtree(after / "_journal")
    shutil.copytree(before / "_journal", after / "_journal")
    with CorpusWriter(after) as writer:
        assert finish(writer, 3) == 0
        assert finish(writer, 4) == 1
    assert questions(after) == ["q1", "q2", "q3", "q4"]


def test_killed_while_writing_a_part_or_the_manifest(tmp_path: Path) -> None:
    before, _ = folded(tmp_path)
    (before / "problems" / "part-000000000003-aaaaaa-bbbbbb.parquet.tmp").write_bytes(b"PAR1torn")
    (before / "_manifest.json.tmp").write_bytes(b'{"ver')
    CorpusWriter(before).close()
    assert questions(before) == ["q1", "q2", "q3"]
    assert not list(before.rglob("*.tmp"))


@pytest.mark.parametrize("tear", ["truncate", "empty", "remove"])
def test_torn_part_is_set_aside_and_its_rows_can_be_made_again(tmp_path: Path, tear: str) -> None:
    _, after = folded(tmp_path)
    part = shown(after)[1]
    if tear == "remove":
        LocalStore(after).delete(f"problems/{part.name}")
    else:
        part.write_bytes(part.read_bytes()[: 100 if tear == "truncate" else 0])
    with CorpusWriter(after) as writer:
        assert len(writer.warnings) == 1
        assert "2 rows are made again" in writer.warnings[0]
        assert ("set aside" in writer.warnings[0]) == (tear != "remove")
        assert [finish(writer, number) for number in (1, 2, 3)] == [0, 1, 1]
    assert questions(after) == ["q1", "q2", "q3"]
    assert len(list(after.glob("_quarantine/*"))) == (0 if tear == "remove" else 1)
    CorpusWriter(after).close()


@pytest.mark.parametrize("damage", ["garbage", "gone", "old"])
def test_lost_journal_loses_only_what_was_not_folded(tmp_path: Path, damage: str) -> None:
    before, after = folded(tmp_path)
    with CorpusWriter(after) as writer:
        finish(writer, 4)
    for file in (after / "_journal").iterdir():
        file.unlink()
    if damage == "garbage":
        (after / JOURNAL).write_bytes(b"not a database" * 1000)
    if damage == "old":
        shutil.copytree(before / "_journal", after / "_journal", dirs_exist_ok=True)
    with CorpusWriter(after) as writer:
        assert bool(writer.warnings) == (damage == "garbage")
        assert [finish(writer, number) for number in (1, 2, 3, 4, 5)] == [0, 0, 0, 0, 1]
    assert questions(after) == ["q1", "q2", "q3", "q4", "q5"]


def test_foreign_journal_is_folded_once(tmp_path: Path) -> None:
    _, after = folded(tmp_path)
    with CorpusWriter(tmp_path / "other") as writer:
        finish(writer, 2)
        finish(writer, 9)
        other = killed(tmp_path / "other", tmp_path / "copy")
    shutil.rmtree(after / "_journal")
    shutil.copytree(other / "_journal", after / "_journal")
    CorpusWriter(after).close()
    assert questions(after) == ["q1", "q2", "q3", "q9"]


class Corpora(RuleBasedStateMachine):
    """Any order of finishing, folding, compacting, killing and losing leftovers."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.generation = 0
        self.finished: list[str] = []
        self.issued = 0
        self.corpus = self.begin()
        self.writer = self.open()

    def begin(self) -> Any:
        """Where the first corpus will be."""
        return self.root / "corpus-0"

    def open(self) -> CorpusWriter:
        return CorpusWriter(self.corpus, fold_records=5, grace_s=0)

    def copy_as_killed(self) -> Any:
        """What a kill at this moment leaves, and a part that did not reach the manifest."""
        left = killed(self.corpus, self.root / f"corpus-{self.generation}")
        (left / "problems").mkdir(exist_ok=True)
        (left / "problems" / "part-000000000099-aaaaaa-cccccc.parquet").write_bytes(b"torn")
        return left

    def seen(self) -> list[object]:
        """Questions a reader finds."""
        return questions(self.corpus)

    @rule(number=st.integers(0, 40))
    def finish(self, number: int) -> None:
        self.writer.issued(str(number))
        self.issued += 1
        is_new = f"q{number}" not in self.finished
        assert finish(self.writer, number) == is_new
        if is_new:
            self.finished.append(f"q{number}")

    @rule()
    def flush(self) -> None:
        self.writer.flush()
        assert self.seen() == self.finished

    @rule()
    def compact(self) -> None:
        self.writer.compact()

    @precondition(lambda self: self.finished)
    @rule()
    def kill(self) -> None:
        self._settle()
        self.generation += 1
        left = self.copy_as_killed()
        self.writer.close()
        self.corpus = left
        self.writer = self.open()

    @rule()
    def close(self) -> None:
        self.writer.close()
        self.writer = self.open()

    def _settle(self) -> None:
        """A copy is one moment only while no fold runs in the background."""
        if self.writer._fold is not None:
            self.writer._fold.result()

    @invariant()
    def reader_sees_a_beginning_of_it(self) -> None:
        self._settle()
        seen = self.seen()
        assert seen == self.finished[: len(seen)]
        assert self.writer.counts()[0] == self.issued

    def teardown(self) -> None:
        self.writer.close()
        assert self.seen() == self.finished
        assert not list(self.writer.store.folder.rglob("*.tmp"))
        shutil.rmtree(self.root)


TestCorpora = Corpora.TestCase
TestCorpora.settings = settings(max_examples=10, stateful_step_count=20, deadline=None)


def merged(writer: CorpusWriter, *, start: int) -> None:
    for number in range(start, start + 3):
        finish(writer, number)
        writer.flush()
    writer.compact()


def num_files(corpus: Path) -> int:
    """A live part has two names and is counted once, a replaced one has but one."""
    assert len(shown(corpus)) == 1
    return len(list((corpus / "_parts" / "problems").iterdir()))


def test_a_clock_set_forward_takes_no_part_from_its_readers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = time.time()
    with CorpusWriter(tmp_path / "c", grace_s=60) as writer:
        merged(writer, start=0)
        assert num_files(tmp_path / "c") == 4
        monkeypatch.setattr(time, "time", lambda: wall + 86_400)
        writer.compact()
        assert num_files(tmp_path / "c") == 4
    assert questions(tmp_path / "c") == ["q0", "q1", "q2"]


def test_a_clock_set_back_leaves_no_part_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = time.time()
    monkeypatch.setattr(time, "time", lambda: wall + 86_400)
    with CorpusWriter(tmp_path / "c", grace_s=60) as writer:
        merged(writer, start=0)
    monkeypatch.setattr(time, "time", lambda: wall)  # mended
    CorpusWriter(tmp_path / "c", grace_s=60).close()
    assert num_files(tmp_path / "c") == 4
    monkeypatch.setattr(time, "time", lambda: wall + 61)
    CorpusWriter(tmp_path / "c", grace_s=60).close()
    assert num_files(tmp_path / "c") == 1
    assert questions(tmp_path / "c") == ["q0", "q1", "q2"]


@pytest.mark.parametrize("jump_s", [-1e9, 1e9])
def test_records_are_folded_whatever_the_clock_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    wall = time.time()
    with CorpusWriter(tmp_path / "c", fold_seconds=0) as writer:
        for number in (1, 2):
            finish(writer, number)
            assert writer._fold is not None
            writer._fold.result()
            assert len(questions(tmp_path / "c")) == number
            monkeypatch.setattr(time, "time", lambda: wall + jump_s)


def test_columns_added_later_are_null_in_older_parts(tmp_path: Path) -> None:
    from sql.database import connect

    with CorpusWriter(tmp_path / "c") as writer:
        finish(writer, 1)
        writer.flush()
        (old,) = map(Path, writer.parts()["problems"])
    name = old.name.replace(old.name.split("-")[2], "000000")  # an older layout
    pq.write_table(pq.read_table(old).drop_columns(["subject"]), tmp_path / name)
    files = [str(tmp_path / name), str(old)]
    rows = connect({"problems": files}).run("select question, subject, line from raw_problems").rows
    assert rows == [("q1", None, None)] * 2
