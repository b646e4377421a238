"""A published snapshot is loaded by `datasets`, says where it comes from, and never changes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import datasets
import pytest
import yaml
from datasets import load_dataset

from flows.recipes.loading import load_recipe
from flows.recipes.plan import draft_plan
from infra.engines.chat import encode_chat, load_tokenizer
from infra.publishing.licences import UNKNOWN, identifier, licences_of
from infra.publishing.methods import filter_settings, methods, other_prompts
from infra.publishing.snapshot import PublishError, example_schema, write_snapshot
from infra.publishing.student import write_student
from infra.storage import Corpus, CorpusWriter
from infra.storage.checksums import sum_folder
from sql.database import Database, connect
from tasks.ports import Prompt
from tests.hub_server import Hub, serving_hub
from tests.tiny_models import save_tiny_model
from tests.unit import sample_corpus as sample

TOKEN = "hf_good_token"
HASH = "0123456789abcdef"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    return connect(sample.write_sample(tmp_path_factory.mktemp("corpus") / "sample"))


@pytest.fixture(scope="module")
def folder(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("published") / "snapshot"
    written = write_snapshot(database, target, licences={"sample": "MIT"})
    assert (written.num_examples, written.num_files) == (2, 1)
    return target


def test_datasets_loads_the_folder(folder: Path, tmp_path: Path) -> None:
    loaded = load_dataset(str(folder), cache_dir=str(tmp_path))
    assert loaded.keys() == {"train"}
    rows = {row["condition"]: row for row in loaded["train"]}
    assert rows["compressed"]["compress"] is True
    assert rows["original"]["compress"] is False
    assert rows["compressed"]["messages"] == [
        {"role": "user", "content": "What is 0 + 1?"},
        {"role": "assistant", "content": "1"},
    ]
    assert rows["compressed"]["original_tokens"] == sample.LONG.row.num_tokens  # type: ignore[attr-defined]
    assert rows["compressed"]["parent_id"] == sample.REWRITTEN.id
    assert rows["original"]["level"] == "easy"


ODD_FOLDERS = [
    "odd [x] dir/snap", "[!a]", "[", "**", "a*b", "a?b", "a{b,c}", "it's", 'dq"x', "back\\slash",
    "a::b", "a:b", "~tilde", "ünï中", " lead", "new\nline", "train", "x.parquet", "a#b%20c",
    "a::b [x]/it's",
]  # fmt: skip


def test_the_printed_line_loads_the_folder_whatever_it_is_called(
    database: Database, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside each lies another that its name would mean as a pattern: it is not loaded too."""
    here = tmp_path_factory.mktemp("odd")
    monkeypatch.chdir(here)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(here / "cache"))
    for name in ["acb", "x", *ODD_FOLDERS]:
        Path(name).parent.mkdir(exist_ok=True)
        line = write_snapshot(database, Path(name), licences={}).loading_line
        assert "\n" not in line
        loaded = eval(line, {"datasets": datasets})
        assert {split: rows.num_rows for split, rows in loaded.items()} == {"train": 2}, line
        assert set(loaded["train"].column_names) == set(example_schema().names)
    monkeypatch.chdir(here / "[")  # the folder we are in is part of it
    line = write_snapshot(database, Path("snap"), licences={}).loading_line
    assert eval(line, {"datasets": datasets})["train"].num_rows == 2


def test_the_card_has_front_matter_counts_prompts_and_licences(folder: Path) -> None:
    card = (folder / "README.md").read_text()
    _, front, body = card.split("---\n", 2)
    assert yaml.safe_load(front)["configs"][0]["data_files"][0]["path"] == "data/train-*.parquet"
    assert "2 training examples for 1 problem, made by run" in body
    assert "| sample | 2 | MIT |" in body
    assert "| compressed | 1 | 40 | 100 |" in body
    assert yaml.safe_load(front)["license"] == "mit"
    assert "| kept | 1 | 2 |" in body
    assert "| rewrite | answer changed | 1 |" in body
    assert "rewritten by the difficulty of their problems" in body
    assert body.count("█") > 0


def test_the_card_explains_every_column(folder: Path) -> None:
    card = (folder / "README.md").read_text()
    assert [name for name in example_schema().names if f"`{name}`" not in card] == []


def test_the_card_counts_published_chains_and_those_they_were_made_from(folder: Path) -> None:
    card = (folder / "README.md").read_text()
    rows = [line for line in card.splitlines() if "| not recorded |" in line]
    assert rows == [
        "| long | teacher | not recorded |  | 0 | 1 |",
        "| rewritten | teacher | not recorded |  | 1 | 0 |",
        "| compressed | compressor | not recorded |  | 1 | 0 |",
    ]


def test_provenance_names_the_run(folder: Path) -> None:
    told = json.loads((folder / "provenance.json").read_text())
    assert told["run_id"] == sample.RUN_ID
    assert told["fingerprints"]["mix"] == "fp-mix"


def test_provenance_has_the_hash_of_every_data_file(folder: Path) -> None:
    told = json.loads((folder / "provenance.json").read_text())["files"]
    found = {f"data/{path.name}": path.read_bytes() for path in (folder / "data").iterdir()}
    assert told == {name: hashlib.sha256(data).hexdigest() for name, data in found.items()}


def test_two_snapshots_of_one_name_are_loaded_apart(folder: Path, tmp_path: Path) -> None:
    """`datasets` caches what it loads under the folder's name."""
    other = tmp_path / folder.name
    write_snapshot(imported_corpus(tmp_path / "corpus"), other, licences={})
    loaded = [load_dataset(str(one), cache_dir=str(tmp_path / "cache")) for one in (folder, other)]
    assert [rows["train"].num_rows for rows in loaded] == [2, 1]


def test_a_snapshot_is_never_written_over(database: Database, folder: Path) -> None:
    before = sorted((p, p.stat().st_mtime_ns) for p in folder.rglob("*"))
    with pytest.raises(PublishError, match="snapshots never change"):
        write_snapshot(database, folder, licences={})
    assert sorted((p, p.stat().st_mtime_ns) for p in folder.rglob("*")) == before


def test_a_run_without_examples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="no training examples"):
        write_snapshot(connect({}), tmp_path / "snapshot", licences={})
    assert list(tmp_path.iterdir()) == []


def test_a_licence_for_an_unknown_source_is_refused(database: Database, tmp_path: Path) -> None:
    with pytest.raises(PublishError, match=r"no problem comes from 'gsm'; the sources are sample"):
        write_snapshot(database, tmp_path / "snapshot", licences={"gsm": "MIT"})


def test_a_source_cannot_break_the_table(tmp_path: Path) -> None:
    from infra.publishing.card import cell

    assert cell("a|b\n<script>") == "a\\|b &lt;script>"


def test_a_snapshot_in_a_bucket_is_refused(database: Database, tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="a snapshot is a folder of this machine"):
        write_snapshot(database, Path("s3://bucket/snapshot"), licences={})
    assert not Path("s3:").exists()


# --- what was done, and by whom


def imported_corpus(folder: Path, *settings: str, beside: Sequence[sample.Made] = ()) -> Database:
    """Two rationales brought for one problem with a subject, of which one is published."""
    recipe = load_recipe("morsd", overrides=settings, problems=("brought.jsonl",))
    resolved = json.dumps({"recipe": json.loads(recipe.model_dump_json())})
    prompts = json.dumps({"generate__default": HASH})
    run = replace(sample.RUN, recipe="morsd", resolved=resolved, prompts=prompts)
    problem = replace(sample.PROBLEMS[0], subject="sums")
    brought = {"model": "brought", "finish_reason": "imported"}
    kept = sample.rationale("verify", sample.P0, **brought)
    wrong = sample.rationale("verify", sample.P0, candidate=1, verdict="wrong", **brought)
    rows = [
        sample.Made("run", run), sample.Made("ingest", problem),
        sample.member(sample.P0, run_id=run.content_id()), kept, wrong, *beside,
        sample.selection(kept.id, "original"), sample.example(kept.id, "original"),
        sample.selection(wrong.id, "original", kept=False, filter="accuracy",
                         reason="wrong_answer", rank=None, rd=None),
    ]  # fmt: skip
    with CorpusWriter(folder) as writer:
        for made in rows:
            stamp = {"stage_fingerprint": sample.FINGERPRINTS.get(made.stage, "")}
            writer.finish(made.input_id, [made.row], run_id=run.content_id(), **stamp)
        writer.flush()
        return connect(writer.parts())


def card_of(database: Database, folder: Path) -> str:
    write_snapshot(database, folder, licences={})
    return (folder / "README.md").read_text()


def test_a_card_of_brought_rationales(tmp_path: Path) -> None:
    card = card_of(imported_corpus(tmp_path / "corpus"), tmp_path / "snapshot")
    assert "The student is nano:student:" in card
    assert "counted with the tokenizer of nano:student" in card
    assert "| long | not stated | *none: imported with the problems* |  | 1 | 0 |" in card
    assert "## Levels" not in card
    assert "ungraded" not in card
    assert "judge__" not in card
    told = json.loads((tmp_path / "snapshot" / "provenance.json").read_text())
    assert told["prompts"] == {"generate__default": HASH}
    assert f"| the user turn of `messages` | - | generate__default | `{HASH}` |" in card
    loaded = load_dataset(str(tmp_path / "snapshot"), cache_dir=str(tmp_path / "cache"))
    assert loaded["train"]["subject"] == ["sums"]


def test_selection_by_rd_is_credited_where_it_dropped_something(tmp_path: Path) -> None:
    harmful = sample.rationale("verify", sample.P0, candidate=2, finish_reason="imported")
    dropped = sample.selection(
        harmful.id, "original", kept=False, filter="difficulty", reason="rd_above_threshold", rd=2.0
    )
    database = imported_corpus(tmp_path / "corpus", beside=[harmful, dropped])
    card = card_of(database, tmp_path / "snapshot")
    assert "Chains of thought were selected by how much they help the student (MoRSD" in card
    assert "| select | RD above the threshold | 1 |" in card
    assert "| accuracy | right answers that the student could score | 3 | 1 |" in card
    settings = "RD up to 1; per problem and condition the 3 with the lowest RD; "
    settings += "of the run's right answers the 30% with the lowest RD"
    assert f"| difficulty | {settings} | 2 | 1 |" in card


def test_selection_by_rd_is_not_credited_where_it_did_nothing(tmp_path: Path) -> None:
    database = imported_corpus(tmp_path / "corpus", "select.max_rd=inf", "select.keep_fraction=1.0")
    card = card_of(database, tmp_path / "snapshot")
    assert "were filtered for right answers and against near-duplicates." in card
    assert "MoRSD" not in card
    assert "RD up to" not in card


def test_the_method_of_compression_is_the_one_that_ran() -> None:
    prompts = [{"kind": "compressed", "origin": "written"}]
    recipe = {"compress": {"method": "fixed_ratio"}}
    told = methods(prompts=prompts, filters=[], recipe=recipe)
    assert told == ["compressed to given shares of their length"]


def test_filters_that_are_off_are_not_told() -> None:
    off = {"max_rd": None, "keep_per_problem": None, "keep_fraction": None}
    assert filter_settings(off).keys() == {"accuracy", "completeness", "diversity"}


def test_prompts_that_wrote_no_chain_are_named() -> None:
    recipe = json.loads(load_recipe("litecot").model_dump_json())
    uses = {use: prompt for use, _, prompt in other_prompts(recipe)}
    assert uses["grading the problems"] == "judge__instruct"
    assert uses["checking the rewrites"] == "verify__instruct"
    recipe["difficulty"]["signal"], recipe["rewrite"]["teacher_check"] = "measured", False
    assert not {"grading the problems", "checking the rewrites"} & {
        use for use, _, _ in other_prompts(recipe)
    }


def test_prompts_of_the_users_own_are_named_by_their_files(tmp_path: Path) -> None:
    prompt = tmp_path / "mine.jinja"
    prompt.write_text("Say. {{ question }}")
    overrides = [f"rewrite.prompt={prompt}", f"mix.prompt={prompt}"]
    plan = draft_plan(load_recipe("litecot", overrides=overrides))
    recipe, stored = json.loads(plan.resolved)["recipe"], plan.prompts()
    uses = {use: key for use, _, key in other_prompts(recipe, stored)}
    assert uses["checking the rewrites"] == "verify__instruct"
    assert uses["the user turn of `messages`"] == "generate__mine"
    assert uses["scoring the chains"] == "generate__default"
    assert set(uses.values()) <= stored.keys()


def test_two_prompts_of_one_name_are_told_apart(tmp_path: Path) -> None:
    overrides = []
    for stage in ("score", "mix"):
        prompt = tmp_path / stage / "mine.jinja"
        prompt.parent.mkdir()
        prompt.write_text(f"{stage}. {{{{ question }}}}")
        overrides.append(f"{stage}.prompt={prompt}")
    plan = draft_plan(load_recipe("litecot", overrides=overrides))
    recipe, stored = json.loads(plan.resolved)["recipe"], plan.prompts()
    uses = {use: key for use, _, key in other_prompts(recipe, stored)}
    asked = ("scoring the chains", "the user turn of `messages`")
    assert [plan.prompt_texts()[stored[uses[use]]] for use in asked] == [
        "score. {{ question }}", "mix. {{ question }}",
    ]  # fmt: skip


# --- licences


def test_an_unknown_licence_is_said_loudly(database: Database, tmp_path: Path) -> None:
    written = write_snapshot(database, tmp_path / "snapshot", licences={})
    assert written.unlicensed == ("sample",)
    card = (tmp_path / "snapshot" / "README.md").read_text()
    assert yaml.safe_load(card.split("---\n")[1])["license"] == "unknown"
    assert "**The licence of a source below is unknown" in card
    assert "| sample | 2 | **unknown** |" in card


def test_licences_are_as_stated_or_the_projects_own_or_unknown() -> None:
    found = licences_of(
        ["a.jsonl", "train.jsonl", "b/c.jsonl.gz"], {"a.jsonl": "MIT"}, inputs=["nano:train"]
    )
    assert found == {"a.jsonl": "MIT", "train.jsonl": "apache-2.0", "b/c.jsonl.gz": UNKNOWN}


@pytest.mark.parametrize(
    ("licences", "front"),
    [
        ({"a": "MIT", "b": "mit"}, "mit"), ({"a": "MIT", "b": "cc-by-4.0"}, "other"),
        ({"a": "MIT", "b": UNKNOWN}, UNKNOWN), ({"a": "ask: the author"}, "other"), ({}, UNKNOWN),
    ],
)  # fmt: skip
def test_the_front_matter_has_one_licence(licences: dict[str, str], front: str) -> None:
    assert identifier(licences) == front


# --- upload


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with serving_hub(token=TOKEN) as served:
        yield served


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample, and weights where its student has them."""
    folder = tmp_path_factory.mktemp("pushed") / "corpus"
    sample.write_sample(folder)
    weights = save_tiny_model(folder / "weights" / "m")
    (weights / "training.log").write_text("of this machine")
    (weights / "README.md").write_text("not this one")
    sum_folder(weights)
    return folder


def publish(
    corpus: Path,
    folder: Path,
    hub_url: str,
    token: str = TOKEN,
    *,
    command: str = "publish",
    name: str = "me/chains",
) -> tuple[int, str, str]:
    """With --push, in a process of its own: hub addresses are read once."""
    environment = {k: v for k, v in os.environ.items() if k != "HF_HUB_OFFLINE"}
    environment |= {"HF_ENDPOINT": hub_url, "HF_TOKEN": token, "HF_HUB_DISABLE_TELEMETRY": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli.main", command, str(folder), "--corpus", str(corpus),
         "--push", name],
        env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def test_a_snapshot_is_uploaded_whole_and_private(hub: Hub, corpus: Path, tmp_path: Path) -> None:
    code, out, err = publish(corpus, tmp_path / "snapshot", hub.url)
    assert code == 0, err
    assert f"uploaded to {hub.url}/datasets/me/chains/commit/" in out
    assert hub.private == {"me/chains": True}
    here = {
        str(path.relative_to(tmp_path / "snapshot")): path.read_bytes()
        for path in (tmp_path / "snapshot").rglob("*")
        if path.is_file()
    }
    assert hub.files["me/chains"] == here
    assert TOKEN not in out + err


def test_a_student_is_uploaded_with_its_card(hub: Hub, corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "student"
    code, out, err = publish(corpus, folder, hub.url, command="publish-model", name="me/student")
    assert code == 0, err
    assert "the licence of the base, student, is unknown" in err
    assert "uploaded to" in out
    assert set(hub.files["me/student"]) == {path.name for path in folder.iterdir()}
    assert (
        hub.files["me/student"]["model.safetensors"]
        == (corpus / "weights/m/model.safetensors").read_bytes()
    )


# --- a student


@pytest.fixture(scope="module")
def student(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "student"
    with connect(Corpus(corpus).parts()) as database:
        written = write_student(
            database, Corpus(corpus).store, folder, licence="MIT", licences={"sample": "cc-by-4.0"}
        )
    assert (written.model_id, written.base_licence) == (sample.MODEL.id, "MIT")
    return folder


def test_a_student_folder_has_what_was_trained_and_nothing_of_this_machine(student: Path) -> None:
    assert {path.name for path in student.iterdir()} == {
        "README.md", "provenance.json", "config.json", "generation_config.json",
        "model.safetensors", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
    }  # fmt: skip
    told = json.loads((student / "provenance.json").read_text())
    assert told["model"]["model_id"] == sample.MODEL.id
    assert told["run"]["run_id"] == sample.RUN_ID
    assert told["model"]["settings"] == {"epochs": 1, "learning_rate": 0.003, "seed": 233}


def test_the_model_card_has_base_data_curve_evaluation_and_licences(student: Path) -> None:
    _, front, body = (student / "README.md").read_text().split("---\n", 2)
    assert yaml.safe_load(front)["license"] == "mit"
    assert yaml.safe_load(front)["library_name"] == "transformers"
    for line in (
        "| before training | sample | plain | 1 | 0.0% | 80 | 0.0% |",
        "| sample | 2 | cc-by-4.0 |",
        "| 0 | 0% |  | 5.0000 |  | 0 |",
        "| 2 | 67% | 2.2500 | 0.7500 | 3.00e-03 | 20 |",
        "| `learning_rate` | 0.003 |",
        "The base, `student`, is under MIT; these weights are derived from it.",
    ):
        assert line in body.splitlines()
    for words in (
        "2 examples were trained on, 1 kept out",
        "DeepSpeedEngine at ZeRO stage 2", "1 rank on CPU",
        "torch 2.11", "0.50 rank hours", "2 attempts", "at most 1.0 GiB",
    ):  # fmt: skip
        assert words in body
    assert "after training" not in body  # the sample's answers are another student's


def test_the_lines_of_the_card_ask_the_student_as_it_was_trained(student: Path) -> None:
    """The prompt shown is the one the encoder makes, and the code gives the same tokens."""
    card = (student / "README.md").read_text()
    tokenizer = load_tokenizer(str(student))
    (shown,) = re.findall(r"exactly:\n\n```text\n(.*?)\n```", card, re.S)
    for question in ("What is 3 + 4?", " two\nlines ", "a <| b"):
        asked = tokenizer(shown.replace("{question}", question), add_special_tokens=False)
        ids = encode_chat(tokenizer, Prompt(text=question, compress=True))
        assert asked["input_ids"] == ids
    (code,) = re.findall(r"```python\n(.*?)```", card, re.S)
    said: list[str] = []
    exec(code.replace("path/to/this/folder", str(student)).replace("2048", "4"),
         {"print": said.append})  # fmt: skip
    assert len(said) == 1
    assert isinstance(said[0], str)


def test_a_student_that_is_not_there_is_named(corpus: Path, tmp_path: Path) -> None:
    with connect(Corpus(corpus).parts()) as database, pytest.raises(PublishError) as error:
        write_student(database, Corpus(corpus).store, tmp_path / "s", model="zz", licences={})
    assert f"--model zz is no student of this run; its students are {sample.MODEL.id}" in str(
        error.value
    )
    assert not list(tmp_path.iterdir())


def test_a_refused_upload_keeps_the_snapshot(hub: Hub, corpus: Path, tmp_path: Path) -> None:
    code, _, err = publish(corpus, tmp_path / "snapshot", hub.url, token="hf_wrong_token")
    assert code == 2
    (line,) = [line for line in err.splitlines() if "me/chains" in line]
    assert "the snapshot" in line
    assert "is whole, upload it again with `hf upload me/chains" in line
    assert (tmp_path / "snapshot" / "README.md").is_file()
    assert "hf_wrong_token" not in err


def test_a_hub_that_is_not_there_is_one_line(corpus: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    code, _, err = publish(corpus, tmp_path / "snapshot", url)
    assert code == 2
    assert "the snapshot" in err


def test_a_hub_data_sets_licence_is_read_from_its_card(hub: Hub) -> None:
    hub.cards["org/sums"] = {"license": "cc-by-4.0"}
    hub.cards["org/silent"] = {}
    code = (
        "from infra.publishing.licences import licences_of;"
        "print(licences_of(['org/sums:main:train', 'org/silent', 'org/gone'], {}, inputs=[]))"
    )
    environment = {k: v for k, v in os.environ.items() if k != "HF_HUB_OFFLINE"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment | {"HF_ENDPOINT": hub.url},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stdout.strip() == str(
        {"org/sums:main:train": "cc-by-4.0", "org/silent": UNKNOWN, "org/gone": UNKNOWN}
    ), done.stderr
