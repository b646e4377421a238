"""Replies whatever servers send: a usable one is read, an error is what it names, and a reply that
broke off is none. One table a kind of oddity."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from infra.engines.endpoint.finish_reasons import BROKEN_OFF, KNOWN, finish_reason
from infra.engines.endpoint.refusals import EndpointError, Key, Refusal
from infra.engines.endpoint.replies import ChatReply, completions, parse_reply
from infra.engines.endpoint.thoughts import Habit
from tasks.ports import Completion, PermanentError, TransientError

URL = "http://127.0.0.1:8000/v1"
KEY = Key(value="sk-secret", source="the environment variable OPENAI_API_KEY")
GOOD = "3 + 4 = 7. The answer is 7."
THOUGHT = "<think>\nthree and four\n</think>\n\n"


def parse(
    raw: bytes, *, charset: str | None = None, habit: Habit | None = None
) -> ChatReply | Refusal:
    return parse_reply(raw, key=KEY, headers={}, charset=charset, habit=habit or Habit())


def parsed(body: Any, **how: Any) -> list[Completion | None]:
    """Of a reply with something usable in it."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    reply = parse(raw, **how)
    assert isinstance(reply, ChatReply), reply
    return completions(reply, latency_s=0.5)


def choice(content: Any = GOOD, **fields: Any) -> dict[str, Any]:
    names = ("reasoning", "reasoning_content", "reasoning_details", "refusal", "thinking")
    apart = {name: fields.pop(name) for name in names if name in fields}
    message = {"role": "assistant", "content": content, **apart}
    return {"index": 0, "finish_reason": "stop", "message": message, **fields}


def reply(*choices: Any, **fields: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": 11, "completion_tokens": 9}
    return {"choices": list(choices) or [choice()], "usage": usage, **fields}


def text_of(*choices: Any, **how: Any) -> str:
    (found,) = parsed(reply(*choices), **how)
    assert found is not None
    return found.text


# --- how it is wrapped ---

WHOLE = json.dumps(reply()).encode()
CHUNKS = [{"choices": [{"index": 0, "delta": {"content": part}, "finish_reason": None}]}
          for part in ("3 + 4 = 7. ", "The answer is 7.")]  # fmt: skip
END = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def stream(*events: Any, done: bool = True) -> bytes:
    lines = [f"data: {json.dumps(event)}\n\n" for event in events]
    return ("".join(lines) + ("data: [DONE]\n\n" if done else "")).encode()


@pytest.mark.parametrize(
    "raw",
    [
        WHOLE,
        b"\n\n\n\n" + WHOLE + b"\n\n",
        b"\xef\xbb\xbf" + WHOLE,
        WHOLE.decode().encode("utf-16"),
        b"\0\0" + WHOLE,
        b": keep-alive\n\n: keep-alive\n\n" + WHOLE,
        b"data: " + WHOLE + b"\n\ndata: [DONE]\n\n",
        b"[" + WHOLE + b"]",
        json.dumps(WHOLE.decode()).encode(),
        WHOLE + b"\n\ndata: [DONE]",
        stream(*CHUNKS, END, {"choices": [], "usage": reply()["usage"]}),
        stream(*CHUNKS, {**END, "usage": reply()["usage"]}, done=False),
        json.dumps({**reply(), "logprobs": float("nan")}).encode(),
        json.dumps({**reply(), "choices": reply()["choices"][0]}).encode(),
        json.dumps({**reply(), "choices": [{"text": GOOD, "finish_reason": "stop"}]}).encode(),
        json.dumps({**reply(), "error": None}).encode(),
        json.dumps({**reply(), "error": {"code": 0, "message": ""}}).encode(),
    ],
)
def test_a_whole_reply_is_found_whatever_stands_around_it(raw: bytes) -> None:
    assert parsed(raw) == [
        Completion(
            text=GOOD, finish_reason="stop", prompt_tokens=11, completion_tokens=9, latency_s=0.5
        )
    ]


@pytest.mark.parametrize(
    ("raw", "charset", "text"),
    [
        ("Größe 7".encode(), "iso-8859-1", "Größe 7"),  # says one thing and sends UTF-8
        ("Größe 7".encode("latin-1"), "iso-8859-1", "Größe 7"),
        ("答案是7".encode("gbk"), "gbk", "答案是7"),
        ("Größe 7".encode("latin-1"), None, "Gr\ufffd\ufffde 7"),
        ("Größe 7".encode("latin-1"), "no-such-charset", "Gr\ufffd\ufffde 7"),
        (b"7 \\ud83d", None, "7 ?"),  # half a character
        (b"7 \\ud83d\\ude00", None, "7 \U0001f600"),
        (b"a\nb\tc", None, "a\nb\tc"),  # not escaped
        (b"a\\u0000b", None, "a\0b"),
    ],
)
def test_characters_are_read_as_well_as_they_can_be(
    raw: bytes, charset: str | None, text: str
) -> None:
    before, after = json.dumps(reply(choice("@"))).encode().split(b"@")
    (found,) = parsed(before + raw + after, charset=charset)
    assert found is not None
    assert found.text == text


@given(st.text(max_size=60), st.integers(1, 200))
def test_what_is_cut_off_never_passes_for_whole(text: str, cut: int) -> None:
    raw = json.dumps(reply(choice(text or "x"))).encode()
    with pytest.raises(TransientError):
        parse(raw[: -min(cut, len(raw) - 1)])
    events = [{"choices": [{"index": 0, "delta": {"content": c}}]} for c in (text or "x")]
    with pytest.raises(TransientError):
        parse(stream(*events, done=False))


# --- why it ended ---


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (said, kept)
        for kept, words in {
            "stop": "stop STOP eos eos_token end_turn stop_sequence EndTurn FINISH_REASON_STOP "
            "COMPLETE tool_calls function_call tool_use",
            "length": "length max_tokens MAX_TOKENS model_length maxTokens max_output_tokens "
            "FinishReason.MAX_TOKENS model_context_window_exceeded",
            "content_filter": "content_filter SAFETY RECITATION BLOCKLIST PROHIBITED_CONTENT SPII "
            "sensitive refusal guardrail_intervened content-filter",
            BROKEN_OFF: "error abort timeout cancelled insufficient_system_resource network_error "
            "MALFORMED_FUNCTION_CALL",
        }.items()
        for said in words.split()
    ],
)
def test_every_servers_word_for_the_end_is_known(said: str, kept: str) -> None:
    assert finish_reason(said) == kept


@pytest.mark.parametrize(
    ("said", "kept"),
    [(None, "stop"), ({"type": "length"}, "length"), ("eureka!", "eureka"), ("", "unknown"),
     ("imported", "unknown"), (3, "number"), (True, "bool_true"), (["stop"], "number"),
     ("x" * 500, "x" * 40), ("\x1b[31mDone-ish", "31m_done_ish")],
)  # fmt: skip
def test_an_unknown_word_is_kept_and_is_no_stop(said: Any, kept: str) -> None:
    assert finish_reason(said) == kept
    (found,) = parsed(reply(choice(finish_reason=said)))
    assert found is not None
    assert found.finish_reason == kept


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


@given(JSON)
def test_no_word_that_nobody_knows_is_taken_for_stop(said: Any) -> None:
    kept = finish_reason(said)
    assert kept
    assert len(kept) <= 40
    if isinstance(said, str) and kept in (*KNOWN, BROKEN_OFF):
        assert "".join(filter(str.isalnum, said)).isascii()


@pytest.mark.parametrize("said", ["error", "timeout", "insufficient_system_resource", "ABORTED"])
def test_a_reply_that_broke_off_is_asked_for_again(said: str) -> None:
    with pytest.raises(TransientError, match=f"broke off: finish_reason {said}"):
        parse(json.dumps(reply(choice(finish_reason=said))).encode())


def test_candidates_beside_one_that_broke_off_are_kept() -> None:
    broken = choice("half", index=1, finish_reason="error")
    failed = choice("half", index=2, error={"code": 502, "message": "gone"})
    found = parsed(reply(choice(index=0), broken, failed, "odd", choice("8", index=3)))
    assert [one and one.text for one in found] == [GOOD, None, None, None, "8"]
    assert sum(one.completion_tokens for one in found if one) == 9


# --- an error inside ---


def error_of(body: Any) -> Exception:
    found = parse(json.dumps(body).encode())
    assert isinstance(found, Refusal), found
    return found.error(URL, KEY)


@pytest.mark.parametrize("choices", [None, [], [choice("The answer is 7 but")]])
@pytest.mark.parametrize(
    ("error", "becomes", "says"),
    [
        ({"code": 429, "message": "slow down"}, TransientError, "HTTP 200 with error 429: slow"),
        ({"code": "429", "message": "slow"}, TransientError, "error 429"),
        ({"code": 429.0, "message": "slow"}, TransientError, "error 429"),
        ({"type": "rate_limit_error", "message": "slow"}, TransientError, "error 429"),
        ({"status": "RESOURCE_EXHAUSTED", "message": "quota"}, TransientError, "error 429"),
        ({"code": "server_error", "message": "oops"}, TransientError, "error 503"),
        ({"type": "overloaded_error", "message": "busy"}, TransientError, "error 503"),
        ({"message": "whatever this is"}, TransientError, "whatever this is"),
        ({"code": 40303, "message": "odd number"}, TransientError, "odd number"),
        ("upstream went away", TransientError, "upstream went away"),
        ("502 Bad Gateway", TransientError, "error 502"),
        ({"code": 402, "message": "requires more credits"}, EndpointError, "cannot pay"),
        ({"code": "insufficient_quota", "message": "no"}, EndpointError, "cannot pay"),
        ({"type": "insufficient_quota", "code": None}, EndpointError, "cannot pay"),
        ({"code": "invalid_api_key", "message": "who?"}, EndpointError, "refuses the key"),
        ({"code": 401, "message": "sk-secret?"}, EndpointError, r"\*\*\*"),
        ({"code": "model_not_found", "message": "no"}, EndpointError, "check model"),
        ({"code": 400, "message": "not understood"}, PermanentError, "error 400: not understood"),
        ({"type": "invalid_request_error", "message": "no"}, PermanentError, "error 400"),
        ({"code": 403, "message": "no", "metadata": {"reasons": ["x"]}}, PermanentError, "no"),
        ({"code": 403, "message": "your input was flagged"}, PermanentError, "flagged"),
        ({"code": "context_length_exceeded", "message": "no"}, PermanentError, "error 413"),
        ({"message": {"detail": [{"loc": ["body", "x"], "msg": "odd"}]}, "code": 422},
         PermanentError, "body.x: odd"),
    ],
)  # fmt: skip
def test_an_error_in_a_reply_is_the_status_it_names(
    error: Any, becomes: type[Exception], says: str, choices: Any
) -> None:
    body = {"error": error} if choices is None else {"error": error, "choices": choices}
    found = error_of(body)
    assert type(found) is becomes
    with pytest.raises(becomes, match=says):
        raise found
    assert "sk-secret" not in str(found)


@pytest.mark.parametrize(
    "body",
    [
        {"object": "error", "message": "busy", "code": 503},
        {"choices": [choice(error={"code": 502, "message": "gone"}, finish_reason=None)]},
        {"choices": [choice(error={"code": 502, "message": "gone"})]},
        [{"error": {"code": 503, "message": "high demand", "status": "UNAVAILABLE"}}],
        {"errors": [{"code": 503, "message": "busy"}], "success": False},
        {"detail": "Internal Server Error"},
        {"message": "model is loading"},
    ],
)
def test_every_place_of_an_error_is_known(body: Any) -> None:
    assert isinstance(error_of(body), TransientError)


# --- content, thought, refusal ---


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": GOOD}], GOOD),
        ([{"type": "text", "text": GOOD[:9]}, {"type": "text", "text": GOOD[9:]}], GOOD),
        ([{"type": "output_text", "text": GOOD, "annotations": []}], GOOD),
        ([{"type": "text", "text": {"value": GOOD}}], GOOD),
        (["3 + 4 = 7. ", "The answer is 7."], GOOD),
        ([{"text": GOOD}], GOOD),
        ({"type": "text", "text": GOOD}, GOOD),
        ([{"type": "image_url", "image_url": {"url": "x"}}, {"type": "text", "text": GOOD}], GOOD),
        ([{"type": "thinking", "thinking": [{"type": "text", "text": "three and four"}]},
          {"type": "text", "text": GOOD}], THOUGHT + GOOD),  # Mistral
        ([{"type": "thinking", "thinking": "three and four"}, {"type": "text", "text": GOOD}],
         THOUGHT + GOOD),  # Anthropic
        ([{"type": "reasoning", "summary": [{"type": "summary_text", "text": "three and four"}]},
          {"type": "text", "text": GOOD}], THOUGHT + GOOD),
        ([{"text": "three and four", "thought": True}, {"text": GOOD}], THOUGHT + GOOD),  # Gemini
        ([{"type": "redacted_thinking", "data": "xyz"}, {"type": "text", "text": GOOD}], GOOD),
    ],
)  # fmt: skip
def test_parts_are_put_together(content: Any, text: str) -> None:
    assert text_of(choice(content)) == text


ANSWER = "The answer is 7."


@pytest.mark.parametrize(
    ("content", "apart"),
    [
        (ANSWER, {"reasoning_content": "three and four"}),
        (ANSWER, {"reasoning": "\nthree and four\n"}),
        (ANSWER, {"reasoning": "three and four", "reasoning_content": "three and four"}),
        (ANSWER, {"reasoning_details": [{"type": "reasoning.text", "text": "three and four"}]}),
        (ANSWER, {"reasoning_details": [{"type": "reasoning.x", "summary": "three and four"}]}),
        (ANSWER, {"thinking": "three and four"}),
        (ANSWER, {"reasoning_content": "<think>\nthree and four\n</think>"}),
        (ANSWER, {"reasoning_content": "<think>three and four"}),
        (ANSWER, {"reasoning_content": "three and four\n</think>\n"}),
        (None, {"reasoning_content": f"<think>\nthree and four\n</think>\n\n{ANSWER}"}),
        (ANSWER, {"reasoning_content": f"<think>\nthree and four\n</think>\n\n{ANSWER}"}),
        (THOUGHT + ANSWER, {"reasoning_content": "three and four"}),
        (THOUGHT + ANSWER, {"reasoning_content": "<think>\nthree and four\n</think>"}),
        ("three and four\n</think>\n\n" + ANSWER, {"reasoning_content": "three and four"}),
        ("three and four\n\n" + ANSWER, {"reasoning_content": "three and four"}),
        (THOUGHT + ANSWER, {}),
        ("<think>three and four</think>" + ANSWER, {}),
        ("three and four\n</think>\n\n" + ANSWER, {}),
        ("\n<thinking>\nthree and four\n</thinking>\n" + ANSWER, {}),
        ("<think>\n\n</think>\n\n" + THOUGHT + ANSWER, {}),
        ("<think>\n<think>\nthree and four\n</think>\n</think>\n\n" + ANSWER, {}),
        ("<think>\nthree and four\n</think>\n</think>\n" + ANSWER, {}),
    ],
)  # fmt: skip
def test_one_thought_in_front_of_the_answer(content: str | None, apart: dict[str, Any]) -> None:
    assert text_of(choice(content, **apart)) == THOUGHT + ANSWER


@pytest.mark.parametrize(
    ("content", "apart", "text"),
    [
        (None, {"reasoning": "three and"}, "<think>\nthree and"),
        ("", {"reasoning": "<think>\nthree and"}, "<think>\nthree and"),
        ("<think>\nthree and", {}, "<think>\nthree and"),
        ("<think>\nthree and", {"reasoning": "three and"}, "<think>\nthree and"),
        ("The answer", {"reasoning": "three and four"}, THOUGHT + "The answer"),
        ("three and four. The answer is 7. Wait, let me", {},
         "<think>\nthree and four. The answer is 7. Wait, let me"),
        ("The answer is 7. As a check, we", {}, "The answer is 7. As a check, we"),
        ("First, wait for the water to boil. Then", {}, "First, wait for the water to boil. Then"),
    ],
)  # fmt: skip
def test_a_thought_that_was_cut_off_is_left_open(
    content: str | None, apart: dict[str, str], text: str
) -> None:
    assert text_of(choice(content, finish_reason="length", **apart)) == text


def test_a_model_whose_template_opens_the_thought_is_known_by_its_finished_replies() -> None:
    habit = Habit()
    cut = choice("three and four. The answer is 7. As a check", finish_reason="length")
    assert not text_of(cut, habit=habit).startswith("<think>")
    text_of(choice("three\n</think>\n\nThe answer is 7."), habit=habit)
    assert text_of(cut, habit=habit).startswith("<think>\nthree and four")
    for _ in range(2):  # a server whose replies mostly have no thought
        text_of(choice(), habit=habit)
    assert not text_of(cut, habit=habit).startswith("<think>")


@pytest.mark.parametrize(
    "text",
    [
        GOOD, "  indented\n", f"{THOUGHT}{ANSWER}\n\n<think>\nhm\n</think>\n\n8",
        "The tag <think> opens a thought and </think> ends it.", "",
    ],
)  # fmt: skip
def test_what_a_model_wrote_itself_stays(text: str) -> None:
    assert text_of(choice(text)) == text


@given(st.text("ab<>/think\n ", max_size=40), st.text("ab<>/think\n ", max_size=40), st.booleans())
@example("<think>a</think>b", "<think>a</think>", False)
@example("<think>\n<think>a", "", True)
def test_there_is_never_more_than_one_block_in_front(
    content: str, reasoning: str, is_cut: bool
) -> None:
    end = "length" if is_cut else "stop"
    text = text_of(choice(content, reasoning=reasoning, finish_reason=end))
    if text.startswith("<think>"):
        thought, _, _ = text.removeprefix("<think>").partition("</think>")
        assert "<think>" not in thought


def test_a_short_thought_that_the_answer_begins_with_takes_nothing_from_it() -> None:
    assert text_of(choice("3 + 4 = 7", reasoning="3")) == "<think>\n3\n</think>\n\n3 + 4 = 7"


@pytest.mark.parametrize(
    "said",
    [choice(None, refusal="I would rather not."),
     choice([{"type": "refusal", "refusal": "I would rather not."}])],
)  # fmt: skip
def test_a_refusal_in_words_is_an_outcome_and_no_stop(said: dict[str, Any]) -> None:
    (found,) = parsed(reply(said))
    assert found is not None
    assert (found.text, found.finish_reason) == ("I would rather not.", "content_filter")


# --- numbers ---


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 11, "completion_tokens": 9}, (11, 9)),
        ({"prompt_tokens": 11.0, "completion_tokens": 9.0}, (11, 9)),
        ({"prompt_tokens": "11", "completion_tokens": "9"}, (11, 9)),
        ({"input_tokens": 11, "output_tokens": 9}, (11, 9)),
        ({"prompt_tokens": 11, "total_tokens": 20}, (11, 9)),
        ({"prompt_tokens": 11, "completion_tokens": None, "total_tokens": None}, (11, 0)),
        ({"prompt_tokens": -5, "completion_tokens": -1}, (0, 0)),
        ({"prompt_tokens": True, "completion_tokens": [9]}, (0, 0)),
        ({"prompt_tokens": "many", "completion_tokens": 1e300}, (0, 0)),
        ({"prompt_tokens": float("nan"), "completion_tokens": float("inf")}, (0, 0)),
        ({}, (0, 0)), (None, (0, 0)), ([], (0, 0)), ("free", (0, 0)),
    ],
)  # fmt: skip
def test_usage_is_what_can_be_read_of_it(usage: Any, counts: tuple[int, int]) -> None:
    (found,) = parsed(reply(usage=usage))
    assert found is not None
    assert (found.prompt_tokens, found.completion_tokens) == counts
    assert found.text == GOOD


@pytest.mark.parametrize(
    ("indexes", "order"),
    [([1, 2, 0], "cab"), (["1", "2", "0"], "cab"), ([None, None, None], "abc"), ([0, 0, 0], "abc"),
     ([2, None, 0], "abc"), ([True, 1, 0], "abc"), (["x", 1, 0], "abc"), ([{}, [], 1.5], "abc")],
)  # fmt: skip
def test_choices_are_in_the_order_of_their_index_where_they_have_one(
    indexes: list[Any], order: str
) -> None:
    choices = [choice(text, index=at) for text, at in zip("abc", indexes, strict=True)]
    assert "".join(found.text for found in parsed(reply(*choices)) if found) == order


def test_tokens_of_all_choices_are_shared_out_by_length() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 101}
    found = parsed(reply(choice("x" * 99), choice("x" * 299), usage=usage))
    assert [one.completion_tokens for one in found if one] == [25, 76]
    assert [one.prompt_tokens for one in found if one] == [9, 9]


@given(st.lists(st.text("xy", max_size=50), min_size=1, max_size=9), st.integers(0, 10**6))
def test_no_token_is_lost_or_counted_twice(texts: list[str], total: int) -> None:
    usage = {"completion_tokens": total}
    found = parsed(reply(*map(choice, texts), usage=usage))
    shares = [one.completion_tokens for one in found if one]
    assert sum(shares) == total
    assert min(shares) >= 0


# --- whatever else ---


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b'{"choices": []}', "no choices"),
        (b'{"choices": null}', "no choices"),
        (b'{"choices": [{"message": {"content": "4"', "no JSON"),
        (b"<html>404</html>", "<html>404</html>"),
        (b"\n\n\n", "no JSON"),
        (b": keep-alive\n\n", "no JSON"),
        (b"\xff", "no JSON"),
        (b"", "no JSON"),
        (b"[]", "no object"),
        (b"7", "no object"),
    ],
)
def test_what_is_no_completion_is_a_passing_fault(raw: bytes, says: str) -> None:
    with pytest.raises(TransientError) as caught:
        parse(raw)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


NEARLY_A_REPLY = st.fixed_dictionaries(
    {
        "choices": st.lists(
            st.fixed_dictionaries(
                {"message": st.fixed_dictionaries({"content": JSON, "reasoning": JSON})},
                optional={"index": JSON, "finish_reason": JSON, "error": JSON},
            )
            | JSON,
            max_size=3,
        )
    },
    optional={
        "usage": st.fixed_dictionaries({}, optional={"prompt_tokens": JSON}) | JSON,
        "error": JSON | st.fixed_dictionaries({"code": JSON, "message": JSON}),
    },
)


@given(st.one_of(JSON, NEARLY_A_REPLY).map(lambda found: json.dumps(found).encode()))
@example(b'{"choices": [{"message": {"content": null}}], "usage": {"completion_tokens": 1e400}}')
@example(b"[" * 10_000)
@example(b"9" * 10_000)
@example(b'{"error": ' + b"9" * 10_000 + b"}")
@example(b'{"choices": [{"finish_reason": ' + b"9" * 10_000 + b"}]}")
@example(b"data: " + b"[" * 10_000)
def test_any_json_is_an_outcome_a_refusal_or_a_passing_fault(raw: bytes) -> None:
    try:
        found = parse(raw)
    except TransientError:
        return
    if isinstance(found, Refusal):
        fate = found.error(URL, KEY)
        assert isinstance(fate, TransientError | PermanentError | EndpointError)
        return
    read = [one for one in completions(found, latency_s=0.0) if one is not None]
    assert read
    assert all(isinstance(one.text, str) and one.text.encode() is not None for one in read)


@given(st.binary(max_size=300))
def test_any_bytes_are_an_outcome_or_a_passing_fault(raw: bytes) -> None:
    with suppress(TransientError):
        parse(raw)
