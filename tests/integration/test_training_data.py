"""Examples as tokens: labels, what is left out or held out, order, the control token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import Qwen2Config, Qwen2ForCausalLM
from trl import pack_dataset

from infra.training.config import TrainConfig
from infra.training.data import ExampleOrder, encode_examples, prepare_data
from infra.training.reports import TrainingError, TrainingExample
from infra.training.student import load_student, load_words, set_rope_theta
from tests.tiny_models import tiny_tokenizer

TOKENIZER = tiny_tokenizer()

LENGTHS = [(7 * index) % 31 + 1 for index in range(53)]


def tiny_model(num_embeddings: int, *, tied: bool = True) -> Qwen2ForCausalLM:
    config = Qwen2Config(
        vocab_size=num_embeddings,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        tie_word_embeddings=tied,
    )
    return Qwen2ForCausalLM(config)


def order(epoch: int = 0, *, seed: int = 1, group_by_length: bool = True) -> list[int]:
    sampler = ExampleOrder(LENGTHS, 8, seed=seed, group_by_length=group_by_length)
    sampler.set_epoch(epoch)
    return list(sampler)


def test_only_the_completion_and_its_end_are_learnt() -> None:
    tokenizer = tiny_tokenizer()
    example = TrainingExample(prompt="3 + 4?", completion="The answer is 7.")
    (item,) = encode_examples(tokenizer, [example])
    learnt = [label for label in item["labels"] if label != -100]
    assert tokenizer.decode(learnt) == "The answer is 7.<|im_end|>"
    assert item["input_ids"][-len(learnt) :] == learnt


def test_only_compressed_prompts_carry_the_control_token() -> None:
    tokenizer = tiny_tokenizer()
    token = tokenizer.convert_tokens_to_ids("<compress>")
    texts = {"prompt": "3 + 4? <compress>", "completion": "7"}
    original, compressed = encode_examples(
        tokenizer,
        [TrainingExample(**texts), TrainingExample(**texts, condition="compressed")],
    )
    assert original["input_ids"].count(token) == 0
    assert compressed["input_ids"].count(token) == 1


@pytest.mark.parametrize("group_by_length", [True, False])
def test_each_epoch_sees_each_example_once_in_an_order_of_its_own(group_by_length: bool) -> None:
    first = order(0, group_by_length=group_by_length)
    assert sorted(first) == list(range(len(LENGTHS)))
    assert first == order(0, group_by_length=group_by_length)
    assert first != order(1, group_by_length=group_by_length)
    assert first != order(0, seed=2, group_by_length=group_by_length)


def test_grouped_steps_hold_neighbours_in_length() -> None:
    indices = order()
    steps = [[LENGTHS[i] for i in indices[first : first + 8]] for first in range(0, 48, 8)]
    assert all(max(step) - min(step) <= 8 for step in steps)
    assert [step[0] for step in steps] != sorted(step[0] for step in steps)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=40),
    num_groups=st.integers(1, 40),
    max_length=st.integers(8, 90),
    held_out=st.integers(0, 10),
    seed=st.integers(0, 99),
)
def test_every_token_is_trained_on_held_out_or_left_out(
    sizes: list[int], num_groups: int, max_length: int, held_out: int, seed: int
) -> None:
    """Nothing is cut, at any lengths; packing keeps what it is given."""
    given_examples = [
        TrainingExample(prompt="1) right 4", completion="7 " * size, group=str(n % num_groups))
        for n, size in enumerate(sizes)
    ]
    whole = encode_examples(TOKENIZER, given_examples)
    config = TrainConfig(max_length=max_length, held_out_examples=held_out, seed=seed)
    if all(len(item["input_ids"]) > max_length for item in whole):
        with pytest.raises(TrainingError, match=r"are longer than train\.max_length"):
            prepare_data(TOKENIZER, given_examples, config)
        return
    data = prepare_data(TOKENIZER, given_examples, config)
    places = [*data.train, *data.held_out, *data.too_long]
    assert sorted(places, key=str) == sorted(whole, key=str)
    assert all(len(item["input_ids"]) > max_length for item in data.too_long)
    assert all(len(item["input_ids"]) <= max_length for item in [*data.train, *data.held_out])
    assert len(data.held_out) <= min(held_out, (len(whole) - len(data.too_long)) // 10)

    rows = Dataset.from_list(data.train)
    packed = pack_dataset(rows, data.bin_length(config), strategy="bfd")
    assert sum(map(sum, packed["seq_lengths"])) == data.tokens(data.train)
    assert sum(len(row) for row in packed["input_ids"]) == data.tokens(data.train)


def test_a_problem_is_trained_on_or_held_out_never_both() -> None:
    examples = [
        TrainingExample(prompt=f"{n // 2} + {n}", completion="7", group=str(n // 2))
        for n in range(60)
    ]
    config = TrainConfig(held_out_examples=6)
    data = prepare_data(TOKENIZER, examples, config)
    assert len(data.held_out) == 6
    encoded = zip(examples, encode_examples(TOKENIZER, examples), strict=True)
    held = {example.group for example, item in encoded if item in data.held_out}
    assert len(held) == 3


@given(
    lengths=st.lists(st.integers(1, 50), min_size=1, max_size=60),
    batch=st.integers(1, 4),
    multiple=st.sampled_from([1, 2, 4]),
    epochs=st.integers(1, 3),
    grouped=st.booleans(),
)
def test_tokens_of_the_steps_are_the_tokens_of_the_epochs(
    lengths: list[int], batch: int, multiple: int, epochs: int, grouped: bool
) -> None:
    size = batch * multiple
    sampler = ExampleOrder(lengths, size, seed=1, group_by_length=grouped, multiple=multiple)
    assert len(sampler) % multiple == 0
    assert sorted(sampler) == [*range(len(lengths)), *[len(lengths)] * sampler.num_fillers]
    steps = -(-len(sampler) // size)
    told = [sampler.tokens_until(step) for step in range(steps * epochs + 1)]
    assert told[0] == 0
    assert told == sorted(told)
    assert told[steps::steps] == [sum(lengths) * (epoch + 1) for epoch in range(epochs)]
    assert sampler.fillers_until(steps * epochs) == sampler.num_fillers * epochs
    row = [*lengths, 0]
    sampler.set_epoch(0)
    first = list(sampler)[:size]
    assert told[1] == sum(row[index] for index in first)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("num_spare", [0, 5])
def test_a_new_control_token_starts_as_the_mean(tied: bool, num_spare: int, tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(compress=False)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
    num_known = len(tokenizer)
    before = save(tmp_path, tokenizer, num_known + num_spare, tied=tied)[:num_known]
    words = load_words(str(tmp_path), TrainConfig())
    assert words.new_id == num_known
    assert {"<|im_start|>", "<compress>"} <= set(words.tokenizer.all_special_tokens)
    model = load_student(str(tmp_path), TrainConfig(dtype="float32"), words)
    weight = model.get_input_embeddings().weight
    torch.testing.assert_close(weight[num_known], before.mean(dim=0))
    torch.testing.assert_close(weight[:num_known], before)
    assert model.get_output_embeddings().weight.shape[0] == max(
        num_known + num_spare, num_known + 1
    )


def test_a_known_control_token_changes_nothing(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer()
    before = save(tmp_path, tokenizer, len(tokenizer))
    words = load_words(str(tmp_path), TrainConfig())
    assert words.new_id is None
    model = load_student(str(tmp_path), TrainConfig(dtype="float32"), words)
    assert torch.equal(model.get_input_embeddings().weight, before)


def save(folder: Path, tokenizer: Any, num_embeddings: int, *, tied: bool = True) -> torch.Tensor:
    """A base; its embeddings."""
    model = tiny_model(num_embeddings, tied=tied)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model.get_input_embeddings().weight.detach().clone()


def test_rope_base_is_changed_where_there_is_one() -> None:
    config = Qwen2Config()
    set_rope_theta(config, 100_000.0)
    assert config.rope_parameters["rope_theta"] == 100_000.0
    assert config.rope_parameters["rope_type"] == "default"
    from transformers import GPT2Config

    with pytest.raises(ValueError, match="no single RoPE base"):
        set_rope_theta(GPT2Config(), 100_000.0)
