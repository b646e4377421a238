"""What Prefect's UI shows in words: names, lines of failures, rates, forms."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from flows.errors import reason
from flows.progress.logs import escape_log_records
from flows.progress.pace import rate_words
from flows.recipes.forms import changes, settings_form
from flows.recipes.loading import load_recipe, shipped_recipes
from flows.recipes.recipe import RecipeError
from flows.session import Order
from infra.storage import CorpusError


@pytest.mark.parametrize(
    ("order", "title"),
    [
        (Order(), "nano"),
        (Order(recipe="/a/mine.toml", limit=4, seed=3), "mine, limit 4, seed 3"),
        (
            Order(problems=("s3://b/x.jsonl",), overrides=("generate.num_candidates=8",)),
            "nano, x.jsonl, generate.num_candidates=8",
        ),
        (Order(overrides=tuple("abcdef")), "nano, a, b, c, d, 2 more"),
        (Order(overrides=("select.by=" + "x" * 99,)), f"nano, select.by={'x' * 35}..."),
    ],
)  # fmt: skip
def test_a_run_is_called_by_what_differs(order: Order, title: str) -> None:
    assert order.title == title


def test_an_evaluation_is_called_by_its_model() -> None:
    overrides = ('models.student.engine="endpoint"', 'models.student.model="a/b"')
    assert Order(recipe="evaluate", overrides=overrides).evaluated == "b"
    assert Order(overrides=(*overrides, 'evaluate.name="mine"')).evaluated == "mine"


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("Flow run encountered an exception: CorpusError: /data: full", "/data: full"),
        ("Task run encountered an exception RecipeError: one\n  two", "one\n  two"),
        ("Flow run encountered an exception: KeyError: 'x'", None),  # a bug: as Prefect has it
        ("Flow run exceeded timeout of 3 second(s)", None),
    ],
)  # fmt: skip
def test_a_failure_of_ours_is_its_line(message: str, line: str | None) -> None:
    assert reason(message) == line


def logged(caplog: pytest.LogCaptureFixture, log: logging.Logger, error: Exception) -> list[str]:
    """As Prefect's engine does."""
    escape_log_records()
    caplog.clear()
    try:
        raise error
    except Exception as raised:
        log.exception("Encountered exception during execution: %r", raised)
    state = f"Flow run encountered an exception: {type(error).__name__}: {error}"
    log.error(f"Finished in state Failed({state!r})")
    return [f"{record.getMessage()}{record.exc_text or ''}" for record in caplog.records]


def test_a_failure_of_ours_has_no_traceback_in_prefects_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = logging.getLogger("prefect.flow_runs")
    with caplog.at_level(logging.ERROR):
        log.propagate, before = True, log.propagate
        try:
            line = "/data: 'full'; free some"
            assert logged(caplog, log, CorpusError(line)) == [f"failed: {line}"]
            found = logged(caplog, log, KeyError("x"))
            assert found[0].startswith("Encountered exception during execution: KeyError('x')")
            assert caplog.records[0].exc_info
            assert found[1].startswith("Finished in state Failed(")
        finally:
            log.propagate = before


@pytest.mark.parametrize(
    ("rate", "words"),
    [(12_345.0, "12 300/s"), (4.1, "4.1/s"), (0.5, "30/min"), (0.001, "3.6/h"), (0.0, "0/s")],
)
def test_rates(rate: float, words: str) -> None:
    assert rate_words(rate) == words


@pytest.mark.parametrize("name", list(shipped_recipes()))
def test_a_form_left_alone_changes_nothing(name: str) -> None:
    form = settings_form(name)
    assert changes(name, form()) == ()
    assert json.loads(json.dumps(form.model_json_schema(), allow_nan=False))


def test_what_is_changed_in_a_form_is_an_override() -> None:
    filled: dict[str, Any] = {
        "generate": {"num_candidates": 8},
        "select": {"by": {"rd": 0.5, "ifd": 0.5}, "filters": ["accuracy"]},
    }
    told = changes("nano", settings_form("nano").model_validate(filled))
    recipe = load_recipe("nano", overrides=told)
    assert recipe.generate.num_candidates == 8
    assert recipe.select.by == {"rd": 0.5, "ifd": 0.5}
    assert recipe.select.filters == ("accuracy",)
    rest = recipe.model_copy(update={"generate": load_recipe("nano").generate})
    assert rest.model_copy(update={"select": load_recipe("nano").select}) == load_recipe("nano")


def test_a_form_knows_its_fields() -> None:
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        settings_form("nano").model_validate({"generate": {"nonsense": 1}})
    with pytest.raises(RecipeError):
        settings_form("nonsense")
