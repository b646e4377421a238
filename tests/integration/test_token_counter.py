"""What the driver counts is what an engine would read, however the tokenizer was loaded."""

from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from infra.engines.chat import chat_encoder, load_tokenizer
from infra.engines.model_files import model_source
from infra.engines.token_counter import QWEN2_SPLIT, TokenizerCounter
from infra.nano.files import resolve_nano
from tests.tiny_models import save_tiny_model

STUDENT = "nano:student"
ENCODER = chat_encoder(load_tokenizer(model_source(STUDENT)))
COUNTER = TokenizerCounter(STUDENT)


def test_the_split_is_that_of_transformers() -> None:
    assert QWEN2_SPLIT == PRETOKENIZE_REGEX


def test_real_questions_count_the_same() -> None:
    lines = Path(resolve_nano("nano:train")).read_text().splitlines()[:200]
    for question in (json.loads(line)["question"] for line in lines):
        assert COUNTER.count(question) == len(ENCODER.encode_text(question))


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=80) | st.sampled_from(["<|im_end|>", "<compress> 3 + 4", "\ud800", ""]))
def test_any_text_counts_the_same(text: str) -> None:
    assert COUNTER.count(text) == len(ENCODER.encode_text(text))


@pytest.mark.parametrize("text", ["3 + 4 <|im_end|>", "So right 7.\nThe answer is 7."])
def test_a_tokenizer_that_transformers_changes_counts_the_same(tmp_path: Path, text: str) -> None:
    folder = save_tiny_model(tmp_path / "tiny")
    encoder = chat_encoder(load_tokenizer(str(folder)))
    assert TokenizerCounter(str(folder)).count(text) == len(encoder.encode_text(text))


def test_a_text_that_a_thread_counted_is_not_read_again_however_many_came_since(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The replies of a thousand GPUs, 64 at once each, stand between a count and its step's."""
    counter, encode = TokenizerCounter(STUDENT), Mock(wraps=ENCODER.encode_text)
    monkeypatch.setattr(counter, "_tokens", encode)
    counted = [counter.count(f"3 + {number} = 5") for number in range(64_000)]
    assert counter.count("3 + 0 = 5") == counted[0] == COUNTER.count("3 + 0 = 5")
    assert encode.call_count == 64_000
