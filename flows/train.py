"""Training examples to a student: DeepSpeed over the ranks the recipe names.

Models make room first: on GPUs all of them, on CPU those that evaluation does not ask.
"""

from __future__ import annotations

from prefect import flow

from flows import steps
from flows.flow_runs import TOLD
from flows.report import Report, make_report, publish_report
from flows.session import DEFAULT, Order, Session, open_session
from infra.runs.plan import TRAIN
from tasks.errors import UsageError


@flow(name="train", flow_run_name="train {order.recipe}", **TOLD)
async def train(order: Order = DEFAULT) -> None:
    """Train the student of a recipe on what its corpus selected."""
    with open_session(order) as opened:
        await opened.run.begin(opened.run.placement.phase_of(TRAIN))
        await steps.train(order)


@flow(name="train-alone", flow_run_name="train {order.recipe} alone", **TOLD)
async def train_alone(order: Order = DEFAULT) -> Report:
    """The same where no other stage is to be done: of the recipe's models only the student has to
    be here. Raises UsageError where a stage before it has something left to do."""
    with open_session(order, only_trains=True) as opened:
        await steps.ingest(order)
        assert_examples_whole(opened)
        await steps.train(order)
        report = make_report(opened)
        await publish_report(report)
    return report


def assert_examples_whole(opened: Session) -> None:
    """Raises UsageError: on a part of the examples another student would be trained."""
    for name, stage in opened.run.stages.items():
        if stage.stage.phase == "evaluation":
            continue
        if count := opened.run.pending(stage, None).count:
            records = "1 record" if count == 1 else f"{count} records"
            raise UsageError(
                f"stage {name!r} has {records} left to do, so the examples are not all there: "
                f"`litecot run {opened.order.recipe}` with the same options does them, then trains"
            )
