"""`--plan` before a run against what the run then used; `--plan` after it has measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flows.cli.run.plan import make_estimate
from flows.costs.estimate import StageCost
from flows.recipes.plan import draft_plan
from flows.session import Order, resolve_recipe
from infra.placement.plan import read_nodes
from infra.storage.corpus import Corpus
from sql.database import connect
from tests.bench.plan_against_run import go

pytestmark = pytest.mark.usefixtures("prefect_server", "warm_engines")

STAGES = ["generate", "difficulty", "rewrite", "compress"]
OVERRIDES = [f"stages={json.dumps(STAGES)}"]
LIMIT = 24


def costs(corpus: Path, limit: int = LIMIT, *changed: str) -> dict[str, StageCost]:
    overrides = (*OVERRIDES, *changed)
    order = Order(recipe="nano", overrides=overrides, limit=limit, corpus=str(corpus))
    recipe = resolve_recipe(order)
    found = make_estimate(recipe, draft_plan(recipe), read_nodes("1x1x8"), str(corpus))
    return {cost.stage: cost for cost in found.stages}


def litecot(*arguments: str) -> str:
    command = [sys.executable, "-m", "flows.cli.main", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, StageCost]]:
    """A corpus, and what was expected of it before."""
    corpus = tmp_path_factory.mktemp("estimate") / "corpus"
    before = costs(corpus)
    order = ["run", "nano", "--limit", str(LIMIT), "--set", OVERRIDES[0], "--corpus", str(corpus)]
    litecot(*order)
    return corpus, before


def used(corpus: Path) -> dict[str, tuple[int, int, int]]:
    """By stage, of the latest run."""
    query = """
        select stage, sum(num_requests)::bigint, sum(prompt_tokens)::bigint,
            sum(completion_tokens)::bigint
        from usage_events group by stage
    """
    return {stage: tuple(sums) for stage, *sums in connect(Corpus(corpus).parts()).run(query).rows}


def test_what_was_estimated_is_what_was_used(made: tuple[Path, dict[str, StageCost]]) -> None:
    corpus, before = made
    for stage, (requests, prompt, completion) in used(corpus).items():
        cost = before[stage]
        if stage in ("generate", "difficulty"):
            assert cost.requests == requests
        assert cost.requests == pytest.approx(requests, rel=0.25), stage
        assert cost.prompt_tokens == pytest.approx(prompt, rel=0.35), stage
        assert cost.completion_tokens == pytest.approx(completion, rel=0.35), stage


def test_afterwards_everything_is_measured_and_done(
    made: tuple[Path, dict[str, StageCost]],
) -> None:
    corpus, _ = made
    after = costs(corpus)
    assert set(after) == set(STAGES)
    for stage, (requests, prompt, completion) in used(corpus).items():
        cost = after[stage]
        assert cost.is_measured
        assert cost.done == cost.records
        assert (cost.requests, cost.prompt_tokens, cost.completion_tokens) == (
            requests, prompt, completion,
        )  # fmt: skip


def test_a_pilot_measures_for_a_larger_run(made: tuple[Path, dict[str, StageCost]]) -> None:
    corpus, _ = made
    pilot, larger = costs(corpus)["generate"], costs(corpus, limit=10 * LIMIT)["generate"]
    assert larger.is_measured
    assert larger.requests == 10 * pilot.requests
    assert larger.completion_tokens == pytest.approx(10 * pilot.completion_tokens, rel=0.3)


def test_the_plan_says_what_is_left(made: tuple[Path, dict[str, StageCost]]) -> None:
    corpus, _ = made
    printed = litecot(
        "run", "nano", "--limit", str(LIMIT), "--set", OVERRIDES[0], "--plan",
        "--corpus", str(corpus),
    )  # fmt: skip
    assert f"estimate for {LIMIT} problems" in printed
    assert "still to do: 0 requests, 0 completion tokens" in printed
    assert "assumed" not in printed.partition("estimate for")[2]


def test_more_problems_and_another_setting_cost_what_the_plan_says(
    made: tuple[Path, dict[str, StageCost]],
) -> None:
    """The last test of the module: it adds a run. Only what is new, or reads what is, is asked."""
    corpus, _ = made
    limit, changed = LIMIT + 12, "compress.max_rounds=9"  # more than any chain takes
    told, had = costs(corpus, limit, changed), used(corpus)
    overrides = (*OVERRIDES, changed)
    assert [told[stage].done for stage in STAGES] == [LIMIT, LIMIT, LIMIT, 0]
    assert [told[stage].basis for stage in STAGES] == [*["measured"] * 3, "similar"]
    go(Order(recipe="nano", overrides=overrides, limit=limit, corpus=str(corpus)))
    for stage, sums in used(corpus).items():
        before = had[stage] if stage != "compress" else (0, 0, 0)
        requests, prompt, completion = (new - old for new, old in zip(sums, before, strict=True))
        left = told[stage].left
        if stage in ("generate", "difficulty"):
            assert round(left.requests) == requests == 12
        assert left.requests == pytest.approx(requests, rel=0.15), stage
        assert left.prompt_tokens == pytest.approx(prompt, rel=0.25), stage
        assert left.completion_tokens == pytest.approx(completion, rel=0.25), stage
