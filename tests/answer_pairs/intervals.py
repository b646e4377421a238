"""Intervals, their unions, and inequalities.

Invariant: an interval is its two ends and whether each belongs to it; a union is disjoint intervals
from left to right. Two are equal exactly when these are.

A sample: intervals -> gold [2,\\infty), equal x \\ge 2, unequal (2,\\infty).
"""

# ruff: noqa: RUF001  signs and letters that look alike are what it is about

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from fractions import Fraction

from tests.answer_pairs.forms import Case, Form, latex, plain, prose
from tests.answer_pairs.roots import frac

INFINITY = Fraction(10**9)


@dataclass(frozen=True)
class Interval:
    """low and high are +-INFINITY where there is no end."""

    low: Fraction
    high: Fraction
    has_low: bool
    has_high: bool

    @property
    def is_finite(self) -> bool:
        return self.low != -INFINITY and self.high != INFINITY

    @property
    def may_be_a_point(self) -> bool:
        return self.is_finite and not self.has_low and not self.has_high

    @property
    def may_be_a_list(self) -> bool:
        return self.is_finite and self.has_low == self.has_high


def end(value: Fraction, *, style: str = "latex", plus: bool = False) -> str:
    if abs(value) != INFINITY:
        return frac(value) if style == "latex" else str(value)
    sign = "-" if value < 0 else "+" if plus else ""
    return sign + {"latex": "\\infty", "unicode": "∞", "words": "infinity", "inf": "inf"}[style]


def bracketed(it: Interval, *, style: str = "latex", comma: str = ", ", plus: bool = False) -> str:
    inside = f"{end(it.low, style=style)}{comma}{end(it.high, style=style, plus=plus)}"
    return f"{'[' if it.has_low else '('}{inside}{']' if it.has_high else ')'}"


def left_right(it: Interval) -> str:
    inside = f"{end(it.low)}, {end(it.high)}"
    return f"\\left{'[' if it.has_low else '('}{inside}\\right{']' if it.has_high else ')'}"


def french(it: Interval, *, style: str = "latex") -> str:
    inside = f"{end(it.low, style=style)};{end(it.high, style=style)}"
    return f"{'[' if it.has_low else ']'}{inside}{']' if it.has_high else '['}"


def inequality(it: Interval, *, style: str = "latex", turned: bool = False) -> str:
    """x between the ends, or beyond the one there is; turned: written from right to left."""
    signs = {
        "latex": ("<", "\\le", ">", "\\ge"), "leq": ("<", "\\leq", ">", "\\geq"),
        "slant": ("\\lt", "\\leqslant", "\\gt", "\\geqslant"),
        "unicode": ("<", "≤", ">", "≥"), "ascii": ("<", "<=", ">", ">="),
    }[style]  # fmt: skip
    end_style = "latex" if style in ("latex", "leq", "slant") else "unicode"
    low, high = end(it.low, style=end_style), end(it.high, style=end_style)
    less_low, less_high = signs[it.has_low], signs[it.has_high]
    more_low, more_high = signs[2 + it.has_low], signs[2 + it.has_high]
    if it.is_finite:
        if turned:
            return f"{high} {more_high} x {more_low} {low}"
        return f"{low} {less_low} x {less_high} {high}"
    if it.high == INFINITY:
        return f"{low} {less_low} x" if turned else f"x {more_low} {low}"
    return f"{high} {more_high} x" if turned else f"x {less_high} {high}"


def inequality_forms(it: Interval) -> list[Form]:
    found = [latex(f"inequality {style}", inequality(it, style=style)) for style in ("latex", "leq",
            "slant")]  # fmt: skip
    found += [plain(f"inequality {style}", inequality(it, style=style)) for style in ("unicode",
            "ascii")]  # fmt: skip
    found += [latex("inequality turned", inequality(it, turned=True)),
              plain("inequality turned", inequality(it, style="unicode", turned=True))]  # fmt: skip
    found.append(latex("set of x", f"\\{{x \\mid {inequality(it)}\\}}"))
    return found


def bracket_forms(it: Interval) -> list[Form]:
    found = [
        latex("brackets", bracketed(it)), latex("tight", bracketed(it, comma=",")),
        latex("left right", left_right(it)), latex("in", f"x \\in {bracketed(it)}"),
        plain("unicode", bracketed(it, style="unicode")),
        plain("tight", bracketed(it, style="unicode", comma=",")), latex("French", french(it)),
        plain("∈", f"x ∈ {bracketed(it, style='unicode')}"),
        latex("semicolon", bracketed(it, comma="; ")),
    ]  # fmt: skip
    if it.high == INFINITY:
        found += [latex("plus", bracketed(it, plus=True)),
                  plain("plus", bracketed(it, style="unicode", plus=True))]  # fmt: skip
    if not it.is_finite:
        found += [plain("words", bracketed(it, style="words")),
                  plain("inf", bracketed(it, style="inf"))]  # fmt: skip
    return found


def near(it: Interval, rng: random.Random) -> Interval:
    """Another bracket, another end, the signs turned."""
    others = []
    if it.low != -INFINITY:
        others += [replace(it, has_low=not it.has_low)] * 2 + [replace(it, low=it.low - 1)]
    if it.high != INFINITY:
        others += [replace(it, has_high=not it.has_high)] * 2 + [replace(it, high=it.high + 1)]
    if not it.is_finite:
        others.append(Interval(low=-it.high, high=-it.low, has_low=it.has_high,
                               has_high=it.has_low))  # fmt: skip
        end_ = it.low if it.high == INFINITY else it.high
        beyond = it.high == INFINITY
        others.append(Interval(-INFINITY if beyond else end_, end_ if beyond else INFINITY,
                               not beyond and it.has_high, beyond and it.has_low))  # fmt: skip
    return rng.choice([each for each in others if each != it])


def sample(rng: random.Random) -> Interval:
    low = Fraction(rng.randint(-12, 12), rng.choice((1, 1, 1, 2, 3)))
    high = low + Fraction(rng.randint(1, 15), rng.choice((1, 1, 1, 2)))
    kind = rng.choice(("finite", "finite", "up", "down"))
    if kind == "up":
        return Interval(low, INFINITY, rng.random() < 0.5, False)
    if kind == "down":
        return Interval(-INFINITY, high, False, rng.random() < 0.5)
    return Interval(low, high, rng.random() < 0.5, rng.random() < 0.5)


def intervals(rng: random.Random) -> Case:
    it = sample(rng)
    other = near(it, rng)
    equal, unequal = bracket_forms(it), bracket_forms(other)
    if not it.may_be_a_list:  # (0,1) may be a point and [0,1] a list; nobody calls those x between
        equal += inequality_forms(it)
    unequal += inequality_forms(other)
    ends = [each for each in (it.low, it.high) if abs(each) != INFINITY]
    wrong = [plain("end", str(each)) for each in ends] + [latex("end", frac(each)) for each in ends]
    wrong += [latex("all", "(-\\infty, \\infty)"), latex("all", "\\mathbb{R}"),
              latex("empty", "\\emptyset"), latex("equal", f"x = {frac(ends[0])}"),
              latex("not", f"x \\ne {frac(ends[0])}")]  # fmt: skip
    return Case(golds=bracket_forms(it)[:3], equal=equal, unequal=[unequal, wrong])


def inequalities(rng: random.Random) -> Case:
    """The gold answer is an inequality; intervals are stated too."""
    it = sample(rng)
    wrong = inequality_forms(near(it, rng)) + bracket_forms(near(it, rng))
    wrong += [latex("equation", f"x = {frac(it.low if it.low != -INFINITY else it.high)}")]
    golds = [latex("inequality", inequality(it)), latex("leq", inequality(it, style="leq"))]
    equal = inequality_forms(it) * 2 + bracket_forms(it)
    return Case(golds=golds, equal=equal, unequal=[wrong])


def unions(rng: random.Random) -> Case:
    a = Fraction(rng.randint(-9, 9))
    gap, width = rng.randint(1, 9), rng.randint(1, 9)
    first = Interval(-INFINITY, a, False, rng.random() < 0.5)
    second = Interval(a + gap, rng.choice((INFINITY, a + gap + width)), rng.random() < 0.5, False)

    def forms(*its: Interval) -> list[Form]:
        found = [
            latex("cup", " \\cup ".join(map(bracketed, its))),
            latex("tight", "\\cup".join(bracketed(it, comma=",") for it in its)),
            latex("left right", " \\cup ".join(map(left_right, its))),
            plain("∪", " ∪ ".join(bracketed(it, style="unicode") for it in its)),
            latex("turned", " \\cup ".join(bracketed(it) for it in reversed(its))),
            latex("in", "x \\in " + " \\cup ".join(map(bracketed, its))),
            latex("French", " \\cup ".join(map(french, its))),
            plain("U", " U ".join(bracketed(it, style="unicode") for it in its)),
            latex("or", " \\text{ or } ".join(map(inequality, its))),
            prose("or", " or ".join(inequality(it, style="unicode") for it in its)),
        ]  # fmt: skip
        return found

    other = rng.choice([(near(first, rng), second), (first, near(second, rng))])
    parts = [latex("first", bracketed(first)), latex("second", bracketed(second)),
             latex("all", "(-\\infty, \\infty)"), latex("cap",
                     f"{bracketed(first)} \\cap {bracketed(second)}"),
             latex("between", bracketed(Interval(first.high, second.low, not first.has_high,
                     not second.has_low))), latex("first", inequality(first))]  # fmt: skip
    if other[0].high >= other[1].low or other[0].low != -INFINITY:  # they would touch or overlap
        return Case(golds=forms(first, second)[:3], equal=forms(first, second), unequal=[parts])
    return Case(golds=forms(first, second)[:3], equal=forms(first, second),
                unequal=[forms(*other), parts])  # fmt: skip


def all_numbers(rng: random.Random) -> Case:
    equal = [latex("interval", "(-\\infty, \\infty)"), latex("tight", "(-\\infty,\\infty)"),
             latex("R", "\\mathbb{R}"), plain("ℝ", "ℝ"), latex("plus", "(-\\infty, +\\infty)"),
             plain("unicode", "(-∞, ∞)"), latex("text", "\\text{all real numbers}"),
             prose("words", "all real numbers"), latex("in", "x \\in \\mathbb{R}")]  # fmt: skip
    wrong = [latex("positive", "(0, \\infty)"), latex("negative", "(-\\infty, 0)"),
             latex("empty", "\\emptyset"), latex("Z", "\\mathbb{Z}"), latex("one", "\\{0\\}"),
             latex("all but 0", "(-\\infty, 0) \\cup (0, \\infty)"), plain("zero", "0"),
             prose("no", "no real numbers"), latex("not", "x \\ne 0")]  # fmt: skip
    return Case(golds=equal[:3], equal=equal, unequal=[wrong])
