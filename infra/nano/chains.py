"""Solutions of nano problems in every style: long, rewritten by level, compressed, minimal.

Role: the reference answers to all five prompts of the nano teacher. Invariants: every step of a
chain can be derived from the question and the running value, whatever the style; a compression
round takes away exactly one group of redundancy (in the order of `compress`), and squeezing a
minimal chain makes it longer again (MACC's token elasticity).

A sample, minimal: "1) 3 + 4 = 7\\n2) 7 - 2 = 5\\nThe answer is 5."
"""

import random
import re
from dataclasses import dataclass, replace
from typing import Literal

from infra.nano.world import Level, Move, Problem, move_text, move_word

Heading = Literal["none", "easy", "medium", "hard"]

OPENERS = (
    "",
    "Okay, let me think step by step.",
    "Hmm, let me think about this carefully.",
    "Alright, we should take the steps one by one.",
)
PART_STEPS = 4
_PIECE = re.compile(r"\d\)|\n| ?[^\W\d_]+| ?\d| ?[^\w\s]|[^\S\n]+|\w")
_EQUATION = re.compile(r"^(\d)\).*?(\w+) ([+-]) (\d) = (\w+)", re.MULTILINE)
_ANSWER = re.compile(r"The answer is (\w+)\.")


@dataclass(frozen=True)
class Style:
    """Which redundancies a chain carries; the default has none and is the minimal chain."""

    opener: int = 0
    filler: int = 0
    restate: bool = False
    check: bool = False
    heading: Heading = "none"
    step_text: bool = False


MINIMAL = Style()


def long_style(rng: random.Random) -> Style:
    """The style of one sampled long chain: most redundancies, seldom all of them."""
    return Style(
        opener=rng.choice((0, 1, 1, 1, 1, 2, 2, 2, 3, 3)),
        filler=rng.choice((0, 1, 1, 1, 1, 1, 2, 2, 2, 2)),
        restate=rng.random() < 0.85,
        check=rng.random() < 0.85,
        step_text=True,
    )


def rewrite_style(level: Level) -> Style:
    """The template of a level (LiteCoT): the harder, the more structure and reflection."""
    return Style(heading=level, check=level != "easy", step_text=True)


def compress(style: Style) -> Style:
    """One round: the first redundancy still there goes; a minimal chain grows back."""
    if style.opener or style.filler:
        return replace(style, opener=0, filler=0)
    if style.restate:
        return replace(style, restate=False)
    if style.check:
        return replace(style, check=False)
    if style.heading != "none":
        return replace(style, heading="none")
    if style.step_text:
        return replace(style, step_text=False)
    return Style(step_text=True, check=True)


def stages(style: Style) -> list[Style]:
    """The style and all rounds after it, down to the minimal one."""
    found = [style]
    while found[-1] != MINIMAL:
        found.append(compress(found[-1]))
    return found


def render(problem: Problem, style: Style) -> str:
    """The chain of a problem in a style, ending in `The answer is X.`"""
    return render_states(problem, style, problem.states)


def render_states(problem: Problem, style: Style, states: tuple[int, ...]) -> str:
    """The same for given running values, so that a wrong chain can be written too."""
    lines = [OPENERS[style.opener]] if style.opener else []
    if style.restate:
        lines += ["The problem says:", problem.question, "Let me solve it."]
    if style.heading == "hard":
        lines += _parts(problem, style, states)
    else:
        lines += _body(problem, style, states)
    return "\n".join([*lines, *_ending(problem, style, states)])


def _body(problem: Problem, style: Style, states: tuple[int, ...]) -> list[str]:
    steps = range(len(problem.moves))
    headed = style.heading != "none"
    lines = (
        [f"Analysis: start at {problem.names[problem.start]}.", "Method: take each step."]
        if headed
        else []
    )
    lines += [_step(problem, style, states, i) for i in steps]
    if style.check:
        lines.append("Reflection: check each step." if headed else "Wait, let me check again.")
        lines += [_step(problem, MINIMAL, states, i) for i in steps]
        lines += [] if headed else ["All steps agree."]
    return lines


def _parts(problem: Problem, style: Style, states: tuple[int, ...]) -> list[str]:
    lines = [f"Analysis: start at {problem.names[problem.start]} and solve it in parts."]
    for name, first in (("one", 0), ("two", PART_STEPS)):
        steps = range(first, min(first + PART_STEPS, len(problem.moves)))
        if not steps:
            continue
        lines += [
            f"Part {name}: take each step.",
            *(_step(problem, style, states, i) for i in steps),
        ]
        if style.check:
            lines += [
                "Reflection: check each step.",
                *(_step(problem, MINIMAL, states, i) for i in steps),
            ]
    return [*lines, "Integration: put the parts together."]


def _step(problem: Problem, style: Style, states: tuple[int, ...], index: int) -> str:
    move = problem.moves[index]
    sign = "+" if move.forward else "-"
    equation = (
        f"{problem.names[states[index]]} {sign} {move.amount} = {problem.names[states[index + 1]]}"
    )
    head = f"{move_text(problem, index)}:" if style.step_text else f"{index + 1})"
    return f"{head} {equation}{_filler(problem, style, move, problem.names[states[index + 1]])}"


def render_steps(problem: Problem, style: Style, steps: range, value: int) -> list[str]:
    """The lines of some steps, taken from a value that need not be the one reached there."""
    places = [0] * (steps.start) + [value]
    for index in steps:
        move = problem.moves[index]
        places.append(
            (places[-1] + (move.amount if move.forward else -move.amount)) % len(problem.names)
        )
    return [_step(problem, style, tuple(places), index) for index in steps]


def _filler(problem: Problem, style: Style, move: Move, value: str) -> str:
    if style.filler == 0:
        return ""
    if style.filler == 1:
        meaning = "plus" if move.forward else "minus"
        return f". By definition we know that {move_word(problem, move)} means {meaning}."
    return f". So after this step we know that it is at {value}."


def _ending(problem: Problem, style: Style, states: tuple[int, ...]) -> list[str]:
    end = problem.names[states[-1]]
    lines = [] if style.heading == "none" else [f"Conclusion: it ends at {end}."]
    if problem.asked is None:
        return [*lines, f"The answer is {end}."]
    same = states[-1] == problem.asked
    return [
        *lines,
        f"{end} is {'' if same else 'not '}{problem.asked}.",
        f"The answer is {'yes' if same else 'no'}.",
    ]


def corrupt(problem: Problem, style: Style, rng: random.Random) -> str:
    """An invalid chain: a wrong result, a misread or missing step, or a wrong answer."""
    return rng.choice((_wrong_result, _misread, _missing_step, _wrong_answer))(problem, style, rng)


def _wrong_result(problem: Problem, style: Style, rng: random.Random) -> str:
    states, size = problem.states, len(problem.names)
    at, shift = rng.randrange(1, len(states)), rng.randrange(1, size)
    carried = rng.random() < 0.5
    wrong = [
        (s + shift) % size if i == at or (carried and i > at) else s for i, s in enumerate(states)
    ]
    return render_states(problem, style, tuple(wrong))


def _misread(problem: Problem, style: Style, rng: random.Random) -> str:
    index, size = rng.randrange(len(problem.moves)), len(problem.names)
    old = problem.moves[index]
    others = [m for m in (Move(f, a) for f in (True, False) for a in range(1, size)) if m != old]
    moves = [*problem.moves[:index], rng.choice(others), *problem.moves[index + 1 :]]
    return render(replace(problem, moves=tuple(moves)), style)


def _missing_step(problem: Problem, style: Style, rng: random.Random) -> str:
    key = f"{rng.randrange(len(problem.moves)) + 1})"
    return "\n".join(
        line for line in render(problem, style).split("\n") if not line.startswith(key)
    )


def _wrong_answer(problem: Problem, style: Style, rng: random.Random) -> str:
    told = ("yes", "no") if problem.asked is not None else problem.names
    text = render(problem, style)
    wrong = rng.choice([name for name in told if name != problem.answer])
    return text.removesuffix(f"{problem.answer}.") + f"{wrong}."


def split_pieces(text: str) -> list[str]:
    """A text of this world in pieces; the nano tokenizer has one token for each."""
    return _PIECE.findall(text)


def count_pieces(text: str) -> int:
    """The length of a text of this world in pieces, which are its tokens."""
    return len(split_pieces(text))


def find_answer(text: str) -> str | None:
    """The last stated answer of a chain."""
    found = _ANSWER.findall(text)
    return found[-1] if found else None


def find_equations(text: str) -> dict[str, set[str]]:
    """The equations of a chain by the number of their step: {"1": {"3 + 4 = 7"}}."""
    found: dict[str, set[str]] = {}
    for key, left, sign, amount, result in _EQUATION.findall(text):
        found.setdefault(key, set()).add(f"{left} {sign} {amount} = {result}")
    return found


def is_right_solution(problem: Problem, text: str) -> bool:
    """Whether a chain states exactly the right equation for every step, and the right answer."""
    right = find_equations(render(problem, MINIMAL))
    return find_answer(text) == problem.answer and find_equations(text) == right


def is_right_round(before: str, after: str) -> bool:
    """Whether a compression round kept the answer and every equation, and shortened the chain."""
    same_answer = find_answer(after) == find_answer(before)
    kept = same_answer and find_equations(after) == find_equations(before)
    return kept and count_pieces(after) < count_pieces(before)
