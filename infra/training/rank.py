"""One rank of a training run, from its base to the student, whoever started it.

Invariants: ranks hold equal weights after each step; the same job on as many ranks gives the same
weights, on CPU bit by bit, whether or not it was interrupted; what reaches `link.keep` as MODEL is
complete.

A sample: `run_rank(job, link, scratch)` in each worker of Ray Train (infra/training/ray_driver.py).
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from infra.training.engine import is_universal, join_ranks, loadable, settle_process
from infra.training.job import TrainJob
from infra.training.link import MODEL, RESULT_FILE, RankLink
from infra.training.reports import TrainResult


def run_rank(job: TrainJob, link: RankLink, scratch: Path) -> None:
    """Train `job.base` and keep the student as the checkpoint MODEL; a collective of all ranks.

    Goes on from `link.last()`, if there is one. `scratch`: a folder of this rank's own. Returns
    without a student where the driver wished to stop. Raises TrainingError, ValueError, OSError
    for what no second attempt would mend.
    """
    began = time.monotonic()
    settle_process(job.config)
    joined = join_ranks(job.config)
    with link.last() as last:
        if last is not None and (last / RESULT_FILE).exists():
            return  # a student that its driver did not live to publish
        trained = StudentRun(job, link, scratch, joined=joined, last=last)
        if not trained.run():
            return
    folder = trained.save(began)
    link.keep(folder, name=MODEL, held_out_loss=None)


class StudentRun:
    """The run in its steps: load, train, save."""

    def __init__(
        self, job: TrainJob, link: RankLink, scratch: Path, *, joined: dict[str, Any],
        last: Path | None,
    ) -> None:  # fmt: skip
        from transformers import set_seed

        from infra.training.data import prepare_data
        from infra.training.student import adapters_of, load_student, load_words
        from infra.training.trainer import StudentTrainer, attention_for, training_arguments

        config = job.config
        self.job, self.link, self.scratch = job, link, scratch
        self.checkpoint = last and loadable(
            last, config, scratch=scratch, is_first_here=link.local_rank == 0
        )
        self.words = load_words(job.base, config)
        self.data = prepare_data(self.words.tokenizer, link.examples(), config)
        set_seed(config.seed)  # new adapters are random
        # Before the model: under ZeRO-3 from_pretrained shards it while it loads.
        arguments = training_arguments(
            config, self.data, output=scratch / "trainer", joined=joined,
            universal=self.checkpoint is not None and is_universal(self.checkpoint),
        )  # fmt: skip
        arguments.eval_on_start = arguments.eval_on_start and last is None
        model = load_student(job.base, config, self.words, attention=attention_for(config))
        self.trainer = StudentTrainer(
            model, arguments, data=self.data, tokenizer=self.words.tokenizer, config=config,
            link=link, adapters=adapters_of(config),
        )  # fmt: skip

    def run(self) -> bool:
        """Whether it came to its end; otherwise the driver wished to stop."""
        trainer = self.trainer
        if self.checkpoint is not None:
            trainer.go_on_from(self.checkpoint)
        trainer.train(resume_from_checkpoint=str(self.checkpoint) if self.checkpoint else None)
        if trainer.recorder.is_stopped:
            return False
        trainer.finish()
        return True

    def save(self, began: float) -> Path | None:
        """The folder of the student, on rank 0; a collective."""
        from infra.training.student import save_student

        kept_step = self._take_kept_weights()
        # A collective under ZeRO-3:
        state = self.trainer.accelerator.get_state_dict(self.trainer.model_wrapped)
        if not self.trainer.is_world_process_zero():
            return None
        folder = self.scratch / "student"
        num_parameters = save_student(
            self.trainer.model, state, self.words, base=self.job.base, config=self.job.config,
            folder=folder,
        )  # fmt: skip
        result = self._result(began, num_parameters=num_parameters, kept_step=kept_step)
        (folder / RESULT_FILE).write_text(json.dumps(asdict(result)))
        return folder

    def _take_kept_weights(self) -> int:
        """The weights that the config wants, and the step they are of; a collective."""
        curve = self.trainer.recorder.curve
        last = curve[-1].step
        measured = [
            (r.held_out_loss, r.step) for r in curve if r.step and r.held_out_loss is not None
        ]
        if self.job.config.student == "last" or not measured:
            return last
        _, best = min(measured)
        if best == last:
            return last
        with self.link.best() as folder:
            if folder is None:
                return last
            checkpoint = loadable(
                folder, self.job.config, scratch=self.scratch,
                is_first_here=self.link.local_rank == 0,
            )  # fmt: skip
            engine: Any = self.trainer.model_wrapped
            engine.load_checkpoint(
                str(checkpoint), load_optimizer_states=False, load_lr_scheduler_states=False,
                load_module_only=True,
            )  # fmt: skip
        return best

    def _result(self, began: float, *, num_parameters: int, kept_step: int) -> TrainResult:
        config, data, curve = self.job.config, self.data, self.trainer.recorder.curve
        start = self.trainer.start
        losses = [report.loss for report in curve if report.loss is not None]
        last_epoch = losses[-max(1, len(losses) // config.epochs) :]
        kept = next(report for report in curve if report.step == kept_step)
        return TrainResult(
            num_steps=self.trainer.state.global_step,
            num_examples=len(data.train),
            num_too_long=len(data.too_long),
            num_held_out=len(data.held_out),
            train_tokens=curve[-1].tokens,
            learnt_tokens=data.learnt_tokens(data.train),
            tokens_too_long=data.tokens(data.too_long),
            tokens_held_out=data.tokens(data.held_out),
            train_loss=sum(last_epoch) / len(last_epoch),
            held_out_loss=kept.held_out_loss,
            train_seconds=time.monotonic() - began,
            num_parameters=num_parameters,
            world_size=self.trainer.args.world_size,
            engine=start.engine,
            zero_stage=start.zero_stage,
            optimizer=start.optimizer,
            batching=config.how_batched,
            kept_step=kept_step,
            num_attempts=self.link.attempt,
            peak_memory_bytes=max(report.peak_memory_bytes for report in curve),
        )
