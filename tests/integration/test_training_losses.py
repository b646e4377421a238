"""Ranks, a driver and a Ray node lost while two real DeepSpeed ranks train: nothing learnt is lost.

Four Ray nodes on this machine: one for drivers, three that hold a rank each, so one is a spare. All
runs share them, and one run that nothing happened to.
"""

from __future__ import annotations

import hashlib
import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil
import pytest
from ray.cluster_utils import Cluster

from infra.hosting import quiet_ray
from infra.hosting.ray_cluster import start_ray, stop_ray
from infra.storage.opening import open_store
from infra.training.config import TrainConfig
from infra.training.launch import train
from infra.training.reports import StepReport, TrainingError, TrainingExample, TrainResult
from tests.s3_server import S3Service, s3_service
from tests.tiny_models import save_tiny_model

pytestmark = pytest.mark.timeout(480)
CONFIG = TrainConfig(
    device="cpu",
    zero="zero2",
    dtype="float32",
    epochs=10,
    learning_rate=1e-2,
    global_batch_size=8,
    per_rank_batch_size=4,
    max_length=64,
    held_out_examples=3,
    checkpoint_every_steps=4,
)
NUM_STEPS = 40
EXAMPLES = [
    TrainingExample(
        prompt=f"1) right {number % 9}",
        completion=f"3 + {number % 9} = 7",
        condition="compressed" if number % 2 else "original",
    )
    for number in range(32)
]
NODE = {"object_store_memory": 80 * 1024**2, "include_dashboard": False}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    quiet_ray()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **NODE})
    for _ in range(3):
        cluster.add_node(num_cpus=1, **NODE)
    with patch.dict("os.environ", RAY_ADDRESS=cluster.address):
        yield cluster
    stop_ray()
    cluster.shutdown()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("base"), width=64)


class Curve:
    """What was told, and when."""

    def __init__(self, then: Callable[[StepReport], None] = lambda _: None) -> None:
        self.told: list[tuple[float, StepReport]] = []
        self._then = then

    def __call__(self, report: StepReport) -> None:
        # What the attempts before have done is told again by each new driver.
        if report not in (known for _, known in self.told):
            self.told.append((time.monotonic(), report))
            self._then(report)

    @property
    def losses(self) -> list[tuple[Any, ...]]:
        """Of each step, as the last attempt that took it told."""
        last = {r.step: r for _, r in sorted(self.told, key=lambda one: one[1].attempt)}
        return [
            (r.step, r.loss, r.held_out_loss, r.learning_rate, r.grad_norm, r.tokens)
            for _, r in sorted(last.items())
        ]

    def repeated(self) -> dict[int, tuple[int, float]]:
        """Of each attempt but the first: steps taken again, seconds until the first of them."""
        found, furthest = {}, 0
        for number in sorted({r.attempt for _, r in self.told}):
            mine = [(at, r.step) for at, r in self.told if r.attempt == number]
            if number > 1:
                before = max(at for at, r in self.told if r.attempt < number and at < mine[0][0])
                again = sum(step <= furthest for _, step in mine)
                found[number] = (again, round(mine[0][0] - before, 1))
            furthest = max([furthest, *(step for _, step in mine)])
        return found


def weights_hash(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def undisturbed(
    cluster: Cluster, base: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Curve, TrainResult]:
    """A run that only its launcher fails, once all is learnt, before the model is in its place."""
    curve, again = Curve(), Curve()
    output = tmp_path_factory.mktemp("models") / "m1"
    with (
        patch("infra.training.launch._publish", side_effect=OSError("no such disk")),
        pytest.raises(OSError, match="no such disk"),
    ):
        train(CONFIG, base=base, examples=EXAMPLES, output=output, on_progress=curve)
    assert not output.exists()
    result = train(CONFIG, base=base, examples=EXAMPLES, output=output, on_progress=again)
    assert again.told == []
    return output, curve, result


def descendants(word: str) -> list[psutil.Process]:
    """Processes below this one with `word` in their command line."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if word in " ".join(process.cmdline()):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def test_a_finished_student_is_published_without_training_again(
    undisturbed: tuple[Path, Curve, TrainResult],
) -> None:
    output, curve, result = undisturbed
    assert [step[0] for step in curve.losses] == list(range(NUM_STEPS + 1))
    assert {report.attempt for _, report in curve.told} == {1}
    assert (result.num_steps, result.num_attempts, result.world_size) == (NUM_STEPS, 1, 2)
    assert [path.name for path in output.parent.iterdir()] == ["m1"]


def kill_rank() -> None:
    random.choice(descendants("ray::RayTrainWorker")).send_signal(signal.SIGKILL)


class Misfortunes:
    """One an attempt, each at a step of its own choice."""

    def __init__(self, cluster: Cluster, s3: S3Service, seed: int) -> None:
        chosen = random.Random(seed)
        self._cluster, self._s3 = cluster, s3
        self._steps = {1: chosen.randrange(5, 10), 3: chosen.randrange(14, 20),
                       4: chosen.randrange(24, 32)}  # fmt: skip
        self.had: list[str] = []
        s3.refuse = self._while_saving

    def __call__(self, report: StepReport) -> None:
        number = report.attempt
        if len(self.had) != number - 1 or report.step < self._steps.get(number, NUM_STEPS + 1):
            return
        if number == 1:
            self._note(f"a rank at step {report.step}")
            kill_rank()
        if number == 3:
            self._note(f"a node at step {report.step}")
            busy = {p.ppid() for p in descendants("ray::RayTrainWorker")}
            nodes = self._cluster.worker_nodes
            gone = next(n for n in nodes if busy & {n.all_processes["raylet"][0].process.pid})
            self._cluster.remove_node(gone, allow_graceful=False)
        if number == 4:
            self._note(f"the driver at step {report.step}")
            (driver,) = descendants("infra.training.ray_driver")
            driver.send_signal(signal.SIGKILL)

    def _while_saving(self, method: str, path: str) -> bool:
        if len(self.had) == 1 and method in ("PUT", "POST") and "/step-" in path and ".2/" in path:
            self._note(f"a rank that saves {path.rpartition('/step-')[2]}")
            kill_rank()
        return False

    def _note(self, what: str) -> None:
        self.had.append(what)


def test_losses_of_all_kinds_change_nothing_that_is_learnt(
    cluster: Cluster, base: Path, undisturbed: tuple[Path, Curve, TrainResult], tmp_path: Path
) -> None:
    seed = random.randrange(1000)
    with s3_service() as s3:
        corpus = s3.new_corpus()
        place = open_store(corpus).place("weights/.training/k")
        misfortunes = Misfortunes(cluster, s3, seed)
        curve = Curve(misfortunes)

        def go() -> TrainResult:
            return train(
                CONFIG, base=base, examples=EXAMPLES, output=tmp_path / "m1", checkpoints=place,
                on_progress=curve,
            )  # fmt: skip

        with pytest.raises(TrainingError, match="its driver ended with status -9"):
            go()
        result = go()
        left = {part for key in s3.keys(corpus) for part in key.split("/")}
    print(f"seed {seed}: {misfortunes.had}; attempt -> (steps again, seconds): {curve.repeated()}")
    assert len(misfortunes.had) == 4
    output, reference, _ = undisturbed
    assert curve.losses == reference.losses
    assert weights_hash(tmp_path / "m1") == weights_hash(output)
    assert result.num_attempts == 5
    assert all(again <= CONFIG.checkpoint_every_steps for again, _ in curve.repeated().values())
    # The best ones and the student are kept: nothing else, and no half of a checkpoint.
    kept = sorted(name for name in left if re.fullmatch(r"(step-\d+|model)\.\d+", name))
    assert kept[0] == "model.5"
    assert len(kept) == 1 + CONFIG.keep_checkpoints


class CancelledError(Exception):
    pass


def test_a_cancelled_run_keeps_a_checkpoint_that_another_number_of_ranks_goes_on_from(
    base: Path, undisturbed: tuple[Path, Curve, TrainResult], tmp_path: Path
) -> None:
    config = CONFIG.model_copy(update={"checkpoint_every_steps": None, "held_out_every": 1.0})
    first, second = Curve(), Curve()

    def go_on() -> None:
        if first.told and first.told[-1][1].step >= 6:
            raise CancelledError

    output = tmp_path / "m1"
    with pytest.raises(CancelledError):
        train(config, base=base, examples=EXAMPLES, output=output, on_progress=first, go_on=go_on)
    one = config.model_copy(update={"num_ranks": 1})
    result = train(one, base=base, examples=EXAMPLES, output=output, on_progress=second)
    assert (result.world_size, result.num_attempts) == (1, 2)
    mine = {report.step: report for _, report in second.told}
    began = min(step for step, report in mine.items() if report.attempt == 2)
    assert began > 6
    reference = {step[0]: step[1] for step in undisturbed[1].losses}
    after = [mine[step].loss for step in range(began, began + 5)]
    assert after == pytest.approx([reference[step] for step in range(began, began + 5)], abs=1e-4)
    assert [path.name for path in tmp_path.iterdir()] == ["m1"]


def test_ranks_wait_for_room_a_while_and_say_what_is_missing(
    cluster: Cluster, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = CONFIG.model_copy(update={"num_ranks": 40, "global_batch_size": None})
    with pytest.raises(TrainingError, match=r"40 ranks with 1 CPU each .* set train.num_ranks = "):
        train(many, base=base, examples=EXAMPLES, output=tmp_path / "m1")

    start_ray(address=cluster.address)
    from ray.util.placement_group import placement_group, remove_placement_group

    free = len(cluster.worker_nodes)
    taken = placement_group([{"CPU": 1}] * (free - 1))
    assert taken.wait(30)
    monkeypatch.setenv("LITECOT_TRAIN_WAIT_S", "2")
    with pytest.raises(TrainingError, match=r"2 ranks .* found no room in .* 0 of 1 CPU"):
        train(CONFIG, base=base, examples=EXAMPLES, output=tmp_path / "m1")
    remove_placement_group(taken)
