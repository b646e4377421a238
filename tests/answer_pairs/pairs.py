"""The pairs: gold answers beside what chains state, with the truth known by construction.

What counts as equal, where people differ in taste (docs/verification.md):
- A percentage may be stated as its number or its share: 50% = 50 = 0.5. A gold number p is never
  paired with "p%".
- Units, currency and degree signs may be left out; a pair never differs in its unit alone.
- 204_5 may be answered 204: the question names the base. The other direction is no pair.
- Whole numbers are exact; others may be rounded to nine digits, never to two. Between is no pair.
- A date's year may be left out. MM/DD/YYYY; day first is wrong.
- A list of solutions is a set; a tuple is in order; brackets of intervals count.
- Of an equation `x = v`, the value is the answer.
- A factored polynomial is stated for an expanded gold answer, never the other way round.
- Left out as debatable: ratios as quotients, other units of the same quantity, points as vectors,
  finite open intervals as inequalities (`(0,1)` may be a point), decimal commas, "about 5".

Invariant: `pairs(seed, count)` gives the same pairs on every machine.

A sample: Pair(gold="5", text="So the result is \\boxed{5\\sqrt{2}}.", is_equal=False, ...)
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.answer_pairs import (
    choices,
    expressions,
    foreign,
    functions,
    intervals,
    lists,
    numbers,
    polynomials,
    powers,
    rationals,
    roots,
    times,
    units,
)
from tests.answer_pairs.forms import Case, Family, Form, latex, prose
from tests.answer_pairs.sentences import Around, write

FAMILIES: dict[str, Family] = {
    "integers": numbers.integers,
    "fractions": rationals.fractions,
    "decimals": rationals.decimals,
    "percentages": rationals.percentages,
    "radicals": roots.radicals,
    "whole roots": roots.whole_roots,
    "surds": roots.surds,
    "powers": powers.powers,
    "tiny": powers.tiny,
    "scientific": powers.scientific,
    "millions": powers.millions,
    "factorials": powers.factorials,
    "1/n!": powers.large_factorials,
    "binomials": powers.binomials,
    "arithmetic": powers.arithmetic,
    "bases": powers.bases,
    "pi": functions.circles,
    "e": functions.exponentials,
    "1/e": functions.differences,
    "logarithms": functions.logarithms,
    "whole logarithms": functions.whole_logarithms,
    "sums of logs": functions.sums_of_logarithms,
    "angles": functions.angles,
    "complex": functions.complex_numbers,
    "quadratics": polynomials.quadratics,
    "linear": polynomials.linear,
    "quotients": polynomials.quotients,
    "monomials": expressions.monomials,
    "parts of x": expressions.parts,
    "powers of x": expressions.root_powers,
    "products of x": expressions.products,
    "whole parts": expressions.whole_parts,
    "inverse angles": expressions.inverse_angles,
    "decimal factors": expressions.decimal_factors,
    "lines": polynomials.lines,
    "solutions": polynomials.solutions,
    "intervals": intervals.intervals,
    "inequalities": intervals.inequalities,
    "unions": intervals.unions,
    "all numbers": intervals.all_numbers,
    "sets": lists.sets,
    "lists": lists.lists,
    "empty sets": lists.empty_sets,
    "tuples": lists.tuples,
    "vectors": lists.vectors,
    "matrices": lists.matrices,
    "plus minus": lists.plus_minus,
    "ratios": lists.ratios,
    "ranges": lists.ranges,
    "lengths": units.lengths,
    "counted": units.counted,
    "degrees": units.degrees,
    "money": units.money,
    "durations": times.durations,
    "clock times": times.clock_times,
    "dates": times.dates,
    "days": times.days_of_a_month,
    "choices": choices.choices,
    "lone letters": choices.lone_letters,
    "several choices": choices.several,
    "yes or no": choices.yes_or_no,
    "counters": foreign.counters,
    "thoughts": foreign.thoughts,
}  # fmt: skip
# How often a family comes up beside the others (once): the everyday ones more.
WEIGHTS = {
    "integers": 5, "fractions": 3, "decimals": 3, "percentages": 3, "sets": 2, "tuples": 2,
    "powers": 2,
    "factorials": 2, "arithmetic": 2, "lengths": 2, "counted": 2, "money": 2, "clock times": 2,
    "choices": 4, "several choices": 2, "counters": 3, "solutions": 2, "dates": 2,
}  # fmt: skip
EQUAL_SHARE = 0.55
MISLEADING_SHARE = 0.2
DELIMITED_SHARE = 0.08  # of the gold answers in LaTeX
TAKEN_BACK_SHARE, BESIDE_SHARE, NOT_SHARE = 0.05, 0.04, 0.02


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A gold answer (type None: to be inferred with the question) and what a chain states."""

    gold: str
    answer_type: str | None
    question: str
    text: str
    is_equal: bool
    family: str
    gold_form: str
    stated_form: str
    frame: str


def in_words(form: Form) -> str:
    return f"${form.text}$" if form.kind == "latex" else form.text


def beside(gold: Form, other: Form, rng: random.Random, *, is_equal: bool) -> Form:
    """A phrase that names two values and states the gold one, or neither of them alone."""
    this, that = in_words(gold), in_words(other)
    if is_equal:
        return prose("and not", rng.choice((f"{this}, not {that}", f"not {that} but {this}")))
    return prose("or", rng.choice((f"{this} or {that}", f"either {this} or {that}")))


def stated(case: Case, gold: Form, rng: random.Random, *, is_equal: bool) -> tuple[Form, Around]:
    """What the chain says, and what it says around that."""
    groups = [each for each in case.unequal if each]
    form = rng.choice(case.equal if is_equal else rng.choice(groups))
    other = rng.choice(groups[0])  # another value, written like this one
    value = gold.text.rpartition("#### ")[2]
    bare = Form(gold.name, value.strip("$") if gold.kind == "latex" else value, gold.kind)
    chance = rng.random()
    if all(each.kind in ("latex", "plain") for each in (form, other)):
        if chance < TAKEN_BACK_SHARE:
            return form, Around(gold=value, earlier=other if is_equal else bare)
        if chance < TAKEN_BACK_SHARE + BESIDE_SHARE and case.scalar:
            return beside(bare, other, rng, is_equal=is_equal), Around(gold=value)
        if chance < TAKEN_BACK_SHARE + BESIDE_SHARE + NOT_SHARE and not is_equal:
            return prose("not", f"not {in_words(bare)}"), Around(gold=value)
    mislead = not is_equal and gold.kind == "plain" and rng.random() < MISLEADING_SHARE
    return form, Around(gold=value, mislead=mislead)


def pair(case: Case, family: str, rng: random.Random) -> Pair:
    gold = rng.choice(case.golds)
    if gold.kind == "latex" and "$" not in gold.text and rng.random() < DELIMITED_SHARE:
        gold = latex(gold.name, f"${gold.text}$")
    is_equal = rng.random() < EQUAL_SHARE
    form, around = stated(case, gold, rng, is_equal=is_equal)
    ending = write(form, rng, around, scalar=case.scalar)
    return Pair(
        gold=gold.text,
        answer_type=rng.choice(case.types),
        question=case.question,
        text=ending.text,
        is_equal=is_equal,
        family=family,
        gold_form=gold.name,
        stated_form=f"{form.kind}: {form.name}",
        frame=ending.frame,
    )  # fmt: skip


def pairs(seed: int, count: int, families: list[str] | None = None) -> list[Pair]:
    """`count` pairs, the families (all by default) in turn, each as often as its weight."""
    rng = random.Random(seed)
    names = [name for name in families or FAMILIES for _ in range(WEIGHTS.get(name, 1))]
    return [
        pair(FAMILIES[name](rng), name, rng)
        for name in (names[index % len(names)] for index in range(count))
    ]  # fmt: skip
