"""Sets, lists of solutions, tuples, vectors, matrices, plus-minus, ratios, ranges.

Invariant: elements are Fractions of at most two digits, so that no comma can be read as a thousands
separator. Sets and bare lists are compared without order and repetition, tuples in order.

A sample: sets -> gold \\{1,2\\}, equal {2, 1}, unequal \\{1,2,3\\}.
"""

# ruff: noqa: RUF001  signs and letters that look alike are what it is about

from __future__ import annotations

import random
from collections.abc import Sequence
from fractions import Fraction

from tests.answer_pairs.forms import Case, Form, latex, plain, prose, said
from tests.answer_pairs.numbers import decimal, is_finite
from tests.answer_pairs.roots import frac


def element(rng: random.Random) -> Fraction:
    return Fraction(rng.randint(-30, 60), rng.choice((1, 1, 1, 1, 2, 3, 4)))


def distinct(rng: random.Random, number: int) -> list[Fraction]:
    found: list[Fraction] = []
    while len(found) < number:
        if (each := element(rng)) not in found:
            found.append(each)
    return found


def joined(values: Sequence[Fraction], comma: str = ", ") -> str:
    return comma.join(map(frac, values))


def flat(values: Sequence[Fraction], comma: str = ", ") -> str:
    return comma.join(map(str, values))


def written(value: Fraction) -> str:
    """Otherwise than frac writes it, where there is another way."""
    return (
        decimal(value)
        if is_finite(value)
        else f"\\dfrac{{{value.numerator}}}{{{value.denominator}}}"
    )  # fmt: skip


def near(values: Sequence[Fraction], rng: random.Random) -> list[Fraction]:
    """One missing, one more, or one changed: another set."""
    values = list(values)
    index = rng.randrange(len(values))
    fresh = next(each for each in (values[index] + 1, -values[index] - 1, values[index] + 7,
                                   Fraction(61)) if each not in values)  # fmt: skip
    kinds = [[*values, fresh], [*values[:index], fresh, *values[index + 1 :]]]
    if len(values) > 1:
        kinds.append([*values[:index], *values[index + 1 :]])
    return rng.choice(kinds)


def set_forms(values: Sequence[Fraction], rng: random.Random) -> list[Form]:
    """A box would show braces of one element without a backslash as that element."""
    turned = rng.sample(list(values), len(values))
    braced = plain if len(values) > 1 else prose
    return [
        latex("set", f"\\{{{joined(values)}\\}}"), latex("tight", f"\\{{{joined(values, ',')}\\}}"),
        latex("shuffled", f"\\{{{joined(turned)}\\}}"), braced("set", f"{{{flat(values)}}}"),
        braced("shuffled", f"{{{flat(turned)}}}"), latex("left right",
                f"\\left\\{{{joined(turned)}\\right\\}}"),
                latex("repeated", f"\\{{{joined([*values, values[0]])}\\}}"),
        latex("otherwise", f"\\{{{', '.join(map(written, turned))}\\}}"),
        latex("lbrace", f"\\lbrace {joined(values)} \\rbrace"),
        latex("x in", f"x \\in \\{{{joined(values)}\\}}"),
    ]  # fmt: skip


def list_forms(values: Sequence[Fraction], rng: random.Random) -> list[Form]:
    turned = rng.sample(list(values), len(values))
    found = [
        latex("list", joined(values)), latex("shuffled", joined(turned)),
        plain("list", flat(values)), plain("shuffled", flat(turned)),
        latex("tight", joined(values, ",")),
        latex("x =", f"x = {joined(values)}"), plain("x =", f"x = {flat(turned)}"),
    ]  # fmt: skip
    if len(values) > 1:
        found += [
            prose("and", f"{flat(turned[:-1])} and {turned[-1]}"),
            latex("text and", f"{joined(values[:-1])} \\text{{ and }} {frac(values[-1])}"),
            latex("or", " \\text{ or } ".join(f"x = {frac(each)}" for each in turned)),
            latex("x =, x =", ", ".join(f"x = {frac(each)}" for each in values)),
        ]  # fmt: skip
        boxes = [f"$\\boxed{{{frac(each)}}}$" for each in turned]
        found += [said("boxes", f"So the solutions are {', '.join(boxes[:-1])} and {boxes[-1]}."),
                  said("comma boxes", f"The answers are {', '.join(boxes)}.")]  # fmt: skip
    if len(values) > 2:
        found.append(prose("comma and", f"{flat(turned[:-1])}, and {turned[-1]}"))
    return found


def sets(rng: random.Random) -> Case:
    values = distinct(rng, rng.randint(1, 5))
    equal = set_forms(values, rng)
    if len(values) > 1:
        equal += list_forms(values, rng)
    other = near(values, rng)
    wrong = [latex("empty", "\\emptyset"), latex("minus",
            f"\\{{{joined([-each for each in values])}\\}}"),
            latex("plus one", f"\\{{{joined([each + 1 for each in values])}\\}}")]  # fmt: skip
    if set(values) == {-each for each in values}:
        del wrong[1]
    if len(values) > 1:
        wrong += [latex("first", frac(values[0])), latex("first set", f"\\{{{frac(values[0])}\\}}"),
                  latex("sum", frac(sum(values, Fraction(1000))))]  # fmt: skip
    return Case(golds=[*set_forms(values, rng)[:2], *set_forms(values, rng)[:1]], equal=equal,
                unequal=[set_forms(other, rng), wrong])  # fmt: skip


def lists(rng: random.Random) -> Case:
    """Bare solutions, as MATH states them."""
    values = distinct(rng, rng.randint(2, 4))
    other = near(values, rng)
    return Case(golds=list_forms(values, rng)[:1], equal=list_forms(values,
            rng) * 2 + set_forms(values, rng),
                unequal=[list_forms(other, rng), [plain("first", str(values[0])),
                        plain("last", str(values[-1])), latex("last", frac(values[-1])),
                                                  latex("x =", f"x = {frac(values[0])}"),
                                                  latex("sum",
                                                          frac(sum(values,
                                                                  Fraction(1000))))]])  # fmt: skip


def empty_sets(rng: random.Random) -> Case:
    equal = [latex("emptyset", "\\emptyset"), latex("varnothing", "\\varnothing"), plain("∅", "∅"),
             latex("braces", "\\{\\}"), prose("{}", "{}"),
             latex("text", "\\text{empty set}"), prose("words", "the empty set"),
             latex("blank", "\\{ \\}")]  # fmt: skip
    wrong = [latex("zero", "\\{0\\}"), plain("zero", "0"), latex("R", "\\mathbb{R}"),
             latex("one", "\\{1\\}"), plain("one", "{1}"), latex("all", "(-\\infty,\\infty)"),
             latex("two", "\\{1,2\\}"), latex("equation", "x = 0")]  # fmt: skip
    return Case(golds=[*equal[:2], plain("∅", "∅")], equal=equal, unequal=[wrong])


def tuples(rng: random.Random) -> Case:
    """Points and ordered tuples."""
    values = [element(rng) for _ in range(rng.choice((2, 2, 2, 3, 4)))]

    def forms(values: Sequence[Fraction]) -> list[Form]:
        found = [
            latex("tuple", f"({joined(values)})"), latex("tight", f"({joined(values, ',')})"),
            latex("left right", f"\\left({joined(values)}\\right)"),
            plain("plain", f"({flat(values)})"),
            plain("tight", f"({flat(values, ',')})"), latex("otherwise",
                    f"({', '.join(map(written, values))})"),
                    latex("bigl", f"\\bigl({joined(values)}\\bigr)"),
                    latex("blanks", f"( {joined(values, ' , ')} )"),
        ]  # fmt: skip
        found.append(plain("full-width", f"（{flat(values, '，')}）"))
        if len(values) == 2:
            found += [latex("(x, y) =", f"(x, y) = ({joined(values)})"),
                      plain("(x, y) =", f"(x, y) = ({flat(values)})")]  # fmt: skip
        return found

    index = rng.randrange(len(values))
    others = [[*values[:index], values[index] + 1, *values[index + 1 :]], [*values, Fraction(3)],
              [*values[:index], *values[index + 1 :]], values[::-1],
              [*values[1:], values[0]], [-each for each in values]]  # fmt: skip
    other = rng.choice([each for each in others if each != values and len(each) > 1] or [[*values,
            Fraction(5)]])  # fmt: skip
    wrong = [plain("first", str(values[0])), latex("last", frac(values[-1])),
             latex("sum", frac(sum(values, Fraction(1000)))),
             latex("x =", f"x = {frac(values[0])}")]  # fmt: skip
    return Case(golds=forms(values)[:3], equal=forms(values),
                unequal=[forms(other), forms(other), wrong])  # fmt: skip


def vectors(rng: random.Random) -> Case:
    """Between angle brackets."""
    values = [element(rng) for _ in range(rng.choice((2, 3)))]

    def forms(values: Sequence[Fraction]) -> list[Form]:
        return [
            latex("langle", f"\\langle {joined(values)} \\rangle"),
            latex("left", f"\\left\\langle {joined(values)} \\right\\rangle"),
            plain("angle", f"⟨{flat(values)}⟩"), plain("tight", f"⟨{flat(values, ',')}⟩"),
            latex("tight", f"\\langle {joined(values, ',')}\\rangle"),
            latex("v =", f"\\vec{{v}} = \\langle {joined(values)} \\rangle"),
        ]  # fmt: skip

    others = [[each + 1 for each in values], values[::-1], [-each for each in values],
              [*values, Fraction(2)], [values[0] + 3, *values[1:]]]  # fmt: skip
    other = rng.choice([each for each in others if each != values])
    wrong = [plain("first", str(values[0])), latex("last", frac(values[-1]))]
    return Case(golds=forms(values)[:2], equal=forms(values), unequal=[forms(other), wrong])


def matrix(rows: Sequence[Sequence[int]], name: str, *, wide: bool = False) -> str:
    line = " \\\\ " if wide else "\\\\"
    inside = line.join((" & " if wide else "&").join(map(str, row)) for row in rows)
    if name == "array":
        return f"\\left[\\begin{{array}}{{{'c' * len(rows[0])}}}{inside}\\end{{array}}\\right]"
    return (
        f"\\begin{{{name}}} {inside} \\end{{{name}}}"
        if wide
        else f"\\begin{{{name}}}{inside}\\end{{{name}}}"
    )  # fmt: skip


def matrices(rng: random.Random) -> Case:
    """Matrices and column vectors."""
    height, width = rng.choice(((2, 1), (3, 1), (2, 2), (2, 2), (2, 3), (3, 3)))
    rows = [[rng.randint(-9, 20) for _ in range(width)] for _ in range(height)]

    def forms(rows: Sequence[Sequence[int]]) -> list[Form]:
        return [
            latex("pmatrix", matrix(rows, "pmatrix")), latex("wide",
                    matrix(rows, "pmatrix", wide=True)), latex("bmatrix", matrix(rows, "bmatrix")),
            latex("wide bmatrix", matrix(rows, "bmatrix", wide=True)),
            latex("array", matrix(rows, "array")), latex("lines",
                    matrix(rows, "pmatrix", wide=True).replace(" \\\\ ", " \\\\\n")),
        ]  # fmt: skip

    i, j = rng.randrange(height), rng.randrange(width)
    changed = [list(row) for row in rows]
    changed[i][j] += rng.choice((1, -1, 3))
    others = [changed, rows[::-1], [[-each for each in row] for row in rows],
              rows[:-1] if height > 2 or width > 1 else changed, [*rows, rows[0]]]  # fmt: skip
    if height > 1 and width > 1:
        others.append([list(column) for column in zip(*rows, strict=True)])
    other = rng.choice([each for each in others if each != rows])
    wrong = [latex("entry", str(rows[0][0])), latex("other", str(rows[-1][-1]))]
    return Case(golds=forms(rows)[:3], equal=forms(rows),
                unequal=[forms(other), forms(other), wrong])  # fmt: skip


def plus_minus(rng: random.Random) -> Case:
    """Two values at once."""
    middle, off = rng.choice((0, 0, 1, 2, 3, 5)), rng.randint(2, 20)
    inside = rng.choice((str(off), f"\\sqrt{{{rng.choice((2, 3, 5, 7, 11))}}}"))
    if middle:
        inside = f"\\sqrt{{{rng.choice((2, 3, 5, 7, 11))}}}"
    lead = f"{middle} " if middle else ""

    def forms(lead: str, inside: str) -> list[Form]:
        plus, minus = (f"{lead}+ {inside}", f"{lead}- {inside}") if lead else (inside, f"-{inside}")
        found = [
            latex("pm", f"{lead}\\pm {inside}"), latex("tight", f"{lead.strip()}\\pm{inside}"),
            latex("x =", f"x = {lead}\\pm {inside}"), latex("both", f"{plus}, {minus}"),
            latex("turned", f"{minus}, {plus}"), latex("set", f"\\{{{plus}, {minus}\\}}"),
            latex("or", f"x = {plus} \\text{{ or }} x = {minus}"),
            latex("and", f"{plus} \\text{{ and }} {minus}"),
        ]  # fmt: skip
        if inside.isdigit() and not lead:
            found += [plain("±", f"±{inside}"), plain("both", f"{plus}, {minus}"),
                      prose("and", f"{plus} and {minus}"),
                      prose("or", f"{minus} or {plus}")]  # fmt: skip
        return found

    plus, minus = (f"{lead}+ {inside}", f"{lead}- {inside}") if lead else (inside, f"-{inside}")
    wrong = [latex("plus", plus), latex("minus", minus), latex("interval", f"({minus}, {plus})"),
             latex("absolute", f"|{plus}|")]  # fmt: skip
    if not lead:
        wrong[2] = latex("zero too", f"{minus}, 0, {plus}")
    else:
        wrong[3] = latex("middle", lead)
    other = (f"{middle + 1} " if rng.random() < 0.5 else lead, inside)
    if other[0] == lead:
        other = (lead, str(off + 1) if inside.isdigit() else "\\sqrt{13}")
    return Case(golds=forms(lead, inside)[:2], equal=forms(lead, inside),
                unequal=[forms(*other), wrong])  # fmt: skip


def ratios(rng: random.Random) -> Case:
    a, b = rng.choice(((5, 3), (2, 7), (1, 4), (9, 4), (7, 12), (3, 8), (11, 6)))

    def forms(*values: int) -> list[Form]:
        return [plain(":", ":".join(map(str, values))), plain("blanks",
                " : ".join(map(str, values))), latex("latex", ":".join(map(str, values))),
                latex("blanks", " : ".join(map(str, values))),
                prose("to", " to ".join(map(str, values))),
                latex("text to", " \\text{ to } ".join(map(str, values)))]  # fmt: skip

    others = rng.choice([(b, a), (a, b + 2), (a + 13, b), (a, b, 13)])
    wrong = [plain("first", str(a)), plain("second", str(b)), latex("sum", str(a + b)),
             latex("pair", f"({a}, {b})"), latex("product", str(a * b))]  # fmt: skip
    return Case(golds=[plain(":", f"{a}:{b}")], equal=forms(a, b), unequal=[forms(*others), wrong])


def ranges(rng: random.Random) -> Case:
    """5-7 as what lies between, never as a difference."""
    a = rng.randint(2, 60)
    b = a + rng.randint(1, 30)
    equal = [plain("hyphen", f"{a}-{b}"), plain("dash", f"{a}–{b}"), prose("to", f"{a} to {b}"),
             prose("from", f"from {a} to {b}")]  # fmt: skip
    wrong = [plain("difference", str(a - b)), plain("first", str(a)), plain("second", str(b)),
             plain("wider", f"{a}-{b + 1}"), prose("wider", f"{a - 1} to {b}"),
             plain("size", str(b - a))]  # fmt: skip
    return Case(golds=[plain("hyphen", f"{a}-{b}")], equal=equal, unequal=[wrong])
