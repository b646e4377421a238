"""Whether two mathematical answers are the same, as far as that shows without a computer algebra.

Invariant: True and False are certain; None means that a leaf needs symbolic comparison and none was
given. Recursion goes no deeper than the answer's own brackets, at most MAX_DEPTH levels.
Sample: same_mathematics("\\\\frac{1}{2}", "0.5") is True, ("2\\\\sqrt3", "\\\\sqrt{12}") is None.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from tasks.answers import latex
from tasks.answers.quantities import read_quantity, same_quantity
from tasks.answers.words import canonical_text, split_option

Leaf = Callable[[str, str], bool | None]
MAX_DEPTH = 4
MAX_ITEMS = 40


def undecided(gold: str, stated: str) -> bool | None:
    """The leaf of the fast path: says nothing."""
    return None


def same_mathematics(gold: str, stated: str, *, symbolic: Leaf = undecided) -> bool | None:
    """Equality of two answers; `symbolic` decides the leaves that spelling and numbers do not."""
    left, right = latex.canonical(gold), latex.canonical(stated)
    if latex.compact(left) == latex.compact(right):
        return True
    return _same(left, right, symbolic, MAX_DEPTH)


def _same(gold: str, stated: str, symbolic: Leaf, depth: int) -> bool | None:
    if latex.compact(gold) == latex.compact(stated):
        return True
    if depth == 0:
        return symbolic(gold, stated)
    for rule in (_as_words, _as_quantities, _without_names, _as_matrices, _as_unions, _as_lists):
        decided, verdict = rule(gold, stated, symbolic, depth)
        if decided:
            return verdict
    return symbolic(gold, stated)


Decision = tuple[bool, bool | None]
_OPEN: Decision = (False, None)


def _as_quantities(gold: str, stated: str, symbolic: Leaf, depth: int) -> Decision:
    left, right = read_quantity(gold), read_quantity(stated)
    if left is not None and right is not None:
        return True, same_quantity(left, right)
    based = re.fullmatch(r"([0-9]{1,60})_[0-9]{1,2}", latex.compact(gold))
    # The base is the question's: 204_5 may be answered 204.
    if based and right is not None:
        return True, latex.compact(stated).replace(",", "") == based[1]
    return _OPEN


_WORDS = re.compile(r"[A-Za-z][A-Za-z'-]+(?:[\s,.()-]+[A-Za-z'-]+)*\.?|\(?[A-Za-z]\)|[A-Z]")
_CLOCK = re.compile(r"([0-9]{1,2}:[0-9]{2})\s?([ap])?\.?\s?m?\.?", re.IGNORECASE)


def _as_words(gold: str, stated: str, symbolic: Leaf, depth: int) -> Decision:
    """Names, parities, options, times of day: no algebra will say more."""
    if _CLOCK.fullmatch(gold) and _CLOCK.fullmatch(stated):
        return True, _same_time(gold, stated)
    if re.fullmatch(r"\([A-J]\)", gold) and split_option(stated)[0]:
        return True, split_option(gold)[0] == split_option(stated)[0]
    if _WORDS.fullmatch(gold) and canonical_text(gold) == canonical_text(stated):
        return True, True
    if any(len(word) > 2 for word in gold.split()) and _WORDS.fullmatch(gold):
        return (True, False) if read_quantity(stated) or _WORDS.fullmatch(stated) else _OPEN
    if read_quantity(gold) and _WORDS.fullmatch(stated) and not read_quantity(stated):
        return True, False
    return _OPEN


def _same_time(gold: str, stated: str) -> bool:
    (clock, half), (other_clock, other_half) = _CLOCK.findall(gold)[0], _CLOCK.findall(stated)[0]
    return clock == other_clock and (half.lower() == other_half.lower() or "" in (half, other_half))


_APPROXIMATE = re.compile(r"\\approx|\\simeq|\\doteq")


def _without_names(gold: str, stated: str, symbolic: Leaf, depth: int) -> Decision:
    """`x = 5` against 5; of `a \\approx b` either side; of `a = b` the last."""
    if not {"(", "["} & {*gold, *stated}:
        gold, stated = latex.without_thousands(gold), latex.without_thousands(stated)
    if "," in gold or "," in stated:
        return _OPEN
    readings = [side.strip() for side in _APPROXIMATE.split(stated)]
    if len(readings) > 1 and not _APPROXIMATE.search(gold):
        return True, _any(_same(gold, side, symbolic, depth - 1) for side in readings if side)
    left, right = latex.without_name(gold), latex.without_name(stated)
    if "=" in right and "=" not in left:
        right = latex.split_top(right, "=")[-1]
    names_agree = "=" not in gold or "=" not in stated or _name(gold) == _name(stated)
    if (left, right) != (gold, stated) and right and names_agree:
        return True, _same(left, right, symbolic, depth - 1)
    return _OPEN


def _name(text: str) -> str:
    return latex.compact(text.partition("=")[0])


def _as_matrices(gold: str, stated: str, symbolic: Leaf, depth: int) -> Decision:
    left, right = latex.matrix_rows(gold), latex.matrix_rows(stated)
    if left is not None and sum(map(len, left)) > 1 and read_quantity(stated) is not None:
        return True, False
    if left is None or (right is None and latex.enclosure(stated)[0] == ""):
        return _OPEN
    cells = [cell for row in left for cell in row]
    if right is None:  # a vector may be written as a tuple
        items = latex.split_top(latex.enclosure(stated)[1], ",")
        return (
            (True, _ordered(cells, items, symbolic, depth))
            if 1 in (len(left), len(left[0]))
            else _OPEN
        )
    same_shape = [len(row) for row in left] == [len(row) for row in right]
    others = [cell for row in right for cell in row]
    return True, same_shape and _ordered(cells, others, symbolic, depth)


def _as_unions(gold: str, stated: str, symbolic: Leaf, depth: int) -> Decision:
    left, right = latex.split_top(gold, "\\cup"), latex.split_top(stated, "\\cup")
    if len(left) == 1 or len(left) != len(right):
        return _OPEN
    return True, _unordered(left, right, symbolic, depth)


def _as_lists(gold: str, stated: str, symbolic: Leaf, depth: int) -> Decision:
    """Tuples, intervals, sets and bare lists. A bare list is a set, or an unwrapped tuple."""
    (left_kind, left), (right_kind, right) = latex.enclosure(gold), latex.enclosure(stated)
    golds, others = _items(left_kind, left), _items(right_kind, right)
    if left_kind and len(golds) > 1 and read_quantity(stated) is not None:
        return True, False  # several values, or an interval, against one number
    if (len(golds) == 1 and len(others) == 1) or not golds or not others:
        if {left_kind, right_kind} & {"()", "{}"} and (left, right) != (gold, stated):
            return True, _same(left, right, symbolic, depth - 1)
        return _OPEN
    if left_kind in ("", "{}") and right_kind in ("", "{}"):
        return True, _unordered(golds, others, symbolic, depth)
    if "{}" in (left_kind, right_kind) or 1 in (len(golds), len(others)):
        return _OPEN
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
    table = [[_same(gold, other, symbolic, depth - 1) for other in others] for gold in golds]
    columns = zip(*table, strict=True)
    return _all([*(_any(row) for row in table), *(_any(column) for column in columns)])


def _all(verdicts: Iterable[bool | None]) -> bool | None:
    seen = list(verdicts)
    return False if False in seen else None if None in seen else True


def _any(verdicts: Iterable[bool | None]) -> bool | None:
    seen = list(verdicts)
    return True if True in seen else None if None in seen else False
