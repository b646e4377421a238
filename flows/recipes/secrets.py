"""Keys of endpoints that recipes name as Prefect Secret blocks.

Invariants: Prefect's API is asked only for blocks that the recipe names; a key is handed to the run
and kept nowhere else.

A sample: models.teacher.endpoint.api_key_block = "openrouter" -> {"openrouter": "sk-..."}
"""

from __future__ import annotations

from typing import Any

from flows.recipes.recipe import Recipe, RecipeError


def load_secrets(recipe: Recipe) -> dict[str, str]:
    """Block name -> key. Raises RecipeError for a block that is missing or holds no text."""
    keys: dict[str, str] = {}
    for role in type(recipe.models).model_fields:
        config = recipe.model_of(role)
        block = config.endpoint.api_key_block if config and config.endpoint else None
        if block is not None and block not in keys:
            keys[block] = _load(block, key=f"models.{role}.endpoint.api_key_block")
    return keys


def _load(block: str, *, key: str) -> str:
    from prefect.blocks.system import Secret

    try:
        secret: Any = Secret.load(block, _sync=True)  # type: ignore[call-arg]
    except ValueError:
        raise RecipeError(
            f"{key}: there is no Prefect Secret block {block!r}: make it in the UI (`make ui`), "
            "or leave the key out and set the variable endpoint.api_key_env names"
        ) from None
    value = secret.value.get_secret_value()  # get() would read digits as a number
    if not isinstance(value, str) or not value.strip():
        raise RecipeError(f"{key}: the Prefect Secret block {block!r} holds no text")
    return value
