"""A corpus of a dozen students of the recipe nano that nobody trained, by CorpusWriter.

Their training sets differ in the length of the chains and in how far these were compressed, and
what they come to follows from that: longer chains make accurate and slow students.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.recipes.plan import draft_plan
from flows.recipes.recipe import Recipe
from flows.session import Order, resolve_recipe
from infra.runs.plan import RunPlan
from infra.storage import CorpusWriter
from tasks.schemas import (
    Evaluation,
    Example,
    Membership,
    Model,
    Problem,
    Rationale,
    Row,
    Run,
    Score,
    Selection,
    content_id,
)

NUM_PROBLEMS, NUM_QUESTIONS = 6, 40
BENCHMARK = "nano:eval"


@dataclass(frozen=True)
class Made:
    """A training set. `seed` makes it another run; `tokens` are of an original chain; `more` are
    further settings of its recipe."""

    seed: int
    tokens: int
    rate: float = 0.5
    more: tuple[str, ...] = ()

    @property
    def overrides(self) -> tuple[str, ...]:
        return (f"seed={self.seed}", *self.more)

    def order(self, folder: Path) -> Order:
        return Order(recipe="nano", corpus=str(folder), overrides=self.overrides)

    def tokens_with(self, compress: bool) -> int:
        return round(self.tokens * self.rate) if compress else self.tokens

    def num_right(self, compress: bool) -> int:
        """Of the questions, and a little that nobody could know."""
        share = 0.2 + 0.5 * math.log(self.tokens_with(compress) / 10) / math.log(20)
        return round(NUM_QUESTIONS * share) + (self.seed % 3) - 1


STUDENTS = [
    Made(seed=number, tokens=tokens, rate=rate)
    for number, (tokens, rate) in enumerate(
        [(30, 0.5), (40, 0.8), (50, 0.3), (60, 0.6), (75, 0.4), (90, 0.7), (105, 0.5), (120, 0.3),
         (140, 0.6), (160, 0.4), (180, 0.8), (195, 0.5)]
    )
]  # fmt: skip
SHORT, LONG = Made(seed=100, tokens=35), Made(seed=101, tokens=170)


def plan_of(made: Made) -> tuple[Recipe, RunPlan]:
    recipe = resolve_recipe(made.order(Path("unused")))
    return recipe, draft_plan(recipe)


def write_students(folder: Path, students: Sequence[Made], *, untrained: Sequence[Made]) -> None:
    """All of them, and the examples alone of those that are yet to be trained."""
    with CorpusWriter(folder) as writer, writer.together():
        for made in (*students, *untrained):
            recipe, plan = plan_of(made)
            rows = _examples(made, plan)
            if made in students:
                rows += _student(made, recipe, plan, rows)
            for number, (stage, row) in enumerate(rows):
                writer.finish(
                    f"{made.seed}:{number}", [row],
                    stage_fingerprint=plan.fingerprints.get(stage, ""), run_id=plan.run_id,
                )  # fmt: skip


def _examples(made: Made, plan: RunPlan) -> list[tuple[str, Row]]:
    """The run, its problems, and an original and a compressed example of each."""
    run = Run(
        recipe=plan.recipe, resolved=plan.resolved, versions="{}",
        fingerprints=json.dumps(dict(plan.fingerprints), sort_keys=True),
    )  # fmt: skip
    assert run.content_id() == plan.run_id
    rows: list[tuple[str, Row]] = [("run", run)]
    for number in range(NUM_PROBLEMS):
        problem = Problem(source="s", question=f"q{number}", answer="1", answer_type="math")
        pid = problem.content_id()
        member = Membership(
            member_of=plan.run_id, problem_id=pid, split="train", shard=0, position=number
        )
        rows += [("ingest", problem), ("ingest", member)]
        long = _chain(pid, kind="long", num_tokens=made.tokens)
        parent = long.content_id(plan.fingerprints["generate"])
        short = _chain(
            pid, kind="compressed", parent_id=parent, round=1 + number % 2, chosen=True,
            num_tokens=made.tokens_with(compress=True),
        )  # fmt: skip
        for stage, condition, chain in (
            ("generate", "original", long), ("compress", "compressed", short),
        ):  # fmt: skip
            rationale_id = chain.content_id(plan.fingerprints[stage])
            score = Score(
                rationale_id=rationale_id, problem_id=pid, student=plan.counter.model,
                num_tokens=chain.num_tokens, num_answer_tokens=1, ppl_answer=2.0, rd=0.5,
                ppl_rationale=2.0 + made.rate, ppl_answer_given_rationale=1.0,
            )  # fmt: skip
            chosen = Selection(
                rationale_id=rationale_id, problem_id=pid, condition=condition, kept=True,
                filter="kept", reason="kept",
            )  # fmt: skip
            example = Example(
                rationale_id=rationale_id, problem_id=pid, condition=condition, prompt="q",
                completion="c", num_tokens=chain.num_tokens,
            )  # fmt: skip
            rows += [(stage, chain), ("score", score), ("select", chosen), ("mix", example)]
    return rows


def _chain(problem_id: str, **columns: object) -> Rationale:
    values: dict[str, object] = {
        "problem_id": problem_id, "model": "m", "engine": "e", "text": "t", "verdict": "correct",
        "finish_reason": "stop", **columns,
    }  # fmt: skip
    return Rationale(**values)  # type: ignore[arg-type]


def _student(
    made: Made, recipe: Recipe, plan: RunPlan, rows: Sequence[tuple[str, Row]]
) -> list[tuple[str, Row]]:
    """The trained student and its answers."""
    fingerprint = plan.fingerprints["mix"]
    ids = sorted(row.content_id(fingerprint) for stage, row in rows if stage == "mix")
    model = Model(
        base=plan.counter.model, recipe=plan.recipe, data_fingerprint=content_id(ids), path="w",
        num_parameters=1, num_examples=len(ids), num_steps=1, train_tokens=1, train_loss=1.0,
        train_seconds=1.0, world_size=1, settings=recipe.train.model_dump_json(),
    )  # fmt: skip
    model_id = model.content_id(plan.fingerprints["train"])
    answers = [
        Evaluation(
            model_id=model_id, role="trained", benchmark=BENCHMARK, problem_id=f"e{number}",
            compress=compress, text="t", num_tokens=made.tokens_with(compress),
            verdict="correct" if number < made.num_right(compress) else "wrong",
            finish_reason="stop", settings='{"temperature": 0}',
        )
        for compress in (False, True)
        for number in range(NUM_QUESTIONS)
    ]  # fmt: skip
    return [("train", model), *(("evaluate-trained", answer) for answer in answers)]
