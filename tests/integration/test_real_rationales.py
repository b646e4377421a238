"""`litecot run morsd` on rationales that real models wrote, against their recorded correctness.

Choices and dates; mathematics goes through it in test_real_corpus and test_length_accounting.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.command_line import litecot, query
from tests.real_chains import DATA

pytestmark = pytest.mark.usefixtures("prefect_server", "warm_engines")

NAME = "date_understanding_chatgpt_10candidates"


def test_imported_rationales_are_verified_scored_and_selected(tmp_path: Path) -> None:
    file = DATA / f"{NAME}.jsonl"
    if not file.exists():
        pytest.skip(f"{file.name} is not beside this checkout")
    corpus = tmp_path / "corpus"
    done = litecot(
        "run", "morsd", "--rationales", str(file), "--limit", "25", "--corpus", str(corpus)
    )
    assert done.returncode == 0, done.stderr
    (row,) = query(
        corpus,
        """select
            (select count(*) from stg_candidates) as imported,
            (select count(*) from stg_selections) as selected,
            (select count(*) from stg_selections where kept) as kept,
            (select count(*) from stg_examples) as examples,
            (select avg((recorded_correct = (verdict = 'correct'))::int) from stg_rationales)
                as agreement""",
    )
    assert row["imported"] == row["selected"]
    assert row["examples"] == row["kept"]
    assert row["kept"]
    assert float(str(row["agreement"])) >= 0.97
