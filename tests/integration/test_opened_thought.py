"""A template that opens the thought: one opening tag in what is asked, trained, scored and stored.

The trained text of each template is asserted in full.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.engines.chat import (
    IGNORED_LABEL,
    chat_encoder,
    encode_chat,
    encode_example,
)
from infra.engines.score_rows import encode_rows
from tasks.ports import Prompt, ScoreRequest
from tests.tiny_models import family_tokenizer

QWEN2, LLAMA, R1 = (family_tokenizer(name) for name in ("qwen2", "llama", "r1"))
ASKED = Prompt(text="3 + 4?")
WHOLE = "<think>\nthree and four\n</think>\n\nIt is 7."
UNOPENED = "three and four\n</think>\n\nIt is 7."
PLAIN = "3 + 4 = 7. It is 7."
TRAINED = {
    "qwen2": "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n3 + 4?"
    "<|im_end|>\n<|im_start|>assistant\n{}<|im_end|>",
    "llama": "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n3 + 4?<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n{}<|eot_id|>",
    "r1": "<｜begin▁of▁sentence｜><｜User｜>3 + 4?<｜Assistant｜><think>\n{}<｜end▁of▁sentence｜>",
}
PAGE = Path(__file__).parents[2] / "docs" / "training.md"
UNTIMED = settings(deadline=None)
lines = st.text(max_size=12).filter(lambda text: "think" not in text.lower())


@pytest.mark.parametrize(
    ("family", "chain", "written"),
    [
        *((family, chain, chain) for family in ("qwen2", "llama") for chain in (WHOLE, PLAIN)),
        ("r1", WHOLE, UNOPENED),
        ("r1", UNOPENED, UNOPENED),
        ("r1", PLAIN, f"\n</think>\n\n{PLAIN}"),
        ("r1", "\n<think>\n<think>\ntwice\n</think>7", "twice\n</think>7"),
        ("r1", "<think>no line break</think>7", "no line break</think>7"),
        ("r1", "", "\n</think>\n\n"),
    ],
)
def test_the_trained_text_of_each_template(family: str, chain: str, written: str) -> None:
    tokenizer = {"qwen2": QWEN2, "llama": LLAMA, "r1": R1}[family]
    example = encode_example(tokenizer, ASKED, chain)
    assert tokenizer.decode(example.input_ids) == TRAINED[family].format(written)


@pytest.mark.parametrize(
    ("tokenizer", "chain"),
    [(QWEN2, PLAIN), (LLAMA, PLAIN), (R1, WHOLE), (R1, PLAIN)],
    ids=["qwen2", "llama", "r1", "r1-plain"],
)
def test_the_page_on_training_shows_it(tokenizer: Any, chain: str) -> None:
    trained = tokenizer.decode(encode_example(tokenizer, ASKED, chain).input_ids)
    assert f"```text\n{trained}\n```\n" in PAGE.read_text(encoding="utf-8")


@UNTIMED
@given(thought=lines, answer=lines, opens=st.booleans(), closes=st.booleans())
def test_one_opening_tag_that_is_closed(
    thought: str, answer: str, opens: bool, closes: bool
) -> None:
    opens = opens and closes  # a thought that never closes is not trained on
    chain = "<think>\n" * opens + thought + "\n</think>\n\n" * closes + answer
    example = encode_example(R1, ASKED, chain)
    text = R1.decode(example.input_ids)
    assert (text.count("<think>"), text.count("</think>")) == (1, 1)
    assert text.index("<think>") < text.index("</think>")
    num_given = example.labels.count(IGNORED_LABEL)
    assert example.input_ids[:num_given] == encode_chat(R1, ASKED)  # as it is prompted later


@UNTIMED
@given(thought=lines.filter(str.strip), answer=lines)
def test_what_a_student_learnt_to_write_is_stored_as_the_chain_was(
    thought: str, answer: str
) -> None:
    thought, answer = thought.strip(), answer.strip()
    encoder = chat_encoder(R1)
    for chain in (f"<think>\n{thought}\n</think>\n\n{answer}", answer):
        written = encoder.decode(encoder.encode_written(chain))
        assert encoder.reply(written) == encoder.decode(encoder.encode_text(chain))


def test_a_reply_is_stored_with_the_tag_that_its_template_opened() -> None:
    encoder = chat_encoder(R1)
    assert encoder.reply(UNOPENED) == WHOLE
    assert encoder.reply("cut off in") == "<think>\ncut off in"  # graded as truncated
    assert encoder.reply(f"\n</think>\n\n{PLAIN}") == PLAIN
    assert encoder.reply(WHOLE) == WHOLE  # it opened the thought once more
    assert chat_encoder(QWEN2).reply(UNOPENED) == UNOPENED


@pytest.mark.parametrize("chain", [WHOLE, UNOPENED, PLAIN])
@pytest.mark.parametrize("tokenizer", [QWEN2, LLAMA, R1], ids=["qwen2", "llama", "r1"])
def test_a_scored_sequence_is_the_trained_one(tokenizer: object, chain: str) -> None:
    trained = encode_example(tokenizer, ASKED, chain)
    (row, alone) = encode_rows(
        chat_encoder(tokenizer),
        ScoreRequest(
            prompt=ASKED,
            targets=(chain,),
            beside=(ScoreRequest(prompt=None, targets=(chain,)),),
        ),
    )
    assert row.ids == trained.input_ids[:-1]
    (start, stop), (other_start, other_stop) = row.targets[0], alone.targets[0]
    assert row.ids[start:stop] == alone.ids[other_start:other_stop]


def test_the_parts_of_a_scored_chain_are_one_text() -> None:
    encoder = chat_encoder(R1)
    first, rest = WHOLE[:12], WHOLE[12:]
    (row,) = encode_rows(encoder, ScoreRequest(prompt=ASKED, context=(first,), targets=(rest,)))
    assert R1.decode(row.ids) == TRAINED["r1"].format(UNOPENED).removesuffix(
        "<｜end▁of▁sentence｜>"
    )
    ((start, stop),) = row.targets
    assert encoder.decode(row.ids[start:stop]) == rest


@pytest.mark.parametrize(
    ("tokenizer", "ends"),
    [
        (QWEN2, ["<|im_end|>", "<|endoftext|>"]),
        (LLAMA, ["<|eot_id|>", "<|end_of_text|>"]),
        (R1, ["<｜end▁of▁sentence｜>"]),
    ],
    ids=["qwen2", "llama", "r1"],
)
def test_the_tokens_that_end_a_turn(tokenizer: object, ends: list[str]) -> None:
    assert chat_encoder(tokenizer).end_ids == tuple(tokenizer.convert_tokens_to_ids(ends))  # type: ignore[attr-defined]
