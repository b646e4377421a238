"""Where checkpoints lie: what a kill at any moment leaves there counts, or is taken away."""

from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import patch

import pytest

from infra.storage.store import Place
from infra.training.checkpoints import LIST, RECORD, Checkpoints, Record


def list_of(*names: str) -> bytes:
    """As Ray Train writes it, what is read of it."""
    return json.dumps({"checkpoint_results": [{"checkpoint_dir_name": n} for n in names]}).encode()


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Two checkpoints that count, one that was on its way, one that has given way to another."""
    folder = tmp_path / "k"
    for name in ("step-4.1", "step-8.1", "step-12.2", "step-2.1"):
        (folder / name).mkdir(parents=True)
    (folder / LIST).write_bytes(list_of("step-4.1", "step-8.1"))
    return folder


def folders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def opened(folder: Path) -> Checkpoints:
    return Checkpoints(Place(path=str(folder)))


def test_only_what_is_listed_stays(kept: Path) -> None:
    opened(kept).settle()
    assert folders(kept) == ["step-4.1", "step-8.1"]


@pytest.mark.parametrize("size", [0, 1, 40])
def test_a_list_torn_while_it_was_written_is_the_one_before(kept: Path, size: int) -> None:
    whole = (kept / LIST).read_bytes()
    opened(kept).keep_list()
    (kept / LIST).write_bytes(list_of("step-4.1", "step-8.1", "step-12.2")[:size])
    opened(kept).settle()
    assert folders(kept) == ["step-4.1", "step-8.1"]
    assert (kept / LIST).read_bytes() == whole


def test_the_first_list_torn_leaves_a_beginning(kept: Path) -> None:
    (kept / LIST).write_bytes(b"")
    opened(kept).settle()
    assert folders(kept) == []
    assert not (kept / LIST).exists()  # Ray Train would not start over it


def test_the_record_is_whole_or_as_it_was(kept: Path) -> None:
    opened(kept).write_record(Record(attempts=3, seconds=7.5))
    with patch("os.replace", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        opened(kept).write_record(Record(attempts=4, seconds=9.0))
    assert opened(kept).read_record() == Record(attempts=3, seconds=7.5)


@pytest.mark.parametrize("content", [None, b"", b"[]", b'{"attempts": 1, "seconds": 1.0}'])
def test_attempts_are_never_fewer_than_checkpoints_tell_of(
    kept: Path, content: bytes | None
) -> None:
    if content is not None:
        (kept / RECORD).write_bytes(content)
    assert opened(kept).read_record().attempts == 2
