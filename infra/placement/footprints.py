"""What one replica of a model takes of a machine, and whether replicas fit a cluster together.

Invariants: pure; a replica's tensor parallel group lies within one node; what cannot be known
(a model's size, a GPU's memory) is not counted, and never refused.

A sample: footprint(config, role="teacher", size=size, nodes=nodes).gpus == 4
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from infra.engines import ENGINES, EngineConfig
from infra.engines.engine_type import ModelSize
from infra.engines.model_size import GIB, bytes_in_memory
from infra.placement.nodes import Node
from tasks.errors import UsageError

KV_ROOM = 0.1  # of what an engine may use: without cache for a sequence or two none starts
HOST_SHARE = 0.9  # of a machine's memory; the rest is the system's
GROUPS = (1, 2, 4, 8, 16)  # tensor parallel sizes that a remedy proposes


class PlacementError(UsageError):
    """The run cannot be placed on this cluster; one line with the reason and the remedy."""


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """Of one replica. `gpus` 0: on CPU. `weights`: bytes over all its GPUs, None: not known."""

    config: EngineConfig
    role: str
    gpus: int
    weights: int | None

    @property
    def host_bytes(self) -> int:
        """Memory of the machine a replica on CPU needs."""
        if self.gpus:
            return 0
        return (self.weights or 0) + self.config.engine_type.needs.host_cache(self.config)

    @property
    def gpu_bytes(self) -> float:
        """Memory of each GPU that must be there: weights and room for the cache."""
        if not self.gpus or self.weights is None:
            return 0
        usable = self.config.engine_type.needs.gpu_share(self.config) * (1 - KV_ROOM)
        return self.weights / self.gpus / usable

    def fits(self, node: Node) -> bool:
        """Whether an empty node holds one replica."""
        return self.fits_gpus(node) and self.host_bytes <= _host_room(node)

    def fits_gpus(self, node: Node) -> bool:
        """Whether its GPUs are enough and large enough."""
        return self.gpus <= node.num_gpus and self.gpu_bytes <= _gpu_room(node)


@dataclass
class _Room:
    node: Node
    gpus: int = field(init=False)
    cpus: float = field(init=False)
    memory: float = field(init=False)

    def __post_init__(self) -> None:
        self.gpus, self.cpus = self.node.num_gpus, self.node.num_cpus
        self.memory = _host_room(self.node)

    def holds(self, one: Footprint) -> bool:
        is_free = one.gpus <= self.gpus and self.cpus >= 1 and one.host_bytes <= self.memory
        return is_free and one.fits_gpus(self.node)

    def take(self, one: Footprint) -> None:
        self.gpus -= one.gpus
        self.cpus -= 1
        self.memory -= one.host_bytes


def weights_bytes(config: EngineConfig, size: ModelSize, *, on_gpu: bool) -> int:
    """Of all weights of one replica, as the engine keeps them in memory."""
    weights = config.engine_type.needs.weights
    return weights(config, size, on_gpu) if weights else bytes_in_memory(config, size)


def footprint(
    config: EngineConfig, *, role: str, size: ModelSize | None, nodes: Sequence[Node]
) -> Footprint:
    """Of a replica of `config` on this cluster. Raises PlacementError where no node holds one."""
    declared = config.engine_type
    on_gpu = declared.is_on_gpu(config, has_gpus=_most_gpus(nodes) > 0)
    weights = None if size is None else weights_bytes(config, size, on_gpu=on_gpu)
    gpus = declared.needs.gpus(config) if on_gpu else 0
    one = Footprint(config=config, role=role, gpus=gpus, weights=weights)
    if not any(one.fits(node) for node in nodes):
        raise PlacementError(_why_not(one, nodes))
    return one


def pack(replicas: Iterable[Footprint], nodes: Sequence[Node]) -> bool:
    """Whether all fit at once: largest first, each where the least is left over."""
    rooms = [_Room(node) for node in nodes]
    for one in sorted(replicas, key=lambda one: (one.gpus, one.host_bytes), reverse=True):
        fitting = [room for room in rooms if room.holds(one)]
        if not fitting:
            return False
        min(fitting, key=lambda room: (room.gpus, _gpu_room(room.node), room.memory)).take(one)
    return True


def _gpu_room(node: Node) -> float:
    return float("inf") if node.gpu_memory_gib is None else node.gpu_memory_gib * GIB


def _host_room(node: Node) -> float:
    return float("inf") if node.memory_gib is None else node.memory_gib * GIB * HOST_SHARE


def _most_gpus(nodes: Sequence[Node]) -> int:
    return max((node.num_gpus for node in nodes), default=0)


def _why_not(one: Footprint, nodes: Sequence[Node]) -> str:
    who, most = f"{one.role} {one.config.model}", _most_gpus(nodes)
    key = f"models.{one.role}"
    if one.gpus and not most:
        return f"{who} wants device 'cuda' and there is no GPU: set {key}.device = 'auto'"
    if one.gpus > most:
        return (
            f"{who} needs {one.gpus} GPUs on one node for tensor parallel {one.gpus}; the largest "
            f"node has {most}: {_other_group(one, nodes)}"
        )
    weights = f"its weights alone take {(one.weights or 0) / GIB:.1f} GiB"
    if not one.gpus:
        largest = max(node.memory_gib or 0 for node in nodes)
        return (
            f"{who} would run on CPU, where {weights} and the memory is {largest:.0f} GiB: use "
            "GPUs, a smaller model or an endpoint"
        )
    largest = max(n.gpu_memory_gib or 0 for n in nodes if n.num_gpus >= one.gpus)
    per_gpu = f" ({(one.weights or 0) / one.gpus / GIB:.1f} on each of {one.gpus} GPUs)"
    return (
        f"{who}: {weights}{per_gpu if one.gpus > 1 else ''}, a GPU has {largest:.0f} GiB and the "
        f"cache needs room too: {_other_group(one, nodes)}"
    )


def _other_group(one: Footprint, nodes: Sequence[Node]) -> str:
    """The remedy: a tensor parallel group that a node holds, if there is one."""
    option = _option(one, "gpus_option")
    for gpus in sorted(GROUPS, reverse=one.gpus > _most_gpus(nodes)):
        if option and any(replace(one, gpus=gpus).fits(node) for node in nodes):
            return f"set {option} = {gpus}"
    smaller = _option(one, "quantization_option")
    remedy = "use a smaller model, larger GPUs or an endpoint"
    return f"set {smaller}, or {remedy}" if smaller else remedy


def _option(one: Footprint, what: Literal["gpus_option", "quantization_option"]) -> str:
    """The key of an option, with the engine to take where this one has none; "" where none has."""
    key, own = f"models.{one.role}", one.config.engine_type
    if found := getattr(own.needs, what):
        return f"{key}.{found}"
    for name in ENGINES if own.has_checkpoint else ():
        if found := getattr(ENGINES[name].needs, what):
            return f"{key}.engine = {name!r} and {key}.{found}"
    return ""
