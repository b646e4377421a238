"""Training as a recipe has it on a cluster: shape, memory by ZeRO stage, work, what cannot fit.

Invariant: starts nothing. A student whose shape is not known is not counted, and never refused.

A sample: training_faults(load_recipe("liter-32b"), read_nodes("1x8x80")) == []
"""

from __future__ import annotations

from collections.abc import Sequence

from flows.recipes.recipe import Recipe
from infra.placement.nodes import Node
from infra.training.budget.fit import Cluster, fits, memory_on, remedies
from infra.training.budget.memory import GIB
from infra.training.budget.shape import ModelShape, shape_of


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


def student_shape(recipe: Recipe) -> ModelShape | None:
    """Of what is trained; None: not known here."""
    student = recipe.models.student
    return shape_of(student.model, revision=student.revision)


def training_faults(recipe: Recipe, nodes: Sequence[Node]) -> list[str]:
    """Why it cannot fit, with what would; empty where it does, or cannot be known."""
    shape, config, cluster = student_shape(recipe), recipe.train, cluster_of(nodes)
    if shape is None or fits(shape, config, cluster):
        return []
    found = remedies(shape, config, cluster)
    would = "; this fits: " + "; or ".join(found) if found else "; nothing tried here fits"
    if config.device == "gpu" and not cluster.num_gpus:
        return ["training wants GPUs and there is none: set train.device = 'cpu'"]
    if config.device == "gpu" and config.num_ranks > cluster.num_gpus:
        asked = f"training wants {config.num_ranks} GPUs (train.num_ranks)"
        return [f"{asked} and {cluster.num_gpus} are there{would}"]
    memory = memory_on(shape, config, cluster)
    needs = f"{memory.total / GIB:.1f} GiB a rank"
    if memory.host:
        needs += f" and {memory.host / GIB:.0f} GiB of each node's memory"
    return [f"training {recipe.models.student.model} under {config.zero} needs {needs}{would}"]
