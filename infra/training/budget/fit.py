"""Whether training fits a cluster, and every way in which it would.

Role: a `Layout` is training's settings on a cluster with what they take there; `layouts` are those
that a cluster can reach the recipe's batch with, `remedies` the nearest that fit where the
recipe's own does not. Invariants: pure; a layout has exactly the batch of the recipe; what is named
as a remedy was counted and fits. What is learnt is changed only where little else would fit.

A sample: remedies(shape, config, Cluster(nodes=1, per_node=1, gib=24))[0].changes ==
{"num_ranks": 1, "zero": "zero3-offload", "per_rank_batch_size": 2}
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from pydantic import ValidationError

from infra.training.budget.memory import GIB, Memory, memory_of
from infra.training.budget.shape import ModelShape
from infra.training.config import TrainConfig, Zero

ZEROS: tuple[Zero, ...] = ("zero2", "zero3", "zero3-offload")
HOST_SHARE = 0.9  # of a machine's memory; the rest is the system's
MOST_NODES = 8  # of the kind at hand, that a remedy asks for
SHORTEST = 1024  # tokens: a remedy proposes no shorter max_length
LORA = {"rank": 8}  # the safe default for MACC, infra/training/config.py
Changes = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Machines, GPUs of each (0: none), GiB of a GPU and of a machine. None: not known."""

    nodes: int
    per_node: int
    gib: float | None = None
    host_gib: float | None = None

    @property
    def num_gpus(self) -> int:
        """On all nodes."""
        return self.nodes * self.per_node

    @property
    def name(self) -> str:
        """As --on takes it, where the GPUs' size is known."""
        host = "" if self.host_gib is None else f"+{self.host_gib:.0f}"
        return f"{self.nodes}x{self.per_node}x{self.gib or 0:g}{host}"


# What can be rented or bought as such, the smaller before the larger.
USUAL = [
    Cluster(nodes=nodes, per_node=per_node, gib=gib)
    for nodes, per_node, gib in (
        *((1, 1, 24), (1, 1, 80), (1, 2, 80), (1, 4, 80), (1, 8, 80)),
        *((1, 8, 141), (2, 8, 80), (4, 8, 80), (8, 8, 80), (16, 8, 80)),
    )
]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Settings of training on a cluster; `changes`: how they differ from the recipe's."""

    config: TrainConfig
    memory: Memory
    cluster: Cluster
    changes: Changes = field(default_factory=dict)

    @property
    def missing_gpus(self) -> int:
        """That the cluster has too few."""
        is_on_gpu = self.config.device == "gpu"
        return max(0, self.config.num_ranks - self.cluster.num_gpus) if is_on_gpu else 0

    @property
    def free(self) -> float | None:
        """Bytes of a GPU, or of the machine where it trains on CPU, that stay free; less than 0:
        that lack. None: not known."""
        if self.config.device == "cpu":
            return self._host_left(self.config.num_ranks * self.memory.total)
        return None if self.cluster.gib is None else self.cluster.gib * GIB - self.memory.total

    @property
    def host_free(self) -> float | None:
        """Bytes of a node's memory that stay free beside what is offloaded; None: not known."""
        return self._host_left(self.memory.host)

    @property
    def host_wanted(self) -> float:
        """Bytes of memory that a node should have for what is offloaded; 0: nothing is."""
        return self.memory.host / HOST_SHARE

    @property
    def fits(self) -> bool:
        """As far as is known."""
        frees = (self.free, self.host_free)
        return not self.missing_gpus and all(one is None or one >= 0 for one in frees)

    def _host_left(self, used: float) -> float | None:
        host = self.cluster.host_gib
        return None if host is None else host * GIB * HOST_SHARE - used


def layout_of(
    shape: ModelShape, config: TrainConfig, cluster: Cluster, changes: Changes | None = None
) -> Layout:
    """Of a rank there: as many on a machine as it has GPUs, on CPU all on one."""
    is_on_gpus = config.device == "gpu" and cluster.per_node
    per_node = cluster.per_node if is_on_gpus else config.num_ranks
    memory = memory_of(shape, config, per_node=per_node)
    return Layout(config=config, memory=memory, cluster=cluster, changes=changes or {})


def layouts(shape: ModelShape, config: TrainConfig, cluster: Cluster) -> list[Layout]:
    """The recipe's own where there are GPUs for it, then every stage on as many ranks and on all
    GPUs that can share the batch, each with the largest micro-batch that fits."""
    own = layout_of(shape, config, cluster)
    is_possible = not own.missing_gpus or not cluster.num_gpus
    found = [own] if is_possible else []
    counts = [config.num_ranks] if is_possible else []
    counts += [most_ranks(config, cluster)] if config.device == "gpu" and cluster.num_gpus else []
    for ranks, zero in product(dict.fromkeys(counts), ZEROS):
        made = [
            layout
            for size in _sizes(config, ranks)
            if (layout := _changed(shape, config, cluster, num_ranks=ranks, zero=zero,
                                   per_rank_batch_size=size))
        ]  # fmt: skip
        if made:
            tried = (one for one in made if one.fits or not cluster.num_gpus)
            found.append(next(tried, made[-1]))
    kept = {one.config.model_dump_json(): one for one in reversed(found)}
    return sorted(
        kept.values(), key=lambda one: (one.config.num_ranks, ZEROS.index(one.config.zero))
    )


def best(found: list[Layout], config: TrainConfig) -> Layout | None:
    """The fastest: most ranks, nothing offloaded, the recipe's own stage, the least sharding."""

    def rank(one: Layout) -> tuple[int, bool, bool, int, int]:
        zero = one.config.zero
        return (
            one.config.num_ranks, zero != "zero3-offload", zero == config.zero, -ZEROS.index(zero),
            one.config.per_rank_batch_size,
        )  # fmt: skip

    return max((one for one in found if one.fits), key=rank, default=None)


def most_ranks(config: TrainConfig, cluster: Cluster) -> int:
    """The most GPUs there that share the batch without a rest."""
    counts = range(min(cluster.num_gpus, config.batch_size), 0, -1)
    return next((n for n in counts if config.batch_size % n == 0), 1)


def remedies(shape: ModelShape, config: TrainConfig, cluster: Cluster) -> list[Layout]:
    """What fits where this does not, the nearest first: the same batch there, then a shorter length
    or adapters, then a larger cluster."""
    if layout_of(shape, config, cluster).fits:
        return []
    same = _first(shape, config, cluster, [{}])
    found = [same] if same else []
    if same is None:
        found += filter(None, [_first(shape, config, cluster, _shorter(config))])
    if (same is None or same.host_wanted) and config.lora is None:
        found += filter(None, [_first(shape, config, cluster, [{"lora": LORA}])])
    larger = _larger(shape, config, cluster)
    return [*found, *([larger] if larger else [])]


def _first(
    shape: ModelShape, config: TrainConfig, cluster: Cluster, drastic: list[Changes]
) -> Layout | None:
    tried = (
        _changed(shape, config, cluster, **{**changes, **more})
        for more in drastic
        for changes in _same_batch(config, cluster)
    )
    return next((one for one in tried if one is not None and one.fits), None)


def _same_batch(config: TrainConfig, cluster: Cluster) -> Iterator[Changes]:
    """Fewest settings first; then checkpointing, then ZeRO stages, then smaller micro-batches."""
    ranks = config.num_ranks
    if config.device == "gpu" and ranks > cluster.num_gpus:
        ranks = most_ranks(config, cluster)
    zeros = ZEROS[ZEROS.index(config.zero) :]
    recompute = dict.fromkeys((config.gradient_checkpointing, True))
    tried: list[Changes] = [
        {"num_ranks": ranks, "zero": zero, "per_rank_batch_size": size,
         "gradient_checkpointing": again}
        for size, zero, again in product(_sizes(config, ranks), zeros, recompute)
    ]  # fmt: skip
    yield from sorted(tried, key=lambda one: len(_differing(config, one)))


def _sizes(config: TrainConfig, ranks: int) -> list[int]:
    """Micro-batches, none larger than the recipe's, with which so many ranks reach its batch."""
    a_rank, rest = divmod(config.batch_size, ranks)
    sizes = range(min(config.per_rank_batch_size, a_rank), 0, -1)
    return [size for size in sizes if not rest and a_rank % size == 0]


def _differing(config: TrainConfig, wanted: Changes) -> Changes:
    return {name: value for name, value in wanted.items() if value != getattr(config, name)}


def _changed(
    shape: ModelShape, config: TrainConfig, cluster: Cluster, **wanted: Any
) -> Layout | None:
    """With the accumulation that keeps the batch; None where the settings do not go together."""
    changes = _differing(config, wanted)
    ranks, size = (
        changes.get(name, getattr(config, name)) for name in ("num_ranks", "per_rank_batch_size")
    )
    if config.global_batch_size is None:
        keeps = {"gradient_accumulation": max(1, config.batch_size // (ranks * size))}
        changes |= _differing(config, keeps)
    try:
        other = TrainConfig.model_validate({**config.model_dump(), **changes})
    except ValidationError:
        return None
    if other.batch_size != config.batch_size:
        return None
    return layout_of(shape, other, cluster, changes)


def _shorter(config: TrainConfig) -> list[Changes]:
    found, length = [], config.max_length // 2
    while length >= SHORTEST:
        found.append({"max_length": length})
        length //= 2
    return found


def _larger(shape: ModelShape, config: TrainConfig, cluster: Cluster) -> Layout | None:
    """The smallest usual cluster that takes the recipe as it is, or more machines like these: first
    what is nearer, a machine's worth of GPUs or another."""
    if config.device == "cpu":
        return None
    tried = (_usual, _more_nodes)
    if cluster.num_gpus >= config.num_ranks:
        tried = (_more_nodes, _usual)
    found = (one(shape, config, cluster) for one in tried)
    return next((one for one in found if one is not None), None)


def _usual(shape: ModelShape, config: TrainConfig, cluster: Cluster) -> Layout | None:
    here = (cluster.nodes, cluster.per_node, cluster.gib)
    tried = (layout_of(shape, config, usual) for usual in USUAL)
    return next(
        (one for one in tried if one.fits
         and (one.cluster.nodes, one.cluster.per_node, one.cluster.gib) != here), None
    )  # fmt: skip


def _more_nodes(shape: ModelShape, config: TrainConfig, cluster: Cluster) -> Layout | None:
    counts = range(cluster.nodes + 1, MOST_NODES + 1) if cluster.per_node else ()
    for nodes in counts:
        more = replace(cluster, nodes=nodes)
        ranks = most_ranks(config, more)
        zeros = dict.fromkeys([config.zero, *ZEROS])
        for zero, size in product(zeros, _sizes(config, ranks)):
            made = _changed(
                shape, config, more, num_ranks=ranks, zero=zero, per_rank_batch_size=size
            )
            if made is not None and made.fits:
                return made
    return None
