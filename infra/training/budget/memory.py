"""Memory of one rank while it trains: on a GPU, or on the CPU, part by part.

Invariants: pure but for DeepSpeed's estimators (states.py), which are asked for bfloat16 on GPUs
only; more ranks never need more under ZeRO-3, longer bins never less, offload never more of a GPU.

Activations follow Korthikanti et al. 2022 (arXiv 2205.05198, section 4.1: s b h (34 + 5 a s / h)
bytes a layer) term by term, for another layer: fused attention keeps no scores, so 5 a s / h is
gone; keys and values have their own, smaller width (GQA); the MLP is gated and has no dropout; an
RMSNorm keeps its input in float32. With w bytes a value, a token and a layer keep
    norms      2 x (4 h + 2 w h)
    attention  2 w (queries + keys)       q, k, v and the output
    MLP        4 w intermediate           gate, silu(gate), up, their product
and with gradient checkpointing w h (the layer's input) beside one layer as above.

A sample: memory_of(shape, config, per_node=8).total / 2**30 == 43.9
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any

from infra.training.budget.shape import ModelShape
from infra.training.budget.states import deepspeed_states
from infra.training.config import TrainConfig, Zero

DEEPSPEED_CONFIGS = Path(__file__).resolve().parents[2] / "deepspeed"
GIB = 2**30
CONTEXT = {"gpu": 2.0 * GIB, "cpu": 0.75 * GIB}  # CUDA, NCCL, libraries; Python and torch [ours]
FRAGMENTATION = 0.08  # of all other parts [ours]
# The CPU's allocator keeps more of what ZeRO-3 gathers and frees; measured, docs/benchmarks.md.
CPU_FRAGMENTATION = 0.2
MASTER, GRADIENT = 12, 4  # bytes: float32 weights and Adam's two moments; a float32 gradient
BUCKET = 500_000_000  # elements: DeepSpeed's reduce_bucket_size where a file names none
LIVE = 1_000_000_000  # elements gathered at a time: DeepSpeed's stage3_max_live_parameters
# TRL 1.16 scores in tiles and never makes the logits (trl/kernels/chunked_logprob.py).
TILE_TOKENS, TILE_VOCABULARY = 4096, 32768
CPU_TILES = 4  # logits, exponentials, gradient and a copy; on GPUs one kernel overwrites its tile


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes of one rank; `host`: of a node's memory beside its GPUs, all its ranks."""

    weights: float
    gradients: float
    optimizer: float
    activations: float
    head: float
    buffers: float
    allowance: float
    host: float = 0.0

    @property
    def states(self) -> float:
        """What DeepSpeed shards: weights, gradients, optimizer."""
        return self.weights + self.gradients + self.optimizer

    @property
    def total(self) -> float:
        """All of it."""
        return self.states + self.activations + self.head + self.buffers + self.allowance


def memory_of(shape: ModelShape, config: TrainConfig, *, per_node: int) -> Memory:
    """Of a rank of `config`, `per_node` ranks a machine, in the worst micro-batch."""
    weights, gradients, optimizer, host = _states(shape, config, per_node=per_node)
    activations = activation_bytes(shape, config)
    head, buffers = head_bytes(shape, config), _buffers(shape, config)
    used = weights + gradients + optimizer + activations + head + buffers
    return Memory(
        weights=weights,
        gradients=gradients,
        optimizer=optimizer,
        activations=activations,
        head=head,
        buffers=buffers,
        allowance=CONTEXT[config.device] + fragmentation(config) * used,
        host=host,
    )


def fragmentation(config: TrainConfig) -> float:
    """Share of all other parts."""
    is_heap = config.device == "cpu" and config.zero != "zero2"
    return CPU_FRAGMENTATION if is_heap else FRAGMENTATION


def tokens_of_microbatch(config: TrainConfig) -> int:
    """On one rank, padding included, at most."""
    longest = config.max_length
    if config.how_batched == "packed":
        longest = config.bin_length or config.unset_bin_length
    return config.per_rank_batch_size * longest


def activation_bytes(shape: ModelShape, config: TrainConfig) -> float:
    """Kept for the backward pass, and the gradients of the layer at hand; see the module."""
    tokens, w = tokens_of_microbatch(config), _width(config)
    norms = 2 * (4 + 2 * w) * shape.hidden
    layer = norms + 2 * w * (shape.queries + shape.keys) + 4 * w * shape.intermediate
    going_back = 3 * w * shape.intermediate + 2 * w * shape.hidden
    kept: float = shape.layers * layer
    if config.gradient_checkpointing:
        kept = min(kept, shape.layers * w * shape.hidden + layer)
    return float(tokens * (kept + going_back + norms // 2))


def head_bytes(shape: ModelShape, config: TrainConfig) -> float:
    """Of the loss: a tile of logits, float32 gradients of the hidden states and of the head."""
    tokens, w = tokens_of_microbatch(config), _width(config)
    tile = min(tokens, TILE_TOKENS) * min(shape.vocabulary, TILE_VOCABULARY)
    of_head = 0 if config.lora else GRADIENT * shape.embedding
    copies = w + 4 if config.device == "gpu" else 4 * CPU_TILES
    return float(copies * tile + (w + GRADIENT) * tokens * shape.hidden + of_head)


def _states(
    shape: ModelShape, config: TrainConfig, *, per_node: int
) -> tuple[float, float, float, float]:
    """Weights, gradients, optimizer, a node's memory."""
    w, ranks = _width(config), config.num_ranks
    all_of_it = shape.num_parameters
    learnt = shape.adapter_parameters(config.lora.rank) if config.lora else all_of_it
    nodes = ceil(ranks / per_node)
    offloads = config.zero == "zero3-offload" and config.device == "gpu"
    if config.device == "gpu" and w == 2 and not config.lora:
        gpu, host = deepspeed_states(
            params=all_of_it, largest=shape.largest_module, zero=config.zero,
            per_node=min(per_node, ranks), nodes=nodes,
        )  # fmt: skip
        if offloads:
            return float(gpu), 0.0, 0.0, float(host)
        weights = float(w * all_of_it) / (1 if config.zero == "zero2" else ranks)
        optimizer = MASTER * all_of_it / ranks
        return weights, gpu - weights - optimizer, optimizer, 0.0
    gathered = 2 * w * shape.largest_module if config.zero != "zero2" else 0
    weights = w * all_of_it if config.zero == "zero2" else w * all_of_it / ranks + gathered
    gradient = GRADIENT + w if config.zero == "zero2" else GRADIENT
    if config.zero == "zero3-offload" and config.device == "cpu":
        weights += w * all_of_it / ranks  # a copy in the same memory: nothing is won by it
    if offloads:
        of_node = 1.5 * (w * all_of_it + (MASTER + GRADIENT) * learnt) / nodes
        return float(gathered), 0.0, 0.0, of_node
    return weights, gradient * learnt / ranks, MASTER * learnt / ranks, 0.0


def _buffers(shape: ModelShape, config: TrainConfig) -> float:
    """Buckets that gradients are reduced in; under ZeRO-3 layers gathered ahead, and a dense mask
    of packed bins on the CPU, where attention has no varlen kernel."""
    w, zero = _width(config), _zero_file(config.zero)
    if config.zero == "zero2":
        bucket = zero.get("reduce_bucket_size", BUCKET)
        size = min(bucket, shape.num_parameters) if isinstance(bucket, int) else shape.hidden**2
        is_double = zero.get("overlap_comm") and config.device == "gpu"
        found = float(w * size * (2 if is_double else 1))
    else:
        found = float(w * (min(LIVE, shape.num_parameters) + 2 * shape.hidden**2))
    if config.device == "cpu" and config.how_batched == "packed":
        found += float(w * tokens_of_microbatch(config) ** 2)
    return found


@cache
def _zero_file(zero: Zero) -> dict[str, Any]:
    path = DEEPSPEED_CONFIGS / f"{zero}.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["zero_optimization"]
    return found


def _width(config: TrainConfig) -> int:
    return 2 if config.dtype == "bfloat16" else 4
