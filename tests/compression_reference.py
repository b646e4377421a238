"""What MACC's loop must come to, said a second time: plain loops over the whole history.

It sees every reply a compressor would ever give, notes each reason to stop wherever one applies,
takes the first, and looks for the kept round only then; tasks/compress_methods.py decides round by
round and never sees what comes after.

A sample: a chain of 20 tokens and replies of 15, 12, 14, 3 until_rebound -> 3 rounds, "rebound", 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tasks.compress import CompressConfig
from tasks.compress_methods import Outcome

SPOILT = ("truncated", "answer_changed", "answer_not_stated", "rebound")


class Ended(NamedTuple):
    """Rounds run, why no more, and the number of the kept one (None: the chain stands)."""

    num_rounds: int
    reason: str
    kept: int | None


def ended(chain_tokens: int, replies: Sequence[Outcome], config: CompressConfig) -> Ended:
    """The end of a loop whose compressor gives `replies` in turn; enough of them must be given."""
    adaptive = config.method == "until_rebound"
    lengths = [chain_tokens] + [reply.num_tokens for reply in replies]
    reasons: list[tuple[int, str]] = []
    for i, reply in enumerate(replies, start=1):
        fell = lengths[i - 1] - lengths[i]
        if reply.finish_reason != "stop":
            reasons.append((i, "truncated"))
        elif reply.verdict != "correct":
            reasons.append((i, "answer_changed"))
        elif not reply.is_stated:
            reasons.append((i, "answer_not_stated"))
        if adaptive and fell < 0:
            reasons.append((i, "rebound"))
        if adaptive and (fell < 1 or fell < config.min_reduction * lengths[i - 1]):
            reasons.append((i, "min_reduction"))
        if adaptive and i == config.max_rounds:
            reasons.append((i, "max_rounds"))
        if not adaptive and i == (config.num_rounds if config.method == "fixed_rounds" else 1):
            reasons.append((i, "rounds_done"))
    num_rounds, reason = reasons[0]
    kept = None
    for i in range(1, num_rounds + 1):
        if i == num_rounds and reason in SPOILT:
            break
        if adaptive and lengths[i] < min(lengths[:i]):
            kept = i
        if not adaptive and lengths[i] < chain_tokens:
            kept = i
    return Ended(num_rounds, reason, kept)
