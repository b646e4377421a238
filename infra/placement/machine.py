"""What there is to run on: this machine's cores, memory and GPUs, or the nodes of a Ray cluster.

Invariant: it looks and starts nothing, except that with RAY_ADDRESS set it joins that cluster.

A sample: this_machine() == Node(num_cpus=16, num_gpus=1, gpu_memory_gib=79.6, memory_gib=125.8)
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.engines.model_size import GIB
from infra.placement.nodes import Node

MIN_SLOTS = 8  # for actors, not cores: engines on one machine take turns on them
QUERY_S = 30.0
ACCELERATOR = "accelerator_type:"  # a resource by which Ray tells the type of a node's GPUs
# GiB of one GPU by that type. The smaller where a name has two sizes: every A100 is an "A100", and
# "A100-80G" only where an operator said so.
GPU_MEMORY_GIB = {
    "A100": 40, "A100-40G": 40, "A100-80G": 80, "H100": 80, "H200": 141, "H20": 96, "L4": 24,
    "L40S": 48, "A10G": 24, "T4": 16, "V100": 16, "P100": 16,
}  # fmt: skip
CGROUP_LIMITS = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One GPU as the driver names it; its memory, None where the driver does not say."""

    name: str
    memory_gib: float | None


def this_machine() -> Node:
    """Without Ray; a GPU counts by the smallest memory among them."""
    found = gpus()
    known = [gpu.memory_gib for gpu in found if gpu.memory_gib is not None]
    return Node(
        num_cpus=max(MIN_SLOTS, os.cpu_count() or 1),
        num_gpus=len(found),
        gpu_memory_gib=min(known, default=None),
        memory_gib=memory_bytes() / GIB,
    )


def ray_node(found: Mapping[str, Any]) -> Node:
    """A node as `ray.nodes()` describes it. Memory: what Ray keeps for actors, of a GPU by type."""
    resources: Mapping[str, float] = found["Resources"]
    types = [name.removeprefix(ACCELERATOR) for name in resources if name.startswith(ACCELERATOR)]
    known = [GPU_MEMORY_GIB[name] for name in types if name in GPU_MEMORY_GIB]
    memory = resources.get("memory")
    return Node(
        name=found["NodeManagerHostname"],
        num_cpus=resources.get("CPU", 0),
        num_gpus=int(resources.get("GPU", 0)),
        gpu_memory_gib=max(known, default=None),
        memory_gib=None if memory is None else memory / GIB,
    )


def gpus() -> list[Gpu]:
    """NVIDIA GPUs this process may use, as `nvidia-smi` lists them; none where it is missing."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    query = [command, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=QUERY_S)
    except (OSError, subprocess.TimeoutExpired):
        return []
    found = read_gpus(done.stdout) if done.returncode == 0 else []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return found
    return found[: len([index for index in visible.split(",") if index.strip() not in ("", "-1")])]


def read_gpus(listed: str) -> list[Gpu]:
    """`nvidia-smi`'s lines, "NVIDIA H100 80GB HBM3, 81559" (MiB), one a GPU."""
    rows = [line.rpartition(",") for line in listed.splitlines() if "," in line]
    return [
        Gpu(name=name.strip(), memory_gib=float(mib) / 1024 if _is_number(mib) else None)
        for name, _, mib in rows
    ]


def memory_bytes() -> int:
    """Of the machine, or of the container this process is in."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = [Path(file).read_text().strip() for file in CGROUP_LIMITS if Path(file).is_file()]
    return min([total, *(int(limit) for limit in limits if limit.isdecimal())])


def _is_number(text: str) -> bool:
    return text.strip().replace(".", "", 1).isdecimal()
