"""Whether training fits a cluster, and where it does not, the nearest settings that do.

Invariant: a remedy is found by trying: what is named here was counted and fits. Remedies that keep
the global batch come first; what is learnt is changed only where nothing else fits.

A sample: remedies(shape, config, Cluster(nodes=1, per_node=1, gib=24)) ==
["train.num_ranks=1 train.zero=zero3-offload train.per_rank_batch_size=2"]
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from pydantic import ValidationError

from infra.training.budget.memory import GIB, Memory, memory_of
from infra.training.budget.shape import ModelShape
from infra.training.config import TrainConfig, Zero

ZEROS: tuple[Zero, ...] = ("zero2", "zero3", "zero3-offload")
HOST_SHARE = 0.9  # of a machine's memory; the rest is the system's
MOST_NODES = 64  # a remedy asks for no larger cluster
SHORTEST = 1024  # tokens: a remedy proposes no shorter max_length
LORA = {"rank": 8, "alpha": 16}
Changes = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Machines, GPUs of each (0: none), GiB of each GPU. None: not known, not counted."""

    nodes: int
    per_node: int
    gib: float | None = None
    host_gib: float | None = None

    @property
    def num_gpus(self) -> int:
        """On all nodes."""
        return self.nodes * self.per_node


def memory_on(shape: ModelShape, config: TrainConfig, cluster: Cluster) -> Memory:
    """Of a rank there: as many on a machine as it has GPUs, on CPU all on one."""
    per_node = cluster.per_node if config.device == "gpu" else config.num_ranks
    return memory_of(shape, config, per_node=max(1, per_node))


def fits(shape: ModelShape, config: TrainConfig, cluster: Cluster) -> bool:
    """GPUs enough, each large enough, and memory for what is offloaded."""
    if config.device == "gpu" and config.num_ranks > cluster.num_gpus:
        return False
    memory = memory_on(shape, config, cluster)
    host = float("inf") if cluster.host_gib is None else cluster.host_gib * GIB * HOST_SHARE
    if config.device == "cpu":
        return config.num_ranks * memory.total <= host
    room = float("inf") if cluster.gib is None else cluster.gib * GIB
    return memory.total <= room and memory.host <= host


def remedies(shape: ModelShape, config: TrainConfig, cluster: Cluster) -> list[str]:
    """Settings under which it fits, each as it is given to --set; a larger cluster last."""
    if found := _first(shape, config, cluster, _same_batch(config, cluster)):
        named = [_words(found)]
    else:
        named = [
            _words(more)
            for drastic in (_shorter(config), _adapters(config))
            if (more := _first(shape, config, cluster, _both(drastic, config, cluster)))
        ]
    larger = _larger(shape, config, cluster)
    return [*named, *([larger] if larger else [])]


def changed(config: TrainConfig, changes: Changes) -> TrainConfig | None:
    """None where the settings do not go together."""
    try:
        return TrainConfig.model_validate({**config.model_dump(), **changes})
    except ValidationError:
        return None


def _first(
    shape: ModelShape, config: TrainConfig, cluster: Cluster, tried: Iterator[Changes]
) -> Changes | None:
    for changes in tried:
        other = changed(config, changes)
        if other is not None and fits(shape, other, cluster):
            return changes
    return None


def _same_batch(config: TrainConfig, cluster: Cluster) -> Iterator[Changes]:
    """Fewest settings first; then checkpointing, then ZeRO stages, then smaller micro-batches."""
    ranks = _ranks(config, cluster)
    zeros = ZEROS[ZEROS.index(config.zero) :]
    sizes = [config.per_rank_batch_size]
    while sizes[-1] > 1:
        sizes.append(sizes[-1] // 2)
    recompute = dict.fromkeys((config.gradient_checkpointing, True))
    tried = [
        _differing(config, num_ranks=ranks, zero=zero, per_rank_batch_size=size,
                   gradient_checkpointing=again)
        for size, zero, again in product(sizes, zeros, recompute)
    ]  # fmt: skip
    yield from sorted(tried, key=len)


def _differing(config: TrainConfig, **wanted: Any) -> Changes:
    """What of it differs, with the accumulation that keeps the batch."""
    found = {name: value for name, value in wanted.items() if value != getattr(config, name)}
    microbatch = wanted["num_ranks"] * wanted["per_rank_batch_size"]
    keeps = config.batch_size // max(1, microbatch)
    if config.global_batch_size is None and found and keeps != config.gradient_accumulation:
        found["gradient_accumulation"] = max(1, keeps)
    return found


def _ranks(config: TrainConfig, cluster: Cluster) -> int:
    """As asked for, or the most that are there and divide the batch."""
    if config.device == "cpu" or config.num_ranks <= cluster.num_gpus:
        return config.num_ranks
    dividing = (n for n in range(cluster.num_gpus, 0, -1) if config.batch_size % n == 0)
    return next(dividing, 1)


def _shorter(config: TrainConfig) -> list[Changes]:
    found, length = [], config.max_length // 2
    while length >= SHORTEST:
        found.append({"max_length": length})
        length //= 2
    return found


def _adapters(config: TrainConfig) -> list[Changes]:
    return [] if config.lora else [{"lora": LORA}]


def _both(drastic: list[Changes], config: TrainConfig, cluster: Cluster) -> Iterator[Changes]:
    for changes in drastic:
        for more in _same_batch(config, cluster):
            yield {**more, **changes}


def _larger(shape: ModelShape, config: TrainConfig, cluster: Cluster) -> str | None:
    """The smallest number of nodes of this kind on which the same stage fits."""
    if config.device == "cpu" or not cluster.per_node:
        return None
    nodes = cluster.nodes
    while nodes < MOST_NODES:
        nodes += 1
        ranks = nodes * cluster.per_node
        if config.batch_size % ranks:
            continue
        size = max(1, min(config.per_rank_batch_size, config.batch_size // ranks))
        changes = _differing(
            config, num_ranks=ranks, per_rank_batch_size=size,
            gradient_checkpointing=config.gradient_checkpointing,
        )  # fmt: skip
        other = changed(config, changes)
        if other and fits(shape, other, replace(cluster, nodes=nodes)):
            gpus = f"{nodes}x{cluster.per_node} GPUs"
            return f"{gpus} ({_words(changes)})" if changes else gpus
    return None


def _words(changes: Changes) -> str:
    def value(one: Any) -> str:
        return str(one).lower() if isinstance(one, bool) else str(one)

    parts = {**changes}
    if (lora := parts.pop("lora", None)) is not None:
        parts |= {f"lora.{name}": number for name, number in lora.items()}
    return " ".join(f"train.{name}={value(one)}" for name, one in parts.items())
