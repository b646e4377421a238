"""Model engines: what hosts a language model. Importing this package loads no torch."""

from infra.engines.config import EngineConfig
from infra.engines.engine import Engine, EngineInfo, ServedModel
from infra.engines.engine_type import ENGINES, EngineType, Needs, SleepMode
from infra.engines.errors import EngineBrokenError, EngineDied, EngineStartError
from infra.engines.identity import engine_identity, engine_sha, model_fingerprint, model_name
from infra.engines.model_files import ModelFilesError, check_checkpoint
from infra.engines.opening import check_model, open_engine

__all__ = [
    "ENGINES",
    "Engine",
    "EngineBrokenError",
    "EngineConfig",
    "EngineDied",
    "EngineInfo",
    "EngineStartError",
    "EngineType",
    "ModelFilesError",
    "Needs",
    "ServedModel",
    "SleepMode",
    "check_checkpoint",
    "check_model",
    "engine_identity",
    "engine_sha",
    "model_fingerprint",
    "model_name",
    "open_engine",
]
