"""Loads a model: from a configuration to the engine that hosts it.

Invariant: importing this loads no model library; opening an engine imports that engine alone.

A sample: `open_engine(EngineConfig(model="nano:teacher"))`
"""

from __future__ import annotations

from infra.engines.config import EngineConfig
from infra.engines.engine import Engine
from infra.engines.model_files import check_checkpoint


def check_model(config: EngineConfig) -> None:
    """Raises ModelFilesError where loading `config` is bound to fail on this machine."""
    declared = config.engine_type
    if declared.check is not None:
        declared.check(config)
    elif declared.has_checkpoint:
        check_checkpoint(config)


def open_engine(config: EngineConfig) -> Engine:
    """Load the model. Raises ModelFilesError before anything heavy is imported."""
    check_model(config)
    load = config.engine_type.open
    assert load is not None, f"{config.engine} is not hosted here"
    return load(config)
