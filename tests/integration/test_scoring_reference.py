"""All scorers against a slow reference of their own (tests/scoring_reference.py).

On vLLM: test_vllm_engine.py, with a model and an adapter.

The rationales are random words: 1 to several hundred tokens, no line to dozens, many a problem.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.engines import Engine, EngineConfig, open_engine
from tasks.ports import ScoreRequest, TokenScores
from tasks.schemas import Score
from tasks.score import ScoreConfig, ScoreRecord, score
from tests.fakes import ports
from tests.integration.command_line import litecot, query
from tests.scoring_reference import SlowScorer
from tests.tiny_models import save_tiny_model

pytestmark = pytest.mark.usefixtures("prefect_server", "warm_engines")

COLUMNS = (
    "num_tokens", "num_answer_tokens", "ppl_rationale", "ppl_answer", "ppl_answer_given_rationale",
    "rd", "ifd", "grape", "rsr", "naturalness",
)  # fmt: skip
SCORERS = ("rd", "ifd", "grape", "rsr", "naturalness")
WORDS = ["a", "so", "7", "12", "= 7", "the dial", "right 4.", "Area:", "\\frac{1}{2}", "é漢", "x^2"]
RECIPE = """
name = "scored"
stages = ["verify", "score"]
[models.student]
model = "{model}"
dtype = "float32"
[score]
strip_answer = false
scorers = ["rd", "ifd", "grape", "rsr", "naturalness"]
"""
Reference = dict[str, float | None]


def rationales() -> list[tuple[str, str, str]]:
    """(question, answer, rationale): a batch as a corpus would never have it, but might."""
    draw = random.Random(11)

    def text(num_words: int, line_breaks: Sequence[str]) -> str:
        words = draw.choices(WORDS, k=num_words)
        return "".join(word + draw.choice(line_breaks) for word in words).strip()

    made = []
    for problem, num_words in enumerate((1, 2, 7, 20, 60, 160)):
        question = f"{problem}) {text(1 + 8 * problem, [' '])}?"
        start = text(num_words // 2, [" ", " ", "\n"])
        made += [(question, str(problem), text(num_words, breaks)) for breaks in (
            [" "], ["\n"], [" "] * 7 + ["\n"], [" "] * 5 + ["\n\n"],
        )]  # fmt: skip
        made += [
            (question, str(problem), f"{start}\n{text(9, [' '])}")
        ] * 2  # a shared start; twins
        made += [(question, str(problem), "")] * (problem % 2)
    return made


RATIONALES = rationales()


@dataclass
class Student:
    """An engine under a name, as a stage sees it."""

    engine: Engine
    name: str = "student"

    async def score(self, request: ScoreRequest) -> list[TokenScores]:
        return await self.engine.score(request)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def expected(folder: Path) -> list[Reference]:
    slow = SlowScorer(folder)
    return [slow.row(*each) for each in RATIONALES]


async def scored(engine: Engine, *, together: bool = True, **settings: Any) -> list[Score]:
    """What the stage makes of RATIONALES."""
    config = ScoreConfig(scorers=SCORERS, strip_answer=False, **settings)
    known = ports(scoring={"student": Student(engine)})
    steps = [
        score(
            ScoreRecord(record_id="r", problem_id="p", question=q, answer=a, text=text),
            known,
            config,
        )
        for q, a, text in RATIONALES
    ]
    rows = await asyncio.gather(*steps) if together else [await step for step in steps]
    return [row for (row,) in rows]


def check(rows: Sequence[Score], expected: Sequence[Reference], *, rel: float) -> None:
    """Every column of every row."""
    assert len(rows) == len(expected)
    for name in COLUMNS:
        ours = [getattr(row, name) for row in rows]
        theirs = [row[name] for row in expected]
        assert [value is None for value in ours] == [value is None for value in theirs], name
        there = [value for value in theirs if value is not None]
        assert [v for v in ours if v is not None] == pytest.approx(there, rel=rel), name


def test_the_batch_is_mixed(expected: list[Reference]) -> None:
    lengths = [int(row["num_tokens"] or 0) for row in expected]
    assert min(lengths) == 0
    assert 1 in lengths
    assert max(lengths) > 500
    assert any(row["rsr"] != row["rd"] for row in expected)


@pytest.mark.parametrize("max_batch_tokens", [16384, 200])
async def test_transformers_in_float32(
    folder: Path, expected: list[Reference], max_batch_tokens: int
) -> None:
    engine = open_engine(
        EngineConfig(model=str(folder), threads=1, max_batch_tokens=max_batch_tokens)
    )
    try:
        check(await scored(engine), expected, rel=1e-4)
        differences = [row.rd for row in await scored(engine, rd_form="difference")]
        assert differences == pytest.approx([row["rd_difference"] for row in expected], abs=1e-5)
    finally:
        engine.close()


async def test_company_changes_nothing(folder: Path, expected: list[Reference]) -> None:
    engine = open_engine(EngineConfig(model=str(folder), dtype="float64", threads=1))
    try:
        alone, together = await scored(engine, together=False), await scored(engine)
    finally:
        engine.close()
    check(alone, expected, rel=1e-6)
    check(together, expected, rel=1e-6)


async def test_settings_change_the_formula(folder: Path) -> None:
    slow = SlowScorer(folder)
    expected = [slow.row(*each, rank_clip=5, window=0) for each in RATIONALES]
    engine = open_engine(EngineConfig(model=str(folder), threads=1))
    try:
        check(await scored(engine, rank_clip=5, window_steps=0), expected, rel=1e-4)
    finally:
        engine.close()


def test_the_rows_of_a_run(folder: Path, expected: list[Reference], tmp_path: Path) -> None:
    """What `litecot run` stores and SQL reads back."""
    rows = [
        {"question": q, "answer": a, "answer_type": "text", "candidates": [f"{text}\n{a}"]}
        for q, a, text in {(q, text): (q, a, text) for q, a, text in RATIONALES if text}.values()
    ]
    (tmp_path / "traces.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "scored.toml").write_text(RECIPE.format(model=folder))
    done = litecot(
        "run", str(tmp_path / "scored.toml"), "--rationales", str(tmp_path / "traces.jsonl"),
        "--corpus", str(tmp_path / "corpus"),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = query(
        tmp_path / "corpus",
        "select question, answer, text, s.* from stg_scores as s"
        " join stg_rationales using (rationale_id)"
        " join stg_problems as p on p.problem_id = s.problem_id",
    )
    assert len(found) > 10
    slow = SlowScorer(folder)
    for row in found:
        theirs = slow.row(str(row["question"]), str(row["answer"]), str(row["text"]))
        for name in COLUMNS:
            assert row[name] == pytest.approx(theirs[name], rel=1e-4), name
