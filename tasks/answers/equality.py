"""Whether two mathematical answers are the same, as far as that shows without a computer algebra.

Invariant: True and False are certain; None means that a leaf needs symbolic comparison and none was
given. Recursion goes no deeper than the answer's own brackets, at most MAX_DEPTH levels.
Samples: 1/2 and 0.5 are the same, `2\\sqrt3` and `\\sqrt{12}` too; `\\overline{z}+1` needs algebra.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from tasks.answers import latex
from tasks.answers.comparison import is_constant, is_expression, same_expression
from tasks.answers.notations import UNDECIDED, Decision, as_based, as_ranges, as_times, is_number
from tasks.answers.quantities import read_quantity, same_quantity, split_unit
from tasks.answers.real_sets import Interval, read_real_set
from tasks.answers.words import canonical_text, split_option

Leaf = Callable[[str, str], bool | None]
MAX_DEPTH = 4
MAX_ITEMS = 40


def decided_by_value(gold: str, stated: str, symbolic: Leaf) -> bool | None:
    """The value of expressions, units left out; `symbolic` for what has none here."""
    verdict = same_expression(gold, stated)
    powers = _as_power_of_ten(gold), _as_power_of_ten(stated)
    if verdict or (powers != (gold, stated) and same_expression(*powers)):
        return True
    bare_gold, bare_stated = split_unit(gold)[0], split_unit(stated)[0]
    is_angle = "\\degree" in gold + stated  # of a function: part of the number, no unit
    if (bare_gold, bare_stated) != (gold, stated) and not is_angle:
        bare = same_expression(bare_gold, bare_stated)
        verdict = verdict if bare is None else bare
    if (
        verdict is None
        and is_constant(bare_gold)
        and not (is_expression(bare_stated) or _BEYOND_US.search(stated))
    ):
        return False  # more than a number, or no number at all
    return symbolic(gold, stated) if verdict is None else verdict


_SCIENTIFIC = re.compile(r"(-?[0-9.]{1,30})[eE]([-+]?[0-9]{1,3})")


def _as_power_of_ten(text: str) -> str:
    """`1e-3` as a power of ten, where it may also be read with Euler's number."""
    return _SCIENTIFIC.sub(r"\1\\times 10^{\2}", text) if _SCIENTIFIC.fullmatch(text) else text


_BEYOND_US = re.compile(r"\\(?:sum|prod|int|lim|gcd|lcm|max|min|det|deg|mod|pmod)(?![a-z])")


def undecided(gold: str, stated: str) -> bool | None:
    """The leaf of the fast path: says nothing."""
    return None


def same_mathematics(gold: str, stated: str, *, symbolic: Leaf = undecided) -> bool | None:
    """Equality of two answers; `symbolic` decides the leaves that spelling and numbers do not."""
    left, right = latex.canonical(gold), latex.canonical(stated)
    if latex.compact(left) == latex.compact(right):
        return True
    if _DEGREES.search(gold) and "\\pi" in right:
        left = f"({left})\\pi/180"
    elif _DEGREES.search(stated) and "\\pi" in left:
        right = f"({right})\\pi/180"
    return _same(left, right, symbolic, MAX_DEPTH)


_DEGREES = re.compile(r"\A[^a-zA-Z]*?[0-9]\s?(?:\^\s?\{?\s?\\circ|°|\s?degrees?)")


def _same(gold: str, stated: str, symbolic: Leaf, depth: int) -> bool | None:
    if latex.compact(gold) == latex.compact(stated):
        return True
    if depth == 0:
        return symbolic(gold, stated)
    for rule in _RULES:
        decided, verdict = rule(gold, stated, symbolic, depth)
        if decided:
            return verdict
    return decided_by_value(gold, stated, symbolic)


def _as_quantities(gold: str, stated: str, symbolic: Leaf, depth: int) -> Decision:
    left, right = read_quantity(gold), read_quantity(stated)
    if left is not None and right is not None:
        return True, same_quantity(left, right)
    if left is not None and left.value.denominator > 1 and _COMMA.fullmatch(stated):
        return True, _same(gold, stated.replace(",", "."), symbolic, depth - 1)
    return as_based(gold, stated)


_COMMA = re.compile(
    r"-?[0-9]{1,20},[0-9]{1,9}"
)  # a decimal comma, where the gold is no whole number


_WORDS = re.compile(r"[A-Za-z][A-Za-z'-]+(?:[\s,.()-]+[A-Za-z'-]+)*\.?|\(?[A-Za-z]\)|[A-Z]")


def _as_words(gold: str, stated: str, symbolic: Leaf, depth: int) -> Decision:
    """Names, parities, options: no algebra will say more."""
    if re.fullmatch(r"\([A-J]\)", gold) and split_option(stated)[0]:
        return True, split_option(gold)[0] == split_option(stated)[0]
    if _WORDS.fullmatch(gold) and canonical_text(gold) == canonical_text(stated):
        return True, True
    if any(len(word) > 2 for word in gold.split()) and _is_words(gold):
        return (True, False) if read_quantity(stated) or _is_words(stated) else UNDECIDED
    if read_quantity(gold) and _is_words(stated) and not read_quantity(stated):
        return True, read_real_set(stated) is not None and read_real_set(gold) is not None
    return UNDECIDED


def _is_words(text: str) -> bool:
    return (
        _WORDS.fullmatch(text) is not None
        and read_real_set(text) is None
        and not (_FUNCTION_WORD.search(text))
    )


_FUNCTION_WORD = re.compile(r"\b(?:pi|sqrt|sin|cos|tan|log|ln|exp)\b")


_LISTED = re.compile(r"\s(?:and|or)\s|;")
_APPROXIMATE = re.compile(r"\\approx|\\simeq|\\doteq")


def _without_names(gold: str, stated: str, symbolic: Leaf, depth: int) -> Decision:
    """`x = 5` against 5; of `a \\approx b` either side; of `a = b` the last."""
    bare_gold, bare_stated = latex.without_member(gold), latex.without_member(stated)
    if (bare_gold, bare_stated) != (gold, stated):
        return True, _same(bare_gold, bare_stated, symbolic, depth - 1)
    bare_gold, bare_stated = latex.without_name(gold), latex.without_name(stated)
    if bare_stated != stated and bare_stated[:1] in ("\\", "(", "[", "{") and "=" not in gold:
        return True, _same(gold, bare_stated, symbolic, depth - 1)
    if _LISTED.search(gold) or _LISTED.search(stated):
        return UNDECIDED
    if not {"(", "["} & {*gold, *stated}:
        gold, stated = latex.without_thousands(gold), latex.without_thousands(stated)
    if "," in gold + stated and not (gold + stated).lstrip().startswith("("):
        return UNDECIDED
    readings = [side.strip() for side in _APPROXIMATE.split(stated)]
    if len(readings) > 1 and not _APPROXIMATE.search(gold):
        return True, _any(_same(gold, side, symbolic, depth - 1) for side in readings if side)
    left, right = latex.without_name(gold), latex.without_name(stated)
    if "=" in right and "=" not in gold:
        result = _result_of(right)
        if result is None:
            return True, False
        right = result
    names_agree = "=" not in gold or "=" not in stated or _name(gold) == _name(stated)
    if (left, right) != (gold, stated) and right and names_agree:
        return True, _same(left, right, symbolic, depth - 1)
    return UNDECIDED


_FREE_SIDE = re.compile(r"\\sqrt|\^")
_LETTERS = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z](?![a-zA-Z])")
_OF_FUNCTION = re.compile(
    r"(?<=[A-Za-z])\([^()]{1,20}\)|_\{?\w{1,4}\}?|\\(?:text|mathrm)\s?\{[^{}]*\}"
)


def _result_of(equation: str) -> str | None:
    """What a chain of equals comes to; None where a side before is an equation to be solved.

    `9 \\cdot 2 = 18`, `a + b = 5`, `f(3) = 5` come to a number, `x^2 = 5` and `2x - y = 0` do not.
    """
    *before, last = latex.split_top(equation, "=")
    for side in before:
        if is_constant(side):
            if same_expression(side, last) is False and "(" not in side:
                return None
            continue
        free = _OF_FUNCTION.sub("", side)
        if _LETTERS.search(free) and (_FREE_SIDE.search(free) or last.strip() == "0"):
            return None
    return last


def _name(text: str) -> str:
    return latex.compact(text.partition("=")[0])


def _as_matrices(gold: str, stated: str, symbolic: Leaf, depth: int) -> Decision:
    left, right = latex.matrix_rows(gold), latex.matrix_rows(stated)
    if left is not None and sum(map(len, left)) > 1 and read_quantity(stated) is not None:
        return True, False
    if left is None or (right is None and latex.enclosure(stated)[0] == ""):
        return UNDECIDED
    cells = [cell for row in left for cell in row]
    if right is None:  # a vector may be written as a tuple
        items = latex.split_top(latex.enclosure(stated)[1], ",")
        return (
            (True, _ordered(cells, items, symbolic, depth))
            if 1 in (len(left), len(left[0]))
            else UNDECIDED
        )
    same_shape = [len(row) for row in left] == [len(row) for row in right]
    others = [cell for row in right for cell in row]
    return True, same_shape and _ordered(cells, others, symbolic, depth)


def _as_real_sets(gold: str, stated: str, symbolic: Leaf, depth: int) -> Decision:
    """Intervals and inequalities, in each other's notation too; brackets count."""
    left, right = read_real_set(gold), read_real_set(stated)
    if left is None or right is None:
        certain = left or right
        other = stated if right is None else gold
        is_alone = certain is not None and certain.is_certain
        return (True, False) if is_alone and is_number(other) else UNDECIDED
    if not (left.is_certain or right.is_certain):
        return UNDECIDED
    if left.name and right.name and left.name != right.name:
        return True, False
    table = [
        [_same_interval(one, other, symbolic, depth) for other in right.pieces]
        for one in left.pieces
    ]
    return True, _matched(table)


def _same_interval(gold: Interval, stated: Interval, symbolic: Leaf, depth: int) -> bool | None:
    if (gold.low_closed, gold.high_closed) != (stated.low_closed, stated.high_closed):
        return False
    ends = [(gold.low, stated.low), (gold.high, stated.high)]
    return _all(
        one is other if one is None or other is None else _same(one, other, symbolic, depth - 1)
        for one, other in ends
    )


def _as_lists(gold: str, stated: str, symbolic: Leaf, depth: int) -> Decision:
    """Tuples, intervals, sets and bare lists. A bare list is a set, or an unwrapped tuple."""
    (left_kind, left), (right_kind, right) = latex.enclosure(gold), latex.enclosure(stated)
    golds, others = _items(left_kind, left), _items(right_kind, right)
    if (left_kind and len(golds) > 1 and is_number(stated)) or (
        right_kind and len(others) > 1 and is_number(gold)
    ):
        return True, False  # several values, or an interval, against one number
    if (len(golds) == 1 and len(others) == 1) or not golds or not others:
        if {left_kind, right_kind} & {"()", "{}"} and (left, right) != (gold, stated):
            return True, _same(left, right, symbolic, depth - 1)
        return UNDECIDED
    if left_kind in ("", "{}") and right_kind in ("", "{}"):
        return True, _unordered(golds, others, symbolic, depth)
    if "{}" in (left_kind, right_kind) or 1 in (len(golds), len(others)):
        return UNDECIDED
    agree = left_kind == right_kind or "" in (left_kind, right_kind)
    return True, agree and _ordered(golds, others, symbolic, depth)


def _items(kind: str, text: str) -> list[str]:
    return latex.list_items(text) if kind in ("", "{}") else latex.split_top(text, ",")


def _ordered(
    golds: Sequence[str], others: Sequence[str], symbolic: Leaf, depth: int
) -> bool | None:
    if len(golds) != len(others) or len(golds) > MAX_ITEMS:
        return False
    pairs = zip(golds, others, strict=True)
    return _all(_same(gold, other, symbolic, depth - 1) for gold, other in pairs)


def _unordered(
    golds: Sequence[str], others: Sequence[str], symbolic: Leaf, depth: int
) -> bool | None:
    """Equality as sets: each has its match on the other side."""
    if max(len(golds), len(others)) > MAX_ITEMS:
        return False
    return _matched(
        [[_same(gold, other, symbolic, depth - 1) for other in others] for gold in golds]
    )


def _matched(table: list[list[bool | None]]) -> bool | None:
    """Whether every row and every column of verdicts has its match."""
    columns = zip(*table, strict=True)
    return _all([*(_any(row) for row in table), *(_any(column) for column in columns)])


def _all(verdicts: Iterable[bool | None]) -> bool | None:
    seen = list(verdicts)
    return False if False in seen else None if None in seen else True


def _any(verdicts: Iterable[bool | None]) -> bool | None:
    seen = list(verdicts)
    return True if True in seen else None if None in seen else False


def _as_notations(gold: str, stated: str, symbolic: Leaf, depth: int) -> Decision:
    for notation in (as_times, as_ranges):
        decision = notation(gold, stated)
        if decision[0]:
            return decision
    return UNDECIDED


_RULES = (
    _as_quantities, _as_notations, _as_words, _as_real_sets, _without_names, _as_matrices,
    _as_lists,
)  # fmt: skip
