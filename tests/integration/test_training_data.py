"""Examples as tensors: labels, padding, order, the control token."""

from __future__ import annotations

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from infra.training.data import ExampleOrder, collate, encode_examples
from infra.training.reports import TrainingExample
from infra.training.student import add_control_token, set_rope_theta
from tests.tiny_models import tiny_tokenizer

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


def test_padding_is_masked_and_unlearnt() -> None:
    batch = collate(
        [{"input_ids": [5, 6, 7], "labels": [-100, 6, 7]}, {"input_ids": [8], "labels": [8]}],
        pad_id=0,
    )
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["labels"].tolist() == [[-100, 6, 7], [8, -100, -100]]


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


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("num_spare", [0, 5])
def test_a_new_control_token_starts_as_the_mean(tied: bool, num_spare: int) -> None:
    tokenizer = tiny_tokenizer(compress=False)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
    num_known = len(tokenizer)
    model = tiny_model(num_known + num_spare, tied=tied)
    before = model.get_input_embeddings().weight[:num_known].detach().clone()
    assert add_control_token(model, tokenizer) == num_known
    assert {"<|im_start|>", "<compress>"} <= set(tokenizer.all_special_tokens)
    weight = model.get_input_embeddings().weight
    torch.testing.assert_close(weight[num_known], before.mean(dim=0))
    torch.testing.assert_close(weight[:num_known], before)
    assert model.get_output_embeddings().weight.shape[0] == max(
        num_known + num_spare, num_known + 1
    )


def test_a_known_control_token_changes_nothing() -> None:
    tokenizer = tiny_tokenizer()
    model = tiny_model(len(tokenizer))
    before = model.get_input_embeddings().weight.detach().clone()
    assert add_control_token(model, tokenizer) is None
    assert torch.equal(model.get_input_embeddings().weight, before)


def test_rope_base_is_changed_where_there_is_one() -> None:
    config = Qwen2Config()
    set_rope_theta(config, 100_000.0)
    assert config.rope_parameters["rope_theta"] == 100_000.0
    assert config.rope_parameters["rope_type"] == "default"
    from transformers import GPT2Config

    with pytest.raises(ValueError, match="no single RoPE base"):
        set_rope_theta(GPT2Config(), 100_000.0)
