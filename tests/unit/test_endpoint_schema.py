"""Requests as servers want them."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from infra.engines.config import EndpointOptions
from infra.engines.endpoint.messages import MAX_SEED, chat_request
from infra.engines.endpoint.parameters import Parameters
from tasks.ports import Sampling


def request(
    sampling: Sampling, *, num_candidates: int = 1, seed: int = 7, **options: Any
) -> dict[str, Any]:
    parameters = Parameters(EndpointOptions(base_url="http://a/v1", **options))
    sent = parameters.of(sampling, num_candidates=num_candidates, seed=seed, room=None)
    body: dict[str, Any] = json.loads(chat_request("m", "1 + 1?", sampling, sent))
    return body


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


def test_what_the_recipe_leaves_out_is_not_sent() -> None:
    omit = ["seed", "top_p", "temperature", "max_tokens", "n"]
    assert set(request(Sampling(), num_candidates=4, omit=omit)) == {"model", "messages"}


def test_candidates_are_asked_for_together() -> None:
    assert request(Sampling(num_candidates=4), num_candidates=4)["n"] == 4


def test_a_schema_is_asked_for_strictly() -> None:
    schema = {"type": "object", "properties": {"level": {"enum": ["easy", "hard"]}}}
    asked = request(Sampling(json_schema=json.dumps(schema)))["response_format"]
    assert asked["type"] == "json_schema"
    assert asked["json_schema"]["schema"] == schema
    assert asked["json_schema"]["strict"] is True


@given(st.integers(0, 2**63 - 1))
def test_seeds_are_such_as_every_server_takes(seed: int) -> None:
    assert 0 <= request(Sampling(), seed=seed)["seed"] < MAX_SEED
