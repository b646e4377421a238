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

from tasks.prompts import prompt_sha
from tasks.schemas import content_id


def stage_fingerprint(
    name: str,
    config: BaseModel,
    *,
    models: Mapping[str, str],
    prompts: Sequence[str] = (),
    upstream: Sequence[str] = (),
    seed: int = 0,
    inputs: str = "",
    revision: int = 0,
) -> str:
    """16 hex characters.

    `models`: role -> model identity; `inputs`: hash of the problems a global stage looks across.
    """
    variant = getattr(config, "prompt", "")
    return content_id(
        name,
        json.loads(config.model_dump_json()),
        sorted(models.items()),
        [prompt_sha(step, variant) for step in prompts],
        sorted(upstream),
        seed,
        inputs,
        *([revision] if revision else []),
    )
