"""What a run was made with: its recipe, its prompts, the versions of what it ran on.

Invariant: settings and prompts are shown as they were stored with the run; nothing of this machine
that is not in the corpus.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flows.page.figures import NONE, Table, count, shortened, table, words
from flows.progress.text import plain

if TYPE_CHECKING:
    from sql.database import Database

MOST_SETTINGS = 60_000  # characters of a recipe
MOST_PROMPT = 8_000  # of a prompt


@dataclass(frozen=True, kw_only=True)
class Prompt:
    name: str
    sha: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """`facts`: name -> value, of the run; `settings`: the whole recipe as JSON."""

    run_id: str
    recipe: str
    facts: Sequence[tuple[str, str]]
    settings: str
    prompts: Sequence[Prompt]
    versions: Table


def provenance(database: Database) -> Provenance:
    """Of the selected run; of none where the corpus has none."""
    found = database.run_file("report", "provenance").records()
    run: dict[str, Any] = found[0] if found else {}
    versions = _read(run.get("versions"))
    rows = [{"package": name, "version": version} for name, version in sorted(versions.items())]
    return Provenance(
        run_id=words(run.get("run_id")),
        recipe=words(run.get("recipe")),
        facts=_facts(run),
        settings=_settings(run.get("settings")),
        prompts=_prompts(run),
        versions=table(rows, "Versions", {"package": "package", "version": "version"}),
    )


def _facts(run: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("run", words(run.get("run_id"))),
        ("recipe", words(run.get("recipe"))),
        ("begun", _moment(run.get("first_started_at") or run.get("created_at"))),
        ("last invocation ended", _moment(run.get("last_finished_at"))),
        ("invocations", count(run.get("num_invocations"))),
        ("problems taken in, held-out ones included", count(run.get("num_problems"))),
        ("rationales taken in with them", count(run.get("num_candidates"))),
    ]


def _moment(value: Any) -> str:
    """2026-11-29 19:28:38 UTC."""
    return f"{str(value)[:19].replace('T', ' ')} UTC" if value else NONE


def _settings(settings: Any) -> str:
    read = _read(settings)
    told = json.dumps(read, indent=2, ensure_ascii=False) if read else ""
    return shortened(plain(told), MOST_SETTINGS)


def _prompts(run: dict[str, Any]) -> list[Prompt]:
    texts = _read(run.get("prompt_texts"))
    return [
        Prompt(name=words(name), sha=words(sha),
               text=shortened(plain(texts.get(str(sha), "")), MOST_PROMPT))
        for name, sha in sorted(_read(run.get("prompts")).items())
    ]  # fmt: skip


def _read(text: Any) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
