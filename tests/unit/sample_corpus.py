"""A small corpus with one of everything, written through CorpusWriter: the oracle of the SQL tests.

P0 goes all the way; P1's rewrite is rejected; P2 is never answered; P3 is held out. A second run
works on P0 with other settings: nothing of it may show when the first run is selected.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.storage import CorpusWriter
from tasks.schemas import (
    TABLES,
    Candidate,
    Difficulty,
    Evaluation,
    Example,
    Forecast,
    Invocation,
    Membership,
    Model,
    Perplexity,
    Problem,
    Rationale,
    Rejection,
    Row,
    Run,
    Score,
    Selection,
    TrainingStep,
)

STAGES = ("ingest", "verify", "generate", "difficulty", "rewrite", "compress", "score", "select",
          "mix", "measure", "train", "evaluate-base", "evaluate-trained")  # fmt: skip
FINGERPRINTS = {stage: f"fp-{stage}" for stage in STAGES}
OTHER_FINGERPRINTS = {stage: f"fp2-{stage}" for stage in STAGES}
RUN = Run(recipe="sample", resolved="{}", fingerprints=json.dumps(FINGERPRINTS), versions="{}")
OTHER = Run(
    recipe="sample", resolved="{}", fingerprints=json.dumps(OTHER_FINGERPRINTS), versions="{}"
)
RUN_ID, OTHER_ID = RUN.content_id(), OTHER.content_id()
PROBLEMS = [
    Problem(source="sample", question=f"What is {i} + 1?", answer=str(i + 1), answer_type="math")
    for i in range(4)
]
P0, P1, P2, P3 = (problem.content_id() for problem in PROBLEMS)


@dataclass(frozen=True)
class Made:
    """A row as a stage of the first run makes it."""

    stage: str
    row: Row
    input_id: str = "input"

    @property
    def id(self) -> str:
        return self.row.content_id(FINGERPRINTS.get(self.stage, ""))


def problem(number: int) -> Made:
    return Made("ingest", PROBLEMS[number])


def member(problem_id: str, *, split: str = "train", run_id: str = RUN_ID) -> Made:
    place = [P0, P1, P2, P3].index(problem_id)
    return Made(
        "ingest",
        Membership(
            member_of=run_id, problem_id=problem_id, split=split, shard=place // 2, position=place
        ),
    )


def rationale(stage: str, problem_id: str, **columns: Any) -> Made:
    defaults: dict[str, Any] = {
        "kind": "long", "model": "teacher", "engine": "test", "text": "1 + 1 = 2",
        "verdict": "correct",
        "num_tokens": 100, "finish_reason": "stop", "num_requests": 1, "prompt_tokens": 10,
        "completion_tokens": 100, "latency_s": 0.5,
    }  # fmt: skip
    return Made(stage, Rationale(problem_id=problem_id, **{**defaults, **columns}))


def score(rationale_id: str, rd: float) -> Made:
    row = Score(
        rationale_id=rationale_id, problem_id=P0, student="student", num_tokens=9,
        num_answer_tokens=2, ppl_rationale=2.0, ppl_answer=4.0,
        ppl_answer_given_rationale=2.0, rd=rd,
    )  # fmt: skip
    return Made("score", row)


def selection(rationale_id: str, condition: str, **columns: Any) -> Made:
    kept = {"kept": True, "filter": "kept", "reason": "kept", "rank": 1, "rd": 0.5}
    row = Selection(
        rationale_id=rationale_id, problem_id=P0, condition=condition, **{**kept, **columns}
    )
    return Made("select", row)


def example(rationale_id: str, condition: str) -> Made:
    row = Example(
        rationale_id=rationale_id, problem_id=P0, condition=condition, prompt="What is 0 + 1?",
        completion="1", num_tokens=40,
    )  # fmt: skip
    return Made("mix", row)


def evaluation(role: str, *, compress: bool, verdict: str, num_tokens: int) -> Made:
    row = Evaluation(
        model_id=f"{role}-student", role=role, benchmark="sample", problem_id=P3, compress=compress,
        text="4", num_tokens=num_tokens, verdict=verdict, finish_reason="stop", num_requests=1,
        prompt_tokens=5, completion_tokens=num_tokens, latency_s=0.25,
    )  # fmt: skip
    return Made(f"evaluate-{role}", row)


LONG = rationale("generate", P0)
LONG_WRONG = rationale("generate", P0, candidate=1, num_tokens=120, verdict="wrong")
IMPORTED = rationale(
    "verify", P1, model="brought", num_tokens=200, recorded_correct=False, extracted_answer="2",
    finish_reason="imported", num_requests=0, prompt_tokens=0, completion_tokens=0, latency_s=0.0,
)  # fmt: skip
UNANSWERED = rationale("generate", P2, num_tokens=50, verdict="no_answer")
REWRITTEN = rationale(
    "rewrite", P0, kind="rewritten", parent_id=LONG.id, level="easy", num_tokens=60
)
ROUND_1 = rationale(
    "compress", P0, kind="compressed", parent_id=REWRITTEN.id, level="easy", round=1, num_tokens=30,
    chosen=True, model="compressor",
)  # fmt: skip
ROUND_2 = rationale(
    "compress", P0, kind="compressed", parent_id=REWRITTEN.id, level="easy", round=2, num_tokens=36,
    chosen=False, stop_reason="rebound", model="compressor",
)  # fmt: skip


def difficulty(problem_id: str, level: str, value: float) -> Made:
    row = Difficulty(
        problem_id=problem_id, teacher_level=level, type_score=value, step_score=value,
        error_rate=value, measured=value, difficulty=value, level=level, model="teacher",
        num_requests=1, prompt_tokens=20, completion_tokens=4, latency_s=0.1,
    )  # fmt: skip
    return Made("difficulty", row)


REJECTED = Made(
    "rewrite",
    Rejection(
        record_id=P1, problem_id=P1, stage="rewrite", reason="answer_changed", detail="said 3",
        model="teacher", num_requests=3, prompt_tokens=60, completion_tokens=30, latency_s=1.5,
    ),
)  # fmt: skip
UNREADABLE = Made(
    "ingest", Rejection(record_id="sample:5", stage="ingest", reason="not_json", detail="line 5")
)
MODEL = Made(
    "train",
    Model(
        base="student", recipe="sample", data_fingerprint="d", path="weights/m", num_parameters=1,
        num_examples=2, num_too_long=1, num_steps=3, train_tokens=4, train_loss=0.5,
        train_seconds=6.0, world_size=1, num_held_out=1, held_out_loss=0.75, tokens_held_out=9,
        engine="DeepSpeedEngine", zero_stage=2, optimizer="DeepSpeedZeroOptimizer",
        batching="grouped", kept_step=3, num_attempts=2, learnt_tokens=3, tokens_too_long=150,
        peak_memory_bytes=2**30, device="cpu", device_hours=0.5, versions='{"torch": "2.11"}',
        settings='{"epochs": 1, "learning_rate": 0.003, "seed": 233}',
    ),
)  # fmt: skip


def training_step(step: int, *, attempt: int = 1, held_out_loss: float | None = None) -> Made:
    return Made(
        "train",
        TrainingStep(
            model_id=MODEL.id, base="student", step=step, num_steps=3, attempt=attempt,
            epoch=step / 3, loss=None if step == 0 else 4.0 - step + attempt / 8,
            learning_rate=None if step == 0 else 0.003, held_out_loss=held_out_loss,
            tokens=10 * step, tokens_per_s=5.0, peak_memory_bytes=2**30, seconds=2.0 * step,
        ),
    )  # fmt: skip


# The first attempt was lost after step 3, the second went on from step 1 and took one so far.
STEPS = (
    training_step(0, held_out_loss=5.0), *map(training_step, (1, 2, 3)),
    training_step(2, attempt=2, held_out_loss=0.75),
)  # fmt: skip


def perplexity(made: Made, value: float) -> Made:
    row = Perplexity(
        example_id=made.id, problem_id=P0, condition="original", student="student", num_tokens=40,
        perplexity=value,
    )  # fmt: skip
    return Made("measure", row)


FORECAST = Made(
    "run",
    Forecast(
        model_id=MODEL.id, recipe="sample", base="student", data_fingerprint="d",
        benchmark="sample", compress=False, target="accuracy", predicted=0.5, low=0.25, high=0.75,
        level=0.9, num_models=9, loo_error=0.125, loo_error_of_mean=0.25, features="{}", used="{}",
        method="test", rests_on="r",
    ),
)  # fmt: skip
INVOCATION = Made(
    "run",
    Invocation(
        started_at="2099-01-01T00:00:00", finished_at="2099-01-01T00:01:00", status="done",
        stage_seconds="{}", stage_rows="{}", num_requests=9, num_repeated=1,
    ),
)  # fmt: skip
EVALUATED = evaluation("base", compress=False, verdict="wrong", num_tokens=80)
EVERYTHING: tuple[Made, ...] = (
    Made("run", RUN), *(problem(i) for i in range(4)),
    *(member(problem_id) for problem_id in (P0, P1, P2)), member(P3, split="eval"),
    Made("ingest", Candidate(problem_id=P1, candidate=0, text="2", recorded_correct=False)),
    LONG, LONG_WRONG, IMPORTED, UNANSWERED,
    difficulty(P0, "easy", 0.25), difficulty(P1, "hard", 0.75),
    REWRITTEN, REJECTED, UNREADABLE, ROUND_1, ROUND_2,
    score(REWRITTEN.id, 0.5), score(ROUND_1.id, 0.75),
    selection(REWRITTEN.id, "original"), selection(ROUND_1.id, "compressed", rd=0.75),
    example(REWRITTEN.id, "original"), example(ROUND_1.id, "compressed"),
    perplexity(example(REWRITTEN.id, "original"), 4.0), MODEL, FORECAST,
    *STEPS,
    EVALUATED,
    evaluation("trained", compress=False, verdict="correct", num_tokens=60),
    evaluation("trained", compress=True, verdict="correct", num_tokens=20),
)  # fmt: skip


def write_rows(folder: Path, rows: Sequence[Made]) -> dict[str, list[str]]:
    """A corpus of `rows`, as the first run makes them; its parts."""
    with CorpusWriter(folder) as writer:
        for made in rows:
            writer.finish(
                made.input_id,
                [made.row],
                stage_fingerprint=FINGERPRINTS.get(made.stage, ""),
                run_id=RUN_ID,
            )
        writer.flush()
        return writer.parts()


def write_sample(folder: Path) -> dict[str, list[str]]:
    """EVERYTHING, another run's rows beside it, and the first run's invocation as the latest."""
    write_rows(folder, EVERYTHING)
    with CorpusWriter(folder) as writer:
        other: list[Row] = [OTHER, member(P0, run_id=OTHER_ID).row]
        writer.finish(OTHER_ID, other, stage_fingerprint="", run_id=OTHER_ID)
        writer.finish(
            P0,
            [rationale("generate", P0, num_tokens=999, verdict="wrong").row],
            stage_fingerprint=OTHER_FINGERPRINTS["generate"],
            run_id=OTHER_ID,
        )
    return write_rows(folder, [INVOCATION])


def sample_tables() -> list[str]:
    """Every table of the schema: the sample has rows in each."""
    return list(TABLES)
