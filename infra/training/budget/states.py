"""What weights, gradients and optimizer take, by DeepSpeed's own estimators.

Role: the one place that asks them. They assume 16-bit weights under Adam in float32: 18 bytes a
parameter that is shared among the ranks (2 + 4 of gradients, 4 of master weights, 8 of moments),
2 more on each rank under ZeRO-2, and a gathered layer with its gradient under ZeRO-3; offloaded,
all but that layer lies in the machine's memory, times 1.5 for buffers. Imports DeepSpeed, so torch:
three seconds, when first asked.

A sample: deepspeed_states(params=7_615_616_512, largest=544_997_376, zero="zero3", per_node=8,
nodes=1) == (19315125840, ...)
"""

from __future__ import annotations

import logging
from functools import lru_cache

from infra.training.config import Zero


@lru_cache(maxsize=4096)
def deepspeed_states(
    *, params: int, largest: int, zero: Zero, per_node: int, nodes: int
) -> tuple[int, int]:
    """Bytes of a GPU and of a node's memory."""
    _hush()
    from deepspeed.runtime.zero.stage3 import estimate_zero3_model_states_mem_needs
    from deepspeed.runtime.zero.stage_1_and_2 import estimate_zero2_model_states_mem_needs

    if zero == "zero2":
        host, gpu = estimate_zero2_model_states_mem_needs(
            params, num_gpus_per_node=per_node, num_nodes=nodes, cpu_offload=False
        )
        return int(gpu), int(host)
    offloads = zero == "zero3-offload"
    host, gpu, _ = estimate_zero3_model_states_mem_needs(
        params,
        largest,
        num_gpus_per_node=per_node,
        num_nodes=nodes,
        cpu_offload=offloads,
        cpu_offload_params=offloads,
    )
    return int(gpu), int(host)


def _hush() -> None:
    """DeepSpeed warns of a machine without GPU while it is imported; here nothing is to run."""
    logging.getLogger("DeepSpeed").addFilter(lambda record: record.levelno >= logging.ERROR)
