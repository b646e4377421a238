"""Starts a run from the command line: checks first, then Prefect's server, then the flow.

Invariant: what can be refused is refused before a server or a model starts; a run against no server
gets a temporary one of its own, with its database in the project's home.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flows.cli.interruption import run_interruptibly
from flows.costs.first_try import notes_on_student
from flows.progress.consoles import console, page
from flows.progress.slow import shown_if_slow
from flows.progress.terminal import Terminal
from flows.recipes.missing import ready_placement
from flows.recipes.plan import notes_on_prompts
from flows.recipes.recipe import Recipe
from flows.server.environment import settle_environment
from flows.server.temporary import TemporaryServer, find_server
from flows.session import Order, resolve_recipe, shown_on
from infra.engines import smollm2
from infra.placement.plan import Placement
from infra.settings import Settings, load_settings
from infra.storage import CorpusWriter

if TYPE_CHECKING:
    from flows.report import Report


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
    terminal = Terminal(console())
    settle_environment(settings)
    server = find_server(settings.home.resolve())
    terminal.say(f"recipe {recipe.name}, corpus {order.corpus}, {_server_line(server)}")
    for line in placement.words:
        terminal.say(f"  {line}")
    for note in [*notes_on_prompts(recipe), *notes_on_student(recipe)]:
        terminal.say(note)
    roles = recipe.roles().values()
    if any(role.model == smollm2.NAME and role.engine_type.has_checkpoint for role in roles):
        smollm2.prepare(terminal.say)
    from flows.liter import liter  # imports Prefect while its server starts

    if server is not None:
        server.wait()

    async def run() -> Report:
        with shown_on(terminal), terminal.live():
            report: Report = await liter(order)
        return report

    report = run_interruptibly(run)
    from flows.report import print_report

    print_report(report, page())


def _server_line(temporary: TemporaryServer | None) -> str:
    if temporary is not None:
        return "temporary Prefect server (`make ui` starts a standing one with a UI)"
    return f"watch it at {os.environ['PREFECT_API_URL'].removesuffix('/api')}"
