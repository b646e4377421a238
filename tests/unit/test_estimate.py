"""The estimate before a run: what is counted, what is measured, what is assumed and said so."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from flows.cli.run.plan import make_estimate
from flows.costs.estimate import Estimate, StageCost, estimate
from flows.costs.expected import Chains, Inputs, Observed, StageRecords, Trend
from flows.costs.observed import count_problems, count_rows, know_inputs
from flows.costs.stored import Known, know_corpus
from flows.costs.table import print_estimate
from flows.recipes.assumptions import Assumptions
from flows.recipes.loading import load_recipe, shipped_recipes
from flows.recipes.plan import draft_plan
from flows.recipes.recipe import Recipe, RecipeError
from infra.nano.files import resolve_nano
from infra.placement.plan import read_nodes
from infra.storage import CorpusWriter
from tasks.costs import ExpectedUsage
from tasks.intake.problems import IngestedProblem, read_problems
from tasks.intake.sources import find_sources
from tasks.schemas import Difficulty, Membership, Rationale, Row
from tasks.schemas import Run as RunRow

# What `litecot run nano` used, from usage_by_stage on its corpus (docs/recipes.md).
NANO_USED = {
    "generate": (320, 15_842, 220_544), "difficulty": (320, 16_802, 640),
    "rewrite": (640, 112_091, 35_627), "compress": (1157, 142_151, 77_790),
    "evaluate-base": (400, 20_080, 29_228), "evaluate-trained": (400, 20_080, 30_701),
}  # fmt: skip
PARAMETERS = 7_000_000_000


def estimated(name: str, *overrides: str, **known: Any) -> dict[str, StageCost]:
    return {cost.stage: cost for cost in whole(name, *overrides, **known).stages}


def whole(
    name: str, *overrides: str, inputs: Inputs | None = None, observed: Observed | None = None
) -> Estimate:
    return estimate(
        load_recipe(name, overrides=overrides),
        inputs=inputs or Inputs(num_problems=1000, num_held_out=30),
        observed=observed or Observed(),
        parameters=lambda _: PARAMETERS,
        on_gpu=lambda _: True,
    )


# --- against what a run really used


def test_nano_is_estimated_as_its_demo_went() -> None:
    recipe = load_recipe("nano")
    found = make_estimate(recipe, draft_plan(recipe), read_nodes("1x1x8"), "no-corpus")
    costs = {cost.stage: cost for cost in found.stages}
    for stage, (requests, prompt, completion) in NANO_USED.items():
        cost = costs[stage]
        if stage != "compress":  # whose rounds are the models' to end
            assert cost.requests == requests, stage
        assert cost.requests == pytest.approx(requests, rel=0.1), stage
        assert cost.prompt_tokens == pytest.approx(prompt, rel=0.25), stage
        assert cost.completion_tokens == pytest.approx(completion, rel=0.25), stage
    assert found.num_examples == pytest.approx(571, rel=0.1)


# --- arithmetic


def test_candidates_share_a_prompt() -> None:
    one = estimated("litecot", "generate.num_candidates=1")["generate"]
    four = estimated("litecot")["generate"]
    assert (one.requests, four.requests) == (1000, 1000)
    assert one.prompt_tokens == four.prompt_tokens
    assert four.completion_tokens == 4 * one.completion_tokens == 4 * 1000 * 10_535


def test_a_budget_bounds_what_is_written() -> None:
    assert estimated("litecot", "generate.max_tokens=500")["generate"].completion_tokens == 2e6


def test_gpu_hours_follow_from_the_stated_rates() -> None:
    rates = ["estimate.tokens_per_s.teacher=1000", "estimate.peak_tflops=1000",
             "estimate.read_utilization=0.5"]  # fmt: skip
    cost = estimated("litecot", *rates)["generate"]
    read_s = cost.prompt_tokens * 2 * PARAMETERS / 0.5e15
    assert cost.gpu_hours == pytest.approx((read_s + cost.completion_tokens / 1000) / 3600)
    trained = estimated("liter-7b", "estimate.train_utilization=0.5", "estimate.peak_tflops=1000",
                        "train.gradient_checkpointing=false")["train"]  # fmt: skip
    assert trained.gpu_hours == pytest.approx(
        trained.prompt_tokens * 6 * PARAMETERS / 0.5e15 / 3600
    )


def test_a_larger_model_writes_slower() -> None:
    def hours(parameters: int) -> float:
        (cost, *_) = estimate(
            load_recipe("litecot"), inputs=Inputs(), observed=Observed(),
            parameters=lambda _: parameters, on_gpu=lambda _: True,
        ).stages  # fmt: skip
        assert cost.gpu_hours is not None
        return cost.gpu_hours

    assert hours(2 * PARAMETERS) == pytest.approx(2 * hours(PARAMETERS))


def test_an_endpoint_has_a_price_and_no_gpu_hours() -> None:
    cost = estimated(
        "litecot", "models.teacher.engine=endpoint",
        "models.teacher.endpoint.base_url=http://127.0.0.1:9/v1",
        "estimate.price.teacher={input = 0.5, output = 2.0}",
    )["generate"]  # fmt: skip
    assert cost.gpu_hours is None
    assert cost.price == pytest.approx(
        (cost.prompt_tokens * 0.5 + cost.completion_tokens * 2.0) / 1e6
    )


def test_two_currencies_are_never_one_sum(capsys: pytest.CaptureFixture[str]) -> None:
    served = "models.{0}.engine=endpoint", "models.{0}.endpoint.base_url=http://127.0.0.1:9/v1"
    found = whole(
        "macc", *(line.format("teacher") for line in served),
        *(line.format("compressor") for line in served), "models.compressor.model=other",
        "estimate.price.teacher={output = 2.0}",
        "estimate.price.compressor={output = 1.0, currency = 'EUR'}",
    )  # fmt: skip
    prices = {cost.role: (cost.price, cost.currency) for cost in found.stages if cost.price}
    print_estimate(found, Assumptions())
    (teacher, _), (compressor, _) = prices["teacher"], prices["compressor"]
    assert f"{teacher:.2f} USD + {compressor:.2f} EUR" in capsys.readouterr().out


def test_stages_that_ask_no_model_cost_nothing() -> None:
    assert set(estimated("macc")) == {"generate", "compress", "score", "train"}
    assert set(estimated("morsd")) == {"score"}


@pytest.mark.parametrize(
    ("method", "requests"),
    [("one_round", 1), ("fixed_ratio", 1), ("fixed_rounds", 5), ("until_rebound", 3)],
)
def test_the_compression_method_decides_the_rounds(method: str, requests: int) -> None:
    overrides = [f"compress.method={method}", "compress.num_rounds=5", "compress.prompt=instruct"]
    cost = estimated("macc", *overrides)["compress"]
    assert cost.requests == requests * cost.records


def test_no_check_means_no_request_for_it() -> None:
    checked, unchecked = (
        estimated("litecot", f"rewrite.teacher_check={flag}")["rewrite"]
        for flag in ("true", "false")
    )
    assert checked.requests == 2 * unchecked.requests


def test_selection_bounds_the_examples() -> None:
    chains = 1000 * 8 * 0.75
    assert whole("morsd-7b").num_examples == pytest.approx(0.3 * chains)
    assert whole("morsd-7b", "select.keep_per_problem=1").num_examples == 900


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_every_shipped_recipe_has_an_estimate(name: str) -> None:
    found = whole(name)
    assert found.stages
    assert all(cost.requests or cost.stage == "train" for cost in found.stages)
    assert set(found.assumed) <= set(Assumptions.model_fields)


# --- what is known goes before what is assumed, and is said


def test_what_the_corpus_measured_goes_first() -> None:
    observed = Observed(
        usage={"generate": ExpectedUsage(requests=1, prompt_tokens=90, completion_tokens=4000)},
        chains={"long": Chains(num_tokens=1000, share_correct=0.5, share_solved=0.6)},
    )
    found = whole("litecot", observed=observed)
    costs = {cost.stage: cost for cost in found.stages}
    assert costs["generate"].is_measured
    assert costs["generate"].completion_tokens == 4_000_000
    assert costs["rewrite"].records == 600
    assert not costs["rewrite"].is_measured
    assert not {"long_tokens", "share_correct", "share_solved"} & set(found.assumed)
    assert "rewritten_tokens" in found.assumed


def test_longer_questions_are_expected_to_cost_more() -> None:
    """By the trend of those measured, and no further than twice their mean."""
    mean = ExpectedUsage(requests=1, prompt_tokens=50, completion_tokens=500)
    trend = Trend(
        question_characters=100, slope=ExpectedUsage(prompt_tokens=0.25, completion_tokens=4)
    )

    def left(characters: float) -> ExpectedUsage:
        records = StageRecords(
            num_inputs=40, num_done=10, is_final=True, question_characters=characters
        )
        observed = Observed(
            usage={"generate": mean}, trends={"generate": trend}, records={"generate": records}
        )
        return estimated("litecot", observed=observed)["generate"].left

    assert left(100) == mean.times(30)
    assert left(140) == ExpectedUsage(requests=30, prompt_tokens=1800, completion_tokens=19_800)
    assert left(1000).completion_tokens == 30 * 1000
    assert left(0).completion_tokens == 30 * 250


def test_imported_rationales_are_measured_in_their_file(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    row = {"question": "1 + 2?", "answer": "3", "rationales": ["it is 3", "three: 3", "3"]}
    path.write_text((json.dumps(row) + "\n") * 1 + json.dumps(row | {"question": "2 + 1?"}))
    recipe = load_recipe("morsd", problems=[str(path)])
    inputs = know_inputs(recipe)
    assert (inputs.num_problems, inputs.candidates) == (2, 3)
    assert inputs.question_characters == 6
    assert inputs.candidate_characters == pytest.approx((7 + 8 + 1) / 3)


@pytest.mark.parametrize("name", ["p.jsonl", "p.jsonl.gz", "p.csv", "p.json", "p.parquet"])
def test_problems_are_counted_in_every_kind_of_file(tmp_path: Path, name: str) -> None:
    rows = [{"question": f"{i} + 1?", "answer": str(i + 1)} for i in range(7)]
    path = tmp_path / name
    lines = "\n".join(map(json.dumps, rows))  # the last line has no end
    if name.endswith("gz"):
        path.write_bytes(gzip.compress(lines.encode()))
    elif name.endswith("csv"):
        path.write_text("question,answer\n" + "\n".join(f"{r['question']},1" for r in rows))
    elif name.endswith("parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text(json.dumps(rows) if name.endswith("json") else lines)
    assert count_problems([str(path)]) == 7
    assert count_problems([str(path), "org/data"]) is None


@pytest.mark.parametrize("is_gzip", [False, True])
def test_a_large_file_is_counted_by_its_size(tmp_path: Path, is_gzip: bool) -> None:
    path = tmp_path / ("large.jsonl.gz" if is_gzip else "large.jsonl")
    lines = b"".join(b'{"question": "%d"}\n' % i for i in range(100_000, 500_000))
    path.write_bytes(gzip.compress(lines) if is_gzip else lines)
    (source,) = find_sources([path])
    assert count_rows(source) == 400_000
    about = count_rows(source, most=3 << 20)
    assert about != 400_000
    assert about == pytest.approx(400_000, rel=0.1)


def test_a_limit_bounds_the_problems_and_hub_sets_are_not_counted() -> None:
    assert whole("litecot", "limit=40", inputs=Inputs(num_problems=90)).num_problems == 40
    unknown = whole("litecot", inputs=Inputs())
    assert (unknown.num_problems, unknown.is_counted) == (1000, False)


# --- the corpus


PILOT = load_recipe("nano", limit=3)


def begun(folder: Path, recipe: Recipe = PILOT) -> list[str]:
    """Two of three problems answered, in 10 and in 30 tokens; one of them judged. Their ids."""
    plan = draft_plan(recipe)
    items = islice(read_problems([resolve_nano("nano:train")]), 3)
    problems = [item.problem for item in items if isinstance(item, IngestedProblem)]
    a, b, c = (problem.content_id() for problem in problems)
    row = RunRow(
        recipe=plan.recipe, resolved=plan.resolved, settings=plan.settings, versions="",
        fingerprints=json.dumps(dict(plan.fingerprints), sort_keys=True), num_problems=3,
    )  # fmt: skip
    judged = Difficulty(
        problem_id=a, type_score=0.5, step_score=0.5, error_rate=0.5, difficulty=0.5,
        level="easy", num_requests=1, prompt_tokens=7, completion_tokens=2,
    )  # fmt: skip
    made: list[tuple[str, str, Row]] = [
        *(("ingest", one.content_id(), one) for one in problems),
        *(("ingest", one, member(plan.run_id, one, place)) for place, one in enumerate((a, b, c))),
        ("generate", a, chain(a, 10, "correct")),
        ("generate", b, chain(b, 30, "wrong")),
        ("difficulty", a, judged),
        ("ingest", plan.run_id, row),
    ]
    with CorpusWriter(folder) as writer:
        for stage, input_id, one in made:
            writer.finish(
                input_id, [one], stage_fingerprint=plan.fingerprints[stage], run_id=plan.run_id
            )
    return [a, b, c]


def member(run_id: str, problem_id: str, position: int) -> Membership:
    return Membership(
        member_of=run_id, problem_id=problem_id, split="train", shard=0, position=position
    )


def chain(problem_id: str, num_tokens: int, verdict: str) -> Rationale:
    return Rationale(
        problem_id=problem_id, kind="long", model="teacher", engine="test", text="1",
        num_tokens=num_tokens, verdict=verdict, finish_reason="stop", num_requests=1,
        prompt_tokens=5, completion_tokens=num_tokens, latency_s=0.1,
    )  # fmt: skip


def known_of(folder: Path, recipe: Recipe) -> Known:
    plan = draft_plan(recipe)
    return know_corpus(str(folder), recipe, plan, num_problems=recipe.limit or 0)


def counts(found: StageRecords) -> StageRecords:
    return replace(found, question_characters=None)


def test_a_begun_run_says_what_is_done_and_what_hangs_on_it(tmp_path: Path) -> None:
    begun(tmp_path)
    known = known_of(tmp_path, PILOT)
    assert known.num_problems == 3
    records = known.observed.records
    assert counts(records["generate"]) == StageRecords(
        num_inputs=3, num_done=2, rate=1.0, is_final=True
    )
    assert counts(records["difficulty"]) == StageRecords(
        num_inputs=2, num_done=1, num_open=1, rate=1.0
    )  # the third problem has no chain yet
    assert counts(records["compress"]) == StageRecords(num_inputs=0, num_done=0, num_open=3)
    assert known.observed.usage["generate"] == ExpectedUsage(
        requests=1, prompt_tokens=5, completion_tokens=20
    )
    assert known.observed.chains["long"] == Chains(
        num_tokens=20, share_correct=0.5, share_solved=0.5
    )


def test_a_pilots_rows_count_for_the_larger_run(tmp_path: Path) -> None:
    begun(tmp_path)
    known = known_of(tmp_path, load_recipe("nano", limit=100))
    assert known.num_problems == 100
    assert known.num_held_out == 200
    assert known.observed.usage["generate"].completion_tokens == 20
    assert counts(known.observed.records["generate"]) == StageRecords(
        num_inputs=100, num_done=2, rate=1.0, is_final=True
    )


def test_other_settings_are_done_anew_at_the_price_that_was_measured(tmp_path: Path) -> None:
    begun(tmp_path)
    other = known_of(tmp_path, load_recipe("nano", limit=3, overrides=["generate.temperature=1.1"]))
    assert other.observed.usage == {}
    assert other.observed.similar["generate"].completion_tokens == 20
    assert other.observed.rates["generate"] == 1
    smaller = load_recipe("nano", limit=3, overrides=["models.teacher.model=smollm2", "seed=8"])
    assert known_of(tmp_path, smaller).observed.similar == {}  # another model


def test_problems_of_the_hub_are_those_that_a_run_has_read(tmp_path: Path) -> None:
    """Nothing is asked over the network: the others are expected to be like them."""
    begun(tmp_path, PILOT.model_copy(update={"problems": ("org/set",)}))
    for limit, num_known in ((2, 2), (3, 3), (50, None)):
        recipe = load_recipe("nano", limit=limit, problems=["org/set"])
        known = known_of(tmp_path, recipe)
        assert known.num_problems == num_known
        generate = known.observed.records["generate"]
        assert (generate.num_inputs, generate.num_done) == (min(limit, 3), 2)
        assert generate.num_open == max(0, limit - 3)


# --- it decides nothing


def test_assumptions_are_in_no_identity() -> None:
    plain = draft_plan(load_recipe("nano"))
    other = draft_plan(load_recipe("nano", overrides=["estimate.long_tokens=5"]))
    assert (plain.run_id, plain.fingerprints) == (other.run_id, other.fingerprints)
    assert "estimate" not in json.loads(plain.resolved)["recipe"]


def test_every_assumption_says_what_it_is() -> None:
    for name, declared in Assumptions.model_fields.items():
        assert declared.description, name


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("characters_per_token=inf", "finite number"),
        ("long_tokens=nan", "finite number"),
        ("tokens_per_s.techer=900", "'teacher', 'compressor' or 'student'"),
        ("tokens_per_s.teacher=0", "greater than 0"),
    ],
)
def test_assumptions_that_make_no_sense_are_refused(setting: str, words: str) -> None:
    with pytest.raises(RecipeError, match="estimate") as refused:
        load_recipe("nano", overrides=[f"estimate.{setting}"])
    assert words in str(refused.value)
