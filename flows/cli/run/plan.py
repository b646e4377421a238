"""`litecot run --plan`: the stages, where their models would run, what it would cost.

Invariant: nothing is started or written, and nothing asked over the network but, with `--check`,
whether servers answer; everything that is missing is said at the end, at once, after all there is
to see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cache

from rich.table import Table

from flows.cli.run.servers import ask_servers, notes_on_servers
from flows.costs.estimate import Estimate, estimate
from flows.costs.expected import Expected, Observed
from flows.costs.first_try import notes_on_student
from flows.costs.observed import know_inputs
from flows.costs.stored import know_corpus
from flows.costs.table import print_estimate
from flows.progress.consoles import page
from flows.progress.text import print_json, say, shown
from flows.recipes.extensions import plugins_in_use
from flows.recipes.missing import (
    draft_or_faults,
    faults_here,
    faults_of_inputs,
    missing,
    place_or_faults,
)
from flows.recipes.plan import notes_on_prompts
from flows.recipes.recipe import Recipe
from flows.recipes.training import training_fault, training_line
from flows.session import Order, resolve_recipe
from infra.engines import EngineConfig
from infra.engines.model_size import size_of
from infra.hosting.nodes import nodes as nodes_here
from infra.placement.plan import Node, read_nodes
from infra.runs.plan import TRAIN, RunPlan
from infra.settings import load_settings
from tasks.intake.sources import IngestError


def show_plan(order: Order, *, on: str | None = None, check: bool = False) -> None:
    """What would run, and where: here, or on the cluster `on` ("2x8x80"); what it would cost.

    On another cluster nothing of this machine is checked. `check`: servers are asked whether they
    answer. Raises what `launch` would refuse:
    input files that are not there before anything is shown, the rest after.
    """
    nodes = nodes_here() if on is None else read_nodes(on)
    recipe = resolve_recipe(order)
    faults = faults_of_inputs(recipe.problems, recipe.source, ask_hub=False)
    is_readable = not faults
    if on is None:
        faults += faults_here(recipe, ask_hub=False)
    plan = draft_or_faults(recipe, faults)
    if not is_readable:
        raise missing(faults)
    page().print(_stage_table(recipe, plan))
    for used in plugins_in_use(recipe):
        say(f"plug-in: {used}")
    placement, misplaced = place_or_faults(recipe, plan, nodes, load_settings().placement)
    for line in placement.words if placement else ():
        say(line)
    notes = [*notes_on_prompts(recipe), *notes_on_student(recipe)]
    for note in [*notes, *(notes_on_servers(recipe) if on is None else [])]:
        say(note)
    try:
        print_estimate(make_estimate(recipe, plan, nodes, order.corpus), recipe.estimate)
    except IngestError as error:  # the run would end there
        faults.append(str(error))
    faults += [*misplaced, *_say_training(recipe, nodes)]
    if check:
        lines, wrong = ask_servers(recipe)
        for line in lines:
            say(line)
        faults += wrong
    if faults:
        raise missing(faults)


def print_plan_json(order: Order, *, on: str | None = None) -> None:
    """The same for programs, one JSON object. Raises as `show_plan`, before anything is printed."""
    nodes = nodes_here() if on is None else read_nodes(on)
    recipe = resolve_recipe(order)
    faults = faults_of_inputs(recipe.problems, recipe.source, ask_hub=False)
    if on is None:
        faults += faults_here(recipe, ask_hub=False)
    plan = draft_or_faults(recipe, faults)
    placement, misplaced = place_or_faults(recipe, plan, nodes, load_settings().placement)
    fault = training_fault(recipe, nodes) if TRAIN in recipe.stages else None
    faults += [*misplaced, *([fault.line] if fault and not fault.is_of_gpus else [])]
    if faults:
        raise missing(faults)
    print_json({
        "recipe": recipe.name, "run_id": plan.run_id, "fingerprints": dict(plan.fingerprints),
        "placement": list(placement.words) if placement else [],
        "estimate": asdict(make_estimate(recipe, plan, nodes, order.corpus)),
    })  # fmt: skip


def _say_training(recipe: Recipe, nodes: Sequence[Node]) -> list[str]:
    """A line of what training takes; returned why it cannot fit. Too few GPUs are the placement's
    to say, an unknown shape is nobody's; examples may be shorter than counted, bins are full."""
    if TRAIN not in recipe.stages:
        return []
    if line := training_line(recipe, nodes):
        say(line)
    fault = training_fault(recipe, nodes)
    if fault is None or fault.is_of_gpus:
        return []
    if recipe.train.how_batched == "packed":
        return [fault.line]
    say(f"at worst {fault.line}")
    return []


def make_estimate(recipe: Recipe, plan: RunPlan, nodes: Sequence[Node], corpus: str) -> Estimate:
    """From the recipe's files and what the corpus has already."""
    inputs = know_inputs(recipe)
    expected = Expected(recipe, inputs, Observed()).num_problems
    known = know_corpus(corpus, recipe, plan, num_problems=expected)
    counts = {"num_problems": known.num_problems, "num_held_out": known.num_held_out}
    inputs = replace(inputs, **{name: count for name, count in counts.items() if count})
    has_gpus = any(node.num_gpus for node in nodes)

    @cache
    def parameters(config: EngineConfig) -> int | None:
        size = size_of(config)
        return size.num_parameters if size else None

    def on_gpu(config: EngineConfig) -> bool:
        needs = config.engine_type.needs
        return config.device != "cpu" and needs.gpus(config) > 0 and (needs.is_for_gpus or has_gpus)

    return estimate(
        recipe, inputs=inputs, observed=known.observed, parameters=parameters, on_gpu=on_gpu
    )


def _stage_table(recipe: Recipe, plan: RunPlan) -> Table:
    run = f", run {plan.run_id}" if recipe.problems else ", no problems yet"
    table = Table(title=shown(f"recipe {recipe.name}{run}"), title_justify="left")
    for column in ("stage", "models", "fingerprint"):
        table.add_column(column)
    for name, fingerprint in plan.fingerprints.items():
        stage = plan.stages.get(name)
        models = {role: config.model for role, config in stage.models.items()} if stage else {}
        if name == TRAIN:
            models = {"student": recipe.models.student.model}
        asked = ", ".join(f"{role} {model}" for role, model in models.items())
        table.add_row(shown(name), shown(asked), fingerprint)
    return table
