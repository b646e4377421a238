"""What a person types is answered or refused in one line, and reaches nothing but the corpus."""

from __future__ import annotations

import gc
import os
import resource
import tempfile
from pathlib import Path
from typing import Any

import pytest

from sql.database import Database, QueryFailedError, Result, connect, relations
from sql.untrusted import QueryRefusedError, bounded_memory, query_untrusted, stream_untrusted
from tests.unit import sample_corpus as sample

READING = [
    "select 1;",
    "from funnel",
    "with f as (from funnel) select count(*) from f",
    "values (1)",
    "describe funnel",
    "show tables",
    "summarize funnel",
    "explain select 1",
    "/* why */ explain analyze from funnel",
    "pivot (select 1 as a, 2 as b) on a in (1) using sum(b)",
]
REFUSED = [
    "",
    "-- nothing",
    "select 1; select 2",
    "create table t (a int)",
    "create view funnel as select 1",
    "drop view funnel",
    "copy (select 1) to '{folder}/stolen.csv'",
    "explain analyze copy (select 1) to '{part}' (use_tmp_file false)",
    "-- x\nexplain (analyze) copy (select 1) to '{folder}/stolen.csv'",
    "insert into raw_runs values (1)",
    "attach '{folder}/other.db'",
    "install httpfs",
    "load json",
    "set threads = 1",
    "set variable run_id = 'x'",
    "reset threads",
    "pragma version",
    "call pragma_version()",
    "export database '{folder}/stolen'",
    "checkpoint",
    "begin",
    "prepare p as select 1",
    "use memory",
    "pivot (select 1 as a, 2 as b) on a using sum(b)",
]
FAILING = [
    "selekt",
    "select nothing",
    "from nowhere",
    "with x as (insert into raw_runs values (1)) from x",
    "with x as (delete from funnel returning *) from x",
    "select * from '{secret}'",
    "from '{other}'",
    "from read_csv('{secret}')",
    "from read_text('{secret}')",
    "from read_blob('{secret}')",
    "from read_parquet('{other}')",
    "from read_parquet('{folder}/*.parquet')",
    "from glob('{folder}/*')",
    "from query('copy (select 1) to ''{folder}/stolen.csv''')",
    "from query_table('{secret}')",
    "from 'https://localhost/x.csv'",
    "select getenv('HOME')",
    "from enable_logging('QueryLog')",
    "from pandas_scan(1)",
]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    return sample.write_sample(tmp_path_factory.mktemp("it's [a] corpus*") / "sample")


@pytest.fixture(scope="module")
def database(parts: dict[str, list[str]]) -> Database:
    return connect(parts)


@pytest.mark.parametrize("query", READING)
def test_reading_is_answered(database: Database, query: str) -> None:
    assert query_untrusted(database, query).rows


@pytest.fixture
def places(tmp_path: Path, parts: dict[str, list[str]]) -> dict[str, str]:
    secret, other = tmp_path / "secret.csv", tmp_path / "other.parquet"
    secret.write_text("a,b\n1,2\n")
    other.write_bytes(Path(parts["runs"][0]).read_bytes())
    return {
        "folder": str(tmp_path), "secret": str(secret), "other": str(other),
        "part": parts["runs"][0].replace("'", "''"),
    }  # fmt: skip


@pytest.mark.parametrize("query", REFUSED)
def test_doing_more_is_refused(database: Database, places: dict[str, str], query: str) -> None:
    before = Path(places["part"].replace("''", "'")).read_bytes()
    with pytest.raises(QueryRefusedError) as caught:
        query_untrusted(database, query.format(**places))
    assert "\n" not in str(caught.value)
    assert Path(places["part"].replace("''", "'")).read_bytes() == before
    assert {file.name for file in Path(places["folder"]).iterdir()} == {
        "secret.csv",
        "other.parquet",
    }


@pytest.mark.parametrize("query", FAILING)
def test_reaching_out_fails_in_one_line(
    database: Database, places: dict[str, str], query: str
) -> None:
    with pytest.raises(QueryFailedError) as caught:
        query_untrusted(database, query.format(**places))
    assert "\n" not in str(caught.value)


def test_python_variables_are_not_tables(database: Database) -> None:
    rows = [1, 2]  # noqa: F841
    with pytest.raises(QueryFailedError, match="rows"):
        query_untrusted(database, "from rows")


def test_the_names_there_are_to_mean_are_those_show_tables_gives(database: Database) -> None:
    shown = [name for (name,) in query_untrusted(database, "show tables").rows]
    assert sorted(relations()) == shown


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("from runs", "Table with name runs does not exist! Did you mean 'stg_runs' or 'raw_runs'?"
                      " 'show tables' lists all"),
        ("from funel", "Did you mean 'funnel'? 'show tables' lists all"),
        ("from zzz", "Table with name zzz does not exist! 'show tables' lists all"),
        ("select recip from stg_runs", 'not found in FROM clause! Candidate bindings: "recipe"'),
    ],
)  # fmt: skip
def test_a_misspelt_name_is_answered_with_the_near_ones(
    database: Database, query: str, told: str
) -> None:
    with pytest.raises(QueryFailedError) as caught:
        query_untrusted(database, query)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_large_results_come_in_batches(database: Database) -> None:
    stream = stream_untrusted(database, "select range as n from range(5000)", batch_rows=1000)
    assert (stream.columns, stream.types) == (("n",), ("BIGINT",))
    assert [len(batch) for batch in stream.batches] == [1000] * 5


def test_failure_while_streaming_is_one_line(database: Database) -> None:
    query = "select if(range = 499999, error('too far'), range) from range(500000)"
    stream = stream_untrusted(database, query)
    with pytest.raises(QueryFailedError, match="too far"):
        list(stream.batches)


def test_relative_corpus_can_be_read(
    parts: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(parts["runs"][0]).parents[1]
    monkeypatch.chdir(folder.parent)
    near = {
        table: [str(Path(file).relative_to(folder.parent)) for file in files]
        for table, files in parts.items()
    }
    assert query_untrusted(connect(near), "select count(*) from stg_rationales").rows == [(7,)]


def test_a_query_puts_aside_in_a_folder_of_its_own_and_leaves_none(
    parts: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that others could guess would be theirs to fill, and DuckDB reads what lies there."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    names = set()
    for _ in range(2):
        with connect(parts, threads=1) as database:
            query = (
                "select max(m) from (select md5(range::varchar) m from range(200000) order by m)"
            )
            assert query_untrusted(database, query, memory_gib=0.02).rows
            (folder,) = tmp_path.iterdir()
            names.add(folder.name)
            assert folder.stat().st_mode & 0o777 == 0o700
            assert folder.stat().st_uid == os.getuid()
        assert list(tmp_path.iterdir()) == []
    assert len(names) == 2
    database = connect({})
    assert len(list(tmp_path.iterdir())) == 1
    del database  # forgotten, not closed
    gc.collect()
    assert list(tmp_path.iterdir()) == []


HUNGRY = [
    "select list(md5(range::varchar)) from range(3000000)",
    "select string_agg(md5(range::varchar)) from range(3000000)",
    "select length(repeat('x', 3000000000))",
    "select repeat('x', 20000000) from range(1000)",
]


def rows_of(found: Any) -> list[Any]:
    return found.rows if isinstance(found, Result) else list(found.batches)


@pytest.mark.parametrize(
    ("query", "ask"),
    [*((query, query_untrusted) for query in HUNGRY), (HUNGRY[0], stream_untrusted)],
)
def test_a_query_that_wants_too_much_memory_is_told_so(
    query: str, ask: Any, parts: dict[str, list[str]]
) -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    told = r"^the query needs more than 0\.05 GiB of memory.*raise LITECOT_SQL_MEMORY_GIB$"
    with connect(parts) as database:
        with pytest.raises(QueryFailedError, match=told), bounded_memory(0.05):
            rows_of(ask(database, query, memory_gib=0.05))
        assert query_untrusted(database, "select 1").rows == [(1,)]
    assert resource.getrlimit(resource.RLIMIT_AS) == before


def test_what_a_query_puts_aside_on_disk_is_bounded(parts: dict[str, list[str]]) -> None:
    query = (
        "select count(*) from (select distinct md5(range::varchar) || md5(range::varchar)"
        " from range(6000000))"
    )
    told = r"needs more than 0\.02 GiB of memory, and 0\.2 GiB on disk"
    with connect(parts, threads=1) as database, pytest.raises(QueryFailedError, match=told):
        query_untrusted(database, query, memory_gib=0.02)
