"""What ships to start from: `litecot prompts`, `litecot prompts show`, `litecot recipes show`.

Invariant: a file is printed byte for byte, so that a copy is the same prompt and the same recipe.
"""

from __future__ import annotations

from collections.abc import Sequence

import typer
from rich.table import Table

from flows.progress.consoles import page
from flows.progress.text import print_json
from flows.recipes.loading import shipped_recipes
from tasks.catalog import STAGES
from tasks.errors import UsageError, near_names
from tasks.prompts import DEFAULT, load_prompt, prompt_file, steps, variants


class UnknownNameError(UsageError):
    """Nothing that ships is called so; the message has the names that are near."""


def print_prompts(*, as_json: bool = False) -> None:
    """One line a variant: step, variant, first line, the settings that name it."""
    if as_json:
        print_json([
            {"step": step, "variant": one, "named_by": settings_of(step),
             "text": load_prompt(step, one).text}
            for step in steps() for one in variants(step)
        ])  # fmt: skip
        return
    table = Table("step", "variant", "first line", "named by", header_style="bold")
    for step in steps():
        named_by = ", ".join(settings_of(step))
        for number, variant in enumerate(variants(step)):
            first = load_prompt(step, variant).text.strip().partition("\n")[0]
            about = ("", "") if number else (step, named_by)
            table.add_row(about[0], variant, shortened(first), about[1])
    page().print(table)


def shortened(text: str, *, width: int = 60) -> str:
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


def print_prompt_file(step: str, variant: str | None = None) -> None:
    """Raises UnknownNameError."""
    check_name(f"step {step!r}", step, steps(), listed_by="litecot prompts")
    known = variants(step)
    name = variant or ("instruct" if "instruct" in known else DEFAULT)
    check_name(f"prompt {name!r} for step {step!r}", name, known, listed_by="litecot prompts")
    typer.echo(prompt_file(step, name).read_bytes(), nl=False)


def print_recipe_file(name: str) -> None:
    """Raises UnknownNameError."""
    shipped = shipped_recipes()
    check_name(f"recipe {name!r}", name, list(shipped), listed_by="litecot recipes")
    typer.echo(shipped[name].read_bytes(), nl=False)


def check_name(what: str, name: str, known: Sequence[str], *, listed_by: str) -> None:
    """Raises UnknownNameError with the names that are near, else with all there are."""
    if name in known:
        return
    near = near_names(name, known)
    meant = f"did you mean {near}?" if near else f"there are {', '.join(known)}"
    raise UnknownNameError(f"no {what}: {meant} (`{listed_by}` lists all)")
