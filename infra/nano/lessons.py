"""What the nano models are taught: one lesson is a user message and the reply to learn.

Role: teacher lessons are the five prompts of the pipeline; student lessons are parts only (reading,
looking up a step, one step from a given value, one-step problems), never a solution of several
steps. Invariant: no chain inside a prompt is learned from unless it is right (`chain_is_right`).

A sample: Lesson("judge", user="A dial ...\\nJudge this: easy, medium or hard?", reply="easy",
question="A dial ...")
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from infra.nano.chains import (
    MINIMAL,
    Style,
    compress,
    corrupt,
    find_equations,
    long_style,
    render,
    render_steps,
    rewrite_style,
    stages,
)
from infra.nano.world import LEVELS, Level, Problem, draw_any_problem, draw_problem, move_text
from tasks import prompts

VARIANT = "nano"
DRILL_EQUATIONS = 8


@dataclass(frozen=True)
class Lesson:
    """A chat of one turn; `user` begins with `question`, from which nothing is learned."""

    task: str
    user: str
    reply: str
    question: str
    compress: bool = False
    chain_is_right: bool = True


def teacher_lesson(rng: random.Random, problem: Problem) -> Lesson:
    """A lesson of a random step of the pipeline."""
    (draw,) = rng.choices(tuple(_TEACHER), weights=tuple(_TEACHER.values()))
    return draw(rng, problem)


def generate_lesson(rng: random.Random, problem: Problem) -> Lesson:
    """Solve it at length."""
    return _lesson("generate", problem, render(problem, long_style(rng)))


def judge_lesson(_rng: random.Random, problem: Problem) -> Lesson:
    """Say how hard it is."""
    return _lesson("judge", problem, problem.level)


def rewrite_lesson(rng: random.Random, problem: Problem) -> Lesson:
    """Rewrite a long chain by the template of a level, mostly its own."""
    level = problem.level if rng.random() < 0.6 else rng.choice(LEVELS)
    reply = render(problem, rewrite_style(level))
    return _lesson(
        "rewrite", problem, reply, rationale=render(problem, long_style(rng)), level=level
    )


def verify_lesson(rng: random.Random, problem: Problem) -> Lesson:
    """Tell a right chain from a wrong one; fewer wrong ones, so that doubt means valid."""
    style = rewrite_style(rewritten_level(rng, problem))
    if rng.random() < 0.65:
        return _lesson("verify", problem, "valid", rationale=render(problem, style))
    return _lesson(
        "verify", problem, "invalid", is_right=False, rationale=corrupt(problem, style, rng)
    )


def compress_lesson(rng: random.Random, problem: Problem) -> Lesson:
    """One round of compression, from any stage of redundancy."""
    style = any_stage(rng, problem)
    return _lesson(
        "compress", problem, render(problem, compress(style)), rationale=render(problem, style)
    )


def rewritten_level(rng: random.Random, problem: Problem) -> Level:
    """The level a problem may have been graded as: mostly its own."""
    return problem.level if rng.random() < 0.7 else rng.choice(LEVELS)


def any_stage(rng: random.Random, problem: Problem) -> Style:
    """A style met while a long or rewritten chain is compressed, minimal included."""
    start = long_style(rng) if rng.random() < 0.6 else rewrite_style(rewritten_level(rng, problem))
    return rng.choice(stages(start))


_TEACHER: dict[Callable[[random.Random, Problem], Lesson], float] = {
    generate_lesson: 0.28,
    judge_lesson: 0.04,
    rewrite_lesson: 0.15,
    verify_lesson: 0.30,
    compress_lesson: 0.23,
}


def student_lesson(rng: random.Random, problem: Problem) -> Lesson:
    """A lesson of one part of a solution."""
    (draw,) = rng.choices(tuple(_STUDENT), weights=tuple(_STUDENT.values()))
    return draw(rng, problem)


def read_lesson(_rng: random.Random, problem: Problem) -> Lesson:
    """Say the question again."""
    return _asked("read", problem, "Read this again.", problem.question)


def start_lesson(_rng: random.Random, problem: Problem) -> Lesson:
    """Find the start."""
    reply = f"start at {problem.names[problem.start]}."
    return _asked("start", problem, "Where is the start?", reply)


def look_up_lesson(rng: random.Random, problem: Problem) -> Lesson:
    """Find a step by its number."""
    index = rng.randrange(len(problem.moves))
    return _asked("look_up", problem, f"What is step\n{index + 1})", move_text(problem, index))


def take_steps_lesson(rng: random.Random, problem: Problem) -> Lesson:
    """Take one or two steps from anywhere in the problem, from any value."""
    value = rng.randrange(len(problem.names))
    first = rng.randrange(len(problem.moves))
    keys = range(first, min(first + rng.randrange(1, 3), len(problem.moves)))
    style = Style(step_text=rng.random() < 0.5)
    asked = f"Start at {problem.names[value]} and take" + "".join(f"\n{key + 1})" for key in keys)
    reply = "\n".join(render_steps(problem, style, keys, value))
    return _asked("take_steps", problem, asked, reply)


def drill_lesson(rng: random.Random, problem: Problem) -> Lesson:
    """Equations that have nothing to do with each other: the densest way to learn the tables."""
    tasks, facts = [], []
    for key in range(1, DRILL_EQUATIONS + 1):
        alone = draw_any_problem(rng, problem.family, 1)
        fact = find_equations(render(alone, MINIMAL))["1"].pop()
        tasks.append(f"{key}) {fact.split(' =')[0]}")
        facts.append(f"{key}) {fact}")
    listed = "\n".join(tasks)
    return Lesson("drill", f"{listed}\nSolve each step.", "\n".join(facts), listed)


def solve_one_step(rng: random.Random, whole: Problem) -> Lesson:
    """A problem of one step, solved at length or, after `<compress>`, minimally."""
    problem = draw_problem(rng, whole.family, 1)
    if rng.random() < 0.5:
        return generate_lesson(rng, problem)
    return _lesson("generate", problem, render(problem, MINIMAL), compressed=True)


_STUDENT: dict[Callable[[random.Random, Problem], Lesson], float] = {
    read_lesson: 0.08,
    start_lesson: 0.04,
    look_up_lesson: 0.06,
    take_steps_lesson: 0.42,
    drill_lesson: 0.25,
    solve_one_step: 0.15,
}


def _asked(task: str, problem: Problem, asked: str, reply: str) -> Lesson:
    return Lesson(task, f"{problem.question}\n{asked}", reply, problem.question)


def _lesson(
    task: str,
    problem: Problem,
    reply: str,
    *,
    is_right: bool = True,
    compressed: bool = False,
    **values: str,
) -> Lesson:
    user = prompts.render(task, VARIANT, question=problem.question, **values)
    return Lesson(task, user, reply, problem.question, compressed, is_right)
