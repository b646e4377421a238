"""Each query of sql/ binds on empty tables and gives the expected rows for the sample corpus."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sql.database import SQL_FOLDER, Database, connect, names, statement
from tests.unit import sample_corpus as sample
from tests.unit.sample_answers import ANSWERS
from tests.unit.sample_corpus import IMPORTED, LONG, P1

CONFIG = (
    '{"num_samples": 2, "source": "rewritten", "kinds": ["rewritten", "compressed"],'
    ' "original_kinds": ["rewritten"], "with_compressed": true, "keep_fraction": 1.0}'
)
PENDING = {
    "inputs": statement("inputs", "score"), "pending": statement("runs", "pending"),
    "writes": "scores", "stage_fingerprint": "fp-score", "prefix": sample.RUN_ID[:10],
}  # fmt: skip
FILES = [(path.parent.name, path.stem) for path in sorted(SQL_FOLDER.glob("*/*.sql"))]
# Staging is all that reads raw_*, and what is asked across runs:
READS_RAW = {
    "staging": "it selects the rows of one run",
    "runs": "a run finds its own rows, and what others left it, before there is anything to select",
    "costs": "what was paid under the same settings counts, whichever run paid it",
    "status": "it shows the corpus, not a run",
}
GIB = 2**30
CURVE_OF = (sample.MODEL.id, "student")

GOLDEN: dict[str, list[tuple[Any, ...]]] = {
    "funnel": [
        (1, "problems", 3, 3, 1.0),
        (2, "with_candidates", 3, 4, 1.0),
        (3, "answered_correctly", 2, 2, 0.6667),
        (4, "graded", 2, 2, 0.6667),
        (5, "rewritten", 1, 1, 0.3333),
        (6, "compressed", 1, 1, 0.3333),
        (7, "scored", 1, 2, 0.3333),
        (8, "kept", 1, 2, 0.3333),
        (9, "examples", 1, 2, 0.3333),
    ],
    "rejections_by_reason": [
        ("ingest", "not_json", 1, 0, "line 5"),
        ("rewrite", "answer_changed", 1, 1, "said 3"),
    ],
    "tokens_by_level": [
        ("easy", "long", 1, 2, 110.0, 110.0, 120, 0.5),
        ("easy", "rewritten", 1, 1, 60.0, 60.0, 60, 1.0),
        ("easy", "compressed", 1, 1, 30.0, 30.0, 30, 1.0),
        ("hard", "long", 1, 1, 200.0, 200.0, 200, 1.0),
        ("ungraded", "long", 1, 1, 50.0, 50.0, 50, 0.0),
    ],
    "compression_by_round": [
        (1, 1, 30.0, 0.5, 1, 0, 0, 0, 0, 0, 0, 0, 0, None, 0.0),
        (2, 1, 36.0, 0.6, 0, 1, 0, 0, 0, 0, 0, 0, 0, {"rebound": 1}, 1.0),
    ],
    "selection_by_filter": [
        ("original", "kept", "kept", 1, 1, 0.5, 1.0),
        ("compressed", "kept", "kept", 1, 1, 0.75, 1.0),
    ],
    "usage_by_model": [
        ("teacher", 7, 9, 140, 438, 3.7),
        ("compressor", 2, 2, 20, 200, 1.0),
        ("base-student", 1, 1, 5, 80, 0.25),
        ("trained-student", 2, 2, 10, 80, 0.5),
    ],
    "evaluation_summary": [
        ("base", "base-student", "sample", False, 1, 1, 0.0, 80.0, 0.25, 0.0, 0.0),
        ("trained", "trained-student", "sample", False, 1, 1, 1.0, 60.0, 0.25, 0.0, 0.0),
        ("trained", "trained-student", "sample", True, 1, 1, 1.0, 20.0, 0.25, 0.0, 0.0),
    ],
    "training_summary": [
        (
            sample.MODEL.id,
            "student",
            2,
            1,
            3,
            4,
            0.5,
            6.0,
            1,
            0.75,
            "DeepSpeedEngine",
            2,
            1,
            "cpu",
            0.5,
            2,
            2**30,
            "weights/m",
        ),
    ],
    "training_curve": [
        ("sample", *CURVE_OF, 0, 3, 0.0, 0.0, None, 5.0, None, None, 0, 5.0, GIB, 0.0, 1),
        (
            "sample",
            *CURVE_OF,
            1,
            3,
            0.3333,
            0.333,
            3.125,
            None,
            0.003,
            None,
            10,
            5.0,
            2**30,
            2.0,
            1,
        ),
        ("sample", *CURVE_OF, 2, 3, 0.6667, 0.667, 2.25, 0.75, 0.003, None, 20, 5.0, GIB, 4.0, 2),
    ],
    "last_attempt": [(sample.MODEL.id, 2)],
    "published_curve": [
        (sample.MODEL.id, 0, 3, 0.0, None, 5.0, None, 0),
        (sample.MODEL.id, 1, 3, 0.3333, 3.125, None, 0.003, 10),
        (sample.MODEL.id, 2, 3, 0.6667, 2.25, 0.75, 0.003, 20),
    ],
    "published_evaluation": [
        ("base", "base-student", "sample", False, 1, 1, 0.0, 80.0, 0.0),
        ("trained", "trained-student", "sample", False, 1, 1, 1.0, 60.0, 0.0),
        ("trained", "trained-student", "sample", True, 1, 1, 1.0, 20.0, 0.0),
    ],
    "verdict_disagreements": [
        (IMPORTED.id, P1, "correct", False, "2", "math", "2", "brought", "1 + 1 = 2")
    ],
    "stages_by_fingerprint": sorted(
        (fingerprint, "sample", stage)
        for run in (sample.FINGERPRINTS, sample.OTHER_FINGERPRINTS)
        for stage, fingerprint in run.items()
    ),
    "find_id": [("rationales", LONG.id, sample.P0, sample.RUN_ID)],
    "published_lengths": [("original", 32, 63, 1, 30), ("compressed", 32, 63, 1, 30)],
    "published_conditions": [("original", 1, 40, 100), ("compressed", 1, 40, 100)],
    "published_levels": [("easy", 2, 1)],
    "published_filters": [
        ("accuracy", 2, 0),
        ("completeness", 2, 0),
        ("diversity", 2, 0),
        ("difficulty", 2, 0),
    ],
    "published_prompts": [
        ("long", "teacher", "written", None, 0, 1),
        ("rewritten", "teacher", "written", None, 1, 0),
        ("compressed", "compressor", "written", None, 1, 0),
    ],
    "published_sources": [("sample", 2)],
    "published_scores": [("rd", 2, 0.625, 0.625), ("length", 2, 9.0, 9.0)],
    "published_size": [(2, 1)],
    "published_left_out": [("ingest", "not_json", 1), ("rewrite", "answer_changed", 1)],
    "problem_sources": [("sample",)],
    "latest_run": [(sample.RUN_ID,)],
    "runs_by_prefix": [(sample.RUN_ID, json.dumps(sample.FINGERPRINTS))],
    "runs_taken_in": [],  # the sample's run says that it has no problems
    "num_shards": [(2,)],
    # the sample's scores say of no rationale that they were made from it
    "pending": [
        (one, sample.P0, "What is 0 + 1?", "1", "1 + 1 = 2")
        for one in (sample.ROUND_1.id, sample.REWRITTEN.id)
    ],
    "num_pending": [(2,)],
    "input_columns": [],
    "repeated_inputs": [],
    "shard_times": [(None, None, None, None)],
    "trained_models": [("weights/m", "d")],
    "held_out_questions": [("sample", None, "What is 3 + 1?")],
    "trained_questions": [(sample.P0, "sample", None, "What is 0 + 1?")],
    "problem_to_show": [(sample.P0,)],
    "prompt_to_show": [("What is 0 + 1?",)],
    "paid": [
        ("fp-compress", 1, 2, 20, 200),
        ("fp-difficulty", 1, 2, 40, 8),
        ("fp-evaluate-base", 1, 1, 5, 80),
        ("fp-evaluate-trained", 1, 2, 10, 80),
        ("fp-generate", 1, 3, 30, 300),
        ("fp-rewrite", 1, 4, 70, 130),
    ],
    "chains": [
        ("compressed", 30.0, 1.0, 1.0, 1),
        ("long", 117.5, 0.5, 2 / 3, 1),
        ("rewritten", 60.0, 1.0, 1.0, 1),
    ],
    "done": [(f"fp-{stage}", 1) for stage in sorted(sample.STAGES) if stage != "ingest"],
    "members_by_split": [("eval", 1), ("train", 3)],
    "examples": [(2, 40.0, 14.0)],
    "stages_present": [(f"fp-{stage}",) for stage in sorted(sample.STAGES)],
    "stored_rows": [
        ("candidates", 1),
        ("difficulties", 2),
        ("evaluations", 3),
        ("examples", 2),
        ("invocations", 1),
        ("memberships", 5),
        ("models", 1),
        ("problems", 4),
        ("rationales", 8),
        ("rejections", 2),
        ("runs", 2),
        ("scores", 2),
        ("selections", 2),
        ("training_steps", 5),
    ],
    "runs_and_invocations": [
        ("sample", sample.RUN_ID, "2099-01-01T00:00:00", "done", 9, 1),
        ("sample", sample.OTHER_ID, None, "not ended", None, None),
    ],
    **ANSWERS,
}
# On empty tables: the pipeline has its steps, and a number is a row.
ON_EMPTY = {"funnel": 9, "published_size": 1, "num_shards": 1, "num_pending": 1, "shard_times": 1}
# Row counts of what is too wide to spell out.
NUM_ROWS = {
    "stg_memberships": 4, "stg_problems": 4, "stg_candidates": 1, "stg_rationales": 7,
    "stg_difficulties": 2, "stg_scores": 2, "stg_score_values": 4,
    "stg_selections": 2, "stg_examples": 2,
    "stg_rejections": 2, "stg_evaluations": 3, "stg_models": 1, "stg_runs": 1, "stg_invocations": 1,
    "stg_training_steps": 3, "published_models": 1, "stg_stored_ids": 40,
    "stg_error_history": 0, "usage_events": 12, "lineage": 13,
    "published_examples": 2, "published_funnel": 9, "published_run": 1,
    "generate": 3, "verify": 1, "difficulty": 3, "rewrite": 2, "compress": 1, "score": 2,
    "select": 1, "texts": 1, "mix": 2, "train": 2, "evaluate": 4,
}  # fmt: skip


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    database = connect(sample.write_sample(tmp_path_factory.mktemp("corpus") / "sample"))
    database.set_variables(id=LONG.id, config=CONFIG, rationales=f'["{LONG.id}"]', **PENDING)
    return database


@pytest.fixture(scope="module")
def empty() -> Database:
    database = connect({})
    database.set_variables(id="0", config=CONFIG, **PENDING)
    return database


@pytest.mark.parametrize(("kind", "name"), FILES)
def test_binds_on_empty_tables(empty: Database, kind: str, name: str) -> None:
    result = empty.run_file(kind, name)
    assert result.columns
    assert len(result.rows) == ON_EMPTY.get(name, 0)


@pytest.mark.parametrize(("kind", "name"), FILES)
def test_gives_expected_rows(database: Database, kind: str, name: str) -> None:
    result = database.run_file(kind, name)
    if name in GOLDEN:
        assert result.rows == GOLDEN[name]
    else:
        assert len(result.rows) == (0 if kind == "checks" else NUM_ROWS[name]), result.rows


@pytest.mark.parametrize(("kind", "name"), FILES)
def test_follows_house_rules(kind: str, name: str) -> None:
    text = statement(kind, name)
    code = re.sub(r"--[^\n]*|'[^']*'", "", text)
    assert re.match(r"-- grain: (one|two) rows? per \w+", text)
    assert code == code.lower()
    assert ";" not in code
    assert kind in READS_RAW or "raw_" not in code
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("table", sorted(sample.sample_tables()))
def test_raw_views_have_the_columns_of_the_schema(empty: Database, table: str) -> None:
    from tasks.schemas import TABLES, arrow_schema

    assert list(empty.run(f"from raw_{table}").columns) == arrow_schema(TABLES[table]).names


def test_what_all_tables_have_in_common_needs_no_list_of_them(database: Database) -> None:
    """raw_rows is made from the schemas: each table's id, and nulls for columns it lacks."""
    rows = database.rows_of("raw_rows").records()
    assert {row["table_name"] for row in rows} == set(sample.sample_tables())
    (invocation,) = [row for row in rows if row["table_name"] == "invocations"]
    assert (invocation["run_id"], invocation["problem_id"]) == (sample.RUN_ID, None)
    assert invocation["num_requests"] is None  # the rows it made paid for them
    (chain,) = [row for row in rows if row["id"] == LONG.id]
    assert (chain["problem_id"], chain["stage_fingerprint"]) == (sample.P0, "fp-generate")
    assert (chain["num_requests"], chain["completion_tokens"]) == (1, 100)


def test_every_table_has_a_staging_view() -> None:
    assert {f"stg_{table}" for table in sample.sample_tables()} <= set(names("staging"))


def test_tokens_of_every_candidate_count(tmp_path: Path) -> None:
    """Candidates share a request, which stands on the first of them; each wrote its own tokens."""
    rows = [
        made for made in sample.EVERYTHING if made.row.table in ("runs", "problems", "memberships")
    ]
    others = [
        sample.rationale(
            "generate", sample.P0, candidate=1, num_requests=0, completion_tokens=50, latency_s=0.0
        )
    ]
    database = connect(sample.write_rows(tmp_path / "corpus", [*rows, LONG, *others]))
    (usage,) = database.run("select num_requests, completion_tokens from usage_by_model").rows
    assert usage == (1, 150)
    (waits,) = database.run_file("analyses", "waits_by_model").records()
    assert (waits["num_requests"], waits["mean_wait_s"], waits["p99_wait_s"]) == (1, 0.5, 0.5)


@pytest.mark.parametrize(
    ("graded", "expected"),
    [
        # the teacher calls two equals easy and hard: both stand in one third
        (
            {P1: ("easy", 0.5), sample.P0: ("hard", 0.5), sample.P2: (None, 0.9)},
            [("easy", "medium", 1, 0.5, 1.0, None), ("hard", "medium", 1, 0.5, 1.0, None),
             ("unread", "hard", 1, 0.9, 1.0, None)],
        ),
        (
            {sample.P0: ("hard", 0.1), P1: ("easy", 0.9)},
            [("easy", "hard", 1, 0.9, 1.0, -1.0), ("hard", "easy", 1, 0.1, 1.0, -1.0)],
        ),
    ],
)  # fmt: skip
def test_agreement_of_teacher_and_measure(
    tmp_path: Path, graded: dict[str, tuple[str | None, float]], expected: list[Any]
) -> None:
    rows = [
        made for made in sample.EVERYTHING if made.row.table in ("runs", "problems", "memberships")
    ]
    for problem_id, (level, value) in graded.items():
        made = sample.difficulty(problem_id, "easy", value)
        rows.append(replace(made, row=replace(made.row, teacher_level=level)))
    database = connect(sample.write_rows(tmp_path / "corpus", rows))
    assert database.run_file("analyses", "difficulty_agreement").rows == expected


def some_rows(*tables: str) -> list[sample.Made]:
    return [made for made in sample.EVERYTHING if made.row.table in tables]


def test_rd_is_ranked_against_length_within_a_kind(tmp_path: Path) -> None:
    """RD 0.1, 0.2, 0.3, 9 against 10, 30, 30, 80 tokens: rank correlation 4.5 / sqrt(5 * 4.5)."""
    rows = some_rows("runs", "problems", "memberships")
    for number, (rd, num_tokens) in enumerate([(0.1, 10), (0.2, 30), (0.3, 30), (9.0, 80)]):
        made = sample.rationale("generate", sample.P0, candidate=number, num_tokens=num_tokens)
        rows += [made, sample.score(made.id, rd)]
    database = connect(sample.write_rows(tmp_path / "corpus", rows))
    assert database.run_file("analyses", "rd_against_length").rows == [
        ("rd", "long", 4, 0.9487, 0.25, 37.5, 10.0, 80.0)
    ]


def test_how_often_the_most_frequent_answer_was_given(tmp_path: Path) -> None:
    rows = some_rows("runs", "problems", "memberships")
    for number, answer in enumerate(["7", "7", None, "9", None, None]):
        rows.append(
            sample.rationale(
                "generate", sample.P0, candidate=number, verdict="wrong", extracted_answer=answer
            )
        )
    database = connect(sample.write_rows(tmp_path / "corpus", rows))
    (row,) = database.run_file("analyses", "hardest_problems").records()
    assert (row["most_frequent_answer"], row["times_given"], row["num_candidates"]) == ("7", 2, 6)
