"""A note where rationales of real text are read by the embedded student, which never saw any.

Invariant: a note and nothing else: what a recipe says is done. The time is computed from the rows
at hand, at the speeds that were measured; where rows cannot be counted none is named.

A sample: nano:student has never seen such text: ... --set models.student.model=smollm2; ...
"""

from __future__ import annotations

from flows.costs.expected import Expected, Inputs, Observed
from flows.costs.observed import know_inputs
from flows.recipes.recipe import Recipe
from infra.engines import smollm2
from infra.runs.plan import TRAIN
from tasks.score import score_passes

NANO = "nano:"
# Of smollm2 on two cores: 289 and 102 were measured (docs/benchmarks.md), rounded down.
SCORED_A_SECOND = 200
TRAINED_A_SECOND = 100


def notes_on_student(recipe: Recipe) -> list[str]:
    """One line where a try with smollm2 would say more, else none."""
    is_asked = {"score", "train"} & set(recipe.stages)
    is_real = any(not name.startswith(NANO) for name in recipe.problems)
    if not (recipe.models.student.model.startswith(NANO) and is_asked and is_real):
        return []
    inputs = know_inputs(recipe)
    if inputs.candidates is None:
        return []
    first = "" if smollm2.fault() is None else f" (first: {smollm2.REMEDY})"
    return [
        f"{recipe.models.student.model} has never seen such text: for a first try on it add "
        f"--set models.student.model={smollm2.NAME}{first}{_time(recipe, inputs)}"
    ]


def _time(recipe: Recipe, inputs: Inputs) -> str:
    seconds = {
        "scoring": (scored_tokens(recipe, inputs), SCORED_A_SECOND),
        "training": (trained_tokens(recipe, inputs), TRAINED_A_SECOND),
    }
    parts = [
        f"{what} would take {_words(tokens / a_second)}"
        for what, (tokens, a_second) in seconds.items()
        if tokens
    ]
    return f"; {' and '.join(parts)} on two cores without a GPU" if parts else ""


def scored_tokens(recipe: Recipe, inputs: Inputs) -> float | None:
    """Tokens that go through the student: a question once, a right rationale once a pass."""
    if "score" not in recipe.stages:
        return None
    found = (inputs.num_problems, inputs.question_characters, inputs.candidate_characters)
    if None in found or inputs.candidates is None:
        return None
    problems, question, rationale = (float(value or 0) for value in found)
    problems = min(problems, recipe.limit or problems)
    right = inputs.candidates * recipe.estimate.share_correct
    read = question + right * rationale * score_passes(recipe.score)
    return problems * read / recipe.estimate.characters_per_token


def trained_tokens(recipe: Recipe, inputs: Inputs) -> float | None:
    """Tokens of all epochs, of as many examples as selection is expected to keep."""
    if TRAIN not in recipe.stages or inputs.num_problems is None:
        return None
    book = Expected(recipe, inputs, Observed())
    return book.records(TRAIN) * book.usage(TRAIN).prompt_tokens


def _words(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 1.5 * size:
            return f"about {seconds / size:.0f} {unit}"
    return "about a minute" if seconds > 30 else "less than a minute"
