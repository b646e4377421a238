"""What a stage has left to do: its inputs query, anti-joined with what is already in the corpus.

Invariants: an input counts as done when the stage's table or `rejections` has a row made from it
under the same stage fingerprint; that is the whole of resume. Texts are most of a corpus: they are
read where they are needed, of one shard or one page of records, never of everything at once.

    select's candidates {..., "text_from": "2026-11-21T09:30:11"} -> {..., "text": "First add ..."}
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from itertools import chain, islice
from typing import Any

from sql.database import Database, statement
from sql.untrusted import check_statement, explained
from tasks.errors import UsageError

PAGE_RECORDS = 1000


class RepeatedInputError(UsageError):
    """A stage's query gives a record twice: it would be asked, and paid for, as often."""


def _variables(
    database: Database, *, reads: str, table: str, fingerprint: str, config: str,
    shard: int | None, query: str = "",
) -> dict[str, Any]:  # fmt: skip
    """What sql/runs/pending.sql and the inputs it is about look up. `query`: of a stage from
    outside, instead of the file that `reads` names."""
    asked: dict[str, Any] = {"stage_fingerprint": fingerprint, "config": config, "shard": shard}
    times = database.run_file("runs", "shard_times", variables=asked).records()[0]
    return {**asked, **times, "inputs": query or statement("inputs", reads), "writes": table}


def count_pending(database: Database, **query: Any) -> int:
    """How many inputs are left."""
    variables = {**_variables(database, **query), "pending": statement("runs", "pending")}
    return int(database.run_file("runs", "num_pending", variables=variables).rows[0][0])


def count_by_problem(database: Database, **query: Any) -> list[tuple[str | None, int, int]]:
    """Problem -> how many inputs it has, and how many of them are left.

    Raises QueryFailedError where a query from outside fails over what the corpus holds.
    """
    variables = {**_variables(database, **query), "pending": statement("runs", "pending")}
    with explained() if query.get("query") else nullcontext():
        rows = database.run_file("runs", "inputs_by_problem", variables=variables).rows
    return [(problem_id, num_inputs, num_pending) for problem_id, num_inputs, num_pending in rows]


def input_columns(database: Database, **query: Any) -> list[tuple[str, str]]:
    """Name and DuckDB type of each column of a query from outside, asked as a run asks it.

    Raises QueryFailedError or QueryRefusedError, one line each.
    """
    check_statement(query["query"])
    with explained():
        found = database.run_file("runs", "input_columns", variables=_variables(database, **query))
    return list(zip(found.columns, found.types, strict=True))


def check_pending(database: Database, **query: Any) -> None:
    """Before a query from outside is read. Raises RepeatedInputError, or QueryFailedError where
    it fails over what the corpus holds: one line each."""
    variables = {**_variables(database, **query), "pending": statement("runs", "pending")}
    with explained():
        rows = database.run_file("runs", "repeated_inputs", variables=variables).rows
    if rows:
        record_id, num_rows = rows[0]
        told = "without a record_id" if record_id is None else f"of record_id {record_id!r}"
        raise RepeatedInputError(
            f"gives {num_rows} rows {told}: each record once, or it is paid for so often"
        )


def stream_pending(database: Database, **query: Any) -> Iterator[dict[str, Any]]:
    """The inputs left, as column name -> value, a page in memory at a time."""
    variables = _variables(database, **query)
    records = database.stream(statement("runs", "pending"), variables=variables)
    while page := _page(records, is_outside=bool(query.get("query"))):
        _add_texts(database, page)
        yield from page


def _page(records: Iterator[dict[str, Any]], *, is_outside: bool) -> list[dict[str, Any]]:
    with explained() if is_outside else nullcontext():
        return list(islice(records, PAGE_RECORDS))


def _add_texts(database: Database, page: Sequence[dict[str, Any]]) -> None:
    """Give candidates that may be kept their text, and why it is no whole one, where it shows."""
    wanted: dict[str, dict[str, str]] = defaultdict(dict)  # kind -> rationale_id -> when written
    for one in chain.from_iterable(_candidates(record) for record in page):
        if one["text_from"]:
            wanted[one["kind"]][one["rationale_id"]] = one["text_from"]
    found: dict[str, dict[str, Any]] = {}
    for written in wanted.values():  # one kind is written together, several may be hours apart
        found |= _texts(database, written)
    for one in chain.from_iterable(_candidates(record) for record in page):
        read = found.get(one["rationale_id"], {})
        one["text"] = read.get("text", "")
        one["incomplete"] = one["incomplete"] or read.get("incomplete")
        del one["text_from"], one["kind"]


def _candidates(record: dict[str, Any]) -> Sequence[dict[str, Any]]:
    """As sql/inputs/select.sql gives them; a stage from outside may call something else so."""
    found = record.get("candidates")
    if not isinstance(found, list):
        return ()
    return [one for one in found if isinstance(one, dict) and "text_from" in one]


def _texts(database: Database, written: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    rows = database.stream(
        statement("inputs", "texts"),
        variables={
            "rationales": json.dumps(list(written)),
            "rationales_from": min(written.values()),
            "rationales_to": max(written.values()),
        },
    )
    return ((row["rationale_id"], row) for row in rows)
