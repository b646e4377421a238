"""The driver of one training: `python -m infra.training.ray_driver STAGING`, started by launch.py.

Role: joins a Ray cluster (or starts one here), has Ray Train run the ranks, writes down what they
tell, and fetches the finished student. Invariants: it ends when its stdin closes, whatever it was
doing, and Ray ends its ranks with it; it waits for room, or for ranks that were told to stop, for a
bounded time.

A sample, by hand: echo null | python -m infra.training.ray_driver /corpus/weights/.m1.training
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import ray
from ray.train import CheckpointConfig, FailureConfig, Result, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.util.placement_group import placement_group_table

from infra.storage.store import Place
from infra.training.checkpoints import RECORD, Checkpoints, Record
from infra.training.job import STOP, JobFolder, Launch, TrainJob, reason_of
from infra.training.link import MODEL, RESULT_FILE
from infra.training.monitor import Monitor, News
from infra.training.ray_link import NAME, SCORE, TellLosses, Told, work
from infra.training.reports import StepReport, TrainingError, TrainResult
from infra.training.room import Demand, RayNode
from tasks.schemas import content_id

POLL_S = 0.2
START_S = 180.0  # Python, torch and the ranks' meeting, on a busy machine, once there is room
KEEP_S = 240.0  # to end its step and keep a checkpoint, once it is to stop
RECORD_EVERY_S = 30.0
SAY_AFTER_S, SAY_EVERY_S = 5.0, 10.0  # that there is no room
LEAVE_S = 10.0
SLOTS = 8
OBJECT_STORE_BYTES = 512 * 1024**2


class Driver:
    """One training, from joining the cluster to the student's files."""

    def __init__(self, folder: JobFolder, checkpoints: Checkpoints) -> None:
        self.folder, self.checkpoints = folder, checkpoints
        self.job: TrainJob = folder.read_job()
        self.launch: Launch = folder.read_launch()
        self.demand = Demand.of(self.job.config, is_local=self.launch.is_local)
        self.before = checkpoints.read_record()
        self.started = self.recorded = time.monotonic()
        self.waiting_since: float | None = self.started
        self._say_at_s = SAY_AFTER_S
        self.is_stopping = threading.Event()
        self.lost: list[str] = []
        self._told: set[tuple[int, int]] = set()
        self._held: list[StepReport] = []
        self._is_learning = False  # steps were taken since the last start
        self._stop_by: float | None = None
        self._result: Result | None = None
        self._error: BaseException | None = None
        self._attempts = self.before.attempts

    def run(self) -> None:
        """Raises TrainingError."""
        self.checkpoints.settle()
        nodes = self._join()
        if refusal := self.demand.refusal(nodes):
            raise TrainingError(refusal)
        self.monitor: Any = _actor_here(Monitor).remote(self.before.attempts)
        trainer = self._trainer(nodes)
        fitting = threading.Thread(target=self._fit, args=[trainer], daemon=True)
        fitting.start()
        while fitting.is_alive():
            fitting.join(POLL_S)
            self._look()
        self._look()
        self._write_record()
        if self._error is not None:
            raise self._failure(self._error)
        self._take_student()

    # --- Ray

    def _join(self) -> list[RayNode]:
        launch = self.launch
        environment = {**launch.environment, **_train_settings()}
        os.environ.update(environment)
        own: dict[str, Any] = {
            "num_cpus": max(SLOTS, os.cpu_count() or 1), "include_dashboard": False,
            "object_store_memory": OBJECT_STORE_BYTES,
            "_temp_dir": str(Path(tempfile.gettempdir()) / f"litecot-ray-{os.getuid()}"),
        }  # fmt: skip
        address = launch.address or os.environ.get("RAY_ADDRESS")
        settings = {"address": address} if address else own
        hook = "litecot._names.enter_worker"
        ray.init(runtime_env={"worker_process_setup_hook": hook}, **settings)
        nodes = ray_nodes()
        self._environment = {**environment, **self._of_nodes(nodes)}
        return nodes

    def _of_nodes(self, nodes: list[RayNode]) -> dict[str, str]:
        """What the ranks' environment says of where they are."""
        config = self.job.config
        threads = (
            max(1, len(os.sched_getaffinity(0)) // config.num_ranks)
            if self.launch.is_local
            else self.demand.threads(nodes)
        )
        found = {"OMP_NUM_THREADS": str(self.launch.threads or threads)}
        if config.device == "cpu" and len({node.address for node in nodes}) == 1:
            found["GLOO_SOCKET_IFNAME"] = "lo"
        return found

    def _trainer(self, nodes: list[RayNode]) -> _Trainer:
        config, checkpoints = self.job.config, self.checkpoints
        told = Told(
            job=self.job, key=content_id([checkpoints.path]), monitor=self.monitor,
            examples=[ray.put(self.folder.examples())],
        )  # fmt: skip
        return _Trainer(
            work,
            train_loop_config=dict(told.__dict__),
            torch_config=TorchConfig(backend="gloo" if config.device == "cpu" else None),
            scaling_config=ScalingConfig(
                num_workers=config.num_ranks,
                use_gpu=config.device == "gpu",
                resources_per_worker=dict(self.demand.each),
            ),
            run_config=RunConfig(  # type: ignore[call-arg]  # V2's, which mypy does not see
                name=checkpoints.name,
                storage_path=checkpoints.parent,
                storage_filesystem=checkpoints.filesystem,
                worker_runtime_env={"env_vars": self._environment},
                failure_config=FailureConfig(max_failures=self.launch.max_failures),
                checkpoint_config=CheckpointConfig(
                    num_to_keep=config.keep_checkpoints,
                    checkpoint_score_attribute=SCORE,
                    checkpoint_score_order="min",
                ),
                callbacks=[TellLosses(self.monitor, checkpoints)],  # type: ignore[list-item]
            ),
        )

    def _fit(self, trainer: _Trainer) -> None:
        try:
            self._result = trainer.fit()
        except BaseException as error:  # handed to the thread that looks
            self._error = error

    # --- while it runs

    def _look(self) -> None:
        news: News = ray.get(self.monitor.take.remote())
        self._attempts = news.attempts
        if news.lost:
            self.lost += news.lost
            self.waiting_since, self._is_learning = time.monotonic(), False
            self._say_at_s = SAY_AFTER_S
            print(*news.lost, sep="\n", flush=True)
            first = next((words for words in news.lost if "Died" in words), news.lost[0])
            self.folder.write_note(f"{first} All ranks go on from the last checkpoint.")
        if news.began:
            self.waiting_since = None
            self.folder.write_note("")
            self._write_record()
        if news.start is not None:
            self.folder.write_start(news.start)
        self._write_down(news)
        if news.fault is not None:
            reason, trace = news.fault
            print(trace, flush=True)
            raise TrainingError(reason)
        self._mind_stop()
        self._mind_room()
        if time.monotonic() - self.recorded > RECORD_EVERY_S:
            self._write_record()

    def _write_down(self, news: News) -> None:
        """Each step of each attempt once: a new attempt tells again what the checkpoint knew, which
        waits until it has begun, so that the first to be read tells the attempt's number."""
        now = [report for report in news.reports if report.attempt == self._attempts]
        if self.waiting_since is None:
            self._is_learning = self._is_learning or any(report.step for report in now)
        self._held += news.reports
        if not (now or news.start or self._told):
            return
        for report in self._held:
            if (report.attempt, report.step) not in self._told:
                self._told.add((report.attempt, report.step))
                self.folder.append_progress(report)
        self._held = []

    def _mind_stop(self) -> None:
        if not self.is_stopping.is_set():
            return
        now = time.monotonic()
        if self._stop_by is None:
            ray.get(self.monitor.stop.remote())
            self._stop_by = now + KEEP_S
        if not self._is_learning:
            raise TrainingError("stopped; there was nothing to keep that is not kept already")
        if now > self._stop_by:
            raise TrainingError("stopped; the ranks kept no checkpoint in time")

    def _mind_room(self) -> None:
        if self.waiting_since is None:
            return
        waited_s = time.monotonic() - self.waiting_since
        if waited_s > self._say_at_s and self._is_pending():
            self._say_at_s = waited_s + SAY_EVERY_S
            self.folder.write_note(self.demand.waiting(ray_nodes()))
        if waited_s > self.launch.wait_s and self._is_pending():
            raise TrainingError(self.demand.still_waiting(ray_nodes(), waited_s))
        if waited_s > self.launch.wait_s + START_S:
            raise TrainingError(f"the ranks did not start within {waited_s:.0f} s")

    def _is_pending(self) -> bool:
        wanted = [dict(self.demand.each)] * self.demand.num_ranks
        return any(
            group["state"] in ("PENDING", "RESCHEDULING")
            and list(group["bundles"].values()) == wanted
            for group in placement_group_table().values()
        )

    def _write_record(self) -> None:
        """Nothing depends on it but what is told of the run: a store that is away may miss it."""
        self.recorded = time.monotonic()
        seconds = self.before.seconds + self.recorded - self.started
        try:
            self.checkpoints.write_record(Record(attempts=self._attempts, seconds=seconds))
        except OSError as error:
            print(f"{RECORD} was not written: {reason_of(error)}", flush=True)

    # --- at the end

    def _failure(self, error: BaseException) -> TrainingError:
        traceback.print_exception(error)
        if self.lost and self.launch.max_failures:
            return TrainingError(
                f"workers were lost more often than LITECOT_TRAIN_FAILURES ="
                f" {self.launch.max_failures} allows; the last time: {self.lost[-1]}"
            )
        error = getattr(error, "controller_failure", error)
        return TrainingError(self.lost[-1] if self.lost else reason_of(error))

    def _take_student(self) -> None:
        """The finished student into the staging folder; none where the ranks were told to stop."""
        result = self._result
        if result is None or result.checkpoint is None or result.metrics is None:
            return
        if result.metrics[NAME] != MODEL:
            return
        self.checkpoints.fetch(result.checkpoint.path, self.folder.model)
        told = TrainResult(**json.loads((self.folder.model / RESULT_FILE).read_text()))
        self.folder.write_result(replace(told, train_seconds=self.before.seconds))


class _Trainer(TorchTrainer):
    """Without two actors of Ray Train's: the one that hands out Ray datasets, of which there are
    none, and the detached one that removes the placement group of a controller that died: Ray does
    so when the driver ends, and where it has no dashboard that actor never learns of it."""

    def _create_default_callbacks(self) -> list[Any]:
        callbacks: list[Any] = super()._create_default_callbacks()  # type: ignore[misc]
        unwanted = (DatasetsCallback, PlacementGroupCleanerCallback)
        return [one for one in callbacks if not isinstance(one, unwanted)]


def ray_nodes() -> list[RayNode]:
    """Those that live, with what is free."""
    from ray._private.state import available_resources_per_node

    free: dict[str, dict[str, float]] = available_resources_per_node()  # type: ignore[no-untyped-call]
    return [
        RayNode(
            name=node["NodeManagerHostname"], address=node["NodeManagerAddress"],
            has=node["Resources"], free=free.get(node["NodeID"], {}),
        )
        for node in ray.nodes()  # type: ignore[no-untyped-call]
        if node["Alive"]
    ]  # fmt: skip


def _actor_here(kind: type) -> Any:
    """An actor that needs no slot, on this node."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = ray.get_runtime_context().get_node_id()
    return ray.remote(kind).options(
        num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(here, soft=False)
    )


def _train_settings() -> dict[str, str]:
    """Ray Train's, for its controller and workers."""
    return {
        "RAY_TRAIN_V2_ENABLED": "1",
        "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": str(POLL_S),
        "RAY_TRAIN_ENABLE_WORKER_STRUCTURED_LOGGING": "0",  # else all libraries log at INFO
        "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
        "RAY_TRAIN_METRICS_ENABLED": "0",
        # It could only say that a node will be taken away, and we keep checkpoints anyway.
        "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    }


def _mind_stdin(is_stopping: threading.Event) -> None:
    """The launcher's end closes when it dies, for whatever reason."""
    while line := sys.stdin.buffer.readline():
        if line == STOP:
            is_stopping.set()
    os._exit(1)


def main() -> None:
    """Run the driver; on failure say why in a line (for the launcher) and in full (in the log)."""
    folder = JobFolder(Path(sys.argv[1]))
    keys = json.loads(sys.stdin.buffer.readline())
    checkpoints = Checkpoints(Place(path=folder.read_launch().checkpoints, s3=keys))
    try:
        driver = Driver(folder, checkpoints)
        threading.Thread(target=_mind_stdin, args=[driver.is_stopping], daemon=True).start()
        driver.run()
    except BaseException as error:
        if not isinstance(error, TrainingError):
            traceback.print_exc()
        folder.write_error(reason_of(error))
        with suppress(OSError):
            checkpoints.remove_if_empty()
        _leave(1)
    _leave(0)


def _leave(status: int) -> NoReturn:
    """Disconnect, which ends the ranks, and end whatever else still waits in a thread."""
    leaving = threading.Thread(target=ray.shutdown, daemon=True)
    leaving.start()
    leaving.join(LEAVE_S)
    sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
