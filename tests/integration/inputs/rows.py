"""Rows that tests of several stages' inputs share.

A sample: `ask("score", LONG, compressed(LONG, 1))`, with `ask` of conftest.py
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from infra.storage import CorpusWriter
from tasks.catalog import STAGES
from tests.unit import sample_corpus as sample
from tests.unit.sample_corpus import (
    OTHER_FINGERPRINTS,
    OTHER_ID,
    P0,
    P1,
    P2,
    P3,
    Made,
    rationale,
)

TABLES = {stage.reads: stage.writes.table for stage in STAGES.values()}
RECORDS = {stage.reads: stage.record for stage in STAGES.values()}
CONFIGS = {stage.reads: stage.config for stage in STAGES.values()}
BASE = (
    *(sample.problem(number) for number in range(4)),
    *(sample.member(problem_id) for problem_id in (P0, P1, P2)),
    sample.member(P3, split="eval"),
)
Records = list[dict[str, Any]]
Ask = Callable[..., Records]

LONG = rationale("generate", P0)
WRONG = rationale("generate", P0, candidate=1, verdict="wrong", text="other")
REWRITTEN = rationale("rewrite", P0, kind="rewritten", parent_id=LONG.id, level="easy")
CUT_OFF = rationale("generate", P0, candidate=2, num_tokens=5, finish_reason="length")


def compressed(parent: Made, number: int, **columns: Any) -> Made:
    return rationale(
        "compress", P0, kind="compressed", parent_id=parent.id, round=number,
        **{"chosen": False, **columns},
    )  # fmt: skip


def values(found: Sequence[dict[str, Any]], *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in columns) for row in found]


def candidates(found: Records) -> set[tuple[str, str]]:
    return {(c["rationale_id"], c["condition"]) for row in found for c in row["candidates"]}


def write_other_run(folder: Path, *rows: Made) -> None:
    """Rows made earlier by a run with other settings."""
    with CorpusWriter(folder) as writer:
        for made in rows:
            fingerprint = OTHER_FINGERPRINTS[made.stage]
            writer.finish(P0, [made.row], stage_fingerprint=fingerprint, run_id=OTHER_ID)
