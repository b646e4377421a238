"""Runs that a person starts in Prefect's UI: a flow a shipped recipe, with a form of its settings.

Role: `liter` takes an order as a whole; these take each setting by itself, so that the UI shows its
default, its choices and what it is. Deployments name them (prefect.yaml):
`entrypoint: flows/on_demand.py:liter_7b`, the recipe's name with underscores.

A sample: parameters {"limit": 4, "settings": {"generate": {"num_candidates": 8}}} of `nano` are
    `litecot run nano --limit 4 --set generate.num_candidates=8`
"""

from __future__ import annotations

from typing import Any

from prefect import Flow, flow
from prefect.runtime import flow_run

from flows.flow_runs import TOLD
from flows.liter import liter
from flows.recipes.forms import changes, settings_form
from flows.recipes.loading import load_recipe, shipped_recipes
from flows.report import Report
from flows.session import Order

ABOUT = """{description}

Args:
    corpus: a folder that the worker can write, or s3://bucket/path; what is done there already is
        not done again.
    problems: files or hub ids; empty: those of the recipe.
    limit: use only the first so many problems; unset: as the recipe has it.
    seed: unset: as the recipe has it.
    settings: those of the recipe's stages.
    other_changes: any other setting of the recipe, e.g. models.teacher.model=nano:teacher
"""


def order_of(recipe: str, parameters: dict[str, Any]) -> Order:
    """What a filled form asks for."""
    settings = settings_form(recipe).model_validate(_plain(parameters.get("settings") or {}))
    return Order(
        recipe=recipe,
        corpus=parameters.get("corpus") or "corpus",
        problems=tuple(parameters.get("problems") or ()),
        limit=parameters.get("limit"),
        seed=parameters.get("seed"),
        overrides=(*changes(recipe, settings), *(parameters.get("other_changes") or ())),
    )


def _plain(settings: Any) -> Any:
    return settings if isinstance(settings, dict) else settings.model_dump()


def _flow_of(recipe: str) -> Flow[..., Any]:
    form = settings_form(recipe)

    async def run(
        corpus: str = "corpus", problems: list[str] = [], limit: int | None = None,  # noqa: B006
        seed: int | None = None, settings: Any = form(), other_changes: list[str] = [],  # noqa: B006, B008
    ) -> Report:  # fmt: skip
        filled = {
            "corpus": corpus, "problems": problems, "limit": limit, "seed": seed,
            "settings": settings, "other_changes": other_changes,
        }  # fmt: skip
        return await liter.fn(order_of(recipe, filled))

    def title() -> str:
        return f"liter {order_of(recipe, dict(flow_run.parameters)).title}"

    run.__doc__ = ABOUT.format(description=load_recipe(recipe).description or recipe)
    run.__annotations__["settings"] = form
    made: Flow[..., Any] = flow(name=f"on demand {recipe}", flow_run_name=title, **TOLD)(run)
    return made


def __getattr__(name: str) -> Flow[..., Any]:
    """The flow of the recipe of that name, made when it is asked for."""
    for recipe in shipped_recipes():
        if recipe.replace("-", "_").replace(".", "_") == name:
            return globals().setdefault(name, _flow_of(recipe))  # type: ignore[no-any-return]
    raise AttributeError(f"no shipped recipe {name!r}")
