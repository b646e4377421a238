"""Starts a run from the command line: checks first, then Prefect's server, then the flow.

Invariant: what can be refused is refused before a server or a model starts; a run against no server
gets a temporary one of its own, with its database in the project's home.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from flows.interruption import run_interruptibly
from flows.missing import ready_placement
from flows.recipe import Recipe
from flows.server import TemporaryServer, find_server
from flows.session import Order, resolve_recipe, shown_on
from flows.terminal import Terminal
from infra.placement.plan import Placement
from infra.settings import Settings, load_settings
from infra.storage import CorpusWriter

if TYPE_CHECKING:
    from flows.report import Report


def check(order: Order, settings: Settings) -> tuple[Recipe, Placement]:
    """Everything that can be known before anything starts. Raises the errors of flows.messages."""
    recipe = resolve_recipe(order)
    placement = ready_placement(recipe, settings.placement)
    with CorpusWriter(order.corpus):
        pass
    return recipe, placement


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
