"""What real models answered, replayed through the evaluation, gives the accuracies on record."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from flows.recipes.evaluated import find_model, overrides
from flows.recipes.loading import load_recipe
from flows.recipes.plan import run_plan
from infra.runs.intake import Intake, take_in
from infra.runs.run import Run
from infra.runs.runner import run_stage
from infra.settings import Settings
from tests.chat_server import Asked, ChatServer, ServerConfig, serving_in_thread
from tests.real_chains import DATA, MATH500, read

GSM8K = "gsm8k_test_openai_4candidates"
WRITERS = ("6b_verification", "175b_verification")
WITHIN = 0.01  # a point
OURS = """
    select trim(p.question), e.verdict = 'correct'
    from stg_evaluations as e join stg_problems as p using (problem_id)
"""


class Recorded(ChatServer):
    """Answers with what the model of that name wrote on record."""

    texts: ClassVar[dict[str, dict[str, str]]]  # model -> question -> what it wrote

    def reply(self, asked: Asked, num_choices: int, **odd: Any) -> bytes:
        question = asked.text.rpartition("\n")[0].strip()  # the last line is the prompt's own
        odd["text"] = self.texts[asked.body["model"]].get(question, "I cannot say.")
        return super().reply(asked, num_choices, **odd)


Graded = dict[str, tuple[str, bool]]  # question -> what was written, the source's own grading


def math500() -> dict[str, Graded]:
    """Of three models. Where nothing is boxed the source grades the last number of the text, stated
    as the answer or not: those answers are left out."""
    return {
        who: {
            row["question"].strip(): (row["code"][0], row["score"][0])
            for row in read(file)
            if "\\boxed" in row["code"][0]
        }
        for who, file in MATH500.items()
    }


def gsm8k() -> dict[str, Graded]:
    rows = read(GSM8K)
    return {
        who: {r["question"].strip(): (r[who]["solution"], r[who]["is_correct"]) for r in rows}
        for who in WRITERS
    }


def evaluate(model: str, base_url: str, benchmark: Path, corpus: Path) -> Run:
    """The evaluation of a server's model, as `litecot evaluate` would order it; the run, open."""
    found = find_model(f"{base_url}#{model}", str(corpus), None)
    told = overrides(
        found, benchmarks=[str(benchmark)], asked={"compress": "plain"},
        given=["models.student.max_in_flight=64", "models.student.endpoint.api_key_env=''"],
    )  # fmt: skip
    recipe = load_recipe("evaluate", overrides=told)
    with Run(run_plan(recipe), corpus=corpus, settings=Settings()) as run:
        take_in(run, Intake(problems=(), eval_problems=recipe.evaluate.problems), lambda _: None)
        asyncio.run(run_stage(run, "evaluate-base"))
        return run


@pytest.mark.parametrize(
    ("source", "data", "columns"),
    [
        (math500, "math500_test", {"question": "problem", "answer": "answer", "subject": "level"}),
        (gsm8k, GSM8K, {"question": "question", "answer": "ground_truth"}),
    ],
)
def test_recorded_accuracies(tmp_path: Path, source: Any, data: str, columns: Any) -> None:
    recorded = source()
    Recorded.texts = {
        model: {q: text for q, (text, _) in of.items()} for model, of in recorded.items()
    }
    lines = {**columns, "data": str(DATA / f"{data}.jsonl"), "answer_type": "math", "licence": "-"}
    benchmark = tmp_path / "recorded.toml"
    benchmark.write_text("\n".join(f"{key} = {json.dumps(value)}" for key, value in lines.items()))
    with serving_in_thread(ServerConfig(), make=Recorded) as server:
        for model, graded in recorded.items():
            run = evaluate(model, server.base_url, benchmark, tmp_path / "corpus")
            ours = dict(run.database().run(OURS).rows)
            theirs = {question: outcome for question, (_, outcome) in graded.items()}
            assert len(theirs) >= 200
            on_record, told = _share(theirs.values()), _share(ours[q] for q in theirs)
            print(f"{model}: {len(theirs)} answers, recorded {on_record:.4f}, ours {told:.4f}")
            assert abs(told - on_record) <= WITHIN, model


def _share(outcomes: Iterable[object]) -> float:
    told = [bool(outcome) for outcome in outcomes]
    return sum(told) / len(told)
