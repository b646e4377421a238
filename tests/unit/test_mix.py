"""Training examples: the stored prompt is what a person would type, never a control token."""

from __future__ import annotations

import asyncio

import pytest

from tasks.mix import MixConfig, MixRecord, mix
from tests.fakes import ports


@pytest.mark.parametrize("condition", ["original", "compressed"])
def test_one_example_a_kept_selection(condition: str) -> None:
    record = MixRecord(
        record_id="s", problem_id="p", rationale_id="r", question="2 + 2 = ?", condition=condition,
        text="so answer 4",
    )  # fmt: skip
    (row,) = asyncio.run(mix(record, ports(prompts="nano"), MixConfig(prompt="nano")))
    assert row.prompt == "2 + 2 = ?\nSolve this step by step."
    assert (row.completion, row.num_tokens) == ("so answer 4", 3)
    assert (row.rationale_id, row.problem_id, row.condition) == ("r", "p", condition)


def test_a_compressed_chain_may_go_unmarked() -> None:
    record = MixRecord(
        record_id="s", problem_id="p", rationale_id="r", question="2 + 2 = ?",
        condition="compressed", text="so answer 4",
    )  # fmt: skip
    config = MixConfig(prompt="nano", mark_compressed=False)
    (row,) = asyncio.run(mix(record, ports(prompts="nano"), config))
    assert row.condition == "original"
