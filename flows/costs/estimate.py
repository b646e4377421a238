"""What a run will ask of its models before it starts: requests, tokens, GPU hours by stage.

Role: arithmetic only. A stage's records are those that its query finds now and those that follow
from the stages before it; what one record asks is the corpus' own mean where it has rows of that
stage under the same settings ("measured") or under others ("similar"), else it follows from
flows/recipes/assumptions.py ("assumed"), and every assumption used is named.

A sample: StageCost(stage="generate", role="teacher", records=1000, done=320, requests=1000,
left=ExpectedUsage(requests=680, prompt_tokens=66_640, ...), gpu_hours=17.9, basis="measured", ...)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from flows.costs.expected import Expected, Inputs, Observed
from flows.recipes.assumptions import Assumptions, Price
from flows.recipes.recipe import Recipe
from infra.engines import EngineConfig
from infra.runs.plan import TRAIN
from infra.training.budget.work import SECONDS, operations_a_token
from tasks.costs import ExpectedUsage
from tasks.ports import Role

FORWARD = 2.0  # floating-point operations a parameter and token; of training: budget/work.py
REFERENCE_PARAMETERS = 7e9
COMPRESSED_BY = 4  # characters a byte of the corpus: zstd on real chains, docs/recipes.md


Basis = Literal["measured", "similar", "assumed"]


@dataclass(frozen=True, kw_only=True)
class StageCost:
    """`requests` and tokens are of all records of a stage, those done included; `left`, `gpu_hours`
    and `price` of those that the run will ask for. `gpu_hours` None: on CPU, or not known."""

    stage: str
    role: str
    model: str
    records: int
    done: int
    requests: int
    prompt_tokens: int
    completion_tokens: int
    left: ExpectedUsage
    gpu_hours: float | None
    price: float | None
    currency: str
    basis: Basis

    @property
    def is_measured(self) -> bool:
        """By rows under the same settings."""
        return self.basis == "measured"


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """`assumed`: names of the assumptions (flows/recipes/assumptions.py) the figures rest on."""

    num_problems: int
    is_counted: bool
    stages: tuple[StageCost, ...]
    num_examples: int
    assumed: tuple[str, ...]
    disk_bytes: int
    unknown: tuple[str, ...] = ()  # stages that do not say what they will ask


def estimate(
    recipe: Recipe,
    *,
    inputs: Inputs,
    observed: Observed,
    parameters: Callable[[EngineConfig], int | None],
    on_gpu: Callable[[EngineConfig], bool],
) -> Estimate:
    """The cost of every stage that asks a model."""
    book = Expected(recipe, inputs, observed)
    costs = []
    asking = _asking(recipe)
    unknown = [name for name in asking if name != TRAIN and book.stages[name].expects is None]
    for stage, role in asking.items():
        if stage in unknown:
            continue
        records = book.records(stage)
        basis, per_record = _per_record(stage, book)
        costs.append(
            _cost(
                stage, role, records, per_record, basis=basis, book=book, parameters=parameters,
                on_gpu=on_gpu,
            )
        )  # fmt: skip
    written = sum(cost.completion_tokens for cost in costs)
    return Estimate(
        num_problems=round(book.num_problems),
        is_counted=book.is_counted,
        stages=tuple(costs),
        num_examples=round(book.examples()),
        assumed=tuple(sorted(book.used, key=list(Assumptions.model_fields).index)),
        unknown=tuple(unknown),
        disk_bytes=round(written * recipe.estimate.characters_per_token / COMPRESSED_BY),
    )


def _asking(recipe: Recipe) -> dict[str, Role]:
    """What asks a model, training included, in order -> the role it asks."""
    found: dict[str, Role] = {}
    for table in recipe.stages:
        if table == TRAIN:
            found[TRAIN] = "student"
        for stage in recipe.all_stages():
            asked = stage.asked(recipe.settings_of(stage))
            if stage.settings == table and asked:
                found[stage.name] = asked[0]
    return found


def _per_record(stage: str, book: Expected) -> tuple[Basis, ExpectedUsage]:
    if (found := book.observed.usage.get(stage)) is not None:
        return "measured", found
    if (found := book.observed.similar.get(stage)) is not None:
        return "similar", found
    is_known = stage == TRAIN and book.observed.examples is not None
    return "measured" if is_known and _is_made(book) else "assumed", book.usage(stage)


def _is_made(book: Expected) -> bool:
    """Whether the examples of these settings are all there."""
    mixed = book.observed.records.get("mix")
    return mixed is not None and mixed.is_final and mixed.num_done == mixed.num_inputs


def _cost(
    stage: str, role: Role, records: float, per_record: ExpectedUsage, *, basis: Basis,
    book: Expected, parameters: Callable[[EngineConfig], int | None],
    on_gpu: Callable[[EngineConfig], bool],
) -> StageCost:  # fmt: skip
    recipe = book.recipe
    config = recipe.model_of(role)
    assert config is not None
    count = parameters(config) if config.engine_type.is_hosted else None
    is_here = on_gpu(config) and (stage != TRAIN or recipe.train.device == "gpu")
    done = book.num_done(stage)
    left = book.usage_left(stage, per_record).times(max(0.0, records - done))
    there = per_record.times(min(records, done))
    price = recipe.estimate.price.get(role)
    return StageCost(
        stage=stage,
        role=role,
        model=config.model,
        records=round(records),
        done=round(done),
        requests=round(there.requests + left.requests),
        prompt_tokens=round(there.prompt_tokens + left.prompt_tokens),
        completion_tokens=round(there.completion_tokens + left.completion_tokens),
        left=left,
        gpu_hours=_gpu_hours(stage, role, left, count, book) if count and is_here else None,
        price=None if price is None else _price(left, price),
        currency="" if price is None else price.currency,
        basis=basis,
    )


def _gpu_hours(stage: str, role: Role, usage: ExpectedUsage, count: int, book: Expected) -> float:
    """Reading and training by operations at a share of the peak, writing by tokens a second."""
    train = book.recipe.train
    peak = book.assume("peak_tflops") * 1e12
    if stage == TRAIN:
        work = usage.prompt_tokens * operations_a_token(train, count)
        return work / (peak * book.assume("train_utilization")) / SECONDS
    read_s = usage.prompt_tokens * FORWARD * count / peak / book.assume("read_utilization")
    if not usage.completion_tokens:
        return read_s / SECONDS
    rate = book.recipe.estimate.tokens_per_s.get(role)
    rate = rate or book.assume("decode_7b") * REFERENCE_PARAMETERS / count
    return (read_s + usage.completion_tokens / rate) / SECONDS


def _price(usage: ExpectedUsage, price: Price) -> float:
    return (usage.prompt_tokens * price.input + usage.completion_tokens * price.output) / 1e6
