"""`litecot replicate-real` on a few made-up rationales and the nano student: every part once, and a
second time nothing. What it says of SmolLM2 takes hours (`make replicate-real`)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from flows.real_text.sources import ANSWER_TYPES, CANDIDATES, HELD_OUT, LABELLED, SVAMP, WRITERS
from tasks.schemas import TABLES
from tests.gpu.bare.real_text import chosen
from tests.integration.command_line import litecot, query

pytestmark = [
    pytest.mark.usefixtures("much_memory", "prefect_server", "warm_engines"),
    pytest.mark.timeout(600),  # two trainings at once
]
STUDENT, POOL, ARMS = "nano:student", 3, 2
SETTINGS = (
    "--seeds", "1", "--arms", "by-random,all",
    "--scale", f"labelled=2,pool={POOL},read=1,answered=1",
    "--set", f"models.student.model={STUDENT}", "--set", "train.max_steps=2",
    "--set", "evaluate.max_tokens=4",
)  # fmt: skip
THINGS = ("apples", "stones", "books", "boats", "songs")


def write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    write(folder / f"{LABELLED}.jsonl", [
        {"dataset": of, "question": f"Of which {of} are {n} and 2 the sum?", "final_answer": n + 2,
         "answer": f"{n} + 2 = {n + 2}. The answer is {n + 2}.", "correct": True, "flag": n % 2}
        for of in ANSWER_TYPES for n in range(2)
    ])  # fmt: skip
    write(folder / f"{CANDIDATES}.jsonl", [
        {"question": f"Ann has {n} {thing} and finds 4 more. How many {thing}?",
         "ground_truth": f"{n} + 4 = <<{n}+4={n + 4}>>{n + 4}\nA: {n + 4}",
         **{who: {"is_correct": True, "solution": f"{who} adds {n} + 4 = {n + 4}\nA: {n + 4}"}
            for who in WRITERS}}
        for n, thing in enumerate(THINGS)
    ])  # fmt: skip
    write(folder / f"{HELD_OUT}.jsonl", [
        {"question": "A train of 9 cars loses 3 of them. What is left?",
         "answer": "9 - 3 = <<9-3=6>>6\n#### 6"}
    ])  # fmt: skip
    write(folder / f"{SVAMP}.jsonl", [
        {"Body": "A pack costs 76 dollars", "Question": "What do two cost?", "Answer": 152.0,
         "Equation": "( 76.0 * 2.0 )"}
    ])  # fmt: skip
    return folder


def replicate(data: Path, corpus: Path, *more: str) -> CompletedProcess[str]:
    return litecot("replicate-real", "--data", str(data), "--corpus", str(corpus), *SETTINGS, *more)


def counts(corpus: Path) -> Mapping[str, int]:
    return {
        table: query(corpus, f"select count(*) as n from raw_{table}")[0]["n"] for table in TABLES
    }


@pytest.fixture(scope="module")
def corpus(data: Path, tmp_path_factory: pytest.TempPathFactory, warm_engines: object) -> Path:
    made = tmp_path_factory.mktemp("replicate-real") / "corpus"
    done = replicate(data, made)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{2 + ARMS} parts done now, 0 before" in done.stdout
    return made


def test_every_rationale_is_scored_once_and_every_student_reads_what_is_held_out(
    corpus: Path,
) -> None:
    found = counts(corpus)
    assert found["scores"] == 2 * len(ANSWER_TYPES) + 4 * POOL + 2 * (1 + ARMS)
    # the base answers in one arm, for all of a seed
    assert (found["models"], found["evaluations"]) == (ARMS, 2 * (1 + ARMS))
    readers = query(corpus, "select distinct student from raw_scores")
    assert len(readers) == 1 + ARMS


@pytest.mark.parametrize("arm", ["by-random", "all"])
def test_the_gpu_kit_chooses_what_selection_chooses(corpus: Path, arm: str) -> None:
    """It has no corpus to ask, so its cutoff is computed beside the query's."""
    pool = query(
        corpus,
        "select r.rationale_id, r.problem_id, r.text, r.verdict = 'correct' as is_right, s.rd,"
        " s.num_tokens as length, s.others['random'] as random"
        " from raw_rationales as r join raw_scores as s using (rationale_id)"
        " join raw_problems as p on p.problem_id = r.problem_id"
        f" where p.source like 'pool-1%' and s.student = '{STUDENT}'",
    )
    assert len(pool) == 4 * POOL
    taught = query(
        corpus,
        "select e.rationale_id from raw_examples as e join raw_runs as r using (run_id)"
        f" where r.recipe = 'replicate-real-{arm}'",
    )
    assert {row["rationale_id"] for row in chosen(pool, arm)} == {
        row["rationale_id"] for row in taught
    }
    assert taught


def test_the_second_time_nothing_is_made_and_the_page_is_of_a_pilot(
    data: Path, corpus: Path, tmp_path: Path
) -> None:
    before, page = counts(corpus), tmp_path / "page.md"
    done = replicate(data, corpus, "--page", str(page))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"0 parts done now, {2 + ARMS} before" in done.stdout
    assert counts(corpus) == before
    text = page.read_text(encoding="utf-8")
    assert "**This is a pilot, not the replication**: 2 of its 2 students are done" in text
    assert "12 rationales with a person's word on the reasoning, 6 valid" in text
