"""What of a model decides the rows it makes: weights, arithmetic and its engine's source.

Invariant: where a model runs is not in it; for an engine of ours neither is its source, whose
changes `Stage.revision` (tasks/stage.py) tells.

A sample: engine_identity(EngineConfig(model="a/b")) == "a/b@main transformers auto None"
"""

from __future__ import annotations

import json

from infra.engines.config import EngineConfig
from infra.engines.engine_type import ENGINES
from infra.engines.model_files import weights_fingerprint


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
