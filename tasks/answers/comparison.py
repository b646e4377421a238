"""Whether two expressions have the same value: constants, formulas with variables, equations.

Invariant: True and False are certain but for TOLERANCE on written decimals; None where an
expression is not read (tasks/answers/expressions.py) or has no value within the limits.
Samples: `2\\sqrt3` and `\\sqrt{12}` are the same, 5 and `5x` are not.
"""

from __future__ import annotations

import re
from functools import lru_cache

from tasks.answers.evaluation import (
    NUM_NEEDED_POINTS,
    UndefinedError,
    Value,
    close_value,
    depends_on_sign,
    difference,
    evaluate,
    points_of,
    ratio_of,
    same_value,
    variables_of,
)
from tasks.answers.expressions import Tree, UnreadableError, read_expression
from tasks.answers.quantities import TOLERANCE, read_quantity

_DECIMAL = re.compile(r"[0-9]\.[0-9]")
_COMMON_LOGARITHM, _NATURAL_LOGARITHM = 10, 0


def is_constant(text: str) -> bool:
    """Whether `text` is an expression without variables."""
    tree = _tree(text)
    return tree is not None and not variables_of(tree)


def is_expression(text: str) -> bool:
    """Whether `text` is read as one expression."""
    return _tree(text) is not None


def same_expression(gold: str, stated: str) -> bool | None:
    """Equality of two canonical expressions, or of two equations up to a factor."""
    gold_sides, stated_sides = gold.split("="), stated.split("=")
    if len(gold_sides) != len(stated_sides) or len(gold_sides) > 2:
        return None
    trees = [_tree(side) for side in (*gold_sides, *stated_sides)]
    if None in trees:
        return None
    read = [tree for tree in trees if tree is not None]
    bases = (_COMMON_LOGARITHM, _NATURAL_LOGARITHM) if "log" in gold + stated else (10,)
    is_rounded = _DECIMAL.search(gold + " " + stated) is not None
    verdicts = [_agree(read, base, is_rounded=is_rounded) for base in bases]
    return True if True in verdicts else None if None in verdicts else False


@lru_cache(maxsize=2048)
def _tree(text: str) -> Tree | None:
    try:
        return read_expression(text)
    except UnreadableError:
        quantity = read_quantity(text)
        return ("n", quantity.value) if quantity and not quantity.is_percent else None


def _agree(trees: list[Tree], log_base: int, *, is_rounded: bool) -> bool | None:
    names = frozenset().union(*map(variables_of, trees))
    ratios: list[Value | None] = []
    num_compared = 0
    is_about_sign = any(map(depends_on_sign, trees))
    for point in points_of(names, positive=not is_about_sign) if names else [{}]:
        try:
            values = [evaluate(tree, point, log_base) for tree in trees]
            if len(values) == 4:
                ratios.append(ratio_of(difference(*values[:2]), difference(*values[2:])))
                continue
        except (UndefinedError, UnreadableError):
            continue
        if not _same(values[0], values[1], is_rounded=is_rounded):
            return False
        num_compared += 1
    if len(trees) == 4:
        return _is_one_ratio(ratios, is_rounded=is_rounded)
    return True if num_compared >= (NUM_NEEDED_POINTS if names else 1) else None


def _same(left: Value, right: Value, *, is_rounded: bool) -> bool:
    if same_value(left, right):
        return True
    is_whole = 1 in (getattr(left, "denominator", 0), getattr(right, "denominator", 0))
    return is_rounded and not is_whole and close_value(left, right, TOLERANCE)


def _is_one_ratio(ratios: list[Value | None], *, is_rounded: bool) -> bool | None:
    """Two equations say the same where the ratio of their differences is one number."""
    if len(ratios) < NUM_NEEDED_POINTS:
        return None
    if None in ratios:
        return False
    return all(_same(ratios[0], ratio, is_rounded=is_rounded) for ratio in ratios[1:])
