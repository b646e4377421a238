"""What vLLM says about itself. Invariant: imports no vLLM.

A sample: VLLM.needs.gpus(config) == config.for_vllm.tensor_parallel
"""

from __future__ import annotations

from pathlib import Path

from infra.engines.config import EngineConfig, VllmOptions
from infra.engines.engine import Engine
from infra.engines.engine_type import EngineType, ModelSize, Needs, SleepMode
from infra.engines.model_files import folder_sha, weights_fingerprint
from infra.engines.model_size import GIB, bytes_in_memory, quantized_bytes
from infra.engines.vllm.checks import check_vllm


def _open(config: EngineConfig) -> Engine:
    from infra.engines.vllm.engine import VllmEngine

    return VllmEngine(config)


def _fingerprint(config: EngineConfig) -> str:
    adapter = config.for_vllm.lora
    return weights_fingerprint(config) + (f"+{folder_sha(Path(adapter))}" if adapter else "")


def _weights(config: EngineConfig, size: ModelSize, on_gpu: bool) -> int:
    quantization = config.for_vllm.quantization
    if size.is_quantized or not quantization:
        return bytes_in_memory(config, size)
    each = quantized_bytes(quantization)
    return int(size.num_parameters * each) if each else size.stored_bytes


def _sleeper(config: EngineConfig, gpu_share: float) -> EngineConfig:
    options = config.for_vllm
    share = min(options.gpu_memory_utilization, gpu_share)
    changes = {"enable_sleep_mode": True, "gpu_memory_utilization": share}
    return config.model_copy(update={"vllm": options.model_copy(update=changes)})


VLLM = EngineType(
    name="vllm",
    label="vLLM",
    options=VllmOptions,
    path_options=("lora",),
    open=_open,
    has_checkpoint=True,
    can_score=True,
    can_hold_schema=True,
    check=check_vllm,
    fingerprint=_fingerprint,
    identity=lambda config: config.for_vllm.quantization or "",
    needs=Needs(
        gpus=lambda config: config.for_vllm.tensor_parallel,
        is_for_gpus=True,
        weights=_weights,
        host_cache=lambda config: config.for_vllm.cpu_kv_cache_gib * GIB,
        gpu_share=lambda config: config.for_vllm.gpu_memory_utilization,
        sleep=SleepMode(is_on=lambda config: config.for_vllm.enable_sleep_mode, turn_on=_sleeper),
        gpus_option="vllm.tensor_parallel",
        quantization_option="vllm.quantization",
    ),
)
