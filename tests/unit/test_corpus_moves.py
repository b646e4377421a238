"""`litecot corpus copy`, `merge`, `diff`: what arrives is what was sent, ids make a union."""

from __future__ import annotations

import json
import random
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from infra.storage import Corpus, CorpusWriter
from infra.storage.checksums import sum_folder
from tasks.schemas import TABLES, Row
from tests.killed import kill_at, num_published
from tests.unit import sample_corpus as sample
from tests.unit.test_corpus_care import YOUNG_ID, command, copied, ids, write_young
from tests.unit.test_rot import flip
from tests.unit.test_storage import finish, problem, shown, stored


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a student of 1 KB and a checkpoint."""
    folder = tmp_path_factory.mktemp("moves") / "sample"
    sample.write_sample(folder)
    for name in ("m/model.bin", "m/deep/vocab", ".training/77/step-1/w"):
        path = folder / "weights" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.Random(name).randbytes(1000))
    sum_folder(folder / "weights" / "m")
    return folder


@pytest.fixture
def corpus(made: Path, tmp_path: Path) -> Path:
    return copied(made, tmp_path / "corpus")


def files(corpus: Path) -> dict[str, bytes]:
    """What a copy is to have: parts and weights, by the names that anybody reads."""
    return {
        str(path.relative_to(corpus)): path.read_bytes()
        for folder in (*TABLES, "weights")
        for path in (corpus / folder).rglob("*")
        if path.is_file()
    }


def difference(here: object, there: object) -> Any:
    code, out, err = command("diff", here, there, "--json")
    assert code in (0, 1), err
    found = json.loads(out)
    assert found["equal"] == (code == 0)
    return found


def counts(found: Any, column: str) -> dict[str, int]:
    """Table -> how many, without zeros."""
    return {one["table"]: one[column] for one in found["tables"] if one[column]}


# --- copy


def test_a_copy_is_equal_byte_for_byte_and_needs_no_journal(corpus: Path, tmp_path: Path) -> None:
    code, out, err = command("copy", corpus, tmp_path / "to")
    assert (code, err) == (0, "")
    assert re.fullmatch(
        r".*/to: 19 parts, 42 rows and 1 student as in .*/corpus; 1\d\d\.\d KiB sent, 0 bytes were "
        r"there\n", out,
    )  # fmt: skip
    assert files(tmp_path / "to") == files(corpus)
    assert difference(corpus, tmp_path / "to")["equal"]
    assert command("check", "--corpus", tmp_path / "to")[0] == 0
    with CorpusWriter(tmp_path / "to") as writer:
        assert writer.warnings == ()
        again = writer.finish(
            "x", [sample.LONG.row], stage_fingerprint="fp-generate", run_id=sample.RUN_ID
        )
        assert (again, finish(writer, 1)) == (0, 1)


def test_a_later_copy_sends_what_is_new_and_drops_what_is_gone(
    corpus: Path, tmp_path: Path
) -> None:
    to = tmp_path / "to"
    assert command("copy", corpus, to)[0] == 0
    with CorpusWriter(corpus, grace_s=0) as writer:
        finish(writer, 1)
        writer.compact()
    shutil.rmtree(corpus / "weights" / ".training")
    code, out, _ = command("copy", corpus, to)
    assert code == 0
    there = int(re.findall(r"([\d.]+) KiB were there", out)[0].partition(".")[0])
    assert there > 80  # of tables that had one part, and the student
    assert files(to) == files(corpus)
    assert difference(corpus, to)["equal"]
    code, out, _ = command("copy", corpus, to)
    assert "; 0 bytes sent, " in out


def test_a_copy_that_was_killed_is_known_to_be_unfinished_and_goes_on(
    corpus: Path, tmp_path: Path
) -> None:
    copy = ("corpus", "copy", corpus)
    last = num_published(*copy, tmp_path / "whole")
    for at in (2, last - 1):
        to = tmp_path / str(at)
        kill_at(at, *copy, to)
        code, _, err = command("check", "--corpus", to)
        assert code == 2
        assert err == (
            f"litecot: {to}: is an unfinished copy; go on with `litecot corpus copy {corpus} {to}`"
            "\n"
        )
        assert command("compact", "--corpus", to)[2] == err
        code, out, _ = command("copy", corpus, to)
        assert code == 0
        assert "; 0 bytes sent" not in out or at == last - 1
        assert files(to) == files(corpus)
        assert command("check", "--corpus", to)[0] == 0


def test_what_rotted_is_not_copied(corpus: Path, tmp_path: Path) -> None:
    for path in (shown(corpus, "scores")[0], corpus / "weights" / "m" / "model.bin"):
        to = tmp_path / f"without {path.name}"  # files go side by side: a copy may have the other
        before = flip(path, random.Random(1))
        code, _, err = command("copy", corpus, to)
        assert code == 2
        assert f"{path}: holds other bytes than were written" in err
        path.write_bytes(before)
        assert command("copy", corpus, to)[0] == 0


def test_a_place_that_has_something_is_left_alone(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("x")
    assert "is not empty but holds mine.txt" in command("copy", corpus, tmp_path / "other")[2]
    with CorpusWriter(tmp_path / "own") as writer:
        finish(writer, 1)
    assert "holds a corpus of its own" in command("copy", corpus, tmp_path / "own")[2]
    assert command("copy", corpus, tmp_path / "to")[0] == 0
    with CorpusWriter(tmp_path / "to") as writer:
        finish(writer, 1)
    before = ids(tmp_path / "to")
    assert "or a copy that was written to since" in command("copy", corpus, tmp_path / "to")[2]
    assert ids(tmp_path / "to") == before
    assert "is the corpus itself" in command("copy", corpus, corpus)[2]
    with CorpusWriter(tmp_path / "new"):
        assert "is being written by process" in command("copy", corpus, tmp_path / "new")[2]


def test_records_that_wait_in_the_journal_are_told(corpus: Path, tmp_path: Path) -> None:
    with CorpusWriter(corpus, fold_seconds=1e9) as writer:
        finish(writer, 1)
        code, out, _ = command("copy", corpus, tmp_path / "to")
    assert code == 0
    assert "1 finished record of its journal in no part yet and not copied; `litecot corpus" in out
    assert difference(corpus, tmp_path / "to")["equal"] is False
    assert command("copy", corpus, tmp_path / "to")[0] == 0
    assert difference(corpus, tmp_path / "to")["equal"]


# --- merge


def test_a_union_has_the_rows_runs_and_students_of_both_and_equal_ones_once(
    corpus: Path, tmp_path: Path
) -> None:
    """The other driver worked for a run of its own on one of the problems, and trained too."""
    other = tmp_path / "other"
    sample.write_rows(other, [sample.problem(0), sample.LONG, sample.REWRITTEN])
    write_young(other)
    (other / "weights" / "n").mkdir(parents=True)
    (other / "weights" / "n" / "model.bin").write_bytes(b"n")
    model = sample.Model(**{**vars(sample.MODEL.row), "path": "weights/n", "base": "b"})
    with CorpusWriter(other) as writer:
        writer.finish("n", [model], stage_fingerprint="fp3-train", run_id=YOUNG_ID)
    to = tmp_path / "to"
    code, out, err = command("merge", corpus, other, "--into", to)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == f"{to}: 46 rows and 2 students came, 3 rows were there already"
    union = {table: sorted({*a, *ids(other)[table]}) for table, a in ids(corpus).items()}
    assert ids(to) == union
    assert {one.name for one in (to / "weights").iterdir()} == {"m", "n", ".training"}
    assert command("check", "--corpus", to)[0] == 0
    both = difference(corpus, to)
    assert counts(both, "num_only_here") == counts(both, "num_differing") == {}
    assert {run["run_id"] for run in both["runs"]} == {sample.RUN_ID, sample.OTHER_ID, YOUNG_ID}
    code, out, _ = command("merge", corpus, other, "--into", to)  # again: nothing is new
    assert out.splitlines()[-1] == f"{to}: 0 rows and 0 students came, 49 rows were there already"
    assert ids(to) == union


def test_two_drivers_of_one_run_share_its_records(tmp_path: Path) -> None:
    """Each took in all problems and did its own shard."""
    rows = [*map(problem, range(6))]
    for shard, name in enumerate(("a", "b")):
        with CorpusWriter(tmp_path / name) as writer:
            for number, row in enumerate(rows):
                finish(writer, number, row)
            for number in range(3 * shard, 3 * shard + 3):
                chain = sample.rationale("generate", rows[number].content_id()).row
                writer.finish(
                    str(number), [chain], stage_fingerprint="fp", run_id="run", shard=shard
                )
    assert command("merge", tmp_path / "a", tmp_path / "b", "--into", tmp_path / "c")[0] == 0
    assert [len(stored(tmp_path / "c", table)) for table in ("problems", "rationales")] == [6, 6]
    assert [part.shards for part in Corpus(tmp_path / "c").manifest().parts["rationales"]] == [
        (0,), (1,),
    ]  # fmt: skip
    with CorpusWriter(tmp_path / "c") as writer:  # nothing is left to do
        chain = sample.rationale("generate", rows[4].content_id()).row
        assert writer.finish("4", [chain], stage_fingerprint="fp", run_id="run") == 0


def answered(folder: Path, **columns: Any) -> None:
    row: Row = sample.rationale("generate", sample.P0, **columns).row
    with CorpusWriter(folder) as writer:
        finish(writer, 0, sample.PROBLEMS[0])
        writer.finish("x", [row], stage_fingerprint="fp", run_id="run")


def test_rows_that_differ_under_one_id_are_named_and_nothing_is_done(tmp_path: Path) -> None:
    answered(tmp_path / "a", text="1 + 1 = 2", latency_s=0.5)
    answered(tmp_path / "b", text="it is 3", verdict="wrong", latency_s=0.7)
    to = tmp_path / "to"
    code, _, err = command("merge", tmp_path / "a", tmp_path / "b", "--into", to)
    assert code == 2
    row_id = stored(tmp_path / "a", "rationales")[0]["rationale_id"]
    assert err.startswith(
        f"litecot: rationales: 1 row of {tmp_path}/a and {tmp_path}/b differ under the same id "
        f"({row_id}: text, verdict); "
    )
    assert not to.exists()


def test_what_was_only_measured_otherwise_is_no_contradiction(tmp_path: Path) -> None:
    """The same text, later, on a slower machine: the first one's row stays."""
    answered(tmp_path / "a", latency_s=0.5)
    answered(tmp_path / "b", latency_s=0.7, engine="other")
    assert command("merge", tmp_path / "a", tmp_path / "b", "--into", tmp_path / "c")[0] == 0
    (row,) = stored(tmp_path / "c", "rationales")
    assert (row["latency_s"], row["engine"]) == (0.5, "test")
    found = difference(tmp_path / "a", tmp_path / "b")
    assert found["equal"]
    assert counts(found, "num_measured") == {"problems": 1, "rationales": 1}


def test_killed_while_it_merges_the_result_is_as_it_was_or_merged(tmp_path: Path) -> None:
    for name, numbers in (("a", (1, 2)), ("b", (2, 3)), ("c", (0,))):
        with CorpusWriter(tmp_path / name) as writer:
            for number in numbers:
                finish(writer, number)
    before = ids(tmp_path / "c")
    merge = ("corpus", "merge", tmp_path / "a", tmp_path / "b", "--into")
    last = num_published(*merge, copied(tmp_path / "c", tmp_path / "whole"))
    after = ids(tmp_path / "whole")
    assert len(after["problems"]) == 4
    for back, left in ((2, before), (1, after)):
        to = copied(tmp_path / "c", tmp_path / f"c{back}")
        kill_at(last - back, *merge, to)
        assert ids(to) == left
        assert command(*merge[1:], to)[0] == 0
        assert ids(to) == after
        assert command("check", "--corpus", to)[0] == 0


# --- diff


def test_diff_names_what_is_on_one_side_what_differs_and_how_settings_do(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    answered(here, text="1 + 1 = 2")
    answered(there, text="it is 3")
    for folder, alone, settings in (
        (here, [1], {"a": {"b": 1}, "c": 2}),
        (there, [2, 3], {"c": 3}),
    ):
        run = sample.Run(
            recipe="r", resolved=json.dumps(settings), fingerprints="{}", versions="{}",
            settings=json.dumps(settings),
        )  # fmt: skip
        with CorpusWriter(folder) as writer:
            for number in alone:
                finish(writer, number)
            writer.finish("r", [run], stage_fingerprint="", run_id=run.content_id())
    found = difference(here, there)
    assert counts(found, "num_only_here") == {"problems": 1, "runs": 1}
    assert counts(found, "num_only_there") == {"problems": 2, "runs": 1}
    assert counts(found, "num_differing") == {"rationales": 1}
    (rationales,) = [one for one in found["tables"] if one["table"] == "rationales"]
    assert [*rationales["differing"].values()] == [["text"]]
    assert [run["where"] for run in found["runs"]] == ["there", "here"]
    assert [(one["setting"], one["here"], one["there"]) for one in found["settings"]] == [
        ("a.b", 1, None), ("c", 2, 3),
    ]  # fmt: skip
    code, out, _ = command("diff", here, there)
    assert code == 1
    assert re.search(r"rationales [0-9a-f]{16}: differs in text\n", out)
    assert out.endswith("they differ\n")
