"""A machine of the cluster, as far as placement cares.

A sample: Node(name="gpu-1", num_cpus=64, num_gpus=8, gpu_memory_gib=79.6, memory_gib=1007)
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Node:
    """A machine of the cluster. None: not known, not counted."""

    name: str = "this machine"
    num_cpus: float
    """Slots for actors: every replica takes one."""
    num_gpus: int = 0
    gpu_memory_gib: float | None = None
    memory_gib: float | None = None
