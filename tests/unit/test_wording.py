"""What counts as the same wording, and what never does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.intake.wording import mathematics, ngrams, tokens_of, wording, words_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Tom has 3 apples.", "tom  has 3\napples"),
        ("Tom's \u201cbig\u201d dog?", 'Tom\u2019s "big" dog'),
        ("What is $x^2$?", r"What is \(x^2\)?"),
        (r"$\dfrac{1}{2}$ of $\left( 3 + 4 \right)$", r"\[ \frac 1 2 \] of $(3+4)$"),
        (r"$x \leq 5$", r"$x\le5$"),
        (r"5\,\text{cm}", "5 cm"),
        (r"20\% of it", "20% of it"),
        ("x\u00b2 + y\u2082", "x^2 + y_2"),
        ("3\u00bd cups", "3 1/2 cups"),
        ("1,000 and 12,345.50", "1000 and 12345.50"),
        ("7 \u2212 4", "7-4"),
        ("\uff13 apples", "3 apples"),
        ("a well-known man", "a well known man"),
        ("x_{1}", "x_1"),
        (r"\frac12", r"\frac{1}{2}"),
        (r"\frac1{23}", r"\tfrac{1}{23}"),
        (r"\frac{1}2", r"\cfrac 1{2}"),
        (r"\frac123", r"\frac{1}{2}3"),
        (r"\frac ab", r"\frac{a}{b}"),
        (r"\frac\pi2", r"\frac{\pi}{2}"),
        (r"\frac{\sqrt{2}}2", r"\frac{\sqrt2}{2}"),
        (r"\frac{x_{1}}2", r"\frac{x_1}{2}"),
        (r"\sqrt2x", r"\sqrt{2}x"),
        (r"\sqrt[3]2", r"\sqrt[3]{2}"),
        (r"\sqrt{\pi}", r"\sqrt\pi"),
        (r"\binom nk", r"\dbinom{n}{k}"),
        (r"x^{-1}", "x^-1"),
        ("{x}^{2}", "x^2"),
        (r"{}_nC_k", "_nC_k"),
        (r"\mathbb{R}", r"\mathbb R"),
    ],
)
def test_dress_does_not_change_the_wording(one: str, other: str) -> None:
    assert wording(one) == wording(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Tom has 3 apples", "Tom has 5 apples"),
        ("What is 3 + 4?", "What is 3 - 4?"),
        ("x in [0,1]", "x in (0,1)"),
        ("2^{n+1}", "2^n+1"),
        ("2^{-n+1}", "2^-n+1"),
        (r"\frac123", r"\frac{1}{23}"),
        (r"\frac{a+b}c", r"\frac{a}{b+c}"),
        (r"\{2\}", "2"),
        (r"\{\}", ""),
        (r"\frac{1}{23}", r"\frac{12}{3}"),
        ("3.5 m", "3 5 m"),
        (".5 m", "5 m"),
        ("f'(x)", "f(x)"),
        ("5!", "5"),
        ("x\u00b2", "x\u2082"),
        ("1, 2", "12"),
        (r"\sin x", r"\cos x"),
        ("???", "?!"),
    ],
)
def test_mathematics_changes_the_wording(one: str, other: str) -> None:
    assert wording(one) != wording(other)


def test_mathematics_is_numbers_and_signs_in_any_order() -> None:
    one, other = "Add 3 apples to twice 5 pears", "To twice 5 pears add 3 apples"
    assert mathematics(tokens_of(one)) == mathematics(tokens_of(other)) == "3 5 twice"
    assert mathematics(tokens_of(r"$\sin x + 2$")) == r"+ 2 \sin"


ATOMS = st.sampled_from(["1", "2", "x", "n", "a", "\\pi", "\\theta"])
FORMULAS = st.recursive(
    ATOMS.map(lambda atom: ("atom", atom)),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["\\frac", "\\binom"]), inner, inner),
        st.tuples(st.sampled_from(["\\sqrt", "+", "-"]), inner),
        st.tuples(st.just("^"), ATOMS.map(lambda atom: ("atom", atom)), inner),
    ),
    max_leaves=6,
)


def spell(formula: tuple[Any, ...], braces: st.DataObject | None) -> str:
    """In LaTeX; with `braces` those that TeX does not need are left out here and there."""
    kind, *parts = formula
    if kind == "atom":
        return str(parts[0])
    if kind in "+-":
        return f"{kind}{spell(parts[0], braces)}"
    texts = []
    for part in parts:
        text = spell(part, braces)
        is_bare = braces is not None and part[0] == "atom" and braces.draw(st.booleans())
        texts.append(f" {text} " if is_bare and (text[0] == "\\" or text.isalpha()) else
                     text if is_bare else f"{{{text}}}")  # fmt: skip
    if kind == "^":
        return f"{texts[0]}^{texts[1]}"
    return kind + "".join(texts)


@given(FORMULAS, st.data())
def test_braces_that_tex_does_not_need_never_make_another_problem(
    formula: tuple[Any, ...], braces: st.DataObject
) -> None:
    assert wording(spell(formula, braces)) == wording(spell(formula, None))


@given(FORMULAS, FORMULAS)
def test_two_formulas_are_never_one_problem(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    assert (wording(spell(one, None)) == wording(spell(other, None))) == (one == other)


def test_scripts_without_blanks_are_words_of_one_character() -> None:
    assert words_of("\u5c0f\u660e\u67093\u4e2a") == ["\u5c0f", "\u660e", "\u6709", "3", "\u4e2a"]


def test_ngrams_of_a_short_text_are_the_text() -> None:
    assert list(ngrams(["a", "b", "c"], 2)) == ["a b", "b c"]
    assert list(ngrams(["a"], 2)) == ["a"]


@given(st.text(st.characters(exclude_characters="\\", exclude_categories=["Cs"]), max_size=80))
def test_blanks_around_a_text_do_not_matter_and_no_wording_is_empty(text: str) -> None:
    assert tokens_of(f"  {text}\n ") == tokens_of(text)
    assert not text.strip() or all(tokens_of(text))
