"""One rank of a training run: `python -m infra.training.worker STAGING`, started by launch.py.

Invariant: ranks hold equal weights after each step; the same job on as many ranks gives the same
weights, on CPU bit by bit. A rank does not outlive the process that launched it.

A sample, by hand: torchrun --nproc-per-node 2 -m infra.training.worker /corpus/models/.m1.training
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from infra.training.config import TrainConfig
from infra.training.job import LIFELINE_ENV, JobFolder
from infra.training.reports import TrainResult


def main() -> None:
    """Run the rank; on failure say why in one line (for the launcher) and in full (in the log)."""
    _die_with_launcher()
    folder = JobFolder(Path(sys.argv[1]))
    try:
        run_rank(folder)
    except Exception as error:
        folder.write_error(error)
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)  # other ranks may wait for us inside a collective: no orderly exit


def _die_with_launcher() -> None:
    """The launcher's end of our stdin closes when it dies, for whatever reason."""
    if LIFELINE_ENV not in os.environ:
        return
    descriptor = sys.stdin.fileno()

    def watch() -> None:
        while os.read(descriptor, 4096):
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def run_rank(folder: JobFolder) -> None:
    """Load, encode, train, save."""
    job = folder.read_job()
    use_cpu = _choose_accelerator(job.config)

    import deepspeed
    from transformers import set_seed

    from infra.training.data import encode_examples
    from infra.training.student import load_student, save_student
    from infra.training.trainer import StudentTrainer, training_arguments

    set_seed(job.config.seed)  # new adapters are random
    # Both before the model: under ZeRO-3 from_pretrained shards it while it loads.
    arguments = training_arguments(job.config, folder, use_cpu=use_cpu)
    deepspeed.init_distributed(verbose=False)
    model, tokenizer = load_student(job.base, job.config)
    encoded = encode_examples(tokenizer, folder.read_examples())
    items = [item for item in encoded if len(item["input_ids"]) <= job.config.max_length]
    if not items:
        raise ValueError(f"all examples are longer than max_length = {job.config.max_length}")
    trainer = StudentTrainer(
        model, arguments, items=items, tokenizer=tokenizer, config=job.config, folder=folder,
        num_too_long=len(encoded) - len(items),
    )  # fmt: skip
    trainer.train()
    state = trainer.accelerator.get_state_dict(trainer.model_wrapped)  # a collective under ZeRO-3
    if trainer.is_world_process_zero():
        num_parameters = save_student(model, state, tokenizer, folder=folder.model)
        num_too_long = len(encoded) - len(items)
        if num_too_long:
            limit = f"longer than max_length ({job.config.max_length})"
            print(f"{num_too_long} of {len(encoded)} examples {limit} left out", flush=True)
        result = _result(
            trainer, items, num_too_long=num_too_long, num_parameters=num_parameters,
            tokens_too_long=sum(len(one["input_ids"]) for one in encoded) - sum(trainer.lengths),
        )  # fmt: skip
        folder.write_result(result)
    trainer.accelerator.wait_for_everyone()


def _choose_accelerator(config: TrainConfig) -> bool:
    """Whether to train on CPU: asked for, or no GPU here. Must come before deepspeed is loaded."""
    import torch

    use_cpu = config.device == "cpu" or not torch.cuda.is_available()
    if use_cpu:
        os.environ["DS_ACCELERATOR"] = "cpu"
        _communicate_over_gloo()
    return use_cpu


def _communicate_over_gloo() -> None:
    """Keep DeepSpeed from compiling its shared-memory op (a minute, and a C++ compiler).

    Where that op is not marked compatible DeepSpeed reduces over torch's gloo alone, as it does on
    every platform but Linux; the dict of compatible ops is documented there as open to edits.
    """
    import deepspeed.ops

    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False


def _result(
    trainer: Any,
    items: Sequence[dict[str, list[int]]],
    *,
    num_too_long: int,
    tokens_too_long: int,
    num_parameters: int,
) -> TrainResult:
    from infra.training.trainer import peak_memory_bytes

    epochs = int(trainer.args.num_train_epochs)
    losses = [log["loss"] for log in trainer.state.log_history if "loss" in log]
    last_epoch = losses[-max(1, len(losses) // epochs) :]
    start = trainer.start()
    return TrainResult(
        num_steps=trainer.state.global_step,
        num_examples=len(items),
        num_too_long=num_too_long,
        train_tokens=epochs * sum(len(item["input_ids"]) for item in items),
        train_loss=sum(last_epoch) / len(last_epoch),
        train_seconds=0.0,  # the launcher's to measure
        num_parameters=num_parameters,
        world_size=trainer.args.world_size,
        num_held_out=0,
        learnt_tokens=epochs * sum(label >= 0 for item in items for label in item["labels"]),
        tokens_too_long=tokens_too_long,
        tokens_held_out=0,
        held_out_loss=None,
        engine=start.engine,
        zero_stage=start.zero_stage,
        optimizer=start.optimizer,
        batching=start.batching,
        kept_step=trainer.state.global_step,
        num_attempts=1,
        peak_memory_bytes=peak_memory_bytes(),
    )


if __name__ == "__main__":
    main()
