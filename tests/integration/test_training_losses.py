"""Ranks, a driver and a Ray node lost while two real DeepSpeed ranks train: nothing learnt is lost.

Four Ray nodes on this machine: one for drivers, three that hold a rank each, so one is a spare. All
runs share them, and one run that nothing happened to.
"""

from __future__ import annotations

import json
import random
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import psutil
import pytest
from ray.cluster_utils import Cluster

from infra.hosting import quiet_ray
from infra.hosting.ray_cluster import start_ray, stop_ray
from infra.runs.curve import Curve, last_attempt
from infra.storage import Corpus, CorpusWriter
from infra.storage.opening import open_store
from infra.storage.store import Place
from infra.training.config import TrainConfig
from infra.training.launch import train
from infra.training.reports import StepReport, TrainingError, TrainResult
from sql.database import Database, connect
from tests.s3_server import S3Service, s3_service
from tests.tiny_models import save_tiny_model
from tests.told_curve import EXAMPLES, ToldCurve, weights_hash

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
    checkpoint_every_steps=3,  # an epoch has four: most lie inside of one
)
NUM_STEPS = 40
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


@pytest.fixture(scope="module")
def undisturbed(
    cluster: Cluster, base: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, ToldCurve, TrainResult]:
    """A run that only its launcher fails, once all is learnt, before the model is in its place."""
    curve, again = ToldCurve(), ToldCurve()
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
    undisturbed: tuple[Path, ToldCurve, TrainResult],
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
        self._cluster = cluster
        # Attempt -> the step from which it suffers what, but for what comes while it saves.
        self._plan: dict[int, tuple[int, Callable[[int], None]]] = {
            1: (chosen.randrange(5, 10), self._lose_rank),
            3: (chosen.randrange(14, 20), self._lose_node),
            4: (chosen.randrange(22, 29), self._lose_driver),
        }
        self.curve = ToldCurve(self._look)
        s3.refuse = self._while_saving

    def _look(self, report: StepReport) -> None:
        step, happen = self._plan.get(report.attempt, (NUM_STEPS + 1, self._lose_rank))
        if len(self.curve.had) == report.attempt - 1 and report.step >= step:
            happen(report.step)

    def _lose_rank(self, step: int) -> None:
        self.curve.lose(f"a rank at step {step}")
        kill_rank()

    def _lose_node(self, step: int) -> None:
        self.curve.lose(f"a node at step {step}")
        busy = {p.ppid() for p in descendants("ray::RayTrainWorker")}
        nodes = self._cluster.worker_nodes
        gone = next(n for n in nodes if busy & {n.all_processes["raylet"][0].process.pid})
        self._cluster.remove_node(gone, allow_graceful=False)

    def _lose_driver(self, step: int) -> None:
        self.curve.lose(f"the driver at step {step}")
        (driver,) = descendants("infra.training.ray_driver")
        driver.send_signal(signal.SIGKILL)

    def _while_saving(self, method: str, path: str) -> bool:
        """Kill a rank whose checkpoint is on its way; then the driver's record is refused a while,
        and nobody minds."""
        is_second = len(self.curve.had) == 1 and method in ("PUT", "POST")
        if is_second and (saved := re.search(r"/step-(\d+)\.2/", path)):
            self.curve.lose(f"a rank that saves step {saved[1]}")
            kill_rank()
        return len(self.curve.had) == 2 and method == "PUT" and path.endswith("/runs.json")


def test_losses_of_all_kinds_change_nothing_that_is_learnt(
    cluster: Cluster, base: Path, undisturbed: tuple[Path, ToldCurve, TrainResult], tmp_path: Path
) -> None:
    seed = random.randrange(1000)
    with s3_service() as s3:
        corpus = s3.new_corpus()
        place = open_store(corpus).place("weights/.training/k")
        misfortunes = Misfortunes(cluster, s3, seed)
        curve = misfortunes.curve

        def go() -> TrainResult:
            return train(
                CONFIG, base=base, examples=EXAMPLES, output=tmp_path / "m1", checkpoints=place,
                on_progress=curve,
            )  # fmt: skip

        with pytest.raises(TrainingError, match="its driver ended with status -9"):
            go()
        result = go()
        left = {part for key in s3.keys(corpus) for part in key.split("/")}
    print(f"seed {seed}, S3", curve.words, sep="\n")
    assert len(curve.had) == 4
    output, reference, _ = undisturbed
    assert curve.losses == reference.losses
    assert weights_hash(tmp_path / "m1") == weights_hash(output)
    assert result.num_attempts == 5
    assert all(again <= CONFIG.checkpoint_every_steps for again in curve.repeated.values())
    # The best ones and the student are kept: nothing else, and no half of a checkpoint.
    kept = sorted(name for name in left if re.fullmatch(r"(step-\d+|model)\.\d+", name))
    assert kept[0] == "model.5"
    assert len(kept) == 1 + CONFIG.keep_checkpoints


class CancelledError(Exception):
    pass


@contextmanager
def stored(folder: Path) -> Iterator[Curve]:
    """The rows of a curve, as a run of the corpus in `folder` stores them."""
    with CorpusWriter(folder) as writer:
        yield Curve(
            writer, model_id="m1", base="tiny", device="cpu",
            stamp={"stage_fingerprint": "f", "run_id": "r1"},
            last_attempt=last_attempt(rows_of(folder), "m1"),
        )  # fmt: skip


def rows_of(folder: Path) -> Database:
    return connect(Corpus(folder).parts()) if Corpus(folder).exists else connect({})


def test_a_cancelled_run_keeps_a_checkpoint_that_another_number_of_ranks_goes_on_from(
    base: Path, undisturbed: tuple[Path, ToldCurve, TrainResult], tmp_path: Path
) -> None:
    config = CONFIG.model_copy(update={"checkpoint_every_steps": None, "held_out_every": 1.0})
    first, second = ToldCurve(), ToldCurve()
    corpus, output = tmp_path / "corpus", tmp_path / "models" / "m1"
    output.parent.mkdir()

    def go_on() -> None:
        if first.told and first.told[-1][1].step >= 6:
            raise CancelledError

    def go(config: TrainConfig, told: ToldCurve, curve: Curve) -> TrainResult:
        def tell(report: StepReport) -> None:
            curve.add(report)
            told(report)

        return train(
            config, base=base, examples=EXAMPLES, output=output, on_start=curve.begin,
            on_progress=tell, go_on=go_on if told is first else lambda: None,
        )  # fmt: skip

    with pytest.raises(CancelledError), stored(corpus) as curve:
        go(config, first, curve)
    with stored(corpus) as curve:
        result = go(config.model_copy(update={"num_ranks": 1}), second, curve)
    assert (result.world_size, result.num_attempts) == (1, 2)
    mine = {report.step: report for _, report in second.told}
    began = min(step for step, report in mine.items() if report.attempt == 2)
    assert began > 6
    reference = {step[0]: step[1] for step in undisturbed[1].losses}
    after = [mine[step].loss for step in range(began, began + 5)]
    assert after == pytest.approx([reference[step] for step in range(began, began + 5)], abs=1e-4)
    assert [path.name for path in output.parent.iterdir()] == ["m1"]
    # Its rows are one curve, each step once, the first ones as the first run took them.
    rows = rows_of(corpus).run("select step, attempt, loss from training_curve order by step").rows
    whole = range(NUM_STEPS + 1)
    assert [row[:2] for row in rows] == [(step, 1 if step < began else 2) for step in whole]
    assert [row[2] for row in rows[1:]] == pytest.approx(
        [mine[n].loss for n in whole[1:]], abs=1e-4
    )
    assert rows_of(corpus).run("select count(*) from raw_training_steps").rows == [(len(whole),)]


def test_a_loss_that_is_no_number_is_not_tried_again_and_costs_no_checkpoint(
    cluster: Cluster, base: Path, tmp_path: Path
) -> None:
    config = CONFIG.model_copy(
        update={"learning_rate": 1e30, "checkpoint_every_steps": 1, "num_ranks": 1}
    )
    told, kept = ToldCurve(), tmp_path / "kept"
    with pytest.raises(TrainingError, match=r"loss is nan at step .*: set a lower train\.learning"):
        train(
            config, base=base, examples=EXAMPLES, output=tmp_path / "m1",
            checkpoints=Place(path=str(kept)), on_progress=told,
        )  # fmt: skip
    (last,) = [report.step for _, report in told.told[-1:]]
    assert json.loads((kept / "runs.json").read_text())["attempts"] == 1
    assert (kept / f"step-{last}.1" / "curve.jsonl").exists()


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
    monkeypatch.setenv("LITECOT_TRAIN_WAIT_S", "6")
    notes: list[str] = []
    with pytest.raises(TrainingError, match=r"2 ranks .* found no room in .* 0 of 1 CPU"):
        train(CONFIG, base=base, examples=EXAMPLES, output=tmp_path / "m1", on_note=notes.append)
    assert [note.partition("; free now: ")[0] for note in notes] == [
        "training wants 2 ranks with 1 CPU each (train.num_ranks) and waits for room"
    ]
    remove_placement_group(taken)
