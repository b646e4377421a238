"""`litecot replicate-real`: the papers' effects on real text, with a real student."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

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


def replicate_real(
    data: Annotated[
        Path, typer.Option(help="Folder of recorded rationales (docs/evaluation.md says which).")
    ],
    corpus: CorpusOption = DEFAULT_CORPUS,
    size: Annotated[
        Literal["reduced", "full"],
        typer.Option(help="reduced: two cores, under two hours. full: a GPU."),
    ] = "reduced",
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Only the first N seeds; default: the size's.")
    ] = None,
    arms: ArmsOption = None,
    scale: Annotated[
        str | None,
        typer.Option(help="Other numbers, for a pilot: labelled=6,pool=4,read=2,answered=1."),
    ] = None,
    overrides: PilotOption = None,
    page: PageOption = None,
    report: ReportOption = False,
    plan: PlanOption = False,
) -> None:
    """Do the papers' effects show on real text? Every claim with its test and its size.

    SmolLM2-135M scores recorded rationales of real teachers, is trained on what each arm chooses of
    them, and is read and asked on held-out questions. Run it again to resume.
    """
    from flows.cli.replication.real_run import launch, numbers_in, show_plan, show_report
    from flows.real_text.design import Asked

    with clear_errors(corpus):
        asked = Asked(
            data=data, corpus=corpus, size=size, num_seeds=seeds,
            arms=tuple(names_in([arms or ""])),
            scale=numbers_in(scale or ""), overrides=tuple(overrides or ()),
        )  # fmt: skip
        if plan:
            show_plan(asked)
        elif report:
            show_report(asked, page=page)
        else:
            launch(asked, page=page)
