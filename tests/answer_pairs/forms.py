"""What the families of answer pairs are made of: a form is one way to write a value.

Invariant: a form's text stands without delimiters; how it is put into a sentence follows from its
kind. `latex` goes between dollars or into a box, `plain` stands anywhere as it is, `words` need
`\\text{}` in a box, `prose` is a phrase that only a sentence can hold, `said` a whole sentence.

A sample: Form("dfrac", "\\dfrac{3}{4}", "latex").
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["latex", "plain", "words", "prose", "said"]
QUESTION = "What is it?"


@dataclass(frozen=True)
class Form:
    """One way to write a value: the name of the way, the text, what surrounds it."""

    name: str
    text: str
    kind: Kind


@dataclass(frozen=True, kw_only=True)
class Case:
    """A value: its gold answers, what equals it and, in groups picked evenly, what does not.

    `scalar`: one plain quantity, about which a sentence may go on ("5, since there are 30") and
    which may close a text unannounced. `types`: what a person may give (None: inferred).
    """

    golds: list[Form]
    equal: list[Form]
    unequal: list[list[Form]]
    question: str = QUESTION
    types: tuple[str | None, ...] = (None,)
    scalar: bool = False


Family = Callable[[random.Random], Case]


def latex(name: str, text: str) -> Form:
    return Form(name, text, "latex")


def plain(name: str, text: str) -> Form:
    return Form(name, text, "plain")


def words(name: str, text: str) -> Form:
    return Form(name, text, "words")


def prose(name: str, text: str) -> Form:
    return Form(name, text, "prose")


def said(name: str, text: str) -> Form:
    return Form(name, text, "said")


def signed(text: str, value: object) -> str:
    """`+ text` or `- text` for a term that follows another; `text` is of the absolute value."""
    return f"{'-' if value < 0 else '+'} {text}"  # type: ignore[operator]
