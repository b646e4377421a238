"""What the student may come to, told before it is trained, and what came of it told afterwards.

Invariant: a corpus that has trained too few students is asked for their number and nothing else; a
forecast that cannot be made, for whatever reason, never stops the training it is about.
"""

from __future__ import annotations

import asyncio

from prefect import get_run_logger, task

from flows.progress.forecasts import forecast_lines, truth_lines
from flows.session import Order, Session, session
from flows.steps import TASK
from infra.runs.forecasts import candidate_of, evaluated_students, num_students, store
from tasks.errors import LitecotError


@task(name="forecast", task_run_name="forecast the student", **TASK)
async def tell_forecast(order: Order) -> None:
    """Forecast the student that is to be trained; nothing where it is trained already."""
    opened = session(order)
    _say(opened, await asyncio.to_thread(_forecast, opened))


@task(name="compare", task_run_name="compare with the forecast", **TASK)
async def tell_truth(order: Order) -> None:
    """Beside each forecast what the evaluated student came to."""
    opened = session(order)
    _say(opened, await asyncio.to_thread(_compare, opened))


def _say(opened: Session, lines: list[str]) -> None:
    for line in lines:
        opened.terminal.say(f"  forecast: {line}")
        get_run_logger().info("forecast: %s", line)


def _forecast(opened: Session) -> list[str]:
    try:
        return _told(opened)
    except LitecotError as error:
        return [f"none: {error}"]
    except Exception as error:  # a fault of ours; the training it is about can do without
        return [f"none, it failed ({type(error).__name__}: {error})"]


def _told(opened: Session) -> list[str]:
    run, recipe = opened.run, opened.recipe
    run.writer.flush()
    base = recipe.models.student.model
    with run.database() as database:
        if database.run_file("runs", "trained_models").rows:
            return []
        if (found := num_students(database, base)) < recipe.forecast.min_models:
            needed = f"it needs {recipe.forecast.min_models} evaluated students of {base}"
            return [f"none, {needed}, and the corpus has trained {found}"]
        candidate = candidate_of(database, run.plan, recipe.train)
        if candidate is None:
            return []
        students = evaluated_students(database)
    from tasks.forecasts.students import forecast  # scikit-learn, where there is something to fit

    outlook = forecast(students, [candidate], recipe.forecast)
    store(run.writer, outlook.forecasts, run_id=run.run_id)
    return forecast_lines(outlook.forecasts)


def _compare(opened: Session) -> list[str]:
    opened.run.writer.flush()
    with opened.run.database() as database:
        return truth_lines(database.run_file("runs", "forecasts_of_run").records())
