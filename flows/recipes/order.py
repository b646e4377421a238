"""The order of stages: ours as they are declared, those from outside behind what they read.

Invariant: whatever a stage from outside calls its upstream is there, and nothing goes in a circle.

A sample: stage_order() -> ("generate", "retell", "verify", ..., "mix", "train", "evaluate")
"""

from __future__ import annotations

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

from infra.runs.plan import TRAIN
from tasks.catalog import STAGES
from tasks.errors import near_names
from tasks.registry import PluginError
from tasks.stage import Stage

INGEST = "ingest"


def stage_order() -> tuple[str, ...]:
    """Tables that may be stages of a recipe, in the order they go in: ours, training before the
    evaluations, and plug-ins' each behind the last of those whose rows it reads.

    Raises PluginError where one of these is no stage, or where they go in a circle.
    """
    ours = [STAGES[name] for name in STAGES if not STAGES.entry(name).sha]
    corpus = [stage.settings for stage in ours if stage.phase == "corpus"]
    order = list(dict.fromkeys([*corpus, TRAIN, *(stage.settings for stage in ours)]))
    waiting = _outside_upstream(order)
    while waiting:
        table = next(name for name, above in waiting.items() if not above & waiting.keys())
        order.insert(max((order.index(name) + 1 for name in waiting.pop(table)), default=0), table)
    return tuple(order)


def _outside_upstream(ours: Sequence[str]) -> dict[str, set[str]]:
    """Table of stages from outside -> the other tables whose rows these read; no circles."""
    outside = [stage for stage in STAGES.values() if stage.settings not in ours]
    found: dict[str, set[str]] = {stage.settings: set() for stage in outside}
    for stage in outside:
        tables = {_table_of(name, read_by=stage) for name in stage.upstream}
        found[stage.settings] |= tables - {INGEST, stage.settings}
    for graph in ({stage.name: stage.upstream for stage in outside}, found):
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            circle = " -> ".join(error.args[1])
            stage = next(s for s in outside if error.args[1][0] in (s.name, s.settings))
            told = f"{origin_of(stage)}: upstream goes in a circle: {circle}"
            raise PluginError(told) from None
    return found


def _table_of(name: str, *, read_by: Stage[Any, Any]) -> str:
    if name in STAGES:
        return STAGES[name].settings
    if name not in (INGEST, TRAIN):
        known = [INGEST, *_stage_names()]
        near = near_names(name, known)
        hint = f" (did you mean {near}?)" if near else ""
        raise PluginError(
            f"{origin_of(read_by)}: upstream: no stage {name!r}{hint}; "
            f"there are: {', '.join(known)}"
        )
    return name


def _stage_names() -> list[str]:
    """Of ours with training before the evaluations, and behind them those from outside."""
    names = list(STAGES)
    first = next(name for name in names if STAGES[name].phase == "evaluation")
    names.insert(names.index(first), TRAIN)
    return names


def origin_of(stage: Stage[Any, Any]) -> str:
    """A stage from outside as messages name it: stage 'shout' (./mine.py)."""
    return f"stage {stage.name!r} ({STAGES.entry(stage.name).origin})"
