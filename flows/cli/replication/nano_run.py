"""What `litecot replicate` does: its plan, the run to its end, its report.

Invariant: --plan and --report start nothing; a run that had nothing to do says so.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table

from flows.cli.run.launch import check, run_flow
from flows.progress.consoles import page as console_page
from flows.progress.text import say, shown
from flows.replication.design import TITLES, Asked, nano_at_once, read_design
from flows.replication.state import left_to_do, seconds_of_stages
from flows.replication.words import asked_as, effect_words, interval_words
from flows.session import resolve_recipe
from infra.engines import EngineConfig
from infra.settings import load_settings
from tasks.errors import LitecotError

if TYPE_CHECKING:
    from flows.replication.side_by_side import Outcome
    from flows.replication.verdicts import Decided


class ArmsFailedError(LitecotError):
    """Some arms failed; the others are done and reported."""


def show_plan(asked: Asked) -> None:
    """How many students, how many are done, and how long the others take by those measured."""
    variants = asked.variants()
    todo = left_to_do(variants, asked.corpus)
    design = read_design()
    claims = design.claims_of(asked.papers)
    seeds = len({variant.seed for variant in variants})
    arms = len({variant.arm for variant in variants})
    say(f"{len(variants)} students: {arms} arms, {seeds} seeds, equal steps and, where claims are "
        f"tested so too, equal tokens; {len(claims)} claims")  # fmt: skip
    say(f"{len(variants) - len(todo)} are done in {asked.corpus}, {len(todo)} to do")
    measured = seconds_of_stages(variants, asked.corpus)
    if not todo:
        return
    if measured is None:
        say("time: not known before the first is done here")
        return
    made, each = measured
    num = nano_at_once()
    total = len(todo) * each / num + seeds * made
    say(f"time: {each:.0f} s a student, {num} at once, and {made:.0f} s a seed for what arms "
        f"share: about {total / 60:.0f} min")  # fmt: skip


def launch(asked: Asked, *, page: Path | None) -> None:
    """Everything that is not done, then the report. Raises ArmsFailedError at the end."""
    variants = asked.variants()
    check(variants[0].order, load_settings())
    for variant in variants:  # a wrong setting is told before anything starts
        resolve_recipe(variant.order)

    def flow() -> Callable[[], Awaitable[Outcome]]:
        from flows.replicate import replicate  # imports Prefect while its server starts

        return lambda: replicate(asked)

    outcome = run_side_by_side(f"{len(variants)} students, corpus {asked.corpus}", flow)
    students = "student" if outcome.num_new == 1 else "students"
    say(f"{outcome.num_new} {students} trained and evaluated now, "
        f"{outcome.num_done_before} before; {outcome.num_requests} requests, scoring aside; "
        f"{outcome.seconds:.0f} s")  # fmt: skip
    show_report(asked, page=page)
    check_failures(outcome, "arms")


def run_side_by_side(
    what: str, flow: Callable[[], Callable[[], Awaitable[Outcome]]], *,
    models: Iterable[EngineConfig] = (), is_by_core: bool = True,
) -> Outcome:  # fmt: skip
    """The flow to its end. `is_by_core`: its trainings go side by side, a core each."""
    if is_by_core:
        os.environ.setdefault("LITECOT_TRAIN_THREADS", "1")
    return run_flow(what, load_settings(), models=models, lines=(), flow=flow)


def check_failures(outcome: Outcome, what: str) -> None:
    """Raises ArmsFailedError where some failed."""
    if outcome.failures:
        lines = [f"{name}: {why}" for name, why in outcome.failures.items()]
        raise ArmsFailedError("\n  ".join([f"{len(lines)} {what} failed:", *lines]))


def show_report(asked: Asked, *, page: Path | None) -> None:
    """Verdicts on the terminal, and the page where it is wanted."""
    from flows.replication.forecasts import forecast_section
    from flows.replication.page import write_page
    from flows.replication.results import read_results
    from flows.replication.verdicts import decide

    design = read_design()
    results = read_results(asked)
    decided = decide(design, design.claims_of(asked.papers), results)
    run = [one for one in decided if one.word != "not run"]
    if run:
        console_page().print(verdict_table(run))
    if lacking := len(decided) - len(run):
        say(f"{lacking} of {len(decided)} tests lack an arm that is done")
    if page is not None:
        told = forecast_section(asked.corpus, results)
        write_page(page, asked, design, results, decided, sections=[told] if told else [])
        say(f"{page}: written, from {len(results.students)} of {results.num_variants} students")


def verdict_table(decided: Sequence[Decided]) -> Table:
    """A row a claim and budget."""
    table = Table(box=SIMPLE_HEAD, title=None)
    for name in ("claim", "budget", "a against b", "effect", "95%", "verdict"):
        table.add_column(name)
    for one in decided:
        claim = one.claim
        table.add_row(
            shown(f"{TITLES[claim.paper]}: {claim.words}"), one.budget,
            shown(f"{asked_as(claim.a, claim.a_compress)} / "
                  f"{asked_as(claim.b, claim.b_compress)}"),
            effect_words(one), interval_words(one), one.word,
        )  # fmt: skip
    return table
