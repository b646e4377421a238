"""Scores on the device beside a slow float64 reference on the CPU (tests/scoring_reference.py)."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from infra.engines import EngineConfig, open_engine
from tasks.score import ScoreConfig, ScoreRecord, score
from tests.fakes import ports
from tests.gpu.bare.models import PROBLEMS, Made
from tests.scoring_reference import SlowScorer

pytestmark = pytest.mark.gpu
COLUMNS = ("rd", "ifd", "grape", "rsr", "ppl_answer")
BF16_MOST = 0.1
"""Of a score, relative, in bfloat16: 8 bits of mantissa are 0.4% a rounding, thirty layers of them,
and a perplexity is an exponential. Measured with SmolLM2 on a CPU: 4.5% at most."""


class Reference(SlowScorer):
    """It, with torch's softmax in float64 for the one in Python: a second instead of a minute."""

    def read(self, given: list[int], wanted: list[int]) -> tuple[list[float], list[int]]:
        import torch

        with torch.no_grad():
            logits = self.model(torch.tensor([given + wanted])).logits[0, len(given) - 1 : -1]
        assert logits.dtype == torch.float64
        mine = logits[range(len(wanted)), wanted]
        logprobs = mine - logits.logsumexp(-1)
        return logprobs.tolist(), (1 + (logits > mine[:, None]).sum(-1)).tolist()

    def naturalness(self, header: list[int], rationale: str, window: int) -> None:
        """Not asked for here."""


class Student:
    """An engine under a name, as a stage sees it."""

    name = "student"

    def __init__(self, engine: Any) -> None:
        self.score = engine.score


def expected(folder: Path, cache_folder: Path) -> list[dict[str, Any]]:
    """Of all problems, kept for the next check."""
    known = cache_folder / "float64.json"
    if not known.exists():
        known.write_text(json.dumps(_rows(folder)))
    found: list[dict[str, Any]] = json.loads(known.read_text())
    return found


def _rows(folder: Path) -> list[dict[str, Any]]:
    slow = Reference(folder)
    return [slow.row(*problem) for problem in PROBLEMS]


def scored(made: Made, device: str, dtype: str, figures: dict[str, Any]) -> list[Any]:
    engine: Any = open_engine(
        EngineConfig.model_validate({"model": str(made.folder), "device": device, "dtype": dtype})
    )
    known = ports(scoring={"student": Student(engine)})
    config = ScoreConfig(scorers=("rd", "ifd", "grape", "rsr"), strip_answer=False)
    records = [
        ScoreRecord(record_id=str(n), problem_id=str(n), question=q, answer=a, text=text)
        for n, (q, a, text) in enumerate(PROBLEMS)
    ]

    async def rows(repeated: int) -> list[Any]:
        asked = (score(one, known, config) for one in records * repeated)
        return [row for (row,) in await asyncio.gather(*asked)]

    try:
        found = asyncio.run(rows(1))
        began = time.perf_counter()
        again = asyncio.run(rows(32 if device == "cuda" else 1))
        seconds = time.perf_counter() - began
    finally:
        engine.close()
    figures |= {
        "model": made.words, "dtype": dtype,
        "rationale_tokens_per_s": round(sum(row.num_tokens for row in again) / seconds, 1),
    }  # fmt: skip
    return found


def furthest(rows: list[Any], wanted: list[dict[str, Any]], figures: dict[str, Any]) -> float:
    """The largest relative difference of each column, and of all."""
    off = {
        name: max(
            abs(getattr(row, name) - slow[name]) / abs(slow[name])
            for row, slow in zip(rows, wanted, strict=True)
        )
        for name in COLUMNS
    }
    figures["largest_relative_difference"] = {name: float(f"{x:.3g}") for name, x in off.items()}
    return max(off.values())


def test_float32_equals_float64(
    device: str, smollm2: Made, cache: Path, figures: dict[str, Any]
) -> None:
    rows = scored(smollm2, device, "float32", figures)
    assert furthest(rows, expected(smollm2.folder, cache), figures) < 1e-4


def test_bfloat16_is_near(device: str, smollm2: Made, cache: Path, figures: dict[str, Any]) -> None:
    rows = scored(smollm2, device, "bfloat16", figures)
    off = furthest(rows, expected(smollm2.folder, cache), figures)
    assert 0 < off < BF16_MOST
