"""Weights that are not all there are named at the plan, by their headers: nothing is loaded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from flows.cli.main import app
from infra.engines import EngineConfig, ModelFilesError, check_model
from infra.engines.model_files import NANO_WEIGHTS, cut_off_weights

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
INDEX = "model.safetensors.index.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model in two shards."""
    folder = tmp_path / "student"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_text("{}")
    save_file({"a": np.zeros((8, 4), np.float16), "b": np.ones(5, np.float32)}, folder / SHARDS[0])
    save_file({"c": np.zeros((0, 3), np.int8), "d": np.ones(1, bool)}, folder / SHARDS[1])
    weight_map = {"a": SHARDS[0], "b": SHARDS[0], "c": SHARDS[1], "d": SHARDS[1]}
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return folder


def test_whole_weights_pass(folder: Path) -> None:
    assert cut_off_weights(folder) is None
    check_model(EngineConfig(model=str(folder)))
    for nano in NANO_WEIGHTS.iterdir():
        assert cut_off_weights(nano) is None


def test_weights_cut_off_anywhere_are_named(folder: Path) -> None:
    path = folder / SHARDS[0]
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        told = cut_off_weights(folder)
        assert told is not None, length
        assert told.startswith(f"{path}: "), told
        assert "cut off" in told, told
    path.write_bytes(content + b"\0")
    assert "is cut off or damaged" in (cut_off_weights(folder) or "")
    path.write_bytes(content)
    assert len(load_file(path)) == 2


def remove_a_shard(folder: Path) -> str:
    (folder / SHARDS[1]).unlink()
    return f"{folder / SHARDS[1]}: is not there, and {INDEX} names it"


def cut_a_shard(folder: Path) -> str:
    content = (folder / SHARDS[1]).read_bytes()
    (folder / SHARDS[1]).write_bytes(content[:-1])
    size = len(content)
    return f"{folder / SHARDS[1]}: is {size - 1} bytes long and its header says {size}"


def empty_a_shard(folder: Path) -> str:
    (folder / SHARDS[0]).write_bytes(b"")
    return f"{folder / SHARDS[0]}: is cut off"


def cut_the_index(folder: Path) -> str:
    (folder / INDEX).write_text((folder / INDEX).read_text()[:-9])
    return f"{folder / INDEX}: is cut off or damaged"


def spoil_the_header(folder: Path) -> str:
    content = bytearray((folder / SHARDS[0]).read_bytes())
    content[8] = 0xFF
    (folder / SHARDS[0]).write_bytes(content)
    return f"{folder / SHARDS[0]}: its header is damaged"


def name_no_offsets(folder: Path) -> str:
    header = b'{"a": {"dtype": "F32"}}'
    (folder / SHARDS[0]).write_bytes(len(header).to_bytes(8, "little") + header)
    return f"{folder / SHARDS[0]}: its header is damaged"


@pytest.mark.parametrize(
    "spoil",
    [remove_a_shard, cut_a_shard, empty_a_shard, cut_the_index, spoil_the_header, name_no_offsets],
)
def test_the_plan_and_the_run_name_the_file_before_anything_starts(
    folder: Path, tmp_path: Path, spoil: Callable[[Path], str]
) -> None:
    told = spoil(folder)
    (tmp_path / "p.jsonl").write_text('{"question": "q", "answer": "4", "solution": "4"}\n')
    for more in (["--plan"], []):
        done = CliRunner().invoke(app, [
            "run", "morsd", "--rationales", str(tmp_path / "p.jsonl"),
            "--set", f"models.student.model={folder}", "--corpus", str(tmp_path / "c"), *more,
        ])  # fmt: skip
        assert done.exit_code == 2
        assert told in done.stderr
        assert "download or save it again" in done.stderr
        assert done.stderr.count("\n") == 1
    assert not (tmp_path / "c").exists()


def test_a_download_cut_off_in_the_hub_cache_is_named_where_there_is_no_hub(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub
    from huggingface_hub import constants

    cache = tmp_path / "hub"
    snapshot = cache / "models--org--small" / "snapshots" / "abc"
    shutil.copytree(folder, snapshot)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("abc")
    real = huggingface_hub.try_to_load_from_cache
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(
        huggingface_hub, "try_to_load_from_cache",
        lambda *args, **kw: real(*args, cache_dir=str(cache), **kw),
    )  # fmt: skip
    check_model(EngineConfig(model="org/small"))
    (snapshot / SHARDS[1]).unlink()
    with pytest.raises(ModelFilesError, match=f"{SHARDS[1]}: is not there"):
        check_model(EngineConfig(model="org/small"))


def test_an_adapter_that_is_cut_off_is_named(tmp_path: Path) -> None:
    from infra.engines.vllm.checks import _check_adapter

    (tmp_path / "adapter_config.json").write_text('{"r": 8}')
    path = tmp_path / "adapter_model.safetensors"
    save_file({"a": np.zeros(9, np.float32)}, path)
    _check_adapter(tmp_path, 8)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ModelFilesError, match=f"{path}: is .* cut off"):
        _check_adapter(tmp_path, 8)
