"""HF Trainer with our order of examples, our DeepSpeed files and a progress file.

Invariant: everything the trainer may do on its own account is off: no checkpoints, reports, bars.

A sample of what DeepSpeed is told: infra/deepspeed/zero2-cpu.json, "auto" filled by the trainer.
"""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from transformers import Trainer, TrainerCallback, TrainingArguments

from infra.training.config import TrainConfig
from infra.training.data import ExampleOrder, Item, collate
from infra.training.job import JobFolder
from infra.training.reports import StepReport, TrainStart

DEEPSPEED_CONFIGS = Path(__file__).resolve().parents[1] / "deepspeed"


def deepspeed_config(config: TrainConfig) -> dict[str, Any]:
    """The DeepSpeed file of `config.zero`; its "auto" values are the trainer's to fill."""
    loaded: dict[str, Any] = json.loads((DEEPSPEED_CONFIGS / f"{config.zero}.json").read_text())
    return loaded


def training_arguments(
    config: TrainConfig, folder: JobFolder, *, use_cpu: bool
) -> TrainingArguments:
    """The trainer's settings. Starts torch.distributed, so ranks first meet here."""
    is_cosine = config.lr_scheduler == "cosine"
    return TrainingArguments(
        output_dir=str(folder.path / "trainer"),
        deepspeed=deepspeed_config(config),
        use_cpu=use_cpu,
        bf16=config.dtype == "bfloat16",
        num_train_epochs=config.epochs,
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine_with_min_lr" if is_cosine else config.lr_scheduler,
        lr_scheduler_kwargs={"min_lr_rate": config.min_lr_rate} if is_cosine else {},
        warmup_steps=config.warmup_ratio,  # below 1: a share of all steps
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        per_device_train_batch_size=config.per_rank_batch_size,
        gradient_accumulation_steps=config.accumulation,
        gradient_checkpointing=config.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False},
        seed=config.seed,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=not use_cpu,
    )


class StudentTrainer(Trainer):
    """Trainer over encoded items."""

    def __init__(
        self,
        model: Any,
        arguments: TrainingArguments,
        *,
        items: Sequence[Item],
        tokenizer: Any,
        config: TrainConfig,
        folder: JobFolder,
        num_too_long: int,
    ) -> None:
        lengths = self.lengths = [len(item["input_ids"]) for item in items]
        self.config, self.num_too_long = config, num_too_long
        self.order = ExampleOrder(
            lengths,
            config.num_ranks * config.per_rank_batch_size,
            seed=config.seed,
            group_by_length=config.how_batched == "grouped",
        )
        pad_id = 0 if tokenizer.pad_token_id is None else tokenizer.pad_token_id  # masked anyway
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=items,
            data_collator=partial(collate, pad_id=pad_id),
            callbacks=[ReportProgress(folder, self, num_tokens=config.epochs * sum(lengths))],
        )

    def start(self) -> TrainStart:
        """Who trains with what, as it is once the ranks have met."""
        engine = self.model_wrapped
        return TrainStart(
            engine=type(engine).__name__,
            zero_stage=int(getattr(engine, "zero_optimization_stage", lambda: 0)()),
            optimizer=type(getattr(self.optimizer, "optimizer", self.optimizer)).__name__,
            world_size=self.args.world_size,
            device="cpu" if self.args.use_cpu else "gpu",
            num_steps=self.state.max_steps,
            batch_size=self.config.batch_size,
            batching=self.config.how_batched,
            num_examples=len(self.lengths),
            num_held_out=0,
            num_too_long=self.num_too_long,
        )

    def _get_train_sampler(self, train_dataset: Any = None) -> ExampleOrder:
        return self.order


class ReportProgress(TrainerCallback):
    """One line a step in the progress file, from rank 0."""

    def __init__(self, folder: JobFolder, trainer: StudentTrainer, *, num_tokens: int) -> None:
        self.folder = folder
        self.trainer = trainer
        self.num_tokens = num_tokens
        self.started = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.started = time.monotonic()
        if state.is_world_process_zero:
            self.folder.write_start(self.trainer.start())
            self.folder.append_progress(StepReport(step=0, num_steps=state.max_steps))

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if not state.is_world_process_zero or "loss" not in logs:
            return
        num_done = self.num_tokens * state.global_step / state.max_steps
        seconds = time.monotonic() - self.started
        self.folder.append_progress(
            StepReport(
                step=state.global_step,
                num_steps=state.max_steps,
                loss=float(logs["loss"]),
                learning_rate=float(logs["learning_rate"]),
                grad_norm=float(logs["grad_norm"]) if "grad_norm" in logs else None,
                epoch=float(logs.get("epoch", 0)),
                tokens=int(num_done),
                tokens_per_s=num_done / seconds,
                peak_memory_bytes=peak_memory_bytes(),
                seconds=seconds,
            )
        )


def peak_memory_bytes() -> int:
    """Of this rank so far: resident memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
