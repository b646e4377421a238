"""Answers that real models wrote, with the gold answer and what their source recorded.

The data lies beside the repository (shared/data, see its README) and is never part of it: `load`
skips the test that asks for a file which is not there. Rows and candidates count from 0.
Sample: LabelledAnswer(file="math500_skyt1_32b_shortcot", row=198, candidate=0, answer_type="math",
gold="10,\\\\!080", text="... $\\\\boxed{10080}$.", recorded=False).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parents[2] / "shared/data"
GSM8K = "gsm8k_test_openai_4candidates"
DATES = "date_understanding_chatgpt_10candidates"
MIXED = "verify_cot_human_annotated_rationales"
MATHEMATICS = (
    "math100_qwen25math_8candidates",
    "math500_qwen25_14b_instruct",
    "math500_skyt1_32b_shortcot",
    "math500_skyt1_27b_longcot",
)
FILES = (GSM8K, *MATHEMATICS, DATES, MIXED)
_GSM8K_WRITERS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
_MIXED_TYPES = {
    "gsm8k": "integer",
    "addsub": "integer",
    "MATH": "math",
    "aqua_rat": "choice",
    "date": "date",
    "last_letters": "text",
}


@dataclass(frozen=True, kw_only=True)
class LabelledAnswer:
    """One text, and whether its source held it for correct."""

    file: str
    row: int
    candidate: int
    answer_type: str
    gold: str
    text: str
    recorded: bool

    @property
    def key(self) -> str:
        """`row/candidate`, as the judgements and the documents name it."""
        return f"{self.row}/{self.candidate}"


def load(file: str) -> list[LabelledAnswer]:
    """Every labelled answer of `file`, one of FILES; skips the test where the file is absent."""
    path = DATA / f"{file}.jsonl"
    if not path.exists():
        pytest.skip(f"{path.name} is not beside the repository (shared/data)")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        LabelledAnswer(
            file=file, row=number, candidate=candidate, answer_type=answer_type, gold=str(gold),
            text=text, recorded=bool(recorded),
        )
        for number, row in enumerate(rows)
        for candidate, (answer_type, gold, text, recorded) in enumerate(_answers(file, row))
    ]  # fmt: skip


def _answers(file: str, row: dict[str, Any]) -> Iterator[tuple[str, str, str, bool]]:
    """Answer type, gold answer, text and record of each candidate of a row."""
    if file == GSM8K:
        for writer in _GSM8K_WRITERS:
            written = row[writer]
            yield "integer", row["ground_truth"], written["solution"], written["is_correct"]
    elif file == MIXED:
        yield _MIXED_TYPES[row["dataset"]], row["final_answer"], row["answer"], row["correct"]
    elif file == DATES:
        for text, correct in zip(row["model_outputs"], row["per_sample_correct"], strict=True):
            yield "date", row["final_answer"], text, correct
    else:
        for text, correct in zip(row["code"], row["score"], strict=True):
            yield "math", row["answer"], text, correct
