"""Stage fingerprints: a hash of everything that determines a stage's rows.

Prompts, models, settings, seed, the counting tokenizer, the source of plug-ins and, through the
fingerprints of the stages it reads, all of that upstream. Invariants: the same fingerprint and the
same input record give the same rows; what could change them changes the fingerprint, so resume
never mixes; a setting that a newer version adds changes no fingerprint until it is used. The one
exception is difficulty: its type and step scores look at the shard's other problems and its error
history at runs before this one, and they stay as they were when the problem was first graded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from tasks.prompts import PromptFile
from tasks.schemas import content_id

ALWAYS_HASHED = Path(__file__).with_name("always_hashed.txt")


def stage_fingerprint(
    name: str,
    config: BaseModel,
    *,
    table: str = "",
    models: Mapping[str, str],
    prompts: Mapping[str, PromptFile] | None = None,
    upstream: Sequence[str] = (),
    seed: int = 0,
    inputs: str = "",
    revision: int = 0,
    sources: Sequence[str] = (),
    instead: Mapping[str, object] | None = None,
    without: Sequence[str] = (),
) -> str:
    """16 hex characters.

    `table`: the recipe's table that `config` is; `models`: role -> model identity; `prompts`:
    setting -> what it names, in the stage's order; `inputs`: hash of the problems a global stage
    looks across; `sources`: hashes of the plug-ins it uses; `without`: settings that decide no row,
    or only through what is hashed `instead`.
    """
    prompts = prompts or {}
    settings = _settings(config, table or name, prompts)
    kept = {name: value for name, value in settings.items() if name not in without}
    return content_id(
        name,
        {**kept, **(instead or {})},
        sorted(models.items()),
        [prompt.sha for prompt in prompts.values()],
        sorted(upstream),
        seed,
        inputs,
        *([revision] if revision else []),
        *([sorted(sources)] if sources else []),
    )


def _settings(
    config: BaseModel, table: str, prompts: Mapping[str, PromptFile]
) -> dict[str, object]:
    """A prompt is its text: what a file of one's own is called, and where, is nothing."""
    settings: dict[str, object] = decisive_settings(config, table=table)
    for setting, prompt in prompts.items():
        settings.pop(setting, None)
        if setting == "prompt":  # as the hashes of the first corpora had it
            settings[setting] = prompt.twin or "own"
    return settings


def decisive_settings(config: BaseModel, *, table: str = "") -> dict[str, Any]:
    """What of `config` is hashed: the settings that differ from their defaults, and those of the
    first version whatever their value. `table`: its dotted key in a recipe; "" for the recipe."""
    return _decisive(config, json.loads(config.model_dump_json()), f"{table}." if table else "")


def _decisive(config: BaseModel, dumped: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    found = {}
    for name, value in dumped.items():
        key, part = f"{prefix}{name}", getattr(config, name)
        if key not in always_hashed() and _is_default(config, name):
            continue
        is_table = isinstance(part, BaseModel)
        found[name] = _decisive(part, value, f"{key}.") if is_table else value
    return found


def _is_default(config: BaseModel, name: str) -> bool:
    field = type(config).model_fields[name]
    if field.is_required():
        return False
    return bool(getattr(config, name) == field.get_default(call_default_factory=True))


@cache
def always_hashed() -> frozenset[str]:
    """Dotted keys of the settings of the first version, tables included."""
    found = {"models"}
    tables = [""]
    for line in ALWAYS_HASHED.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            tables = line.strip("[]").split()
            found.update(tables)
        elif not line.startswith("#"):
            found.update(f"{t}.{name}".strip(".") for t in tables for name in line.split())
    return frozenset(found)
