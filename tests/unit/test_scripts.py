"""Chains and questions in scripts without blanks are compared by characters."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.diversity import near_duplicates, words_of
from tasks.intake.wording import tokens_of

# Letters of each script (of Thai, Lao, Khmer and Burmese the vowel signs too).
LETTERS = {
    "chinese": "".join(map(chr, range(0x4E00, 0x4F00))),
    "chinese, rare": "".join(map(chr, range(0x20000, 0x20080))),
    "japanese": "".join(map(chr, [*range(0x3041, 0x3097), *range(0x30A1, 0x30FB)])),
    "japanese, half-width": "".join(map(chr, range(0xFF66, 0xFF9E))),
    "thai": "".join(map(chr, [*range(0x0E01, 0x0E3B), *range(0x0E40, 0x0E4F)])),
    "lao": "".join(map(chr, [*range(0x0E94, 0x0E98), *range(0x0E99, 0x0EA0), 0x0EB4, 0x0EB5])),
    "khmer": "".join(map(chr, range(0x1780, 0x17B3))),
    "burmese": "".join(map(chr, range(0x1000, 0x1032))),
}
every_script = pytest.mark.parametrize("script", sorted(LETTERS))


@dataclass(frozen=True)
class Chain:
    rationale_id: str
    text: str


def sentence(letters: Sequence[str], length: int, seed: int) -> list[str]:
    return random.Random(seed).choices(letters, k=length)


def is_repeat(one: str, other: str, least: float = 0.8) -> bool:
    return bool(near_duplicates([Chain("1", one), Chain("2", other)], size=3, least=least))


@every_script
@pytest.mark.parametrize("length", [40, 120, 600])
def test_a_chain_that_differs_in_one_character_is_a_near_duplicate(
    script: str, length: int
) -> None:
    text = sentence(LETTERS[script], length, seed=1)
    for place in (0, length // 2, length - 1):
        other = [*text]
        other[place] = next(one for one in LETTERS[script] if one != text[place])
        assert is_repeat("".join(text), "".join(other))


@every_script
def test_another_chain_in_the_same_script_is_none(script: str) -> None:
    one, other = ("".join(sentence(LETTERS[script], 80, seed)) for seed in (1, 2))
    assert not is_repeat(one, other)


@every_script
def test_half_a_chain_in_common_is_not_enough(script: str) -> None:
    text, other = (sentence(LETTERS[script], 100, seed) for seed in (1, 2))
    assert not is_repeat("".join(text), "".join([*text[:50], *other[:50]]))


PIECES = st.one_of(
    *(st.text(st.sampled_from(LETTERS[script]), min_size=1, max_size=9) for script in LETTERS),
    st.sampled_from(["\\frac{3}{4}", "so", "12", "x+1", "\u3002", "\uff0c", "\n", " ", "\u20ac"]),
)
HANGUL = st.characters(categories=["Lo"], min_codepoint=0xAC00, max_codepoint=0xD7A3)
WITHOUT_BLANKS = frozenset("".join(LETTERS.values()))


def spelled(text: str) -> str:
    """With blanks put between the characters of these scripts by hand."""
    return "".join(f" {one} " if one in WITHOUT_BLANKS else one for one in text)


@given(st.lists(PIECES, max_size=12), st.lists(PIECES, max_size=12))
def test_mixed_scripts_are_compared_as_if_each_character_were_a_word(
    one: list[str], other: list[str]
) -> None:
    left, right = "".join(one), "".join([*one, *other])
    assert is_repeat(left, right) == is_repeat(spelled(left), spelled(right))
    assert {c for c in left if c in WITHOUT_BLANKS} <= {*words_of(left)}


@given(st.text(st.characters(max_codepoint=0x0DFF) | HANGUL))
def test_scripts_with_blanks_keep_their_words(text: str) -> None:
    """Latin, Greek, Cyrillic, Arabic, Hebrew, Devanagari, Korean."""
    for word in text.casefold().split():
        if word.isalnum():
            assert word in words_of(text)


@every_script
def test_hygiene_reads_the_same_scripts(script: str) -> None:
    """A question is compared by n-grams of its characters, not as one long word."""
    text = "".join(sentence(LETTERS[script], 30, seed=3))
    assert len(tokens_of(text)) >= 30
