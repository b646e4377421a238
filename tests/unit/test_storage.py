"""The corpus keeps what was finished, once, and says in one line what is wrong with a folder."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from infra.storage import Corpus, CorpusError, CorpusWriter
from infra.storage.errors import explained
from infra.storage.local import LocalStore
from infra.storage.parquet_parts import layout
from sql.database import connect
from tasks.schemas import TABLES, Problem, Rejection, Row, Run, Score, arrow_schema
from tests.unit import sample_corpus as sample


def problem(number: int, **columns: Any) -> Problem:
    values: dict[str, Any] = {
        "source": "test",
        "question": f"q{number}",
        "answer": "1",
        "answer_type": "math",
    }
    return Problem(**{**values, **columns})


def finish(writer: CorpusWriter, number: int, *rows: Row) -> int:
    return writer.finish(
        f"in{number}", rows or [problem(number)], stage_fingerprint="fp", run_id="run"
    )


def stored(corpus: Path, table: str = "problems") -> list[dict[str, object]]:
    files = Corpus(corpus).parts()[table]
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def shown(corpus: Path, table: str = "problems") -> list[Path]:
    """The parts in a table's folder, where anybody may glob them."""
    return sorted((corpus / table).glob("*.parquet"))


def questions(corpus: Path) -> list[object]:
    return [row["question"] for row in stored(corpus)]


def test_finished_rows_are_stored_with_id_and_stamp(tmp_path: Path) -> None:
    with CorpusWriter(tmp_path / "c") as writer:
        assert finish(writer, 1) == 1
    (row,) = stored(tmp_path / "c")
    assert row["problem_id"] == problem(1).content_id()
    assert [row[name] for name in ("run_id", "stage_fingerprint", "input_id")] == [
        "run",
        "fp",
        "in1",
    ]
    assert len(str(row["created_at"])) == len("2026-01-01T00:00:00.000000+00:00")


def test_parts_have_exactly_the_declared_schema(tmp_path: Path) -> None:
    with CorpusWriter(tmp_path / "c") as writer:
        finish(writer, 1, problem(1), Rejection(record_id="r", stage="s", reason="bad"))
        writer.flush()
        finish(writer, 2)
        writer.flush()
        writer.compact()
    for table in ("problems", "rejections"):
        (file,) = Corpus(tmp_path / "c").parts()[table]
        assert pq.read_schema(file).equals(arrow_schema(TABLES[table]), check_metadata=False)
        assert pq.read_schema(file).field("run_id").metadata[b"description"]


def test_rows_keep_their_order_through_folds_and_compaction(tmp_path: Path) -> None:
    with CorpusWriter(tmp_path / "c", grace_s=0) as writer:
        for number in range(30):
            finish(writer, number)
            if number % 4 == 0:
                writer.flush()
        writer.flush()
        assert writer.compact("problems") == 9
        assert len(writer.parts()["problems"]) == 1
    assert questions(tmp_path / "c") == [f"q{i}" for i in range(30)]
    assert len(list((tmp_path / "c" / "problems").iterdir())) == 1


def test_same_row_is_stored_once(tmp_path: Path) -> None:
    with CorpusWriter(tmp_path / "c") as writer:
        assert finish(writer, 1) == 1
        assert finish(writer, 1) == 0
        writer.flush()
        assert finish(writer, 1, problem(1), problem(2)) == 1
    with CorpusWriter(tmp_path / "c") as writer:
        assert finish(writer, 2) == 0
    assert questions(tmp_path / "c") == ["q1", "q2"]


def test_odd_values_survive(tmp_path: Path) -> None:
    score = Score(
        rationale_id="r", problem_id="p", student="s", num_tokens=2**40, num_answer_tokens=0,
        ppl_rationale=math.inf, ppl_answer=1, ppl_answer_given_rationale=-math.inf, rd=math.nan,
    )  # fmt: skip
    with CorpusWriter(tmp_path / "c") as writer:
        finish(writer, 1, problem(1, question="a\ud800b\0c\U0001f600", answer="\udcff"), score)
    (row,) = stored(tmp_path / "c")
    assert (row["question"], row["answer"]) == ("a?b\0c\U0001f600", "?")
    (row,) = stored(tmp_path / "c", "scores")
    assert row["num_tokens"] == 2**40
    assert (row["ppl_rationale"], row["ppl_answer"]) == (math.inf, 1.0)
    assert math.isnan(float(str(row["rd"])))


def scored(number: int, others: Any) -> Score:
    return Score(
        rationale_id=f"r{number}", problem_id="p", student="s", num_tokens=1, num_answer_tokens=1,
        ppl_rationale=1.0, ppl_answer=1.0, ppl_answer_given_rationale=1.0, rd=1.0, others=others,
    )  # fmt: skip


MAPS: list[dict[str, float] | None] = [
    None, {"a": 0.5, "b": -math.inf}, {}, {"b": math.inf}, None, {"\ud800": 2},
]  # fmt: skip


def test_maps_survive_journal_folds_compaction_and_reopening(tmp_path: Path) -> None:
    with CorpusWriter(tmp_path / "c", grace_s=0) as writer:
        for number, others in enumerate(MAPS):
            finish(writer, number, scored(number, others))
            if number in (0, 3):
                writer.flush()
    with CorpusWriter(tmp_path / "c", grace_s=0) as writer:
        assert finish(writer, 1, scored(1, MAPS[1])) == 0  # the same row again
        finish(writer, 9, scored(9, {"a": math.nan}))
        writer.flush()
        assert writer.compact("scores") > 1
        (file,) = writer.parts()["scores"]
    *found, last = [row["others"] for row in pq.read_table(file).to_pylist()]
    expected = [
        m if m is None else {k.replace("\ud800", "?"): v for k, v in m.items()} for m in MAPS
    ]
    assert [m if m is None else dict(m) for m in found] == expected
    assert last[0][0] == "a"
    assert math.isnan(last[0][1])
    assert pq.read_schema(file).equals(arrow_schema(Score), check_metadata=False)


@pytest.mark.parametrize("others", [{"a": "high"}, {1: 0.5}, [("a", 1.0)], {"a": None}])
def test_a_map_that_does_not_fit_is_refused_at_once(tmp_path: Path, others: Any) -> None:
    told = pytest.raises(ValueError, match=r"scores\.others")
    with CorpusWriter(tmp_path / "c") as writer, told:
        finish(writer, 1, scored(1, others))


def test_scores_of_an_older_version_are_read_and_merged(tmp_path: Path) -> None:
    """Written before `others` was a column, it is null."""
    with CorpusWriter(tmp_path / "c", grace_s=0) as writer:
        finish(writer, 1, scored(1, None))
    (file,) = shown(tmp_path / "c", "scores")
    rewrite_without(file, "others")
    with CorpusWriter(tmp_path / "c", grace_s=0) as writer:
        finish(writer, 2, scored(2, {"a": 0.5}))
        writer.flush()
        query = "select rationale_id, others from raw_scores order by all"
        expected = [("r1", None), ("r2", {"a": 0.5})]
        assert len(writer.parts()["scores"]) == 2
        assert connect(writer.parts()).run(query).rows == expected
        writer.compact("scores")
        assert len(writer.parts()["scores"]) == 1
        assert connect(writer.parts()).run(query).rows == expected


@pytest.mark.parametrize(
    ("row", "number", "column", "value"),
    [
        (sample.LONG.row, "candidate", "stated_as", "box"),
        (sample.EVALUATED.row, "sample", "stated_as", "box"),
        (sample.MODEL.row, "data_fingerprint", "num_too_long", 3),
    ],
)
def test_rows_from_before_a_column_are_read_and_merged(
    tmp_path: Path, row: Row, number: str, column: str, value: Any
) -> None:
    """`number` tells two rows apart."""
    folder, table = tmp_path / "c", row.table
    first, second = map(type(getattr(row, number)), (1, 2))
    query = f"select {column} from raw_{table} order by {number}"
    with CorpusWriter(folder, grace_s=0) as writer:
        finish(writer, 1, replace(row, **{number: first, column: None}))
    (file,) = shown(folder, table)
    rewrite_without(file, column)
    with CorpusWriter(folder, grace_s=0) as writer:
        finish(writer, 2, replace(row, **{number: second, column: value}))
        writer.flush()
        assert len(writer.parts()[table]) == 2
        assert connect(writer.parts()).run(query).rows == [(None,), (value,)]
        writer.compact(table)
        assert len(writer.parts()[table]) == 1
        assert connect(writer.parts()).run(query).rows == [(None,), (value,)]


def rewrite_without(file: Path, column: str) -> None:
    """The part as a version that did not know the column wrote it: other columns, other layout."""
    table = pq.read_table(file).drop_columns([column])
    name = "-".join([*file.name.split("-")[:2], layout(table.schema), "abcdef.parquet"])
    pq.write_table(table, file.with_name(name))
    manifest = file.parents[1] / "_manifest.json"
    text = manifest.read_text().replace(file.name, name)
    text = re.sub(r'"bytes": ?\d+', f'"bytes": {file.with_name(name).stat().st_size}', text)
    manifest.write_text(as_unsealed(text))
    file.unlink()


def as_unsealed(text: str) -> str:
    """A manifest as the version before wrote it: no checksums, nothing of whose rows they are."""
    read = json.loads(text)
    for added in ("seal", "needs", "schema"):
        del read[added]
    later = ("checksum", "etag", "shards", "made")
    parts = {
        table: [{k: v for k, v in part.items() if k not in later} for part in live]
        for table, live in read["parts"].items()
    }
    return json.dumps({**read, "version": 1, "parts": parts}, indent=1)


@pytest.mark.parametrize(
    ("columns", "told"),
    [({"question": None}, "problems.question"), ({"line": 2**63}, "problems.line"),
     ({"line": 1.5}, "problems.line"), ({"subject": b"x"}, "problems.subject")],
)  # fmt: skip
def test_value_that_does_not_fit_is_refused_at_once(
    tmp_path: Path, columns: dict[str, Any], told: str
) -> None:
    with CorpusWriter(tmp_path / "c") as writer:
        with pytest.raises(ValueError, match=told):
            finish(writer, 1, problem(1, **columns))
        finish(writer, 2)
    assert questions(tmp_path / "c") == ["q2"]


def test_record_without_rows_is_refused(tmp_path: Path) -> None:
    with CorpusWriter(tmp_path / "c") as writer, pytest.raises(ValueError, match="no row"):
        writer.finish("in1", [], stage_fingerprint="fp", run_id="run")


def test_run_is_stored_under_its_own_id(tmp_path: Path) -> None:
    run = Run(recipe="r", resolved="{}", fingerprints="{}", versions="{}")
    with CorpusWriter(tmp_path / "c") as writer:
        writer.finish("run", [run], stage_fingerprint="", run_id=run.content_id())
        with pytest.raises(ValueError, match=r"runs\.run_id"):
            finish(writer, 1, Run(recipe="x", resolved="{}", fingerprints="{}", versions="{}"))
    (row,) = stored(tmp_path / "c", "runs")
    assert row["run_id"] == run.content_id()


def test_folds_by_itself_once_enough_is_pending(tmp_path: Path) -> None:
    with CorpusWriter(tmp_path / "c", fold_records=10, fold_seconds=1e9) as writer:
        for number in range(10):
            finish(writer, number)
        assert writer._fold is not None
        writer._fold.result()
        assert len(questions(tmp_path / "c")) == 10


def test_many_small_parts_are_merged_in_passing(tmp_path: Path) -> None:
    with CorpusWriter(tmp_path / "c") as writer:
        for number in range(70):
            finish(writer, number)
            writer.flush()
        assert len(writer.parts()["problems"]) < 10
    assert questions(tmp_path / "c") == [f"q{i}" for i in range(70)]


def test_compaction_leaves_large_parts_alone(tmp_path: Path) -> None:
    with CorpusWriter(tmp_path / "c") as writer:
        for number in range(3):
            finish(writer, number)
            writer.flush()
        assert writer.compact(target_bytes=100) == 0


def test_requests_are_counted_and_remembered_until_done(tmp_path: Path) -> None:
    with CorpusWriter(tmp_path / "c") as writer:
        for key in ("a", "b", "a"):
            writer.issued(key)
        writer.completed("a", "reply \ud800")
        writer.completed("b", "other")
    with CorpusWriter(tmp_path / "c") as writer:
        assert (writer.lookup("a"), writer.lookup("c")) == ("reply \ud800", None)
        writer.finish(
            "in1", [problem(1)], stage_fingerprint="fp", run_id="run", requests_done=["a"]
        )
        assert (writer.lookup("a"), writer.lookup("b")) == (None, "other")
        assert writer.counts() == (3, 1)


def test_threads_may_share_a_writer(tmp_path: Path) -> None:
    def work(start: int) -> None:
        for number in range(start, start + 50):
            writer.issued(str(number))
            finish(writer, number)

    with CorpusWriter(tmp_path / "c", fold_records=7) as writer:
        threads = [threading.Thread(target=work, args=[start]) for start in (0, 25, 100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert writer.counts() == (150, 25)
    assert sorted(map(str, questions(tmp_path / "c"))) == sorted(
        f"q{i}" for i in [*range(75), *range(100, 150)]
    )


def test_readers_never_see_a_row_twice_or_miss_one_while_parts_merge(tmp_path: Path) -> None:
    with CorpusWriter(tmp_path / "c") as writer:
        for number in range(20):
            finish(writer, number)
            writer.flush()
        done = threading.Event()

        def merge() -> None:
            for number in range(20, 35):
                writer.compact()
                finish(writer, number)
                writer.flush()
            done.set()

        merging = threading.Thread(target=merge)
        merging.start()
        while not done.is_set():
            seen = questions(tmp_path / "c")
            assert len(seen) >= 20
            assert seen == [f"q{i}" for i in range(len(seen))]
        merging.join()


def test_second_writer_is_refused_in_one_line(tmp_path: Path) -> None:
    with CorpusWriter(tmp_path / "c"):
        with pytest.raises(CorpusError, match=rf"written by process {os.getpid()} on ") as caught:
            CorpusWriter(tmp_path / "c")
        assert "\n" not in str(caught.value)
    CorpusWriter(tmp_path / "c").close()


def test_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    code = """if True:
        import os, sys, time
        from infra.storage import CorpusWriter
        writer = CorpusWriter(sys.argv[1])
        if os.fork() == 0:
            print(os.getpid(), flush=True)
            sys.stdin.read()
            os._exit(0)
        os.kill(os.getpid(), 9)
    """
    command = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "c")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert int(parent.stdout.readline())  # the child lives on
        parent.wait()
        CorpusWriter(tmp_path / "c").close()


def test_notes_outlive_a_killed_writer_and_those_after_it(tmp_path: Path) -> None:
    code = """if True:
        import os, sys
        from infra.storage import CorpusWriter
        writer = CorpusWriter(sys.argv[1])
        writer.keep_notes([{**writer.holder, "flow_run": "first"}, {"flow_run": "second"}])
        print(os.getpid(), flush=True)
        os.kill(os.getpid(), 9)
    """
    command = [sys.executable, "-c", code, str(tmp_path / "c")]
    pid = int(subprocess.run(command, capture_output=True, check=False).stdout)
    CorpusWriter(tmp_path / "c").close()  # of a command that has no use for them
    with CorpusWriter(tmp_path / "c") as writer:
        first, second = writer.notes
        assert (first["flow_run"], first["pid"], second) == ("first", pid, {"flow_run": "second"})
        assert writer.holder["pid"] == os.getpid()
        with pytest.raises(CorpusError, match=rf"written by process {os.getpid()} on "):
            CorpusWriter(tmp_path / "c")
        writer.keep_notes([second])
    with CorpusWriter(tmp_path / "c") as writer:
        assert writer.notes == (second,)


@pytest.mark.parametrize(
    ("content", "notes"),
    [
        (b"", ()),
        (b'{"pid": 1, "host": "x", "since": "y"}', ()),  # as it was before there were notes
        (b'{"pid": 1, "notes": [{"flow_run": "a"}, 3]}', ({"flow_run": "a"},)),
        (b'{"pid": 1, "notes": [{"flow_run": "a"}]}: "b"}]}', ({"flow_run": "a"},)),  # killed
        (b'{"pid": 1, "notes": [{"flow', ()),
        (b"\xff\x00", ()),
        (b"[]", ()),
    ],
)
def test_notes_of_a_torn_file(tmp_path: Path, content: bytes, notes: tuple[object, ...]) -> None:
    CorpusWriter(tmp_path / "c").close()
    (tmp_path / "c" / "_lock").write_bytes(content)
    with CorpusWriter(tmp_path / "c") as writer:
        assert writer.notes == notes


def test_reading_what_is_no_corpus(tmp_path: Path) -> None:
    assert not Corpus(tmp_path).exists
    with pytest.raises(CorpusError, match="no corpus here"):
        Corpus(tmp_path / "typo").parts()


def test_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(CorpusError, match=r"not a corpus but holds thesis\.tex"):
        CorpusWriter(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


def test_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("x")
    with pytest.raises(CorpusError, match="is in the way"):
        CorpusWriter(tmp_path / "c")
    with pytest.raises(CorpusError, match="is in the way"):
        CorpusWriter(tmp_path / "c" / "d")


def test_lost_manifest_is_not_taken_for_an_empty_corpus(tmp_path: Path) -> None:
    with CorpusWriter(tmp_path / "c") as writer:
        finish(writer, 1)
    (tmp_path / "c" / "_manifest.json").unlink()
    with pytest.raises(CorpusError, match=r"_manifest\.json is gone"):
        CorpusWriter(tmp_path / "c")
    assert list((tmp_path / "c" / "problems").iterdir())


def test_damaged_manifest_and_newer_version(tmp_path: Path) -> None:
    CorpusWriter(tmp_path / "c").close()
    manifest = tmp_path / "c" / "_manifest.json"
    manifest.write_text('{"version": 1, "par')
    with pytest.raises(CorpusError, match="restore it from a backup"):
        CorpusWriter(tmp_path / "c")
    manifest.write_text('{"version": 99}')
    with pytest.raises(CorpusError, match="upgrade litecot"):
        Corpus(tmp_path / "c").parts()


def test_full_journal_disk_is_one_line_and_passes(tmp_path: Path) -> None:
    with CorpusWriter(tmp_path / "c") as writer:
        database = writer._journal._db
        (pages,) = database.execute("pragma page_count").fetchone()
        database.execute(f"pragma max_page_count = {pages}")
        with pytest.raises(CorpusError, match="no space left") as caught:
            finish(writer, 1, problem(1, question="x" * 1_000_000))
        assert "\n" not in str(caught.value)
        database.execute("pragma max_page_count = 1000000")
        finish(writer, 2)
    assert questions(tmp_path / "c") == ["q2"]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (errno.ENOSPC, "no space left"),
        (errno.EROFS, "cannot be written"),
        (errno.EACCES, "cannot be read or written by this user"),
        (errno.EIO, "repair"),
    ],
)
def test_disk_errors_name_the_remedy(code: int, told: str) -> None:
    with pytest.raises(CorpusError, match=told), explained(Path("corpus")):
        raise OSError(code, os.strerror(code))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(CorpusError, match="cannot be read or written by this user"):
        CorpusWriter(tmp_path / "c")


def test_missing_part_is_told_to_readers(tmp_path: Path) -> None:
    with CorpusWriter(tmp_path / "c") as writer:
        finish(writer, 1)
    (file,) = shown(tmp_path / "c")
    LocalStore(tmp_path / "c").delete(f"problems/{file.name}")
    with pytest.raises(CorpusError, match="is gone"):
        Corpus(tmp_path / "c").parts()


class BusyStore(LocalStore):
    """While a part is published, another record is finished, up to 20 of them."""

    writer: CorpusWriter | None = None
    num_more = 20

    def publish(self, name: str, *, apart: bool = False) -> str:
        tag = super().publish(name, apart=apart)
        if self.writer is not None and self.num_more:
            self.num_more -= 1
            finish(self.writer, 1000 + self.num_more)
        return tag


def test_what_is_finished_during_a_fold_waits_for_the_next(tmp_path: Path) -> None:
    """Else a fold under load never ends and leaves a part for every handful of records."""
    store = BusyStore(tmp_path / "c")
    with CorpusWriter(store, fold_records=10**6, fold_seconds=3600.0) as writer:
        finish(writer, 1)
        store.writer = writer
        writer.flush()
        store.writer = None
        assert len(writer.parts()["problems"]) == 1
    assert len(questions(tmp_path / "c")) == 1 + 20 - store.num_more
