"""Names as a person gives them: joined by commas, or an option again.

A sample: names_in(["aime24, math500", "gsm8k"]) == ["aime24", "math500", "gsm8k"]
"""

from __future__ import annotations

from collections.abc import Iterable


def names_in(given: Iterable[str] | None) -> list[str]:
    """Each once, in their order."""
    parts = [part.strip() for text in given or () for part in text.split(",")]
    return list(dict.fromkeys(part for part in parts if part))
