"""Which variants are done: from the corpus alone, without opening a run.

Invariant: a variant is done when its student has answered every question it is to be asked. The
stages before it have then ended too, or there would be no student of theirs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flows.recipes.plan import draft_plan
from flows.replication.design import Variant
from flows.session import Order, resolve_recipe
from infra.runs.plan import RunPlan, StageRun
from infra.storage import Corpus

if TYPE_CHECKING:
    from sql.database import Database

ANSWERS = "evaluate-trained"
SHORTEST_S = 1.0  # of a training; less, and it was done before


def left_to_do(variants: Sequence[Variant], corpus: str) -> list[Variant]:
    """Those that are not done, in their order."""
    with reading(corpus) as database:
        if database is None:
            return list(variants)
        return [variant for variant in variants if not is_done(database, variant)]


@contextmanager
def reading(corpus: str) -> Iterator[Database | None]:
    """The corpus as it is now; None where there is none yet."""
    from sql.database import connect

    opened = Corpus(corpus)
    if not opened.exists:
        yield None
        return
    with connect(opened.parts(), through=opened.store.files) as database:
        yield database


def select_order(database: Database, order: Order) -> RunPlan:
    """The views are of this order's run from now on; its plan."""
    plan = draft_plan(resolve_recipe(order))
    database.set_run(plan.run_id, dict(plan.fingerprints))
    return plan


def is_pending(database: Database, stage: StageRun) -> bool:
    """Whether a stage of the selected run has records left to do."""
    from sql.pending import count_pending

    return count_pending(database, **stage.pending_query()) > 0


def is_done(database: Database, variant: Variant) -> bool:
    """Whether it has a student that has answered everything."""
    plan = select_order(database, variant.order)
    if not database.run_file("runs", "trained_models").rows:
        return False
    answering = [run for run in plan.stages.values() if run.stage.phase == "evaluation"]
    return not any(is_pending(database, run) for run in answering)


def seconds_of(database: Database) -> Iterator[dict[str, float]]:
    """Stage -> seconds, of each invocation of the selected run."""
    for row in database.run_file("runs", "stage_seconds").records():
        yield json.loads(row["stage_seconds"])


def seconds_of_stages(variants: Sequence[Variant], corpus: str) -> tuple[float, float] | None:
    """Measured here: seconds a seed of what arms share, and seconds a student of training and
    answering; None where nothing is."""
    with reading(corpus) as database:
        if database is None:
            return None
        shared: dict[int, float] = {}
        alone: list[float] = []
        for variant in variants:
            select_order(database, variant.order)
            for seconds in seconds_of(database):
                last = sum(seconds.get(name, 0.0) for name in ("train", ANSWERS))
                if "train" in seconds and seconds["train"] > SHORTEST_S:
                    alone.append(last)
                made = sum(seconds.values()) - last
                shared[variant.seed] = shared.get(variant.seed, 0.0) + made
    if not alone:
        return None
    return sum(shared.values()) / len(shared), sum(alone) / len(alone)
