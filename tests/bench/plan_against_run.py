"""What `--plan` foretells beside what the run then used: pilot, another prompt, a higher limit.

    python -m tests.bench.plan_against_run [--pilot 40] [--limit 120] [--held-out 40]

The recipe nano on one new corpus: a plan, then the run, then the next plan. Intake, runner, stages
and engines are the run's own, in this process: no Prefect and no Ray, for both only take time here.
Requests and tokens are those of the rows that this run added. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from flows.cli.run.plan import make_estimate
from flows.costs.estimate import StageCost
from flows.recipes.intake import intake_of
from flows.recipes.plan import draft_plan, run_plan
from flows.session import Order, resolve_recipe
from infra.engines import EngineConfig
from infra.engines.engine import Engine
from infra.engines.opening import open_engine
from infra.hosting.nodes import nodes
from infra.runs.intake import take_in
from infra.runs.run import Run
from infra.runs.runner import run_stage
from infra.settings import load_settings
from infra.storage import Corpus
from sql.database import connect
from tasks.ports import Completion, Prompt, Sampling, ScoreRequest, TokenScores

STAGES = ["generate", "difficulty", "rewrite", "compress", "score", "select", "mix", "evaluate"]
Sums = dict[str, tuple[int, int, int]]  # stage -> requests, prompt tokens, completion tokens
USED = """
    select stage_fingerprint, coalesce(sum(num_requests), 0)::bigint,
        coalesce(sum(prompt_tokens), 0)::bigint, coalesce(sum(completion_tokens), 0)::bigint
    from raw_rows where num_requests > 0 or completion_tokens > 0
    group by stage_fingerprint
"""


@dataclass(frozen=True)
class Step:
    """A run of the recipe, differing in its limit and settings."""

    title: str
    limit: int
    changed: tuple[str, ...] = ()


def order(step: Step, corpus: Path, overrides: Sequence[str]) -> Order:
    return Order(
        recipe="nano", corpus=str(corpus), limit=step.limit, overrides=(*overrides, *step.changed)
    )


def planned(one: Order) -> dict[str, StageCost]:
    """By stage, as `litecot run --plan` has it."""
    recipe = resolve_recipe(one)
    found = make_estimate(recipe, draft_plan(recipe), nodes(), one.corpus)
    return {cost.stage: cost for cost in found.stages}


@dataclass
class Hosted:
    """An engine as a run asks it."""

    name: str
    engine: str
    asked: Engine

    async def complete(self, prompt: Prompt, sampling: Sampling) -> list[Completion]:
        return await self.asked.complete(prompt, sampling)

    async def score(self, request: ScoreRequest) -> list[TokenScores]:
        return await self.asked.score(request)


@dataclass
class Here:
    """A ModelHost whose engines are loaded in this process."""

    loaded: dict[EngineConfig, Hosted] = field(default_factory=dict)

    def model(self, config: EngineConfig, *, affinity: str = "") -> Hosted:
        if config not in self.loaded:
            self.loaded[config] = Hosted(config.model, config.engine, open_engine(config))
        return self.loaded[config]

    async def reside(self, configs: Collection[EngineConfig]) -> None:
        """All stay."""

    def close(self) -> None:
        for hosted in self.loaded.values():
            hosted.asked.close()


def go(one: Order) -> None:
    """Its intake, then stage after stage, as the flows do it."""
    recipe = resolve_recipe(one)

    async def stages(run: Run) -> None:
        for name in run.stages:
            await run_stage(run, name)

    with Run(
        run_plan(recipe), corpus=one.corpus, settings=load_settings(), models=Here()
    ) as run:  # fmt: skip
        take_in(run, intake_of(recipe), lambda _: None)
        asyncio.run(stages(run))


def used(one: Order) -> Sums:
    """By stage of the order, over all rows made under its settings."""
    corpus = Corpus(one.corpus)
    if not corpus.exists:
        return {}
    stages = {value: name for name, value in draft_plan(resolve_recipe(one)).fingerprints.items()}
    with closing(connect(corpus.parts(), through=corpus.store.files)) as database:
        rows = database.run(USED).rows
    return {stages[key]: (a, b, c) for key, a, b, c in rows if key in stages}


def compare(one: Order) -> Iterator[tuple[StageCost, tuple[int, int, int]]]:
    """Plan, run: what was foretold of each stage, and what this run added."""
    costs, before = planned(one), used(one)
    go(one)
    after = used(one)
    for name, cost in costs.items():
        if name != "score":  # which reads, and keeps no account of it
            had, has = before.get(name, (0, 0, 0)), after.get(name, (0, 0, 0))
            requests, prompt, completion = (new - old for new, old in zip(has, had, strict=True))
            yield cost, (requests, prompt, completion)


def lines_of(step: Step, one: Order) -> Iterator[str]:
    """Rows of the table."""
    sums = [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    for cost, real in compare(one):
        told = (cost.left.requests, cost.left.prompt_tokens, cost.left.completion_tokens)
        for column in range(3):
            sums[0][column] += told[column]
            sums[1][column] += real[column]
        yield _line(
            step.title, cost.stage, f"{cost.done} of {cost.records}", told, real, cost.basis
        )
    yield _line(step.title, "all", "", sums[0], sums[1], "")


def _line(
    title: str, stage: str, done: str, told: Sequence[float], real: Sequence[float], basis: str
) -> str:
    pairs = [f"{a:,.0f} / {b:,.0f}{_off(a, b)}" for a, b in zip(told, real, strict=True)]
    return "| " + " | ".join([title, stage, done, *pairs, basis]) + " |"


def _off(told: float, real: float) -> str:
    return f" ({told / real - 1:+.1%})" if real else ""


def steps(pilot: int, limit: int, prompt: Path) -> list[Step]:
    other = (f"rewrite.prompt={prompt}",)
    return [
        Step("pilot", pilot),
        Step("the same again", pilot),
        Step("another rewrite prompt", pilot, other),
        Step("a higher limit", limit),
        Step("the other prompt, higher limit", limit, other),
        Step("a guard of 9 rounds, not 8", limit, ("compress.max_rounds=9",)),
    ]


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--pilot", type=int, default=40)
    asked.add_argument("--limit", type=int, default=120)
    asked.add_argument("--held-out", type=int, default=40)
    given = asked.parse_args()
    overrides = (
        f"stages={json.dumps(STAGES)}", 'evaluate.models=["base"]',
        f"evaluate.limit={given.held_out}",
    )  # fmt: skip
    pairs = ("requests planned / used", "prompt tokens", "completion tokens")
    print(f"| run | stage | done before | {' | '.join(pairs)} | per record |")
    print("|---|---|---:|---:|---:|---:|---|")
    with TemporaryDirectory() as folder:
        prompt = Path(folder) / "shorter.jinja"
        shipped = Path(__file__).parents[2] / "tasks/prompts/rewrite__nano.jinja"
        prompt.write_text(shipped.read_text().replace("Rewrite this as", "Rewrite it as"))
        for step in steps(given.pilot, given.limit, prompt):
            one = order(step, Path(folder) / "corpus", overrides)
            for line in lines_of(step, one):
                print(line, flush=True)


if __name__ == "__main__":
    main()
