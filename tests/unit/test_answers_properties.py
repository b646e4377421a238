"""What holds for every text: nothing raises, a stated answer is found, grades are a function."""

from __future__ import annotations

import datetime
import string
from fractions import Fraction

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tasks.answers import gold_answer, grade, infer_answer_type
from tasks.answers.equality import undecided
from tasks.answers.kinds import ANSWER_TYPES
from tasks.answers.latex import canonical
from tasks.answers.stated import find_statements, tail_of
from tasks.answers.symbols import plain
from tasks.answers.verdict import Comparison, read_answer

FRAGMENTS = [
    "\\boxed{", "}", "{", "####", "<answer>", "</answer>", "The answer is ", "A: ", "$", "\\[",
    "\\]",
    "\\frac", "=", "\n", "</think>", "<think>", "\x00", "\u202e", "\ud800", "1,000", "9**9", "5",
    "%",
    "\\begin{pmatrix}", "\\\\", "&", "\\end{pmatrix}", "\\cup", "(", "]", "\\pm", "1/1/2001",
    "yes", ".",
]  # fmt: skip
TEXTS = st.one_of(
    st.text(st.characters(), max_size=80),
    st.lists(st.sampled_from(FRAGMENTS), max_size=25).map("".join),
)
TYPES = st.sampled_from(sorted(ANSWER_TYPES))


def settle_cheaply(text: str, gold: str, kind: str, *, truncated: bool) -> object:
    """Everything but the symbolic comparison, which is bounded by the worker, not by the code."""
    outcome = read_answer(text, answer=gold, answer_type=kind, truncated=truncated)
    return outcome.settle(undecided) if isinstance(outcome, Comparison) else outcome


@given(text=TEXTS, gold=TEXTS, kind=TYPES, truncated=st.booleans())
@example(text="9**9**9**9", gold="1", kind="math", truncated=False)
@settings(max_examples=300, deadline=None)
def test_never_raises_and_is_a_function(text: str, gold: str, kind: str, truncated: bool) -> None:
    first = settle_cheaply(text, gold, kind, truncated=truncated)
    assert first == settle_cheaply(text, gold, kind, truncated=truncated)
    assert infer_answer_type(gold, text) in ANSWER_TYPES


MATHEMATICS = [
    "x", "y", "2", "0.5", "10^{9}", "\\pi", "e", "i", "+", "-", "*", "/", "=", "^", "^{", "}", "(",
    ")",
    "{", "|", "!", "\\sqrt{", "\\frac{", "}{", "\\log_", "\\ln ", "\\sin ", "\\tan ", "\\arcsin ",
    "\\binom{",
    "\\lfloor ", "\\rfloor ", "0", "1", "999", "^\\circ", ",", "<", "\\pm ", "%", "e3",
    "0.\\overline{3}",
]  # fmt: skip
EXPRESSIONS = st.lists(st.sampled_from(MATHEMATICS), min_size=1, max_size=14).map("".join)


@given(gold=EXPRESSIONS, stated=EXPRESSIONS)
@example(gold="y=\\sqrt{3}x", stated="y-\\sqrt{3}x=0")  # a root less a fraction
@settings(max_examples=1_500, deadline=2_000)
def test_no_pair_of_expressions_raises_or_takes_long(gold: str, stated: str) -> None:
    first = settle_cheaply(f"\\boxed{{{stated}}}", gold, "math", truncated=False)
    assert first == settle_cheaply(f"\\boxed{{{stated}}}", gold, "math", truncated=False)


@given(text=TEXTS)
@example(text="¡°\N{FULLWIDTH RIGHT PARENTHESIS}")  # a command's blank before a full-width bracket
def test_reading_is_idempotent_and_storable(text: str) -> None:
    assert plain(plain(text)) == plain(text)
    plain(text).encode()
    assert canonical(canonical(canonical(text))) == canonical(canonical(text))
    for statement in find_statements(tail_of(text)):
        statement.value.encode()


def announced(answer: str, kind: str, gold: str | None = None) -> str:
    text = f"Some steps first: 1 + 1 = 2.\nThe answer is {answer}."
    gold = gold if gold is not None else answer
    return grade(text, answer=gold, answer_type=kind, truncated=False).verdict


@given(
    number=st.integers(-(10**30), 10**30), form=st.sampled_from(["{}", "{:,}", "{}.0", "${:,}$"])
)
def test_every_announced_integer_is_correct(number: int, form: str) -> None:
    assert announced(form.format(number), "integer", str(number)) == "correct"
    assert announced(form.format(number), "math", str(number)) == "correct"
    assert announced(form.format(number + 1), "integer", str(number)) == "wrong"


@given(value=st.fractions(max_denominator=10**6))
def test_every_announced_fraction_is_correct(value: Fraction) -> None:
    assume(value.denominator > 1)
    spelled = f"{value.numerator}/{value.denominator}"
    sign = "-" if value < 0 else ""
    latex = f"${sign}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}$"
    assert announced(latex, "math", spelled) == "correct"
    assert announced(spelled, "math", latex) == "correct"


@given(value=st.decimals(-(10**9), 10**9, places=4))
def test_every_announced_decimal_is_correct(value: object) -> None:
    assert announced(f"{value:f}", "math") == "correct"


@given(
    day=st.dates(datetime.date(1000, 1, 1)),
    form=st.sampled_from(["%m/%d/%Y", "%B %d, %Y", "%Y-%m-%d"]),
)
def test_every_announced_date_is_correct(day: datetime.date, form: str) -> None:
    gold = day.strftime("%m/%d/%Y")
    assert announced(day.strftime(form), "date", gold) == "correct"
    other = day.replace(year=day.year - 400).strftime(form) if day.year > 1400 else "1/1/0999"
    assert announced(other, "date", gold) == "wrong"


@given(letter=st.sampled_from("ABCDEFGHIJ"), form=st.sampled_from(["{}", "({})", "{})", "**{}**"]))
def test_every_announced_letter_is_correct(letter: str, form: str) -> None:
    assert announced(form.format(letter), "choice", letter) == "correct"
    other = "A" if letter != "A" else "B"
    assert announced(form.format(other), "choice", letter) == "wrong"


@given(
    words=st.lists(st.text(string.ascii_letters, min_size=1, max_size=9), min_size=1, max_size=5)
)
def test_every_announced_text_is_correct(words: list[str]) -> None:
    assume(words[0].lower() != "not")
    answer = " ".join(words)
    assert announced(answer, "text") == "correct"
    assert announced(answer.upper(), "text", answer) == "correct"


@pytest.mark.parametrize("answer", ["yes", "no", "true", "false", "Yes", "No", "TRUE"])
def test_every_announced_yes_no_is_correct(answer: str) -> None:
    assert announced(answer, "yes_no") == "correct"


@given(answer=TEXTS)
@settings(deadline=None)
def test_a_gold_answer_reads_itself(answer: str) -> None:
    assert gold_answer(gold_answer(answer)) is not None
