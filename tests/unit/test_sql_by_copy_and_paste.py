"""`litecot sql` as people use it: pasted, piped, read by another program."""

from __future__ import annotations

import csv
import io
import json
import math
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.cli.spelling import cell, json_text, unique_names
from flows.cli.sql.pasted import as_pasted
from tests.unit import sample_corpus as sample
from tests.unit.test_hostile_output import litecot


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("pasted") / "corpus"
    sample.write_rows(folder, [sample.problem(0)])
    return str(folder)


PASTED = [
    "-- why\nselect 1 as a", "--why\nselect 1 as a", "-- a = b -- c\n\n-- d\nselect 1 as a;",
    "--\nselect 1 as a", "---- corpus\nselect 1 as a -- done", "--corpus\tx\nselect 1 as a",
    "/* why */ select 1 as a", "/* of\n-- two */\nselect 1 as a", "(select 1 as a)",
    "(select 1 as a) union (select 1)", "from (select 1 as a)", "values (1)",
    "\n\n  select 1 as a;\n-- the end", "with x as (select 1 as a) from x", "SELECT 1 AS a",
    "select\u00a01 as a",
]  # fmt: skip


WAYS = ["last", "stdin", "dash", "windows"]


@pytest.mark.parametrize(
    ("query", "way"),
    [*((query, "first") for query in PASTED), *((q, way) for q in PASTED[2:4] for way in WAYS)],
)
def test_a_query_is_read_as_it_is_pasted(query: str, way: str, corpus: str) -> None:
    options = ["--corpus", corpus, "--format", "csv"]
    stdin = b""
    if way == "first":
        words = ["sql", query, *options]
    elif way == "last":
        words = ["sql", *options, query]
    else:
        words = ["sql", *options, *(["-"] if way == "dash" else [])]
        stdin = query.encode()
    if way == "windows":
        stdin = b"\xef\xbb\xbf" + query.replace("\n", "\r\n").encode()
    code, out, err = litecot(*words, stdin=stdin)
    assert (code, err) == (0, "")
    assert out.splitlines()[1:] == ["1"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["select 1", "--fromat", "csv"], "No such option"),
        (["--format csv", "select 1"], "unexpected extra argument"),
        (["-- nothing"], "0 statements given"),
        ([], "0 statements given"),
        (["--corpus"], "requires an argument"),
    ],
)
def test_what_is_no_query_is_said_to_be_none(words: list[str], told: str, corpus: str) -> None:
    code, out, err = litecot("sql", "--corpus", corpus, *words)
    assert (code, out) == (2, "")
    assert told in err


def test_input_that_is_no_text_is_one_line(corpus: str) -> None:
    code, out, err = litecot("sql", "--corpus", corpus, stdin=b"\xff\xfe\x00")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "not UTF-8" in err


def test_an_options_value_is_never_a_query() -> None:
    options = {"--corpus": True, "--format": True, "--help": False}
    for words in (["--corpus", "-- x"], ["--corpus=a b", "q"], ["--", "-- q", "--corpus"]):
        assert as_pasted(words, options) == words
    assert as_pasted(["--help", "-- q"], options) == ["--help", " -- q"]


# --- JSON


def rows_of(query: str, corpus: str) -> list[dict[str, Any]]:
    def no_json(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    code, out, err = litecot("sql", query, "--corpus", corpus, "--format", "json")
    assert (code, err) == (0, "")
    rows: list[dict[str, Any]] = json.loads(out, parse_constant=no_json)
    return rows


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        ("1 as a, 2 as a", ["a", "a_1"]),
        ("1 as a, 2 as a, 3 as a_1, 4 as a", ["a", "a_2", "a_1", "a_3"]),
        ("1 as a_1, 2 as a, 3 as a", ["a_1", "a", "a_2"]),
    ],
)
def test_json_keeps_every_column(columns: str, names: list[str], corpus: str) -> None:
    (row,) = rows_of(f"select {columns}", corpus)
    assert row == {name: number for number, name in enumerate(names, 1)}


@given(st.lists(st.sampled_from(["a", "a_1", "a_1_1", "b", ""]), max_size=8))
def test_unique_names_keep_the_first_and_lose_none(columns: list[str]) -> None:
    names = unique_names(columns)
    assert len(set(names)) == len(columns)
    for place, (name, column) in enumerate(zip(names, columns, strict=True)):
        assert name.startswith(column)
        assert name == column or column in columns[:place]


VALUES = {
    "date '2026-01-02'": "2026-01-02",
    "timestamp '2026-01-02 03:04:05.5'": "2026-01-02 03:04:05.500000",
    "time '03:04:05'": "03:04:05",
    "interval 1 day": "1 day, 0:00:00",
    "1.50": 1.5,
    "12::decimal(9, 0)": 12,
    "12345678901234567890.12::decimal(38, 2)": "12345678901234567890.12",
    "170141183460469231731687303715884105727": 170141183460469231731687303715884105727,
    "'nan'::double": None,
    "'inf'::double": None,
    "['nan'::double, 1]": [None, 1.0],
    "{'k': '-inf'::float}": {"k": None},
    "'\\x00a\\xFF'::blob": "\\x00a\\xFF",
    "['a'::blob]": ["a"],
    "map {1: [date '2026-01-02'], 2: null}": {"1": ["2026-01-02"], "2": None},
    "map {date '2026-01-02': 1.5}": {"2026-01-02": 1.5},
    "[true, null]": [True, None],
    "[1, 2]::int[2]": [1, 2],
    "'{\"a\": 1}'::json": '{"a": 1}',
    "uuid '00000000-0000-0000-0000-000000000001'": "00000000-0000-0000-0000-000000000001",
    "'\"\\é中\t'": '"\\é中\t',
}


def test_values_are_sane_in_json(corpus: str) -> None:
    selected = ", ".join(f"{value} as c{n}" for n, value in enumerate(VALUES))
    (row,) = rows_of(f"select {selected}", corpus)
    assert dict(zip(VALUES, row.values(), strict=True)) == VALUES


def test_what_is_nested_is_json_in_csv_and_tables(corpus: str) -> None:
    query = (
        "select [1, 2, null] as l, {'k': 'v', 'd': date '2026-01-02'} as s, map {'a': [1.50]} as m,"
        " ['it''s \"x\"'] as q, ['nan'::double] as n, 1.50 as d, 'a'::blob as b, null as z"
    )
    code, out, _ = litecot("sql", query, "--corpus", corpus, "--format", "csv")
    names, row = csv.reader(io.StringIO(out))
    assert code == 0
    told = dict(zip(names, row, strict=True))
    assert [json.loads(told[name]) for name in "lsmqn"] == [
        [1, 2, None], {"k": "v", "d": "2026-01-02"}, {"a": [1.5]}, ['it\'s "x"'], [None],
    ]  # fmt: skip
    assert [told[name] for name in "dbz"] == ["1.50", "a", ""]
    _, table, _ = litecot("sql", query, "--corpus", corpus)
    assert "[1, 2, null]" in table


def test_csv_is_read_back_by_duckdb(corpus: str, tmp_path: Path) -> None:
    query = "select [1, 2] as l, {'k': 'a, \"b\"'} as s"
    _, out, _ = litecot("sql", query, "--corpus", corpus, "--format", "csv")
    (tmp_path / "out.csv").write_text(out)
    read = f"select l::json::int[], s::json->>'k' from '{tmp_path / 'out.csv'}'"
    assert duckdb.sql(read).fetchall() == [([1, 2], 'a, "b"')]


nested = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
    | st.decimals(allow_nan=False, allow_infinity=False) | st.dates() | st.datetimes(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=8,
)  # fmt: skip


@given(nested)
def test_any_value_is_valid_json_and_one_cell(value: Any) -> None:
    json.loads(json_text(value), parse_constant=lambda name: pytest.fail(name))
    assert isinstance(cell(value), str)


def test_numbers_stay_numbers() -> None:
    assert cell(Decimal("1E-9")) == "0.000000001"
    assert json.loads(json_text([0.1, Decimal("0.1"), math.pi])) == [0.1, 0.1, math.pi]
    assert (
        json_text([date(2026, 1, 2), datetime(2026, 1, 2)])
        == '["2026-01-02", "2026-01-02 00:00:00"]'
    )
