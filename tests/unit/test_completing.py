"""Tab behind `litecot` in bash, zsh and fish; --json wherever a script would read."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from tests.unit import sample_corpus as sample
from tests.unit.test_cli_unit import litecot

RUNNER = CliRunner()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("completing")
    sample.write_sample(folder / "corpus")
    (folder / "mine.toml").touch()
    return folder


@pytest.fixture(autouse=True)
def _beside_a_corpus(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


def offered(*words: str) -> set[str]:
    """What zsh is told of the last of `words`."""
    environment = {"_LITECOT_COMPLETE": "complete_zsh",
                   "_TYPER_COMPLETE_ARGS": " ".join(("litecot", *words))}  # fmt: skip
    done = RUNNER.invoke(app, [], env=environment, prog_name="litecot")
    return set(re.findall(r'(?:\(\(|\n)"([^"]*)"', done.stdout))


def test_names_are_offered() -> None:
    assert {"mine.toml"} == offered("run", "mi")
    assert {"litecot", "liter-7b", "liter-32b"} < offered("run", "li")
    assert "kinds_kept" in offered("ask", "kin")
    assert "funnel" in offered("describe", "fun")
    assert "corpus" in offered("status", "--corpus", "c")
    assert "status" in offered("sta")


def test_ids_are_those_of_the_corpus_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sample.MODEL.id in offered("show", sample.MODEL.id[:4])
    run_id = json.loads(litecot("status", "--json")[1])["runs"][0]["run_id"]
    assert run_id in offered("sql", "--run", run_id[:2])
    assert offered("sql", "--corpus", "nowhere", "--run", "") == set()
    monkeypatch.setenv("LITECOT_CORPUS", "nowhere")
    assert sample.MODEL.id not in offered("show", sample.MODEL.id[:4])


def test_every_shell_gets_its_script_and_its_answers() -> None:
    for shell in ("bash", "zsh", "fish"):
        environment = {**os.environ, "_LITECOT_COMPLETE": f"source_{shell}"}
        done = subprocess.run(
            [sys.executable, "-c", "from flows.cli.main import app; app(prog_name='litecot')"],
            env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert "_LITECOT_COMPLETE" in done.stdout, shell
        assert f"complete_{shell}" in done.stdout


@pytest.mark.parametrize(
    "command",
    ["recipes", "prompts", "plugins", "doctor", "ask", "describe", "describe funnel", "status",
     "corpus size", "corpus check", "ask kinds_kept", f"show {sample.P3}",
     "run nano --plan"],
)  # fmt: skip
def test_json_is_one_value(command: str) -> None:
    _, out, err = litecot(*command.split(), "--json")
    told: Any = json.loads(out)
    assert told
    assert err == ""
    assert "┃" not in out
