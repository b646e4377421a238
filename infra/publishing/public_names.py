"""What models and sources are called where anybody may read it.

Invariant: no name has a path of this machine in it, nor a password or a signature of a URL; names
of hubs and of servers stay as they are, and two sources stay two.

    public_name("/data/models/Qwen2.5-7B") == "Qwen2.5-7B"
    public_name("s3://key:secret@bucket/x.jsonl?X-Amz-Signature=1") == "s3://bucket/x.jsonl"
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from tasks.intake.sources import is_file_name

NAMELESS = "a local folder"  # ".", "~", "/"
_URL = re.compile(r"([A-Za-z][\w+.-]+):/{1,3}(?:[^/?#]*@)?([^?#]*)")
_LOCAL = re.compile(r"[/~\\]|\.{1,2}(?:[/\\]|$)|[A-Za-z]:[/\\]")
_PATH = re.compile(r"(?:/[^/\s]+|~[\w.-]*|\.{1,2}|[A-Za-z]:|\\)[/\\]\S|file:/")  # in any setting
_NAMING = {"model", "problems", "evaluation_sets", "plugins"}  # settings that hold names
_STORED = "@sha256:"  # behind the name of a local file or folder, in a stored recipe


class PublicNames:
    """The names of one run. `recipe`: as stored; `sources`: all of its problems'."""

    def __init__(self, recipe: Mapping[str, Any], sources: Iterable[str]) -> None:
        named = [table.get("model") or "" for table in recipe.get("models", {}).values() if table]
        self._local = {name.partition(_STORED)[0] for name in named if _STORED in name}
        self._sources = _distinct(sorted(set(sources)))

    def model(self, name: str | None) -> str | None:
        """As rows have it."""
        return name and public_name(name, local=self._local)

    def source(self, name: str) -> str:
        """As rows have it."""
        return self._sources.get(name) or public_name(name)


def public_name(name: str, *, local: Collection[str] = ()) -> str:
    """`local`: last steps of paths that are known to be of this machine."""
    if url := _URL.match(name):
        scheme, place = url[1].lower(), url[2]
        return f"{scheme}://{place}" if scheme != "file" else _last_step(unquote(place))
    is_path = _LOCAL.match(name) or "\\" in name or ("/" in name and _is_here(name))
    return _last_step(name) if is_path or _last_step(name) in local else name


def public_settings(value: Any, key: str = "") -> Any:
    """A stored recipe, or the part of it under `key`, with paths shortened to their last step."""
    if isinstance(value, dict):
        return {name: public_settings(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [public_settings(item, key) for item in value]
    if not isinstance(value, str):
        return value
    is_private = key in _NAMING or _PATH.match(value) or _URL.match(value)
    return public_name(value) if is_private else value


def _is_here(name: str) -> bool:
    try:
        return is_file_name(name) or os.path.lexists(name)
    except ValueError:  # a NUL
        return True


def _last_step(path: str) -> str:
    steps = [step for step in re.split(r"[/\\]+", path) if step not in ("", ".", "..", "~")]
    return steps[-1] if steps else NAMELESS


def _distinct(sources: Iterable[str]) -> dict[str, str]:
    """Where two have one last step, with the folder before it, else with a number behind."""
    short = {source: public_name(source) for source in sources}
    names: dict[str, str] = {}
    for source, name in short.items():
        if Counter(short.values())[name] > 1 and source != name:
            folder = _last_step(source[: source.rfind(name)])
            name = f"{folder}/{name}" if folder != NAMELESS else name
        number = 1
        while (unique := name if number == 1 else f"{name} ({number})") in names.values():
            number += 1
        names[source] = unique
    return names
