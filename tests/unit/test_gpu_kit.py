"""The GPU kit travels: small folders, no network, no place named; what it says of a check holds."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from infra.training import engine
from infra.training.config import TrainConfig
from infra.training.reports import TrainResult
from tests.gpu.bare.ranks import settings
from tests.gpu.bare.speed import PEAKS, peak_of
from tests.gpu.bare.test_training import assert_deepspeed, assert_planned
from tests.gpu.kit import build
from tests.gpu.kit.run import _started_by, numbers, verdict
from tests.rank_runs import Outcome

ROOT = Path(__file__).parents[2]
# What a kit of these holds: checks that pass, fail, skip, hang, and one that wants the network.
CHECKS = """
import os, pathlib, socket, subprocess, sys, time
import pytest
import travelled

def test_passes(figures):
    figures["seen"] = [travelled.NUMBER, os.environ["GPU_KIT_DEVICE"]]

def test_fails(figures):
    figures["loss"] = 2.5
    assert figures["loss"] < 1, "the loss is 2.5"

def test_skips():
    pytest.skip("no CUDA device")

def test_hangs(figures):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"],
                             start_new_session=True)
    pathlib.Path(os.environ["GPU_KIT_CACHE"], "child").write_text(str(child.pid))
    time.sleep(60)

def test_is_offline():
    assert {os.environ[name] for name in ("HF_HUB_OFFLINE", "PIP_NO_INDEX")} == {"1"}
"""
CONFTEST = """
import json, os, pathlib, pytest

@pytest.fixture
def figures(request):
    found = {}
    yield found
    told = json.dumps({request.node.name: found})
    pathlib.Path(os.environ["GPU_KIT_FIGURES"]).write_text(told)
"""
# Loaded by every Python of the kit: whoever looks beyond this machine is ended.
NO_NETWORK = """
import sys

def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise OSError(f"the kit reached for the network: {event} {arguments}")

sys.addaudithook(watch)
"""


def wheel(folder: Path, name: str, files: dict[str, str]) -> build.Item:
    package, version, *_ = name.split("-")
    path = folder / f"{name}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
    return build.Item(path=path, package=build.normal(package), version=version)


def small_kit(folder: Path, *, limit: int = 400_000) -> Path:
    """A kit whose checks are CHECKS, made by the builder; its model is in parts."""
    folder.mkdir()
    source = folder / build.SOURCE
    with tarfile.open(source, "w:gz") as archive:
        for name, text in (("test_these.py", CHECKS), ("conftest.py", CONFTEST)):
            member = tarfile.TarInfo(f"tests/gpu/bare/{name}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    model = wheel(folder, "big_model-1.0-py3-none-any", {"big_model/weights": "w" * 900_000})
    small = wheel(folder, "travelled-1.0-py3-none-any", {"travelled.py": "NUMBER = 7\n"})
    other = wheel(folder, "travelled-1.0-cp399-none-any", {"travelled.py": "NUMBER = 0\n"})
    names = ("passes", "fails", "skips", "hangs", "is_offline")
    checks = [
        {
            "name": name,
            "limit_s": 1 if name == "hangs" else 30,
            "tests": [f"test_these.py::test_{name}"],
        }
        for name in names
    ]  # fmt: skip
    items = [build.Item(path=source), model, small, other]
    build.pack(items, folder / "kit", {"source": "abc", "checks": checks}, limit)
    return folder / "kit"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str]:
    """The kit, its figures, what it printed; run with no network allowed."""
    folder = tmp_path_factory.mktemp("travel")
    kit = small_kit(folder / "made")
    (folder / "hook").mkdir()
    (folder / "hook" / "sitecustomize.py").write_text(NO_NETWORK)
    done = subprocess.run(
        [sys.executable, str(kit / "1" / "run.py"), "--device", "cpu", "--keep", "--out",
         str(folder / "out"), "--budget", "120"],
        cwd=folder, capture_output=True, text=True, timeout=170, check=False,
        env={**os.environ, "PYTHONPATH": str(folder / "hook")},
    )  # fmt: skip
    figures = json.loads((folder / "out" / "figures.json").read_text())
    assert done.returncode == 1, done.stdout + done.stderr
    return kit, figures, done.stdout


def test_a_failure_stops_nothing_and_all_of_it_is_told(
    ran: tuple[Path, dict[str, Any], str],
) -> None:
    _, figures, printed = ran
    checks = figures["checks"]
    assert {name: one["status"] for name, one in checks.items()} == {
        "passes": "passed", "fails": "failed", "skips": "skipped", "hangs": "failed",
        "is_offline": "passed",
    }  # fmt: skip
    assert checks["passes"]["figures"] == {"seen": [7, "cpu"]}
    assert checks["fails"]["figures"] == {"loss": 2.5}
    assert "the loss is 2.5" in checks["fails"]["reason"]
    assert "no CUDA device" in checks["skips"]["reason"]
    assert "had not ended after 9 s" in checks["hangs"]["reason"]
    assert (figures["device"], figures["is_gpu"]) == ("cpu", False)
    assert figures["kit"]["packages"]["travelled"] == "1.0 (kit)"
    assert "2 passed, 2 failed, 1 skipped" in printed


def test_what_a_check_that_hangs_had_started_is_ended(
    ran: tuple[Path, dict[str, Any], str],
) -> None:
    pid = int((ran[0].parent / "kit" / "run" / "cache" / "child").read_text())
    path = Path(f"/proc/{pid}/stat")
    assert not path.exists() or path.read_text().rpartition(")")[2].split()[0] == "Z"


def test_parts_are_joined_and_checked(tmp_path: Path) -> None:
    kit = small_kit(tmp_path / "made", limit=120_000)
    manifest = json.loads((kit / "1" / "manifest.json").read_text())
    (model,) = [one for one in manifest["files"] if one["name"].startswith("big_model")]
    run = [sys.executable, str(kit / "1" / "run.py"), "--only", "--budget", "0"]
    if len(model["parts"]) == 1:
        pytest.fail("the model was not cut: the test shows nothing")
    damaged = kit / model["parts"][-1]
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    done = subprocess.run(
        run, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "big_model-1.0-py3-none-any.whl is damaged" in done.stderr


def test_no_transfer_is_larger_than_may_travel(tmp_path: Path) -> None:
    assert build.TRANSFER < 60 * build.MIB
    limit = 300_000
    kit = small_kit(tmp_path / "made", limit=limit)
    sizes = build.sizes(kit)
    assert len(sizes) >= 2
    assert all(0 < size <= limit for size in sizes.values())
    with pytest.raises(ValueError, match="may travel at once"):
        small_kit(tmp_path / "less", limit=10_000)


def test_a_kit_names_no_place_and_no_address(tmp_path: Path) -> None:
    kit = small_kit(tmp_path / "made")
    manifest = (kit / "1" / "manifest.json").read_text()
    texts = [manifest, *(path.read_text() for path in (ROOT / "tests/gpu/kit").iterdir()
                         if path.suffix in (".py", ".toml"))]  # fmt: skip
    for text in texts:
        assert re.findall(r"\w+://|\b\d+\.\d+\.\d+\.\d+\b|/(?:tmp|opt|usr|home|root)\b", text) == []
        assert str(tmp_path) not in text
        assert os.uname().nodename not in text


def test_what_the_machine_has_never_travels() -> None:
    versions = build.closure(build.ROOTS)
    assert {"trl", "deepspeed", "datasets", "pydantic", "pydantic-core", "pandas"} <= {*versions}
    assert not {name for name in versions if name in build.NEVER or name.startswith("nvidia")}


def test_the_checks_exist_and_fit_the_budget() -> None:
    for check in build.checks():
        for named in check["tests"]:
            file, _, test = named.partition("::")
            text = (ROOT / "tests/gpu/bare" / file).read_text()
            assert f"def {test.partition('[')[0]}(" in text, check["name"]
        assert 0 < check["limit_s"] <= (480 if check.get("alone") else 120)


def test_a_newer_release_is_seen_as_one() -> None:
    assert numbers("2.14.10") > numbers("2.14.9") > numbers("2.9.0+cu130")


def test_a_report_that_is_missing_is_a_failure(tmp_path: Path) -> None:
    assert verdict(tmp_path / "none.xml", 139)[0] == "failed"
    report = tmp_path / "empty.xml"
    report.write_text("<testsuites><testsuite/></testsuites>")
    assert verdict(report, 5)[0] == "failed"


def test_processes_below_are_found() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
    try:
        assert child.pid in _started_by(os.getpid())
    finally:
        child.kill()
        child.wait()


# --- the checks fail where they should


@dataclass(kw_only=True)
class Told(Outcome):
    """An outcome without a folder."""

    told: TrainResult

    @property
    def result(self) -> TrainResult:
        return self.told


def outcome(**changes: Any) -> Outcome:
    result = TrainResult(
        num_steps=4, num_examples=8, num_too_long=0, num_held_out=0, train_tokens=900,
        learnt_tokens=600, tokens_too_long=0, tokens_held_out=0, train_loss=1.0,
        held_out_loss=None, train_seconds=3.0, num_parameters=10, world_size=1,
        engine="DeepSpeedEngine", zero_stage=2, optimizer="DeepSpeedZeroOptimizer",
        batching="packed", kept_step=4, num_attempts=1, peak_memory_bytes=2**30,
    )  # fmt: skip
    return Told(folder=Path("run"), told=replace(result, **changes))


@pytest.mark.parametrize(
    "wrong",
    [
        {"engine": "DistributedDataParallel"}, {"zero_stage": 0},
        {"optimizer": "AdamW"}, {"optimizer": "DeepSpeedZeroOptimizer_Stage3"},
    ],
)  # fmt: skip
def test_a_run_without_deepspeed_fails(wrong: dict[str, Any]) -> None:
    assert_deepspeed(outcome(), settings("cpu"))
    with pytest.raises(AssertionError):
        assert_deepspeed(outcome(**wrong), settings("cpu"))


def test_a_plan_that_promised_too_little_fails() -> None:
    assert_planned({"plan_over_peak": 1.2})
    for ratio in (0.7, 4.0):
        with pytest.raises(AssertionError):
            assert_planned({"plan_over_peak": ratio})


def test_a_device_has_the_peak_of_its_data_sheet() -> None:
    assert peak_of("NVIDIA H200") == 989
    assert peak_of("NVIDIA H100 PCIe") == 756
    assert peak_of("NVIDIA L40S") == PEAKS["L40S"]
    assert peak_of("cpu") is None


@pytest.mark.parametrize("has_compiler", [True, False])
def test_offload_without_a_compiler_takes_the_optimizer_of_torch(
    monkeypatch: pytest.MonkeyPatch, has_compiler: bool
) -> None:
    """On a GPU machine without CUDA's toolkit DeepSpeed's own would end the first step."""
    monkeypatch.setattr(engine, "_can_compile", lambda: has_compiler)
    told = engine.deepspeed_config(TrainConfig(device="gpu", zero="zero3-offload"))
    assert told["optimizer"]["params"].get("torch_adam", False) is not has_compiler
    assert told.get("zero_force_ds_cpu_optimizer", True) is has_compiler
    assert told["zero_optimization"]["offload_optimizer"]["pin_memory"] is True
