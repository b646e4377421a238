"""What is published names no place on this machine, no password and no signed address."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.publishing.loading import loading_line
from infra.publishing.public_names import NAMELESS, PublicNames, public_name, public_settings
from infra.publishing.snapshot import write_snapshot
from sql.database import connect
from tests.unit import sample_corpus as sample

PRIVATE = {
    "/mnt/secret/models/Qwen2.5-7B": "Qwen2.5-7B",
    "/mnt/secret/models/Qwen2.5-7B/": "Qwen2.5-7B",
    "~/secret/Qwen2.5-7B": "Qwen2.5-7B",
    "~secret/Qwen2.5-7B": "Qwen2.5-7B",
    "./secret/Qwen2.5-7B": "Qwen2.5-7B",
    "../secret/../Qwen2.5-7B": "Qwen2.5-7B",
    "secret/deep/traces.jsonl": "traces.jsonl",
    "secret/traces.parquet": "traces.parquet",
    "C:\\secret\\Qwen2.5-7B": "Qwen2.5-7B",
    "C:/secret/Qwen2.5-7B": "Qwen2.5-7B",
    "\\\\secret\\share\\Qwen2.5-7B": "Qwen2.5-7B",
    "secret\\Qwen2.5-7B": "Qwen2.5-7B",
    "file:///mnt/secret/tr%20aces.jsonl": "tr aces.jsonl",
    "file:/mnt/secret/traces.jsonl": "traces.jsonl",
    "s3://AKIASECRET:secret@bucket/traces.jsonl": "s3://bucket/traces.jsonl",
    "https://b.s3.amazonaws.com/traces.jsonl?X-Amz-Signature=secret&X-Amz-Date=1":
        "https://b.s3.amazonaws.com/traces.jsonl",
    "https://user:sec@ret@host/traces.jsonl#secret": "https://host/traces.jsonl",
    "~": NAMELESS, ".": NAMELESS, "..": NAMELESS, "/": NAMELESS,
}  # fmt: skip
PUBLIC = [
    "Qwen/Qwen2.5-7B", "gpt2", "nano:teacher", "openai/gsm8k:main:train", "train.jsonl",
    "accounts/fireworks/models/deepseek-r1", "meta-llama/llama-3:free", "gpt-4o@2024-08-06",
    "student@sha256:0123456789abcdef", "s3://bucket/traces.jsonl", "brought", "a model of ours",
]  # fmt: skip


@pytest.mark.parametrize(("name", "told"), PRIVATE.items())
def test_a_path_is_called_by_its_last_step(name: str, told: str) -> None:
    assert public_name(name) == told
    assert public_name(told) == told


@pytest.mark.parametrize("name", PUBLIC)
def test_names_that_are_no_paths_stay(name: str) -> None:
    assert public_name(name) == name
    assert public_settings({"a": [name, 1, None]}) == {"a": [name, 1, None]}


def test_a_folder_that_looks_like_a_hub_id_is_known_by_the_stored_recipe_or_by_being_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = {"models": {"teacher": {"model": "mine@sha256:0123"}, "student": None}}
    names = PublicNames(recipe, [])
    assert names.model("secret/mine") == "mine"
    assert names.model("secret/theirs") == "secret/theirs"
    assert names.model(None) is None
    (tmp_path / "secret" / "theirs").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert names.model("secret/theirs") == "theirs"


def test_two_sources_stay_two() -> None:
    given = ["/x/y/a/t.csv", "/x/y/b/t.csv", "/z/b/t.csv", "org/set:main", "t.jsonl"]
    names = PublicNames({}, given)
    told = [names.source(source) for source in given]
    assert told == ["a/t.csv", "b/t.csv", "b/t.csv (2)", "org/set:main", "t.jsonl"]


@pytest.mark.parametrize("text", ["/no_think", "</think>", "a / b", "1/2", "\n\n", "../", "~"])
def test_settings_that_only_look_like_paths_stay(text: str) -> None:
    assert public_settings({"stop": [text]}) == {"stop": [text]}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    return sample.write_sample(tmp_path_factory.mktemp("names") / "corpus")


@pytest.mark.parametrize("place", [0, 2, 6, 8, 10, 12, 14, 15, 16])
def test_nothing_of_a_snapshot_names_a_place_on_this_machine(
    place: int, parts: dict[str, list[str]], tmp_path: Path
) -> None:
    """Card, provenance and rows: as model, as source, as setting."""
    private = list(PRIVATE)[place]
    recipe: dict[str, Any] = {
        "models": {role: {"model": private} for role in ("teacher", "student")},
        "plugins": [private if "/secret/" in private else "./secret/mine.py"],
        "stages": ["generate", "difficulty", "score"],
    }
    changed = {"rationales": ("model", private), "problems": ("source", private),
               "runs": ("resolved", json.dumps({"recipe": recipe}))}  # fmt: skip
    files = dict(parts)
    for name, (column, value) in changed.items():
        tables = [pq.read_table(file, partitioning=None) for file in parts[name]]
        files[name] = [str(tmp_path / f"{name}-{number}") for number in range(len(tables))]
        for table, file in zip(tables, files[name], strict=True):
            field = table.schema.field(column)
            values = pa.array([value] * len(table), field.type)
            pq.write_table(table.set_column(table.column_names.index(column), field, values), file)
    folder = tmp_path / "snapshot"
    with connect(files) as database:
        write_snapshot(database, folder, licences={private: "MIT"})
    card = (folder / "README.md").read_text()
    assert PRIVATE[private] in card
    told = card + (folder / "provenance.json").read_text()
    told += str(pq.read_table(next((folder / "data").iterdir()), partitioning=None).to_pylist())
    assert "ecret" not in told


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("snap", "datasets.load_dataset('snap')"),
        ("it's", "datasets.load_dataset(\"it's\")"),
        ("odd [x]/snap", "datasets.load_dataset('parquet', data_files='{here}/odd [[]x]/snap/data/"
                         "train-*.parquet')"),
    ],
)  # fmt: skip
def test_the_line_that_loads_a_snapshot(
    name: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path.rename(tmp_path.with_name("plain"))  # pytest's own has brackets
    monkeypatch.chdir(here)
    assert loading_line(Path(name)) == line.format(here=os.getcwd())
