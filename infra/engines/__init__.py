"""Model engines: what hosts a language model. Importing this package loads no torch."""

from infra.engines.engine import Engine, EngineConfig, open_engine
from infra.engines.errors import EngineBrokenError, EngineDied, EngineStartError
from infra.engines.model_files import ModelFilesError, check_model, model_fingerprint

__all__ = [
    "Engine",
    "EngineBrokenError",
    "EngineConfig",
    "EngineDied",
    "EngineStartError",
    "ModelFilesError",
    "check_model",
    "model_fingerprint",
    "open_engine",
]
