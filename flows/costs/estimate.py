"""What a run will ask of its models before it starts: requests, tokens, GPU hours by stage.

Role: arithmetic only. A stage's records follow from the stages before it; what one record asks is
the corpus' own mean where it has rows of that stage under the same settings ("measured"), else it
follows from flows/recipes/assumptions.py ("assumed"), and every assumption used is named.

A sample: StageCost(stage="generate", role="teacher", records=1000, requests=1000,
prompt_tokens=98_000, completion_tokens=42_140_000, gpu_hours=17.9, ...)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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


@dataclass(frozen=True, kw_only=True)
class StageCost:
    """Of all records of a stage, those done included. `gpu_hours` None: on CPU, or not known."""

    stage: str
    role: str
    model: str
    records: int
    done: int
    requests: int
    prompt_tokens: int
    completion_tokens: int
    gpu_hours: float | None
    price: float | None
    is_measured: bool


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
        per_record = observed.usage.get(stage) or book.usage(stage)
        costs.append(
            _cost(
                stage, role, records, per_record.times(records), book=book, parameters=parameters,
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


def _cost(
    stage: str, role: Role, records: float, usage: ExpectedUsage, *, book: Expected,
    parameters: Callable[[EngineConfig], int | None], on_gpu: Callable[[EngineConfig], bool],
) -> StageCost:  # fmt: skip
    recipe = book.recipe
    config = recipe.model_of(role)
    assert config is not None
    count = parameters(config) if config.engine_type.is_hosted else None
    is_here = on_gpu(config) and (stage != TRAIN or recipe.train.device == "gpu")
    done = book.observed.done.get(stage, 0)
    price = recipe.estimate.price.get(role)
    return StageCost(
        stage=stage,
        role=role,
        model=config.model,
        records=round(records),
        done=round(records) if done and stage == TRAIN else done,  # trained once, on all
        requests=round(usage.requests),
        prompt_tokens=round(usage.prompt_tokens),
        completion_tokens=round(usage.completion_tokens),
        gpu_hours=_gpu_hours(stage, role, usage, count, book) if count and is_here else None,
        price=None if price is None else _price(usage, price),
        is_measured=stage in book.observed.usage,
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
