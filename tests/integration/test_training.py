"""Two real DeepSpeed ranks on CPU: learning, determinism, failure, sudden death."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from infra.training.config import TrainConfig
from infra.training.launch import train
from infra.training.reports import StepReport, TrainingError, TrainingExample, TrainResult
from tests.planted_keys import KEYS, MARK, NEEDED
from tests.tiny_models import save_tiny_model
from tests.told_curve import EXAMPLES, ToldCurve, weights_hash

CONFIG = TrainConfig(
    device="cpu",
    zero="zero2",
    dtype="float32",
    epochs=30,
    learning_rate=1e-2,
    per_rank_batch_size=4,
    max_length=64,
    rope_theta=100_000,
    checkpoint_every_steps=10,
)
NUM_STEPS = 120
TOO_LONG = TrainingExample(prompt="x" * 200, completion="y")
SOURCE_ROOT = Path(__file__).resolve().parents[2]
TRAIN_IN_ANOTHER_PROCESS = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from infra.training.launch import train
from tests.integration.test_training import CONFIG, EXAMPLES, TOO_LONG

def tell(step):
    print(json.dumps(asdict(step)), flush=True)

train(CONFIG, base=Path(sys.argv[1]), examples=[*EXAMPLES, TOO_LONG], output=Path(sys.argv[2]),
      on_progress=tell)
"""


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
    assert [step.step for step in steps] == list(range(NUM_STEPS + 1))
    assert {step.num_steps for step in steps} == {NUM_STEPS}
    losses = [step.loss for step in steps if step.loss is not None]
    assert len(losses) == NUM_STEPS
    assert losses[-1] < losses[0] / 2
    assert result.num_steps == NUM_STEPS
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


class OtherProcess:
    """A training whose launcher is a process of its own."""

    def __init__(self, base: Path, output: Path, curve: ToldCurve) -> None:
        command = [sys.executable, "-c", TRAIN_IN_ANOTHER_PROCESS, str(base), str(output)]
        self._process = subprocess.Popen(
            command, cwd=SOURCE_ROOT, stdout=subprocess.PIPE, env={**os.environ, **KEYS, **NEEDED}
        )
        self._curve = curve

    def read_until(self, is_it: Callable[[StepReport], bool]) -> None:
        """Take note of steps up to the one; all there are where it never comes."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            report = StepReport(**json.loads(line))
            self._curve(report)
            if is_it(report):
                return

    @property
    def below(self) -> list[psutil.Process]:
        return psutil.Process(self._process.pid).children(recursive=True)

    def kill(self) -> None:
        """And nobody is left but two agents of Ray, for a minute."""
        below = self.below
        self._process.send_signal(signal.SIGKILL)
        _, alive = psutil.wait_procs(below, timeout=10)
        assert [one for one in alive if "Agent" not in one.name()] == []
        self.read_until(lambda _: False)
        self._process.wait()


def is_rank(process: psutil.Process) -> bool:
    return "ray::RayTrainWorker" in " ".join(process.cmdline())


def assert_no_keys(below: list[psutil.Process]) -> None:
    environments = [one.environ() for one in below]
    assert not [(name, e[name]) for e in environments for name in e if MARK in e[name]]
    driver = next(one for one in below if "infra.training.ray_driver" in one.cmdline())
    assert NEEDED.items() <= driver.environ().items()  # a rank's title covers part of its own


def test_a_rank_killed_while_it_saves_then_the_run_then_a_torn_list_change_nothing(
    base: Path, trained: tuple[Path, TrainResult, list[StepReport]], tmp_path: Path
) -> None:
    seed = random.randrange(1000)
    chosen = random.Random(seed)
    every = CONFIG.checkpoint_every_steps
    assert every is not None
    saving = every * chosen.randint(1, 3)
    dying = saving + chosen.randint(1, 2 * every)
    output, curve = tmp_path / "model", ToldCurve()
    run = OtherProcess(base, output, curve)
    run.read_until(lambda report: report.step == 0)
    below = run.below
    ranks = [one for one in below if is_rank(one)]
    assert len(ranks) == 2
    assert_no_keys(below)
    while not any(tmp_path.glob(f".training/*/step-{saving}.1")):
        time.sleep(0.001)
    curve.lose(f"a rank that saves step {saving}")
    chosen.choice(ranks).send_signal(signal.SIGKILL)
    run.read_until(lambda report: report.attempt == 2 and report.step == dying)
    curve.lose(f"the run at step {dying}")
    run.kill()
    assert not output.exists()
    (listed,) = tmp_path.glob(".training/*/checkpoint_manager_snapshot.json")
    listed.write_bytes(listed.read_bytes()[:50])

    result = train(
        CONFIG, base=base, examples=[*EXAMPLES, TOO_LONG], output=output, on_progress=curve
    )
    print(f"seed {seed}, folder", curve.words, sep="\n")
    reference = ToldCurve()
    for report in trained[2]:
        reference(report)
    assert result.num_attempts == 3
    assert curve.losses == reference.losses
    assert weights_hash(output) == weights_hash(trained[0])
    assert all(again <= 2 * every for again in curve.repeated.values())
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
