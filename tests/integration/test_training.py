"""Two real DeepSpeed ranks on CPU: learning, determinism, failure, sudden death."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from infra.training.config import TrainConfig
from infra.training.launch import train
from infra.training.reports import StepReport, TrainingError, TrainingExample, TrainResult
from tests.planted_keys import KEYS, MARK, NEEDED
from tests.tiny_models import save_tiny_model

CONFIG = TrainConfig(
    device="cpu",
    zero="zero2",
    dtype="float32",
    epochs=5,
    learning_rate=1e-2,
    per_rank_batch_size=4,
    max_length=64,
    rope_theta=100_000,
    checkpoint_every_steps=2,
)
EXAMPLES = [
    TrainingExample(
        prompt=f"1) right {number % 9}",
        completion=f"3 + {number % 9} = 7",
        condition="compressed" if number % 2 else "original",
    )
    for number in range(32)
]
TOO_LONG = TrainingExample(prompt="x" * 200, completion="y")
SOURCE_ROOT = Path(__file__).resolve().parents[2]
TRAIN_IN_ANOTHER_PROCESS = """
import sys
from pathlib import Path
from infra.training.launch import train
from tests.integration.test_training import CONFIG, EXAMPLES, TOO_LONG
train(CONFIG, base=Path(sys.argv[1]), examples=[*EXAMPLES, TOO_LONG],
      output=Path(sys.argv[2]), on_progress=lambda step: print(step.step, flush=True))
"""


def weights_hash(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("base"), width=64)


@pytest.fixture(scope="module")
def trained(
    base: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, TrainResult, list[StepReport]]:
    steps: list[StepReport] = []
    output = tmp_path_factory.mktemp("models") / "first"
    result = train(
        CONFIG, base=base, examples=[*EXAMPLES, TOO_LONG], output=output, on_progress=steps.append
    )
    return output, result, steps


def test_the_loss_falls_and_every_step_is_reported(
    trained: tuple[Path, TrainResult, list[StepReport]],
) -> None:
    _, result, steps = trained
    assert [step.step for step in steps] == list(range(21))
    assert {step.num_steps for step in steps} == {20}
    losses = [step.loss for step in steps if step.loss is not None]
    assert len(losses) == 20
    assert losses[-1] < losses[0] / 2
    assert result.num_steps == 20
    assert result.world_size == 2
    assert (result.num_examples + result.num_held_out, result.num_too_long) == (32, 1)
    assert result.train_loss == pytest.approx(sum(losses[-4:]) / 4)
    assert result.train_tokens > 0
    assert result.train_seconds > 0


def test_the_output_is_a_complete_model(
    base: Path, trained: tuple[Path, TrainResult, list[StepReport]]
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    output, result, _ = trained
    model = AutoModelForCausalLM.from_pretrained(output)
    assert model.num_parameters() == result.num_parameters
    assert model.config.rope_parameters["rope_theta"] == 100_000
    assert model.config.use_cache
    tokenizer = AutoTokenizer.from_pretrained(output)
    assert "<compress>" in tokenizer.all_special_tokens
    assert weights_hash(output) != weights_hash(base)
    assert not [path for path in output.iterdir() if path.suffix in {".bin", ".pt", ".pkl"}]
    assert [path.name for path in output.parent.iterdir()] == ["first"]


def test_a_killed_run_leaves_no_model_and_the_next_run_gives_the_same_weights(
    base: Path, trained: tuple[Path, TrainResult, list[StepReport]], tmp_path: Path
) -> None:
    output = tmp_path / "model"
    command = [sys.executable, "-c", TRAIN_IN_ANOTHER_PROCESS, str(base), str(output)]
    environment = {**os.environ, **KEYS, **NEEDED}
    with subprocess.Popen(
        command, cwd=SOURCE_ROOT, stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"0\n"
        descendants = psutil.Process(process.pid).children(recursive=True)
        assert sum("RayTrainWorker" in " ".join(one.cmdline()) for one in descendants) == 2
        environments = [one.environ() for one in descendants]
        driver = next(one for one in descendants if "infra.training.ray_driver" in one.cmdline())
        of_driver = driver.environ()  # a rank's own title covers part of what is shown of it
        while process.stdout.readline() != b"4\n":
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    assert not [(name, e[name]) for e in environments for name in e if MARK in e[name]]
    assert NEEDED.items() <= of_driver.items()
    _, alive = psutil.wait_procs(descendants, timeout=10)
    assert [one for one in alive if "Agent" not in one.name()] == []  # two of Ray's, for a minute
    assert not output.exists()

    result = train(CONFIG, base=base, examples=[*EXAMPLES, TOO_LONG], output=output)
    assert result.num_attempts == 2
    assert weights_hash(output) == weights_hash(trained[0])
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_failure_is_one_clear_line_and_keeps_what_was_there(base: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in base.iterdir():
        if file.suffix != ".safetensors":
            (broken / file.name).write_bytes(file.read_bytes())
    output = tmp_path / "model"
    output.mkdir()
    (output / "older").touch()
    one_rank = CONFIG.model_copy(update={"num_ranks": 1})
    started = time.monotonic()
    with pytest.raises(TrainingError) as raised:
        train(one_rank, base=broken, examples=EXAMPLES, output=output)
    assert time.monotonic() - started < 120
    first, *log = str(raised.value).splitlines()
    assert "no file named model.safetensors" in first
    assert log
    assert "Traceback" in (tmp_path / "model.failed.log").read_text()
    assert [path.name for path in output.iterdir()] == ["older"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "broken",
        "model",
        "model.failed.log",
    ]
