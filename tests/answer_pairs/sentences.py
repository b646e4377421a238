"""How a chain ends: the sentences around a stated answer.

Invariant: whatever stands before or behind, a person reads the form as the answer, and as all of
it. Numbers around it are other numbers; where the pair is unequal, one may be the gold answer.

A sample: "There are 12 boxes with 7 apples each.\\nTherefore, the final answer is: $\\boxed{5}$. I
hope it is correct."
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tests.answer_pairs.forms import Form
from tests.answer_pairs.frames import (
    BEFORE,
    BOXES,
    CLOSING,
    DRESSES,
    FIRST,
    FOREIGN,
    GOING_ON,
    MISLEADING,
    STATEMENTS,
    TAKEN_BACK,
)

DRESSED_SHARE, THOUGHT_SHARE = 0.08, 0.12
NO_BOLD = re.compile(r"\*|_|`")


@dataclass(frozen=True)
class Ending:
    """A chain's last lines and the name of the sentence that states the answer."""

    text: str
    frame: str


def in_box(form: Form, rng: random.Random) -> str:
    if form.kind == "words":
        return f"\\text{{{form.text}}}"
    if form.kind == "latex" and rng.random() < DRESSED_SHARE and not form.text.endswith("."):
        return put(rng.choice(DRESSES), form.text)
    return form.text


def in_prose(form: Form, rng: random.Random) -> str:
    if form.kind != "latex":
        return form.text
    return rng.choice(("$X$", "$X$", "\\(X\\)", "$X$")).replace("X", form.text)


def fill(sentence: str, rng: random.Random, avoid: str = "") -> str:
    """The sentence with numbers, none of which is `avoid`."""
    numbers = {"a": avoid}
    while avoid in numbers.values():
        a, b = rng.randint(13, 59), rng.randint(61, 98)
        numbers = {"a": f"{a}", "b": f"{b}", "sum": f"{a + b}", "product": f"{a * b}"}
    for name, number in numbers.items():
        sentence = sentence.replace(f"{{{name}}}", number)
    return sentence


def put(frame: str, text: str) -> str:
    """`text` for the frame's X; one full stop where it brings its own."""
    if text.endswith("."):
        frame = re.sub(r"X([.。])", lambda found: "X", frame)
    return re.sub(r"\bX\b|X", lambda _: text, frame, count=1)


def frames_for(form: Form, *, scalar: bool) -> list[tuple[str, Sequence[str]]]:
    kinds: list[tuple[str, Sequence[str]]] = [("box", BOXES), ("statement", STATEMENTS)]
    if form.kind == "said":
        return [("said", ["X"])]
    if form.kind == "prose":
        kinds = [("statement", STATEMENTS)]
    elif form.kind == "latex":
        kinds += [("box", BOXES)]
    if scalar and not re.search(r"\b(not|or|either)\b", form.text):
        kinds += [("going on", GOING_ON)]
        if form.kind in ("latex", "plain"):
            kinds += [("closing", CLOSING), ("foreign", [])]
    return kinds


def withdrawn(form: Form, rng: random.Random) -> list[str]:
    """Another answer, stated and taken back."""
    frame = rng.choice(FIRST)
    stated = form.text if "boxed" in frame else in_prose(form, rng)
    return [put(frame, stated), fill(rng.choice(TAKEN_BACK), rng)]


@dataclass(frozen=True, kw_only=True)
class Around:
    """What else a chain says: the gold answer where it would mislead, an answer taken back."""

    gold: str = ""
    mislead: bool = False
    earlier: Form | None = None


def write(form: Form, rng: random.Random, around: Around, *, scalar: bool = False) -> Ending:
    """A chain's ending that states the form."""
    if form.kind == "said" and "think>" in form.text:
        return Ending(form.text, "said")
    gold, mislead = around.gold, around.mislead
    kinds = frames_for(form, scalar=scalar and around.earlier is None)
    kind, frames = rng.choice(kinds)
    lines = [fill(line, rng, gold) for line in rng.sample(BEFORE, rng.randint(0, 2))]
    if mislead:
        lines.append(put(rng.choice(MISLEADING), gold))
    if around.earlier:
        lines += withdrawn(around.earlier, rng)
    if kind == "foreign":
        language, before, frame = rng.choice(FOREIGN)
        name = f"{language}: {frame}"
        lines = [fill(before, rng, gold)]
    else:
        frame = rng.choice(frames)
        while NO_BOLD.search(form.text) and "**" in frame:
            frame = rng.choice(frames)
        name = frame
    stated = in_box(form, rng) if kind == "box" else in_prose(form, rng)
    if kind == "box" and "$" in form.text:
        frame = name = "So the result is \\boxed{X}."
    if mislead and gold.isdigit() and "{b}" not in frame:
        frame = frame.replace("{a}", gold)
    lines.append(put(fill(frame, rng, gold), stated))
    text = "\n".join(lines)
    if rng.random() < THOUGHT_SHARE:
        thought = fill(rng.choice(BEFORE), rng, gold) + " So maybe the answer is 977? Let me see."
        text = f"<think>\n{thought}\n</think>\n\n{text}"
        name = f"think, {name}"
    return Ending(text, f"taken back, {name}" if around.earlier else name)
