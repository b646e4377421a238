"""Our training on the device: DeepSpeed in charge at each stage, a real student, speed, memory."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.training.config import TrainConfig, Zero
from infra.training.reports import TrainingExample
from tests.gpu.bare.models import Made, chains
from tests.gpu.bare.ranks import settings, train
from tests.gpu.bare.speed import memory_figures, speed_figures
from tests.rank_runs import Outcome
from tests.tiny_models import save_tiny_model

pytestmark = pytest.mark.gpu
STAGES: dict[Zero, int] = {"zero2": 2, "zero3": 3, "zero3-offload": 3}
OPTIMIZERS = {2: "DeepSpeedZeroOptimizer", 3: "DeepSpeedZeroOptimizer_Stage3"}


def assert_deepspeed(outcome: Outcome, config: TrainConfig) -> None:
    """Its engine wrapped the model, at the stage asked for, with its own optimizer."""
    stage = STAGES[config.zero]
    assert outcome.result.engine == "DeepSpeedEngine"
    assert (outcome.result.zero_stage, outcome.result.optimizer) == (stage, OPTIMIZERS[stage])


def assert_planned(memory: dict[str, Any]) -> None:
    """The plan promised enough, and no multiple of what was needed."""
    assert 0.9 <= memory["plan_over_peak"] <= 3.0


def test_zero_stages_learn_alike(device: str, tmp_path: Path, figures: dict[str, Any]) -> None:
    configs = {
        zero: settings(
            device, zero=zero, dtype="float32", max_steps=6, per_rank_batch_size=4,
            learning_rate=1e-2, max_length=512, batching="grouped",
        )
        for zero in STAGES
    }  # fmt: skip
    base = save_tiny_model(tmp_path / "base", width=64)
    examples = chains(24, words=lambda draw: draw.randrange(1, 5))
    found = train(configs, base=base, examples=examples, folder=tmp_path / "runs")
    for zero, outcome in found.items():
        result = outcome.result
        figures[zero] = {
            "engine": result.engine, "stage": result.zero_stage, "optimizer": result.optimizer,
            "losses": [round(loss, 6) for loss in outcome.losses],
            "train_s": round(result.train_seconds, 1),
        }  # fmt: skip
    first = found["zero2"].losses
    figures["largest_difference"] = max(
        abs(a - b) for one in found.values() for a, b in zip(first, one.losses, strict=True)
    )
    for zero, config in configs.items():
        assert_deepspeed(found[zero], config)
        assert found[zero].losses == pytest.approx(first, abs=1e-5 if device == "cpu" else 1e-4)
    assert first[-1] < first[0]


def test_a_student_learns_and_loads_in_plain_transformers(
    device: str, smollm2: Made, tmp_path: Path, figures: dict[str, Any]
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    count, size = (160, 16) if device == "cuda" else (22, 4)
    examples = chains(count, words=lambda draw: draw.randrange(1, 4))
    config = settings(
        device, learning_rate=1e-4, per_rank_batch_size=size, max_length=512, batching="grouped",
        held_out_every=1.0, rope_theta=100_000.0,
    )  # fmt: skip
    (found,) = train(
        {"run": config}, base=smollm2.folder, examples=examples, folder=tmp_path / "runs"
    ).values()
    held_out = [r.held_out_loss for r in found.curve if r.held_out_loss is not None]
    memory = memory_figures(found, config, smollm2)
    figures |= {
        "model": smollm2.words, "examples": found.result.num_examples, "dtype": config.dtype,
        "engine": f"{found.result.engine}, ZeRO-{found.result.zero_stage}",
        "losses": [round(loss, 4) for loss in found.losses],
        "held_out_before": held_out[0], "held_out_after": held_out[-1],
        "memory": memory, "train_s": round(found.result.train_seconds, 1),
    }  # fmt: skip
    assert_deepspeed(found, config)
    assert held_out[-1] < held_out[0]

    tokenizer = AutoTokenizer.from_pretrained(found.model)
    model: Any = AutoModelForCausalLM.from_pretrained(found.model, dtype=torch.float32).to(device)
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": f"<compress>{examples[1].prompt}"}],
        add_generation_prompt=True, return_tensors="pt", return_dict=True,
    ).to(device)  # fmt: skip
    written = model.generate(**asked, max_new_tokens=24, do_sample=False)[0]
    figures["writes"] = tokenizer.decode(written[asked["input_ids"].shape[1] :])
    assert tokenizer.convert_tokens_to_ids("<compress>") in asked["input_ids"][0].tolist()
    assert model.num_parameters() == found.result.num_parameters


def like_rationales(draw: random.Random) -> int:
    """Steps: log-normal, as lengths of real rationales are; the longest ten times the median."""
    return min(120, round(draw.lognormvariate(2.5, 0.8)))


def measured(
    config: TrainConfig, made: Made, examples: list[TrainingExample], *, device: str, folder: Path,
    tokens_each: float = 0.0,
) -> dict[str, Any]:  # fmt: skip
    """A run's figures, DeepSpeed's presence asserted."""
    (found,) = train({"run": config}, base=made.folder, examples=examples, folder=folder).values()
    assert_deepspeed(found, config)
    return speed_figures(found, config, made, device=device, tokens_each=tokens_each)


def test_speed_of_smollm2(
    device: str, smollm2: Made, tmp_path: Path, figures: dict[str, Any]
) -> None:
    on_gpu = device == "cuda"
    config = settings(
        device, batching="packed", bin_length=8192 if on_gpu else 512, max_length=4096,
        per_rank_batch_size=1, gradient_accumulation=4 if on_gpu else 1, held_out_examples=0,
        max_steps=12 if on_gpu else 4,
    )  # fmt: skip
    examples = chains(1500 if on_gpu else 8, words=_bounded(like_rationales, device))
    figures |= measured(
        config, smollm2, examples, device=device, folder=tmp_path / "run", tokens_each=300
    )
    assert figures["tokens_per_s"] > 0
    assert_planned(figures["memory"])


@pytest.mark.parametrize("zero", ["zero2", "zero3"])
def test_speed_of_a_larger_model(
    device: str, zero: Zero, qwen: Made, tmp_path: Path, figures: dict[str, Any]
) -> None:
    on_gpu = device == "cuda"
    config = settings(
        device, zero=zero, batching="packed", bin_length=8192 if on_gpu else 128,
        max_length=4096 if on_gpu else 128, gradient_checkpointing=True, held_out_examples=0,
        max_steps=8 if on_gpu else 3,
    )  # fmt: skip
    # The tokenizer of random models knows few words: a step of a chain is 16 tokens there.
    examples = chains(600 if on_gpu else 6, words=_bounded(like_rationales, device, most=1))
    figures |= measured(
        config, qwen, examples, device=device, folder=tmp_path / "run", tokens_each=300
    )
    assert figures["tokens_per_s"] > 0
    assert_planned(figures["memory"])


def test_batching_by_speed(
    device: str, smollm2: Made, tmp_path: Path, figures: dict[str, Any]
) -> None:
    """Packed, grouped and random on the same examples: real tokens a second, the padded first."""
    on_gpu = device == "cuda"
    if on_gpu:
        made, count, size = smollm2, 640, 16
    else:
        folder = save_tiny_model(tmp_path / "base", width=128, layers=4)
        made, count, size = Made(folder=folder, is_real=False, words="random, 1 M"), 64, 8
    examples = chains(count, words=like_rationales)
    configs = {
        batching: settings(
            device, batching=batching, bin_length=8192 if on_gpu else 512, max_length=2048,
            per_rank_batch_size=1 if batching == "packed" else size, held_out_examples=0,
        )
        for batching in ("random", "grouped", "packed")
    }  # fmt: skip
    found = train(configs, base=made.folder, examples=examples, folder=tmp_path / "runs")
    for batching, outcome in found.items():
        assert_deepspeed(outcome, configs[batching])
        seconds = outcome.curve[-1].seconds
        figures[batching] = {
            "tokens": outcome.result.train_tokens, "seconds": round(seconds, 2),
            "tokens_per_s": round(outcome.result.train_tokens / seconds, 1),
            "steps": outcome.result.num_steps, "attention": outcome.device["attention"],
        }  # fmt: skip
    figures["model"] = made.words
    random_speed = figures["random"]["tokens_per_s"]
    for batching in ("grouped", "packed"):
        figures[f"{batching}_over_random"] = round(
            figures[batching]["tokens_per_s"] / random_speed, 2
        )
    assert len({figures[each]["tokens"] for each in ("random", "grouped", "packed")}) == 1
    assert figures["grouped_over_random"] > 1


def _bounded(
    words: Callable[[random.Random], int], device: str, *, most: int = 8
) -> Callable[[random.Random], int]:
    """As they are on a GPU, cut short for a CPU."""
    return words if device == "cuda" else lambda draw: min(most, words(draw))
