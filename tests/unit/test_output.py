"""`litecot sql` and `ask` into files: whole or not there, and never over what is there."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from flows.cli import output as cli_output
from flows.cli.output import OutputError, output_of, whole_file
from infra.care.words import size
from tests.unit import sample_corpus as sample
from tests.unit.test_hostile_output import litecot

SIZES = "select stage, num_problems from funnel"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("output") / "corpus"
    sample.write_sample(folder)
    return str(folder)


def wrote(corpus: str, query: str, to: Path, *options: str) -> str:
    """What was said of it."""
    code, out, err = litecot("sql", query, "--to", str(to), "--corpus", corpus, *options)
    assert (code, out) == (0, "")
    return err


def refused(corpus: str, query: str, to: Path, *options: str) -> str:
    before = sorted(to.parent.iterdir()) if to.parent.is_dir() else []
    code, out, err = litecot("sql", query, "--to", str(to), "--corpus", corpus, *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert (sorted(to.parent.iterdir()) if to.parent.is_dir() else []) == before
    return err


def test_the_same_rows_in_every_format(corpus: str, tmp_path: Path) -> None:
    for suffix in ("csv", "json", "parquet", "txt"):
        said = wrote(corpus, SIZES, tmp_path / f"sizes.{suffix}")
        assert said.startswith(f"{tmp_path / 'sizes'}.{suffix}: 9 rows, ")
    found = json.loads((tmp_path / "sizes.json").read_text())
    assert len(found) == 9
    assert pq.read_table(tmp_path / "sizes.parquet").to_pylist() == found
    with (tmp_path / "sizes.csv").open(newline="") as file:
        assert [{**row, "num_problems": int(row["num_problems"])} for row in csv.DictReader(file)]
    shown = litecot("sql", SIZES, "--corpus", corpus)[1]
    assert (tmp_path / "sizes.txt").read_text() == shown
    assert len(list(tmp_path.iterdir())) == 4


def test_a_large_result_is_written_a_row_group_at_a_time(
    corpus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_output, "ROW_GROUP_BYTES", 100_000)
    wrote(
        corpus, "select range as a, md5(a::varchar) as b from range(20000)", tmp_path / "a.parquet"
    )
    with pq.ParquetFile(tmp_path / "a.parquet") as file:
        assert file.metadata.num_rows == 20_000
        assert file.metadata.num_row_groups > 5
        assert file.schema_arrow.names == ["a", "b"]


def test_odd_columns_reach_parquet(corpus: str, tmp_path: Path) -> None:
    query = "select 1 as a, 2 as a, map{'x': 1.5::double} as m, [1, null] as l, null::date as d"
    wrote(corpus, query, tmp_path / "odd.parquet")
    (row,) = pq.read_table(tmp_path / "odd.parquet").to_pylist()
    assert row == {"a": 1, "a_1": 2, "m": [("x", 1.5)], "l": [1, None], "d": None}
    wrote(corpus, "select 1 as a where false", tmp_path / "none.parquet")
    assert pq.read_table(tmp_path / "none.parquet").num_rows == 0


def test_what_is_there_is_replaced_only_when_asked(corpus: str, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("mine")
    assert "is there already; name another file, or add --force" in refused(corpus, SIZES, file)
    assert file.read_text() == "mine"
    wrote(corpus, "select 1 as a", file, "--force")
    assert file.read_text() == "a\n1\n"


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("a.xyz", [], "end it in .csv, .json, .parquet, .txt"),
        ("no/a.csv", [], "there is no folder"),
        ("s3://bucket/a.csv", [], "name a file of this machine"),
        ("a.csv", ["--format", "xml"], "choose one of table, csv, json, parquet"),
    ],
)
def test_a_place_that_cannot_be_is_one_line(
    corpus: str, tmp_path: Path, name: str, options: list[str], told: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert told in refused(corpus, SIZES, Path(name), *options)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("frm x", "syntax error"),
        ("copy runs to 'x.csv'", "COPY is not allowed"),
        ("with x as (insert into raw_runs values (1)) select 1", "Catalog Error"),
        ("select error('boom') from raw_rationales", "boom"),
        ("select interval 1 day as i", "make it text: column::varchar"),
    ],
)
def test_a_query_that_fails_leaves_no_file(
    corpus: str, tmp_path: Path, query: str, told: str
) -> None:
    assert told in refused(corpus, query, tmp_path / "a.parquet")


def test_parquet_is_no_text(corpus: str) -> None:
    code, out, err = litecot("sql", SIZES, "--format", "parquet", "--corpus", corpus)
    assert (code, out, err) == (2, "", "litecot: --format parquet is no text: add --to FILE\n")


def test_answers_of_questions_are_written_too(corpus: str, tmp_path: Path) -> None:
    file = tmp_path / "kinds.parquet"
    code, _, err = litecot("ask", "kinds_kept", "--to", str(file), "--corpus", corpus)
    assert (code, err[: len(str(file))]) == (0, str(file))
    assert pq.read_table(file).num_rows > 0


def test_a_file_somebody_made_meanwhile_is_left(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"

    def write() -> None:
        with whole_file(file) as growing:
            growing.write_text("ours")
            file.write_text("theirs")

    with pytest.raises(OutputError, match="is there already"):
        write()
    assert file.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [file]


def test_formats_by_suffix() -> None:
    assert output_of(None, Path("a.JSON")).format == "json"
    assert output_of("csv", Path("a.data")).format == "csv"
    assert output_of(None, None).format == "table"


def test_a_size_has_its_unit() -> None:
    assert [size(n) for n in (5, 2048, 3 * 2**30)] == ["5 bytes", "2.0 KiB", "3.0 GiB"]
