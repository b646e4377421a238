"""Model engines: what hosts a language model. Importing this package loads no torch."""

from infra.engines.config import EngineConfig
from infra.engines.engine import Engine
from infra.engines.errors import EngineBrokenError, EngineDied, EngineStartError
from infra.engines.model_files import ModelFilesError, check_model, model_fingerprint
from infra.engines.opening import open_engine

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
