"""What the engine over transformers says about itself. Invariant: imports no torch.

A sample: TRANSFORMERS.can_hold_schema is False
"""

from __future__ import annotations

from infra.engines.config import EngineConfig
from infra.engines.engine import Engine
from infra.engines.engine_type import EngineType, ModelSize, Needs
from infra.engines.model_files import check_checkpoint, check_packages
from infra.engines.model_size import bytes_in_memory


def _open(config: EngineConfig) -> Engine:
    from infra.engines.transformers.engine import TransformersEngine

    return TransformersEngine(config)


def _check(config: EngineConfig) -> None:
    check_packages(config, "torch", "transformers")
    check_checkpoint(config)


def _weights(config: EngineConfig, size: ModelSize, on_gpu: bool) -> int:
    return bytes_in_memory(config, size, auto="checkpoint" if on_gpu else "float32")


TRANSFORMERS = EngineType(
    name="transformers",
    open=_open,
    has_checkpoint=True,
    can_score=True,
    check=_check,
    identity=lambda config: "",
    needs=Needs(gpus=lambda config: 1, weights=_weights),
)
