"""Numbers of a verdict in words, on the terminal and on the page alike.

A sample: effect_words(decided) -> "+4.6 points", or "x 0.43 tokens"
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flows.replication.verdicts import Decided


_TAG = re.compile(r"<[^<>\s]+>")


def marked(text: str) -> str:
    """Markdown of words with `<compress>` in them, which a reader's page would take for a tag."""
    return _TAG.sub(r"`\g<0>`", text)


def asked_as(arm: str, compress: bool) -> str:
    """An arm and how its students were asked."""
    return f"{arm} <compress>" if compress else arm


def effect_words(one: Decided) -> str:
    """The size of the effect; empty where it was not run."""
    if one.effect is None:
        return ""
    if one.claim.metric == "accuracy":
        return f"{100 * one.effect:+.1f} points"
    return f"x {one.effect:.2f} tokens"


def interval_words(one: Decided) -> str:
    """Its interval; empty where there is none."""
    if one.interval is None:
        return ""
    low, high = one.interval
    if one.claim.metric == "accuracy":
        return f"{100 * low:+.1f} to {100 * high:+.1f}"
    return f"{low:.2f} to {high:.2f}"


def p_words(value: float | None) -> str:
    """A p value, short."""
    if value is None:
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
