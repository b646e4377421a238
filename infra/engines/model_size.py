"""How large a model's weights are, from its files or its name, before anything is loaded.

Invariants: no torch, no network; only headers of safetensors files are read. A size that cannot be
known is None, never a guess: a name without a figure ("phi-4") says nothing.

A sample: model_size("Qwen/Qwen2.5-7B") == ModelSize(num_parameters=7e9, stored_bytes=14e9)
"""

from __future__ import annotations

import json
import re
from math import prod
from pathlib import Path
from typing import Any

from infra.engines import smollm2
from infra.engines.config import EngineConfig
from infra.engines.engine_type import ModelSize
from infra.engines.model_files import model_folder

GIB = 2**30
DTYPE_BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}
BITS = {"BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6}  # others say it themselves: BF16, I32
NAMED_BYTES = 2  # a parameter of a checkpoint known by name only: bfloat16
_FIGURE = re.compile(r"(?<![\w.])(?:(\d+)x)?(\d+(?:\.\d+)?)([bm])(?![a-z\d])", re.IGNORECASE)
_UNITS = {"b": 1e9, "m": 1e6}
_FOUR_BITS = re.compile(r"awq|gptq|bnb|bitsandbytes|nf4|fp4|int4|w4a|4-?bit", re.IGNORECASE)
_EIGHT_BITS = re.compile(r"fp8|int8|w8a|8-?bit", re.IGNORECASE)


def model_size(model: str, *, revision: str | None = None) -> ModelSize | None:
    """Of a local folder or the hub cache, else by the figure in the name; None: not known."""
    if model == smollm2.NAME:
        return smollm2.SIZE  # whether or not it is made already
    folder = model_folder(model) or _cached_folder(model, revision)
    from_files = _size_of_files(folder) or _size_of_index(folder) if folder else None
    return from_files or _size_of_name(model)


def size_of(config: EngineConfig) -> ModelSize | None:
    """As its engine says, else that of its checkpoint; None: not known, or it has no weights."""
    declared = config.engine_type
    if declared.needs.size is not None:
        return declared.needs.size(config)
    return model_size(config.model, revision=config.revision) if declared.has_checkpoint else None


def bytes_in_memory(config: EngineConfig, size: ModelSize, *, auto: str = "checkpoint") -> int:
    """Of weights loaded in `config.dtype`; `auto`: the dtype that "auto" means, or "checkpoint"."""
    dtype = auto if config.dtype == "auto" else config.dtype
    if size.is_quantized or dtype == "checkpoint":
        return size.stored_bytes
    return size.num_parameters * DTYPE_BYTES[dtype]


def quantized_bytes(quantization: str) -> float | None:
    """Bytes a parameter under a method as vLLM names it ("awq", "fp8"); None: not known."""
    if _FOUR_BITS.search(quantization):
        return 0.5
    return 1.0 if _EIGHT_BITS.search(quantization) else None


def _cached_folder(model: str, revision: str | None) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(model, "config.json", revision=revision)
    return Path(cached).parent if isinstance(cached, str) else None


def _size_of_files(folder: Path) -> ModelSize | None:
    from safetensors import SafetensorError, safe_open

    count, stored = 0, 0
    files = sorted(folder.glob("model*.safetensors"))
    if len(files) < _num_shards(folder):
        return None  # a download that has not ended
    for path in files:
        try:
            with safe_open(path, framework="numpy") as tensors:
                slices = [tensors.get_slice(name) for name in tensors.keys()]  # noqa: SIM118
        except (SafetensorError, OSError):
            return None
        count += sum(prod(part.get_shape()) for part in slices)
        stored += sum(prod(part.get_shape()) * _bits(part.get_dtype()) // 8 for part in slices)
    if not count:
        return None
    return ModelSize(
        num_parameters=count, stored_bytes=stored, is_quantized=_is_quantized(_config(folder))
    )


def _size_of_index(folder: Path) -> ModelSize | None:
    """Where the index is here and its shards are not (yet)."""
    found = _index(folder).get("metadata", {})
    stored, config = found.get("total_size"), _config(folder)
    if not isinstance(stored, int | float):
        return None
    bytes_each = 4 if "32" in str(config.get("dtype") or config.get("torch_dtype")) else 2
    return ModelSize(
        num_parameters=int(found.get("total_parameters") or stored / bytes_each),
        stored_bytes=int(stored),
        is_quantized=_is_quantized(config),
    )


def _size_of_name(model: str) -> ModelSize | None:
    """The largest figure: Qwen2.5-7B is 7e9 and Qwen3-30B-A3B (3B of them active) 30e9."""
    name = Path(model).name
    figures = [
        int(times or 1) * float(figure) * _UNITS[unit.lower()]
        for times, figure, unit in _FIGURE.findall(name)
    ]
    if not figures:
        return None
    bytes_each = quantized_bytes(name)
    return ModelSize(
        num_parameters=int(max(figures)),
        stored_bytes=int(max(figures) * (bytes_each or NAMED_BYTES)),
        is_quantized=bytes_each is not None,
    )


def _num_shards(folder: Path) -> int:
    return len(set(_index(folder).get("weight_map", {}).values()))


def _index(folder: Path) -> dict[str, Any]:
    return _json(folder / "model.safetensors.index.json")


def _config(folder: Path) -> dict[str, Any]:
    return _json(folder / "config.json")


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_quantized(config: dict[str, Any]) -> bool:
    return bool(config.get("quantization_config"))


def _bits(dtype: str) -> int:
    """Of a dtype as safetensors names it: BF16, F32, I8, F8_E4M3."""
    if dtype in BITS:
        return BITS[dtype]
    digits = re.match(r"[A-Z]+(\d+)", dtype)
    return int(digits[1]) if digits else 8 * NAMED_BYTES
