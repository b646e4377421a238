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


def print_estimate(found: Estimate, assumptions: Assumptions) -> None:
    """The costs as a table, then the assumptions they rest on."""
    print(f"\nestimate for {found.num_problems} problems{_whence(found)}")
    page().print(_cost_table(found))
    if any(cost.done for cost in found.stages):
        left = [_left(cost) for cost in found.stages]
        print(f"still to do: {_count(sum(r for r, _ in left))} requests, "
              f"{_count(sum(t for _, t in left))} completion tokens")  # fmt: skip
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


def _left(cost: StageCost) -> tuple[float, float]:
    """Requests and completion tokens of the records not done."""
    share = max(0.0, 1 - cost.done / cost.records) if cost.records else 0.0
    return cost.requests * share, cost.completion_tokens * share


def _cost_table(found: Estimate) -> Table:
    has_price = any(cost.price is not None for cost in found.stages)
    table = Table(header_style="bold", show_footer=True)
    columns = {
        "stage": "all", "role": "", "records": "", "done": "",
        "requests": _count(sum(c.requests for c in found.stages)),
        "prompt tokens": _count(sum(c.prompt_tokens for c in found.stages)),
        "completion tokens": _count(sum(c.completion_tokens for c in found.stages)),
        "GPU hours": _hours(found.stages),
    }  # fmt: skip
    if has_price:
        columns["price"] = f"{sum(c.price or 0 for c in found.stages):.2f}"
    for name, total in (columns | {"per record": ""}).items():
        is_text = name in ("stage", "role", "per record")
        table.add_column(name, footer=total, justify="left" if is_text else "right")
    for cost in found.stages:
        price = ["" if cost.price is None else f"{cost.price:.2f}"] if has_price else []
        table.add_row(
            shown(cost.stage), shown(cost.role), _count(cost.records), _count(cost.done),
            _count(cost.requests), _count(cost.prompt_tokens), _count(cost.completion_tokens),
            _hours([cost]), *price,
            "measured" if cost.is_measured else "assumed",
        )  # fmt: skip
    return table


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
