"""Stage fingerprints: a hash of everything that determines a stage's rows.

Prompt files, models, settings, seed, the counting tokenizer and, through the fingerprints of the
stages it reads, all of that upstream. Invariant: the same fingerprint and the same input record
give the same rows; what could change them changes the fingerprint, so resume never mixes. The one
exception is difficulty: its type and step scores look at the shard's other problems and its error
history at runs before this one, and they stay as they were when the problem was first graded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from pydantic import BaseModel

from tasks.prompts import PromptFile
from tasks.schemas import content_id


def stage_fingerprint(
    name: str,
    config: BaseModel,
    *,
    models: Mapping[str, str],
    prompts: Mapping[str, PromptFile] | None = None,
    upstream: Sequence[str] = (),
    seed: int = 0,
    inputs: str = "",
    revision: int = 0,
) -> str:
    """16 hex characters.

    `models`: role -> model identity; `prompts`: setting -> what it names, in the stage's order;
    `inputs`: hash of the problems a global stage looks across.
    """
    prompts = prompts or {}
    return content_id(
        name,
        _settings(config, prompts),
        sorted(models.items()),
        [prompt.sha for prompt in prompts.values()],
        sorted(upstream),
        seed,
        inputs,
        *([revision] if revision else []),
    )


def _settings(config: BaseModel, prompts: Mapping[str, PromptFile]) -> dict[str, object]:
    """As JSON. A prompt is its text: what a file of one's own is called, and where, is nothing."""
    settings: dict[str, object] = json.loads(config.model_dump_json())
    for setting, prompt in prompts.items():
        settings.pop(setting, None)
        if setting == "prompt":  # as the hashes of the first corpora had it
            settings[setting] = prompt.twin or "own"
    return settings
