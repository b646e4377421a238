"""A student saved by us in lm-evaluation-harness: the same texts, the same accuracy.

The task is the one docs/evaluation.md shows.
"""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from infra.engines import EngineConfig, open_engine
from infra.engines.model_files import model_source
from infra.nano.files import resolve_nano
from tasks.answers.verdict import grade
from tasks.ports import Completion, Sampling
from tasks.prompts import PromptFiles

DOCS = Path(__file__).parents[2] / "docs" / "evaluation.md"
QUESTIONS, MAX_TOKENS = slice(4, 20), 200  # some of them the base can answer


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student's folder, as training leaves it."""
    from infra.training.config import TrainConfig
    from infra.training.student import load_student, load_words, save_student

    folder, base = tmp_path_factory.mktemp("student"), model_source("nano:student")
    config = TrainConfig(device="cpu", dtype="float32")
    words = load_words(base, config)
    model = load_student(base, config, words)
    save_student(model, model.state_dict(), words, base=base, config=config, folder=folder)
    return folder


@pytest.fixture(scope="module")
def questions() -> list[dict[str, str]]:
    lines = Path(resolve_nano("nano:eval")).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[QUESTIONS]]


def task_file(folder: Path, questions: Path, *, compress: bool) -> str:
    """The documented task over `questions`; its name."""
    (block,) = re.findall(
        r"^```yaml\n(task: .*?)^```", DOCS.read_text(encoding="utf-8"), re.M | re.S
    )
    task: str = block.replace("questions.jsonl", str(questions))
    if compress:
        task = task.replace('"{{question}}', '"<compress>{{question}}')
        task = task.replace("student_plain", "student_compressed")
    name = task.splitlines()[0].removeprefix("task: ")
    (folder / f"{name}.yaml").write_text(task, encoding="utf-8")
    return name


def ask_here(student: Path, questions: list[dict[str, str]]) -> dict[bool, list[Completion]]:
    """What our engine's student answers, plain and with <compress>."""
    engine = open_engine(EngineConfig(model=str(student), dtype="float64", device="cpu", threads=1))
    prompts = PromptFiles("nano")

    async def ask_all() -> list[list[Completion]]:
        asked = (
            prompts.render("generate", compress=compress, question=one["question"])
            for compress in (False, True)
            for one in questions
        )
        sampling = Sampling(max_tokens=MAX_TOKENS)
        return await asyncio.gather(*(engine.complete(prompt, sampling) for prompt in asked))

    try:
        told = [completion for (completion,) in asyncio.run(ask_all())]
    finally:
        engine.close()
    return {False: told[: len(questions)], True: told[len(questions) :]}


def test_a_student_answers_and_is_graded_there_as_here(
    student: Path, questions: list[dict[str, str]], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    lm_eval: Any = pytest.importorskip(
        "lm_eval", reason="lm-evaluation-harness is not installed: pip install 'litecot[dev]'"
    )
    from lm_eval.tasks import TaskManager

    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in questions), encoding="utf-8")
    names = {c: task_file(tmp_path, file, compress=c) for c in (False, True)}
    there = lm_eval.simple_evaluate(
        model="hf", model_args={"pretrained": str(student), "dtype": "float64"}, device="cpu",
        tasks=list(names.values()), batch_size=2 * len(questions), apply_chat_template=True,
        task_manager=TaskManager(include_path=str(tmp_path), include_defaults=False),
        log_samples=True, bootstrap_iters=0,
    )  # fmt: skip
    answered = ask_here(student, questions)
    for compress, name in names.items():
        here = answered[compress]
        logged = sorted(there["samples"][name], key=lambda one: one["doc_id"])
        assert [one["resps"][0][0] for one in logged] == [one.text for one in here]
        ours = [
            grade(
                one.text, answer=asked["answer"], answer_type=asked["answer_type"],
                truncated=one.finish_reason == "length",
            )
            for one, asked in zip(here, questions, strict=True)
        ]  # fmt: skip
        announced = [one.verdict == "correct" and not one.is_guessed for one in ours]
        assert [one["exact_match"] == 1 for one in logged] == announced
        accuracy = there["results"][name]["exact_match,stated"]
        assert 0.2 < accuracy < 0.8  # there is something to agree on
        assert sum(one.verdict == "correct" for one in ours) / len(ours) == pytest.approx(
            accuracy, abs=1 / len(questions)
        )
