"""`litecot corpus check` names what is wrong with files, rows and the journal, and `--heal` takes
it out without losing a row that a rerun does not make again."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from infra.storage import Corpus, CorpusWriter
from infra.storage.checksums import sum_folder
from infra.storage.local import LocalStore
from infra.storage.manifest import load_manifest, save_manifest
from infra.storage.parquet_parts import write_part
from tests.killed import kill_at, num_published
from tests.unit import sample_corpus as sample
from tests.unit.test_storage import finish, problem, shown, stored


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("check") / "sample"
    sample.write_sample(folder)
    return folder


@pytest.fixture
def corpus(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "corpus"))


def check(corpus: object, *options: str) -> tuple[int, list[str]]:
    """Exit code, and the lines on stdout."""
    done = CliRunner().invoke(app, ["corpus", "check", "--corpus", str(corpus), *options])
    assert "Traceback" not in done.stderr
    assert (done.exit_code == 0) == (done.stderr == ""), done.stderr
    return done.exit_code, done.stdout.splitlines()


def ids(corpus: Path, table: str) -> list[object]:
    return sorted(str(row[sample.TABLES[table].key]) for row in stored(corpus, table))


def add_part(corpus: Path, table: str, rows: pa.Table) -> None:
    """A part that no writer of ours would write, in the manifest."""
    store = Corpus(corpus).store
    manifest = load_manifest(store)
    assert manifest is not None
    part = write_part(store, table, rows, seq=manifest.folded)
    live = {**manifest.parts, table: (*manifest.parts[table], part)}
    save_manifest(store, replace(manifest, parts=live))


def table_of(corpus: Path, table: str) -> pa.Table:
    return pq.read_table(Corpus(corpus).parts()[table][0])


def test_a_file_in_a_table_that_no_manifest_lists_is_named_and_taken_out(corpus: Path) -> None:
    part = shown(corpus, "scores")[0]
    by_crash, by_hand = (
        part.with_name("part-000000000999-abcdef-abcdef.parquet"),
        part.with_name("x"),
    )
    for copy in (by_crash, by_hand):
        shutil.copy2(part, copy)
    code, lines = check(corpus)
    assert code == 1
    assert [line.partition(":")[0] for line in lines[:2]] == [str(by_crash), str(by_hand)]
    assert all(f"{part.stat().st_size} bytes that no manifest lists" in line for line in lines[:2])
    code, lines = check(corpus, "--heal")
    assert code == 0
    assert f"healed: {by_crash}: in no manifest, removed" in lines
    assert f"healed: {by_hand}: in no manifest, set aside" in lines
    assert [path.name for path in part.parent.iterdir()] == [part.name]
    assert check(corpus)[0] == 0


def test_while_it_is_written_what_nobody_lists_yet_is_no_fault(corpus: Path) -> None:
    part = shown(corpus, "scores")[0]
    with CorpusWriter(corpus):
        shutil.copy2(part, part.with_name("part-000000000999-abcdef-abcdef.parquet"))
        code, lines = check(corpus)
        assert code == 0
        assert any("note: is being written by process " in line for line in lines)
        code, lines = check(corpus, "--heal")  # nothing to heal, so nobody is in the way
        assert code == 0


def test_healing_is_refused_while_somebody_writes(corpus: Path) -> None:
    part = shown(corpus, "scores")[0]
    with CorpusWriter(corpus):
        part.write_bytes(part.read_bytes()[:-1])
        done = CliRunner().invoke(app, ["corpus", "check", "--heal", "--corpus", str(corpus)])
    assert done.exit_code == 2
    assert "is being written by process " in done.stderr


def test_a_column_that_does_not_fit_is_named(corpus: Path) -> None:
    rows = table_of(corpus, "scores")
    odd = {
        "column rd is string instead of double": rows.set_column(
            rows.schema.get_field_index("rd"), "rd", rows["rd"].cast(pa.string())
        ),
        "has a column mood that this version does not know": rows.append_column(
            "mood", pa.array([1] * len(rows))
        ),
        "has no column ppl_answer": rows.drop_columns(["ppl_answer"]),
    }
    for told, table in odd.items():
        copy = corpus.with_name("odd")
        shutil.copytree(corpus, copy)
        add_part(copy, "scores", table.slice(0, 0))
        code, lines = check(copy)
        assert code == 1
        assert told in lines[0]
        shutil.rmtree(copy)
    add_part(corpus, "scores", rows.drop_columns(["others", "rsr"]).slice(0, 0))  # came later
    assert check(corpus)[0] == 0


def test_an_id_stored_twice_is_named_and_kept_once(corpus: Path) -> None:
    before = ids(corpus, "scores")
    add_part(corpus, "scores", table_of(corpus, "scores").slice(0, 1))
    code, lines = check(corpus)
    assert code == 1
    assert lines[0].startswith(
        f"scores: 1 id stored more than once ({stored(corpus, 'scores')[0]['score_id']})"
    )
    code, lines = check(corpus, "--heal")
    assert code == 0
    assert "healed: scores: 1 row kept once" in lines
    assert ids(corpus, "scores") == before


def test_a_row_whose_parent_is_gone_is_named(corpus: Path) -> None:
    manifest = load_manifest(Corpus(corpus).store)
    assert manifest is not None
    (problems,) = manifest.parts["problems"]
    save_manifest(Corpus(corpus).store, manifest.without("problems", problems))
    code, lines = check(corpus)
    assert code == 1
    (line,) = [line for line in lines if line.startswith("candidates: ")]
    row = stored(corpus, "candidates")[0]
    assert line == (
        f"candidates: 1 row made from 1 row that is not there (problem_id of {row['candidate_id']} "
        f"is {sample.P1}); run the recipe again: it makes again what is missing"
    )
    assert any(
        line.startswith("memberships: 5 rows made from 4 rows that are not") for line in lines
    )


def test_ids_of_the_journal_that_are_not_those_of_the_parts_are_named_and_healed(
    tmp_path: Path,
) -> None:
    """Such a row would be left out by every rerun, or stored twice."""
    corpus = tmp_path / "c"
    with CorpusWriter(corpus) as writer:
        for number in range(3):
            finish(writer, number)
    with closing(sqlite3.connect(corpus / "_journal" / "journal.sqlite")) as journal:
        journal.execute("insert into ids values (4711)")
        journal.execute("delete from ids where id = (select min(id) from ids where id <> 4711)")
        journal.commit()
    (corpus / "_journal" / "journal.sqlite.checksum").unlink()
    code, lines = check(corpus)
    assert code == 1
    assert "takes 1 row for stored that is in no part, so a rerun would leave it out" in lines[0]
    assert "does not know 1 row of the parts, so a rerun could store it twice" in lines[1]
    assert check(corpus, "--heal")[0] == 0
    with CorpusWriter(corpus) as writer:
        assert [finish(writer, number) for number in range(4)] == [0, 0, 0, 1]
    assert check(corpus)[0] == 0


def test_rotten_weights_are_set_aside_and_the_student_can_be_trained_again(corpus: Path) -> None:
    folder = corpus / "weights" / "m"
    folder.mkdir(parents=True)
    (folder / "model.bin").write_bytes(b"weights")
    sum_folder(folder)
    assert check(corpus)[0] == 0
    (folder / "model.bin").write_bytes(b"weighty")
    code, lines = check(corpus, "--heal")
    assert code == 0
    assert lines[0].startswith(f"{folder}/model.bin: holds other bytes than were written;")
    assert not folder.exists()
    assert check(corpus)[0] == 0


def test_what_only_takes_room_is_a_note_and_no_fault(corpus: Path) -> None:
    for name in (
        "weights/.training/77/step-1/w",
        "weights/.n.training/w",
        "weights/n/w",
        "mine.txt",
    ):
        (corpus / name).parent.mkdir(parents=True, exist_ok=True)
        (corpus / name).write_bytes(b"12345")
    code, lines = check(corpus)
    assert code == 0
    notes = [line for line in lines if line.startswith("note: ")]
    assert [line.removeprefix(f"note: {corpus}/").partition(":")[0] for line in notes] == [
        "weights/.n.training", "weights/n", "weights/.training/77", "mine.txt",
    ]  # fmt: skip
    assert all("5 bytes" in line for line in notes[:3])


def test_what_a_rerun_costs_is_told_by_the_rows_that_are_left(corpus: Path) -> None:
    with CorpusWriter(corpus) as writer:  # a second part: one more chain of the same stage
        row = sample.rationale("generate", sample.P2, candidate=7, num_requests=3).row
        writer.finish("x", [row], stage_fingerprint="fp-generate", run_id=sample.RUN_ID)
    lost = Path(Corpus(corpus).parts()["rationales"][-1])
    LocalStore(corpus).delete(f"rationales/{lost.name}")
    code, lines = check(corpus)
    assert code == 1
    assert lines[-1] == (
        "to heal: run the recipe again; it makes 1 row: about 1 requests and 110 tokens"
    )


def test_killed_while_ids_are_learnt_anew_nothing_is_lost_or_doubled(
    corpus: Path, tmp_path: Path
) -> None:
    before = ids(corpus, "scores")
    add_part(corpus, "scores", table_of(corpus, "scores").slice(0, 1))
    heal = ("corpus", "check", "--heal", "--corpus")
    last = num_published(*heal, shutil.copytree(corpus, tmp_path / "healed"))
    for back in (2, 1):  # before and after the manifest that leaves the second row out
        copy = Path(shutil.copytree(corpus, tmp_path / str(back)))
        kill_at(last - back, *heal, copy)
        assert check(copy, "--heal")[0] == 0
        assert ids(copy, "scores") == before
        with CorpusWriter(copy) as writer:
            score = sample.score(sample.REWRITTEN.id, 0.5).row
            again = writer.finish("x", [score], stage_fingerprint="fp-score", run_id=sample.RUN_ID)
            assert (again, finish(writer, 1, problem(1))) == (0, 1)
