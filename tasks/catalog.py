"""The stages there are: ours, and those of plug-ins.

A sample: [stage.name for stage in stages_of("evaluate")] == ["evaluate-base", "evaluate-trained"]
"""

from __future__ import annotations

from typing import Any

from tasks.registry import Registry
from tasks.stage import Stage

STAGES: Registry[Stage[Any, Any]] = Registry(
    "stage",
    Stage,
    group="litecot.stages",
    modules=[  # in the order in which a recipe goes through them
        "tasks.generate", "tasks.verify", "tasks.difficulty", "tasks.rewrite", "tasks.compress",
        "tasks.score", "tasks.select", "tasks.mix", "tasks.measure", "tasks.evaluate",
    ],
)  # fmt: skip


def stages_of(table: str) -> list[Stage[Any, Any]]:
    """The stages that a recipe's table configures; none for `train`, which is no stage."""
    return [stage for stage in STAGES.values() if stage.settings == table]


def title_of(kind: str) -> str:
    """How a chain of this kind is headed: a format of {kind} {candidate} {level} {round}."""
    makers = (stage for stage in STAGES.values() if kind in stage.makes)
    return next((stage.title for stage in makers), "{kind}")
