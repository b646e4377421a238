"""Where a training run's checkpoints lie, as Arrow (and so Ray Train) reads and writes them.

Role: a Place is a folder of this machine (or of all, where it is shared) or a prefix of a bucket.
Invariant: keys of a bucket go from the driver to its ranks inside a filesystem object, never
through an environment or a file.

A sample: `Place(path="corpora/maths/weights/.training/3f0c")`, in it `step-16.1`, `step-24.1`, ...
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.storage.store import Place
from infra.training.config import RUNTIME_SETTINGS, TrainConfig
from tasks.schemas import content_id

RECORD = "runs.json"  # ours
SNAPSHOT = "checkpoint_manager_snapshot.json"  # Ray Train's list of what was wholly kept


def training_key(config: TrainConfig, base: str, data: str) -> str:
    """Names one training whatever it runs on: base weights, data, and what determines the weights.

    `base`, `data`: fingerprints. The ranks count only through the batch they make together.
    """
    left_out = {*RUNTIME_SETTINGS, "global_batch_size", "batching"}
    settings = {k: v for k, v in config.model_dump().items() if k not in left_out}
    settings |= {"batch_size": config.batch_size, "how_batched": config.how_batched}
    return content_id([base, data, json.dumps(settings, sort_keys=True)])


@dataclass(frozen=True, kw_only=True)
class Record:
    """What the runs before this one had taken."""

    attempts: int = 0
    seconds: float = 0.0


class Checkpoints:
    """A place, opened."""

    def __init__(self, place: Place) -> None:
        self.filesystem = _filesystem(place)
        self.parent, _, self.name = place.path.rstrip("/").rpartition("/")
        self.path = place.path.rstrip("/")

    def read_record(self) -> Record:
        """Of the runs before; a run that left none counts for nothing."""
        try:
            with self.filesystem.open_input_stream(f"{self.path}/{RECORD}") as file:
                return Record(**json.loads(file.read()))
        except (FileNotFoundError, ValueError):
            return Record()

    def write_record(self, record: Record) -> None:
        """Replace it."""
        self.filesystem.create_dir(self.path, recursive=True)
        with self.filesystem.open_output_stream(f"{self.path}/{RECORD}") as file:
            file.write(json.dumps(record.__dict__).encode())

    def remove_leftovers(self) -> None:
        """Delete what was being kept when a run was killed: it never counted."""
        try:
            with self.filesystem.open_input_stream(f"{self.path}/{SNAPSHOT}") as file:
                snapshot = json.loads(file.read())
        except (FileNotFoundError, ValueError):
            snapshot = {}
        kept = {one["checkpoint_dir_name"] for one in snapshot.get("checkpoint_results", ())}
        for name in self._folders():
            if name not in kept:
                self.filesystem.delete_dir(f"{self.path}/{name}")

    def remove_if_empty(self) -> None:
        """After a failure: leave nothing where nothing was kept."""
        if self._folders():
            return
        with suppress(FileNotFoundError):
            self.filesystem.delete_dir(self.path)
        with suppress(OSError):  # others are in it, or it is in a bucket
            os.rmdir(self.parent)

    def fetch(self, path: str, folder: Path) -> None:
        """Copy a checkpoint into the new local `folder`; on one disk without copying bytes."""
        from pyarrow.fs import LocalFileSystem, copy_files

        if isinstance(self.filesystem, LocalFileSystem):
            shutil.copytree(path, folder, copy_function=_link_or_copy)
            return
        folder.mkdir(parents=True)
        copy_files(path, str(folder), source_filesystem=self.filesystem)

    def _folders(self) -> list[str]:
        from pyarrow.fs import FileSelector, FileType

        found = self.filesystem.get_file_info(FileSelector(self.path, allow_not_found=True))
        return [one.base_name for one in found if one.type == FileType.Directory]


def _filesystem(place: Place) -> Any:
    from pyarrow.fs import LocalFileSystem, S3FileSystem

    return LocalFileSystem() if place.s3 is None else S3FileSystem(**place.s3)


def _link_or_copy(source: str, target: str) -> None:
    with suppress(OSError):  # another disk, or one without links
        os.link(source, target)
        return
    shutil.copy2(source, target)
