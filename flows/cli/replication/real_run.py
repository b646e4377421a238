"""What `litecot replicate-real` does: its plan, the run to its end, its report.

Invariant: --plan and --report start no model; a run that had nothing to do says so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table

from flows.cli.replication.nano_run import check_failures, run_side_by_side
from flows.cli.run.launch import check
from flows.names import names_in
from flows.progress.consoles import page as console_page
from flows.progress.text import say, shown
from flows.real_text.design import Asked, Scale, read_design
from flows.real_text.state import left_to_do, prepare
from flows.session import resolve_recipe
from infra.settings import load_settings
from tasks.errors import UsageError

if TYPE_CHECKING:
    from flows.replication.side_by_side import Outcome

NUMBERS = tuple(name for name, field in Scale.model_fields.items() if field.annotation is int)


def numbers_in(text: str) -> tuple[tuple[str, int], ...]:
    """ "pool=4,read=2" -> (("pool", 4), ("read", 2)). Raises UsageError."""
    found = []
    for part in names_in([text]):
        name, _, number = part.partition("=")
        if name not in NUMBERS or not number.isdecimal() or not int(number):
            raise UsageError(f"--scale {part}: NAME=NUMBER, of {', '.join(NUMBERS)}")
        found.append((name, int(number)))
    return tuple(found)


def show_plan(asked: Asked) -> None:
    """How much of everything, and how much of it is done."""
    scale, design = asked.scaled, read_design()
    orders, students = left_to_do(asked)
    say(f"{len(asked.students())} students of {len(asked.seeds)} seeds, each of a pool of "
        f"{scale.pool} problems; up to {6 * scale.labelled} labelled rationales; {scale.read} "
        f"questions a benchmark are read, {scale.answered} answered; "
        f"{len(design.scorer_claims) + len(design.student_claims)} claims")  # fmt: skip
    say(f"{len(asked.students()) - len(students)} students are done in {asked.corpus}, "
        f"{len(students)} to do; of what is scored alone {2 - len(orders)} of 2")  # fmt: skip


def launch(asked: Asked, *, page: Path | None) -> None:
    """Everything that is not done, then the report. Raises ArmsFailedError at the end."""
    prepare(asked)
    students = asked.students()
    recipe, _ = check(students[0].order, load_settings())
    for order in (asked.labelled_order(), *(student.order for student in students)):
        resolve_recipe(order)  # a wrong setting is told before anything starts

    def flow() -> Callable[[], Awaitable[Outcome]]:
        from flows.replicate_real import replicate_real  # imports Prefect while its server starts

        return lambda: replicate_real(asked)

    outcome = run_side_by_side(
        f"{len(students)} students, corpus {asked.corpus}", flow,
        models=[recipe.models.student], is_by_core=asked.size == "reduced",
    )  # fmt: skip
    say(f"{outcome.num_new} parts done now, {outcome.num_done_before} before; "
        f"{outcome.seconds:.0f} s")  # fmt: skip
    show_report(asked, page=page)
    check_failures(outcome, "parts")


def show_report(asked: Asked, *, page: Path | None) -> None:
    """Verdicts on the terminal, and the page where it is wanted."""
    from flows.real_text.page import effect_words, page_text
    from flows.real_text.results import read_results
    from flows.real_text.verdicts import decide

    results = read_results(asked)
    decided = decide(read_design(), results)
    table = Table(box=SIMPLE_HEAD, title=None)
    for name in ("claim", "effect", "95%", "verdict"):
        table.add_column(name)
    for one in decided:
        if one.word != "not run":
            table.add_row(shown(one.claim.words), *effect_words(one), one.word)
    if table.row_count:
        console_page().print(table)
    if lacking := len(decided) - table.row_count:
        say(f"{lacking} of {len(decided)} claims lack what they compare")
    if page is not None:
        page.write_text(page_text(asked, results, decided), encoding="utf-8")
        say(f"{page}: written, from {len(results.students)} of {results.num_students} students")
