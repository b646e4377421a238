"""Whatever byte of a corpus rots, it is named: by a reader, the next run, `litecot corpus check`.

The sample corpus has every table; flips are drawn with a seed over whole files, headers, pages and
footers alike. What a run does about it is in test_faults (one stage) and test_nano_run (all).
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from infra.storage import Corpus, CorpusError, CorpusWriter
from infra.storage import local as local_store
from infra.storage.checksums import sum_folder
from infra.storage.local import LocalStore
from tasks.schemas import TABLES
from tests.unit import sample_corpus as sample
from tests.unit.test_storage import as_unsealed, finish, questions, shown, stored

NUM_FLIPS = 200
MANIFEST, JOURNAL = "_manifest.json", "_journal/journal.sqlite"
Rows = dict[str, list[str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus with rows in every table; to be left as it is."""
    folder = tmp_path_factory.mktemp("rot") / "sample"
    sample.write_sample(folder)
    assert all(Corpus(folder).parts().values())
    return folder


@pytest.fixture
def corpus(made: Path, tmp_path: Path) -> Path:
    """A copy of it, to spoil."""
    return Path(shutil.copytree(made, tmp_path / "corpus"))


def parts_of(corpus: Path) -> list[Path]:
    return [Path(file) for files in Corpus(corpus).parts().values() for file in files]


def flip(path: Path, chance: random.Random) -> bytes:
    """Change one byte, and leave size and modification time; what was there before."""
    before, seen = path.read_bytes(), path.stat()
    after = bytearray(before)
    after[chance.randrange(len(after))] ^= chance.randrange(1, 256)
    path.write_bytes(after)
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    return before


def flips(files: Sequence[Path], count: int, *, seed: int) -> Iterator[Path]:
    """`count` times one of `files` in turn, with one byte changed while it is looked at."""
    chance = random.Random(seed)
    for number in range(count):
        path = files[number % len(files)]
        before = flip(path, chance)
        yield path
        path.write_bytes(before)


def rows_of(corpus: Path) -> Rows:
    return {table: sorted(map(repr, stored(corpus, table))) for table in TABLES}


def command(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return done.exit_code, done.stdout, done.stderr


# --- parts


def test_no_flipped_byte_of_any_table_is_silent(corpus: Path) -> None:
    files = parts_of(corpus)
    assert {file.parent.name for file in files} == set(TABLES)
    silent = []
    for path in flips(files, NUM_FLIPS, seed=1):
        by_check = Corpus(corpus).faults()
        with pytest.raises(CorpusError) as by_reader:
            Corpus(corpus).sound_parts()
        if [str(path) in said for said in (*by_check, str(by_reader.value))] != [True, True]:
            silent.append(path)
    assert silent == []
    assert Corpus(corpus).faults() == []
    assert Corpus(corpus).sound_parts() == Corpus(corpus).parts()


def test_a_flipped_byte_of_any_table_is_set_aside_by_the_next_writer(
    corpus: Path, tmp_path: Path
) -> None:
    """And what it held can be stored again: the other parts keep their rows."""
    whole = rows_of(corpus)
    for number, path in enumerate(flips(parts_of(corpus), len(TABLES) + 3, seed=2)):
        copy = Path(shutil.copytree(corpus, tmp_path / str(number)))
        file = copy / path.relative_to(corpus)
        with CorpusWriter(copy) as writer:
            (warning,) = writer.warnings
        assert str(file) in warning
        is_made_again = TABLES[path.parent.name].is_made_again
        assert ("rows are made again by the recipe that made them" in warning) == is_made_again
        assert ("rows told what once happened, and are lost" in warning) != is_made_again
        (aside,) = (copy / "_quarantine").iterdir()
        assert aside.read_bytes() == path.read_bytes()
        left = rows_of(copy)
        table = path.parent.name
        assert set(left[table]) < set(whole[table])
        assert {t: rows for t, rows in left.items() if t != table} == {
            t: rows for t, rows in whole.items() if t != table
        }
        assert Corpus(copy).faults() == []


def test_the_rows_of_a_rotten_part_can_be_stored_again_and_no_others(tmp_path: Path) -> None:
    with CorpusWriter(tmp_path / "c") as writer:
        for number in range(6):
            finish(writer, number)
            writer.flush() if number % 2 else None
    rotten = Path(Corpus(tmp_path / "c").parts()["problems"][1])
    flip(rotten, random.Random(3))
    with CorpusWriter(tmp_path / "c") as writer:
        assert [finish(writer, number) for number in range(6)] == [0, 0, 1, 1, 0, 0]
    assert sorted(map(str, questions(tmp_path / "c"))) == [f"q{number}" for number in range(6)]


@pytest.mark.parametrize(
    "asked",
    [("sql", "select 1"), ("show", sample.P0), ("status",), ("ask", "kinds_kept"),
     ("publish", "snapshot"), ("run", "nano", "--plan")],
    ids=lambda asked: asked[0],
)  # fmt: skip
def test_every_command_that_reads_names_the_part(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    rationales = Path(Corpus(corpus).parts()["rationales"][0])
    for path in flips([rationales], 3, seed=4):
        code, out, err = command(*asked, "--corpus", corpus)
        assert code == 2
        assert out == "" or asked[0] == "run"  # a plan shows its stages first
        assert err.startswith(f"litecot: {path}: holds other bytes than were written; run the ")
        assert err.count("\n") == 1
    assert not (tmp_path / "snapshot").exists()
    assert command(*asked, "--corpus", corpus)[0] == 0


def test_what_was_in_a_part_when_it_rotted_is_not_merged_into_another(tmp_path: Path) -> None:
    """A new checksum over rotten rows would make them sound."""
    with CorpusWriter(tmp_path / "c", grace_s=0) as writer:
        for number in range(3):
            finish(writer, number)
            writer.flush()
        rotten = shown(tmp_path / "c")[1]
        flip(rotten, random.Random(5))
        with pytest.raises(CorpusError, match=f"{rotten}: holds other bytes") as caught:
            writer.compact()
        assert "makes its 1 row again" in str(caught.value)
        assert len(writer.parts()["problems"]) == 3
    with CorpusWriter(tmp_path / "c") as writer:
        assert str(rotten) in writer.warnings[0]


# --- once a file and change


class CountingStore(LocalStore):
    """Says which files are summed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.read_in_full: list[str] = []

    def checksum(self, name: str) -> str:
        self.read_in_full.append(name)
        return super().checksum(name)


def test_a_part_is_read_in_full_once_and_again_when_it_changed(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read() -> list[str]:
        store = CountingStore(corpus)
        Corpus(store).sound_parts()
        return sorted(store.read_in_full)

    names = sorted(str(path.relative_to(corpus)) for path in parts_of(corpus))
    assert read() == names
    assert read() == names  # as young as that, a file may be changed unseen: nothing is relied on
    monkeypatch.setattr(local_store, "SETTLED_NS", -1)
    assert read() == names
    assert read() == []
    store = CountingStore(corpus)
    CorpusWriter(store).close()
    assert store.read_in_full == []  # nor does a run
    part = corpus / names[3]
    flip(part, random.Random(6))  # its modification time is set back
    shutil.copy2(part, part.with_name("other"))
    os.replace(part.with_name("other"), part)
    with pytest.raises(CorpusError, match=f"{part}: holds other bytes"):
        read()
    store = CountingStore(corpus)
    (found,) = Corpus(store).faults()
    assert str(part) in found
    assert len(store.read_in_full) == len(names)  # `corpus check` believes nothing


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"x": 1}'])
def test_what_is_remembered_may_be_damaged_or_gone(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.setenv("LITECOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(local_store, "SETTLED_NS", -1)
    Corpus(corpus).sound_parts()
    (kept,) = (tmp_path / "cache" / "checked").iterdir()
    kept.write_text(content)
    assert Corpus(corpus).sound_parts() == Corpus(corpus).parts()
    for nowhere in ("/proc/not/to/be/written", "~nobody-of-this-name/cache"):
        monkeypatch.setenv("LITECOT_CACHE", nowhere)
        assert Corpus(corpus).sound_parts() == Corpus(corpus).parts()


# --- the manifest


def test_no_flipped_byte_of_the_manifest_is_silent(corpus: Path) -> None:
    manifest = corpus / MANIFEST
    content, chance = manifest.read_bytes(), random.Random(7)
    places = [*range(0, len(content), 9), *range(len(content) - 60, len(content))]
    for place in [*places, len(content) // 2]:
        flipped = bytearray(content)
        flipped[place] ^= chance.randrange(1, 256)
        manifest.write_bytes(flipped)
        with pytest.raises(CorpusError, match=f"^{manifest}: ") as caught:
            Corpus(corpus).listed()
        assert "\n" not in str(caught.value)
    for asked in (("sql", "select 1"), ("corpus", "check")):
        code, out, err = command(*asked, "--corpus", corpus)
        assert code == (1 if asked[0] == "corpus" else 2)
        assert f"{manifest}: holds other bytes than were written; restore it" in out + err
    with pytest.raises(CorpusError, match="restore it from a backup"):
        CorpusWriter(corpus)
    manifest.write_bytes(content)
    assert rows_of(corpus)


# --- the journal


def test_no_flipped_byte_of_a_closed_journal_is_silent(corpus: Path, tmp_path: Path) -> None:
    whole = rows_of(corpus)
    for number, path in enumerate(flips([corpus / JOURNAL], 40, seed=8)):
        told = Corpus(corpus).journal_fault()
        assert told is not None
        assert told.startswith(f"{path}: holds other bytes than when it was closed")
        if number % 10 == 0:
            copy = Path(shutil.copytree(corpus, tmp_path / str(number)))
            with CorpusWriter(copy) as writer:
                (warning,) = writer.warnings
            assert str(copy / JOURNAL) in warning
            assert rows_of(copy) == whole
            assert Corpus(copy).journal_fault() is None
    assert Corpus(corpus).journal_fault() is None


def killed_journal(corpus: Path, copy: Path) -> tuple[Path, Rows]:
    """What a kill leaves of a corpus with 20 records in its journal, and their rows."""
    with CorpusWriter(corpus, fold_seconds=1e9) as writer:
        for number in range(20):
            finish(writer, number)
            writer.completed(f"key{number}", f"reply {number}")
        writer._journal.make_durable()
        shutil.copytree(corpus, copy)
    return copy, rows_of(corpus)


def test_a_journal_that_rots_after_a_kill_gives_no_changed_row(tmp_path: Path) -> None:
    """It has no seal: its records have checksums, and SQLite knows its own structure."""
    killed, whole = killed_journal(tmp_path / "c", tmp_path / "killed")
    content = (killed / JOURNAL).read_bytes()
    places = [content.index(b'"question":"q7"') + 13, content.index(b"reply 7") + 2]
    chance = random.Random(9)
    places += [chance.randrange(len(content)) for _ in range(12)]
    for number, place in enumerate(places):
        copy = Path(shutil.copytree(killed, tmp_path / str(number)))
        flipped = bytearray(content)
        flipped[place] ^= chance.randrange(1, 256)
        (copy / JOURNAL).write_bytes(flipped)
        told = Corpus(copy).journal_fault()
        with CorpusWriter(copy) as writer:
            replies = [writer.lookup(f"key{i}") for i in range(20)]
            assert all(reply in (None, f"reply {i}") for i, reply in enumerate(replies))
            missing = 20 - len(questions(copy))
            assert [finish(writer, i) for i in range(20)].count(1) == missing
            if number < 2 or missing:
                assert str(copy / JOURNAL) in " ".join(writer.warnings)
        if number == 0:
            assert missing == 1
            assert told is not None
            assert "1 of its records hold other bytes" in told
        assert stamps_left_out(rows_of(copy)) == stamps_left_out(whole)


def stamps_left_out(rows: Rows) -> Rows:
    """Made again is made at another time."""
    return {
        table: sorted(re.sub("'created_at': '[^']*'", "", row) for row in all_)
        for table, all_ in rows.items()
    }


def test_a_journal_of_an_earlier_version_is_opened(tmp_path: Path) -> None:
    killed, whole = killed_journal(tmp_path / "c", tmp_path / "killed")
    with sqlite3.connect(killed / JOURNAL) as journal:
        for table, columns in {"finished": ("shard", "crc"), "payloads": ("crc",)}.items():
            for column in columns:
                journal.execute(f"alter table {table} drop column {column}")
    assert Corpus(killed).journal_fault() is None
    with CorpusWriter(killed) as writer:
        assert writer.warnings == ()
        assert writer.lookup("key3") == "reply 3"
    assert rows_of(killed) == whole


# --- litecot corpus check


def test_check_says_what_is_sound(corpus: Path) -> None:
    code, out, err = command("corpus", "check", "--corpus", corpus)
    assert (code, err) == (0, "")
    assert re.fullmatch(
        f"{re.escape(str(corpus))}: {len(parts_of(corpus))} parts, 42 rows, .* KiB: sound\n", out
    )


def test_check_of_no_corpus_is_wrong_usage(tmp_path: Path) -> None:
    code, _, err = command("corpus", "check", "--corpus", tmp_path)
    assert code == 2
    assert "no corpus here" in err


def test_check_names_table_file_shard_and_what_a_rerun_makes(tmp_path: Path) -> None:
    corpus = tmp_path / "c"
    with CorpusWriter(corpus) as writer:
        writer.finish("run", [sample.RUN], stage_fingerprint="", run_id=sample.RUN_ID)
        for shard, made in enumerate([sample.LONG, sample.REWRITTEN]):
            writer.finish(
                made.input_id, [made.row], run_id=sample.RUN_ID, shard=shard,
                stage_fingerprint=sample.FINGERPRINTS[made.stage],
            )  # fmt: skip
    (part,) = shown(corpus, "rationales")
    before = flip(part, random.Random(10))
    files = {path: path.read_bytes() for path in corpus.rglob("*") if path.is_file()}
    code, out, err = command("corpus", "check", "--corpus", corpus)
    assert code == 1
    assert out == (
        f"rationales: {part} (shards 0, 1): holds other bytes than were written; a rerun sets it "
        "aside and makes its 2 rows again (sample: generate 1, rewrite 1)\n"
        "note: ids and lineage are looked at once that is healed\n"
        "to heal: run the recipe again; it makes 2 rows: what 2 rows cost none that is left can"
        " tell\n"
    )
    assert err == f"litecot: {corpus}: 1 fault; see above\n"
    assert {path: path.read_bytes() for path in corpus.rglob("*") if path.is_file()} == files
    part.write_bytes(before[:-1])
    assert (
        f"is {len(before) - 1} bytes long instead of {len(before)}"
        in command("corpus", "check", "--corpus", corpus)[1]
    )
    LocalStore(corpus).delete(f"rationales/{part.name}")
    assert f"{part} (shards 0, 1): is gone;" in command("corpus", "check", "--corpus", corpus)[1]


def test_check_names_all_that_is_wrong(corpus: Path) -> None:
    chance = random.Random(11)
    spoilt = [corpus / JOURNAL, *(Path(files[0]) for files in Corpus(corpus).parts().values())]
    for path in spoilt:
        flip(path, chance)
    code, out, err = command("corpus", "check", "--corpus", corpus)
    assert code == 1
    assert sum(": holds other bytes than " in line for line in out.splitlines()) == len(spoilt)
    assert all(sum(str(path) in line for line in out.splitlines()) == 1 for path in spoilt)
    assert f"{len(spoilt)} faults" in err


def test_trained_weights_that_rotted_are_named(corpus: Path) -> None:
    folder = corpus / "weights" / "m"  # of the sample's student
    (folder / "deep").mkdir(parents=True)
    for name in ("weights.bin", "config.json", "deep/vocab.txt"):
        (folder / name).write_bytes(random.Random(name).randbytes(300))
    sum_folder(folder)
    assert command("corpus", "check", "--corpus", corpus)[0] == 0
    for path in flips([path for path in folder.rglob("*") if path.is_file()], 6, seed=13):
        code, out, _ = command("corpus", "check", "--corpus", corpus)
        assert code == 1, path
        assert str(folder) in out
        assert str(path) in out or path.name == "checksums.json"
        assert "delete its folder, and a rerun trains it again" in out
    (folder / "config.json").unlink()
    assert f"{folder}/config.json: is gone;" in command("corpus", "check", "--corpus", corpus)[1]


@pytest.mark.parametrize(
    ("shards", "told"),
    [([0], "shard 0"), ([0, 1], "shards 0, 1"), ([1, 2, 3, 7, 9, 10], "shards 1 to 3, 7, 9, 10"),
     ([0, None], "all shards"), ([], "not known")],
)  # fmt: skip
def test_shards_are_named_in_ranges(shards: Any, told: str) -> None:
    from infra.care.remaking import shards as said
    from infra.storage.manifest import Part

    assert told in said(Part(name="p", rows=1, bytes=1, shards=tuple(shards)))


# --- corpora of earlier versions


def test_a_corpus_without_checksums_gets_them_from_its_next_run(corpus: Path) -> None:
    manifest, whole = corpus / MANIFEST, rows_of(corpus)
    manifest.write_text(as_unsealed(manifest.read_text()))
    assert Corpus(corpus).faults() == []
    code, out, _ = command("corpus", "check", "--corpus", corpus)
    assert code == 0
    assert "of an earlier version, without a checksum" in out
    CorpusWriter(corpus).close()
    assert rows_of(corpus) == whole
    read = json.loads(manifest.read_text())
    assert (read["version"], read["schema"]) == (3, 1)
    assert all(part["checksum"] for live in read["parts"].values() for part in live)
    for path in flips(sorted(corpus.glob("[a-z]*/part-*")), 20, seed=12):
        assert str(path) in Corpus(corpus).faults()[0]


def test_rot_in_a_page_of_a_part_without_checksum_is_named(corpus: Path) -> None:
    """It is read in full before a checksum is kept."""
    manifest = corpus / MANIFEST
    manifest.write_text(as_unsealed(manifest.read_text()))
    part = Path(Corpus(corpus).parts()["rationales"][0])
    column = pq.ParquetFile(part).metadata.row_group(0).column(0)
    content = bytearray(part.read_bytes())
    content[column.data_page_offset + column.total_compressed_size // 2] ^= 1
    part.write_bytes(content)
    assert str(part) in Corpus(corpus).faults()[0]
    with CorpusWriter(corpus) as writer:
        assert str(part) in writer.warnings[0]
        assert "set aside" in writer.warnings[0]
    assert len(stored(corpus, "rationales")) > 0
