"""What becomes of a server's refusal, and what is left of what it said."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from infra.engines.endpoint.refusals import (
    MAX_MESSAGE,
    MAX_RETRY_AFTER_S,
    EndpointError,
    Key,
    Refusal,
    one_line,
    retry_after_s,
)
from tasks.ports import PermanentError, TransientError

URL = "http://127.0.0.1:8000/v1"
KEY = Key(value="sk-secret", source="the environment variable OPENAI_API_KEY")
NO_KEY = Key(value="", source="the environment variable OPENAI_API_KEY")


def error_of(status: int, said: object = "", *, key: Key = KEY, code: str = "") -> Exception:
    body = json.dumps({"error": {"message": said, "code": code}}).encode()
    return Refusal.read(status, {}, body, key=key).error(URL, key)


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529])
def test_passing_faults_are_worth_another_try(status: int) -> None:
    error = error_of(status, "busy")
    assert isinstance(error, TransientError)
    assert str(error) == f"{URL}: HTTP {status}: busy"


@pytest.mark.parametrize(
    ("status", "said", "reason"),
    [
        (400, "bad temperature", "refused"),
        (422, "no", "refused"),
        (403, "Your input was flagged by our moderation", "refused"),
        (413, "", "prompt_too_long"),
        (400, "This model's maximum context length is 4096 tokens.", "prompt_too_long"),
        (400, "Please reduce the length of the messages.", "prompt_too_long"),
        (
            400,
            "maximum context length is 9 tokens, your prompt contains 10 input tokens, which "
            "exceeds this limit even without any output tokens",
            "prompt_too_long",
        ),
        (400, "max_tokens must fit into the context window", "refused"),
        (
            400,
            "This model's maximum context length is 9 tokens; you asked for 8 completion tokens",
            "refused",
        ),
        (
            400,
            "This model's maximum context length is 9 tokens. However, you requested 18 tokens "
            "(10 in the messages, 8 in the completion).",
            "prompt_too_long",
        ),
        (406, "Not acceptable", "refused"),
    ],
)
def test_what_is_wrong_with_a_record_rejects_it(status: int, said: str, reason: str) -> None:
    error = error_of(status, said)
    assert isinstance(error, PermanentError)
    assert error.reason == reason
    assert str(status) in error.detail
    assert said in error.detail


@pytest.mark.parametrize("status", [400, 403, 413, 422, 429])
@pytest.mark.parametrize(
    "said",
    [
        "Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 7000, "
        "please reduce your message size and try again",  # Groq's 413
        "Rate limit reached for requests",
        "Too many concurrent requests",
        "Too many requests, please slow down",
    ],
)
def test_what_is_about_the_rate_is_worth_another_try_whatever_the_status(
    status: int, said: str
) -> None:
    assert isinstance(error_of(status, said), TransientError)


def test_a_status_named_in_the_body_of_a_bad_request_counts() -> None:
    body = json.dumps({"error": {"message": "later", "code": 429}}).encode()
    assert isinstance(Refusal.read(400, {}, body, key=KEY).error(URL, KEY), TransientError)


def test_openais_code_for_a_long_prompt_is_known() -> None:
    error = error_of(400, "Too much.", code="context_length_exceeded")
    assert isinstance(error, PermanentError)
    assert error.reason == "prompt_too_long"


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (401, "", "refuses the key from the environment variable OPENAI_API_KEY"),
        (403, "", "refuses the key from the environment variable OPENAI_API_KEY"),
        (402, "", "cannot pay"),
        (429, "insufficient_quota", "cannot pay"),
        (404, "", "check model and endpoint.base_url"),
        (400, "model_not_found", "check model and endpoint.base_url"),
        (301, "", "redirects"),
    ],
)
def test_what_is_wrong_with_the_endpoint_stops_the_stage(status: int, code: str, says: str) -> None:
    error = error_of(status, "because", code=code)
    assert isinstance(error, EndpointError)
    assert says in str(error)
    assert "\n" not in str(error)


def test_a_missing_key_is_named() -> None:
    error = error_of(401, "who are you?", key=NO_KEY)
    assert str(error) == (
        f"{URL} wants a key and none was sent (HTTP 401: who are you?): "
        "set the environment variable OPENAI_API_KEY"
    )


def test_a_key_that_the_server_repeats_is_not_passed_on() -> None:
    assert "sk-secret" not in str(error_of(401, "wrong key: Bearer sk-secret"))
    assert "sk-secret" not in str(error_of(500, "sk-secret failed"))
    assert "sk-secret" not in repr(KEY)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error": "plain"}', "plain"),
        (b'{"detail": "not found"}', "not found"),
        (b'{"message": "mistral", "object": "error"}', "mistral"),
        (b"<html>\n <b>Bad</b> gateway</html>", "<html> <b>Bad</b> gateway</html>"),
        (b"\xff\xfd", "\ufffd\ufffd"),
        (b'[{"error": {"code": 400, "message": "gemini"}}]', "gemini"),
        (b'{"message": {"detail": [{"loc": ["body", "n"], "msg": "odd"}]}}', "body.n: odd"),
        (
            b"<!DOCTYPE html><html><head><title>Attention Required! | Cloudflare</title></head>"
            b"<body><h1>Sorry, you have been blocked</h1></body></html>",
            "Attention Required! | Cloudflare: Sorry, you have been blocked",
        ),
        (b"", ""),
    ],
)
def test_every_dialect_of_errors_is_read(body: bytes, message: str) -> None:
    assert Refusal.read(500, {}, body, key=KEY).message == message


@given(st.text(max_size=3 * MAX_MESSAGE))
@example("\x1b[2J\x1b]0;title\x07 x")
@example("a\u202eb\u2028c\r\nd")
def test_a_servers_words_are_one_short_printable_line(text: str) -> None:
    line = one_line(text)
    assert len(line) <= MAX_MESSAGE
    assert len(line.splitlines()) <= 1
    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in line)


@given(st.integers(300, 599), st.binary(max_size=200))
def test_any_refusal_has_one_of_three_fates(status: int, body: bytes) -> None:
    error = Refusal.read(status, {}, body, key=KEY).error(URL, KEY)
    assert isinstance(error, TransientError | PermanentError | EndpointError)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "20"}, 20.0),
        ({"Retry-After": "0.5"}, 0.5),
        ({"Retry-After": "Thu, 01 Jan 1970 00:01:30 GMT"}, 30.0),  # it is 00:01:00
        ({"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),  # has passed
        ({"Retry-After": "86400"}, MAX_RETRY_AFTER_S),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-3"}, None),
        ({"Retry-After": "nan"}, None),
        ({"retry-after-ms": "250", "Retry-After": "1"}, 0.25),
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "6m0s"}, 1.0),
        ({"x-ratelimit-reset-tokens": "1m2.5s"}, 62.5),
        ({"x-ratelimit-reset-requests": "120ms"}, 0.12),
    ],
)
def test_the_wait_a_server_asks_for(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers, now_s=60.0) == (
        None if seconds is None else pytest.approx(seconds)
    )


NAMES = ("Retry-After", "retry-after-ms", "x-ratelimit-reset-requests", "x-ratelimit-reset-tokens")
DATES = st.datetimes().map(lambda moment: moment.strftime("%a, %d %b %Y %H:%M:%S GMT"))
VALUES = st.one_of(
    st.text(max_size=40), DATES, st.floats().map(str), st.integers().map(str),
    st.from_regex(r"(\d+h)?(\d+m)?([\d.]+s)?(\d+ms)?", fullmatch=True),
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(NAMES), VALUES))
@example({"Retry-After": "Mon, 31 Dec 9999 23:59:59 -2400"})
@example({"Retry-After": "9" * 400})
@example({"x-ratelimit-reset-tokens": "1.2.3s"})
def test_any_wait_is_bounded(headers: dict[str, str]) -> None:
    seconds = retry_after_s(headers)
    assert seconds is None or 0 <= seconds <= MAX_RETRY_AFTER_S
