"""The runner as a process of its own: a corpus of problems on disk, a teacher behind an endpoint.

Role: what `test_dispatch` and `test_memory` measure.

    python -m tests.bench.runner_client BASE_URL CORPUS IN_FLIGHT [RECORDS]

With RECORDS it prints its resident memory after every so many records: {"done": 2000, "mib": 171.5}
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import psutil

from infra.engines import EngineConfig
from infra.engines.config import EndpointOptions
from infra.runs.plan import RunPlan, StageRun
from infra.runs.run import Run
from infra.runs.runner import run_stage
from infra.settings import Settings
from tasks import generate
from tasks.prompts import render
from tasks.schemas import Membership, Problem
from tasks.schemas import Run as RunRow

FINGERPRINTS = {"ingest": "ingest", "generate": "generate"}
RUN_ID = RunRow(recipe="bench", resolved="{}", fingerprints="{}", versions="").content_id()
QUESTION = "A shelf holds {} books and somebody brings one more. How many books are there now?"
REPLY = "2 + 2 = 4. The answer is 4."


def plan(base_url: str, in_flight: int) -> RunPlan:
    """One stage, one candidate a problem, tokens counted with the embedded student's tokenizer."""
    teacher = EngineConfig(
        engine="endpoint",
        model="served",
        max_in_flight=in_flight,
        endpoint=EndpointOptions(base_url=base_url),
    )
    stage = StageRun(
        stage=generate.STAGE,
        config=generate.GenerateConfig(num_candidates=1),
        fingerprint="generate",
        models={"teacher": teacher},
    )
    return RunPlan(
        run_id=RUN_ID, recipe="bench", resolved="{}", fingerprints=FINGERPRINTS,
        stages={"generate": stage}, counter=EngineConfig(model="nano:student"), seed=7,
    )  # fmt: skip


def open_run(corpus: Path, base_url: str = "http://127.0.0.1:9/v1", in_flight: int = 1) -> Run:
    """The corpus, ready to work on."""
    return Run(plan(base_url, in_flight), corpus=corpus, settings=Settings(in_flight=in_flight))


def prepare(corpus: Path, num_problems: int) -> None:
    """Take the problems in, as ingest would."""
    with open_run(corpus) as run:
        for number in range(num_problems):
            problem = Problem(
                source="bench", question=QUESTION.format(number), answer=str(number + 1),
                answer_type="integer",
            )  # fmt: skip
            problem_id = problem.content_id()
            member = Membership(
                member_of=RUN_ID, problem_id=problem_id, split="train", shard=0, position=number
            )
            run.write(problem_id, [problem, member], stage="ingest")


def write_prompts(path: Path, num_problems: int) -> None:
    """The very prompts the runner sends, for the client it is compared with."""
    with path.open("w") as file:
        for number in range(num_problems):
            text = render("generate", "default", question=QUESTION.format(number))
            file.write(json.dumps({"id": number, "text": text}) + "\n")


def write_problems(path: Path, num_problems: int) -> None:
    """The same problems, for the command line."""
    with path.open("w") as file:
        for number in range(num_problems):
            fields = {"question": QUESTION.format(number), "answer": str(number + 1)}
            file.write(json.dumps(fields) + "\n")


def write_recipe(path: Path, base_url: str, **settings: int) -> None:
    """One stage, one candidate a problem; `settings` of the teacher."""
    lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
    path.write_text(
        'name = "bench"\nstages = ["generate"]\n'
        f'[models.teacher]\nengine = "endpoint"\nmodel = "served"\n{lines}'
        f'[models.teacher.endpoint]\nbase_url = "{base_url}"\n'
        '[models.student]\nmodel = "nano:student"\n[generate]\nnum_candidates = 1\n'
    )


def num_stored(corpus: Path) -> int:
    """Rows the runner left on disk."""
    with open_run(corpus) as run:
        return int(run.database().run("select count(*) from raw_rationales").rows[0][0])


def resident_mib() -> float:
    """Resident memory of this process."""
    return psutil.Process().memory_info().rss / 2**20


def main(base_url: str, corpus: Path, in_flight: int, report_every: int = 0) -> None:
    """Do the stage."""

    def tell(done: int, pending: int) -> None:
        if report_every and done and done % report_every == 0:
            print(json.dumps({"done": done, "mib": resident_mib()}), flush=True)

    with open_run(corpus, base_url, in_flight) as run:
        asyncio.run(run_stage(run, "generate", on_progress=tell))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:]))
