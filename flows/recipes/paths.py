"""The paths of a recipe: relative to its file, and stored without where they were.

Invariants: a path in a recipe file means the same wherever the command is typed, one on the command
line is relative to the working directory. What identifies a run holds the name and the hash of a
file, never its path: the same file under two spellings is the same run. Names that are no files
(nano:train, hub ids, shipped prompts) stay as they are.

A sample: recipes/mine.toml with problems = ["../data/sums.jsonl"] reads
recipes/../data/sums.jsonl and is stored with "sums.jsonl@sha256:4a1f09c2b7d3e865".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from infra.engines import ENGINES, EngineConfig
from infra.engines.model_files import is_shipped, model_folder, model_identity
from tasks.benchmarks import is_own_benchmark
from tasks.intake.sources import is_file_name
from tasks.prompts import is_own

Rename = Callable[[str], str]
DATA = (("problems",), ("evaluate", "problems"), ("hygiene", "evaluation_sets"))
DEFAULT_ENGINE = EngineConfig.model_fields["engine"].default
SHOWN = 16  # hex characters of a file's hash


@dataclass(frozen=True, kw_only=True)
class Renames:
    """What becomes of each name; `prompt` also hears of which setting it is ("rewrite.prompt")."""

    data: Rename
    model: Rename
    adapter: Rename
    prompt: Callable[[str, str], str]


def rename(tree: dict[str, Any], names: Renames) -> None:
    """Every setting that may name a file, in place; what is no name is left to the recipe's check.

    `tree`: a recipe as TOML or JSON has it.
    """
    for *parents, last in DATA:
        table = _table(tree, *parents)
        if isinstance(listed := table.get(last), list | tuple):
            table[last] = [names.data(each) if isinstance(each, str) else each for each in listed]
    for model in _table(tree, "models").values():
        if isinstance(model, dict) and _has_files(model):
            _rename_one(model, "model", names.model)
            for engine in ENGINES.values():
                for option in engine.path_options:
                    _rename_one(_table(model, engine.name), option, names.adapter)
    for name, table in tree.items():
        for setting in table if isinstance(table, dict) else ():
            if setting == "prompt" or setting.endswith("_prompt"):
                _rename_one(table, setting, partial(names.prompt, f"{name}.{setting}"))


def anchor(tree: dict[str, Any], folder: Path) -> None:
    """Paths as seen from `folder`, in place. Path(): as seen from here, ~ written out."""

    def at(path: str) -> str:
        seen = Path(path).expanduser()
        return path if folder == Path() and not path.startswith("~") else str(folder / seen)

    def model(name: str) -> str:
        if not name.startswith(("./", "../", "~")):
            return name
        path = at(name)
        return path if Path(path).is_absolute() or path.startswith(".") else f"./{path}"

    rename(
        tree,
        Renames(
            data=lambda name: at(name) if is_file_name(name) or is_own_benchmark(name) else name,
            model=model,
            adapter=at,
            prompt=lambda key, name: at(name) if is_own(name) else name,
        ),
    )


def store_names(
    tree: dict[str, Any], *, hashes: Mapping[str, str], prompts: Mapping[str, str]
) -> None:
    """Names and hashes instead of paths, in place: the recipe as it is stored.

    `hashes`: data file as named -> its hash; `prompts`: setting -> its name, of those that are
    read. What nothing reads keeps the file's name alone.
    """
    rename(
        tree,
        Renames(
            data=lambda name: f"{_real(name)}@{hashes[name][:SHOWN + 7]}" if name in hashes
            else name,
            model=lambda name: name if is_shipped(name) or model_folder(name) is None
            else f"{_real(name)}@{model_identity(name)}",
            adapter=lambda name: f"{_real(name)}@{model_identity(name)}",
            prompt=lambda key, name: prompts.get(key, _real(name) if is_own(name) else name),
        ),
    )  # fmt: skip


def _has_files(model: dict[str, Any]) -> bool:
    """Whether its engine loads a checkpoint, which may be a folder here."""
    engine = model.get("engine", DEFAULT_ENGINE)
    return not isinstance(engine, str) or engine not in ENGINES or ENGINES[engine].has_checkpoint


def _real(name: str) -> str:
    return Path(name).expanduser().resolve().name


def _table(tree: Any, *keys: str) -> dict[str, Any]:
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree if isinstance(tree, dict) else {}


def _rename_one(table: dict[str, Any], key: str, new: Rename) -> None:
    if isinstance(table.get(key), str):
        table[key] = new(table[key])
