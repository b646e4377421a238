"""Symbolic comparison by math-verify (sympy): the slow leaf of `equality`.

Invariant: math-verify is imported on the first comparison, not before. Its own signal time-outs are
off, because they need a main thread and turn a time-out into "wrong": the caller's worker process
is the limit (infra/runs/grading.py).
"""

from __future__ import annotations

import logging

from tasks.answers.reach import is_within_reach


class UnreadableGoldError(ValueError):
    """The gold answer is nothing that can be compared."""


def same_symbolically(gold: str, stated: str) -> bool | None:
    """Whether math-verify finds `stated` equal to `gold`; None where either is out of its reach.

    Raises UnreadableGoldError where the gold is no mathematics, and MemoryError.
    """
    if not (is_within_reach(gold) and is_within_reach(stated)):
        return None
    expected = _parse(gold)
    if not expected:
        raise UnreadableGoldError(gold)
    found = _parse(stated)
    return bool(found) and _verify(expected, found)


def warm_up() -> None:
    """Import sympy and build the parser, once a worker, outside any time limit."""
    same_symbolically("2x", "x+x")


def _parse(expression: str) -> list[object]:
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse

    logging.getLogger("math_verify").setLevel(logging.CRITICAL)
    result: list[object] = parse(
        f"${expression}$",
        [LatexExtractionConfig(), ExprExtractionConfig()],
        fallback_mode="no_fallback",
        parsing_timeout=None,
    )
    return result


def _verify(expected: list[object], found: list[object]) -> bool:
    """False too where sympy gives up on the pair; out of memory is no verdict."""
    from math_verify import verify

    try:
        return bool(verify(expected, found, timeout_seconds=None, raise_on_error=True))
    except MemoryError:
        raise
    except Exception:  # sympy raises nearly anything on expressions it cannot handle
        return False
