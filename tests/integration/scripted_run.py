"""A run of nano's first stage whose teacher is a script: real but for the model, and fast.

python -m tests.integration.scripted_run CORPUS

Its replies are long and do not compress, so a run fills a disk; they depend on the prompt alone.
The last line it prints: {"rows": 96, "requests": 24, "repeated": 0}, the requests over the corpus'
life. Errors are said, and exit codes chosen, by the command line's own code.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path

import typer

from flows.cli.main import clear_errors
from flows.recipes.plan import run_plan
from flows.session import Order, resolve_recipe
from infra.runs.intake import Intake, take_in
from infra.runs.run import Run
from infra.runs.runner import run_stage
from infra.settings import load_settings
from tasks.ports import Completion, Prompt, Sampling
from tests.fakes import FakeModels, WordCounter, WordGrader, completion

NUM_PROBLEMS = 24
TEXT_BYTES = 16_000  # of one reply: 64 KB a record


class LongWinded:
    """A ChatModel that writes noise and then an answer."""

    name, engine = "nano:teacher", "scripted"

    async def complete(self, prompt: Prompt, sampling: Sampling) -> list[Completion]:
        await asyncio.sleep(0.02)  # so that several are in flight when something happens
        return [
            completion(f"{_noise(prompt.text, candidate)} answer 4")
            for candidate in range(sampling.num_candidates)
        ]


def _noise(text: str, candidate: int) -> str:
    return hashlib.shake_256(f"{candidate} {text}".encode()).hexdigest(TEXT_BYTES // 2)


def main(corpus: Path) -> None:
    with clear_errors():
        recipe = resolve_recipe(Order(recipe="nano", corpus=str(corpus), limit=NUM_PROBLEMS))
        models = FakeModels({LongWinded.name: LongWinded()})
        with Run(
            run_plan(recipe), corpus=corpus, settings=load_settings(), models=models,
            grader=WordGrader(), tokens=WordCounter(),
        ) as run:  # fmt: skip
            take_in(run, Intake(problems=recipe.problems, limit=recipe.limit), lambda _: None)
            report = asyncio.run(run_stage(run, "generate"))
            requests, repeated = run.writer.counts()
    print(json.dumps({"rows": report.num_rows, "requests": requests, "repeated": repeated}))


if __name__ == "__main__":
    typer.run(main)
