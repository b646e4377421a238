"""`--plan --check`: one cheap request a server, and a line for whatever keeps a run from going."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flows.cli.run.plan import show_plan
from flows.session import Order
from infra.engines.endpoint import probe
from tasks.errors import UsageError
from tests.chat_server import ServerConfig, serving_in_thread

KEY = "LITECOT_TEST_CHECK_KEY"


def order(base_url: str, *changes: str, model: str = "writer-1") -> Order:
    served = (
        'stages=["generate"]', "models.teacher.engine=endpoint", f"models.teacher.model={model}",
        f"models.teacher.endpoint.base_url={base_url}",
        f"models.teacher.endpoint.api_key_env={KEY}",
    )  # fmt: skip
    return Order(recipe="litecot", problems=("nano:train",), limit=4, overrides=(*served, *changes))


def refusal(one: Order) -> str:
    with pytest.raises(UsageError) as refused:
        show_plan(one, check=True)
    return str(refused.value)


@pytest.fixture(autouse=True)
def in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(KEY, raising=False)


@contextmanager
def listening() -> Iterator[str]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"


def test_a_server_that_is_ready_is_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    with serving_in_thread(ServerConfig(model="writer-1")) as server:
        show_plan(order(server.base_url), check=True)
        assert not server.arrived  # nothing that would be paid for
    said = capsys.readouterr().out
    assert f"{server.base_url} answers within" in said
    assert "and serves writer-1" in said
    assert f"no key is sent to {server.base_url}: {KEY} is not set" in said


def test_nobody_is_asked_without_it() -> None:
    show_plan(order("http://127.0.0.1:9/v1"))


def test_nobody_listens() -> None:
    assert "no server answers at http://127.0.0.1:9/v1" in refusal(order("http://127.0.0.1:9/v1"))


def test_a_wrong_key_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "sk-not-this-one")
    with serving_in_thread(ServerConfig(api_key="sk-right")) as server:
        said = refusal(order(server.base_url))
    assert f"refuses the key from the environment variable {KEY}" in said
    assert "sk-not-this-one" not in said


def test_a_key_that_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving_in_thread(ServerConfig(model="writer-1", api_key="sk-right")) as server:
        assert f"set the environment variable {KEY}" in refusal(order(server.base_url))
        monkeypatch.setenv(KEY, "sk-right")
        show_plan(order(server.base_url), check=True)


def test_a_model_it_has_not_is_named_with_those_it_has() -> None:
    with serving_in_thread(ServerConfig(model="writer-1")) as server:
        said = refusal(order(server.base_url, model="writer-2"))
    assert f"{server.base_url} has no model 'writer-2'; did you mean 'writer-1'?" in said


def test_a_server_without_a_list_is_believed(capsys: pytest.CaptureFixture[str]) -> None:
    with serving_in_thread(ServerConfig(has_models=False)) as server:
        show_plan(order(server.base_url), check=True)
    assert "has no list of models" in capsys.readouterr().out


def test_one_that_takes_the_call_and_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "LIMIT_S", 0.2)
    with listening() as base_url:
        said = refusal(order(base_url))
    assert f"{base_url} takes connections and said nothing within 0.2 s" in said


def test_all_that_is_missing_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key variable that a recipe names for somebody's server is asked for before anything."""
    two = order(
        "https://models.example.com/v1", "models.compressor.engine=endpoint",
        "models.compressor.model=small", 'stages=["generate", "compress"]', "compress.source=long",
        "models.compressor.endpoint.base_url=https://models.example.com/v1",
        "models.compressor.endpoint.api_key_env=LITECOT_TEST_OTHER_KEY",
    )  # fmt: skip
    with pytest.raises(UsageError) as refused:
        show_plan(two)
    said = str(refused.value)
    assert "2 things are missing or wrong" in said
    assert f"the environment variable {KEY} is not set, the key of writer-1 at" in said
    assert "the environment variable LITECOT_TEST_OTHER_KEY is not set" in said
    monkeypatch.setenv(KEY, "one")
    monkeypatch.setenv("LITECOT_TEST_OTHER_KEY", "two")
    show_plan(two)


def test_several_roles_are_asked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two servers that hang cost one wait."""
    monkeypatch.setattr(probe, "LIMIT_S", 0.5)
    with listening() as one, listening() as other:
        two = order(
            one, "models.compressor.engine=endpoint", "models.compressor.model=small",
            'stages=["generate", "compress"]', "compress.source=long",
            f"models.compressor.endpoint.base_url={other}",
        )  # fmt: skip
        before = threading.active_count()
        said = refusal(two)
        assert threading.active_count() == before
    assert one in said
    assert other in said
