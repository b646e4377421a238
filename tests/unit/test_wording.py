"""What counts as the same wording, and what never does."""

from __future__ import annotations

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


def test_scripts_without_blanks_are_words_of_one_character() -> None:
    assert words_of("\u5c0f\u660e\u67093\u4e2a") == ["\u5c0f", "\u660e", "\u6709", "3", "\u4e2a"]


def test_ngrams_of_a_short_text_are_the_text() -> None:
    assert list(ngrams(["a", "b", "c"], 2)) == ["a b", "b c"]
    assert list(ngrams(["a"], 2)) == ["a"]


@given(st.text(st.characters(exclude_characters="\\", exclude_categories=["Cs"]), max_size=80))
def test_blanks_around_a_text_do_not_matter_and_no_wording_is_empty(text: str) -> None:
    assert tokens_of(f"  {text}\n ") == tokens_of(text)
    assert not text.strip() or all(tokens_of(text))
