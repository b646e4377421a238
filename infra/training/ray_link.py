"""A rank inside a worker of Ray Train, and its link.

Role: what of the launcher runs on the cluster's nodes. Invariants: a rank never waits for its
driver; a fault that another attempt may mend (a lost peer, a store that is away) is raised, so
that Ray Train begins again from the last checkpoint; any other is told to the driver, which ends
the run.

A sample: `TorchTrainer(work, train_loop_config=Told(...).__dict__, ...).fit()` in ray_driver.py
"""

from __future__ import annotations

import errno
import os
import platform
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import ray.exceptions
import ray.train
from pyarrow.fs import LocalFileSystem
from ray.train import Checkpoint, UserCallback
from ray.train.collective import barrier, broadcast_from_rank_zero

from infra.training.checkpoints import Checkpoints
from infra.training.job import TrainJob, read_examples, reason_of
from infra.training.link import MODEL, Wish
from infra.training.reports import StepReport, TrainingError, TrainingExample, TrainStart

SCORE, NAME, HELD_OUT = "score", "name", "held_out_loss"  # of a checkpoint's metrics
NO_SCORE = 1e300  # Ray Train takes a checkpoint without a score for the best of all
KEEP_TRIES = 3
KEEP_PAUSE_S = 5.0
ENDS_IN_S = 60.0  # a rank that told a fault waits so long to be ended
RETRIED = (RuntimeError, ConnectionError, TimeoutError, EOFError, ray.exceptions.RayError)


class TellLosses(UserCallback):
    """In Ray Train's controller: the driver learns why an attempt ended; its list is kept."""

    def __init__(self, monitor: Any, checkpoints: Checkpoints) -> None:
        self._monitor, self._checkpoints = monitor, checkpoints

    def after_report(self, run_context: Any, metrics: Any, checkpoint: Any) -> None:
        """See UserCallback; the checkpoint is in the list, and what gave way to it is gone."""
        self._checkpoints.keep_list()

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        """See UserCallback."""
        words = [f"rank {n}: {reason_of(error)}" for n, error in sorted(worker_exceptions.items())]
        self._monitor.lost.remote(words)


@dataclass(frozen=True, kw_only=True)
class Told:
    """What each worker gets from the driver."""

    job: TrainJob
    key: str  # of the training in this corpus; names folders on its nodes
    examples: list[Any]  # one reference to their bytes: inside of a list it is not fetched early
    monitor: Any


class RayLink:
    """See RankLink."""

    def __init__(self, told: Told) -> None:
        context = ray.train.get_context()
        self.rank: int = context.get_world_rank()
        self.world_size: int = context.get_world_size()
        self.local_rank: int = context.get_local_rank()
        self._told, self._monitor = told, told.monitor
        self._fetched = _folder(f"{told.key}-node{context.get_node_rank()}")
        self.tidy()
        self._stopped = self._monitor.until_stopped.remote() if self.rank == 0 else None
        number = ray.get(self._monitor.begin.remote()) if self.rank == 0 else 0
        self.attempt: int = broadcast_from_rank_zero(number)

    def examples(self) -> Sequence[TrainingExample]:
        """See RankLink."""
        return read_examples(ray.get(self._told.examples[0]))

    def start(self, start: TrainStart) -> None:
        """See RankLink."""
        self._monitor.start.remote(start)

    def tell(self, reports: Sequence[StepReport]) -> Wish:
        """See RankLink."""
        self._monitor.tell.remote(list(reports))
        heard, _ = ray.wait([self._stopped], timeout=0)
        return Wish.STOP if heard else Wish.GO_ON

    def keep(self, folder: Path | None, *, name: str, held_out_loss: float | None) -> None:
        """See RankLink."""
        metrics = {
            NAME: name, HELD_OUT: held_out_loss,
            SCORE: NO_SCORE if held_out_loss is None else held_out_loss,
        }  # fmt: skip
        ray.train.report(
            metrics,
            checkpoint=None if folder is None else Checkpoint.from_directory(str(folder)),
            # What an attempt before left of the same name was not wholly kept.
            checkpoint_dir_name=f"{name}.{self.attempt}",
            checkpoint_upload_fn=_upload,
        )
        ray.train.get_all_reported_checkpoints()  # it is there once this one counts

    def last(self) -> AbstractContextManager[Path | None]:
        """See RankLink."""
        return self._as_folder(ray.train.get_checkpoint())

    def best(self) -> AbstractContextManager[Path | None]:
        """See RankLink."""
        kept = [
            one
            for one in ray.train.get_all_reported_checkpoints()
            if one.metrics[HELD_OUT] is not None and one.metrics[NAME] != MODEL
        ]
        best = min(kept, key=lambda one: float(one.metrics[HELD_OUT]), default=None)
        return self._as_folder(best and best.checkpoint)

    @contextmanager
    def _as_folder(self, checkpoint: Checkpoint | None) -> Iterator[Path | None]:
        """A collective. Ray's own `as_directory` lets a rank that comes late fetch once more, into
        the files that the others read already; and what a killed one fetched stays for good."""
        if checkpoint is None:
            yield None
        elif isinstance(checkpoint.filesystem, LocalFileSystem):
            yield Path(checkpoint.path)
        else:
            folder = self._fetched / Path(checkpoint.path).name
            if self.local_rank == 0:
                _persistently(
                    lambda: checkpoint.to_directory(folder), f"{folder.name} was not read"
                )
            barrier()
            yield folder
            barrier()
            if self.local_rank == 0:
                shutil.rmtree(folder)

    def tidy(self) -> None:
        """Remove what this node fetched, and what a killed rank left of it."""
        if self.local_rank == 0:
            shutil.rmtree(self._fetched, ignore_errors=True)

    def fail(self, error: BaseException) -> None:
        """Have the driver end the run, if `error` is one that no other attempt would mend."""
        if _may_pass(error):
            return
        said = reason_of(error), traceback.format_exc()
        ray.get(self._monitor.failed.remote(*said, attempt=self.attempt))
        time.sleep(ENDS_IN_S)


def work(told: dict[str, Any]) -> None:
    """What Ray Train runs in each worker."""
    from infra.training.rank import run_rank

    link = RayLink(Told(**told))
    try:
        _assert_storage_is_shared()
        with _scratch(f"{told['key']}-{link.rank}") as scratch:
            run_rank(told["job"], link, scratch)
    except Exception as error:
        link.fail(error)
        raise
    finally:
        link.tidy()


def _may_pass(error: BaseException) -> bool:
    """A peer's loss shows itself as a RuntimeError of gloo or NCCL; so does no memory."""
    if type(error).__name__ == "OutOfMemoryError":
        return False
    return isinstance(error, RETRIED) and not isinstance(error, TrainingError)


@contextmanager
def _scratch(name: str) -> Iterator[Path]:
    """This rank's folder on its node; what a killed rank left in it is removed."""
    folder = _folder(name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _folder(name: str) -> Path:
    return Path(tempfile.gettempdir()) / f"litecot-train-{os.getuid()}-{name}"


def _upload(checkpoint: Checkpoint, name: str) -> Checkpoint:
    """Ray Train's own way, and again where the store is away for a moment."""
    storage: Any = ray.train.get_context().get_storage()
    try:
        kept: Checkpoint = _persistently(
            lambda: storage.persist_current_checkpoint(checkpoint, name), f"{name} was not kept"
        )
    except OSError as error:
        raise TrainingError(f"no space for checkpoint {name} in {_where(storage)}") from error
    return kept


def _persistently(work: Callable[[], Any], what: str) -> Any:
    """What `work` returns. Raises RuntimeError, hence another attempt, where the store stays away,
    and OSError where it has no space."""
    for attempt in range(1, KEEP_TRIES + 1):
        try:
            return work()
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise
            if attempt == KEEP_TRIES:
                raise RuntimeError(f"checkpoint {what}: {reason_of(error)}") from error
        time.sleep(KEEP_PAUSE_S)
    raise AssertionError("the last attempt returns or raises")


def _assert_storage_is_shared() -> None:
    """A folder that only the driver's node has would be noticed at the first checkpoint only."""
    from pyarrow.fs import FileType

    storage: Any = ray.train.get_context().get_storage()
    seen = storage.storage_filesystem.get_file_info(storage.experiment_fs_path)
    if seen.type == FileType.NotFound:
        raise TrainingError(
            f"{_where(storage)} is not on node {platform.node()}: with ranks on"
            " several nodes the corpus has to be in a folder that all share, or on S3"
        )


def _where(storage: Any) -> str:
    return str(storage.experiment_fs_path)
