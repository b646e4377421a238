"""The page of docs/replication-real.md from a kit's figures: `python -m tests.gpu.kit.real_page
results/figures.json docs/replication-real.md`.

Invariant: the page is the product's (flows/real_text/page.py); of less than the whole full size it
says so first.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

from flows.real_text.design import Asked, read_design
from flows.real_text.page import page_text
from flows.real_text.results import Results, TaughtStudent
from flows.real_text.verdicts import decide

CHECK = "real-text"


def results_of(figures: dict[str, Any], asked: Asked) -> Results:
    """What tests/gpu/bare/real_text.py told."""
    base_answers = tuple(figures["base_answers"])
    return Results(
        labelled=figures["labelled"],
        base=figures["base"],
        students=[
            TaughtStudent(
                arm=one["arm"], seed=one["seed"], taught=one["taught"], read=tuple(one["read"]),
                answers=tuple(one["answers"]), base_answers=base_answers,
            )
            for one in figures["students"]
        ],
        num_students=len(asked.students()),
        seconds=Counter(figures["seconds"]),
    )  # fmt: skip


def page_of(told: dict[str, Any]) -> str:
    """The Markdown of a figures.json. Raises ValueError where the check gave nothing."""
    check = told["checks"].get(CHECK, {})
    if not check.get("figures"):
        raise ValueError(f"no figures of {CHECK}: {check.get('reason', 'it did not run')}")
    asked = Asked(data=Path(), size="full")
    results = results_of(check["figures"], asked)
    origin = f"the rows of the GPU kit on {told['device']} ({check['wall_s']:.0f} s)"
    return page_text(asked, results, decide(read_design(), results), origin=origin)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Write the page of a kit's figures.")
    parser.add_argument("figures", type=Path)
    parser.add_argument("page", type=Path)
    options = parser.parse_args()
    told = json.loads(options.figures.read_text("utf-8"))
    options.page.write_text(page_of(told), encoding="utf-8")


if __name__ == "__main__":
    main()
