"""docs/notebooks.md is run as it stands, and every way to read a corpus gives the same rows."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import duckdb
import litecot
import pytest

from infra.storage import Corpus, CorpusError, CorpusWriter
from sql.database import SQL_FOLDER, connect, names
from tests.unit import sample_corpus as sample
from tests.unit.test_hostile_output import litecot as command

PAGE = Path(__file__).parents[2] / "docs" / "notebooks.md"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a corpus that was compacted and a file that was exported."""
    folder = tmp_path_factory.mktemp("notebook")
    sample.write_sample(folder / "corpus")
    with CorpusWriter(folder / "corpus") as writer:
        for row in (sample.LONG, sample.REWRITTEN):
            changed = {"stage_fingerprint": "other settings", "run_id": "another"}
            writer.finish(row.input_id, [row.row], **changed)
            writer.flush()
        writer.compact()
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        assert command("export", "corpus.duckdb")[0] == 0
    return folder


def test_what_the_page_says_is_done_and_every_way_has_the_same_rows(
    place: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("polars")
    monkeypatch.chdir(place)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    told: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), told)
    by_run = [len(told[name]) for name in ("table", "rationales", "chains")]
    assert by_run == [7, 7, 7]
    assert told["frame"]["chains"].sum() == 7
    assert len(told["examples"]) == 2
    assert len(told["joined"].fetchall()) == 7
    folder = "corpus/rationales"
    everything = [
        len(told["pd"].read_parquet(folder)),
        len(told["pl"].scan_parquet(f"{folder}/*.parquet").collect()),
        len(told["duckdb"].sql(f"from read_parquet('{folder}/*.parquet')").fetchall()),
        len(told["load_dataset"]("parquet", data_dir=folder, split="train", cache_dir=tmp_path)),
        len(told["corpus"].arrow("raw_rationales")),
    ]
    with duckdb.connect("corpus.duckdb", read_only=True) as exported:
        everything.append(len(exported.sql("from raw_rationales").fetchall()))
    with connect(Corpus("corpus").parts()) as own:
        num_rows = len(own.rows_of("raw_rationales").rows)
    assert num_rows > 7
    assert everything == [num_rows] * 6
    told["corpus"].close()


def test_every_relation_of_an_export_gives_what_it_gives_here(place: Path) -> None:
    """In a plain connection, under another name, beside another database."""
    here = connect({t: [str(p) for p in (place / "corpus" / t).glob("*")] for t in tables(place)})
    with duckdb.connect() as plain:
        plain.execute(f"attach '{place / 'corpus.duckdb'}' as theirs (read_only)")
        for name in [*names("staging"), *names("marts")]:
            found = plain.execute(f"from theirs.{name}").fetchall()
            assert sorted(map(repr, found)) == sorted(map(repr, here.rows_of(name).rows)), name
        plain.execute("use theirs")
        (comment,) = plain.execute(
            "select comment from duckdb_columns() where table_name = 'stg_scores' and "
            "column_name = 'rd' and database_name = 'theirs'"
        ).fetchall()
        assert comment[0].startswith("Rationale Difficulty")
    assert not list(place.glob(".*tmp*"))


def tables(place: Path) -> list[str]:
    return [path.name for path in (place / "corpus").iterdir() if path.name[0].isalpha()]


def test_another_run_is_selected_in_an_export(place: Path, tmp_path: Path) -> None:
    file = tmp_path / "copy.duckdb"
    file.write_bytes((place / "corpus.duckdb").read_bytes())
    with duckdb.connect(str(file)) as opened:
        assert opened.execute("select count(*) from stg_rationales").fetchall() == [(7,)]
        opened.execute("update selection set run_id = 'none of them'")
        assert opened.execute("select count(*) from stg_rationales").fetchall() == [(0,)]


def test_an_export_of_an_empty_corpus_and_over_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    CorpusWriter(tmp_path / "corpus").close()
    assert command("export", "a.duckdb")[0] == 0
    with duckdb.connect("a.duckdb", read_only=True) as opened:
        assert len(opened.execute("from funnel").fetchall()) == 9
    code, _, err = command("export", "a.duckdb")
    assert code == 2
    assert err == "litecot: a.duckdb: is there already; name another file, or add --force\n"
    assert command("export", "a.duckdb", "--corpus", "nowhere", "--force")[0] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.duckdb", "corpus"]


def test_what_is_missing_is_one_line(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CorpusError, match="no corpus here"):
        litecot.open(place / "typo")
    with litecot.open(place / "corpus") as corpus:
        monkeypatch.setitem(sys.modules, "polars", None)
        with pytest.raises(litecot.UsageError, match="pip install polars"):
            corpus.polars("funnel")
        assert corpus.describe("funnel").columns[1].name == "stage"
        with pytest.raises(litecot.UsageError, match="Did you mean 'funnel'"):
            corpus.describe("funel")
    with pytest.raises(litecot.UsageError, match="is closed"):
        corpus.sql("funnel")


def test_maps_reach_a_dataset(place: Path) -> None:
    with litecot.open(place / "corpus") as corpus:
        entries = [row["others"] for row in corpus.dataset("stg_scores")]
        stored = corpus.sql("select others from stg_scores").fetchall()
    assert [{one["key"]: one["value"] for one in row or []} for row in entries] == [
        row[0] or {} for row in stored
    ]


def test_every_column_of_every_relation_is_described() -> None:
    from sql.described import columns_of, description

    own = {path.stem for folder in ("staging", "marts") for path in SQL_FOLDER.glob(f"{folder}/*")}
    with connect({}) as database:
        columns = columns_of(database)
    assert own < set(columns)
    missing = [
        f"{relation}.{name}"
        for relation, found in columns.items()
        for name, _ in found
        if not description(relation, name)
    ]
    assert missing == []
