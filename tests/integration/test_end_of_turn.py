"""A trained student stops at the end of its turn: in plain transformers, in vLLM, in our engine.

The base checkpoints name their end of text alone, as the published ones of these families do. Two
real ranks train them with the product's own code, each family under another ZeRO stage.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.engines import Engine, EngineConfig, open_engine
from infra.engines.chat import end_ids, load_tokenizer
from tasks.ports import Prompt, Sampling, ScoreRequest
from tests.plain_vllm import MAX_TOKENS, Reply, chat
from tests.rank_runs import Outcome, RankJob, run_jobs
from tests.tiny_models import FAMILIES, family_tokenizer

pytestmark = [pytest.mark.usefixtures("much_memory"), pytest.mark.timeout(600)]
ASKED, CHAIN = "What is 3 + 4?", "3 + 4 = 7. The answer is 7."
ENDS = {"qwen2": "<|im_end|>", "llama": "<|eot_id|>", "r1": "<｜end▁of▁sentence｜>"}
STAGES = {"qwen2": "zero2", "llama": "zero3", "r1": "zero3-offload"}
LEARNT = {"r1": f"\n</think>\n\n{CHAIN}"}  # behind the opened thought: see test_opened_thought
NUM_STEPS = 60


@dataclass(frozen=True)
class Student:
    """A trained student, and the token its turns end with."""

    family: str
    outcome: Outcome

    @property
    def folder(self) -> Path:
        return self.outcome.model

    @property
    def end(self) -> str:
        return ENDS[self.family]

    @property
    def written(self) -> str:
        """The whole turn as it was trained."""
        return LEARNT.get(self.family, CHAIN) + self.end


def save_base(folder: Path, family: str) -> Path:
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    tokenizer = family_tokenizer(family)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=128, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512,
        tie_word_embeddings=True, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    model: Any = LlamaForCausalLM(config)  # type: ignore[no-untyped-call]
    model.generation_config = GenerationConfig(eos_token_id=tokenizer.eos_token_id)  # type: ignore[no-untyped-call]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def job(family: str, base: Path) -> RankJob:
    example = {"prompt": ASKED, "completion": CHAIN}
    config = {
        "device": "cpu", "zero": STAGES[family], "dtype": "float32", "max_steps": NUM_STEPS,
        "learning_rate": 5e-3, "max_length": 128, "warmup_ratio": 0.0,
    }  # fmt: skip
    return RankJob(run=family, base=str(base), config=config, examples=[example] * 2)


@pytest.fixture(scope="module")
def students(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Student]:
    """Each learnt one chain by heart."""
    folder = tmp_path_factory.mktemp("students")
    jobs = [job(each, save_base(folder / f"base-{each}", each)) for each in FAMILIES]
    outcomes = run_jobs(folder / "runs", jobs)
    assert [outcome.error for outcome in outcomes] == [None] * len(jobs)
    return {each.run: Student(each.run, done) for each, done in zip(jobs, outcomes, strict=True)}


@pytest.fixture(scope="module", params=list(ENDS))
def student(request: pytest.FixtureRequest, students: dict[str, Student]) -> Student:
    return students[request.param]


@pytest.fixture(scope="module")
def vllm_replies(
    students: dict[str, Student], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Reply]:
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed")
    chats = [(each.folder, ASKED) for each in students.values()]
    return dict(zip(students, chat(chats, tmp_path_factory.mktemp("vllm")), strict=True))


@pytest.fixture(scope="module")
def engine(student: Student) -> Iterator[Engine]:
    engine = open_engine(EngineConfig(model=str(student.folder), device="cpu", dtype="float32"))
    yield engine
    engine.close()


def test_generation_config_names_every_end(student: Student) -> None:
    tokenizer = load_tokenizer(str(student.folder))
    named = json.loads((student.folder / "generation_config.json").read_text())["eos_token_id"]
    assert named == list(end_ids(tokenizer))
    assert named[0] == tokenizer.convert_tokens_to_ids(student.end)
    assert student.outcome.starts[0].zero_stage == int(STAGES[student.family][4])


def test_plain_transformers_stops_there(student: Student) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(student.folder)
    model = AutoModelForCausalLM.from_pretrained(student.folder, dtype=torch.float32)
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": ASKED}],
        add_generation_prompt=True, return_tensors="pt", return_dict=True,
    )  # fmt: skip
    written = model.generate(**asked, max_new_tokens=MAX_TOKENS, do_sample=False)[0]
    assert tokenizer.decode(written[asked["input_ids"].shape[1] :]) == student.written


def test_plain_vllm_stops_there(student: Student, vllm_replies: dict[str, Reply]) -> None:
    reply = vllm_replies[student.family]
    assert reply.finish_reason == "stop"
    assert reply.text.removesuffix(student.end) == student.written.removesuffix(student.end)


async def test_our_engine_stops_there_and_scores_what_was_learnt(
    student: Student, engine: Engine
) -> None:
    (reply,) = await engine.complete(Prompt(text=ASKED), Sampling(max_tokens=MAX_TOKENS))
    assert (reply.text, reply.finish_reason) == (CHAIN, "stop")
    (scored,) = await engine.score(ScoreRequest(prompt=Prompt(text=ASKED), targets=(CHAIN,)))
    assert set(scored.ranks) == {1}
