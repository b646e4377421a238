"""`--plan` credits what a run then really does not ask for, whatever ran on the corpus before.

Real recipes, problems, intake, runner, store and queries of the embedded world; its models are
functions of the question, so that a run takes a second and no engine.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from flows.cli.run.plan import make_estimate
from flows.costs.estimate import Estimate
from flows.recipes.intake import intake_of
from flows.recipes.plan import draft_plan, run_plan
from flows.recipes.recipe import Recipe
from flows.session import Order, resolve_recipe
from infra.engines import EngineConfig
from infra.nano.files import resolve_nano
from infra.placement.plan import read_nodes
from infra.runs.intake import take_in
from infra.runs.run import Run
from infra.runs.runner import run_stage
from infra.settings import Settings
from sql.pending import count_by_problem
from tasks.intake.problems import IngestedProblem, read_problems
from tasks.ports import Completion, Prompt, Sampling
from tests.fakes import WordCounter, WordGrader, completion

STAGES = ["generate", "difficulty", "rewrite", "compress", "evaluate"]
BASE = (
    f"stages={json.dumps(STAGES)}",
    'evaluate.models=["base"]',
    "shard_size=4",
    "evaluate.limit=2",
)
# What may change between two runs: a setting of each stage, and which problems there are.
CHANGES = {
    "generate": ("generate.temperature=0.9", "generate.num_candidates=2"),
    "difficulty": ("difficulty.max_tokens=3", "difficulty.thresholds=fixed"),
    "rewrite": ("rewrite.temperature=0.1", "rewrite.max_attempts=1"),
    "compress": ("compress.max_rounds=2", "compress.source=long"),
    "evaluate": ("evaluate.temperature=0.5", "evaluate.compress=plain", "evaluate.limit=3"),
    "recipe": ("seed=8", "shard_size=5"),
}
LIMITS = st.integers(min_value=1, max_value=10)
SETTINGS = st.tuples(*(st.sampled_from([None, *some]) for some in CHANGES.values()))


def questions() -> dict[str, str]:
    """Question -> gold, of all the world's problems."""
    items = (
        item for name in ("train", "eval") for item in read_problems([resolve_nano(f"nano:{name}")])
    )
    return {i.problem.question: i.problem.answer for i in items if isinstance(i, IngestedProblem)}


GOLD = questions()


@dataclass
class World:
    """Every model of the recipe: answers by question, some of them wrong."""

    num_requests: int = 0
    name, engine = "world", "function"

    def model(self, config: EngineConfig, *, affinity: str = "") -> World:
        return self

    async def reside(self, configs: object) -> None: ...

    def close(self) -> None: ...

    async def complete(self, prompt: Prompt, sampling: Sampling) -> list[Completion]:
        self.num_requests += 1
        return [self._reply(prompt.text, number) for number in range(sampling.num_candidates)]

    @staticmethod
    def _reply(text: str, candidate: int) -> Completion:
        if "Judge this" in text:
            return completion(("easy", "medium", "hard")[_number(text) % 3])
        if "Verify this" in text:
            return completion("valid" if _number(text) % 4 else "invalid")
        gold = next(answer for question, answer in GOLD.items() if question in text)
        wrong = _number(f"{candidate} {text}") % 5 == 0
        size = 3 + _number(f"length {candidate} {text}") % 20
        return completion(" ".join(["so"] * size) + f" answer {'nothing' if wrong else gold}")


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


@dataclass(frozen=True)
class Ran:
    """Of one run: by stage the inputs that were asked for and those there were in the end."""

    asked: dict[str, int]
    inputs: dict[str, int]
    requests: int


def order(corpus: Path, limit: int, changed: Sequence[str | None]) -> Order:
    overrides = (*BASE, *filter(None, changed))
    return Order(recipe="nano", corpus=str(corpus), limit=limit, overrides=overrides)


def planned(one: Order) -> Estimate:
    recipe = resolve_recipe(one)
    return make_estimate(recipe, draft_plan(recipe), read_nodes("1x1x8"), one.corpus)


def run(one: Order) -> Ran:
    """As the flows do it: intake, then stage after stage, shard by shard."""
    recipe: Recipe = resolve_recipe(one)
    world, asked = World(), dict[str, int]()
    with Run(
        run_plan(recipe), corpus=one.corpus, settings=Settings(), models=world,
        grader=WordGrader(), tokens=WordCounter(),
    ) as opened:  # fmt: skip
        take_in(opened, intake_of(recipe), lambda _: None)
        for name in opened.stages:
            asked[name] = asyncio.run(run_stage(opened, name)).num_pending
        with opened.database() as database:
            inputs = {
                name: sum(num for _, num, _ in count_by_problem(database, **stage.pending_query()))
                for name, stage in opened.stages.items()
            }
    return Ran(asked=asked, inputs=inputs, requests=world.num_requests)


@settings(max_examples=2, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(steps=st.lists(st.tuples(LIMITS, SETTINGS), min_size=2, max_size=3))
def test_what_is_credited_is_what_the_run_does_not_ask_for(
    steps: list[tuple[int, Sequence[str | None]]],
) -> None:
    with TemporaryDirectory() as folder:
        for limit, changed in steps:
            one = order(Path(folder) / "corpus", limit, changed)
            costs = {cost.stage: cost for cost in planned(one).stages}
            ran = run(one)
            for stage, num_asked in ran.asked.items():
                assert costs[stage].done == ran.inputs[stage] - num_asked, stage
            if not ran.requests:
                assert sum(cost.left.requests for cost in costs.values()) == 0
