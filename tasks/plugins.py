"""Plug-ins: Python files that a recipe names, whose declarations join the registries.

Invariants: a file is loaded once a process, under a name of its own, so that it shadows nothing;
processes that work for a run (graders, engines) load the same files before they begin. Its source
hash is in the fingerprint of the stages that use it, of an answer type in those that grade.

A sample: load_plugins(["./mine.py"], beside=Path("recipes")) -> ["scorer brevity"]
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from tasks.registry import REGISTRIES, PluginError, register_all, sha_of

_loaded: dict[Path, str] = {}  # resolved file -> hash of what was loaded


def load_plugins(names: Iterable[str], *, beside: Path | None = None) -> list[str]:
    """Load files, relative ones as seen from `beside`; what they declare. Raises PluginError."""
    found: list[str] = []
    for name in names:
        found += _load(_resolved(name, beside or Path()), origin=name)
    return found


def loaded_plugins() -> tuple[str, ...]:
    """The files loaded, absolute: what another process of the run has to load."""
    return tuple(map(str, _loaded))


def _resolved(name: str, beside: Path) -> Path:
    try:
        path = (beside / Path(name).expanduser()).resolve()
        is_there, is_file = path.exists(), path.is_file()
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a NUL
        raise PluginError(f"plugins: cannot read {name!r}: {error}") from error
    if not is_there:
        raise PluginError(f"plugins: cannot read {name}: there is no {path}")
    if not is_file:
        raise PluginError(f"plugins: {name} is no file: name the Python file")
    return path


def _load(path: Path, *, origin: str) -> list[str]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PluginError(f"plugins: cannot read {origin}: {error.strerror}") from error
    sha, source = sha_of(content), str(path)
    if _loaded.get(path) == sha:
        for registry in REGISTRIES:
            registry.call(source, origin)
        return []
    _loaded.pop(path, None)  # edited since, in a process that lives on (a notebook, a worker)
    importlib.import_module("tasks.catalog")  # the one registry that lies apart from what it holds
    module = _executed(content, path, origin=origin, name=f"litecot_plugin_{path.stem}_{sha}")
    found = register_all(module, origin=origin, sha=sha, source=source)
    if not found:
        raise PluginError(f"plugins: {origin} declares nothing that litecot knows (see docs)")
    _loaded[path] = sha
    return found


def _executed(content: bytes, path: Path, *, origin: str, name: str) -> ModuleType:
    """The file as a module. What was hashed is what is run."""
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    try:
        exec(compile(content, str(path), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        lines = [
            f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)
        ]
        where = f"{origin}:{lines[-1]}" if lines else origin
        raise PluginError(f"plugins: {where}: {type(error).__name__}: {error}") from error
    return module
