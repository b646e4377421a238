"""What of a model decides the rows it makes: weights, arithmetic and its engine's source.

Invariant: where a model runs is not in it; for an engine of ours neither is its source, whose
changes `Stage.revision` (tasks/stage.py) tells.

A sample: engine_identity(EngineConfig(model="a/b")) == "a/b@main transformers auto None"
"""

from __future__ import annotations

import json
from pathlib import Path

from infra.engines.config import EngineConfig
from infra.engines.engine_type import ENGINES
from infra.engines.model_files import folder_sha, is_shipped, model_folder, weights_fingerprint

HASH_SHOWN = 8  # hex characters of a folder's hash in its model's name


def model_fingerprint(config: EngineConfig) -> str:
    """Identity of the weights, or of what answers, for stage fingerprints."""
    declared = config.engine_type
    if declared.fingerprint is not None:
        return declared.fingerprint(config)
    if declared.has_checkpoint:
        return weights_fingerprint(config)
    return f"{config.model}@{config.revision}" if config.revision else config.model


def engine_sha(config: EngineConfig) -> str:
    """Hash of the source of an engine from outside; empty for ours."""
    return ENGINES.entry(config.engine).sha


def engine_identity(config: EngineConfig) -> str:
    """Everything of the model that enters the fingerprints of the stages that ask it."""
    declared = config.engine_type
    if declared.identity is not None:
        options = declared.identity(config)
    else:
        options = json.dumps(config.options, sort_keys=True) if config.options else ""
    parts = [model_fingerprint(config), config.engine, config.dtype, str(config.max_model_len)]
    return " ".join([*parts, *filter(None, [options, engine_sha(config)])])


def model_name(config: EngineConfig) -> str:
    """What a model is called in rows: as it was named, a folder by its name and what it holds.

    A sample: "nano:student", "Qwen/Qwen2.5-7B", "mine@5b1f0c3d" (a folder, wherever it lies).
    """
    folder = model_folder(config.model) if config.engine_type.has_checkpoint else None
    if folder is None or is_shipped(config.model):
        return config.model if config.revision is None else f"{config.model}@{config.revision}"
    sha = folder_sha(folder).removeprefix("sha256:")
    return f"{Path(folder).resolve().name}@{sha[:HASH_SHOWN]}"
