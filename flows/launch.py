"""Starts a run from the command line: checks first, then Prefect's server, then the flow.

Invariant: what can be refused is refused before a server or a model starts; a run against no server
gets a temporary one of its own, with its database in the project's home.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.display import plain
from flows.interruption import run_interruptibly
from flows.plan import check_models, check_problems, draft_plan, run_plan
from flows.recipe import Recipe
from flows.server import TemporaryServer, find_server
from flows.session import Order, resolve_recipe, shown_on
from flows.terminal import Terminal
from infra.nano.files import resolve_nano
from infra.placement.plan import Placement, read_nodes
from infra.run import TRAIN, RunPlan
from infra.settings import Settings, load_settings
from infra.storage import CorpusWriter
from tasks.ingest import SourceConfig, resolve_sources

if TYPE_CHECKING:
    from flows.report import Report


def check(order: Order, settings: Settings) -> tuple[Recipe, Placement]:
    """Everything that can be known before anything starts. Raises the errors of flows.messages."""
    recipe = resolve_recipe(order)
    placement = run_plan(recipe).place(mode=settings.placement)
    check_inputs(recipe)
    with CorpusWriter(order.corpus):
        pass
    return recipe, placement


def check_inputs(recipe: Recipe) -> None:
    """Whether all inputs can be read and their columns are known. Raises IngestError."""
    resolve_sources([resolve_nano(name) for name in recipe.problems], recipe.source)
    if "evaluate" in recipe.stages:
        held_out = SourceConfig(candidates="ignore")
        resolve_sources([resolve_nano(name) for name in recipe.evaluate.problems], held_out)


def launch(order: Order) -> None:
    """Run the order's flow to its end and print its report."""
    settings = load_settings()
    recipe, placement = check(order, settings)
    console = Console()
    terminal = Terminal(console)
    settle_environment(settings)
    server = find_server(settings.home.resolve())
    terminal.say(f"recipe {recipe.name}, corpus {order.corpus}, {_server_line(server)}")
    for line in placement.words:
        terminal.say(f"  {line}")
    from flows.liter import liter  # imports Prefect while its server starts

    if server is not None:
        server.wait()

    async def run() -> Report:
        with shown_on(terminal), terminal.live():
            report: Report = await liter(order)
        return report

    report = run_interruptibly(run)
    from flows.display import page
    from flows.report import print_report

    print_report(report, page())


def settle_environment(settings: Settings) -> None:
    """Prefect's and others' settings, where the user has none of their own."""
    home = settings.home.resolve()
    for name, value in {
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "PREFECT_INTERNAL_LOGGING_LEVEL": "CRITICAL",
        "DO_NOT_TRACK": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",  # SIGTERM is ours: save, say how to resume
    }.items():
        os.environ.setdefault(name, value)
    Path(os.environ["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)


def _server_line(temporary: TemporaryServer | None) -> str:
    if temporary is not None:
        return "temporary Prefect server (`make ui` starts a standing one with a UI)"
    return f"watch it at {os.environ['PREFECT_API_URL'].removesuffix('/api')}"


def show_plan(order: Order, *, on: str | None = None) -> None:
    """Stages and models of what would run, and where: here, or on the cluster `on` ("2x8x80").

    On another cluster nothing of this machine is checked. Raises PlacementError and what `launch`
    would refuse, after showing what there is to see.
    """
    from flows.display import page

    nodes = None if on is None else read_nodes(on)
    recipe = resolve_recipe(order)
    given = [*order.problems, *order.rationales]
    if given:
        resolve_sources([resolve_nano(name) for name in given], recipe.source)
    plan = draft_plan(recipe)
    page().print(_stage_table(recipe, plan), markup=False)
    for line in plan.place(nodes, mode=load_settings().placement).words:
        print(plain(line))
    if nodes is None:
        check_problems(recipe)
        check_models(plan)
        check_inputs(recipe)


def _stage_table(recipe: Recipe, plan: RunPlan) -> Table:
    run = f", run {plan.run_id}" if recipe.problems else ", no problems yet"
    table = Table(title=Text(f"recipe {plain(recipe.name)}{run}"), title_justify="left")
    for column in ("stage", "models", "fingerprint"):
        table.add_column(column)
    for name, fingerprint in plan.fingerprints.items():
        stage = plan.stages.get(name)
        models = {role: config.model for role, config in stage.models.items()} if stage else {}
        if name == TRAIN:
            models = {"student": recipe.models.student.model}
        asked = plain(", ".join(f"{role} {model}" for role, model in models.items()))
        table.add_row(name, Text(asked), fingerprint)
    return table
