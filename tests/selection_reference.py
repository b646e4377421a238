"""Which rationales selection keeps, said a second time: lists and loops over the scores, no SQL.

It shares no code with the product: directions are written down here, similarity is that of the
definition, ranks are counted one by one.

A sample: kept(rows, by={"rd": 0.5, "rsr": 0.5}, keep_per_problem=1) == {"9f0c...", ...}
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

HIGHER = {"grape", "naturalness", "brevity"}
By = str | Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Chain:
    """A rationale with the values its scores row has; `values` empty: it was not scored."""

    rationale_id: str
    problem_id: str
    text: str
    is_correct: bool
    values: Mapping[str, float | None]
    condition: str = "original"


def costs(chains: Sequence[Chain], by: By) -> dict[tuple[str, str], float]:
    """(rationale, condition) -> what to have little of, of those in the running."""
    running = [chain for chain in chains if chain.is_correct and chain.values]
    if isinstance(by, str):
        return {_key(chain): _cost(chain, by) for chain in running}
    found = {}
    for chain in running:
        rivals = [other for other in running if other.condition == chain.condition]
        total = sum(by[name] * _rank(chain, rivals, name) for name in by)
        lacks = any(math.isinf(_cost(chain, name)) for name in by)
        found[_key(chain)] = math.inf if lacks else total / sum(by.values())
    return found


def _key(chain: Chain) -> tuple[str, str]:
    return chain.rationale_id, chain.condition


def _cost(chain: Chain, name: str) -> float:
    value = chain.values.get(name)
    if value is None or math.isnan(value) or math.isinf(value):
        return math.inf
    return -value if name in HIGHER else value


def _rank(chain: Chain, rivals: Sequence[Chain], name: str) -> float:
    """Mean place among equals, 0 to 1."""
    mine = _cost(chain, name)
    better = sum(_cost(other, name) < mine for other in rivals)
    equal = sum(_cost(other, name) == mine for other in rivals)  # with itself
    return (better + (equal - 1) / 2) / max(len(rivals) - 1, 1)


def kept(
    chains: Sequence[Chain], *, by: By, worst: float | None = None, per_problem: int | None = 1,
    fraction: float | None = None, ngram: int = 3, similar: float = 0.8,
) -> set[tuple[str, str]]:  # fmt: skip
    """(rationale, condition) of those taught. `worst`: the threshold, as the setting has it."""
    cost = costs(chains, by)
    limit = math.inf
    if fraction is not None:
        num_correct = sum(chain.is_correct for chain in chains)
        ordered = sorted(cost.values()) + [math.inf] * (num_correct - len(cost))
        limit = ordered[math.ceil(fraction * num_correct) - 1]
    groups: dict[tuple[str, str], list[Chain]] = defaultdict(list)
    for chain in chains:
        if _key(chain) in cost:
            groups[chain.problem_id, chain.condition].append(chain)
    sign = -1 if isinstance(by, str) and by in HIGHER else 1
    found = set()
    for group in groups.values():
        group.sort(key=lambda chain: (cost[_key(chain)], chain.rationale_id))
        unlike: list[Chain] = []
        for chain in group:
            if all(_similarity(chain.text, o.text, ngram) < similar for o in unlike):
                unlike.append(chain)
        for place, chain in enumerate(unlike):
            mine = cost[_key(chain)]
            within = worst is None or mine <= worst * sign
            if within and mine <= limit and (per_problem is None or place < per_problem):
                found.add(_key(chain))
    return found


def _similarity(left: str, right: str, size: int) -> float:
    one, two = _grams(left, size), _grams(right, size)
    smaller = sum(min(one[gram], two[gram]) for gram in one)
    return smaller / sum(max(one[gram], two[gram]) for gram in {*one, *two})


def _grams(text: str, size: int) -> Counter[tuple[str, ...]]:
    words = re.findall(r"\w+|[^\w\s]", text.casefold()) or [""]
    return Counter(tuple(words[i : i + size]) for i in range(max(1, len(words) - size + 1)))
