"""`litecot try` on real engines: the shipped student, and a server."""

from __future__ import annotations

from pathlib import Path

from tests.chat_server import ServerConfig, serving_in_thread
from tests.integration.command_line import litecot

QUESTION = "Today is Tuesday.\n1) back 6\n2) back 4\nWhich day is it then?"


def test_the_shipped_student_answers_twice(tmp_path: Path) -> None:
    done = litecot("try", "nano:student", QUESTION, "--answer", "Saturday",
                   "--corpus", str(tmp_path / "none"), timeout=300)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    plain, short = (line for line in done.stdout.splitlines() if " tokens in " in line)
    assert plain.startswith("plain: ")
    assert short.startswith("with <compress>: ")
    tokens = [int(line.split(": ")[1].split()[0]) for line in (plain, short)]
    assert tokens[1] < tokens[0]
    assert "answer Wednesday: wrong" in short
    assert f"<compress> wrote {tokens[1] / tokens[0]:.0%} of the tokens" in done.stdout
    assert not (tmp_path / "none").exists()


def test_a_server_is_asked_plain_alone(tmp_path: Path) -> None:
    with serving_in_thread(ServerConfig()) as server:
        done = litecot("try", f"{server.base_url}#qwen", "What is 3 + 4?",
                       "--corpus", str(tmp_path / "none"), timeout=300)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "engine endpoint" in done.stdout
    assert "with <compress>: not asked: a chat server cannot be told" in done.stdout
    nowhere = litecot("try", f"{server.base_url}#qwen", "What is 3 + 4?",
                      "--corpus", str(tmp_path / "none"), timeout=300)  # fmt: skip
    assert nowhere.returncode == 1
    assert nowhere.stderr.startswith("litecot: no server answers at ")
    assert nowhere.stderr.count("\n") == 1
