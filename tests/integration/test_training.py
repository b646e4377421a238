"""Two real DeepSpeed ranks on CPU: what is learnt, and that nothing of it is lost with a rank that
saves, a Ray node, a driver, the run itself or another number of ranks.

Four Ray nodes on this machine: one for drivers, three that hold a rank each, so one is a spare. All
runs share them but one, and one run that nothing happened to.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
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
from infra.training.reports import StepReport, TrainingError, TrainingExample, TrainResult
from sql.database import Database, connect
from tests.planted_keys import KEYS, MARK, NEEDED
from tests.s3_server import S3Service, s3_service
from tests.tiny_models import save_tiny_model
from tests.told_curve import EXAMPLES, ToldCurve, weights_hash

pytestmark = pytest.mark.timeout(480)
EVERY = 3  # steps, of the four of an epoch: most checkpoints lie inside of one
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
    rope_theta=100_000,
    checkpoint_every_steps=EVERY,
)
NUM_STEPS, STEPS_AN_EPOCH = 40, 4
TAUGHT = [*EXAMPLES, TrainingExample(prompt="x" * 200, completion="too long")]
SOURCE_ROOT = Path(__file__).resolve().parents[2]
TRAIN_IN_ANOTHER_PROCESS = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from infra.training.launch import train
from tests.integration.test_training import CONFIG, TAUGHT

def tell(step):
    print(json.dumps(asdict(step)), flush=True)

train(CONFIG, base=Path(sys.argv[1]), examples=TAUGHT, output=Path(sys.argv[2]), on_progress=tell)
"""
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


class Undisturbed(NamedTuple):
    """The student, what was told while it was trained, and what in the end."""

    output: Path
    curve: ToldCurve
    result: TrainResult


@pytest.fixture(scope="module")
def undisturbed(
    cluster: Cluster, base: Path, tmp_path_factory: pytest.TempPathFactory
) -> Undisturbed:
    """A run that only its launcher fails, once all is learnt, before the model is in its place."""
    curve, again = ToldCurve(), ToldCurve()
    output = tmp_path_factory.mktemp("models") / "m1"
    with (
        patch("infra.training.launch._publish", side_effect=OSError("no such disk")),
        pytest.raises(OSError, match="no such disk"),
    ):
        train(CONFIG, base=base, examples=TAUGHT, output=output, on_progress=curve)
    assert not output.exists()
    result = train(CONFIG, base=base, examples=TAUGHT, output=output, on_progress=again)
    assert again.told == []
    return Undisturbed(output, curve, result)


def test_a_finished_student_is_published_without_training_again(undisturbed: Undisturbed) -> None:
    output, curve, result = undisturbed
    assert {report.attempt for _, report in curve.told} == {1}
    assert (result.num_steps, result.num_attempts, result.world_size) == (NUM_STEPS, 1, 2)
    assert [path.name for path in output.parent.iterdir()] == ["m1"]


def test_the_loss_falls_and_every_step_is_reported(undisturbed: Undisturbed) -> None:
    _, curve, result = undisturbed
    steps = [report for _, report in curve.told]
    assert [step.step for step in steps] == list(range(NUM_STEPS + 1))
    assert {step.num_steps for step in steps} == {NUM_STEPS}
    losses = [step.loss for step in steps if step.loss is not None]
    assert len(losses) == NUM_STEPS
    assert losses[-1] < losses[0] / 2
    assert (result.num_examples + result.num_held_out, result.num_too_long) == (32, 1)
    assert result.train_loss == pytest.approx(sum(losses[-STEPS_AN_EPOCH:]) / STEPS_AN_EPOCH)
    assert result.train_tokens > 0
    assert result.train_seconds > 0


def test_the_output_is_a_complete_model(base: Path, undisturbed: Undisturbed) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    output, _, result = undisturbed
    model = AutoModelForCausalLM.from_pretrained(output)
    assert model.num_parameters() == result.num_parameters
    assert model.config.rope_parameters["rope_theta"] == CONFIG.rope_theta
    assert model.config.use_cache
    tokenizer = AutoTokenizer.from_pretrained(output)
    assert "<compress>" in tokenizer.all_special_tokens
    assert weights_hash(output) != weights_hash(base)
    assert not [path for path in output.iterdir() if path.suffix in {".bin", ".pt", ".pkl"}]


# --- what may be lost


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


def kill_rank() -> None:
    random.choice(descendants("ray::RayTrainWorker")).send_signal(signal.SIGKILL)


class Misfortunes:
    """One an attempt, each at a step of its own choice."""

    def __init__(self, cluster: Cluster, s3: S3Service, seed: int) -> None:
        chosen = random.Random(seed)
        self._cluster = cluster
        # Attempt -> the step from which it suffers what, but for what comes while it saves.
        self._saving = EVERY * chosen.randrange(1, 4)
        self._plan: dict[int, tuple[int, Callable[[int], None]]] = {
            2: (chosen.randrange(12, 18), self._lose_node),
            3: (chosen.randrange(20, 27), self._lose_driver),
        }
        self.curve = ToldCurve(self._look)
        s3.refuse = self._while_saving

    def _look(self, report: StepReport) -> None:
        step, happen = self._plan.get(report.attempt, (NUM_STEPS + 1, self._lose_driver))
        if len(self.curve.had) == report.attempt - 1 and report.step >= step:
            happen(report.step)

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
        is_first = not self.curve.had and method in ("PUT", "POST")
        if is_first and f"/step-{self._saving}.1/" in path:
            self.curve.lose(f"a rank that saves step {self._saving}")
            kill_rank()
        return len(self.curve.had) == 1 and method == "PUT" and path.endswith("/runs.json")


def test_losses_of_all_kinds_change_nothing_that_is_learnt(
    cluster: Cluster, base: Path, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    seed = random.randrange(1000)
    with s3_service() as s3:
        corpus = s3.new_corpus()
        place = open_store(corpus).place("weights/.training/k")
        misfortunes = Misfortunes(cluster, s3, seed)
        curve = misfortunes.curve

        def go() -> TrainResult:
            return train(
                CONFIG, base=base, examples=TAUGHT, output=tmp_path / "m1", checkpoints=place,
                on_progress=curve,
            )  # fmt: skip

        with pytest.raises(TrainingError, match="its driver ended with status -9"):
            go()
        result = go()
        left = {part for key in s3.keys(corpus) for part in key.split("/")}
    print(f"seed {seed}, S3", curve.words, sep="\n")
    assert len(curve.had) == 3
    output, reference, _ = undisturbed
    assert curve.losses == reference.losses
    assert weights_hash(tmp_path / "m1") == weights_hash(output)
    assert result.num_attempts == 4
    assert all(again <= EVERY for again in curve.repeated.values())
    # The best ones and the student are kept: nothing else, and no half of a checkpoint.
    kept = sorted(name for name in left if re.fullmatch(r"(step-\d+|model)\.\d+", name))
    assert kept[0] == "model.4"
    assert len(kept) == 1 + CONFIG.keep_checkpoints


class OtherProcess:
    """A training whose launcher is a process of its own, and has a Ray of its own."""

    def __init__(self, base: Path, output: Path, curve: ToldCurve) -> None:
        command = [sys.executable, "-c", TRAIN_IN_ANOTHER_PROCESS, str(base), str(output)]
        self._process = subprocess.Popen(
            command, cwd=SOURCE_ROOT, stdout=subprocess.PIPE,
            env={**{n: v for n, v in os.environ.items() if n != "RAY_ADDRESS"}, **KEYS, **NEEDED},
        )  # fmt: skip
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
    base: Path, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    seed = random.randrange(1000)
    chosen = random.Random(seed)
    saving = EVERY * chosen.randint(1, 3)
    dying = saving + chosen.randint(1, 2 * EVERY)
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

    result = train(CONFIG, base=base, examples=TAUGHT, output=output, on_progress=curve)
    print(f"seed {seed}, folder", curve.words, sep="\n")
    assert result.num_attempts == 3
    assert curve.losses == undisturbed.curve.losses
    assert weights_hash(output) == weights_hash(undisturbed.output)
    assert all(again <= 2 * EVERY for again in curve.repeated.values())
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


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
    base: Path, undisturbed: Undisturbed, tmp_path: Path
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
            config, base=base, examples=TAUGHT, output=output, on_start=curve.begin,
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
    reference = {step[0]: step[1] for step in undisturbed.curve.losses}
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


def test_a_failure_is_one_clear_line_told_once_and_keeps_what_was_there(
    cluster: Cluster, base: Path, tmp_path: Path
) -> None:
    """A loss that is no number; test_zero_stages.py has other failures."""
    config = CONFIG.model_copy(
        update={"learning_rate": 1e30, "checkpoint_every_steps": 1, "num_ranks": 1}
    )
    told, kept, output = ToldCurve(), tmp_path / "kept", tmp_path / "model"
    output.mkdir()
    (output / "older").touch()
    with pytest.raises(TrainingError) as raised:
        train(
            config, base=base, examples=TAUGHT, output=output,
            checkpoints=Place(path=str(kept)), on_progress=told,
        )  # fmt: skip
    first, *log = str(raised.value).splitlines()
    assert re.search(r"loss is nan at step .*: set a lower train\.learning_rate", first)
    assert log
    assert "Traceback" in (tmp_path / "model.failed.log").read_text()
    assert [path.name for path in output.iterdir()] == ["older"]
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["kept", "model", "model.failed.log"]
    assert json.loads((kept / "runs.json").read_text())["attempts"] == 1
    (last,) = [report.step for _, report in told.told[-1:]]
    assert (kept / f"step-{last}.1" / "curve.jsonl").exists()


def test_ranks_wait_for_room_a_while_and_say_what_is_missing(
    cluster: Cluster, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = CONFIG.model_copy(update={"num_ranks": 40, "global_batch_size": None})
    with pytest.raises(TrainingError, match=r"40 ranks with 1 CPU each .* set train.num_ranks = "):
        train(many, base=base, examples=TAUGHT, output=tmp_path / "m1")

    start_ray(address=cluster.address)
    from ray.util.placement_group import placement_group, remove_placement_group

    free = len(cluster.worker_nodes)
    taken = placement_group([{"CPU": 1}] * (free - 1))
    assert taken.wait(30)
    monkeypatch.setenv("LITECOT_TRAIN_WAIT_S", "6")
    notes: list[str] = []
    with pytest.raises(TrainingError, match=r"2 ranks .* found no room in .* 0 of 1 CPU"):
        train(CONFIG, base=base, examples=TAUGHT, output=tmp_path / "m1", on_note=notes.append)
    assert [note.partition("; free now: ")[0] for note in notes] == [
        "training wants 2 ranks with 1 CPU each (train.num_ranks) and waits for room"
    ]
    remove_placement_group(taken)
