"""Run a GPU kit: one command, no network, one JSON of figures.

    python run.py [--device auto|cpu|cuda] [--out FOLDER] [--only NAME ...] [--budget SECONDS]

Role: stands in the kit's first folder, the others beside it. Needs the standard library and
whatever the machine has of torch and transformers; what it lacks comes from the kit's wheels.
Invariants: nothing is fetched; the first failure stops nothing; every check has its own limit and
all together the budget; `figures.json` is whole after every check, so a run that is ended leaves
what it had found. Exit code: 0 where no check failed, else 1.

A sample line: `[ 93 s] zero: passed in 31.4 s`
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib.metadata
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SLOWER_ON_CPU = 9  # a check's limit there, in its limit on a GPU
LEAST_S = 5.0  # no check begins with less of the budget left
OFFLINE = {
    "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1",
    "PIP_NO_INDEX": "1", "DO_NOT_TRACK": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false", "DS_BUILD_OPS": "0",
}  # fmt: skip
TESTS = "tests/gpu/bare"


class KitError(Exception):
    """The kit is not as its manifest says; one line."""


# --- unpacking


def joined(entry: dict[str, Any], kit: Path, work: Path) -> Path | None:
    """A file of the manifest, its parts joined and its hash checked; None: a part is not here."""
    parts = [kit / part for part in entry["parts"]]
    if not all(part.is_file() for part in parts):
        return None
    path = parts[0]
    if len(parts) > 1:
        path = work / entry["name"]
        with path.open("wb") as whole:
            for part in parts:
                with part.open("rb") as file:
                    shutil.copyfileobj(file, whole, 2**20)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != entry["sha256"]:
        raise KitError(f"{entry['name']} is damaged: sha256 {digest}, and {entry['sha256']} left")
    return path


def numbers(version: str) -> tuple[int, ...]:
    """For comparing releases: 5.17.0 -> (5, 17, 0)."""
    return tuple(int(one) for one in re.findall(r"\d+", version.partition("+")[0]))


def version_here(name: str) -> str | None:
    """Of a distribution on this machine."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def fits(wheel: str) -> bool:
    """Whether a wheel is for this Python: pure, for its version, or for its stable interface."""
    python, abi = wheel.removesuffix(".whl").split("-")[-3:-1]
    here = f"{sys.version_info.major}{sys.version_info.minor}"
    return abi == "abi3" or bool({"py3", f"py{here}", f"cp{here}"} & {*python.split(".")})


def unpack_wheel(wheel: Path, site: Path) -> None:
    """As an installer would; scripts go to `site`/bin."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            first, *rest = member.filename.split("/")
            target = member.filename
            if first.endswith(".data"):
                kind, *rest = rest
                target = "/".join(["bin", *rest] if kind == "scripts" else rest)
            if member.is_dir() or not target:
                continue
            path = (site / target).resolve()
            if not path.is_relative_to(site.resolve()):
                raise KitError(f"{wheel.name} writes outside its folder: {member.filename}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(archive.read(member))
            if path.parent.name == "bin":
                path.chmod(0o755)


def set_up(manifest: dict[str, Any], kit: Path, work: Path) -> dict[str, Any]:
    """Source and packages in `work`; who brings which package."""
    site, source = work / "site", work / "source"
    site.mkdir(parents=True)
    source.mkdir()
    packages: dict[str, str] = {}
    missing = []
    for entry in manifest["files"]:
        name = entry["name"]
        if name.endswith(".whl"):
            if not fits(name):
                continue
            have = version_here(entry["package"])
            if have is not None and numbers(have) >= numbers(entry["version"]):
                packages[entry["package"]] = f"{have} (machine)"
                continue
        path = joined(entry, kit, work)
        if path is None:
            missing.append(name)
        elif name.endswith(".whl"):
            unpack_wheel(path, site)
            packages[entry["package"]] = f"{entry['version']} (kit)"
        else:
            with tarfile.open(path) as archive:
                archive.extractall(source, filter="data")
    return {"packages": packages, "did_not_travel": missing}


def environment(work: Path, device: str) -> dict[str, str]:
    """Of every check."""
    own = {**os.environ, **OFFLINE}
    for name in ("PYTHONHOME", "PYTHONSTARTUP", "DS_ACCELERATOR", "ACCELERATE_USE_CPU"):
        own.pop(name, None)
    own["PYTHONPATH"] = os.pathsep.join([str(work / "source"), str(work / "site")])
    own["PATH"] = os.pathsep.join([str(work / "site" / "bin"), own.get("PATH", "")])
    own["PYTHONDONTWRITEBYTECODE"] = ""  # a dozen processes import the same libraries
    own["TMPDIR"] = str(work / "tmp")
    own["LITECOT_CACHE"] = own["GPU_KIT_CACHE"] = str(work / "cache")
    own["HF_HOME"] = str(work / "cache" / "hf")
    own["TRITON_CACHE_DIR"] = str(work / "cache" / "triton")
    own["GPU_KIT_DEVICE"] = device
    if device == "cpu":
        own["CUDA_VISIBLE_DEVICES"] = ""
    return own


PROBE = """
import importlib.metadata, json, os, platform, sys
found = {"python": platform.python_version(), "cpus": os.cpu_count(), "device": "cpu"}
try:
    import torch
except Exception as error:
    found["fault"] = f"torch cannot be imported: {error}"
else:
    if torch.cuda.is_available():
        found["device"] = torch.cuda.get_device_name()
        found["gpus"] = torch.cuda.device_count()
        found["memory_gib"] = round(torch.cuda.mem_get_info()[1] / 2**30, 1)
        found["capability"] = ".".join(map(str, torch.cuda.get_device_capability()))
        found["cuda"] = torch.version.cuda
    from torch.utils.cpp_extension import CUDA_HOME
    found["cuda_compiler"] = CUDA_HOME is not None
versions = {}
for name in json.loads(sys.argv[1]):
    try:
        versions[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        versions[name] = None
print(json.dumps(found | {"versions": versions}))
"""
ASKED = (
    "torch", "transformers", "accelerate", "peft", "safetensors", "pyarrow", "pytest", "numpy",
    "trl", "deepspeed", "datasets", "pydantic", "flash-attn", "triton", "vllm", "ray",
)  # fmt: skip


def probe(own: dict[str, str], work: Path) -> dict[str, Any]:
    """What the machine is, as a process sees it that was set up like the checks."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(ASKED)], env=own, cwd=work, capture_output=True,
        text=True, timeout=180, check=False,
    )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        return {"device": "unknown", "fault": last}
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


# --- checks


def verdict(report: Path, code: int) -> tuple[str, str]:
    """passed, failed or skipped, and why, from what pytest left."""
    try:
        root = ElementTree.parse(report).getroot()
    except (OSError, ElementTree.ParseError):
        return "failed", f"it ended with exit code {code} and no report"
    cases = list(root.iter("testcase"))
    for case in cases:
        for kind in ("failure", "error"):
            if (found := case.find(kind)) is not None:
                whole = found.get("message") or found.text or kind
                return "failed", whole.strip()[-2000:]
    skipped = [found for case in cases if (found := case.find("skipped")) is not None]
    if code or not cases:
        return "failed", f"no test ran (exit code {code})"
    if len(skipped) == len(cases):
        return "skipped", skipped[0].get("message") or "no reason given"
    return "passed", ""


def run_check(
    check: dict[str, Any], own: dict[str, str], work: Path, limit: float
) -> dict[str, Any]:
    """One check in a process group of its own, ended at its limit."""
    report, found = work / f"{check['name']}.xml", work / f"{check['name']}.json"
    log = work / f"{check['name']}.log"
    command = [
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore",
        "--confcutdir", TESTS, "--basetemp", str(work / "tmp" / check["name"]),
        f"--junitxml={report}", *(f"{TESTS}/{test}" for test in check["tests"]),
    ]  # fmt: skip
    began, cpu = time.monotonic(), _cpu_s()
    with log.open("w") as file:
        process = subprocess.Popen(
            command, env={**own, "GPU_KIT_FIGURES": str(found)}, cwd=work / "source", stdout=file,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            code = process.wait(timeout=limit)
            status, reason = verdict(report, code)
        except subprocess.TimeoutExpired:
            status, reason = "failed", f"it had not ended after {limit:.0f} s"
        finally:
            _end(process)
    shutil.rmtree(work / "tmp" / check["name"], ignore_errors=True)
    try:
        figures = json.loads(found.read_text())
    except (OSError, ValueError):
        figures = {}
    if len(check["tests"]) == 1:
        (figures,) = figures.values() or ({},)
    outcome = {"status": status, "wall_s": round(time.monotonic() - began, 1)}
    outcome |= {"cpu_s": round(_cpu_s() - cpu, 1), "figures": figures}
    if reason:
        outcome["reason"] = reason
    if status == "failed":
        outcome["log_tail"] = log.read_text(errors="replace")[-3000:]
    return outcome


def _end(process: subprocess.Popen[bytes]) -> None:
    """It and what it started: torchrun puts ranks into sessions of their own."""
    for pid in (*_started_by(process.pid), process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def _started_by(pid: int) -> list[int]:
    """Processes below `pid`, the nearest first."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            parents.setdefault(parent, []).append(int(path.parent.name))
    found = [pid]
    for each in found:
        found += parents.get(each, ())
    return found[1:]


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def write(path: Path, figures: dict[str, Any]) -> None:
    """Whole or as it was."""
    growing = path.with_suffix(".writing")
    growing.write_text(json.dumps(figures, indent=1) + "\n")
    os.replace(growing, path)


def run(options: argparse.Namespace) -> int:
    """Exit code."""
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - began:4.0f} s] {line}", flush=True)

    manifest = json.loads((HERE / "manifest.json").read_text())
    work = Path(options.work or HERE.parent / "run").resolve()
    shutil.rmtree(work, ignore_errors=True)
    for folder in ("tmp", "cache"):
        (work / folder).mkdir(parents=True)
    say("unpacking")
    setup = set_up(manifest, HERE.parent, work)
    own = environment(work, options.device)
    machine = probe(own, work)
    on_gpu = "memory_gib" in machine
    for name in setup["did_not_travel"]:
        say(f"{name} is not here: what needs it is done without, or skipped, and says so")
    versions = machine.get("versions", {})
    say(", ".join([machine["device"], *(f"{one} {versions.get(one)}" for one in ASKED[:2])]))
    figures: dict[str, Any] = {
        "device": machine["device"], "is_gpu": on_gpu, "machine": machine, "kit": setup,
        "built_from": manifest["source"], "budget_s": options.budget, "checks": {},
    }  # fmt: skip
    path = Path(options.out).resolve() / "figures.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, figures)
    chosen = [
        one
        for one in manifest["checks"]
        if (one["name"] in options.only if options.only else not one.get("alone"))
    ]
    for check in chosen:
        left = options.budget - (time.monotonic() - began)
        limit = min(left, check["limit_s"] * (1 if on_gpu else SLOWER_ON_CPU))
        if machine.get("fault"):
            outcome = {"status": "failed", "reason": machine["fault"], "wall_s": 0.0}
        elif left < LEAST_S:
            outcome = {"status": "skipped", "reason": "no time was left", "wall_s": 0.0}
        else:
            say(f"{check['name']} ...")
            outcome = run_check(check, own, work, limit)
        figures["checks"][check["name"]] = outcome
        figures["wall_s"] = round(time.monotonic() - began, 1)
        write(path, figures)
        why = f": {outcome['reason'].splitlines()[0][:200]}" if outcome.get("reason") else ""
        say(f"{check['name']}: {outcome['status']} in {outcome['wall_s']} s{why}")
    states = [one["status"] for one in figures["checks"].values()]
    counts = {state: states.count(state) for state in ("passed", "failed", "skipped")}
    say(", ".join(f"{number} {state}" for state, number in counts.items()) + f"; {path}")
    if not options.keep:
        shutil.rmtree(work, ignore_errors=True)
    return 1 if counts["failed"] or not counts["passed"] else 0


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Run the GPU checks of this kit, offline.")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--out", default=".", help="folder for figures.json")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="these checks alone")
    parser.add_argument(
        "--budget", type=float, default=340.0, help="seconds of all checks together"
    )
    parser.add_argument("--work", help="folder to unpack into, emptied first; beside the kit's")
    parser.add_argument("--keep", action="store_true", help="leave what was unpacked, and the logs")
    try:
        sys.exit(run(parser.parse_args()))
    except KitError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
