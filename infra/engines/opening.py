"""Loads a model: from a configuration to the engine that hosts it.

Invariant: importing this loads no model library; opening an engine imports that engine alone.

A sample: `open_engine(EngineConfig(model="nano:teacher"))`
"""

from __future__ import annotations

from infra.engines.config import EngineConfig
from infra.engines.engine import Engine


def open_engine(config: EngineConfig) -> Engine:
    """Load the model. Raises ModelFilesError before anything heavy is imported."""
    from infra.engines.model_files import check_model

    check_model(config)
    if config.engine == "vllm":
        from infra.engines.vllm.engine import VllmEngine

        return VllmEngine(config)
    from infra.engines.transformers.engine import TransformersEngine

    return TransformersEngine(config)
