"""Training examples to a student: DeepSpeed over the ranks the recipe names.

Models make room first: on GPUs all of them, on CPU those that evaluation does not ask.
"""

from __future__ import annotations

from prefect import flow

from flows import steps
from flows.flow_runs import TOLD
from flows.report import Report, make_report, publish_report, with_page
from flows.session import DEFAULT, Order, Session
from flows.turns import in_turn
from infra.runs.plan import TRAIN
from tasks import mix
from tasks.errors import UsageError


@flow(name="train", flow_run_name="train {order.title}", **TOLD)
async def train(order: Order = DEFAULT) -> None:
    """Train the student of a recipe on what its corpus selected."""
    async with in_turn(order) as opened:
        await opened.run.begin(opened.run.placement.phase_of(TRAIN))
        await steps.train(order)


@flow(name="train-alone", flow_run_name="train alone {order.title}", **TOLD)
async def train_alone(order: Order = DEFAULT) -> Report:
    """The same where no other stage is to be done: of the recipe's models only the student has to
    be here. Raises UsageError where a stage before it has something left to do."""
    async with in_turn(order, only_trains=True) as opened:
        await steps.ingest(order)
        assert_examples_whole(opened)
        await steps.train(order)
        report = make_report(opened)
        await publish_report(report)
        run_id = opened.run.run_id
    return await with_page(report, run_id)


def assert_examples_whole(opened: Session) -> None:
    """Raises UsageError: on a part of the examples another student would be trained."""
    for name, stage in opened.run.stages.items():
        if stage.stage.phase == "evaluation" or mix.STAGE.name in stage.stage.upstream:
            continue  # what reads the examples makes none
        if count := opened.run.pending(stage, None).count:
            records = "1 record" if count == 1 else f"{count} records"
            raise UsageError(
                f"stage {name!r} has {records} left to do, so the examples are not all there: "
                f"`litecot run {opened.order.recipe}` with the same options does them, then trains"
            )
