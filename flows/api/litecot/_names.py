"""Our folders are packages with everyday names (tasks, sql, ...); a user's own files keep theirs.

Role: called before anything else of ours is imported. Where the working folder (or whatever else
is on sys.path) has a `tasks.py` or a folder `sql`, `import tasks` goes on meaning that, while
`tasks.ports` and the like are ours. Invariant: nothing of the user's is run by importing litecot.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

OURS = ("tasks", "sql", "infra", "flows")
MARK = Path("tasks", "registry.py")
# Beside this package where it is installed, three folders up in a checkout.
ROOT = next(folder for folder in Path(__file__).resolve().parents if (folder / MARK).is_file())


def claim_names() -> None:
    """See the module's docstring. Idempotent."""
    if any(isinstance(finder, _OurModules) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, _OurModules())
    for name in OURS:
        loaded = sys.modules.get(name)
        if loaded is not None:
            if not _is_ours(loaded.__spec__):  # ours are to be imported from below it
                loaded.__path__ = [*getattr(loaded, "__path__", [])]
            continue
        found = PathFinder.find_spec(name)
        if found is not None and not _is_ours(found):
            sys.modules[name] = _Theirs(found)


def enter_worker() -> None:
    """What Ray calls first in each of our workers: our names, and none of the driver's keys."""
    claim_names()
    from infra.environment import forget_the_rest

    forget_the_rest()


class _OurModules(MetaPathFinder):
    """Finds our packages, and what is in them, wherever sys.path begins."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """None for what is not ours."""
        if fullname.partition(".")[0] not in OURS:
            return None
        place = ROOT.joinpath(*fullname.split("."))
        package, module = place / "__init__.py", place.with_suffix(".py")
        if package.is_file():
            return importlib.util.spec_from_file_location(
                fullname, package, submodule_search_locations=[str(place)]
            )
        if module.is_file():
            return importlib.util.spec_from_file_location(fullname, module)
        return None


class _Theirs(ModuleType):
    """A user's module that has a name of ours: run once something of it is asked for."""

    def __init__(self, spec: ModuleSpec) -> None:
        super().__init__(spec.name)
        self.__spec__ = spec
        self.__file__ = spec.origin
        self.__path__ = [*(spec.submodule_search_locations or [])]
        self._is_loaded = False

    def __getattr__(self, name: str) -> Any:
        spec = self.__spec__
        if self._is_loaded or spec is None or spec.loader is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        self._is_loaded = True
        spec.loader.exec_module(self)
        return getattr(self, name)


def _is_ours(spec: ModuleSpec | None) -> bool:
    found = [*(spec.submodule_search_locations or []), spec.origin or ""] if spec else []
    return any(path and Path(path).resolve().is_relative_to(ROOT) for path in found)
