"""Where the nano world's files are: `nano:train` and `nano:eval` name its problem files."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
PREFIX = "nano:"


def resolve_nano(name: str) -> str:
    """The path behind nano:<file>; any other name unchanged."""
    if not name.startswith(PREFIX):
        return name
    return str(FOLDER / "problems" / f"{name.removeprefix(PREFIX)}.jsonl")
