"""The generator of answer pairs: what it makes is the same everywhere, varied and well formed."""

from __future__ import annotations

import ast
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest

from tests import answer_pairs
from tests.answer_pairs import intervals, numbers, words
from tests.answer_pairs.pairs import FAMILIES, WEIGHTS, pairs

FOLDER = Path(answer_pairs.__file__).parent


def test_a_seed_makes_the_same_pairs() -> None:
    assert pairs(4, 500) == pairs(4, 500)
    assert pairs(4, 500) != pairs(5, 500)
    assert pairs(4, 300, families=["sets"]) == pairs(4, 300, families=["sets"])


def test_every_family_has_equal_and_unequal_pairs_in_many_forms() -> None:
    made = pairs(1, 20_000)
    assert set(WEIGHTS) <= set(FAMILIES)
    counts = Counter((each.family, each.is_equal) for each in made)
    assert {family for family, _ in counts} == set(FAMILIES)
    assert min(counts.values()) >= 80
    forms = {name: {each.stated_form for each in made if each.family == name} for name in FAMILIES}
    assert {name: len(found) for name, found in forms.items() if len(found) < 8} == {}
    assert len({each.frame for each in made}) > 150


def test_texts_have_nothing_left_to_fill_in() -> None:
    for each in pairs(2, 5_000):
        for place in ("{a}", "{b}", "{sum}", "{product}", "OPTION", "None"):
            assert place not in each.text, each


@pytest.mark.parametrize(
    ("number", "plain", "british"),
    [
        (0, "zero", "zero"),
        (13, "thirteen", "thirteen"),
        (73, "seventy-three", "seventy-three"),
        (-8, "negative eight", "negative eight"),
        (105, "one hundred five", "one hundred and five"),
        (
            1_234,
            "one thousand two hundred thirty-four",
            "one thousand two hundred and thirty-four",
        ),
        (20_007, "twenty thousand seven", "twenty thousand and seven"),
    ],
)
def test_numbers_are_spelled_out(number: int, plain: str, british: str) -> None:
    assert words.spell_out(number) == plain
    assert words.spell_out(number, british=True) == british


def test_numbers_are_written_exactly() -> None:
    assert numbers.decimal(Fraction(-1, 80)) == "-0.0125"
    assert numbers.repeating(Fraction(-7, 6)) == ("-1", "1", "6")
    assert numbers.repeating(Fraction(1, 4)) is None
    assert numbers.rounded(Fraction(2, 3), 4) == "0.6667"
    assert numbers.grouped_indian(1_234_567) == "12,34,567"
    assert numbers.grouped_indian(10_000_000) == "1,00,00,000"


def test_intervals_are_written_in_both_directions() -> None:
    it = intervals.Interval(Fraction(1, 2), intervals.INFINITY, True, False)
    assert intervals.bracketed(it) == "[\\frac{1}{2}, \\infty)"
    assert intervals.french(it) == "[\\frac{1}{2};\\infty["
    assert intervals.inequality(it) == "x \\ge \\frac{1}{2}"
    assert intervals.inequality(it, style="ascii", turned=True) == "1/2 <= x"


def test_only_the_judge_knows_the_verifier() -> None:
    """The truth comes from mathematics: what makes it asks nobody what is accepted."""
    knowing = set()
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [each.name for each in node.names] if isinstance(node, ast.Import) else []
            if any(
                name.split(".")[0] in ("tasks", "infra", "sympy", "math_verify") for name in names
            ):
                knowing.add(path.name)
    assert knowing == {"judging.py"}
