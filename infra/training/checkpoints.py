"""Where a training run's checkpoints lie, as Arrow (and so Ray Train) reads and writes them.

Role: a Place is a folder of this machine (or of all, where it is shared) or a prefix of a bucket.
Invariant: keys of a bucket go from the driver to its ranks inside a filesystem object, never
through an environment or a file; a kill at any moment leaves a list of whole checkpoints.

A sample: `Place(path="corpora/maths/weights/.training/3f0c")`, in it `step-16.1`, `step-24.1`, ...
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from infra.storage.store import Place
from infra.training.config import BATCH_SETTINGS, RUNTIME_SETTINGS, TrainConfig
from tasks.schemas import content_id

RECORD = "runs.json"  # ours
LIST = "checkpoint_manager_snapshot.json"  # Ray Train's, of what was wholly kept
LIST_BEFORE = "checkpoints.json"  # ours: the same, as it was when it was last whole


def training_key(config: TrainConfig, base: str, data: str) -> str:
    """Names one training whatever it runs on: base weights, data, and what determines the weights.

    `base`, `data`: fingerprints. The ranks count only through the batch they make together.
    """
    left_out = {*RUNTIME_SETTINGS, *BATCH_SETTINGS}
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
        """Of the runs before; a run that left none counts for nothing but its checkpoints."""
        try:
            record = Record(**json.loads(self._read(RECORD) or "{}"))
        except (ValueError, TypeError):
            record = Record()
        numbers = (name.rpartition(".")[2] for name in self._folders())
        known = max((int(number) for number in numbers if number.isdecimal()), default=0)
        return replace(record, attempts=max(known, record.attempts))

    def write_record(self, record: Record) -> None:
        """Replace it in one step."""
        self._replace(RECORD, json.dumps(record.__dict__).encode())

    def keep_list(self) -> None:
        """Copy Ray Train's list, which is whole now: it is written in place, where a kill may tear
        it. Objects of a bucket are replaced in one step anyway."""
        if self._is_local and (content := self._read(LIST)):
            self._replace(LIST_BEFORE, content)

    def settle(self) -> None:
        """Before a run: the last whole list counts, and what it does not name is deleted: it was
        being kept, or removed, when a run was killed."""
        listed = _names(self._read(LIST))
        if listed is None:
            before = self._read(LIST_BEFORE)
            listed = _names(before)
            if before and listed is not None:
                self._replace(LIST, before)
            elif self._read(LIST) is not None:
                self.filesystem.delete_file(f"{self.path}/{LIST}")
        else:
            self.keep_list()
        for name in self._folders():
            if name not in (listed or ()):
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
        from pyarrow.fs import copy_files

        if self._is_local:
            shutil.copytree(path, folder, copy_function=_link_or_copy)
            return
        folder.mkdir(parents=True)
        copy_files(path, str(folder), source_filesystem=self.filesystem)

    @property
    def _is_local(self) -> bool:
        from pyarrow.fs import LocalFileSystem

        return isinstance(self.filesystem, LocalFileSystem)

    def _read(self, name: str) -> bytes | None:
        try:
            with self.filesystem.open_input_stream(f"{self.path}/{name}") as file:
                content: bytes = file.read()
                return content
        except FileNotFoundError:
            return None

    def _replace(self, name: str, content: bytes) -> None:
        """Whole or as it was, also for who reads it while this is killed."""
        self.filesystem.create_dir(self.path, recursive=True)
        path = f"{self.path}/{name}"
        unfinished = f"{path}.writing" if self._is_local else path
        with self.filesystem.open_output_stream(unfinished) as file:
            file.write(content)
        if self._is_local:
            os.replace(unfinished, path)

    def _folders(self) -> list[str]:
        from pyarrow.fs import FileSelector, FileType

        found = self.filesystem.get_file_info(FileSelector(self.path, allow_not_found=True))
        return [one.base_name for one in found if one.type == FileType.Directory]


def _names(content: bytes | None) -> set[str] | None:
    """Folders that a list names; None: it is torn, or there is none."""
    try:
        return {
            one["checkpoint_dir_name"] for one in json.loads(content or b"")["checkpoint_results"]
        }
    except (ValueError, TypeError, KeyError):
        return None


def _filesystem(place: Place) -> Any:
    from pyarrow.fs import LocalFileSystem, S3FileSystem

    return LocalFileSystem() if place.s3 is None else S3FileSystem(**place.s3)


def _link_or_copy(source: str, target: str) -> None:
    with suppress(OSError):  # another disk, or one without links
        os.link(source, target)
        return
    shutil.copy2(source, target)
