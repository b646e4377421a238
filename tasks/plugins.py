"""Plug-ins: Python files that a recipe names, whose declarations join the registries.

Invariants: a file is loaded once a process, under a name of its own, so that it shadows nothing;
processes that work for a run (graders, engines) load the same files before they begin. Its source
hash is in the fingerprint of the stages that use it, of an answer type in those that grade.

A sample: load_plugins(["./mine.py"], beside=Path("recipes")) -> ["scorer brevity"]
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path

from tasks.registry import REGISTRIES, PluginError, register_all, source_sha

_loaded: dict[Path, tuple[str, str]] = {}  # resolved file -> hash of what was loaded, origin


def load_plugins(names: Iterable[str], *, beside: Path | None = None) -> list[str]:
    """Load files, relative ones as seen from `beside`; what they declare. Raises PluginError."""
    found: list[str] = []
    for name in names:
        path = ((beside or Path()) / Path(name).expanduser()).resolve()
        found += _load(path, origin=name)
    return found


def loaded_plugins() -> tuple[str, ...]:
    """The files loaded, absolute: what another process of the run has to load."""
    return tuple(map(str, _loaded))


def _load(path: Path, *, origin: str) -> list[str]:
    try:
        sha = source_sha(path)
    except OSError as error:
        raise PluginError(f"plugins: cannot read {origin}: {error.strerror}") from error
    known_sha, known_origin = _loaded.get(path, ("", ""))
    if known_sha == sha:
        return []
    if known_sha:  # edited since, in a process that lives on (a notebook, a worker)
        for registry in REGISTRIES:
            registry.remove(known_origin)
    importlib.import_module("tasks.catalog")  # the one registry that lies apart from what it holds
    name = f"litecot_plugin_{path.stem}_{sha}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"plugins: {origin} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise PluginError(f"plugins: {origin}: {type(error).__name__}: {error}") from error
    found = register_all(module, origin=origin, sha=sha)
    if not found:
        raise PluginError(f"plugins: {origin} declares nothing that litecot knows (see docs)")
    _loaded[path] = (sha, origin)
    return found
