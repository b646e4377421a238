"""When a pool gets one replica more or one less. Pure.

Invariants: never below the minimum or above the maximum; one step at a time; nothing grows while a
replica is starting; a replica with work inside never ends.

A sample: decide(Pressure(num_replicas=1, num_starting=0, waited_s=20, idle_s={}), bounds) -> START
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

START: Final = "start"


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How many replicas, and how patient."""

    minimum: int
    maximum: int
    up_after_s: float
    down_after_s: float


@dataclass(frozen=True, kw_only=True)
class Pressure:
    """A pool at one moment. `num_replicas` counts those that start; `waited_s` is how long the
    oldest request has waited since a replica last became ready; `idle_s` has the idle replicas."""

    num_replicas: int
    num_starting: int
    waited_s: float
    idle_s: Mapping[int, float]


def decide(pressure: Pressure, bounds: Bounds) -> str | int | None:
    """START, the replica to end, or None."""
    if pressure.num_starting:
        return None
    if pressure.waited_s > bounds.up_after_s and pressure.num_replicas < bounds.maximum:
        return START
    idle = [replica for replica, idle_s in pressure.idle_s.items() if idle_s > bounds.down_after_s]
    if idle and not pressure.waited_s and pressure.num_replicas > bounds.minimum:
        return max(idle)
    return None
