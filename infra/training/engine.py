"""DeepSpeed in charge, on GPUs and on CPU alike: how it is told, started and checked.

Role: everything that only DeepSpeed and accelerate know. Invariant: where this module has settled a
process, the trainer's model is wrapped by DeepSpeed at the stage asked for, or training stops with
a line. transformers alone takes plain DistributedDataParallel on a CPU, without a word.

A sample of what DeepSpeed is told: infra/deepspeed/zero2.json, "auto" filled by the trainer.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.engines.lean import leave_out_sklearn
from infra.training.config import TrainConfig
from infra.training.reports import TrainingError

DEEPSPEED_CONFIGS = Path(__file__).resolve().parents[1] / "deepspeed"
MADE_BY = "made_by.json"
STAGES = {"zero2": 2, "zero3": 3, "zero3-offload": 3}


def deepspeed_config(config: TrainConfig, *, universal: bool = False) -> dict[str, Any]:
    """The DeepSpeed file of `config.zero`, fit for the device; "auto" is the trainer's to fill.

    `universal`: the checkpoint it will load was made for another number of ranks.
    """
    told: dict[str, Any] = json.loads((DEEPSPEED_CONFIGS / f"{config.zero}.json").read_text())
    if universal:
        told["checkpoint"] = {"load_universal": True}
    zero = told["zero_optimization"]
    offloads = "offload_optimizer" in zero
    if config.device == "cpu" or (offloads and not _can_compile()):
        told["optimizer"]["params"]["torch_adam"] = True  # its own is an op to compile
    if offloads and told["optimizer"]["params"].get("torch_adam"):
        told["zero_force_ds_cpu_optimizer"] = False
    if config.device == "gpu":
        return told
    zero["overlap_comm"] = False  # there are no streams
    if offloads:
        for place in ("offload_optimizer", "offload_param"):
            zero[place]["pin_memory"] = False
    return told


def _can_compile() -> bool:
    """Whether DeepSpeed could build its CPU optimizer beside GPUs: it asks for CUDA's compiler."""
    from torch.utils.cpp_extension import CUDA_HOME, is_ninja_available

    return CUDA_HOME is not None and is_ninja_available()


def settle_process(config: TrainConfig) -> None:
    """Choose the accelerator, before deepspeed or transformers is imported in this process."""
    import torch

    leave_out_sklearn()
    os.environ.pop("ACCELERATE_USE_CPU", None)  # transformers would not think of DeepSpeed
    if config.device == "gpu":
        if not torch.cuda.is_available():
            raise TrainingError(
                "training wants a GPU and this rank sees none: set train.device = 'cpu', or start"
                " it where there is one"
            )
        return
    os.environ["DS_ACCELERATOR"] = "cpu"
    # Or DeepSpeed starts `numactl` to count devices, under ZeRO-3 some twenty times a step.
    os.environ["LOCAL_SIZE"] = os.environ.get("LOCAL_WORLD_SIZE", "1")
    os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")  # DeepSpeed's import would load a compiler
    _communicate_over_gloo()


def _communicate_over_gloo() -> None:
    """Keep DeepSpeed from compiling its shared-memory op (a minute, and a C++ compiler).

    Where that op is not marked compatible DeepSpeed reduces over torch's gloo alone, as it does on
    every platform but Linux; the dict of compatible ops is documented there as open to edits.
    """
    import deepspeed.ops

    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False


def join_ranks(config: TrainConfig) -> dict[str, Any]:
    """Meet the other ranks; what the trainer's settings must say of it.

    accelerate knows DeepSpeed on GPUs only, so on CPU it is handed the state it would have made.
    """
    import deepspeed

    if config.device == "gpu":
        deepspeed.init_distributed(verbose=False)
        return {}
    from accelerate import PartialState
    from accelerate.utils import DistributedType

    deepspeed.init_distributed(dist_backend="gloo", verbose=False, auto_mpi_discovery=False)
    state = PartialState(cpu=True, backend="gloo")
    state.distributed_type = DistributedType.DEEPSPEED
    return {"accelerator_config": {"use_configured_state": True}, "use_cpu": False}


@dataclass(frozen=True, kw_only=True)
class InCharge:
    """Who trains, by its own word."""

    engine: str
    distributed_type: str  # accelerate's
    zero_stage: int
    optimizer: str


def assert_in_charge(trainer: Any, config: TrainConfig) -> InCharge:
    """What wraps the model, once it is wrapped. Raises TrainingError if it is another engine, or
    DeepSpeed at another stage."""
    import deepspeed

    engine = trainer.model_wrapped
    kind, distributed = type(engine).__name__, str(trainer.accelerator.distributed_type.value)
    if not isinstance(engine, deepspeed.DeepSpeedEngine):
        raise TrainingError(
            f"DeepSpeed was to train the student, and {kind} wraps it ({distributed})"
        )
    stage = int(engine.zero_optimization_stage())
    if stage != STAGES[config.zero]:
        raise TrainingError(f"train.zero = {config.zero!r}, and DeepSpeed runs stage {stage}")
    return InCharge(
        engine=kind, distributed_type=distributed, zero_stage=stage,
        optimizer=type(engine.optimizer).__name__,
    )  # fmt: skip


def loadable(folder: Path, config: TrainConfig, *, scratch: Path, is_first_here: bool) -> Path:
    """The checkpoint in `folder` as one that these ranks can load. A collective.

    Of as many ranks: as it is. Of another number: DeepSpeed's universal form, made by each node's
    first rank in its `scratch`. Raises TrainingError for a checkpoint of another ZeRO stage.
    """
    import torch.distributed as dist

    made_by = json.loads((folder / MADE_BY).read_text())
    if STAGES[made_by["zero"]] != STAGES[config.zero]:
        raise TrainingError(
            f"the checkpoint to go on from is of train.zero = {made_by['zero']!r}, and"
            f" {config.zero!r} cannot read it: set that again, or begin anew with another seed"
        )
    if made_by["world_size"] == dist.get_world_size():
        return folder
    made = scratch / "universal"
    if is_first_here:
        _make_universal(folder, made, stage=STAGES[config.zero])
    places: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(places, (socket.gethostname(), is_first_here, str(made)))
    host = socket.gethostname()
    return next(Path(path) for name, is_first, path in places if is_first and name == host)


def is_universal(folder: Path) -> bool:
    """Whether `loadable` had to convert it."""
    return (folder / "latest_universal").exists()


def note_maker(folder: Path, config: TrainConfig, *, world_size: int) -> None:
    """Write beside a checkpoint what must be known before it is loaded."""
    (folder / MADE_BY).write_text(json.dumps({"zero": config.zero, "world_size": world_size}))


def _make_universal(folder: Path, made: Path, *, stage: int) -> None:
    from deepspeed.checkpoint import ds_to_universal

    tag = (folder / "latest").read_text().strip()
    shutil.rmtree(made, ignore_errors=True)
    shutil.copytree(folder, made, ignore=shutil.ignore_patterns(tag, "rng_state*"))
    ds_to_universal.main(
        Namespace(
            input_folder=str(folder / tag), output_folder=str(made / f"{tag}_universal"),
            num_extract_workers=1, num_merge_workers=1, keep_temp_folder=False, strict=True,
            inject_missing_state=stage < 3,
        )
    )  # fmt: skip
