"""What an engine says about itself, and the engines there are.

Role: recipes, placement, hosting and cost estimates ask the declaration; nobody asks an engine's
name. Invariants: importing this, or looking into ENGINES, loads no model library and no HTTP
client; what an engine does not say is the most modest answer (runs on a CPU, writes, no more).

A sample: EngineType(name="solver", open=Solver)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from infra.engines.engine import Engine, ServedModel
from tasks.registry import Registry

# An infra.engines.config.EngineConfig. That module imports this one: a configuration is checked
# against the declarations.
EngineConfig = Any


@dataclass(frozen=True, kw_only=True)
class ModelSize:
    """`stored_bytes`: of the checkpoint as it is; `is_quantized`: it cannot be read as floats."""

    num_parameters: int
    stored_bytes: int
    is_quantized: bool = False


@dataclass(frozen=True, kw_only=True)
class SleepMode:
    """How an engine gives its GPU to another one, its process and weights kept."""

    is_on: Callable[[EngineConfig], bool]
    turn_on: Callable[[EngineConfig, float], EngineConfig]
    """With it on, taking at most this share of the GPU's memory when awake."""


def _no_gpu(config: EngineConfig) -> int:
    return 0


def _no_bytes(config: EngineConfig) -> int:
    return 0


def _most_of_it(config: EngineConfig) -> float:
    return 0.9


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What one replica takes of a machine, beside the slot that every replica takes."""

    gpus: Callable[[EngineConfig], int] = _no_gpu
    """Where there are GPUs and `device` is not cpu; 0: it runs on the CPU everywhere."""
    is_for_gpus: bool = False
    """Its cost is counted in GPU hours even when planned on a machine that has none."""
    size: Callable[[EngineConfig], ModelSize | None] | None = None
    """Of its weights; None: the checkpoint's, not known where it has none."""
    weights: Callable[[EngineConfig, ModelSize, bool], int] | None = None
    """Bytes of a replica's weights in memory, on GPUs (True) or not; None: stored, or by dtype."""
    host_cache: Callable[[EngineConfig], int] = _no_bytes
    """Bytes beside the weights where it runs on the CPU."""
    gpu_share: Callable[[EngineConfig], float] = _most_of_it
    """Of each GPU's memory, for weights and cache."""
    sleep: SleepMode | None = None
    gpus_option: str = ""
    """The option by which a replica is spread over GPUs, "vllm.tensor_parallel": for remedies."""
    quantization_option: str = ""
    """The option that makes its weights smaller."""


@dataclass(frozen=True, kw_only=True)
class EngineType:
    """A kind of engine. It is opened here (`open`) or answers elsewhere (`connect`), not both."""

    name: str
    """As `engine = ...` and its table `[models.ROLE.<name>]` have it."""
    label: str = ""
    """As a plan words it; empty: the name."""
    options: type[BaseModel] | None = None
    """Reads its own table: frozen, extra="forbid"; None: it has no table."""
    path_options: tuple[str, ...] = ()
    """Those of its options that name a local folder: in a recipe, relative to it."""
    open: Callable[[EngineConfig], Engine] | None = None
    """Loads the model, in a process of its own. Imports heavy libraries inside."""
    connect: Callable[[EngineConfig, Mapping[str, str]], ServedModel] | None = None
    """A model at somebody's server, given the keys of secret blocks; connects when asked."""
    address: Callable[[EngineConfig], str] | None = None
    """Of that server, as a plan words it."""
    note: Callable[[EngineConfig], str | None] | None = None
    """What of this machine is odd about it, and may be meant, in a line; None: nothing."""
    probe: Callable[[EngineConfig, Mapping[str, str]], str] | None = None
    """Asks that server, at no cost, whether a run could: a line. Raises LitecotError."""
    has_checkpoint: bool = False
    """`model` is a checkpoint (folder, hub id): its size is known, its tokenizer counts tokens,
    training starts from it."""
    can_score: bool = False
    can_hold_schema: bool = False
    """`Sampling.json_schema` (tasks.ports)."""
    check: Callable[[EngineConfig], None] | None = None
    """Raises ModelFilesError where it is bound to fail here; imports nothing heavy. None: the
    checkpoint's files and the device are looked at, nothing where it has no checkpoint."""
    fingerprint: Callable[[EngineConfig], str] | None = None
    """Identity of what answers. None: the hash of the weights, `model@revision` without."""
    identity: Callable[[EngineConfig], str] | None = None
    """What of its options decides the rows; None: all of them."""
    needs: Needs = Needs()

    def __post_init__(self) -> None:
        """Raises ValueError for the author: the declaration contradicts itself."""
        if (self.open is None) == (self.connect is None):
            raise ValueError(f"engine {self.name!r}: declare one of open and connect")
        if self.options is not None and not (
            self.options.model_config.get("frozen")
            and self.options.model_config.get("extra") == "forbid"
        ):
            raise ValueError(
                f"engine {self.name!r}: {self.options.__name__} needs model_config = "
                'ConfigDict(frozen=True, extra="forbid")'
            )

    @property
    def is_hosted(self) -> bool:
        """Replicas of it run on the cluster; else somebody's server answers."""
        return self.open is not None

    @property
    def title(self) -> str:
        """As a plan words it."""
        return self.label or self.name

    def is_on_gpu(self, config: EngineConfig, *, has_gpus: bool) -> bool:
        """Whether a replica goes to GPUs on a cluster that has some, or none."""
        wants = config.device == "cuda" or (config.device == "auto" and has_gpus)
        return wants and self.needs.gpus(config) > 0


ENGINES = Registry(
    "engine",
    EngineType,
    group="litecot.engines",
    modules=(
        "infra.engines.transformers.declaration",
        "infra.engines.vllm.declaration",
        "infra.engines.endpoint.declaration",
    ),
)
