"""Where and when models run: which stay loaded together, which take turns, and what cannot fit.

Role: decided before anything starts, from stages, models and the cluster's nodes. Pure. Invariants:
every stage is in exactly one phase, in the recipe's order; in every phase the replicas of its
models fit the nodes; a run that cannot fit is a PlacementError. Rows never depend on it.

A sample: place(stages, sizes=sizes, nodes=[Node(num_cpus=64, num_gpus=8, gpu_memory_gib=80)])
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from infra.engines import EngineConfig
from infra.engines.engine_type import ModelSize
from infra.engines.model_size import GIB
from infra.placement.footprints import Footprint, PlacementError, footprint, pack
from infra.placement.nodes import Node
from infra.placement.words import words_of

__all__ = [
    "Node", "Phase", "Placement", "PlacementError", "PlacementMode", "StageDemand", "place",
    "read_nodes",
]  # fmt: skip

PlacementMode = Literal["auto", "together", "turns"]
SLEEPER_GIB = 2.0  # GPU memory that an engine asleep keeps: CUDA context and graphs
SLEEPERS_SHARE = 0.5  # of the machine's memory, at most, for the weights of engines asleep
CPUS_OF_A_GPU = 8  # in a cluster of which only the GPUs are described
MAX_NODES, MAX_GPUS = 1000, 64  # what --on takes
_CLUSTER = re.compile(r"(\d{1,6})x(\d{1,6})x(\d{1,6}(?:\.\d+)?)(?:\+(\d{1,6}(?:\.\d+)?))?")
Sizes = Mapping[EngineConfig, ModelSize | None]


@dataclass(frozen=True, kw_only=True)
class StageDemand:
    """A stage and what it asks. `is_alone`: training or evaluation, a phase of its own."""

    name: str
    models: Mapping[str, EngineConfig] = field(default_factory=dict)  # role -> engine
    num_gpus: int = 0  # of training, on all nodes
    is_alone: bool = False


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Stages that run while these models, as placed, are loaded."""

    stages: tuple[str, ...]
    models: tuple[EngineConfig, ...]
    is_alone: bool = False


@dataclass(frozen=True, kw_only=True)
class Placement:
    """The decision. `sleep`: models on one GPU take turns group of shards by group of shards.

    `turns`: phase after phase, all shards each. `placed`: a model as asked -> as it is hosted
    (replicas that fit, sleep mode).
    """

    mode: Literal["together", "sleep", "turns"]
    phases: tuple[Phase, ...]
    placed: Mapping[EngineConfig, EngineConfig]
    words: tuple[str, ...]

    @property
    def corpus_phases(self) -> tuple[Phase, ...]:
        """Those that every shard goes through."""
        return tuple(phase for phase in self.phases if not phase.is_alone)

    def phase_of(self, stage: str) -> Phase:
        """The phase in which `stage` runs."""
        return next(phase for phase in self.phases if stage in phase.stages)


def place(
    stages: Sequence[StageDemand],
    *,
    sizes: Sizes,
    nodes: Sequence[Node],
    mode: PlacementMode = "auto",
) -> Placement:
    """Decide. Raises PlacementError: one line with the reason and the remedy."""
    prints = _footprints(stages, sizes, nodes)
    _check_training(stages, nodes)
    fleet = _Fleet(nodes, prints, {config: _alone(prints[config], nodes) for config in prints})
    corpus = [stage for stage in stages if not stage.is_alone]
    groups = _groups(corpus, fleet, mode)
    kind: Literal["together", "sleep", "turns"] = "together" if len(groups) <= 1 else "turns"
    if kind == "turns" and mode == "auto" and (asleep := fleet.asleep(groups, sizes)):
        kind, placed = "sleep", asleep
    else:
        placed = fleet.grown([*groups, *([stage] for stage in stages if stage.is_alone)])
    phases = _phases(stages, groups, placed)
    words = words_of(
        stages, [phase.stages for phase in phases if not phase.is_alone], kind=kind, mode=mode,
        prints=prints, placed=placed, nodes=nodes,
    )  # fmt: skip
    return Placement(mode=kind, phases=phases, placed=placed, words=words)


def read_nodes(text: str) -> list[Node]:
    """A cluster in words: "2x8x80" is 2 nodes of 8 GPUs of 80 GiB, "2x8x80+1024" the same with
    1024 GiB of memory in each node. Raises PlacementError."""
    match = _CLUSTER.fullmatch(text.strip().lower())
    nodes, gpus, memory = (int(match[1]), int(match[2]), float(match[3])) if match else (0, 0, 0.0)
    host = float(match[4]) if match and match[4] else None
    if not (1 <= nodes <= MAX_NODES and 1 <= gpus <= MAX_GPUS and memory > 0 and host != 0):
        raise PlacementError(
            f"{text!r} is no cluster: write NODESxGPUSxGIB, e.g. 2x8x80 for 2 nodes of 8 GPUs "
            f"with 80 GiB each, 2x8x80+1024 where each node has 1024 GiB of memory; at most "
            f"{MAX_NODES} nodes of {MAX_GPUS}"
        )
    return [
        Node(name=f"node {number}", num_cpus=CPUS_OF_A_GPU * gpus, num_gpus=gpus,
             gpu_memory_gib=memory, memory_gib=host)
        for number in range(nodes)
    ]  # fmt: skip


@dataclass(frozen=True)
class _Fleet:
    """Footprints and replicas of all models that run on the cluster (endpoints do not)."""

    nodes: Sequence[Node]
    prints: Mapping[EngineConfig, Footprint]
    replicas: dict[EngineConfig, int]

    def models(self, stages: Iterable[StageDemand]) -> list[EngineConfig]:
        found = (config for stage in stages for config in stage.models.values())
        return [config for config in dict.fromkeys(found) if config in self.prints]

    def fits(
        self, stages: Iterable[StageDemand], replicas: Mapping[EngineConfig, int] | None = None
    ) -> bool:
        """Whether the models of these stages can be loaded at once."""
        counts = replicas or self.replicas
        all_of_them = [
            self.prints[config] for config in self.models(stages) for _ in range(counts[config])
        ]
        return pack(all_of_them, self.nodes)

    def grown(self, groups: Sequence[list[StageDemand]]) -> dict[EngineConfig, EngineConfig]:
        """As asked -> with the replicas that fit, and at most as many more as there is room for."""
        most = dict(self.replicas)
        for config in self.prints:
            while most[config] < (config.max_replicas or 0) and all(
                self.fits(group, {**most, config: most[config] + 1})
                for group in groups
                if config in self.models(group)
            ):
                most[config] += 1
        return {
            config: _changed(
                config,
                replicas=self.replicas[config],
                max_replicas=config.max_replicas and most[config],
            )
            for config in self.prints
        }

    def asleep(
        self, groups: Sequence[list[StageDemand]], sizes: Sizes
    ) -> dict[EngineConfig, EngineConfig] | None:
        """With sleep mode on, where the cluster's one GPU can be shared so; else None."""
        corpus = self.models(stage for group in groups for stage in group)
        sharing = [config for config in corpus if self.prints[config].gpus]
        (node, *others) = [node for node in self.nodes if node.num_gpus] or [Node(num_cpus=0)]
        modes = {config.engine: config.engine_type.needs.sleep for config in sharing}
        if others or node.num_gpus != 1 or not sharing or None in modes.values():
            return None
        placed = self.grown(groups)
        share = _awake_share(len(sharing) - 1, node)
        for config, one in self.prints.items():
            sleep = config.engine_type.needs.sleep
            if one.gpus and sleep is not None:
                placed[config] = sleep.turn_on(placed[config], share)
                if not replace(one, config=placed[config]).fits(node):
                    return None
        on_host = sum(self.prints[config].weights or 0 for config in sharing)  # where they sleep
        memory = (node.memory_gib or float("inf")) * GIB
        return placed if on_host <= memory * SLEEPERS_SHARE else None


def _footprints(
    stages: Sequence[StageDemand], sizes: Sizes, nodes: Sequence[Node]
) -> dict[EngineConfig, Footprint]:
    found: dict[EngineConfig, Footprint] = {}
    for stage in stages:
        for role, config in stage.models.items():
            if config.engine_type.is_hosted and config not in found:
                found[config] = footprint(config, role=role, size=sizes.get(config), nodes=nodes)
    return found


def _alone(one: Footprint, nodes: Sequence[Node]) -> int:
    """Replicas, of those asked for, that an empty cluster holds."""
    count = 1  # footprint() has seen that one fits
    while count < one.config.replicas and pack([one] * (count + 1), nodes):
        count += 1
    return count


def _groups(
    stages: Sequence[StageDemand], fleet: _Fleet, mode: PlacementMode
) -> list[list[StageDemand]]:
    """Neighbouring stages whose models fit together, as few groups as there can be."""
    groups: list[list[StageDemand]] = []
    for stage in stages:
        if not fleet.fits([stage]):
            raise PlacementError(
                f"stage {stage.name} asks {', '.join(stage.models)} at the same time, and they do "
                "not fit together: set models.ROLE.replicas = 1, or use more GPUs"
            )
        together = [*(groups[-1] if groups else []), stage]
        is_allowed = mode != "turns" or len(fleet.models(together)) <= 1
        if groups and is_allowed and fleet.fits(together):
            groups[-1].append(stage)
        else:
            groups.append([stage])
    if mode == "together" and len(groups) > 1:
        raise PlacementError(
            f"LITECOT_PLACEMENT=together, and the models of {groups[0][0].name} and "
            f"{groups[1][0].name} do not fit together: set it to auto, or use more GPUs"
        )
    return groups


def _phases(
    stages: Sequence[StageDemand],
    groups: Sequence[list[StageDemand]],
    placed: Mapping[EngineConfig, EngineConfig],
) -> tuple[Phase, ...]:
    alone = [[stage] for stage in stages if stage.is_alone]
    phases: list[Phase] = []
    for number, group in enumerate([*groups, *alone]):
        asked = [config for stage in group for config in stage.models.values()]
        if group[0].is_alone and not asked and not group[0].num_gpus:
            # Training on CPU: what evaluation asks next may stay loaded.
            asked = [c for stage in stages if stage.is_alone for c in stage.models.values()]
        models = dict.fromkeys(placed.get(config, config) for config in asked)
        phases.append(
            Phase(
                stages=tuple(stage.name for stage in group),
                models=tuple(models),
                is_alone=number >= len(groups),
            )
        )
    return tuple(phases)


def _check_training(stages: Sequence[StageDemand], nodes: Sequence[Node]) -> None:
    there = sum(node.num_gpus for node in nodes)
    wanted = max((stage.num_gpus for stage in stages), default=0)
    if wanted > there:
        remedy = f"train.num_ranks = {there}" if there else "train.device = 'cpu'"
        raise PlacementError(
            f"training wants {wanted} GPUs (train.num_ranks) and the nodes have {there}: "
            f"set {remedy}, or leave 'train' out of stages"
        )


def _awake_share(num_others: int, node: Node) -> float:
    """Of the GPU's memory, leaving what the others keep there while they sleep."""
    if not node.gpu_memory_gib:
        return 1.0
    return max(0.01, 1 - SLEEPER_GIB * num_others / node.gpu_memory_gib)


def _changed(config: EngineConfig, **fields: int | None) -> EngineConfig:
    """`config` itself where nothing changes: equal configurations share one pool."""
    return config.model_copy(update=fields)
