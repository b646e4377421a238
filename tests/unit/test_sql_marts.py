"""Each query of sql/ binds on empty tables and gives the expected rows for the sample corpus."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from infra.care.facts import create_views
from sql.database import SQL_FOLDER, Database, connect, names, statement
from tests.unit import sample_corpus as sample
from tests.unit.sample_answers import ANSWERS
from tests.unit.sample_corpus import IMPORTED, LONG, P1

CONFIG = (
    '{"num_samples": 2, "source": "rewritten", "kinds": ["rewritten", "compressed"],'
    ' "original_kinds": ["rewritten"], "with_compressed": true, "keep_fraction": 1.0,'
    ' "num_examples": 1}'
)
PENDING = {
    "inputs": statement("inputs", "score"), "pending": statement("runs", "pending"),
    "models": '["base-student", "trained-student"]', "first": "base-student",
    "second": "trained-student", "benchmark": "sample", "num_examples": 2,
    "first_compress": False, "second_compress": False,
    "settings": sample.RUN_ID,
    "writes": "scores", "stage_fingerprint": "fp-score", "prefix": sample.RUN_ID[:10],
    "split": "train", "train_limit": None, "eval_limit": None, "shard_size": 2, "most": 3,
    "model": "trained-student", "pruned": f'["{sample.RUN_ID}"]',
}  # fmt: skip
FILES = [(path.parent.name, path.stem) for path in sorted(SQL_FOLDER.glob("*/*.sql"))]
# Staging is all that reads raw_*, and what is asked across runs:
READS_RAW = {
    "staging": "it selects the rows of one run",
    "runs": "a run finds its own rows, and what others left it, before there is anything to select",
    "comparisons": "what is compared may be of any run",
    "costs": "what was paid under the same settings counts, whichever run paid it",
    "status": "it shows the corpus, not a run",
    "care": "it is about files and rows, whichever run they are of",
}
GIB = 2**30
P3_ALONE = hashlib.md5(sample.P3.encode()).hexdigest()[:16]
CURVE_OF = (sample.MODEL.id, "student")

GOLDEN: dict[str, list[tuple[Any, ...]]] = {
    "rows_by_kind": [("compressed", 2, 66, 18), ("long", 5, 1469, 45), ("rewritten", 1, 60, 9)],
    "rows_by_table": [
        ("candidates", 1, 0, 0),
        ("difficulties", 2, 0, 48),
        ("evaluations", 3, 160, 175),
        ("examples", 2, 80, 0),
        ("forecasts", 1, 0, 0),
        ("invocations", 1, 0, 0),
        ("memberships", 5, 0, 0),
        ("models", 1, 0, 0),
        ("perplexities", 1, 0, 0),
        ("problems", 4, 0, 0),
        ("rationales", 8, 1595, 770),
        ("rejections", 2, 0, 90),
        ("runs", 2, 0, 0),
        ("scores", 2, 0, 0),
        ("selections", 2, 0, 0),
        ("training_steps", 5, 0, 0),
    ],
    # All of the first run but the problem that the other one has too.
    "unneeded_totals": [
        ("candidates", 1, 0, 0, 0.0),
        ("difficulties", 2, 2, 48, 0.0),
        ("evaluations", 3, 3, 175, 0.0),
        ("examples", 2, 0, 0, 0.0),
        ("forecasts", 1, 0, 0, 0.0),
        ("invocations", 1, 0, 0, 0.0),
        ("memberships", 4, 0, 0, 0.0),
        ("models", 1, 0, 0, 0.5),
        ("perplexities", 1, 0, 0, 0.0),
        ("problems", 3, 0, 0, 0.0),
        ("rationales", 7, 6, 660, 0.0),
        ("rejections", 2, 3, 90, 0.0),
        ("runs", 1, 0, 0, 0.0),
        ("scores", 2, 0, 0, 0.0),
        ("selections", 2, 0, 0, 0.0),
        ("training_steps", 5, 0, 0, 0.0),
    ],
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
    "headline": [(3, 4, 2, 117.5, 60.0, 30.0, 0.5, 0.5, 2, 2, 1.0, 2, 40.0, 2)],
    "token_quantiles": [
        ("long", "easy", 2, 110.0, 100, 100, 100, 120, 120, 120),
        ("long", "hard", 1, 200.0, 200, 200, 200, 200, 200, 200),
        ("long", "ungraded", 1, 50.0, 50, 50, 50, 50, 50, 50),
        ("rewritten", "easy", 1, 60.0, 60, 60, 60, 60, 60, 60),
        ("compressed", "easy", 1, 30.0, 30, 30, 30, 30, 30, 30),
    ],
    "compression_waterfall": [(0, "before", 1, 60, 60, 1.0), (1, "round 1", 1, -30, 30, 0.5)],
    "examples_side_by_side": [
        (
            sample.P0,
            "easy",
            0.3,
            "What is 0 + 1?",
            14,
            "1",
            place,
            kind,
            model,
            "correct",
            tokens,
            "1 + 1 = 2",
            9,
        )
        for place, kind, model, tokens in (
            (1, "long", "teacher", 100),
            (2, "rewritten", "teacher", 60),
            (3, "compressed", "compressor", 30),
        )
    ],
    "faults": [
        (2, "requests_repeated", 1),
        (5, "verdict_disagreements", 1),
        (6, "examples_too_long", 1),
        (7, "training_attempts_lost", 1),
    ],
    "loss_curves": [
        ("sample", sample.MODEL.id, True, 0, 3, 0.0, None, 5.0, 0),
        ("sample", sample.MODEL.id, True, 1, 3, 0.3333, 3.125, None, 10),
        ("sample", sample.MODEL.id, True, 2, 3, 0.6667, 2.25, 0.75, 20),
    ],
    "score_ranks": [
        ("original", "rd", True, 1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5),
        ("original", "length", True, 1, 0.0, 0.0, 0.0, 0.0, 0.0, 9.0),
        ("compressed", "rd", True, 1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.75),
        ("compressed", "length", True, 1, 0.0, 0.0, 0.0, 0.0, 0.0, 9.0),
    ],
    "usage_and_price": [
        ("generate", "teacher", 3, 3, 30, 300, 1.5, None, None),
        ("difficulty", "teacher", 2, 2, 40, 8, 0.2, None, None),
        ("rewrite", "teacher", 2, 4, 70, 130, 2.0, None, None),
        ("compress", "compressor", 2, 2, 20, 200, 1.0, None, None),
        ("evaluate", "base-student", 1, 1, 5, 80, 0.3, None, None),
        ("evaluate", "trained-student", 2, 2, 10, 80, 0.5, None, None),
    ],
    "rejections_by_reason": [
        ("ingest", "not_json", 1, 0, "line 5"),
        ("rewrite", "answer_changed", 1, 1, "said 3"),
    ],
    "tokens_by_level": [
        ("easy", "long", 1, 2, 110.0, 110.0, 120, 0.5, 0),
        ("easy", "rewritten", 1, 1, 60.0, 60.0, 60, 1.0, 0),
        ("easy", "compressed", 1, 1, 30.0, 30.0, 30, 1.0, 0),
        ("hard", "long", 1, 1, 200.0, 200.0, 200, 1.0, 0),
        ("ungraded", "long", 1, 1, 50.0, 50.0, 50, 0.0, 0),
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
        ("base", "base-student", "sample", False, 1, 1, 0.0, 80.0, 0.25, 0.0, 0.0, 0.0, None),
        ("trained", "trained-student", "sample", False, 1, 1, 1.0, 60.0, 0.25, 0.0, 0.0, 0.0, None),
        ("trained", "trained-student", "sample", True, 1, 1, 1.0, 20.0, 0.25, 0.0, 0.0, 0.0, None),
    ],
    "evaluations_by_level": [
        (
            "base-student",
            "base",
            None,
            "sample",
            False,
            "all",
            1,
            1,
            1,
            1,
            0.0,
            0.0,
            0.0,
            80.0,
            80.0,
            80.0,
            None,
            0.0,
            0.25,
            P3_ALONE,
            sample.RUN_ID,
        ),
        *(
            (
                "trained-student",
                "trained",
                None,
                "sample",
                compress,
                "all",
                1,
                1,
                1,
                1,
                1.0,
                1.0,
                1.0,
                tokens,
                tokens,
                tokens,
                tokens,
                0.0,
                0.25,
                P3_ALONE,
                sample.RUN_ID,
            )
            for compress, tokens in ((False, 60.0), (True, 20.0))
        ),
    ],
    "evaluated_questions": [
        (
            f"{role}-student",
            role,
            None,
            "sample",
            sample.RUN_ID,
            compress,
            sample.P3,
            sample.P3,
            None,
            1,
            int(role == "trained"),
            tokens,
            0,
            0.25,
            float(role == "trained"),
        )
        for role, compress, tokens in (
            ("base", False, 80.0),
            ("trained", False, 60.0),
            ("trained", True, 20.0),
        )
    ],
    "frontier": [
        (
            "sample",
            "trained-student",
            "trained",
            None,
            True,
            1,
            1,
            1.0,
            20.0,
            20.0,
            0.0,
            True,
            None,
            None,
            3,
            P3_ALONE,
            sample.RUN_ID,
        ),
        (
            "sample",
            "trained-student",
            "trained",
            None,
            False,
            1,
            1,
            1.0,
            60.0,
            60.0,
            0.0,
            False,
            "trained-student",
            True,
            3,
            P3_ALONE,
            sample.RUN_ID,
        ),
        (
            "sample",
            "base-student",
            "base",
            None,
            False,
            1,
            1,
            0.0,
            80.0,
            None,
            0.0,
            False,
            "trained-student",
            True,
            3,
            P3_ALONE,
            sample.RUN_ID,
        ),
    ],
    "evaluated_models": [
        (sample.MODEL.id, "trained", "student", None, None, None, 0, False),
        *(
            (name, role, None, "sample", sample.RUN_ID, compress, 1, True)
            for name, role, prompts in (
                ("base-student", "base", (False,)),
                ("trained-student", "trained", (False, True)),
            )
            for compress in prompts
        ),
    ],
    "questions_of_models": [
        (model, "sample", sample.RUN_ID, compress, sample.P3, sample.P3, 1, *found, 0, 0.25)
        for model, compress, *found in (
            ("base-student", False, 0, 80.0),
            ("trained-student", False, 1, 60.0),
            ("trained-student", True, 1, 20.0),
        )
    ],
    "answers_of_model": [
        (
            "sample",
            sample.RUN_ID,
            compress,
            sample.P3,
            0,
            "What is 3 + 1?",
            "4",
            None,
            "correct",
            tokens,
            False,
            sample.evaluation(
                "trained", compress=compress, verdict="correct", num_tokens=tokens
            ).id,
        )
        for compress, tokens in ((False, 60), (True, 20))
    ],
    "flipped_questions": [
        (True, sample.P3, "What is 3 + 1?", "4", 0, 1, "(no answer)", 80.0, 1, 1, None, 60.0)
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
        ("base", "base-student", "sample", False, 1, 1, 0.0, 80.0, 0.0, None),
        ("trained", "trained-student", "sample", False, 1, 1, 1.0, 60.0, 0.0, None),
        ("trained", "trained-student", "sample", True, 1, 1, 1.0, 20.0, 0.0, None),
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
    "students": [],  # none begins as the run does
    "held_out_questions": [("sample", None, "What is 3 + 1?")],
    "trained_questions": [(sample.P0, "sample", None, "What is 0 + 1?")],
    "problem_to_show": [(sample.P0,)],
    "prompt_to_show": [("What is 0 + 1?",)],
    "paid": [
        (f"fp-{stage}", 1, *sums, 14.0, 0, 0, 0)  # a record alone has no slope
        for stage, *sums in (
            ("compress", 2, 20, 200),
            ("difficulty", 2, 40, 8),
            ("evaluate-base", 1, 5, 80),
            ("evaluate-trained", 2, 10, 80),
            ("generate", 3, 30, 300),
            ("rewrite", 4, 70, 130),
        )
    ],
    "chains": [
        ("compressed", 30.0, 1.0, 1.0, 1),
        ("long", 117.5, 0.5, 2 / 3, 1),
        ("rewritten", 60.0, 1.0, 1.0, 1),
    ],
    "runs": [(sample.OTHER_ID, json.dumps(sample.OTHER_FINGERPRINTS), None)],
    "inputs_by_problem": [(sample.P0, 2, 2)],
    # of what is held out one seems lost, for it is alone and not the first
    "draft_members": [
        (one, "train", place, place // 2, None, None, None)
        for place, one in enumerate((sample.P0, sample.P1, sample.P2))
    ],
    "members_by_split": [("eval", 1), ("train", 3)],
    "examples": [(2, 40.0, 14.0)],
    "num_students": [("student", 1)],
    # its training set has two examples, of one of which the base was asked
    "stg_example_perplexities": [("fp-mix", "student", pytest.approx(4.0), pytest.approx(2.0))],
    "stages_present": [(f"fp-{stage}",) for stage in sorted(sample.STAGES)],
    "stored_rows": [
        ("candidates", 1),
        ("difficulties", 2),
        ("evaluations", 3),
        ("examples", 2),
        ("forecasts", 1),
        ("invocations", 1),
        ("memberships", 5),
        ("models", 1),
        ("perplexities", 1),
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
ON_EMPTY = {
    "funnel": 9, "published_size": 1, "num_shards": 1, "num_pending": 1, "shard_times": 1,
    "headline": 1,
}  # fmt: skip
# Row counts of what is too wide to spell out.
NUM_ROWS = {
    "run_settings": 2, "provenance": 1, "stage_times": 0,
    "relation_columns": 0,  # of no relation: none is named
    "stg_memberships": 4, "stg_problems": 4, "stg_candidates": 1, "stg_rationales": 7,
    "stg_difficulties": 2, "stg_scores": 2, "stg_score_values": 4,
    "stg_selections": 2, "stg_examples": 2,
    "stg_rejections": 2, "stg_evaluations": 3, "stg_models": 1, "stg_runs": 1, "stg_invocations": 1,
    "stg_training_steps": 3, "published_models": 1, "stg_stored_ids": 42, "stage_seconds": 1,
    "stg_perplexities": 1, "stg_forecasts": 1, "stg_students": 1,
    "stg_training_sets": 1, "candidate_features": 1, "measure": 1,
    # the sample's models were not evaluated, nor are their examples those of its training set
    "stg_student_results": 0, "training_features": 0, "forecasts_against_truth": 0,
    "student_results": 0, "forecasts_of_run": 0, "stored_inputs": 10, "question_lengths": 4,
    "stg_error_history": 0, "usage_events": 12, "lineage": 13, "replication_answers": 3,
    "replication_students": 1, "replication_candidates": 1,
    "labelled_scores": 0, "held_out_likelihoods": 2, "taught_scores": 1, "real_answers": 2,
    "stg_evaluated_answers": 3, "evaluated_answers": 3,
    "published_examples": 2, "published_funnel": 9, "published_run": 1,
    "generate": 3, "verify": 1, "difficulty": 3, "rewrite": 2, "compress": 1, "score": 2,
    "select": 1, "texts": 1, "mix": 2, "train": 2, "evaluate": 4,
    "broken_lineage": 0, "repeated_ids": 0, "row_references": 30, "cost_by_fingerprint": 10,
    "models": 1,
    "rows_by_run": 19, "all_runs": 2, "unneeded_rows": 38,
}  # fmt: skip


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    database = connect(sample.write_sample(tmp_path_factory.mktemp("corpus") / "sample"))
    create_views(database)
    database.set_variables(id=LONG.id, config=CONFIG, rationales=f'["{LONG.id}"]', **PENDING)
    return database


@pytest.fixture(scope="module")
def empty() -> Database:
    database = connect({})
    create_views(database)
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


# --- the replication


def test_answers_by_question_with_the_level_of_the_nano_world(database: Database) -> None:
    rows = database.run_file("analyses", "replication_answers").records()
    assert {(row["role"], row["compress"], row["num_samples"]) for row in rows} == {
        (row["role"], row["compress"], 1) for row in rows
    }
    (wrong,) = [row for row in rows if (row["role"], row["compress"]) == ("base", False)]
    assert (wrong["num_correct"], wrong["mean_tokens"], wrong["level"]) == (0, 80.0, "easy")
    assert (wrong["problem_id"], wrong["family"]) == (sample.P3, sample.P3)


def test_a_student_with_what_it_was_trained_on(database: Database) -> None:
    (row,) = database.run_file("analyses", "replication_students").records()
    examples = [made.row for made in sample.EVERYTHING if made.row.table == "examples"]
    assert (row["num_steps"], row["train_tokens"]) == (3, 4)
    taught = {one.__dict__["problem_id"] for one in examples}
    counts = [row[f"num_{name}"] for name in ("problems", "easy", "medium", "hard")]
    assert counts == [len(taught), len(taught), 0, 0]


def test_a_student_with_how_hard_its_problems_were() -> None:
    steps = {"p1": 1, "p2": 2, "p3": 3, "p5": 5, "p6": 6, "untaught": 9}
    questions = [(name, "\n".join(f"{n}) right {n}" for n in range(1, number + 1)))
                 for name, number in steps.items()]  # fmt: skip
    with duckdb.connect() as connection:
        connection.execute("create table stg_problems (problem_id text, question text, split text)")
        connection.executemany("insert into stg_problems values (?, ?, 'train')", questions)
        connection.execute(
            "create table stg_examples as"
            " select unnest(['p1', 'p2', 'p3', 'p3', 'p5', 'p6', 'gone']) as problem_id"
        )
        connection.execute(
            "create table stg_models as select 'm' as model_id, 0 as num_examples, 0 as num_steps,"
            " 0 as train_tokens, 0 as train_loss, 0 as train_seconds"
        )
        found = connection.sql(statement("analyses", "replication_students"))
        (row,) = [dict(zip(found.columns, one, strict=True)) for one in found.fetchall()]
    counts = [row[f"num_{name}"] for name in ("problems", "easy", "medium", "hard")]
    assert counts == [6, 2, 2, 1]


def test_how_much_work_candidates_gave_the_filters(tmp_path: Path) -> None:
    rows = some_rows("runs", "problems", "memberships")
    for number, (filter_, reason, rd) in enumerate([
        ("accuracy", "wrong_answer", 9.0), ("diversity", "near_duplicate", 0.1),
        ("kept", "kept", 0.2), ("difficulty", "outside_keep_fraction", 1.5),
    ]):  # fmt: skip
        made = sample.rationale("generate", sample.P0, candidate=number)
        rows.append(sample.selection(made.id, "original", filter=filter_, reason=reason, rd=rd))
    database = connect(sample.write_rows(tmp_path / "corpus", rows))
    assert database.run_file("analyses", "replication_candidates").rows == [(4, 0.25, 1 / 3, 1 / 3)]


# --- the replication on real text


def test_scores_beside_what_the_source_said_of_a_rationale(tmp_path: Path) -> None:
    rows = some_rows("runs", "problems", "memberships")
    for number, (label, verdict) in enumerate(
        [(True, "correct"), (False, "correct"), (False, "wrong"), (None, "correct")]
    ):
        made = sample.rationale(
            "verify", sample.P0, candidate=number, recorded_correct=label, verdict=verdict
        )
        rows += [made, sample.score(made.id, rd=0.25 * number)]
    database = connect(sample.write_rows(tmp_path / "corpus", rows))
    found = database.run_file("analyses", "labelled_scores").records()
    assert [(row["is_valid"], row["is_right"], row["rd"], row["length"]) for row in found] == [
        (True, True, 0.0, 9), (False, True, 0.25, 9), (False, False, 0.5, 9),
    ]  # fmt: skip
    read = database.run_file("analyses", "held_out_likelihoods").records()
    assert {row["student"] for row in read} == {"student"}
    assert [read[0][name] for name in ("answer", "solution", "answer_behind_solution")] == (
        pytest.approx(np.log([4, 2, 2]))
    )


def test_a_student_with_how_hard_what_it_was_taught_is(database: Database) -> None:
    """Of examples that were not scored, such as wrong ones in the raw arm, there is no RD."""
    (row,) = database.run_file("analyses", "taught_scores").records()
    scores = {made.row.__dict__["rationale_id"]: made.row.__dict__["rd"]
              for made in sample.EVERYTHING if made.row.table == "scores"}  # fmt: skip
    taught = [made.row.__dict__["rationale_id"] for made in sample.EVERYTHING
              if made.row.table == "examples"]  # fmt: skip
    rds = [scores[one] for one in taught if one in scores]
    assert (row["num_rationales"], row["num_scored"]) == (len(taught), len(rds))
    assert row["mean_rd"] == (pytest.approx(np.mean(rds)) if rds else None)


def test_answers_of_students_to_held_out_questions_asked_plainly(database: Database) -> None:
    rows = database.run_file("analyses", "real_answers").records()
    asked = [made.row.__dict__ for made in sample.EVERYTHING if made.row.table == "evaluations"]
    plain = [one for one in asked if not one["compress"]]
    assert [(row["role"], row["is_correct"]) for row in rows] == [
        (one["role"], int(one["verdict"] == "correct"))
        for one in sorted(plain, key=lambda one: one["role"])
    ]
