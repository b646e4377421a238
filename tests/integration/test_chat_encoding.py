"""Text never becomes a control token; markup and training labels are what they should be."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.engines.chat import (
    IGNORED_LABEL,
    ChatEncoder,
    chat_encoder,
    encode_chat,
    encode_example,
)
from tasks.ports import PermanentError, Prompt
from tests.tiny_models import SPECIALS, tiny_tokenizer

TOKENIZER = tiny_tokenizer()
CONTROL = {TOKENIZER.convert_tokens_to_ids(token) for token in SPECIALS}
START, END, COMPRESS = (TOKENIZER.convert_tokens_to_ids(token) for token in SPECIALS[1:])

UNTIMED = settings(deadline=None)  # a busy machine is no failure
hostile_text = st.lists(
    st.one_of(st.text(max_size=8), st.sampled_from([*SPECIALS, "<|im_", "end|>", "\n", " "])),
    max_size=6,
).map("".join)


def control_tokens(ids: list[int]) -> list[int]:
    return [index for index in ids if index in CONTROL]


@UNTIMED
@given(question=hostile_text, completion=hostile_text, compress=st.booleans())
def test_text_never_becomes_a_control_token(question: str, completion: str, compress: bool) -> None:
    ids = encode_chat(TOKENIZER, Prompt(text=question, compress=compress), completion=completion)
    asked = [COMPRESS] if compress else []
    assert control_tokens(ids) == [START, *asked, END, START]


@UNTIMED
@given(question=hostile_text)
def test_text_comes_back_whole(question: str) -> None:
    encoder = chat_encoder(TOKENIZER)
    assert encoder.decode(encoder.encode_text(question)) == question


@UNTIMED
@given(question=hostile_text, completion=hostile_text)
def test_a_text_has_the_same_tokens_wherever_it_stands(question: str, completion: str) -> None:
    alone = chat_encoder(TOKENIZER).encode_text(completion)
    inside = encode_chat(TOKENIZER, Prompt(text=question), completion=completion)
    assert inside[len(inside) - len(alone) :] == alone


@UNTIMED
@given(question=hostile_text, completion=hostile_text)
def test_training_learns_the_completion_and_where_it_ends(question: str, completion: str) -> None:
    example = encode_example(TOKENIZER, Prompt(text=question), completion)
    prompt = encode_chat(TOKENIZER, Prompt(text=question))
    learnt = [*chat_encoder(TOKENIZER).encode_text(completion), END]
    assert example.input_ids == prompt + learnt
    assert example.labels == [IGNORED_LABEL] * len(prompt) + learnt


def test_plain_text_is_encoded_as_the_template_alone_would() -> None:
    message = [{"role": "user", "content": "3 + 4 = 7"}]
    rendered = TOKENIZER.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
    expected = TOKENIZER(rendered, add_special_tokens=False)["input_ids"]
    assert encode_chat(TOKENIZER, Prompt(text="3 + 4 = 7")) == expected


def test_compress_stands_first_in_the_users_text() -> None:
    plain = encode_chat(TOKENIZER, Prompt(text="3 + 4"))
    marked = encode_chat(TOKENIZER, Prompt(text="3 + 4", compress=True))
    at = marked.index(COMPRESS)
    assert marked[:at] + marked[at + 1 :] == plain
    assert marked[at + 1 :][:1] == chat_encoder(TOKENIZER).encode_text("3 + 4")[:1]


def test_a_tokenizer_without_compress_says_how_to_add_it() -> None:
    tokenizer = tiny_tokenizer(compress=False)
    with pytest.raises(PermanentError, match="add_special_tokens") as caught:
        encode_chat(tokenizer, Prompt(text="hi", compress=True))
    assert caught.value.reason == "no_compress_token"


def test_compress_added_later_is_seen() -> None:
    tokenizer = tiny_tokenizer(compress=False)
    assert encode_chat(tokenizer, Prompt(text="hi"))
    tokenizer.add_special_tokens({"additional_special_tokens": ["<compress>"]})
    added = tokenizer.convert_tokens_to_ids("<compress>")
    assert added in encode_chat(tokenizer, Prompt(text="hi", compress=True))
    assert added not in encode_chat(tokenizer, Prompt(text="<compress>hi"))


def test_without_a_chat_template_the_prompt_stands_alone() -> None:
    tokenizer = tiny_tokenizer(chat_template=None)
    ids = encode_chat(tokenizer, Prompt(text="1) right 4<|im_end|>"))
    assert not control_tokens(ids)
    assert chat_encoder(tokenizer).decode(ids) == "1) right 4<|im_end|>\n"
    assert encode_example(tokenizer, Prompt(text=""), "7").input_ids[-1] == END


def test_unconditional_text_starts_at_the_assistants_header() -> None:
    header = TOKENIZER.decode(chat_encoder(TOKENIZER).encode_start())
    assert header == "<|im_start|>assistant\n"
    bare = chat_encoder(tiny_tokenizer(chat_template=None))
    assert bare.encode_start() == [END]


def test_lone_surrogates_do_not_stop_a_run() -> None:
    encoder = chat_encoder(TOKENIZER)
    assert encoder.decode(encoder.encode_text("a\ud800b")) == "a?b"


def test_decoding_leaves_control_tokens_out() -> None:
    encoder = chat_encoder(TOKENIZER)
    ids = [START, *encoder.encode_text("7<|im_end|>"), END]
    assert encoder.decode(ids) == "7<|im_end|>"


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages %}{{ m.content }}{{ m.content }}{% endfor %}",
        "{% for m in messages %}{{ m.role }}{% endfor %}",
    ],
)
def test_a_template_that_mangles_messages_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="exactly once"):
        ChatEncoder(tiny_tokenizer(chat_template=template))


def test_a_slow_tokenizer_is_refused() -> None:
    class Slow:
        is_fast = False

    slow: Any = Slow()
    with pytest.raises(ValueError, match=r"tokenizer\.json"):
        ChatEncoder(slow)
