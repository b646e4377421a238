"""Registries: what there is of one kind (scorers, compression methods, ...), and where it is from.

Three origins: the modules of a folder of ours, other packages' entry points (`litecot.scorers`),
and files that a recipe names (tasks/plugins.py). Invariant: a name means one thing; what is ours
cannot be replaced from outside.

A sample: SCORERS["rd"].formula, SCORERS.entry("brevity").origin == "./mine.py"
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, Protocol, TypeVar

from tasks.errors import UsageError, near_names

BUILT_IN = "built-in"
NAME = re.compile(r"[a-z][a-z0-9_-]*")


class PluginError(UsageError):
    """A plug-in cannot be used; one line naming it."""


class Named(Protocol):
    """What a registry holds: a frozen declaration with a name."""

    @property
    def name(self) -> str: ...


NamedT = TypeVar("NamedT", bound=Named)


@dataclass(frozen=True, kw_only=True)
class Entry(Generic[NamedT]):
    """`sha`: hash of the source it comes from, which enters the fingerprints of the stages that
    use it; empty for what is ours, where `Stage.revision` says that rows changed."""

    value: NamedT
    origin: str  # built-in | distribution and version | the file, as the recipe names it
    sha: str = ""
    source: str = ""  # where the file is


class Registry(Generic[NamedT]):
    """Name -> declaration, in the order of declaration. Ours are in the modules of `folder` (or in
    the one module that it is), or in `modules` where they do not lie together."""

    def __init__(
        self,
        kind: str,
        of: type[NamedT],
        *,
        group: str,
        folder: str = "",
        modules: Sequence[str] = (),
    ) -> None:
        self.kind = kind
        self.of = of
        self.group = group
        self._folder = folder
        self._modules = modules
        self._entries: dict[str, Entry[NamedT]] | None = None
        REGISTRIES.append(self)

    @property
    def entries(self) -> Mapping[str, Entry[NamedT]]:
        """All of them; the first look reads our folder and the entry points."""
        if self._entries is None:
            self._entries = {}
            for value in _declared(self._modules or _modules_of(self._folder), self.of):
                self._entries[value.name] = Entry(value=value, origin=BUILT_IN)
            try:
                for point in importlib.metadata.entry_points(group=self.group):
                    self._add_entry_point(point)
            except PluginError:  # told at every look, not at the first alone
                self._entries = None
                raise
        return self._entries

    def __getitem__(self, name: str) -> NamedT:
        """Raises PluginError with the names there are."""
        return self.entry(name).value

    def entry(self, name: str) -> Entry[NamedT]:
        """Raises PluginError with the names there are."""
        try:
            return self.entries[name]
        except KeyError:
            near = near_names(name, self.entries)
            hint = f" (did you mean {near}?)" if near else ""
            known = ", ".join(self.entries)
            raise PluginError(f"no {self.kind} {name!r}{hint}; there are: {known}") from None

    def values(self) -> list[NamedT]:
        """The declarations."""
        return [entry.value for entry in self.entries.values()]

    def __contains__(self, name: object) -> bool:
        return name in self.entries

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def holds(self, value: NamedT) -> bool:
        """Whether it is the very one of its name: a plug-in may import what it derives from."""
        known = self.entries.get(value.name)
        return known is not None and known.value is value

    def check(self, value: NamedT, *, origin: str, source: str = "") -> None:
        """Raises PluginError where it cannot be added: its name is odd, or another's."""
        if not NAME.fullmatch(value.name):
            raise PluginError(
                f"{origin}: {self.kind} {value.name!r}: a name is lower case letters, digits, _ "
                "and -, a letter first"
            )
        known = self.entries.get(value.name)
        if known is not None and (not source or known.source != source):
            raise PluginError(
                f"{origin}: {self.kind} {value.name!r} is there already ({known.origin}): "
                "give yours another name"
            )

    def add(self, value: NamedT, *, origin: str, sha: str, source: str = "") -> None:
        """From outside. Raises PluginError."""
        self.check(value, origin=origin, source=source)
        assert self._entries is not None
        self._entries[value.name] = Entry(value=value, origin=origin, sha=sha, source=source)

    def remove(self, source: str) -> None:
        """Forget what came from this file."""
        self._entries = {n: e for n, e in self.entries.items() if e.source != source}

    def call(self, source: str, origin: str) -> None:
        """From now on what came from this file is told by another spelling of its path."""
        self._entries = {
            name: replace(entry, origin=origin) if entry.source == source else entry
            for name, entry in self.entries.items()
        }

    def _add_entry_point(self, point: importlib.metadata.EntryPoint) -> None:
        found = point.dist
        origin = f"{found.name} {found.version}" if found else point.value
        value = _guarded(point.load, origin)
        if not isinstance(value, self.of):
            raise PluginError(
                f"{origin}: entry point {point.name!r} of {self.group} is no {self.of.__name__}"
            )
        module = importlib.import_module(point.module)
        self.add(value, origin=origin, sha=sha_of(Path(str(module.__file__)).read_bytes()))


REGISTRIES: list[Registry[Any]] = []


def register_all(module: ModuleType, *, origin: str, sha: str, source: str) -> list[str]:
    """Every declaration at the top of `module`, each to its registry, instead of what came from
    its file before; what was found, in words. All of them, or none where one cannot be added."""
    found: dict[tuple[str, str], tuple[Registry[Any], Any]] = {}
    for value in {id(value): value for value in vars(module).values()}.values():
        for registry in REGISTRIES:
            if not isinstance(value, registry.of) or registry.holds(value):
                continue
            registry.check(value, origin=origin, source=source)
            if (registry.kind, value.name) in found:
                raise PluginError(f"{origin}: declares two of {registry.kind} {value.name!r}")
            found[registry.kind, value.name] = registry, value
    for registry in REGISTRIES:
        registry.remove(source)
    for registry, value in found.values():
        registry.add(value, origin=origin, sha=sha, source=source)
    return [f"{kind} {name}" for kind, name in found]


def sha_of(source: bytes) -> str:
    """Hash of a source file's content, 16 hex characters."""
    return hashlib.sha256(source).hexdigest()[:16]


def _modules_of(folder: str) -> Iterator[str]:
    """The folder itself, which may be a single module, and what lies in it."""
    home = importlib.import_module(folder)
    yield folder
    for found in pkgutil.iter_modules(getattr(home, "__path__", ())):
        yield f"{folder}.{found.name}"


def _declared(modules: Iterable[str], of: type[NamedT]) -> Iterator[NamedT]:
    """Instances of `of` at the top of these modules, each once, a module at a time."""
    seen: set[int] = set()
    for name in modules:
        module = importlib.import_module(name)
        for value in list(vars(module).values()):
            if isinstance(value, of) and id(value) not in seen:
                seen.add(id(value))
                yield value


def _guarded(load: Callable[[], Any], origin: str) -> Any:
    try:
        return load()
    except (Exception, SystemExit) as error:
        raise PluginError(f"{origin}: {type(error).__name__}: {error}") from error
