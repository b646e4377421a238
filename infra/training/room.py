"""Whether a Ray cluster has room for the ranks, in numbers and in words. Pure.

Invariant: each rank's request is a dict of Ray's resources; a node holds as many ranks as its
scarcest resource does.

A sample: Demand(num_ranks=16, each={"GPU": 1, "CPU": 1}).refusal(nodes) -> "training wants 16 ..."
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from infra.training.config import TrainConfig

Resources = Mapping[str, float]
TINY = 0.01  # of a CPU slot: in a Ray of our own slots are nobody else's, and engines may hold all


@dataclass(frozen=True, kw_only=True)
class RayNode:
    """A node as Ray tells of it."""

    name: str
    address: str
    has: Resources
    free: Resources = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What the ranks ask of Ray."""

    num_ranks: int
    each: Resources

    @classmethod
    def of(cls, config: TrainConfig, *, is_local: bool) -> Demand:
        """`is_local`: a Ray that stands for this run alone."""
        cpu = TINY if is_local else 1.0
        gpu = {"GPU": 1.0} if config.device == "gpu" else {}
        return cls(num_ranks=config.num_ranks, each={"CPU": cpu, **gpu})

    @property
    def words(self) -> str:
        """For a person: a rank on CPU is named by its CPU, one on a GPU by its GPU."""
        kind = "GPU" if "GPU" in self.each else "CPU"
        ranks = "1 rank" if self.num_ranks == 1 else f"{self.num_ranks} ranks"
        return f"training wants {ranks} with 1 {kind} each (train.num_ranks)"

    def held_by(self, resources: Resources) -> int:
        """Ranks that go into these resources."""
        return min(
            math.floor(resources.get(name, 0) / one + 1e-6) for name, one in self.each.items()
        )

    def refusal(self, nodes: Sequence[RayNode]) -> str | None:
        """Why the cluster can never hold them; None: it can."""
        most = sum(self.held_by(node.has) for node in nodes)
        if most >= self.num_ranks:
            return None
        kind = "GPU" if "GPU" in self.each else "CPU"
        has = "; ".join(f"{node.name}: {node.has.get(kind, 0):g} {kind}" for node in nodes)
        remedy = f"set train.num_ranks = {most}" if most else "set train.device = 'cpu'"
        return f"{self.words} and the cluster holds {most} ({has}): {remedy}, or add nodes"

    def waiting(self, nodes: Sequence[RayNode]) -> str:
        """What is waited for."""
        return f"{self.words} and waits for room; {self._free_on(nodes)}"

    def still_waiting(self, nodes: Sequence[RayNode], waited_s: float) -> str:
        """What was waited for in vain."""
        return (
            f"{self.words} and found no room in {waited_s:.0f} s; {self._free_on(nodes)}: end what"
            " holds the rest, set fewer ranks, or a longer LITECOT_TRAIN_WAIT_S"
        )

    def _free_on(self, nodes: Sequence[RayNode]) -> str:
        return "free now: " + "; ".join(f"{node.name}: {_free(self, node)}" for node in nodes)

    def threads(self, nodes: Sequence[RayNode]) -> int:
        """OpenMP threads a rank, where all are full."""
        shares = [
            node.has.get("CPU", 1) / min(self.num_ranks, held)
            for node in nodes
            if (held := self.held_by(node.has))
        ]
        return max(1, math.floor(min(shares, default=1)))


def _free(demand: Demand, node: RayNode) -> str:
    kinds = [kind for kind in ("GPU", "CPU") if kind in demand.each]
    return ", ".join(f"{node.free.get(k, 0):g} of {node.has.get(k, 0):g} {k}" for k in kinds)
