"""Checks before loading, fingerprints, and that none of it loads torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from infra.engines import EngineConfig, ModelFilesError, check_model, model_fingerprint
from infra.engines import model_files as files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")  # no tensors
    return tmp_path


def test_a_whole_folder_passes(folder: Path) -> None:
    check_model(EngineConfig(model=str(folder)))


@pytest.mark.parametrize(
    ("missing", "complaint"),
    [
        ("config.json", "no config.json"),
        ("tokenizer.json", "no tokenizer.json"),
        ("model.safetensors", "no model"),
    ],
)
def test_a_missing_file_is_named(folder: Path, missing: str, complaint: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(ModelFilesError, match=complaint) as caught:
        check_model(EngineConfig(model=str(folder)))
    assert "\n" not in str(caught.value)


def test_pickled_weights_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelFilesError, match="safetensors"):
        check_model(EngineConfig(model=str(folder)))


def test_an_unknown_nano_model_says_how_to_make_it() -> None:
    with pytest.raises(ModelFilesError, match="make nano"):
        check_model(EngineConfig(model="nano:nobody"))


def test_a_hub_id_that_is_not_cached_is_refused_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelFilesError, match="HF_HUB_OFFLINE"):
        check_model(EngineConfig(model="litecot-tests/no-such-model"))


def test_cuda_without_a_gpu_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ModelFilesError, match="NVIDIA"):
        check_model(EngineConfig(model=str(folder), device="cuda"))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_the_fingerprint_follows_the_files(folder: Path, name: str) -> None:
    config = EngineConfig(model=str(folder))
    before = model_fingerprint(config)
    assert model_fingerprint(config) == before
    (folder / name).write_text('{"changed": true}')
    assert model_fingerprint(config) != before


def test_the_fingerprint_does_not_follow_the_place(folder: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    moved.mkdir()
    for path in folder.glob("*.*"):
        (moved / path.name).write_bytes(path.read_bytes())
    here, there = EngineConfig(model=str(folder)), EngineConfig(model=str(moved))
    assert model_fingerprint(here) == model_fingerprint(there)


def test_a_hub_id_is_its_own_fingerprint() -> None:
    config = EngineConfig(model="Qwen/Qwen2.5-7B", revision="abc")
    assert model_fingerprint(config) == "Qwen/Qwen2.5-7B@abc"


@pytest.mark.parametrize(
    ("model", "is_local"),
    [("nano:teacher", True), ("./x", True), ("a/b/c", True), ("org/name", False)],
)
def test_what_counts_as_a_folder(model: str, is_local: bool) -> None:
    assert (files.model_folder(model) is not None) == is_local


def test_a_wrong_key_is_an_error() -> None:
    with pytest.raises(ValidationError):
        EngineConfig.model_validate({"model": "x", "max_batchsize": 3})


def test_checking_loads_neither_torch_nor_transformers(folder: Path) -> None:
    code = (
        "import sys; from infra.engines import *; c = EngineConfig(model=sys.argv[1]);"
        "check_model(c); model_fingerprint(c);"
        "print(sorted({'torch', 'transformers', 'ray'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        capture_output=True,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=True,
    )
    assert done.stdout.strip() == "[]"
