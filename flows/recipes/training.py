"""Training as a recipe has it on a cluster: what it takes there, why it cannot fit, what would.

Invariant: starts nothing. A student whose shape is not known is not counted, and never refused.

A sample: training_fault(load_recipe("liter-32b"), read_nodes("1x1x24")).reason ==
"training wants 8 GPUs (train.num_ranks), and there is 1"
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from flows.recipes.recipe import Recipe, RecipeError
from infra.placement.nodes import Node
from infra.runs.plan import TRAIN
from infra.training.budget.fit import Cluster, Layout, layout_of, remedies
from infra.training.budget.memory import GIB
from infra.training.budget.shape import ModelShape, shape_of

CHANGES_LEARNING = {  # settings whose change gives another student
    "lora": "adapters instead of all weights",
    "max_length": "longer examples are left out",
}


@dataclass(frozen=True, kw_only=True)
class TrainingFault:
    """Why training cannot be, and what would fit, the nearest first."""

    reason: str
    remedies: tuple[str, ...]
    is_of_gpus: bool = False  # too few of them, not too small

    @property
    def line(self) -> str:
        """All of it."""
        return f"{self.reason}; this would fit: {'; or '.join(self.remedies)}"

    @property
    def lines(self) -> str:
        """The same, a line each."""
        return "\n  ".join([f"{self.reason}; this would fit:", *self.remedies])


def cluster_of(nodes: Sequence[Node]) -> Cluster:
    """Nodes with GPUs, counted by their smallest; where there are none, one without."""
    having = [node for node in nodes if node.num_gpus] or list(nodes)[:1]
    gib = [node.gpu_memory_gib for node in having if node.gpu_memory_gib is not None]
    host = [node.memory_gib for node in having if node.memory_gib is not None]
    return Cluster(
        nodes=len(having),
        per_node=min((node.num_gpus for node in having), default=0),
        gib=min(gib, default=None),
        host_gib=min(host, default=None),
    )


def recipe_that_trains(recipe: Recipe) -> Recipe:
    """`recipe`. Raises RecipeError where it has no stage for it."""
    if TRAIN not in recipe.stages:
        stages = ", ".join(recipe.stages)
        raise RecipeError(f"recipe {recipe.name} does not train: its stages are {stages}")
    return recipe


def student_shape(recipe: Recipe) -> ModelShape | None:
    """Of what is trained; None: not known here."""
    student = recipe.models.student
    return shape_of(student.model, revision=student.revision)


def gpus_fault(recipe: Recipe, nodes: Sequence[Node]) -> str | None:
    """Too few of them, for training alone; memory is not looked at."""
    there, wanted = cluster_of(nodes).num_gpus, recipe.train.num_ranks
    if recipe.train.device == "cpu" or wanted <= there:
        return None
    return f"{_too_few(wanted, there)}; `litecot train {recipe.name} --plan` says what would fit"


def training_fault(recipe: Recipe, nodes: Sequence[Node]) -> TrainingFault | None:
    """None where it fits, or cannot be known."""
    shape, config, cluster = student_shape(recipe), recipe.train, cluster_of(nodes)
    if shape is None:
        return None
    own = layout_of(shape, config, cluster)
    if own.fits:
        return None
    found = [remedy_words(one, cluster) for one in remedies(shape, config, cluster)]
    return TrainingFault(
        reason=_reason(recipe, own),
        remedies=tuple(found) or ("a smaller student",),
        is_of_gpus=bool(own.missing_gpus),
    )


def training_line(recipe: Recipe, nodes: Sequence[Node]) -> str | None:
    """Batch and memory in a line; None where the student's shape is not known."""
    shape, config = student_shape(recipe), recipe.train
    if shape is None:
        return None
    own = layout_of(shape, config, cluster_of(nodes))
    unit = "bins" if config.how_batched == "packed" else "examples"
    ranks = "1 rank" if config.num_ranks == 1 else f"{config.num_ranks} ranks"
    each = "of a GPU" if config.device == "gpu" else "a rank"
    host = f", {own.host_wanted / GIB:.0f} GiB of a machine's memory" if own.host_wanted else ""
    return (
        f"train: {ranks} x {config.per_rank_batch_size} x {config.accumulation} accumulated = "
        f"{config.batch_size} {unit} a step, {config.zero}, {own.memory.total / GIB:.1f} GiB "
        f"{each}{host} (`litecot train {recipe.name} --plan` says more)"
    )


def settings_words(layout: Layout) -> str:
    """As `litecot` takes them, e.g. "--set train.num_ranks=16 --set train.zero=zero3"."""
    flat = {
        f"{name}.{key}" if key else name: one
        for name, value in layout.changes.items()
        for key, one in (value.items() if isinstance(value, dict) else [("", value)])
    }
    return " ".join(f"--set train.{name}={_value(one)}" for name, one in flat.items())


def remedy_words(layout: Layout, cluster: Cluster) -> str:
    """What to do, and what comes with it. `cluster`: the one that is there."""
    where = "" if layout.cluster == cluster else f"on {layout.cluster.name}"
    settings = settings_words(layout) or "as it is"
    notes = [why for name, why in CHANGES_LEARNING.items() if name in layout.changes]
    if layout.host_wanted and layout.cluster.host_gib is None:
        notes.append(f"with {layout.host_wanted / GIB:.0f} GiB of memory in each machine")
    told = f" ({', '.join(notes)})" if notes else ""
    return " ".join(filter(None, [where, settings])) + told


def _value(one: object) -> str:
    return one if isinstance(one, str) else json.dumps(one)


def _reason(recipe: Recipe, own: Layout) -> str:
    config, cluster = own.config, own.cluster
    if own.missing_gpus:
        return _too_few(config.num_ranks, cluster.num_gpus)
    what = f"training {recipe.models.student.model} under {config.zero}"
    memory = own.memory
    if config.device == "cpu":
        needs = f"{config.num_ranks} x {memory.total / GIB:.1f} GiB"
        return f"{what} on CPU needs {needs} of this machine's {cluster.host_gib:.0f} GiB"
    if own.free is not None and own.free < 0:
        return f"{what} needs {memory.total / GIB:.1f} GiB of a GPU's {cluster.gib:g} GiB"
    return (
        f"{what} needs {own.host_wanted / GIB:.0f} GiB of memory in each machine, and it has "
        f"{cluster.host_gib:.0f} GiB"
    )


def _too_few(wanted: int, there: int) -> str:
    gpus = "1 GPU" if wanted == 1 else f"{wanted} GPUs"
    have = "there is 1" if there == 1 else f"there are {there or 'none'}"
    return f"training wants {gpus} (train.num_ranks), and {have}"
