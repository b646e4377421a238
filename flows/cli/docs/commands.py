"""docs/commands.md: every command with its options, and every setting of the environment.

Invariant: the page is made from the command line and the settings themselves; `make docs` writes
it, a test compares. What has no help is an error.

    ## `litecot status`
    | `--json` | | For programs: one JSON value. |
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from flows.cli.main import app
from infra.settings import Settings

PAGE = Path(__file__).parents[3] / "docs" / "commands.md"
TITLE = """# Commands and settings

Written by `make docs` from the commands themselves; a command's `--help` says the same in the
terminal. `litecot --install-completion` has Tab complete commands, recipes, questions, relations
and ids, in bash, zsh and fish.
"""
HIDDEN = ("--help", "--install-completion", "--show-completion")


def page() -> str:
    """The whole page."""
    command = get_command(app)
    sections = [TITLE, *_sections(command, "litecot"), *_settings()]
    return "\n".join(sections).rstrip() + "\n"


def _sections(command: Any, name: str) -> Iterator[str]:
    if name == "litecot":
        for word in sorted(command.commands):
            yield from _sections(command.commands[word], f"{name} {word}")
        return
    if not command.help:
        raise ValueError(f"{name} has no help")
    yield f"## `{name}`\n\n{_text(command.help)}\n"
    rows = [_row(parameter, name) for parameter in command.params]
    if rows := [row for row in rows if row]:
        yield "\n".join(["| | default | |", "|---|---|---|", *rows]) + "\n"
    for word in sorted(getattr(command, "commands", {})):
        yield from _sections(command.commands[word], f"{name} {word}")


def _row(parameter: Any, name: str) -> str:
    names = [one for one in (*parameter.opts, *parameter.secondary_opts) if one.startswith("--")]
    if set(names) & set(HIDDEN):
        return ""
    if not parameter.help:
        raise ValueError(f"{name}: {parameter.name} has no help")
    shown = ", ".join(f"`{one}`" for one in names) or f"`{_argument(parameter)}`"
    default = parameter.default
    is_said = names and default is not None and default != () and not isinstance(default, bool)
    return f"| {shown} | {f'`{default}`' if is_said else ''} | {_cell(parameter.help)} |"


def _argument(parameter: Any) -> str:
    word = str(parameter.metavar or parameter.name.upper())
    return word if parameter.required else f"[{word}]"


def _settings() -> Iterator[str]:
    yield (
        "## Settings of the environment\n\nWhere and how it runs; none is part of a row's "
        "fingerprint. `LITECOT_IN_FLIGHT=512 litecot run liter-7b` sets one for one run.\n"
    )
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "unset" if field.default is None else f"`{field.default}`"
        rows.append(f"| `LITECOT_{name.upper()}` | {default} | {_cell(field.description or '')} |")
    yield "\n".join(rows) + "\n"


def _text(help: str) -> str:
    """Paragraphs as they are, each on one line."""
    parts = [" ".join(part.split()) for part in help.split("\n\n")]
    return _outside_code("\n\n".join(parts))


def _cell(text: str) -> str:
    return _outside_code(" ".join(text.split()).replace("|", "\\|"))


def _outside_code(text: str) -> str:
    """`<compress>` is a tag to Markdown unless it is code."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(
        part if part.startswith("`") else part.replace("<", "&lt;").replace("*", "\\*")
        for part in parts
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
