"""A trained and saved student stops at the end of its turn, in plain transformers and in vLLM.

The base checkpoints name their end of text alone, as the published ones of these families do.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.engines.chat import COMPRESS, encode_example, end_ids, load_tokenizer
from infra.training.config import TrainConfig
from infra.training.student import save_student
from tasks.ports import Prompt
from tests.tiny_models import FAMILIES, family_tokenizer

ASKED, CHAIN = "What is 3 + 4?", "3 + 4 = 7. The answer is 7."
ENDS = {"qwen2": "<|im_end|>", "llama": "<|eot_id|>", "r1": "<｜end▁of▁sentence｜>"}


@dataclass(frozen=True)
class Student:
    """A saved student, and the token its turns end with."""

    folder: Path
    family: str

    @property
    def end(self) -> str:
        return ENDS[self.family]


def base_model(tokenizer: Any) -> Any:
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512,
        tie_word_embeddings=True, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    model: Any = LlamaForCausalLM(config)  # type: ignore[no-untyped-call]
    model.generation_config = GenerationConfig(eos_token_id=tokenizer.eos_token_id)  # type: ignore[no-untyped-call]
    return model


@pytest.fixture(scope="module", params=list(FAMILIES))
def student(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Student:
    """It learns one chain by heart, in this process, and is saved as training saves."""
    import torch

    base = tmp_path_factory.mktemp("base")
    made = family_tokenizer(request.param)
    base_model(made).save_pretrained(base)
    made.save_pretrained(base)
    tokenizer = load_tokenizer(str(base))
    tokenizer.add_special_tokens({"additional_special_tokens": [COMPRESS]})
    model = base_model(tokenizer)
    example = encode_example(tokenizer, Prompt(text=ASKED), CHAIN)
    ids, labels = torch.tensor([example.input_ids]), torch.tensor([example.labels])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(400):
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if loss.item() < 0.02:
            break
    folder = tmp_path_factory.mktemp(request.param)
    config = TrainConfig(device="cpu", dtype="float32")
    save_student(model, model.state_dict(), tokenizer, base="", config=config, folder=folder)
    return Student(folder, request.param)


def test_generation_config_names_every_end(student: Student) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(student.folder)
    named = json.loads((student.folder / "generation_config.json").read_text())["eos_token_id"]
    assert named == list(end_ids(tokenizer))
    assert named[0] == tokenizer.convert_tokens_to_ids(student.end)


def test_plain_transformers_stops_there(student: Student) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(student.folder)
    model = AutoModelForCausalLM.from_pretrained(student.folder)
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": ASKED}],
        add_generation_prompt=True, return_tensors="pt", return_dict=True,
    )  # fmt: skip
    written = model.generate(**asked, max_new_tokens=80, do_sample=False)[0]
    text = tokenizer.decode(written[asked["input_ids"].shape[1] :])
    assert text.endswith(f"{CHAIN}{student.end}")
    assert text.count(student.end) == 1


def test_vllm_stops_there_too(student: Student) -> None:
    """What its server takes from the folder: the ends of every request. No engine is started."""
    pytest.importorskip("vllm")
    from vllm import SamplingParams
    from vllm.config import ModelConfig

    config = ModelConfig(model=str(student.folder), generation_config="auto", dtype="float32")
    taken = config.try_get_generation_config()
    params = SamplingParams()
    params.update_from_generation_config(taken, eos_token_id=None)
    named = json.loads((student.folder / "generation_config.json").read_text())["eos_token_id"]
    assert set(named) <= params.all_stop_token_ids
