"""Where a model's files are, whether they will do, and a hash of what they hold.

Role: answer questions about a model before it is loaded. Invariants: no torch, no transformers, no
network; safetensors only; a local model's fingerprint changes exactly when weights, configuration
or tokenizer do.

A sample fingerprint: "sha256:5b1f0c3d9a7e4410" (a folder) or "Qwen/Qwen2.5-7B@main" (a hub id).
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
from functools import lru_cache
from pathlib import Path

from infra.engines import smollm2
from infra.engines.config import EngineConfig
from tasks.errors import UsageError

NANO_PREFIX = "nano:"
NANO_WEIGHTS = Path(__file__).parent.parent / "nano" / "weights"
HASHED = (
    "*.safetensors", "adapter_config.json", "*.safetensors.index.json", "config.json",
    "generation_config.json", "tokenizer*", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "merges.txt", "*.jinja",
)  # fmt: skip
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")
FINGERPRINT_LENGTH = 16  # hex characters
_METADATA = "__metadata__"  # of a safetensors header: the entry that is no tensor
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


class ModelFilesError(UsageError):
    """The model cannot be used here: one line, with the remedy."""


def model_folder(model: str) -> Path | None:
    """The folder `model` names, whether it exists or not; None for a hub id."""
    if model.startswith(NANO_PREFIX):
        return NANO_WEIGHTS / model.removeprefix(NANO_PREFIX)
    if model == smollm2.NAME:
        return smollm2.folder()
    path = Path(model).expanduser()
    looks_local = path.is_absolute() or model.startswith((".", "~")) or path.is_dir()
    return path if looks_local or not _HUB_ID.fullmatch(model) else None


def is_shipped(model: str) -> bool:
    """Whether the name says which weights these are, wherever they lie."""
    return model.startswith(NANO_PREFIX) or model == smollm2.NAME


def model_source(model: str) -> str:
    """What `from_pretrained` is given; `smollm2` is made now where that was not done."""
    if model == smollm2.NAME:
        return str(smollm2.made_folder())
    folder = model_folder(model)
    return model if folder is None else str(folder)


def model_identity(folder: str) -> str:
    """Hash of what a local folder holds, whatever its path; of nothing where it is not there."""
    return folder_sha(Path(folder).expanduser())


def weights_fingerprint(config: EngineConfig) -> str:
    """Of a checkpoint: hash of a folder's files, or the hub id and revision."""
    folder = model_folder(config.model)
    if config.model == smollm2.NAME:
        return smollm2.IDENTITY
    if folder is None:
        return f"{config.model}@{config.revision or 'main'}"
    _check_folder(config.model, folder)
    return folder_sha(folder)


def folder_sha(folder: Path) -> str:
    """Hash of the files that make a model, an adapter or a tokenizer."""
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


def check_packages(config: EngineConfig, *packages: str) -> None:
    """Raises ModelFilesError where one of them is not installed; imports none."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise ModelFilesError(
                f"engine {config.engine!r} needs {package}: pip install {package}"
            )


def check_checkpoint(config: EngineConfig) -> None:
    """Raises ModelFilesError where its files are not here, or its device is not."""
    folder = model_folder(config.model)
    if folder is None:
        _check_hub_id(config)
    elif config.model == smollm2.NAME and not smollm2.is_made():
        if fault := smollm2.fault():
            raise ModelFilesError(fault)
    else:
        _check_folder(config.model, folder)
        if fault := cut_off_weights(folder):
            raise ModelFilesError(f"model {config.model!r}: {fault}; download or save it again")
    _check_device(config)


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


def cut_off_weights(folder: Path, pattern: str = "model*.safetensors") -> str | None:
    """What of a folder's weights is not all there, None: nothing. Only headers are read.

    A header says where each tensor lies, so how long the file is; an index which files there are.
    """
    for path in sorted(folder.glob(pattern)):
        if fault := _safetensors_fault(path):
            return f"{path}: {fault}"
    index = folder / "model.safetensors.index.json"
    if pattern.startswith("model") and index.is_file():
        try:
            named = set(json.loads(index.read_bytes())["weight_map"].values())
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return f"{index}: is cut off or damaged"
        missing = sorted(str(name) for name in named if not (folder / str(name)).is_file())
        if missing:
            return f"{folder / missing[0]}: is not there, and {index.name} names it{_more(missing)}"
    return None


def _more(missing: list[str]) -> str:
    return f" (and {len(missing) - 1} others that are not)" if len(missing) > 1 else ""


def _safetensors_fault(path: Path) -> str | None:
    """By the format: 8 bytes with the length of the header, the header in JSON, the tensors."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > size - 8:
                return f"is cut off: its header alone is longer than its {size} bytes"
            header = json.loads(file.read(length))
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != _METADATA]
        expected = 8 + length + max(ends, default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        return f"its header is damaged ({type(error).__name__})"
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    if size == expected:
        return None
    return f"is {size} bytes long and its header says {expected}: it is cut off or damaged"


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
    if fault := cut_off_weights(Path(cached).parent):
        raise ModelFilesError(
            f"model {config.model!r}: {fault}; download it again, and HF_HUB_OFFLINE is set: unset "
            "it first"
        )


def _check_device(config: EngineConfig) -> None:
    if config.device != "cuda" or os.environ.get("RAY_ADDRESS"):
        return
    if not (Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists()):
        raise ModelFilesError(
            f"model {config.model!r} wants device 'cuda', and this machine has no NVIDIA GPU: "
            "set device to 'auto' or 'cpu'"
        )
