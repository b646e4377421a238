"""`litecot plugins`: the scorers, methods, answer types, engines and stages there are.

Invariant: looks, runs nothing of a plug-in but its import.
"""

from __future__ import annotations

from rich.table import Table

from flows.progress.consoles import page
from flows.progress.text import print_json, shown
from flows.recipes.extensions import all_extensions
from flows.recipes.loading import load_recipe


def print_plugins(recipe: str | None, *, as_json: bool = False) -> None:
    """Kind, name, origin; with a recipe, what its `plugins` bring too. Raises RecipeError."""
    if recipe is not None:
        load_recipe(recipe)
    if as_json:
        names = ("kind", "name", "from")
        print_json([dict(zip(names, row, strict=True)) for row in all_extensions()])
        return
    table = Table("kind", "name", "from", header_style="bold")
    for row in all_extensions():
        table.add_row(*map(shown, row))
    page().print(table)
