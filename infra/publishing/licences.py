"""The licence of each source of problems: as stated, as its hub data set says, or unknown.

Invariant: nothing is guessed; what is not known is UNKNOWN, and whoever publishes hears of it.

A sample: licences_of(["gsm8k.jsonl"], {"gsm8k.jsonl": "MIT"}, inputs=[]) == {"gsm8k.jsonl": "MIT"}
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from infra.nano.files import PREFIX, resolve_nano
from tasks.intake.sources import KINDS, parse_hub_id

UNKNOWN = "unknown"
NANO = "apache-2.0"  # the embedded problems are this project's own
ASK_S = 10
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[^:]*)?(:.*)?")
_IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9.-]*")


def licences_of(
    sources: Iterable[str], stated: Mapping[str, str], *, inputs: Iterable[str]
) -> dict[str, str]:
    """Source -> licence. `inputs`: the recipe's problems, which tell the embedded ones."""
    own = {Path(resolve_nano(name)).name: NANO for name in inputs if name.startswith(PREFIX)}
    return {
        source: stated.get(source) or own.get(source) or _hub_licence(source) or UNKNOWN
        for source in sources
    }


def identifier(licences: Mapping[str, str]) -> str:
    """What hubs read in a card's front matter: one licence, other, or unknown."""
    found = {licence.lower() for licence in licences.values()}
    if not found or UNKNOWN in found:
        return UNKNOWN
    (first, *others) = found
    return first if not others and _IDENTIFIER.fullmatch(first) else "other"


def base_licence(base: str, stated: str | None) -> str:
    """Of the model that training started from."""
    own = NANO if base.startswith(PREFIX) else None
    return stated or own or _hub_licence(base, repo_type="model") or UNKNOWN


def _hub_licence(name: str, *, repo_type: str = "dataset") -> str | None:
    """As the hub's card states it; None for a file, offline, or where it says nothing."""
    is_file = any(name.removesuffix(".gz").endswith(suffix) for suffix in KINDS)
    if is_file or not _HUB_ID.fullmatch(name) or os.environ.get("HF_HUB_OFFLINE") == "1":
        return None
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # its HTTP client's

    try:
        found = HfApi().repo_info(parse_hub_id(name).name, repo_type=repo_type, timeout=ASK_S)
    except (HTTPError, OSError, ValueError):
        return None
    card = getattr(found, "card_data", None)
    licence = card.get("license") if card else None
    return " ".join(licence) if isinstance(licence, list) else licence
