"""What training is told: settings, DeepSpeed files, what its driver and ranks get."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from infra.runs.train_student import _example
from infra.training.checkpoints import training_key
from infra.training.config import TrainConfig, Zero
from infra.training.job import JobFolder, Launch, TrainJob, read_examples
from infra.training.launch import driver_environment, rank_environment, train
from infra.training.reports import StepReport, TrainingError, TrainingExample
from infra.training.room import Demand, RayNode

DEEPSPEED = Path(__file__).resolve().parents[2] / "infra" / "deepspeed"
EXAMPLE = TrainingExample(prompt="1 + 1?", completion="2")


def test_importing_the_launcher_loads_no_heavy_library() -> None:
    code = (
        "import sys, infra.training.launch\n"
        "print({'torch', 'deepspeed', 'transformers', 'ray', 'prefect'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_defaults_are_the_published_ones() -> None:
    config = TrainConfig()
    assert (config.learning_rate, config.lr_scheduler, config.warmup_ratio) == (5e-5, "cosine", 0.1)
    assert (config.max_length, config.seed, config.min_lr_rate) == (8192, 233, 0.1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epoch": 3},
        {"epochs": 0},
        {"learning_rate": 0},
        {"zero": "zero1"},
        {"warmup_ratio": 1.0},
        {"dtype": "float16"},
        {"device": "cpu"},  # bfloat16 by default, which is for GPUs
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TrainConfig.model_validate(wrong)


def test_batch_size_counts_ranks_and_accumulation() -> None:
    config = TrainConfig(num_ranks=4, per_rank_batch_size=2, gradient_accumulation=8)
    assert config.batch_size == 64


def test_every_zero_setting_has_its_deepspeed_file() -> None:
    assert {path.stem for path in DEEPSPEED.glob("*.json")} == set(get_args(Zero))


@pytest.mark.parametrize("zero", get_args(Zero))
def test_deepspeed_files_say_what_their_name_says(zero: str) -> None:
    file = json.loads((DEEPSPEED / f"{zero}.json").read_text())
    assert file["zero_optimization"]["stage"] == (3 if zero.startswith("zero3") else 2)
    assert ("offload_optimizer" in file["zero_optimization"]) == zero.endswith("-offload")
    # DeepSpeed's own Adam kernels are compiled on first use: only offloading needs one.
    assert file["optimizer"]["params"].get("torch_adam", False) != zero.endswith("-offload")


def test_the_driver_gets_no_outer_rank_and_reports_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "7")
    env = driver_environment()
    assert "RANK" not in env
    assert (env["HF_HUB_DISABLE_TELEMETRY"], env["RAY_USAGE_STATS_ENABLED"]) == ("1", "0")
    assert rank_environment(TrainConfig(device="cpu", dtype="float32"))["DS_ACCELERATOR"] == "cpu"
    assert "DS_ACCELERATOR" not in rank_environment(TrainConfig(zero="zero3"))


def test_job_folder_gives_back_what_it_was_given(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    job = TrainJob(config=TrainConfig(rope_theta=100_000), base="org/model")
    odd = TrainingExample(
        prompt="a\nb\u2028c", completion="<|im_end|> \ud800", condition="compressed"
    )
    launch = Launch(checkpoints="/c", address="10.0.0.2:6379", is_local=False)
    folder.write_job(job, [EXAMPLE, odd], launch)
    assert (folder.read_job(), folder.read_launch()) == (job, launch)
    assert read_examples(folder.examples()) == [EXAMPLE, odd]


def test_progress_is_read_in_whole_lines(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    assert folder.read_progress(0) == ([], 0)
    step = StepReport(step=1, num_steps=2, loss=1.5, learning_rate=0.1, tokens_per_s=10)
    folder.append_progress(step)
    with folder.progress.open("a") as file:
        file.write('{"step": 2, "num_')
    steps, offset = folder.read_progress(0)
    assert steps == [step]
    assert folder.read_progress(offset) == ([], offset)


def test_one_training_has_one_key_whatever_it_runs_on() -> None:
    def key(**settings: Any) -> str:
        config = TrainConfig(**{"num_ranks": 2, "global_batch_size": 16, **settings})
        return training_key(config, "base", "data")

    assert key() == key(num_ranks=4) == key(zero="zero2", checkpoint_every_s=60.0)
    assert key() == key(global_batch_size=None, gradient_accumulation=8)
    assert len({key(), key(global_batch_size=32), key(seed=1), key(batching="grouped")}) == 4


NODES = [
    RayNode(name=name, address=name, has={"CPU": 8.0, "GPU": gpus}, free={"CPU": 8.0, "GPU": 0.0})
    for name, gpus in [("a", 8.0), ("b", 4.0)]
]


def test_ranks_that_no_cluster_of_this_size_can_hold_are_refused() -> None:
    assert Demand.of(TrainConfig(num_ranks=12), is_local=False).refusal(NODES) is None
    assert Demand.of(TrainConfig(num_ranks=16), is_local=False).refusal(NODES) == (
        "training wants 16 ranks with 1 GPU each (train.num_ranks) and the cluster holds 12"
        " (a: 8 GPU; b: 4 GPU): set train.num_ranks = 12, or add nodes"
    )


def test_ranks_that_waited_in_vain_say_for_what() -> None:
    said = Demand.of(TrainConfig(num_ranks=12), is_local=False).still_waiting(NODES, 600.4)
    assert "found no room in 600 s; free now: a: 0 of 8 GPU, 8 of 8 CPU; b: 0 of 4 GPU" in said


def test_ranks_of_a_run_on_its_own_always_fit_beside_engines() -> None:
    alone = Demand.of(TrainConfig(device="cpu", dtype="float32", num_ranks=64), is_local=True)
    assert alone.refusal([RayNode(name="a", address="a", has={"CPU": 2.0})]) is None


@pytest.mark.parametrize(("num_ranks", "threads"), [(1, 16), (2, 8), (8, 2), (16, 2)])
def test_ranks_share_the_cores_of_a_node(num_ranks: int, threads: int) -> None:
    nodes = [RayNode(name=n, address=n, has={"CPU": 16.0, "GPU": 8.0}) for n in "ab"]
    demand = Demand.of(TrainConfig(num_ranks=num_ranks), is_local=False)
    assert demand.threads(nodes) == threads


@pytest.mark.parametrize("base", ["no/such/folder", "/nowhere"])
def test_a_base_that_is_not_there_is_refused_at_once(base: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no model to start from in .*config\.json$"):
        train(TrainConfig(), base=base, examples=[EXAMPLE], output=tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_no_examples_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no examples"):
        train(TrainConfig(), base="org/model", examples=[], output=tmp_path / "model")


def test_examples_of_a_problem_are_held_out_together() -> None:
    row = {"prompt": "p", "completion": "c", "condition": "compressed", "problem_id": "9f"}
    assert _example(row).group == "9f"


def test_training_ends_by_steps_or_by_tokens_not_by_both() -> None:
    with pytest.raises(ValidationError, match="set one"):
        TrainConfig(max_steps=3, max_tokens=900)
    assert training_key(TrainConfig(max_tokens=900), "b", "d") != training_key(
        TrainConfig(), "b", "d"
    )
