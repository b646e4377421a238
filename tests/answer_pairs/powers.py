"""Powers, scientific notation, factorials, arithmetic, bases.

Invariant: values are whole numbers or Fractions, computed exactly; numbers of sixty digits that
differ in the last are different, and so are 2^{-60} and 2^{-61}.

A sample: tiny -> gold \\frac{1}{2^{60}}, equal 2^{-60} and 4^{-30}, unequal 2^{-61} and 0.
"""

# ruff: noqa: RUF001  signs and letters that look alike are what it is about

from __future__ import annotations

import math
import random
from fractions import Fraction

from tests.answer_pairs.forms import Case, Form, latex, plain
from tests.answer_pairs.numbers import SUPER, decimal, grouped, integer_forms


def power_forms(base: int, exponent: int) -> list[Form]:
    return [
        latex("power", f"{base}^{{{exponent}}}"), plain("^", f"{base}^{exponent}"),
        plain("**", f"{base}**{exponent}"),
        plain("superscript", f"{base}{str(exponent).translate(SUPER)}"),
        latex("times itself", f"{base} \\cdot {base}^{{{exponent - 1}}}"),
        latex("power of power", f"({base}^{{2}})^{{{exponent // 2}}}") if exponent % 2 == 0
        else latex("two powers", f"{base}^{{{exponent - 3}}} \\times {base}^{{3}}"),
        latex("quotient", f"\\frac{{{base}^{{{exponent + 2}}}}}{{{base}^2}}"),
        latex("equation", f"{base}^{{{exponent}}} = {base**exponent}"),
        plain("^()", f"{base}^({exponent})"),
    ]  # fmt: skip


def powers(rng: random.Random) -> Case:
    """Small ones with the gold answer worked out, large ones either way."""
    base, exponent = rng.choice([(2, rng.randint(5, 12)), (3, rng.randint(4, 7)),
                                 (rng.randint(4, 12), 3), (2, rng.randint(40, 99)),
                                 (3, rng.randint(20, 50)), (7, rng.randint(10, 30)),
                                 (10, rng.randint(4, 30))])  # fmt: skip
    number = base**exponent
    golds = [plain("digits", str(number))]
    if exponent > 12:
        golds += [latex("power", f"{base}^{{{exponent}}}"),
                  latex("power", f"{base}^{{{exponent}}}")]  # fmt: skip
    equal = power_forms(base, exponent) * 2 + [plain("digits", str(number)),
            latex("{,}", grouped(number, "{,}"))]  # fmt: skip
    other = rng.choice([(base, exponent + 1), (base, exponent - 1), (base + 1, exponent),
                        (exponent, base)
                        if exponent**base != number else (base, exponent + 2)])  # fmt: skip
    wrong = [
        plain("one more", str(number + 1)), plain("one less", str(number - 1)),
        latex("minus", f"-{base}^{{{exponent}}}"),
        latex("plus one", f"{base}^{{{exponent}}} + 1"),
        latex("minus one", f"{base}^{{{exponent}}} - 1"), plain("base", str(base)),
        plain("exponent", str(exponent)), latex("times", f"{base} \\cdot {exponent}"),
        latex("inverse", f"{base}^{{-{exponent}}}"),
        latex("times x", f"{base}^{{{exponent}}}x"), plain("beside", f"{base}{exponent}"),
        latex("root", f"\\sqrt{{{base}^{{{exponent}}}}}"),
    ]  # fmt: skip
    return Case(golds=golds, equal=equal, unequal=[power_forms(*other), wrong], scalar=True)


def tiny(rng: random.Random) -> Case:
    """Below 1e-15, where an absolute tolerance calls everything zero."""
    base, exponent = rng.choice([(2, rng.randint(50, 120)), (3, rng.randint(32, 80)),
                                 (10, rng.randint(16, 40)), (7, rng.randint(18, 50))])  # fmt: skip

    def forms(base: int, exponent: int) -> list[Form]:
        found = [
            latex("negative power", f"{base}^{{-{exponent}}}"),
            latex("one over", f"\\frac{{1}}{{{base}^{{{exponent}}}}}"),
            plain("slash", f"1/{base}^{exponent}"), latex("power of a quotient",
                    f"\\left(\\frac{{1}}{{{base}}}\\right)^{{{exponent}}}"),
            plain("^()", f"{base}^(-{exponent})"), plain("**", f"{base}**(-{exponent})"),
            latex("digits", f"\\frac{{1}}{{{base**exponent}}}"),
            plain("superscript", f"{base}{str(-exponent).translate(SUPER)}"),
            latex("dfrac", f"\\dfrac{{1}}{{{base}^{{{exponent}}}}}"),
            latex("times", f"{base} \\cdot {base}^{{-{exponent + 1}}}"),
            latex("2 over", f"\\frac{{2}}{{2 \\cdot {base}^{{{exponent}}}}}"),
        ]  # fmt: skip
        if exponent % 2 == 0:
            found.append(latex("squared base", f"{base * base}^{{-{exponent // 2}}}"))
        return found

    number = base**exponent
    wrong = [
        plain("zero", "0"), latex("positive", f"{base}^{{{exponent}}}"),
        latex("minus", f"-{base}^{{-{exponent}}}"),
        latex("two over", f"\\frac{{2}}{{{base}^{{{exponent}}}}}"),
        latex("three over", f"\\frac{{3}}{{{number}}}"),
        plain("one", "1"), latex("times x", f"{base}^{{-{exponent}}}x"),
        latex("plus one", f"1+{base}^{{-{exponent}}}"), latex("one minus",
                f"1-{base}^{{-{exponent}}}"),
    ]  # fmt: skip
    golds = [each for each in forms(base, exponent) if each.name in ("negative power", "one over",
            "dfrac")]  # fmt: skip
    other = rng.choice([(base, exponent + 1), (base, exponent - 1), (base, exponent + 7),
                        (base + 1, exponent)])  # fmt: skip
    return Case(golds=golds, equal=forms(base, exponent), unequal=[forms(*other), wrong],
                types=(None, "math"))  # fmt: skip


def scientific(rng: random.Random) -> Case:
    mantissa, exponent = Fraction(rng.randint(11, 99), 10), rng.choice((3, 4, 5, 6, 8, 12, 23, -2,
            -3, -4, -5, -8, -19))  # fmt: skip

    def forms(mantissa: Fraction, exponent: int) -> list[Form]:
        head = decimal(mantissa)
        above = str(exponent).translate(SUPER)
        found = [
            latex("times", f"{head} \\times 10^{{{exponent}}}"),
            latex("cdot", f"{head} \\cdot 10^{{{exponent}}}"),
            latex("tight", f"{head}\\times10^{{{exponent}}}"), plain("e", f"{head}e{exponent}"),
            plain("E", f"{head}E{exponent}"),
            plain("x", f"{head} x 10^{exponent}"), plain("×", f"{head} × 10^{exponent}"),
            plain("superscript", f"{head} × 10{above}"),
            plain("*", f"{head}*10^{exponent}"), plain("**", f"{head} * 10**{exponent}"),
            plain("braces", f"{head} × 10^{{{exponent}}}"),
        ]  # fmt: skip
        value = mantissa * Fraction(10) ** exponent
        if abs(exponent) < 9:
            found += [plain("digits", decimal(value)), latex("digits", decimal(value))]
            if value.denominator == 1 and value >= 1000:
                found += [plain("thousands", f"{int(value):,}"),
                          latex("{,}", grouped(int(value), "{,}"))]  # fmt: skip
        return found

    head = decimal(mantissa)
    wrong = [plain("mantissa", head), latex("mantissa", head),
             latex("other base", f"{head} \\times 2^{{{exponent}}}"),
             latex("minus", f"-{head} \\times 10^{{{exponent}}}"),
             latex("times x", f"{head} \\times 10^{{{exponent}}}x"),
             latex("power alone", f"10^{{{exponent}}}"),
             latex("plus", f"{head} + 10^{{{exponent}}}")]  # fmt: skip
    other = rng.choice([(mantissa, exponent + 1), (mantissa, exponent - 1), (mantissa, -exponent),
                        (mantissa + Fraction(3, 10), exponent)])  # fmt: skip
    golds = [latex("times", f"{head} \\times 10^{{{exponent}}}"),
             latex("cdot", f"{head}\\cdot10^{{{exponent}}}")]  # fmt: skip
    if 0 < exponent < 9 and (mantissa * 10**exponent).denominator == 1:
        golds.append(plain("digits", str(int(mantissa * 10**exponent))))
    return Case(golds=golds, equal=forms(mantissa, exponent), unequal=[forms(*other), wrong],
                scalar=True)  # fmt: skip


def millions(rng: random.Random) -> Case:
    """The scale in words; the gold answer in digits, so that no unit is left out."""
    mantissa = Fraction(rng.randint(11, 99), rng.choice((1, 10, 10)))
    scale = rng.choice(("thousand", "million", "million", "billion"))
    sizes = {"thousand": 10**3, "million": 10**6, "billion": 10**9}
    head = decimal(mantissa)

    def forms(head: str, scale: str) -> list[Form]:
        value = int(Fraction(head) * sizes[scale])
        return [
            plain("scale", f"{head} {scale}"), latex("text", f"{head} \\text{{ {scale}}}"),
            plain("dollars", f"${head} {scale}"), plain("unit", f"{head} {scale} people"),
            plain("digits", str(value)), plain("thousands", f"{value:,}"),
            latex("times", f"{head} \\times {sizes[scale]}"),
            latex("mathrm", f"{head}\\ \\mathrm{{{scale}}}"),
        ]  # fmt: skip

    number = int(mantissa * sizes[scale])
    other_scale = rng.choice([each for each in sizes if each != scale])
    other = rng.choice([(head, other_scale), (decimal(mantissa + 1), scale),
                        (decimal(mantissa * 10), scale)])  # fmt: skip
    wrong = [plain("head", head), latex("head", head), plain("minus", f"-{head} {scale}"),
             plain("or", f"{head} {scale} or {decimal(mantissa + 2)} {scale}"),
             latex("times x", f"{head}x \\text{{ {scale}}}")]  # fmt: skip
    golds = [plain("digits", str(number)), plain("thousands", f"{number:,}"),
             plain("$", f"${number:,}")]  # fmt: skip
    return Case(golds=golds, equal=forms(head, scale), unequal=[forms(*other), wrong])


def factorials(rng: random.Random) -> Case:
    """n!, the quotients and binomials that equal a whole number, and 1/n!."""
    n = rng.randint(4, 9)
    number = math.factorial(n)
    equal = [
        latex("factorial", f"{n}!"), latex("product", " \\cdot ".join(str(each) for each in range(n,
                0, -1))),
        latex("peeled", f"{n} \\times {n - 1}!"), latex("quotient",
                f"\\frac{{{n + 1}!}}{{{n + 1}}}"), latex("equation", f"{n}! = {number}"),
        plain("product", " * ".join(str(each) for each in range(1, n + 1))),
        plain("×", " × ".join(str(each) for each in range(n, 0, -1))),
        latex("cdot", f"{n}\\cdot({n - 1})!"), *integer_forms(number)[:4],
    ]  # fmt: skip
    wrong = [
        latex("before", f"{n - 1}!"), latex("after", f"{n + 1}!"), plain("n", str(n)),
        latex("one over", f"\\frac{{1}}{{{n}!}}"),
        latex("half", f"\\frac{{{n}!}}{{2}}"), latex("twice", f"2 \\cdot {n}!"),
        latex("minus", f"-{n}!"), latex("plus one", f"{n}!+1"),
        latex("power", f"{n}^{{{n}}}"), latex("sum", " + ".join(str(each) for each in range(n, 0,
                -1))), plain("digits", str(number // n)),
        latex("twice factorial", f"({n}!)^2"), latex("times x", f"{n}!x"),
    ]  # fmt: skip
    golds = [plain("digits", str(number)), latex("factorial", f"{n}!")]
    return Case(golds=golds, equal=equal, unequal=[wrong], types=(None, None, "math"))


def large_factorials(rng: random.Random) -> Case:
    n = rng.randint(20, 60)
    golds = [latex("one over", f"\\frac{{1}}{{{n}!}}")]
    equal = [*golds, latex("dfrac", f"\\dfrac{{1}}{{{n}!}}"),
             latex("peeled", f"\\frac{{1}}{{{n} \\cdot {n - 1}!}}"),
             latex("above", f"\\frac{{{n + 1}}}{{{n + 1}!}}"), plain("slash", f"1/{n}!"),
             latex("digits", f"\\frac{{1}}{{{math.factorial(n)}}}")]  # fmt: skip
    wrong = [latex("before", f"\\frac{{1}}{{{n - 1}!}}"),
             latex("after", f"\\frac{{1}}{{{n + 1}!}}"), latex("no line", f"{n}!"),
             plain("zero", "0"),
             latex("n", f"\\frac{{1}}{{{n}}}"), latex("two over", f"\\frac{{2}}{{{n}!}}"),
             latex("minus", f"-\\frac{{1}}{{{n}!}}")]  # fmt: skip
    return Case(golds=golds, equal=equal, unequal=[wrong])


def binomials(rng: random.Random) -> Case:
    n, k = rng.randint(5, 12), rng.randint(2, 3)
    number, other = math.comb(n, k), math.comb(n, k) + 1
    equal = [latex("binom", f"\\binom{{{n}}}{{{k}}}"), latex("dbinom", f"\\dbinom{{{n}}}{{{k}}}"),
             latex("equation", f"\\binom{{{n}}}{{{k}}} = {number}"),
             latex("other side", f"\\binom{{{n}}}{{{n - k}}}"),
             latex("factorials", f"\\frac{{{n}!}}{{{k}!\\,{n - k}!}}"),
             *integer_forms(number)[:3]]  # fmt: skip
    wrong = [latex("one less", f"\\binom{{{n - 1}}}{{{k}}}"),
             latex("arrangements", f"\\frac{{{n}!}}{{{n - k}!}}"),
             latex("quotient", f"\\frac{{{n}}}{{{k}}}"),
             plain("one more", str(other)), latex("plus one", f"\\binom{{{n}}}{{{k}}} + 1"),
             plain("n", str(n)), latex("pair", f"({n}, {k})")]  # fmt: skip
    return Case(golds=[plain("digits", str(number)), latex("binom", f"\\binom{{{n}}}{{{k}}}")],
                equal=equal, unequal=[wrong])  # fmt: skip


def arithmetic(rng: random.Random) -> Case:
    """What is left to be worked out, and equations that work it out."""
    a, b = rng.randint(3, 40), rng.randint(3, 40)

    def forms(a: int, b: int) -> list[tuple[int, Form]]:
        return [
            (a * b, latex("cdot", f"{a}\\cdot{b}")), (a * b, latex("times", f"{a} \\times {b}")),
            (a * b, plain("*", f"{a}*{b}")),
            (a * b, plain("×", f"{a} × {b}")), (a + b, latex("plus", f"{a}+{b}")),
            (a + b, plain("plus", f"{a} + {b}")),
            (a - b, latex("minus", f"{a}-{b}")), (b, latex("quotient",
                    f"\\frac{{{a * b}}}{{{a}}}")), (a * b, latex("brackets", f"({a})({b})")),
            (b, plain("slash", f"{a * b}/{a}")), (b, latex("div", f"{a * b} \\div {a}")),
            (a * a + b * b, latex("squares", f"{a}^2+{b}^2")),
            (a * b, latex("equation", f"{a} \\times {b} = {a * b}")),
            (a + b, plain("equation", f"{a} + {b} = {a + b}")),
            (a * b, latex("equation back", f"{a * b} = {a} \\cdot {b}")),
            (3 * (a + b), latex("factor", f"3({a}+{b})")),
            (a + b, latex("equation", f"{a} + {b} = {a + b}")),
            (2**5 * a, latex("prime powers", f"2^5 \\cdot {a}")),
            (a * b - 7, latex("chain", f"{a} \\cdot {b} - 7 = {a * b} - 7 = {a * b - 7}")),
            (a - b, latex("equation", f"{a} - {b} = {a - b}")),
            (a, latex("absolute", f"|{-a}|")), (a * b, plain("product in brackets", f"({a})({b})")),
        ]  # fmt: skip

    value, form = rng.choice([each for each in forms(a, b) if each[0] not in (0,)])
    same = [form] * 6 + [each for number, each in forms(a, b) if number == value]
    wrong = [each for number, each in (*forms(a, b), *forms(a + 1, b),
                                       *forms(b, a - 1)) if number != value]  # fmt: skip
    kind_alike = [each for number, each in forms(a + rng.choice((1, 2, 10)),
            b) if each.name == form.name and number != value]  # fmt: skip
    return Case(golds=[plain("digits", str(value))], equal=same, unequal=[wrong, kind_alike],
                types=(None, None, "math"))  # fmt: skip


def bases(rng: random.Random) -> Case:
    base = rng.choice((2, 3, 4, 5, 6, 7, 8, 9))

    def forms(digits: str, base: int) -> list[Form]:
        name = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight",
                9: "nine"}[base]  # fmt: skip
        return [
            latex("index", f"{digits}_{base}"), latex("braces", f"{digits}_{{{base}}}"),
            latex("bracketed", f"({digits})_{{{base}}}"),
            latex("named", f"{digits}_{{\\text{{{name}}}}}"),
            plain("base", f"{digits} base {base}"), plain("in base", f"{digits} in base {base}"),
            plain("index", f"{digits}_{base}"), plain("small", f"{digits}{chr(0x2080 + base)}"),
        ]  # fmt: skip

    digits = "".join(str(rng.randrange(base)) for _ in range(rng.randint(2, 5)))
    digits = str(rng.randint(1, base - 1)) + digits
    changed = digits[:-1] + str((int(digits[-1]) + 1) % base)
    other = rng.choice([(changed, base), (digits + "0", base), (digits[::-1], base),
                        (digits, base + 1 if base < 9 else base - 1)])  # fmt: skip
    if other == (digits, base):
        other = (changed, base)
    wrong = [
        *forms(*other), latex("times x", f"{digits}x"), plain("changed", changed),
        latex("pair", f"({digits}, {base})"), plain("more", digits + "1"),
    ]  # fmt: skip
    bare = [plain("bare", digits), latex("bare", digits)]
    return Case(golds=forms(digits, base)[:2], equal=forms(digits, base) + bare, unequal=[wrong],
                question=f"Write it in base {base}.")  # fmt: skip
