"""Answers meant to hurt whoever parses them, from a seeded generator.

Invariant: `hostile_answers(n, seed)` gives the same strings on every machine. Each is short enough
to be compared (below 1 000 characters), or longer than any reader should look at, up to a megabyte.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

Maker = Callable[[random.Random], str]
MEGABYTE = 1_000_000
_ZEROS = (0x30, 0x660, 0x966, 0xFF10, 0x1D7CE)  # ASCII, Arabic, Devanagari, full-width, bold
_DIGITS = [*("".join(map(chr, range(zero, zero + 10))) for zero in _ZEROS), "⁰¹²³⁴⁵⁶⁷⁸⁹"]
_INVISIBLE = [
    "\x00", "\u202e", "\u2066", "\ud800", "\udfff", "\u200b", "\u200d", "\ufeff", "\u0301",
    "\U000e0041", "\ue000", "\x1b[2J", "\x7f", "\u2028", "\ufdfa",
]  # fmt: skip
_BOMBS = [
    "the answer ", "answer is not ", "The answer is ", "A: ", "#### ", "####\n", "$", "$$", "\\(",
    "\\[", "\\]", "\\text{", "\\boxed{", "<answer>", "</answer>", " ", "\n", "\t\n", "1 ", "1,",
    "1,000", ",", "-", "- ", "1/", "1/1/", "is ", "be ", "= ", "x=", "when 1 if ", "in 1 ways ",
    "and ", " or ", "a ", "(A) ", "A)", "1 and ", "\\frac", "\\sqrt", "^", "_", "&", "\\\\",
    "jan 1 ", "1 of jan ", "**", "[", "{,}", "\\,", "1.", "%", "\\cup ", "\\pm ", "yes no ",
    "not ", "million ", "1 cm", "twenty-", "\\begin{pmatrix}", "\\end{pmatrix}", "\\approx ",
]  # fmt: skip
_TOKENS = [
    "<|im_end|>", "</think>", "<think>", "<compress>", "<|end_of_thought|>", "</s>", "<eos>",
    "<|",
]  # fmt: skip


def _length(rng: random.Random) -> int:
    """Mostly what fits into an answer; one in fifty far beyond, up to a megabyte."""
    return rng.randint(1, 300) if rng.random() < 0.98 else int(10 ** rng.uniform(3, 6))


def _number(rng: random.Random) -> str:
    return str(rng.randint(2, 10 ** rng.randint(1, 12)))


def _tower(rng: random.Random) -> str:
    height = rng.randint(3, 12)
    if rng.random() < 0.5:
        return rng.choice(("**", "^")).join(_number(rng) for _ in range(height))
    return "^{".join(_number(rng) for _ in range(height)) + "}" * (height - 1)


def _factorial(rng: random.Random) -> str:
    base = rng.choice((_number(rng), f"(10^{{{rng.randint(3, 99)}}})", f"({_number(rng)}!)"))
    return base + "!" * rng.randint(1, 5)


def _huge_exponent(rng: random.Random) -> str:
    power = rng.choice((_number(rng), "999999999", f"-{_number(rng)}", "10^{9}"))
    base = rng.choice(("x", "(x+1)", "(a+b+c)", "10", "1.5", "e", "(1+i)", "\\pi"))
    return rng.choice(
        (f"{base}^{{{power}}}", f"1e{power}", f"1.5E{power}", f"2 \\times 10^{{{power}}}")
    )


def _nested(rng: random.Random) -> str:
    number = _length(rng) if rng.random() < 0.99 else 100_000
    opening, closing = rng.choice(
        ("{}", "()", "[]", "([", "{]", ("\\left(", "\\right)"), ("|", "|"))
    )
    number = min(number, MEGABYTE // len(opening))
    return opening * number + rng.choice("5x") + closing * rng.choice((number, number - 1, 0))


def _deep_command(rng: random.Random) -> str:
    number = rng.choice((rng.randint(5, 60), _length(rng)))
    command = rng.choice(
        ("\\frac{1}{", "\\sqrt{", "\\sin(", "\\log_{2}{", "2^{", "\\text{", "x_{", "1+\\frac{1}{1+")
    )
    return (
        command * number + "2" + ("}" if command.endswith("{") else ")") * rng.choice((number, 0))
    )


def _digits(rng: random.Random) -> str:
    script, length = rng.choice(_DIGITS), _length(rng)
    digits = "".join(rng.choices(script, k=min(length, 300))) * (1 + length // 300)
    return rng.choice(("{}", "0.{}", "-{}", "{}%", "1/{}", "{}/{}", "{}.{}", "${}", "{}x")).format(
        digits, digits
    )


def _mixed_digits(rng: random.Random) -> str:
    return "".join(rng.choice(rng.choice(_DIGITS)) for _ in range(rng.randint(1, 40)))


def _invisible(rng: random.Random) -> str:
    return "".join(rng.choice([*_INVISIBLE, "5", "x", " "]) for _ in range(_length(rng)))


def _bomb(rng: random.Random) -> str:
    chosen = rng.choices(_BOMBS, k=rng.choice((1, 1, 2, 3)))
    repeated = "".join(chosen) * _length(rng)
    return repeated[:MEGABYTE] + rng.choice(("", "5", "x", "!", "\x00"))


_UNCLOSED = [
    "\\frac{1", "\\left(1,", "\\begin{pmatrix} 1 & 2", "\\boxed{5", "\\sqrt[", "$5", "\\(5",
    "{", "\\", "\\begin{array}{c", "\\text{5", "[1, 2", "\\{1, 2", "<answer>5", "\\end{x}",
]  # fmt: skip


def _unclosed(rng: random.Random) -> str:
    return rng.choice(_UNCLOSED)


def _matrix(rng: random.Random) -> str:
    rows, columns = rng.randint(1, 40), rng.randint(1, 12)
    cell = rng.choice(("1", "\\sqrt{2}", "9^{9^{9}}", "x", "\\frac{1}{3}"))
    body = "\\\\".join("&".join([cell] * columns) for _ in range(rows))
    return f"\\begin{{pmatrix}}{body}\\end{{pmatrix}}"


_ITEMS = ("\\sqrt{%d}", "%d", "x^{%d}", "\\pi^{%d}", "\\sin %d", "(%d,\\infty)")


def _listing(rng: random.Random) -> str:
    items = [rng.choice(_ITEMS) % rng.randint(1, 99) for _ in range(rng.randint(2, 60))]
    joint = rng.choice((",", ", ", " \\cup ", " and ", "+", "\\cdot ", ";"))
    return rng.choice(("%s", "(%s)", "\\{%s\\}", "[%s)")) % joint.join(items)


_ENDLESS = [
    "\\sum_{k=1}^{#} k^k", "\\prod_{k=1}^{#} (x-k)", "\\binom{#9}{#}", "\\int_0^1 x^{x^{x}} dx",
    "\\lim_{x \\to 0} \\sin(1/x)^{\\sin(1/x)}", "(a+b+c+d)^{#}", "x^{x^{x^{x}}}", "\\sqrt[#]{#}",
    "\\cos(\\sin(\\cos(\\sin(x^{99}))))^{99}", "\\gcd(#, #!)", "# \\mod #", "\\log_{#} {#!}",
    "# \\choose #", "x^{#} - 1 = 0", "\\sin^{#} x + \\cos^{#} x", "||||||||||||||||||x",
    "\\sqrt{2}+\\sqrt{3}+\\sqrt{5}+\\sqrt{6}+\\sqrt{7}+\\sqrt{8}+\\sqrt{10}+\\sqrt{11}+\\sqrt{13}",
]  # fmt: skip


def _endless_algebra(rng: random.Random) -> str:
    return rng.choice(_ENDLESS).replace("#", _number(rng))


def _control_tokens(rng: random.Random) -> str:
    return "".join(rng.choice([*_TOKENS, "5", " "]) for _ in range(_length(rng)))


def _soup(rng: random.Random) -> str:
    return "".join(rng.choice(KINDS[:-1])(rng)[:120] for _ in range(rng.randint(2, 5)))


KINDS: list[Maker] = [
    _tower, _factorial, _huge_exponent, _nested, _deep_command, _digits, _mixed_digits, _invisible,
    _bomb, _unclosed, _matrix, _listing, _endless_algebra, _control_tokens, _soup,
]  # fmt: skip


def hostile_answers(number: int, *, seed: int) -> Iterator[tuple[str, str]]:
    """`number` pairs of a kind's name and a string of that kind, all kinds in turn."""
    rng = random.Random(seed)
    for at in range(number):
        make = KINDS[at % len(KINDS)]
        yield make.__name__.strip("_"), make(rng)
