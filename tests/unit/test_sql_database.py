"""Connecting: which run is shown, streams, variables; lineage of an id."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from infra.storage import CorpusWriter
from sql.database import Database, QueryFailedError, UnknownRunError, connect, relations
from sql.lineage import UnknownIdError, lineage
from tasks.schemas import Run
from tests.unit import sample_corpus as sample
from tests.unit.sample_corpus import LONG, LONG_WRONG, P0, P1, REJECTED, REWRITTEN, ROUND_1, ROUND_2


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    return sample.write_sample(tmp_path_factory.mktemp("it's [a] corpus*") / "sample")


@pytest.fixture(scope="module")
def database(parts: dict[str, list[str]]) -> Database:
    """For those that only read."""
    return connect(parts)


def test_latest_invocation_selects_the_run(database: Database) -> None:
    assert database.run_id == sample.RUN_ID
    query = "select getvariable('run_id'), fingerprint_of('score'), fingerprint_of('nothing')"
    assert database.run(query).rows == [(sample.RUN_ID, "fp-score", None)]


def test_a_run_that_only_evaluates_is_not_the_latest_beside_others(tmp_path: Path) -> None:
    """`litecot evaluate` leaves a run behind; what the views show stays the run that made data."""
    told = {"ingest": "fp-e", "evaluate-base": "fp-e"}
    evaluated = Run(recipe="evaluate", resolved="e", fingerprints=json.dumps(told), versions="{}")
    with CorpusWriter(tmp_path / "only") as writer:
        writer.finish("e", [evaluated], stage_fingerprint="", run_id=evaluated.content_id())
        writer.flush()
        assert connect(writer.parts()).run_id == evaluated.content_id()
    sample.write_sample(tmp_path / "both")
    with CorpusWriter(tmp_path / "both") as writer:
        later = replace(sample.INVOCATION.row, started_at="2100-01-01T00:00:00")
        writer.finish("e", [evaluated, later], stage_fingerprint="", run_id=evaluated.content_id())
        writer.flush()
        assert connect(writer.parts()).run_id == sample.RUN_ID


def test_run_is_chosen_by_prefix(parts: dict[str, list[str]]) -> None:
    database = connect(parts, run_id=sample.OTHER_ID[:10])
    assert database.run("select problem_id, num_tokens from stg_rationales").rows == [(P0, 999)]


def test_unknown_run_is_one_line(parts: dict[str, list[str]]) -> None:
    with pytest.raises(UnknownRunError, match="'zzz' is no run"):
        connect(parts, run_id="zzz")


def test_run_without_a_row_can_be_selected(parts: dict[str, list[str]]) -> None:
    database = connect(parts)
    database.set_run(sample.OTHER_ID, {"generate": "fp-generate"})
    assert database.run("select count(*) from stg_rationales").rows == [(2,)]


def test_empty_corpus_has_no_run() -> None:
    assert connect({}).run_id == ""


def test_stream_gives_records_while_other_queries_run(database: Database) -> None:
    stream = database.stream("select range as n from range(5)", batch_rows=2)
    first = next(stream)
    database.run("from funnel")
    assert [first, *stream] == [{"n": i} for i in range(5)]


def grown(folder: Path) -> Iterator[dict[str, list[str]]]:
    """The parts of a corpus as it grows by one row after another, and at last is compacted."""
    with CorpusWriter(folder) as writer:
        yield writer.parts()
        for made in sample.EVERYTHING:
            writer.finish(
                made.input_id, [made.row], run_id=sample.RUN_ID,
                stage_fingerprint=sample.FINGERPRINTS.get(made.stage, ""),
            )  # fmt: skip
            writer.flush()
            yield writer.parts()
        writer.compact()
        yield writer.parts()


def all_rows(database: Database) -> dict[str, list[str]]:
    """Of each relation."""
    return {name: sorted(map(repr, database.rows_of(name).rows)) for name in relations()}


def test_what_is_shown_is_what_connecting_anew_shows(tmp_path: Path) -> None:
    """Through all of a corpus' life, forwards and back."""
    life = list(grown(tmp_path / "corpus"))
    assert max(len(files) for files in life[-2].values()) > len(life[-1]["rationales"]) == 1
    database = connect({})
    for parts in [*life[:: len(life) // 4], life[-1], life[1], {}]:
        database.show(parts)
        database.set_run(sample.RUN_ID, sample.FINGERPRINTS)
        anew = connect(parts)
        anew.set_run(sample.RUN_ID, sample.FINGERPRINTS)
        assert all_rows(database) == all_rows(anew)
        assert set(database.files) == {file for files in parts.values() for file in files}


def test_what_is_being_read_goes_on_while_other_parts_are_shown(
    parts: dict[str, list[str]],
) -> None:
    database = connect(parts)
    whole = database.run("select rationale_id from raw_rationales order by 1").rows
    query = "select rationale_id from raw_rationales order by 1"
    stream = database.stream(query, batch_rows=1)
    first = next(stream)
    database.show({**parts, "rationales": []})
    assert database.rows_of("raw_rationales").rows == []
    assert [tuple(row.values()) for row in (first, *stream)] == whole


def test_a_part_that_cannot_be_read_changes_nothing_that_is_shown(
    parts: dict[str, list[str]], tmp_path: Path
) -> None:
    database, torn = connect(parts), tmp_path / "part-000000000001-abc-def.parquet"
    torn.write_bytes(b"PAR1")
    before = all_rows(database)
    with pytest.raises(duckdb.Error):
        database.show({**parts, "problems": [], "scores": [str(torn)]})
    assert all_rows(database) == before
    database.show({**parts, "scores": []})
    assert database.rows_of("raw_scores").rows == []
    assert database.rows_of("raw_problems").rows


def test_variables_and_parameters() -> None:
    database = connect({})
    database.set_variables(shard=None, share=0.5)
    query = "select getvariable('shard') is null, getvariable('share'), $more"
    assert database.run(query, {"more": "it's"}).rows == [(True, 0.5, "it's")]


def test_syntax_error_is_told(database: Database) -> None:
    with pytest.raises(QueryFailedError, match="syntax error"):
        database.run("selekt 1")


def test_connecting_loads_nothing_heavy() -> None:
    code = (
        "import sys, sql.database, sql.untrusted, sql.lineage, infra.storage\n"
        "sql.database.connect({}).run('from funnel')\n"
        "print(sorted({'pandas', 'pyarrow', 'numpy', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "row_id", [P0, LONG.id[:12], REWRITTEN.id, ROUND_2.id, f" {P0[:12].upper()} "]
)
def test_lineage_of_any_row_is_that_of_its_problem(database: Database, row_id: str) -> None:
    found = lineage(database, row_id)
    assert (found.problem_id, found.answer, found.splits) == (P0, "1", ("train",))
    assert [chain.rationale_id for chain in found.chains] == [LONG.id, LONG_WRONG.id]
    (rewritten,) = found.chains[0].children
    assert [chain.rationale_id for chain in rewritten.children] == [ROUND_1.id, ROUND_2.id]
    assert [chain.stop_reason for chain in rewritten.children] == ["stop", "rebound"]
    assert (rewritten.scores[0].rd, rewritten.selections[0].kept) == (0.5, True)
    assert rewritten.examples[0].condition == "original"
    assert found.difficulties[0].level == "easy"


def test_lineage_shows_what_was_rejected_and_evaluated(database: Database) -> None:
    rejected = lineage(database, P1).rejections
    assert [(line.rejection_id, line.reason) for line in rejected] == [
        (REJECTED.id, "answer_changed")
    ]
    assert [line.role for line in lineage(database, sample.P3).evaluations] == [
        "base", "trained", "trained"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("row_id", "told"),
    [
        ("zz", "no row"), ("", "is needed"), ("%", "no row"), (sample.RUN_ID, "about no problem"),
        (sample.OTHER_ID, "about no problem"),
    ],
)  # fmt: skip
def test_lineage_refuses_in_one_line(database: Database, row_id: str, told: str) -> None:
    with pytest.raises(UnknownIdError, match=told) as caught:
        lineage(database, row_id)
    assert "\n" not in str(caught.value)


def test_id_of_another_run_is_told(parts: dict[str, list[str]]) -> None:
    database = connect(parts, run_id=sample.OTHER_ID)
    with pytest.raises(UnknownIdError, match=f"first stored by run {sample.RUN_ID}"):
        lineage(database, P1)


def test_start_of_several_ids_is_told(database: Database) -> None:
    ids = [row[0] for row in database.run("select id from stg_stored_ids order by id").rows]
    with pytest.raises(UnknownIdError) as caught:  # among more than 16 ids two start alike
        _ = [lineage(database, start) for start in dict.fromkeys(row_id[0] for row_id in ids)]
    assert "several ids start so" in str(caught.value)
