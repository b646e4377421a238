"""Answers of one model under different settings are never one figure, whatever is asked.

The same question, asked three times of each model at three temperatures: one answer is correct and
short, the others are wrong and longer. A mean over two or three of them is in no relation.
"""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from infra.storage import CorpusWriter
from sql.database import Database, connect
from tests.unit import sample_corpus as sample
from tests.unit.test_sql_marts import FILES, PENDING

TOKENS = {"correct": 1009, "wrong": 3001, "no_answer": 9001}
ROLES = ("base", "trained")
FINGERPRINTS = {
    **sample.FINGERPRINTS,
    **{
        f"evaluate-{role}-{verdict}": f"fp-{role}-{verdict}" for role in ROLES for verdict in TOKENS
    },
}
SHARES = {round(1 / n, 4) for n in (2, 3)} | {round(2 / 3, 4)}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    folder: Path = tmp_path_factory.mktemp("settings") / "corpus"
    sample.write_rows(
        folder, [made for made in sample.EVERYTHING if not made.stage.startswith("evaluate")]
    )
    with CorpusWriter(folder) as writer:
        for role in ROLES:
            for verdict, tokens in TOKENS.items():
                row = sample.evaluation(
                    role, compress=False, verdict=verdict, num_tokens=tokens
                ).row
                asked = {**vars(row), "settings": json.dumps({"temperature": tokens})}
                writer.finish(
                    f"{role}-{verdict}", [type(row)(**asked)], run_id=sample.RUN_ID,
                    stage_fingerprint=FINGERPRINTS[f"evaluate-{role}-{verdict}"],
                )  # fmt: skip
        writer.flush()
        found = connect(writer.parts())
    found.set_run(sample.RUN_ID, FINGERPRINTS)
    return found


def means() -> set[float]:
    return {round(mean(some), 1) for size in (2, 3) for some in combinations(TOKENS.values(), size)}


ASKED = [
    (kind, name)
    for kind, name in FILES
    if kind not in ("inputs", "checks", "costs", "status", "care")
    and name != "accuracy_by_subject"  # of rationales
]


@pytest.mark.parametrize(("kind", "name"), ASKED)
def test_no_relation_has_a_mean_over_settings(database: Database, kind: str, name: str) -> None:
    variables: dict[str, Any] = {**PENDING, "settings": json.dumps({"temperature": 1009})}
    found = database.run_file(kind, name, variables=variables)
    merged = [
        (column, value)
        for row in found.rows
        for column, value in zip(found.columns, row, strict=True)
        if isinstance(value, float)
        and (round(value, 1) in means() or ("accuracy" in column and round(value, 4) in SHARES))
    ]
    assert merged == []


def test_the_summary_has_a_row_of_each(database: Database) -> None:
    rows = database.rows_of("evaluation_summary").records()
    assert sorted((row["role"], row["accuracy"], row["mean_tokens"]) for row in rows) == sorted(
        (role, float(verdict == "correct"), float(tokens))
        for role in ROLES
        for verdict, tokens in TOKENS.items()
    )
    assert {json.loads(row["settings"])["temperature"] for row in rows} == set(TOKENS.values())
