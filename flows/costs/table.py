"""The estimate as a person reads it: a table of stages, what is left, the assumptions beneath.

A sample: print_estimate(make_estimate(recipe, plan, nodes, "corpus"), recipe.estimate)
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from flows.costs.estimate import Estimate, StageCost
from flows.progress.consoles import page
from flows.progress.text import say, shown
from flows.recipes.assumptions import Assumptions
from infra.engines.model_size import GIB
from tasks.costs import ExpectedUsage


def print_estimate(found: Estimate, assumptions: Assumptions) -> None:
    """The costs as a table, then the assumptions they rest on."""
    print(f"\nestimate for {found.num_problems} problems{_whence(found)}")
    page().print(_cost_table(found))
    if any(cost.price is not None for cost in found.stages):
        say(f"price of what is to do: {_prices(found.stages)}")
    _say_what_is_there(found.stages)
    if any(cost.basis == "similar" for cost in found.stages):
        print(
            "similar: measured in this corpus under other settings of these stages, or before them"
        )
    made = [f"about {_count(found.num_examples)} training examples"] if found.num_examples else []
    made += [_disk(found)] if found.disk_bytes else []
    print("; ".join(made))
    if found.unknown:
        say(f"not estimated, for they do not say what they ask: {', '.join(found.unknown)}")
    if found.assumed:
        print("assumed (change one with --set estimate.NAME=VALUE):")
        table = Table.grid(padding=(0, 2))
        for name in found.assumed:
            value = f"{getattr(assumptions, name):g}"
            table.add_row(f"  {name}", Text(value, justify="right"), _source(name, assumptions))
        page().print(table)


def _source(name: str, assumptions: Assumptions) -> Text:
    """What the figure is; where it is the default, by whom."""
    declared = Assumptions.model_fields[name]
    said = declared.description or ""
    if getattr(assumptions, name) != declared.default:
        said = f"{said.partition(';')[0].partition(' [')[0]} (set for this recipe)"
    return Text(said)


def _disk(found: Estimate) -> str:
    gib = found.disk_bytes / GIB
    size = f"{gib:.1f} GiB" if gib >= 0.1 else f"{found.disk_bytes / 2**20:.1f} MiB"
    return f"about {size} of rationales on disk"


def _whence(found: Estimate) -> str:
    return "" if found.is_counted else " (no file here says how many there are)"


def _say_what_is_there(costs: Sequence[StageCost]) -> None:
    """What the corpus has and the run will not ask for again, and what is left."""
    if not any(cost.done for cost in costs):
        return
    left, asked = _total(costs), sum(cost.requests for cost in costs)
    written = sum(cost.completion_tokens for cost in costs)
    print(
        f"in the corpus already: {_count(asked - left.requests)} requests,"
        f" {_count(written - left.completion_tokens)} completion tokens;"
        f" still to do: {_count(left.requests)} requests,"
        f" {_count(left.completion_tokens)} completion tokens"
    )


def _total(costs: Sequence[StageCost]) -> ExpectedUsage:
    """Of the records that are left."""
    return ExpectedUsage(
        requests=sum(cost.left.requests for cost in costs),
        prompt_tokens=sum(cost.left.prompt_tokens for cost in costs),
        completion_tokens=sum(cost.left.completion_tokens for cost in costs),
    )


def _cost_table(found: Estimate) -> Table:
    """What is left to ask for, stage by stage."""
    has_price = any(cost.price is not None for cost in found.stages)
    table = Table(header_style="bold", show_footer=True)
    total = _total(found.stages)
    columns = {
        "stage": "to do", "role": "", "records": "", "done": "",
        "requests": _count(total.requests), "prompt tokens": _count(total.prompt_tokens),
        "completion tokens": _count(total.completion_tokens), "GPU hours": _hours(found.stages),
    }  # fmt: skip
    if has_price:
        columns["price"] = ""
    for name, footer in (columns | {"per record": ""}).items():
        is_text = name in ("stage", "role", "per record")
        table.add_column(name, footer=footer, justify="left" if is_text else "right")
    for cost in found.stages:
        left = cost.left
        table.add_row(
            shown(cost.stage), shown(cost.role), _count(cost.records), _count(cost.done),
            _count(left.requests), _count(left.prompt_tokens), _count(left.completion_tokens),
            _hours([cost]), *([_prices([cost])] if has_price else []), cost.basis,
        )  # fmt: skip
    return table


def _prices(costs: Sequence[StageCost]) -> str:
    """A sum a currency: no rate between two is known here."""
    sums: dict[str, float] = {}
    for cost in costs:
        if cost.price is not None:
            sums[cost.currency] = sums.get(cost.currency, 0.0) + cost.price
    return " + ".join(f"{value:.2f} {currency}" for currency, value in sums.items())


def _hours(costs: Sequence[StageCost]) -> str:
    known = [cost.gpu_hours for cost in costs if cost.gpu_hours is not None]
    if not known:
        return "-"
    return f"{sum(known):.1f}" if sum(known) >= 0.05 else "<0.1"


def _count(number: float) -> str:
    for unit, size in (("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if number >= 10 * size or (number >= size and unit != "K"):
            return f"{number / size:.{1 if number < 100 * size else 0}f}{unit}"
    return str(round(number))
