"""Keys of endpoints from Prefect's Secret blocks, on a real Prefect server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from prefect.blocks.system import Secret
from prefect.settings import PREFECT_API_URL
from prefect.testing.utilities import prefect_test_harness

from flows.cli.run.servers import ask_servers
from flows.recipes.recipe import Recipe, RecipeError
from flows.recipes.secrets import load_secrets
from tests.chat_server import ServerConfig, serving_in_thread


@pytest.fixture(scope="module", autouse=True)
def prefect() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=180):
        Secret(value="sk-123").save("teacher-key")
        Secret(value="123456").save("digits")
        Secret(value="  ").save("blank")
        yield


def recipe(block: str | None, base_url: str = "http://127.0.0.1:1/v1") -> Recipe:
    endpoint = {"base_url": base_url, "api_key_block": block}
    models = {
        "student": {"model": "nano:student"},
        "teacher": {"engine": "endpoint", "model": "m", "endpoint": endpoint},
    }
    return Recipe.model_validate({"name": "r", "stages": ["generate"], "models": models})


@pytest.mark.parametrize(("block", "key"), [("teacher-key", "sk-123"), ("digits", "123456")])
def test_the_named_block_is_loaded_as_text(block: str, key: str) -> None:
    assert load_secrets(recipe(block)) == {block: key}


def test_blocks_load_inside_a_running_loop_as_in_a_flow() -> None:
    async def flow() -> dict[str, str]:
        return load_secrets(recipe("teacher-key"))

    assert asyncio.run(flow()) == {"teacher-key": "sk-123"}


def test_without_a_block_there_is_nothing_to_load() -> None:
    assert load_secrets(recipe(None)) == {}


@pytest.mark.parametrize("block", ["no-such-block", "blank"])
def test_a_block_that_cannot_serve_is_named_with_its_place_in_the_recipe(block: str) -> None:
    with pytest.raises(RecipeError, match=rf"models\.teacher\.endpoint\.api_key_block: .*{block}"):
        load_secrets(recipe(block))


def test_a_check_takes_the_key_from_its_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", PREFECT_API_URL.value() or "")
    with serving_in_thread(ServerConfig(model="m", api_key="sk-123")) as server:
        well, wrong = ask_servers(recipe("teacher-key", server.base_url))
        assert (len(well), wrong) == (1, [])
        _, wrong = ask_servers(recipe("digits", server.base_url))
        assert "refuses the key from the Prefect Secret block 'digits'" in wrong[0]
        _, wrong = ask_servers(recipe("no-such-block", server.base_url))
        assert "there is no Prefect Secret block 'no-such-block'" in wrong[0]
