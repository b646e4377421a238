"""What the documents tell a reader to type exists: commands, options, targets, settings, tests."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from flows.cli.docs.training_plans import current as current_plans
from flows.cli.main import app
from flows.recipes.documented import PAGE, SETTINGS_PAGE, TABLES, current, settings_page
from flows.recipes.recipe import Recipe
from infra.settings import Settings
from sql.documented import PAGE as SCHEMA_PAGE
from sql.documented import page as schema_page

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.M | re.S)  # ```python mine.py
SHELLS = {"console", "sh", "bash", "shell"}
STARTERS = {"sbatch", "kubectl"}
SEPARATORS = {"&&", "||", "|", ";", "&"}


def name_of(path: Path) -> str:
    return path.name


def fenced_commands(text: str) -> Iterator[list[str]]:
    """The words of each command in the shell blocks; output (no `$` in a console) is left out."""
    for language, block in FENCE.findall(text):
        if language not in SHELLS:
            continue
        for line in whole_lines(block):
            if language == "console" and not line.startswith("$ "):
                continue
            yield from split_commands(line.removeprefix("$ "))


def whole_lines(block: str) -> Iterator[str]:
    """Lines as a shell takes them: continued by a backslash, or by a quote that is open."""
    begun = ""
    for line in block.replace("\\\n", " ").splitlines():
        begun += line
        if begun.count('"') % 2:
            begun += "\n"
        else:
            yield begun
            begun = ""


def split_commands(line: str) -> Iterator[list[str]]:
    uncommented = re.sub(r"(^|\s)#.*", "", line)  # http://host/v1#name is a word
    lexer = shlex.shlex(uncommented, posix=True, punctuation_chars=";&|")
    lexer.whitespace_split, lexer.commenters = True, ""
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word not in SEPARATORS:
            words.append(word)
        elif words:
            yield words[: words.index(">")] if ">" in words else words
            words = []


def inline_commands(text: str) -> Iterator[list[str]]:
    """The words of each code span that starts like a command of ours."""
    for span in re.findall(r"`((?:litecot|make) [^`]+)`", FENCE.sub("", text)):
        yield span.split()


def of_program(words: list[str], program: str) -> list[str] | None:
    """What follows `program`, if the words run it: after variables, or by way of a starter."""
    while words and "=" in words[0]:
        words = words[1:]
    names = [Path(word).name for word in words]
    starts = names[:1] == [program] or (names[:1] and names[0] in STARTERS and program in names)
    return words[names.index(program) + 1 :] if starts else None


def command_of(arguments: list[str]) -> tuple[Any, list[str]]:
    """The command that `arguments` name, and what is left of them."""
    command: Any = get_command(app)
    while hasattr(command, "commands") and arguments and not arguments[0].startswith("-"):
        assert arguments[0] in command.commands, f"no command `litecot {arguments[0]}`"
        command, arguments = command.commands[arguments[0]], arguments[1:]
    return command, arguments


def check_whole(arguments: list[str]) -> None:
    """A command as it may be typed: it parses."""
    command, rest = command_of(arguments)
    if hasattr(command, "commands") or rest == ["--help"]:
        return
    try:
        command.make_context(command.name, list(rest))
    except Exception as error:  # typer has a click of its own, and its errors are not public
        raise AssertionError(f"litecot {' '.join(arguments)}: {error}") from error


def check_mentioned(arguments: list[str]) -> None:
    """A command mentioned in a sentence, perhaps in part: its names and options are there."""
    command, rest = command_of(arguments)
    known = {"--help", "--version"}.union(*(option.opts for option in command.params))
    assert {word for word in rest if word.startswith("--")} <= known


def check_target(words: list[str]) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.M))
    asked = {word for word in words if not word.startswith("-") and "=" not in word}
    assert asked <= targets


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_commands_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for words in fenced_commands(text):
        if (arguments := of_program(words, "litecot")) is not None:
            check_whole(arguments)
        if words[0] == "make":
            check_target(words[1:])
    for program, *words in inline_commands(text):
        check_target(words[:1]) if program == "make" else check_mentioned(words)


def test_commands_are_found_where_documents_have_them() -> None:
    text = (
        "```console\n$ A=1 .venv/bin/litecot run x \\\n    --limit 2 && make demo # now\nout\n```\n"
    )
    assert list(fenced_commands(text)) == [
        ["A=1", ".venv/bin/litecot", "run", "x", "--limit", "2"], ["make", "demo"],
    ]  # fmt: skip
    for wrong in (["fly"], ["run"], ["run", "x", "--nope"], ["show"], ["run", "x", "--limit", "0"]):
        with pytest.raises(AssertionError):
            check_whole(wrong)
    with pytest.raises(AssertionError):
        check_target(["fly"])


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_settings_exist(path: Path) -> None:
    known = {f"LITECOT_{name.upper()}" for name in Settings.model_fields}
    known |= set(re.findall(r"LITECOT_\w+", (ROOT / "infra/cluster/slurm.sh").read_text()))
    assert set(re.findall(r"LITECOT_[A-Z_]+[A-Z]", path.read_text(encoding="utf-8"))) <= known


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_files_and_tests_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for file, test in re.findall(r"\b(test_\w+\.py)(?:::(test_\w+))?", text):
        found = list((ROOT / "tests").rglob(file))
        assert found, f"no test file {file}"
        texts = [one.read_text(encoding="utf-8") for one in found]
        assert not test or any(f"def {test}(" in one for one in texts), f"no test {file}::{test}"
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (path.parent / link).exists(), f"no file {link}"


def test_the_tables_of_settings_are_current() -> None:
    """`make docs` writes them."""
    page = PAGE.read_text(encoding="utf-8")
    assert current(page) == page
    for table, settings in TABLES.items():
        shown = page.partition(f"<!-- settings of [{table}] -->")[2].partition("<!-- end -->")[0]
        keys = re.findall(r"^\| `(\w+)` ", shown, re.M)
        assert keys == list(settings.model_fields)


def test_the_page_of_settings_is_current() -> None:
    """`make docs` makes it anew."""
    page = SETTINGS_PAGE.read_text(encoding="utf-8")
    assert page == settings_page()
    headings = re.findall(r"^## \[(\w+)", page, re.M)
    no_tables = {"name", "description", "seed", "stages", "shard_size", "problems", "limit"}
    assert set(headings) == set(Recipe.model_fields) - no_tables - {"plugins"}


def test_the_plans_of_training_are_current() -> None:
    """`make docs` writes them."""
    page = PAGE.read_text(encoding="utf-8")
    assert current_plans(page) == page
    assert page.count("litecot: training wants 8 GPUs") == 1


def test_the_page_of_relations_is_current() -> None:
    """`make docs` writes it."""
    assert SCHEMA_PAGE.read_text(encoding="utf-8") == schema_page()
