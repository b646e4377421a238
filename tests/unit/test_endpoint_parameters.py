"""What a server will not take, in the words of many services, and what becomes of the request."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from infra.engines.config import EndpointOptions
from infra.engines.endpoint.context_length import room_for_reply
from infra.engines.endpoint.messages import Sent
from infra.engines.endpoint.parameters import LOGGER, Parameters
from infra.engines.endpoint.refusals import EndpointError, Key, Refusal
from tasks.ports import Sampling

URL = "http://127.0.0.1:8000/v1"
KEY = Key(value="", source="the environment variable OPENAI_API_KEY")
SAMPLING = Sampling(temperature=0.6, top_p=0.95, max_tokens=32_768, num_candidates=3)


def refusal(body: Any, status: int = 400) -> Refusal:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Refusal.read(status, {}, raw, key=KEY)


def said(message: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", **fields}}


def parameters(**options: Any) -> Parameters:
    return Parameters(EndpointOptions(base_url=URL, **options))


def asked(of: Parameters) -> Sent:
    return of.of(SAMPLING, num_candidates=3, seed=7, room=None)


def left_out_after(body: Any, status: int = 400) -> set[str]:
    """What the second request lacks of the first."""
    found = parameters()
    first = asked(found)
    names = ("n", "seed", "temperature", "top_p", "max_tokens")
    if not found.learn(refusal(body, status), first):
        assert asked(found) == first
        return set()
    second = asked(found)
    return {name for name in names if first.has(name) and not second.has(name)}  # type: ignore[arg-type]


def detail(*loc: str, kind: str = "extra_forbidden") -> dict[str, Any]:
    return {"type": kind, "loc": list(loc), "msg": "Extra inputs are not permitted", "input": 7}


SERDE = "Failed to deserialize the JSON body into the target type: unknown field `seed`, expected"
DICTS = "[{'type': 'extra_forbidden', 'loc': ('body', 'seed'), 'msg': 'Extra inputs are not "


@pytest.mark.parametrize(
    ("name", "status", "body"),
    [
        ("n", 400, said("'n' : number must be at most 1", param="n")),  # Groq
        ("n", 400, said("'n' : number must be at most 1")),
        ("n", 400, said("Invalid n value (currently only n = 1 is supported)")),  # DeepSeek
        ("n", 400, said("n must be 1 when using greedy sampling, got 3.")),  # vLLM
        ("n", 500, said("Only one completion choice is allowed")),  # llama.cpp
        ("n", 400, [{"error": {"code": 400, "message": "Multiple candidates is not enabled for "
                               "this model", "status": "INVALID_ARGUMENT"}}]),  # Gemini
        ("n", 400, said("candidateCount must be 1.")),
        ("n", 400, {"error": "Unrecognized request argument supplied: n"}),  # Azure
        ("n", 422, {"error": "Input validation error: `n` must be 1", "error_type": "validation"}),
        ("seed", 422, {"detail": [detail("body", "seed")]}),  # Mistral
        ("seed", 422, {"object": "error", "message": {"detail": [detail("body", "seed")]}}),
        ("seed", 422, {"message": "invalid input error", "detail": [detail("body", "seed")]}),
        ("seed", 400, {"object": "error", "code": 400,
                       "message": DICTS + "permitted', 'input': 7}]"}),  # vLLM
        ("seed", 400, [{"error": {"code": 400, "message": "no", "details":
                                  [{"fieldViolations": [{"field": "seed"}]}]}}]),  # Gemini
        ("seed", 400, said('Invalid JSON payload. Unknown name "seed": Cannot find field')),
        ("seed", 400, said("property 'seed' is unsupported")),  # Groq
        ("seed", 400, said("Unrecognized request argument supplied: seed")),  # OpenAI
        ("seed", 400, said("Extra inputs are not permitted, field: 'seed', value: 7")),  # Fireworks
        ("seed", 400, {"error": "Argument not supported on this model: seed"}),  # xAI
        ("seed", 400, {"message": "Malformed input request: #: extraneous key [seed] is not "
                                  "permitted, please reformat your input"}),  # Bedrock
        ("seed", 422, {"error": f"{SERDE} one of `n`, `top_p`, `max_tokens` at line 1"}),  # TGI
        ("seed", 500, {"error": "TypeError: create() got an unexpected keyword argument 'seed'"}),
        ("seed", 422, {"detail": "1 validation error for Request\nbody -> seed\n  extra fields not "
                                 "permitted (type=value_error.extra)"}),
        ("seed", 400, said("Additional properties are not allowed ('seed' was unexpected)")),
        ("seed", 400, said("Field `seed` is not defined in schema")),
        ("n", 400, said("This model only supports n=1")),
        ("n", 400, said("number of choices must be 1")),
        ("temperature", 400, said("Temperature is not supported with reasoning models")),
        ("top_p", 400, said("top_p is not a permitted parameter")),
        ("top_p", 400, said("Unsupported parameter: 'top_p' is not supported with this model.",
                            param="top_p", code="unsupported_parameter")),
        ("top_p", 422, {"error": "Input validation error: `top_p` must be > 0.0 and < 1.0"}),
        ("top_p", 400, said("`temperature` and `top_p` cannot both be specified for this model. "
                            "Please use only one.")),  # Anthropic
        ("top_p", 400, {"error": {"message": "Unknown name \"topP\" at 'generation_config'"}}),
        ("temperature", 400, said("Unsupported value: 'temperature' does not support 0.6 with this "
                                  "model. Only the default (1) value is supported.",
                                  param="temperature", code="unsupported_value")),
        ("temperature", 400, said("invalid temperature: only 1 is allowed for this model")),  # Kimi
        ("temperature", 422, {"error": "Input validation error: `temperature` must be strictly "
                                       "positive", "error_type": "validation"}),  # TGI
        ("temperature", 422, b"temperature: value is not a valid float, must be at most 1"),
        ("max_tokens", 400, said("Please use 'max_completion_tokens' instead.")),
        ("max_tokens", 400, said("Unsupported parameter: 'max_tokens' is not supported with this "
                                 "model. Use 'max_completion_tokens' instead.")),
    ],
)  # fmt: skip
def test_the_parameter_that_a_server_names_is_left_out(name: str, status: int, body: Any) -> None:
    assert left_out_after(body, status) == {name}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, said("The question about temperature is against our content policy.")),
        (400, said("Your text 'the seed of an apple' is not allowed here")),
        (400, said("This prompt is not supported: please use top_p or seed")),
        (400, said("messages: expected one of `n`, `seed`, `top_p`")),
        (400, said("stop: at most 4 sequences", param="stop")),
        (400, said("'response_format' of type 'json_schema' is not supported with this model")),
        (429, said("Rate limit reached for n requests", param="seed")),
        (413, said("Request too large on tokens per minute (TPM): Limit 6000, Requested 7000, "
                   "please reduce max_tokens", code="rate_limit_exceeded")),
        (422, {"detail": [{"loc": ["body"], "msg": "value is not a valid integer"}]}),
        (401, said("invalid api key", param="seed")),
        (400, b""),
        (400, b"n"),
    ],
)  # fmt: skip
def test_other_refusals_are_about_the_record(status: int, body: Any) -> None:
    assert left_out_after(body, status) == set()


@given(st.text(max_size=200), st.sampled_from([400, 422, 500]))
def test_any_words_teach_something_about_what_was_sent_or_nothing(text: str, status: int) -> None:
    found = parameters()
    before = asked(found)
    if found.learn(refusal(said(text), status), before):
        assert asked(found) != before
    else:
        assert asked(found) == before


def test_a_parameter_that_was_taken_is_not_given_up_for_mere_words() -> None:
    """A record's refusal may speak of anything; only the error's own field counts then."""
    found = parameters()
    found.were_taken(sent := asked(found))
    assert not found.learn(refusal(said("property 'seed' is unsupported")), sent)
    assert found.learn(refusal(said("property 'seed' is unsupported", param="seed")), sent)
    assert asked(found).seed is None


def test_what_is_left_out_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    found = parameters()
    in_flight = [asked(found) for _ in range(5)]
    with caplog.at_level(logging.WARNING, LOGGER):
        for sent in in_flight:
            assert found.learn(refusal({"detail": [detail("body", "seed")]}, 422), sent)
    (line,) = caplog.messages
    assert line == (
        f"{URL}: seed is left out from now on, so the server's own default holds (HTTP 422: "
        'body.seed: Extra inputs are not permitted); endpoint.omit = ["seed"] says so beforehand'
    )


def test_several_parameters_at_once() -> None:
    body = {"detail": [detail("body", "seed"), detail("body", "top_p"), detail("body", "n")]}
    assert left_out_after(body, 422) == {"seed", "top_p", "n"}


def test_candidates_that_must_come_together_cannot() -> None:
    found = parameters(candidates="together")
    with pytest.raises(EndpointError, match=r'set endpoint\.candidates = "separate"'):
        found.learn(refusal(said("'n' : number must be at most 1")), asked(found))


@pytest.mark.parametrize(
    ("message", "most"),
    [
        ("max_tokens is too large: 32768. This model supports at most 16384 completion tokens, "
         "whereas you provided 32768.", 16_384),  # OpenAI
        ("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]", 8192),  # DeepSeek
        ("`max_tokens` must be less than or equal to `8192`, the maximum value for `max_tokens` is "
         "less than the `context_window` for this model", 8192),  # Groq
        ("max_tokens: 32768 > 8192, which is the maximum allowed number of output tokens for "
         "claude-3-5-sonnet-20240620", 8192),  # Anthropic
        ("'max_tokens' or 'max_completion_tokens' is too large: 32768. This model supports at most "
         "8192 completion tokens.", 8192),
        ("<400> InternalError.Algo.InvalidParameter: Range of max_tokens should be [1, 8,192]",
         8192),  # DashScope
    ],
)  # fmt: skip
def test_a_limit_that_is_too_high_is_lowered_from_then_on(
    message: str, most: int, caplog: pytest.LogCaptureFixture
) -> None:
    found = parameters()
    with caplog.at_level(logging.WARNING, LOGGER):
        assert found.learn(refusal(said(message, param="max_tokens")), asked(found))
    assert (asked(found).limit, asked(found).max_tokens) == ("max_tokens", most)
    assert f"at most {most} tokens" in caplog.text


def test_a_small_number_in_the_words_is_no_limit() -> None:
    found = parameters()
    message = "max_tokens exceeds the limit of this model, see error 42"
    assert found.learn(refusal(said(message, param="max_tokens")), asked(found))
    assert asked(found).limit is None  # the server's own limit holds


def test_reasoning_models_of_openai_get_their_own_name_for_the_limit() -> None:
    found = parameters()
    body = said("Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                "'max_completion_tokens' instead.", param="max_tokens")  # fmt: skip
    assert found.learn(refusal(body), asked(found))
    assert asked(found).limit == "max_completion_tokens"
    again = said("Unknown parameter: 'max_completion_tokens'", param="max_completion_tokens")
    assert found.learn(refusal(again), asked(found))
    assert asked(found).limit is None


@pytest.mark.parametrize(
    ("message", "room"),
    [
        ("This model's maximum context length is 4097 tokens. However, you requested 33768 tokens "
         "(1000 in the messages, 32768 in the completion). Please reduce the length of the "
         "messages or completion.", 3097),  # OpenAI
        ("This model's maximum context length is 4096 tokens. However, you requested 32768 output "
         "tokens and your prompt contains 96 input tokens.", 4000),  # vLLM
        ("Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 96 "
         "`inputs` tokens and 32768 `max_new_tokens`", 4000),  # TGI
        ("'max_tokens' or 'max_completion_tokens' is too large: 32768. This model's maximum "
         "context length is 4096 tokens and your request has 96 input tokens (32768 > 4096 - 96).",
         4000),
        ("This model's maximum context length is 4096 tokens. However, your prompt contains 5000 "
         "input tokens, which exceeds this limit even without any output tokens.", None),
        ("This model's maximum context length is 4096 tokens. However, you requested 37768 tokens "
         "(5000 in the messages, 32768 in the completion).", None),
        ("maximum context length is 4096 tokens", None),
    ],
)  # fmt: skip
def test_a_reply_is_asked_for_that_fits_behind_its_prompt(message: str, room: int | None) -> None:
    sent = asked(parameters())
    assert room_for_reply(message, sent, prompt_chars=400, num_tries=0) == room


def test_where_the_prompt_is_only_guessed_the_limit_shrinks_until_it_fits() -> None:
    message = ("This model's maximum context length is 4096 tokens. However, you requested {} "
               "output tokens and your prompt contains at least {} input tokens.")  # fmt: skip
    found, tokens, room, tries = parameters(), 1000, None, 0
    while True:
        sent = found.of(SAMPLING, num_candidates=1, seed=0, room=room)
        if sent.max_tokens + tokens <= 4096:
            break
        words = message.format(sent.max_tokens, max(4097 - sent.max_tokens, 1))
        room = room_for_reply(words, sent, prompt_chars=1500, num_tries=tries)
        assert room is not None
        tries += 1
    assert tries < 6
    assert room is not None
    assert room > 1000


@given(st.text(max_size=200), st.integers(0, 20), st.integers(0, 10**6))
def test_room_is_always_less_than_was_asked_for(text: str, tries: int, chars: int) -> None:
    sent = asked(parameters())
    room = room_for_reply(text, sent, prompt_chars=chars, num_tries=tries)
    assert room is None or 1 <= room < sent.max_tokens


def test_a_setting_says_beforehand_what_is_left_out() -> None:
    found = parameters(omit=["seed", "top_p", "temperature", "max_tokens", "n"])
    assert not found.takes_n
    assert asked(found) == Sent(
        n=1, seed=None, temperature=None, top_p=None, limit=None, max_tokens=32_768
    )


def test_a_setting_that_contradicts_itself_or_names_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="asks one by one"):
        parameters(omit=["n"], candidates="together")
    with pytest.raises(ValidationError, match="omit"):
        parameters(omit=["stop"])
