"""`litecot init`: a recipe that loads for every case, with the columns of the files it names."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.cli.run.init import answers, columns_said
from flows.recipes.loading import load_recipe
from tests.unit.test_cli_unit import litecot, refusal

SERVER = "http://127.0.0.1:8000/v1#qwen"


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [{"text": f"{n} + 1 = ?", "question": f"What is {n} + 1?", "answer": str(n + 1),
             "solution": f"{n} + 1 = {n + 1}"} for n in range(3)]  # fmt: skip
    Path("sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("sums.csv").write_text("prompt,target\nWhat is 1 + 1?,2\n")
    pq.write_table(pa.table({"problem": ["1 + 1?"], "key": ["2"]}), "sums.parquet")


def written(*arguments: str, file: str = "mine.toml") -> tuple[dict[str, Any], str]:
    code, out, err = litecot("init", file, *arguments)
    assert (code, err) == (0, "")
    return tomllib.loads(Path(file).read_text()), out


def test_an_endpoint_teacher_for_my_problems() -> None:
    tree, out = written("--problems", "sums.jsonl", "--teacher", SERVER, "--evaluate", "gsm8k")
    assert tree["models"]["teacher"]["endpoint"]["base_url"] == "http://127.0.0.1:8000/v1"
    assert tree["source"]["columns"] == {"question": "question", "answer": "answer"}
    assert tree["stages"][-2:] == ["train", "evaluate"]
    assert "sums.jsonl: question=question (guessed); answer=answer (guessed)" in out
    assert out.splitlines()[-2:] == [
        "  litecot run ./mine.toml --plan --check", "  litecot run ./mine.toml",
    ]  # fmt: skip
    assert sorted(os.listdir()) == ["mine.toml", "sums.csv", "sums.jsonl", "sums.parquet"]


CASES = {
    "litecot, nano": (["--method", "litecot", "--teacher", "nano", "--gpus", "0"], True),
    "litecot, server": (["--teacher", SERVER, "--gpus", "8", "--evaluate", "nano:eval"], False),
    "macc, its own chains": (["--method", "macc", "--gpus", "0"], True),
    "macc, of a hub id": (["--method", "macc", "--student", "org/small", "--gpus", "1"], False),
    "morsd, large": (["--method", "morsd", "--teacher", "org/large", "--gpus", "8"], False),
    "all, nano": (["--method", "all", "--teacher", "nano", "--gpus", "0"], True),
    "all, two": (
        ["--method", "all", "--teacher", SERVER, "--compressor", "org/large", "--gpus", "1"], False,
    ),
    "data only": (["--method", "all", "--teacher", SERVER, "--no-train", "--gpus", "0"], False),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_every_case_loads(case: str) -> None:
    """With the embedded world's wording where all models are of that world, and only there."""
    arguments, is_nano = CASES[case]
    tree, _ = written(*arguments, "--problems", "sums.csv")
    recipe = load_recipe("mine.toml")
    assert recipe.problems == ("sums.csv",)
    assert recipe.source.columns.question == "prompt"
    num_gpus = int(arguments[arguments.index("--gpus") + 1])
    if "--no-train" in arguments:
        assert "train" not in tree
    else:
        assert recipe.train.num_ranks == (num_gpus or 2)
        assert recipe.train.device == ("gpu" if num_gpus else "cpu")
    wording = {tree[name].get("prompt") for name in ("score", "generate") if name in tree}
    assert wording == ({"nano"} if is_nano else {None})


def test_rationales_are_selected_without_a_teacher() -> None:
    tree, _ = written("--rationales", "sums.jsonl", "--student", "smollm2")
    assert tree["stages"] == ["verify", "score", "select", "mix", "train"]
    assert list(tree["models"]) == ["student"]
    assert tree["source"]["columns"]["candidates"] == ["solution"]
    assert "--method morsd" in refusal("init", "b.toml", "--rationales", "sums.jsonl",
                                       "--method", "macc")  # fmt: skip


def test_paths_are_seen_from_the_recipe() -> None:
    Path("recipes").mkdir()
    tree, out = written("--problems", "sums.csv", "--teacher", "nano", file="recipes/mine.toml")
    assert tree["problems"] == ["../sums.csv"]
    assert "  litecot run recipes/mine.toml --plan\n" in out
    assert load_recipe("recipes/mine.toml").problems == ("recipes/../sums.csv",)


def test_a_column_that_cannot_be_guessed_is_named() -> None:
    arguments = ("init", "mine.toml", "--problems", "sums.parquet", "--teacher", "nano")
    assert "columns: problem, key; name it with --answer-column" in refusal(*arguments)
    assert not Path("mine.toml").exists()
    tree, _ = written(*arguments[2:], "--answer-column", "key")
    assert tree["source"]["columns"] == {"question": "problem", "answer": "key"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--problems FILE is needed"),
        (["--problems", "sums.csv"], "--teacher is needed"),
        (["--problems", "sums.csv", "--teacher", "smolm2"], "did you mean 'smollm2'"),
        (["--problems", "sums.csv", "--teacher", "http://a/v1"], "http://a/v1#NAME"),
        (["--problems", "nowhere.csv", "--teacher", "nano"], "nowhere.csv"),
        (["--problems", "sums.csv", "--teacher", "nano", "--student", SERVER], "no server does"),
        (["--problems", "sums.csv", "--teacher", "nano", "--key-env", "A"], "--key-env"),
        (["--problems", "sums.csv", "--teacher", "nano", "--compressor", "nano"], "--compressor"),
        (["--problems", "sums.csv", "--teacher", "nano", "--evaluate", "gsm9k"], "gsm9k"),
    ],
)
def test_what_is_missing_or_wrong_is_one_line(arguments: list[str], said: str) -> None:
    assert said in refusal("init", "mine.toml", *arguments)
    assert not Path("mine.toml").exists()


def test_a_file_that_is_there_stays() -> None:
    written("--problems", "sums.csv", "--teacher", "nano")
    assert "add --force" in refusal("init", "mine.toml", "--problems", "sums.csv",
                                    "--teacher", "nano")  # fmt: skip
    assert "ends in .toml" in refusal("init", "mine", "--problems", "sums.csv", "--teacher", "nano")


def test_questions_become_what_flags_would_say() -> None:
    said = iter(["sums.csv", "all", "https://api.example.com/v1#big", "BIG_KEY", "nano", ""])
    nothing = dict.fromkeys(
        ("problems", "rationales", "method", "teacher", "compressor", "student", "evaluate",
         "key_env")
    )  # fmt: skip
    assert answers(nothing, lambda *_, **__: next(said)) == {
        "problems": ["sums.csv"], "method": "all", "teacher": "https://api.example.com/v1#big",
        "key_env": "BIG_KEY", "student": "nano", "evaluate": None,
    }  # fmt: skip
    said = iter(["sums.jsonl", "yes", "smollm2", "nano"])
    assert answers(nothing, lambda *_, **__: next(said)) == {
        "rationales": ["sums.jsonl"], "method": "morsd", "student": "smollm2", "evaluate": ["nano"],
    }  # fmt: skip


def test_a_column_that_cannot_be_guessed_is_asked_for() -> None:
    nothing = dict.fromkeys(("question", "options", "answer", "candidates", "correct"))
    given = {"problems": ["sums.parquet"], "rationales": None}
    asked = []

    def ask(question: str, default: str = "") -> str:
        asked.append(question)
        return "key"

    assert columns_said(given, nothing, ask)["answer"] == ["key"]
    assert asked == ["Column (--answer-column)"]
