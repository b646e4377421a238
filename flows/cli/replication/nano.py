"""`litecot replicate`: the papers' effects shown anew, in the embedded nano world."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.options import (
    DEFAULT_CORPUS,
    ArmsOption,
    CorpusOption,
    PageOption,
    PilotOption,
    PlanOption,
    ReportOption,
    clear_errors,
)
from flows.names import names_in


def replicate(
    corpus: CorpusOption = DEFAULT_CORPUS,
    papers: Annotated[
        str, typer.Option(help="litecot, macc, morsd; joined by commas.")
    ] = "litecot,macc,morsd",
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Only the first N seeds; default: all five.")
    ] = None,
    arms: ArmsOption = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Fewer problems to learn from, for a pilot.")
    ] = None,
    overrides: PilotOption = None,
    page: PageOption = None,
    report: ReportOption = False,
    plan: PlanOption = False,
) -> None:
    """Do the papers' effects show in the nano world? Every claim with its test and its size.

    Each arm is the recipe nano with settings changed: the same problems, equal training steps and,
    apart, equal training tokens. Run it again to resume: what is done is not done again.
    """
    from flows.cli.replication.nano_run import launch, show_plan, show_report
    from flows.replication.design import Asked, papers_of

    with clear_errors(corpus):
        asked = Asked(
            papers=papers_of(papers), arms=tuple(names_in([arms or ""])), num_seeds=seeds,
            corpus=corpus, limit=limit, overrides=tuple(overrides or ()),
        )  # fmt: skip
        if plan:
            show_plan(asked)
        elif report:
            show_report(asked, page=page)
        else:
            launch(asked, page=page)
