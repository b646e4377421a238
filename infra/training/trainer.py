"""TRL's SFTTrainer with our order of examples, our held-out loss, our checkpoints and reports.

Invariants: everything the trainer may do on its own account is off (hub, reports, bars, cards); the
loss is the mean over the learnt tokens of a step, over microbatches and ranks alike; a loss or a
gradient that is no number ends training before it is kept.

A sample: StudentTrainer(model, arguments, data=data, tokenizer=tokenizer, config=config, link=link)
"""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from datasets import Dataset, concatenate_datasets, disable_progress_bars
from transformers import Trainer, TrainerCallback
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from infra.training.config import TrainConfig
from infra.training.curve import CurveRecorder, is_finite
from infra.training.data import FILLER, ExampleOrder, Item, TrainingData
from infra.training.engine import assert_in_charge, deepspeed_config, note_maker
from infra.training.link import RankLink
from infra.training.reports import StepReport, TrainingError, TrainStart

ALL_STEPS = 1 - 1e-9  # as a share; a whole 1 the trainer takes for "every step"
CURVE_FILE = "curve.jsonl"  # in a checkpoint: its StepReports so far


def training_arguments(
    config: TrainConfig,
    data: TrainingData,
    *,
    output: Path,
    joined: dict[str, Any],
    universal: bool,
) -> SFTConfig:
    """The trainer's settings. Under ZeRO-3 they must stand before the model is loaded."""
    is_cosine = config.lr_scheduler == "cosine"
    is_packed = config.how_batched == "packed"
    return SFTConfig(
        output_dir=str(output),
        deepspeed=deepspeed_config(config, universal=universal),
        bf16=config.dtype == "bfloat16",
        num_train_epochs=config.epochs,
        max_steps=config.max_steps or -1,
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
        packing=is_packed,
        packing_strategy="bfd",
        max_length=data.bin_length(config) if is_packed else config.max_length,
        seed=config.seed,
        data_seed=config.seed,
        logging_steps=1,
        logging_nan_inf_filter=False,
        eval_strategy="steps" if data.held_out else "no",
        eval_steps=min(config.held_out_every, ALL_STEPS),  # a share of all steps
        eval_on_start=bool(data.held_out),
        save_strategy="no",  # the recorder asks for it
        average_tokens_across_devices=True,
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=config.device == "gpu",
        **joined,
    )


def attention_for(config: TrainConfig) -> str:
    """What attends: packed bins cost what their examples cost only with varlen kernels."""
    has_flash = config.device == "gpu" and importlib.util.find_spec("flash_attn")
    return "flash_attention_2" if has_flash else "sdpa"


def _with_filler(rows: Dataset) -> Dataset:
    """One row more, for what ExampleOrder fills up with."""
    filler = {**FILLER, "seq_lengths": [1]}
    row = {name: filler[name] for name in rows.column_names}
    return concatenate_datasets([rows, Dataset.from_list([row], features=rows.features)])


class _OnBegin(TrainerCallback):
    """Calls, once the model is wrapped and before the first step; then before each epoch."""

    def __init__(self, train: Callable[[Any], None], epoch: Callable[[Any], None]) -> None:
        self._train, self._epoch = train, epoch

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """See TrainerCallback."""
        self._train(state)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """See TrainerCallback."""
        self._epoch(state)


class StudentTrainer(SFTTrainer):
    """SFTTrainer over encoded items, speaking through a link."""

    def __init__(
        self,
        model: Any,
        arguments: SFTConfig,
        *,
        data: TrainingData,
        tokenizer: Any,
        config: TrainConfig,
        link: RankLink,
        adapters: Any = None,
    ) -> None:
        disable_progress_bars()
        self.config = config
        self.link = link
        self.held_out = data.held_out
        self.recorder = CurveRecorder(config, link)
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_list(data.train),
            eval_dataset=Dataset.from_list(data.held_out) if data.held_out else None,
            processing_class=tokenizer,
            callbacks=[_OnBegin(self._begin, self._begin_epoch), self.recorder],
            peft_config=adapters,
        )
        prepared: Any = self.train_dataset
        rows = prepared["input_ids"]
        self.data = data
        self._assert_whole(rows)
        self.order = self._order_of(rows)
        if config.max_tokens is not None:
            self.args.max_steps = self.order.steps_for(config.max_tokens)
        self.recorder.count_tokens_by(self.order.tokens_until)
        self._seen = 0  # tokens, by this rank in this attempt
        self._first_step = 0
        self.train_dataset = _with_filler(prepared)

    def _assert_whole(self, rows: Sequence[Sequence[int]]) -> None:
        """Nothing that is to be trained on was cut off on the way."""
        given, kept = self.data.tokens(self.data.train), sum(len(row) for row in rows)
        if kept != given:
            raise TrainingError(f"{given - kept} of {given} tokens were lost in packing")

    def _begin(self, state: Any) -> None:
        """The ranks have met: DeepSpeed is in charge, or nothing is trained."""
        config, data = self.config, self.data
        self.start = TrainStart(
            **asdict(assert_in_charge(self, config)),
            world_size=self.args.world_size,
            device=config.device,
            num_steps=state.max_steps,
            batch_size=config.batch_size,
            batching=config.how_batched,
            num_examples=len(data.train),
            num_held_out=len(data.held_out),
            num_too_long=len(data.too_long),
            attempt=self.link.attempt,
        )
        if self.link.rank == 0:
            self.link.start(self.start)

    def _begin_epoch(self, state: Any) -> None:
        """The data loader tells our order the epoch, but not where it skips what was taken before a
        checkpoint, with several ranks: then it would begin that epoch in the order of the first."""
        self.order.go_to(state.global_step)

    def _order_of(self, rows: Sequence[Sequence[int]]) -> ExampleOrder:
        config = self.config
        return ExampleOrder(
            [len(row) for row in rows],
            config.batch_size,
            seed=config.seed,
            group_by_length=config.how_batched == "grouped",
            multiple=config.num_ranks * config.per_rank_batch_size,
        )

    def _get_train_sampler(self, train_dataset: Any = None) -> ExampleOrder:
        return self.order

    # --- held-out loss

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """The loss over all learnt tokens of the held-out examples, nats a token; a collective.

        The trainer's own is a mean over batches, which weighs short ones too much.
        """
        model: Any = self.model
        model.eval()
        total = torch.zeros(2, dtype=torch.float64, device=self.args.device)
        with torch.no_grad(), self.compute_loss_context_manager():
            for items, weight in self._held_out_batches():
                inputs = self._prepare_inputs(self.data_collator(items))
                found = self.model_wrapped(**inputs, use_cache=False, fused_lm_head=True)
                total[0] -= weight * found.log_probs.double().sum()
                total[1] += weight * found.label_mask.sum()
        if dist.is_initialized():
            dist.all_reduce(total)
        model.train()
        loss = float(total[0] / total[1])
        if not is_finite(loss):
            raise TrainingError(self._no_number("held-out loss", loss))
        metrics = {"eval_loss": loss}
        self.recorder.held_out(self.state, self.control, loss)
        return metrics

    def _held_out_batches(self) -> Iterator[tuple[list[Item], int]]:
        """This rank's share in equally many batches on every rank: under ZeRO-3 each forward pass
        is a collective. What only fills up weighs nothing."""
        size, world = self.config.per_rank_batch_size, self.args.world_size
        ordered = sorted(self.held_out, key=lambda item: len(item["input_ids"]))
        for start in range(0, len(ordered), size * world):
            share = ordered[start + self.args.process_index * size :][:size]
            is_ours = self.args.process_index * size < len(ordered[start : start + size * world])
            yield (share, 1) if is_ours else (ordered[:1], 0)

    def training_step(self, model: Any, inputs: dict[str, Any], *args: Any, **options: Any) -> Any:
        """The trainer's, counting what it is given; TRL's own count drops some as an epoch ends."""
        is_padded = "attention_mask" in inputs
        self._seen += int(
            inputs["attention_mask"].sum() if is_padded else inputs["input_ids"].numel()
        )
        return super().training_step(model, inputs, *args, **options)  # type: ignore[no-untyped-call]

    def finish(self) -> None:
        """Every token was seen; the held-out loss of the last weights, and the last report; a
        collective."""
        self._assert_all_seen()
        if self.held_out and not self.recorder.knows_held_out:
            self.evaluate()
        self.recorder.flush()

    def _assert_all_seen(self) -> None:
        seen = torch.tensor(self._seen, device=self.args.device)
        if dist.is_initialized():
            dist.all_reduce(seen)
        first, last = self._first_step, self.state.global_step
        until, fillers = self.order.tokens_until, self.order.fillers_until
        given = until(last) + fillers(last) - until(first) - fillers(first)
        if int(seen) != given:
            raise TrainingError(f"the ranks saw {int(seen)} tokens of {given}")

    # --- checkpoints

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """No weights beside DeepSpeed's own checkpoint: they would be a third more to write."""
        Path(str(output_dir)).mkdir(parents=True, exist_ok=True)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        self.recorder.flush()
        Trainer._save_checkpoint(self, model, trial)  # TRL's own writes a model card first
        folder = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
        if self.is_world_process_zero():
            note_maker(folder, self.config, world_size=self.args.world_size)
            lines = (json.dumps(asdict(report)) + "\n" for report in self.recorder.curve)
            (folder / CURVE_FILE).write_text("".join(lines))
        self.link.keep(
            folder,
            name=f"step-{self.state.global_step}",
            held_out_loss=self.recorder.held_out_at(self.state.global_step),
        )
        shutil.rmtree(folder)

    def go_on_from(self, folder: Path) -> None:
        """Take over what the attempt before had told; on every rank."""
        lines = (folder / CURVE_FILE).read_text().splitlines()
        reports = [StepReport(**json.loads(line)) for line in lines]
        self._first_step = reports[-1].step if reports else 0
        self.recorder.take_over(reports)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """TRL's, and a line where the run must end."""
        super().log(logs, start_time)
        loss, norm = logs.get("loss"), logs.get("grad_norm")
        if loss is not None and not (is_finite(loss) and is_finite(norm)):
            what, value = ("loss", loss) if not is_finite(loss) else ("gradient's norm", norm)
            raise TrainingError(self._no_number(what, float(value or 0)))

    def _no_number(self, what: str, value: float) -> str:
        return (
            f"the {what} is {value} at step {self.state.global_step}:"
            " set a lower train.learning_rate or train.max_grad_norm, or look at the examples"
        )
