"""Requests as servers want them, replies whatever servers send."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from infra.engines.endpoint.messages import MAX_SEED, chat_request, completions, parse_reply
from tasks.ports import Completion, Sampling, TransientError


def request(sampling: Sampling, **changes: Any) -> dict[str, Any]:
    fields = {"num_candidates": 1, "seed": 7, "limit": "max_tokens", **changes}
    body: dict[str, Any] = json.loads(chat_request("m", "1 + 1?", sampling, **fields))
    return body


def choice(content: str | None = "4", **fields: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": content}
    message.update({key: fields.pop(key) for key in list(fields) if key.startswith("reasoning")})
    return {"index": 0, "finish_reason": "stop", "message": message, **fields}


def read(*choices: dict[str, Any], **usage: int) -> list[Completion]:
    reply = parse_reply(json.dumps({"choices": choices, "usage": usage}).encode())
    return completions(reply, latency_s=0.5)


def test_a_request_says_all_that_determines_the_reply() -> None:
    sampling = Sampling(temperature=0.6, top_p=0.95, max_tokens=99, stop=("\n\n",))
    assert request(sampling) == {
        "model": "m",
        "messages": [{"role": "user", "content": "1 + 1?"}],
        "temperature": 0.6,
        "top_p": 0.95,
        "seed": 7,
        "max_tokens": 99,
        "stop": ["\n\n"],
    }


def test_candidates_are_asked_for_together() -> None:
    assert request(Sampling(num_candidates=4), num_candidates=4)["n"] == 4


def test_reasoning_models_of_openai_get_their_own_name_for_the_limit() -> None:
    body = request(Sampling(max_tokens=99), limit="max_completion_tokens")
    assert body["max_completion_tokens"] == 99
    assert "max_tokens" not in body


def test_a_schema_is_asked_for_strictly() -> None:
    schema = {"type": "object", "properties": {"level": {"enum": ["easy", "hard"]}}}
    asked = request(Sampling(json_schema=json.dumps(schema)))["response_format"]
    assert asked["type"] == "json_schema"
    assert asked["json_schema"]["schema"] == schema
    assert asked["json_schema"]["strict"] is True


@given(st.integers(0, 2**63 - 1))
def test_seeds_are_such_as_every_server_takes(seed: int) -> None:
    assert 0 <= request(Sampling(), seed=seed)["seed"] < MAX_SEED


def test_a_reply_is_read_with_its_usage() -> None:
    assert read(choice("4"), prompt_tokens=9, completion_tokens=1) == [
        Completion(
            text="4", finish_reason="stop", prompt_tokens=9, completion_tokens=1, latency_s=0.5
        )
    ]


def test_choices_are_put_in_the_order_of_their_index() -> None:
    found = read(choice("b", index=1), choice("c", index=2), choice("a", index=0))
    assert [reply.text for reply in found] == ["a", "b", "c"]


def test_tokens_of_all_choices_are_shared_out_by_length() -> None:
    found = read(choice("x" * 99), choice("x" * 299), prompt_tokens=9, completion_tokens=101)
    assert [reply.completion_tokens for reply in found] == [25, 76]
    assert [reply.prompt_tokens for reply in found] == [9, 9]


@given(st.lists(st.text(max_size=50), min_size=1, max_size=9), st.integers(0, 10**6))
def test_no_token_is_lost_or_counted_twice(texts: list[str], total: int) -> None:
    shares = [c.completion_tokens for c in read(*map(choice, texts), completion_tokens=total)]
    assert sum(shares) == total
    assert min(shares) >= 0


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_apart_comes_as_r1_writes_it(name: str) -> None:
    found = read(choice("The answer is 4.", **{name: "\n2 + 2\n"}))
    assert found[0].text == "<think>\n2 + 2\n</think>\n\nThe answer is 4."


def test_reasoning_that_was_cut_off_is_left_open() -> None:
    found = read(choice(None, reasoning="2 + 2", finish_reason="length"))
    assert found[0].text == "<think>\n2 + 2"
    assert found[0].finish_reason == "length"


@pytest.mark.parametrize(
    ("said", "kept"),
    [("stop", "stop"), ("length", "length"), ("max_tokens", "length"), ("model_length", "length"),
     ("content_filter", "content_filter"), ("eos", "stop"), (None, "stop")],
)  # fmt: skip
def test_finish_reasons(said: str | None, kept: str) -> None:
    assert read(choice(finish_reason=said))[0].finish_reason == kept


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b'{"choices": []}', "no choices"),
        (b'{"choices": [{"message": {"content": "4"', "JSON"),
        (b'{"error": {"message": "overloaded", "code": 529}}', "overloaded"),
        (b"<html>404</html>", "<html>404</html>"),
        (b'{"choices": [{"finish_reason": "error", "message": {}}]}', "broke off"),
        (b'{"choices": [{"message": {"content": "\\ud800"}}]}', "JSON"),
        (b"\xff", "JSON"),
        (b"", "JSON"),
    ],
)
def test_what_is_no_completion_is_a_passing_fault(raw: bytes, says: str) -> None:
    with pytest.raises(TransientError) as caught:
        parse_reply(raw)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
NEARLY_A_REPLY = st.fixed_dictionaries(
    {
        "choices": st.lists(
            st.fixed_dictionaries(
                {"message": st.fixed_dictionaries({"content": JSON, "reasoning": JSON})},
                optional={"index": JSON, "finish_reason": JSON},
            )
            | JSON,
            max_size=3,
        )
    },
    optional={
        "usage": st.fixed_dictionaries({}, optional={"prompt_tokens": JSON}) | JSON,
        "error": JSON,
    },
)


@given(st.one_of(JSON, NEARLY_A_REPLY).map(lambda found: json.dumps(found).encode()))
@example(b'{"choices": [{"message": {"content": null}}], "usage": {"completion_tokens": 1e400}}')
@example(b"[" * 10_000)
@example(b"9" * 10_000)
def test_any_json_is_an_outcome_or_a_passing_fault(raw: bytes) -> None:
    try:
        found = completions(parse_reply(raw), latency_s=0.0)
    except TransientError:
        return
    assert found
    assert all(isinstance(reply.text, str) for reply in found)


@given(st.binary(max_size=300))
def test_any_bytes_are_an_outcome_or_a_passing_fault(raw: bytes) -> None:
    with suppress(TransientError):
        parse_reply(raw)
