"""The plans of training in docs/training.md, as the command prints them.

Invariant: what stands between the page's markers is made here and nowhere else. `make docs` writes
it, a test compares.

    <!-- printed by litecot train liter-7b --plan --on 1x1x24 -->
    <!-- plans of training -->
    <!-- end -->
"""

from __future__ import annotations

import io
import re
import shlex
from contextlib import redirect_stdout

from flows.cli.run.training_plan import show_training_plan
from flows.recipes.documented import PAGE
from flows.recipes.loading import load_recipe
from flows.recipes.training import cluster_of, remedy_words, student_shape, training_fault
from flows.session import Order
from infra.placement.plan import read_nodes
from infra.training.budget.fit import best, layout_of, layouts
from infra.training.budget.memory import GIB
from tasks.errors import UsageError

RECIPES = ("liter-1.5b", "liter-7b", "liter-14b", "liter-32b")
CLUSTERS = ("1x8x80", "2x8x80", "1x1x24")
NO_CORPUS = "no-corpus"
_PRINTED = re.compile(r"(<!-- printed by litecot train ([^\n]*) -->\n).*?(<!-- end -->)", re.S)
_PLANS = re.compile(r"(<!-- plans of training -->\n).*?(<!-- end -->)", re.S)


def current(page: str) -> str:
    """`page` with its plans made anew."""
    page = _PRINTED.sub(lambda m: f"{m[1]}{_block(m[2])}\n{m[3]}", page)
    return _PLANS.sub(lambda m: f"{m[1]}{plans()}\n{m[2]}", page)


def printed(arguments: str) -> str:
    """What `litecot train ARGUMENTS` prints, where there is no corpus."""
    recipe, *options = shlex.split(arguments)
    on = options[options.index("--on") + 1] if "--on" in options else None
    refusal, out = "", io.StringIO()
    with redirect_stdout(out):
        try:
            show_training_plan(Order(recipe=recipe, corpus=NO_CORPUS), on=on)
        except UsageError as error:
            refusal = f"litecot: {error}\n"
    lines = (out.getvalue() + refusal).splitlines()
    return "\n".join(line.rstrip() for line in lines)


def plans() -> str:
    """A table: what the shipped recipes come to on the usual clusters."""
    rows = ["| recipe | on | as the recipe has it | on all GPUs there, or what would fit |",
            "|---|---|---|---|"]  # fmt: skip
    for recipe in RECIPES:
        rows += [_plan(recipe, on) for on in CLUSTERS]
    return "\n".join(rows)


def _block(arguments: str) -> str:
    return f"```console\n$ litecot train {arguments}\n{printed(arguments)}\n```"


def _plan(name: str, on: str) -> str:
    recipe, nodes = load_recipe(name), read_nodes(on)
    shape, cluster = student_shape(recipe), cluster_of(nodes)
    assert shape is not None
    config = recipe.train
    if fault := training_fault(recipe, nodes):
        return f"| `{name}` | {on} | refused: {fault.reason} | {'; or '.join(fault.remedies)} |"
    own = layout_of(shape, config, cluster)
    host = f", {own.host_wanted / GIB:.0f} GiB of each machine" if own.host_wanted else ""
    is_own = f"fits: {config.zero}, {own.memory.total / GIB:.1f} GiB a GPU{host}"
    fastest = best(layouts(shape, config, cluster), config)
    more = "the same" if fastest is None or not fastest.changes else (
        f"{remedy_words(fastest, cluster)}: {fastest.memory.total / GIB:.1f} GiB a GPU"
    )  # fmt: skip
    return f"| `{name}` | {on} | {is_own} | {more} |"


if __name__ == "__main__":
    PAGE.write_text(current(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
