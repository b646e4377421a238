"""What of a recipe is taken in: the problems it names, whatever else it looks at, and how much.

A sample: intake_of(load_recipe("nano", limit=24)).limit == 24
"""

from __future__ import annotations

from flows.recipes.recipe import Recipe
from infra.runs.intake import Intake


def intake_of(recipe: Recipe) -> Intake:
    """As a run reads it, and the plan of one."""
    return Intake(
        problems=recipe.problems,
        eval_problems=recipe.evaluate.problems if "evaluate" in recipe.stages else (),
        held_out=recipe.held_out(),
        source=recipe.source,
        hygiene=recipe.hygiene,
        limit=recipe.limit,
        eval_limit=recipe.evaluate.limit,
        shard_size=recipe.shard_size,
    )
