"""What ships to start from: `litecot prompts`, `litecot prompts show`, `litecot recipes show`.

Invariant: a file is printed byte for byte, so that a copy is the same prompt and the same recipe.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import typer
from rich.table import Table

from flows.progress.text import page
from flows.recipes.plan import STAGES
from flows.recipes.recipe import shipped_recipes
from tasks.errors import UsageError
from tasks.prompts import load_prompt, prompt_file, steps, variants


class UnknownNameError(UsageError):
    """Nothing that ships is called so; the message has the names that are near."""


def print_prompts() -> None:
    """One line a variant: step, variant, first line, the settings that name it."""
    table = Table("step", "variant", "first line", "named by", header_style="bold")
    for step in steps():
        named_by = ", ".join(settings_of(step))
        for number, variant in enumerate(variants(step)):
            first = load_prompt(step, variant).text.strip().partition("\n")[0]
            is_first = number == 0
            table.add_row(
                step if is_first else "", variant, plain_cell(first), named_by if is_first else ""
            )
    page().print(table, markup=False)


def plain_cell(text: str, *, width: int = 60) -> str:
    """Short enough for a table's line."""
    return text if len(text) <= width else text[: width - 3].rstrip() + "..."


def settings_of(step: str) -> list[str]:
    """The settings that name a step's prompt, e.g. ["rewrite.check_prompt"]."""
    named = (
        f"{stage.name.partition('-')[0]}.{use.setting}"  # both evaluations have one table
        for stage in STAGES.values()
        for use in stage.prompts
        if use.step == step
    )
    return list(dict.fromkeys(named))


def print_prompt_file(step: str, variant: str) -> None:
    """Raises UnknownNameError."""
    known = known_name("step", step, steps(), listed_by="litecot prompts")
    known_name(
        f"prompt of the step {step!r}", variant, variants(known), listed_by="litecot prompts"
    )
    typer.echo(prompt_file(step, variant).read_bytes(), nl=False)


def print_recipe_file(name: str) -> None:
    """Raises UnknownNameError."""
    shipped = shipped_recipes()
    known_name("recipe", name, list(shipped), listed_by="litecot recipes")
    typer.echo(shipped[name].read_bytes(), nl=False)


def known_name(kind: str, name: str, known: Sequence[str], *, listed_by: str) -> str:
    """The name itself. Raises UnknownNameError with those that are near it."""
    if name in known:
        return name
    near = difflib.get_close_matches(name, known, n=3)
    meant = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
    raise UnknownNameError(f"no {kind} {name!r}: {meant} (`{listed_by}` lists all)")
