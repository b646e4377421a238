"""The nodes a run may use: this machine, or those of the Ray cluster that RAY_ADDRESS names."""

from __future__ import annotations

import os
import sys

from infra.placement.machine import this_machine
from infra.placement.nodes import Node


def nodes() -> list[Node]:
    """The cluster at RAY_ADDRESS, else this machine."""
    if not os.environ.get("RAY_ADDRESS"):
        return [this_machine()]
    from infra.hosting.ray_cluster import cluster_nodes

    return cluster_nodes()


def running_ray() -> str | None:
    """Address of the Ray that this process has started or joined; None: it has not, so far."""
    if "infra.hosting.ray_cluster" not in sys.modules:
        return None
    from infra.hosting.ray_cluster import ray_address

    return ray_address()
