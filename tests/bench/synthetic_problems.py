"""A stream of word problems as large corpora hold them: templates, copies and near-copies.

Of 100 problems 55 are worded afresh, 40 fill one of 3 000 templates with new numbers, 3 repeat an
earlier one with a word changed, 2 repeat one in another spelling. Lengths are those of GSM8K (mean
46 tokens, log-normal). Problem n depends on n alone, so any part of the stream is made the same.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

from tasks.intake.wording import ngrams, tokens_of

NUM_TEMPLATES = 3_000
SYLLABLES = ("ba", "co", "di", "fu", "ga", "lo", "mi", "ne", "pa", "ra", "se", "to", "vu", "wi")
WORDS = [a + b + c for a in SYLLABLES for b in SYLLABLES for c in SYLLABLES]
ZIPF = list(accumulate(1 / rank for rank in range(1, len(WORDS) + 1)))
SLOT = "#"


def write_problems(path: Path, count: int) -> int:
    """JSONL: question, answer, `near` (a near-duplicate at 0.8). Returns how many are near."""
    num_near = 0
    with path.open("w", encoding="utf-8") as stream:
        for question, answer, is_near in problems(count):
            num_near += is_near
            stream.write(json.dumps({"question": question, "answer": answer}) + "\n")
    return num_near


def problems(count: int) -> Iterator[tuple[str, str, bool]]:
    """Question, answer, and whether it nearly repeats an earlier one."""
    for number in range(count):
        chance = random.Random(f"problem {number}")
        kind = chance.random()
        if number < 100 or kind < 0.95:
            yield (*_fresh(number), False)
            continue
        question, answer = _fresh(_earlier(number, chance))
        if kind >= 0.98:
            yield question.upper().replace(" ", "  "), answer, False
            continue
        words = question.split(" ")
        places = [n for n, word in enumerate(words) if word.isalpha()]
        words[chance.choice(places)] = chance.choice(WORDS)
        changed = " ".join(words)
        yield changed, answer, changed != question and _jaccard(question, changed) >= 0.8


def _earlier(number: int, chance: random.Random) -> int:
    """A problem before this one that was worded or filled in afresh."""
    while True:
        found = chance.randrange(number)
        if found < 100 or random.Random(f"problem {found}").random() < 0.95:
            return found


def _fresh(number: int) -> tuple[str, str]:
    chance = random.Random(f"text {number}")
    if chance.random() < 0.42:
        template = _text(random.Random(f"template {chance.randrange(NUM_TEMPLATES)}"))
    else:
        template = _text(chance)
    parts = template.split(SLOT)
    filled = "".join(f"{part}{chance.randrange(2, 1000)}" for part in parts[:-1])
    return f"{filled}{parts[-1]} ({number % 7}?)", str(chance.randrange(1, 5000))


def _text(chance: random.Random) -> str:
    length = max(10, int(chance.lognormvariate(3.7, 0.4)))
    words = chance.choices(WORDS, cum_weights=ZIPF, k=length)
    for place in range(3, length, 11):
        words[place] = SLOT
    return " ".join(words)


def _jaccard(one: str, other: str) -> float:
    a, b = (set(ngrams(tokens_of(text), 3)) for text in (one, other))
    return len(a & b) / len(a | b)
