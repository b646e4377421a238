"""What training is told: settings, DeepSpeed files, the command that starts the ranks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from pydantic import ValidationError

from infra.training.config import LoraSettings, TrainConfig, Zero
from infra.training.job import LIFELINE_ENV, JobFolder, TrainJob
from infra.training.launch import rank_command, rank_environment, train
from infra.training.reports import StepReport, TrainingError, TrainingExample

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
        {"zero": "zero3", "lora": LoraSettings()},
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


def test_command_starts_the_worker_on_every_rank(tmp_path: Path) -> None:
    command = rank_command(TrainConfig(num_ranks=3), tmp_path)
    assert command[command.index("--nproc-per-node") + 1] == "3"
    assert command[-2:] == ["infra.training.worker", str(tmp_path)]


def test_ranks_share_the_cores_and_report_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "7")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    env = rank_environment(TrainConfig(num_ranks=2, device="cpu"))
    assert "RANK" not in env
    assert (env["OMP_NUM_THREADS"], env["DS_ACCELERATOR"], env[LIFELINE_ENV]) == (
        "4",
        "cpu",
        "stdin",
    )
    assert env["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert "DS_ACCELERATOR" not in rank_environment(TrainConfig(zero="zero3"))


def test_job_folder_gives_back_what_it_was_given(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    job = TrainJob(config=TrainConfig(rope_theta=100_000), base="org/model")
    odd = TrainingExample(
        prompt="a\nb\u2028c", completion="<|im_end|> \ud800", condition="compressed"
    )
    folder.write_job(job, [EXAMPLE, odd])
    assert folder.read_job() == job
    assert folder.read_examples() == [EXAMPLE, odd]


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


def test_log_tail_leaves_out_torchruns_report(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    folder.log.write_text(
        "one\ntwo\nOSError: no weights\n"
        "E1121 02:05:46.319000 7186 torch/distributed/elastic/multiprocessing/api.py:1002] failed\n"
        "Root Cause (first observed failure):\n"
    )
    assert folder.log_tail(2) == "two\nOSError: no weights"


@pytest.mark.parametrize("base", ["no/such/folder", "/nowhere"])
def test_a_base_that_is_not_there_is_refused_at_once(base: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no model to start from in .*config\.json$"):
        train(TrainConfig(), base=base, examples=[EXAMPLE], output=tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_no_examples_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no examples"):
        train(TrainConfig(), base="org/model", examples=[], output=tmp_path / "model")
