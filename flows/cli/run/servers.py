"""Whether the servers of a recipe answer: one cheap request each, all at once.

Invariant: nothing is asked for that costs anything; a key goes to its own server only.

A sample: ask_servers(recipe) -> (["teacher: https://... answers within 0.2 s and ..."], [])
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from flows.recipes.recipe import Recipe, RecipeError
from flows.recipes.secrets import load_secrets
from flows.server.environment import settle_environment
from flows.server.temporary import find_server
from infra.engines import EngineConfig
from infra.settings import load_settings
from tasks.errors import LitecotError


def notes_on_servers(recipe: Recipe) -> list[str]:
    """What is odd and may be meant, of this machine: a key that is not here, say."""
    noted = [
        config.engine_type.note(config)
        for config in dict.fromkeys(recipe.roles().values())
        if config.engine_type.note is not None
    ]
    return list(dict.fromkeys(filter(None, noted)))


def ask_servers(recipe: Recipe) -> tuple[list[str], list[str]]:
    """Lines of those that a run could ask, and lines of what is wrong with the others."""
    roles: dict[EngineConfig, list[str]] = {}
    for role, config in recipe.roles().items():
        if config.engine_type.probe is not None:
            roles.setdefault(config, []).append(role)
    if not roles:
        return ["no model of this recipe is behind a server: nobody was asked"], []
    try:
        secrets = _secrets(recipe)
    except RecipeError as error:
        return [], [str(error)]

    def ask(config: EngineConfig) -> tuple[str, bool]:
        probe = config.engine_type.probe
        assert probe is not None
        try:
            return probe(config, secrets), True
        except LitecotError as error:
            return str(error), False

    with ThreadPoolExecutor(max_workers=len(roles)) as pool:
        told = list(pool.map(ask, roles))
    named = [
        (f"{' and '.join(names)}: {line}", is_well)
        for names, (line, is_well) in zip(roles.values(), told, strict=True)
    ]
    return [line for line, is_well in named if is_well], [line for line, ok in named if not ok]


def _secrets(recipe: Recipe) -> dict[str, str]:
    """Keys in Prefect's blocks, of its server; that one is asked only where a recipe names one."""
    blocks = [one.endpoint and one.endpoint.api_key_block for one in recipe.roles().values()]
    if not any(blocks):
        return {}
    settings = load_settings()
    settle_environment(settings)
    server = find_server(settings.home.resolve())
    try:
        if server is not None:
            server.wait()
        return load_secrets(recipe)
    finally:
        if server is not None:
            server.stop()
