"""Do the scorers tell good rationales from flawed ones whose answer is right? People's labels say.

An AUC is the chance that a good rationale is scored better than a flawed one of the same data set:
0.5 is a coin, below it the scorer prefers flawed ones. Length alone is the control.
The student is trained here from scratch, BENCH_STUDENT_TOKENS tokens on 2 cores: a weak reader.
"""

from __future__ import annotations

import json
import os
import random
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import pytest

from tests.bench.small_student import CONTEXT, train_small_student
from tests.integration.command_line import litecot, query
from tests.real_chains import DATA

FILE = DATA / "verify_cot_human_annotated_rationales.jsonl"
STUDENT_TOKENS = int(os.environ.get("BENCH_STUDENT_TOKENS", "1000000"))
NUM_RESAMPLES = 1000
ANSWER_TYPES = {
    "MATH": "math", "addsub": "integer", "aqua_rat": "choice", "date": "date", "gsm8k": "integer",
    "last_letters": "text",
}  # fmt: skip
# What a low value is said to mean (METHODS 3 and 4): -1 where lower is better.
SCORERS = {
    "rd": -1, "ifd": -1, "grape": 1, "rsr": -1, "naturalness": 1, "num_tokens": -1,
}  # fmt: skip
RECIPE = """
name = "flawed"
stages = ["verify", "score"]
[models.student]
model = "{model}"
dtype = "float32"
max_model_len = {context}
[score]
scorers = ["rd", "ifd", "grape", "rsr", "naturalness"]
"""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A rationale with a right answer, as people and the student saw it."""

    dataset: str
    is_good: bool
    scores: dict[str, float]


def read_labelled() -> list[dict[str, object]]:
    """The rows whose final answer is right; `flag` says whether the reasoning is."""
    lines = FILE.read_text(encoding="utf-8").split("\n")
    return [row for row in map(json.loads, filter(None, lines)) if row["correct"]]


def write_problems(file: Path) -> None:
    """One line a rationale: several rationales of one question come together in the corpus."""
    rows = [
        {
            "question": row["question"], "answer": row["final_answer"], "subject": row["dataset"],
            "answer_type": ANSWER_TYPES[str(row["dataset"])], "candidates": [row["answer"]],
        }
        for row in read_labelled()
    ]  # fmt: skip
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def words(*texts: object) -> tuple[str, ...]:
    """Texts as a key: ingest may have changed their spaces."""
    return tuple(" ".join(str(text).split()) for text in texts)


def score_all(folder: Path, model: str) -> list[Scored]:
    """Every labelled rationale that our verifier finds right too, scored by `litecot run`."""
    folder.mkdir()
    write_problems(folder / "problems.jsonl")
    (folder / "flawed.toml").write_text(RECIPE.format(model=model, context=CONTEXT))
    done = litecot(
        "run", str(folder / "flawed.toml"), "--rationales", str(folder / "problems.jsonl"),
        "--corpus", str(folder / "corpus"), timeout=1800,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    labels = {words(r["question"], r["answer"]): (r["dataset"], r["flag"]) for r in read_labelled()}
    found = query(
        folder / "corpus",
        "select question, text, s.* from stg_scores as s join stg_rationales using (rationale_id)"
        " join stg_problems as p on p.problem_id = s.problem_id",
    )
    scored = []
    for row in found:
        dataset, flag = labels[words(row["question"], row["text"])]
        scores = {name: sign * float(str(row[name])) for name, sign in SCORERS.items()}
        scored.append(Scored(dataset=str(dataset), is_good=flag == 1, scores=scores))
    return scored


def auc(rows: list[Scored], scorer: str) -> float:
    """Over all pairs (good, flawed) within a data set; a tie counts half. Nan without a pair."""
    wins = pairs = 0.0
    for dataset in {row.dataset for row in rows}:
        within = [row for row in rows if row.dataset == dataset]
        good = [row.scores[scorer] for row in within if row.is_good]
        flawed = [row.scores[scorer] for row in within if not row.is_good]
        pairs += len(good) * len(flawed)
        wins += sum((g > f) + (g == f) / 2 for g in good for f in flawed)
    return wins / pairs if pairs else float("nan")


def interval(rows: list[Scored], scorer: str) -> tuple[float, float]:
    """95% bootstrap interval of the AUC."""
    draw = random.Random(0)
    found = sorted(auc(draw.choices(rows, k=len(rows)), scorer) for _ in range(NUM_RESAMPLES))
    return found[int(0.025 * NUM_RESAMPLES)], found[int(0.975 * NUM_RESAMPLES)]


def table(rows: list[Scored]) -> str:
    """Markdown: one line a scorer, one column a data set."""
    flawed = {row.dataset for row in rows if not row.is_good}
    datasets = sorted(flawed)
    head = ["scorer", "all", "95%", *datasets]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for name in SCORERS:
        low, high = interval(rows, name)
        each = [auc([row for row in rows if row.dataset == dataset], name) for dataset in datasets]
        cells = [name, f"{auc(rows, name):.2f}", f"{low:.2f}-{high:.2f}"]
        lines.append(f"| {' | '.join([*cells, *(f'{value:.2f}' for value in each)])} |")
    return "\n".join(lines)


@pytest.mark.timeout(6000)
def test_scorers_against_human_labels(tmp_path: Path) -> None:
    if not FILE.exists():
        pytest.skip(f"{FILE.name} is not beside this checkout")
    held_out = frozenset(words(row["question"])[0] for row in read_labelled())
    loss = train_small_student(
        DATA, tmp_path / "student", held_out=held_out, num_tokens=STUDENT_TOKENS
    )
    print(f"\nstudent trained on {STUDENT_TOKENS} tokens, loss {loss:.2f} nats a token")
    for model in (str(tmp_path / "student"), "nano:student"):
        rows = score_all(tmp_path / f"run-{Path(model).name.replace(':', '-')}", model)
        num_flawed = sum(not row.is_good for row in rows)
        print(f"\n{Path(model).name}: {len(rows) - num_flawed} good, {num_flawed} flawed\n")
        print(table(rows))
        assert num_flawed >= 80
        assert all(isfinite(value) for row in rows for value in row.scores.values())


def test_auc_compares_within_a_data_set() -> None:
    def scored(dataset: str, is_good: bool, value: float) -> Scored:
        return Scored(dataset=dataset, is_good=is_good, scores={"rd": value})

    near = [scored("a", True, 3.0), scored("a", False, 1.0), scored("a", False, 3.0)]
    far = [scored("b", True, 10.0), scored("b", True, 30.0), scored("b", False, 20.0)]
    assert auc(near, "rd") == 0.75  # one pair won, one tied
    assert auc(near + far, "rd") == 0.625  # 30 against 3 is no pair
