"""Starts a run from the command line: checks first, then Prefect's server, then the flow.

Invariant: what can be refused is refused before a server or a model starts; a run against no server
gets a temporary one of its own, with its database in the project's home.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

from flows.cli.interruption import run_interruptibly
from flows.cli.readers import open_corpus
from flows.costs.first_try import notes_on_student
from flows.progress.consoles import console, page
from flows.progress.slow import shown_if_slow
from flows.progress.terminal import Terminal
from flows.recipes.missing import ready_placement
from flows.recipes.plan import notes_on_prompts, training_plan
from flows.recipes.recipe import Recipe
from flows.recipes.training import gpus_fault, recipe_that_trains
from flows.server.environment import settle_environment
from flows.server.temporary import TemporaryServer, find_server
from flows.session import Order, resolve_recipe, shown_on
from infra.engines import EngineConfig, smollm2
from infra.hosting.nodes import nodes as nodes_here
from infra.placement.plan import Placement
from infra.runs.plan import RunPlan
from infra.settings import Settings, load_settings
from infra.storage import Corpus, CorpusWriter
from tasks.errors import UsageError

if TYPE_CHECKING:
    from flows.report import Report

ResultT = TypeVar("ResultT")


def check(order: Order, settings: Settings) -> tuple[Recipe, Placement]:
    """Everything that can be known before anything starts. Raises errors of one line."""
    recipe = resolve_recipe(order)
    placement = ready_placement(recipe, settings.placement)
    with shown_if_slow("reading the parts, once") as advance:
        CorpusWriter(order.corpus, advance=advance).close()
    return recipe, placement


def launch(order: Order) -> None:
    """Run the order's flow to its end and print its report."""
    settings = load_settings()
    recipe, placement = check(order, settings)
    notes = [*notes_on_prompts(recipe), *notes_on_student(recipe)]
    lines = [*(f"  {line}" for line in placement.words), *notes]

    def flow() -> Callable[[Order], Awaitable[Report]]:
        from flows.liter import liter  # imports Prefect while its server starts

        return liter

    _report(order, recipe, settings, models=recipe.roles().values(), lines=lines, flow=flow)


def launch_training(order: Order) -> None:
    """The same of training alone, on the examples the corpus has."""
    settings = load_settings()
    recipe = recipe_that_trains(resolve_recipe(order))
    check_examples(order.corpus, recipe, training_plan(recipe))
    if fault := gpus_fault(recipe, nodes_here()):
        raise UsageError(fault)

    def flow() -> Callable[[Order], Awaitable[Report]]:
        from flows.train import train_alone

        return train_alone

    lines = [f"  training {recipe.models.student.model} on the examples that are there"]
    models = [recipe.models.student]
    _report(order, recipe, settings, models=models, lines=lines, flow=flow)


def check_examples(corpus: str, recipe: Recipe, plan: RunPlan) -> None:
    """Raises UsageError where the corpus has no example made under the recipe's settings."""
    remedy = f"`litecot run {recipe.name}` with the same options makes them, then trains"
    if not Corpus(corpus).exists:
        raise UsageError(f"there is no corpus {corpus}, so no examples to train on: {remedy}")
    with open_corpus(corpus) as database:
        database.set_run(plan.run_id, dict(plan.fingerprints))
        present = {row[0] for row in database.run_file("runs", "stages_present").rows}
    if plan.fingerprints.get("mix") in present:
        return
    made = [name for name, one in plan.stages.items() if one.stage.phase != "evaluation"]
    lacking = next((name for name in made if plan.fingerprints[name] not in present), "mix")
    raise UsageError(
        f"corpus {corpus} has no examples of recipe {recipe.name} under these settings (nothing of "
        f"stage {lacking!r}): {remedy}"
    )


def run_flow(
    what: str, settings: Settings, *, models: Iterable[EngineConfig], lines: Sequence[str],
    flow: Callable[[], Callable[[], Awaitable[ResultT]]],
) -> ResultT:  # fmt: skip
    """Prefect's server, what is to be said, the flow to its end; what the flow returns.

    `flow` imports it, and so Prefect, while the server starts.
    """
    terminal = Terminal(console())
    settle_environment(settings)
    server = find_server(settings.home.resolve())
    terminal.say(f"{what}, {_server_line(server)}")
    for line in lines:
        terminal.say(line)
    if any(one.model == smollm2.NAME and one.engine_type.has_checkpoint for one in models):
        smollm2.prepare(terminal.say)
    called = flow()
    if server is not None:
        server.wait()

    async def run() -> ResultT:
        gc.freeze()  # what is imported stays: no collection has to look through it again
        try:
            with shown_on(terminal), terminal.live():
                return await called()
        finally:
            gc.unfreeze()  # else libraries say at the end that they leaked

    return run_interruptibly(run)


def _report(
    order: Order, recipe: Recipe, settings: Settings, *, models: Iterable[EngineConfig],
    lines: Sequence[str], flow: Callable[[], Callable[[Order], Awaitable[Report]]],
) -> None:  # fmt: skip
    """The order's flow to its end, and its report."""

    def of_order() -> Callable[[], Awaitable[Report]]:
        called = flow()
        return lambda: called(order)

    what = f"recipe {recipe.name}, corpus {order.corpus}"
    report = run_flow(what, settings, models=models, lines=lines, flow=of_order)
    from flows.report import print_report

    print_report(report, page())


def _server_line(temporary: TemporaryServer | None) -> str:
    if temporary is not None:
        return "temporary Prefect server (`make ui` starts a standing one with a UI)"
    return f"watch it at {os.environ['PREFECT_API_URL'].removesuffix('/api')}"
