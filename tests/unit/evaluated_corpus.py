"""A small corpus of evaluated models, written through CorpusWriter: the oracle of metrics and plot.

Four questions of one benchmark, graded easy, easy and hard (the last not at all), two of them of
one family. Answers are spelt as a letter a sample: c correct, w wrong, n none found, - cut off.

    answers("base", {0: "cw"}) -> two rows of the base on question 0
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.storage import CorpusWriter
from tasks.schemas import Difficulty, Evaluation, Model, Problem, Row, Run

VERDICTS = {"c": "correct", "w": "wrong", "n": "no_answer", "-": "truncated"}
SETTINGS = '{"max_tokens": 100, "temperature": 0.6}'
PROBLEMS = [
    Problem(
        source="sums", question=f"What is {i} + 1?", answer=str(i + 1), answer_type="integer",
        subject=None,
    )
    for i in range(4)
]  # fmt: skip
IDS = [problem.content_id() for problem in PROBLEMS]
FAMILIES = ["small", "small", None, None]
LEVELS = {0: "easy", 1: "easy", 2: "hard"}
RUN = Run(recipe="sums", resolved="{}", fingerprints="{}", versions="{}")
LATER = Run(recipe="sums", resolved='{"seed": 1}', fingerprints="{}", versions="{}")


def answers(
    model: str,
    spelt: Mapping[int, str],
    *,
    tokens: int = 10,
    compress: bool = False,
    **columns: Any,
) -> list[Row]:
    """Sample number i of a question has `tokens` + i tokens, a wrong one answers 7."""
    said = {"c": "1", "w": "7"}
    known: dict[str, Any] = {
        "role": "base", "benchmark": "sums", "settings": SETTINGS, "latency_s": 0.5,
    }  # fmt: skip
    return [
        Evaluation(
            model_id=model, problem_id=IDS[question], sample=sample, compress=compress,
            text="so", num_tokens=tokens + sample, verdict=VERDICTS[letter],
            extracted_answer=said.get(letter), family=FAMILIES[question],
            finish_reason="length" if letter == "-" else "stop", **{**known, **columns},
        )
        for question, letters in spelt.items()
        for sample, letter in enumerate(letters)
    ]  # fmt: skip


def trained(base: str = "base") -> Model:
    """A model that started from `base`."""
    return Model(
        base=base, recipe="sums", data_fingerprint="d", path="weights/m", num_parameters=1,
        num_examples=2, num_steps=3, train_tokens=4, train_loss=0.5, train_seconds=6.0,
        world_size=1,
    )  # fmt: skip


def grades() -> list[Row]:
    """What the questions were graded as."""
    return [
        Difficulty(problem_id=IDS[question], difficulty=0.5, level=level)
        for question, level in LEVELS.items()
    ]


def write(
    folder: Path, rows: Sequence[Row], *, run: Run = RUN, stage: str = "fp"
) -> dict[str, list[str]]:
    """A corpus of the questions and `rows`, all of one run and stage; its parts."""
    with CorpusWriter(folder) as writer:
        for number, row in enumerate([run, *PROBLEMS, *rows]):
            writer.finish(
                f"{stage}-{number}", [row], stage_fingerprint=stage, run_id=run.content_id()
            )
        writer.flush()
        return writer.parts()
