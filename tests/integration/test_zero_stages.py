"""Two real DeepSpeed ranks on CPU at every ZeRO stage: who trains, what is learnt, kept and saved.

One pair of processes trains all of it, a second has another number of ranks.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from safetensors.torch import load_file

from infra.engines.chat import chat_encoder, load_tokenizer
from infra.training.reports import TrainingExample
from tasks.ports import Prompt
from tests.rank_runs import Outcome, RankJob, run_jobs
from tests.tiny_models import save_tiny_model

pytestmark = pytest.mark.timeout(300)
CONFIG: dict[str, Any] = {
    "device": "cpu",
    "dtype": "float32",
    "epochs": 2,
    "learning_rate": 5e-3,
    "per_rank_batch_size": 2,
    "global_batch_size": 8,
    "max_length": 96,
}
STAGES = ("zero2", "zero3", "zero3-offload")
NUM_STEPS = 8
STOP_AT = 5  # inside the second epoch: resuming must keep that epoch's order
LORA = {"lora": {"rank": 8}, "learning_rate": 1e-2}


def examples(num: int = 32) -> list[dict[str, Any]]:
    drawn = random.Random(0)
    return [
        asdict(
            TrainingExample(
                prompt=f"1) right {number % 9}" + " left 3" * drawn.randint(0, 3),
                completion=f"3 + {number % 9} = {3 + number % 9}" + " so" * drawn.randint(0, 12),
                condition="compressed" if number % 2 else "original",
                group=str(number // 2),
            )
        )
        for number in range(num)
    ]


Outcomes = Mapping[str, list[Outcome]]


def run_all(folder: Path, jobs: list[RankJob], *, num_ranks: int = 2) -> dict[str, list[Outcome]]:
    found: dict[str, list[Outcome]] = {}
    for job, outcome in zip(jobs, run_jobs(folder, jobs, num_ranks=num_ranks), strict=True):
        found.setdefault(job.run, []).append(outcome)
    return found


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """With and without `<compress>` among their tokens."""
    folder = tmp_path_factory.mktemp("bases")
    known = save_tiny_model(folder / "known", width=64)
    new = save_tiny_model(folder / "new", width=64, compress=False)
    llama = save_tiny_model(folder / "llama", width=64, kind="llama")
    bases = {"known": known, "new": new, "llama": llama, "no weights": folder / "no weights"}
    shutil.copytree(known, bases["no weights"], ignore=shutil.ignore_patterns("*.safetensors"))
    return {name: str(path) for name, path in bases.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def outcomes(bases: dict[str, str], folder: Path) -> Outcomes:
    def job(run: str, *, base: str = "known", stop_at: int | None = None, mode: str = "train",
            **settings: Any) -> RankJob:  # fmt: skip
        taught = examples(64 if mode == "packing" else 32)
        return RankJob(run=run, base=bases[base], config=CONFIG | settings, examples=taught,
                       stop_at=stop_at, mode=mode)  # fmt: skip

    jobs = [job("plain", zero="zero2", mode="plain")]
    jobs += [job(stage, zero=stage) for stage in STAGES]
    jobs += [job(f"lora-{stage}", base="new", zero=stage, **LORA) for stage in STAGES]
    jobs += [job(f"new-{stage}", base="new", zero=stage, max_steps=4) for stage in STAGES]
    for stage in ("zero2", "zero3"):
        jobs += [
            job(f"again-{stage}", zero=stage, stop_at=STOP_AT),
            job(f"again-{stage}", zero=stage),
        ]
        jobs += [job(f"other-{stage}", zero=stage, stop_at=STOP_AT)]
    jobs += [
        job("text", base="new", zero="zero2", compress_token="text", max_steps=4),
        job("text-of-known", zero="zero2", compress_token="text"),
        job("recomputed", zero="zero2", gradient_checkpointing=True),
        job("small batches", zero="zero2", per_rank_batch_size=1),
        job(
            "best",
            zero="zero2",
            student="best",
            learning_rate=0.3,
            max_steps=8,
            lr_scheduler="constant_with_warmup",
            held_out_every=1 / 8,
        ),
        job("no weights", base="no weights", zero="zero2"),
        job("no number", zero="zero2", learning_rate=1e30, checkpoint_every_steps=1),
        job(
            "diverges",
            zero="zero2",
            epochs=16,
            learning_rate=3.0,  # reached after a warm-up of 38 steps: grows on and on
            warmup_ratio=0.6,
            lr_scheduler="constant_with_warmup",
            checkpoint_every_steps=8,
        ),
        job("packed", zero="zero2", batching="packed", bin_length=160),
        job("packed", zero="zero2", batching="packed", bin_length=160, mode="packing"),
        job(
            "packed llama",
            base="llama",
            zero="zero2",
            batching="packed",
            bin_length=160,
            mode="packing",
        ),
    ]
    (folder / "bin").mkdir()
    (folder / "bin" / "numactl").write_text(f"#!/bin/sh\necho started >>{folder}/numactl\nexit 1\n")
    (folder / "bin" / "numactl").chmod(0o755)
    with patch.dict(os.environ, PATH=f"{folder}/bin{os.pathsep}{os.environ['PATH']}"):
        return run_all(folder, jobs)


def weights(outcome: Outcome) -> dict[str, torch.Tensor]:
    return load_file(outcome.model / "model.safetensors")


def assert_equal(left: Outcome, right: Outcome, *, within: float = 0.0) -> None:
    ours, theirs = weights(left), weights(right)
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=within)


@pytest.mark.parametrize("stage", STAGES)
def test_deepspeed_is_in_charge_at_the_stage_asked_for(outcomes: Outcomes, stage: str) -> None:
    (outcome,) = outcomes[stage]
    assert outcome.error is None
    (start,) = outcome.starts
    assert (start.engine, start.distributed_type) == ("DeepSpeedEngine", "DEEPSPEED")
    assert start.zero_stage == (2 if stage == "zero2" else 3)
    assert start.optimizer.startswith("DeepSpeedZeroOptimizer")
    assert f"DeepSpeed ZeRO-{start.zero_stage} on cpu (DeepSpeedEngine, DEEPSPEED)" in start.line
    result = outcome.result
    assert (result.engine, result.zero_stage, result.world_size) == (
        start.engine,
        start.zero_stage,
        2,
    )
    assert len(outcome.losses) == NUM_STEPS


def test_no_process_is_started_to_count_devices(outcomes: Outcomes, folder: Path) -> None:
    """DeepSpeed on CPU asks `numactl` for them, at every gather, where nobody tells it."""
    assert outcomes
    assert not (folder / "numactl").exists()


def test_training_by_anything_else_is_refused_before_the_first_step(outcomes: Outcomes) -> None:
    (outcome,) = outcomes["plain"]
    assert outcome.error is not None
    assert (
        "DeepSpeed was to train the student, and DistributedDataParallel wraps it" in outcome.error
    )
    assert (outcome.starts, outcome.curve) == ([], [])


@pytest.mark.parametrize("prefix", ["", "lora-", "new-"])
def test_every_stage_learns_the_same(outcomes: Outcomes, prefix: str) -> None:
    (reference,) = outcomes[f"{prefix}zero2"]
    assert reference.losses[-1] < reference.losses[0] / 2 or prefix == "new-"
    for stage in STAGES[1:]:
        (outcome,) = outcomes[f"{prefix}{stage}"]
        assert outcome.losses == pytest.approx(reference.losses, abs=1e-5)
        held_out = [r.held_out_loss for r in outcome.curve if r.held_out_loss is not None]
        assert held_out == pytest.approx(
            [r.held_out_loss for r in reference.curve if r.held_out_loss is not None], abs=1e-5
        )
        assert_equal(outcome, reference, within=1e-4)


@pytest.mark.parametrize("run", ["packed", "packed llama"])
def test_a_packed_example_is_learnt_as_if_it_were_alone(outcomes: Outcomes, run: str) -> None:
    """Contamination 0: what else is in its bin changes nothing, and no border is learnt."""
    outcome = outcomes[run][-1]
    assert outcome.error is None
    assert len(outcome.packed) > 40
    for example in outcome.packed:
        assert example["packed"] == pytest.approx(example["alone"], abs=1e-5)
        assert example["among others"] == example["packed"]
        assert example["borders"] == 0


def test_packing_loses_no_token(outcomes: Outcomes) -> None:
    packed, grouped = outcomes["packed"][0].result, outcomes["zero2"][0].result
    assert packed.batching == "packed"
    assert packed.train_tokens == grouped.train_tokens
    assert packed.num_steps < grouped.num_steps


@pytest.mark.parametrize("run", ["recomputed", "small batches"])
def test_how_a_batch_is_computed_changes_nothing(outcomes: Outcomes, run: str) -> None:
    (outcome,), (reference,) = outcomes[run], outcomes["zero2"]
    assert outcome.losses == pytest.approx(reference.losses, abs=1e-5)


@pytest.mark.parametrize("stage", ["zero2", "zero3"])
def test_a_stopped_run_goes_on_to_the_same_bits(outcomes: Outcomes, stage: str) -> None:
    stopped, resumed = outcomes[f"again-{stage}"]
    (reference,) = outcomes[stage]
    assert stopped.losses == reference.losses[: len(stopped.losses)]
    assert STOP_AT <= len(stopped.losses) < NUM_STEPS - 1
    assert [asdict(r) | UNTIMED for r in resumed.curve] == [
        asdict(r) | UNTIMED for r in reference.curve
    ]
    assert_equal(resumed, reference)


UNTIMED = {"tokens_per_s": 0.0, "seconds": 0.0, "peak_memory_bytes": 0}


def test_another_number_of_ranks_goes_on(
    outcomes: Outcomes, folder: Path, bases: dict[str, str]
) -> None:
    jobs = [
        RankJob(run=f"other-{stage}", base=bases["known"], examples=examples(),
                config=CONFIG | {"zero": stage, "num_ranks": 1})
        for stage in ("zero2", "zero3")
    ]  # fmt: skip
    jobs.append(RankJob(run="other-zero2-3", base=bases["known"], examples=examples(),
                        config=CONFIG | {"zero": "zero3", "num_ranks": 1}))  # fmt: skip
    (folder / "other-zero2-3").symlink_to(folder / "other-zero2")
    jobs = [jobs[2], *jobs[:2]]
    found = run_all(folder, jobs, num_ranks=1)
    (refused,) = found["other-zero2-3"]
    assert refused.error is not None
    assert "train.zero = 'zero2', and 'zero3' cannot read it" in refused.error
    for stage in ("zero2", "zero3"):
        (outcome,), (reference,) = found[f"other-{stage}"], outcomes[stage]
        assert (outcome.error, outcome.result.world_size) == (None, 1)
        assert outcome.losses == pytest.approx(reference.losses, abs=1e-4)
        assert_equal(outcome, reference, within=1e-3)


@pytest.mark.parametrize("run", [f"{kind}-{stage}" for kind in ("new", "lora") for stage in STAGES])
def test_a_student_is_plain_whole_and_knows_compress(
    outcomes: Outcomes, bases: dict[str, str], run: str
) -> None:
    from transformers import AutoModelForCausalLM

    (outcome,) = outcomes[run]
    tokenizer = load_tokenizer(str(outcome.model))
    token = tokenizer.convert_tokens_to_ids("<compress>")
    base = AutoModelForCausalLM.from_pretrained(bases["new"])
    model, loading = AutoModelForCausalLM.from_pretrained(outcome.model, output_loading_info=True)
    assert not any(loading[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert model.num_parameters() == outcome.result.num_parameters
    rows, before = model.get_input_embeddings().weight, base.get_input_embeddings().weight
    assert rows.shape[0] == before.shape[0] + 1 == len(tokenizer)
    start = before.float().mean(dim=0)
    moved = float((rows[token] - start).detach().abs().max())  # from the mean of the others
    assert 1e-4 < moved < 0.1 if run.startswith("new") else moved < 1e-6
    assert model.generation_config.eos_token_id in (
        tokenizer.eos_token_id,
        [tokenizer.eos_token_id],
    )


def test_compress_can_be_plain_text(outcomes: Outcomes, bases: dict[str, str]) -> None:
    (outcome,) = outcomes["text"]
    tokenizer = load_tokenizer(str(outcome.model))
    assert "<compress>" not in tokenizer.get_added_vocab()
    asked = chat_encoder(tokenizer).encode_prompt(Prompt(text="1) right 4", compress=True))
    message = [{"role": "user", "content": "<compress>1) right 4"}]
    assert asked == tokenizer.apply_chat_template(
        message, add_generation_prompt=True, return_dict=False
    )
    (special,) = outcomes["new-zero2"]
    assert outcome.result.train_tokens > special.result.train_tokens
    (refused,) = outcomes["text-of-known"]
    assert refused.error is not None
    assert "knows <compress> as a token of its own" in refused.error


def test_the_best_weights_are_kept_where_asked(outcomes: Outcomes) -> None:
    (outcome,) = outcomes["best"]
    measured = {r.step: r.held_out_loss for r in outcome.curve if r.held_out_loss is not None}
    best = min((loss, step) for step, loss in measured.items() if step)
    assert best[1] < 8
    assert (outcome.result.held_out_loss, outcome.result.kept_step) == best
    kept = [name for name, _ in checkpoints(outcome)]
    assert kept[-1] == "model"
    assert f"step-{best[1]}" in kept


def test_a_base_without_weights_is_named(outcomes: Outcomes) -> None:
    (outcome,) = outcomes["no weights"]
    assert outcome.error is not None
    assert "no file named model.safetensors" in outcome.error
    assert not outcome.model.exists()


def test_a_loss_that_is_no_number_ends_training_and_is_never_kept(outcomes: Outcomes) -> None:
    (outcome,) = outcomes["no number"]
    assert outcome.error is not None
    assert "loss is nan at step" in outcome.error
    assert "set a lower train.learning_rate" in outcome.error
    assert not outcome.model.exists()
    at = int(outcome.error.split("at step ")[1].split(":")[0])
    kept = [int(name.removeprefix("step-")) for name, _ in checkpoints(outcome)]
    assert kept == list(range(1, at))


def test_divergence_ends_training_and_keeps_the_last_checkpoint(outcomes: Outcomes) -> None:
    (outcome,) = outcomes["diverges"]
    assert outcome.error is not None
    assert outcome.error.startswith("training diverges: the loss of the last 10 steps is")
    assert len(outcome.losses) == 30
    assert "step-24" in [name for name, _ in checkpoints(outcome)]
    assert not outcome.model.exists()


def checkpoints(outcome: Outcome) -> list[tuple[str, float | None]]:
    return [tuple(json.loads(line)) for line in (outcome.folder / "kept").open()]
