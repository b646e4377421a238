"""Everything the selected run knows about one problem, as a tree: what `litecot show ID` prints.

Invariant: each row of the run about the problem appears once: a chain under the chain it was made
from, its scores, selections, examples and rejections under the chain; the rest beside the problem.
Answers of evaluated models are those of any run, each with the settings it was asked with.

    lineage(database, "9f0c").chains[0].children[1].selections[0].kept
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sql.database import Database
from tasks.errors import UsageError

Found = dict[str, Any]  # a row of sql/analyses/lineage.sql
MAX_NAMED = 3


class UnknownIdError(UsageError):
    """No row, or rows of several problems, have an id that starts so."""


@dataclass(frozen=True, kw_only=True)
class ScoreLine:
    score_id: str
    student: str
    num_tokens: int
    rd: float


@dataclass(frozen=True, kw_only=True)
class SelectionLine:
    selection_id: str
    condition: str
    kept: bool
    reason: str  # "filter: reason"
    rank: int | None


@dataclass(frozen=True, kw_only=True)
class ExampleLine:
    example_id: str
    condition: str
    num_tokens: int


@dataclass(frozen=True, kw_only=True)
class RejectionLine:
    rejection_id: str
    record_id: str
    stage: str
    reason: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class DifficultyLine:
    difficulty_id: str
    teacher_level: str | None
    level: str
    difficulty: float


@dataclass(frozen=True, kw_only=True)
class EvaluationLine:
    evaluation_id: str
    model_id: str
    role: str
    compress: bool
    verdict: str
    num_tokens: int
    extracted_answer: str | None
    stated_as: str | None
    sample: int
    is_cut_off: bool
    settings: str  # JSON; of rows of older versions the run's id
    text: str


@dataclass(frozen=True, kw_only=True)
class Chain:
    """A rationale with what was made from it and what was decided about it."""

    rationale_id: str
    kind: str
    model: str
    candidate: int
    round: int
    level: str | None
    num_tokens: int
    verdict: str
    extracted_answer: str | None
    stated_as: str | None
    chosen: bool | None
    stop_reason: str  # why compression stopped, else why generation did
    text: str
    children: tuple[Chain, ...]
    scores: tuple[ScoreLine, ...]
    selections: tuple[SelectionLine, ...]
    examples: tuple[ExampleLine, ...]
    rejections: tuple[RejectionLine, ...]


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """One problem. `chains` are those made from no other; `splits` is where the run uses it."""

    problem_id: str
    matched: tuple[str, ...]  # ids that start as asked
    question: str
    answer: str
    source: str
    splits: tuple[str, ...]
    difficulties: tuple[DifficultyLine, ...]
    chains: tuple[Chain, ...]
    rejections: tuple[RejectionLine, ...]
    evaluations: tuple[EvaluationLine, ...]


def lineage(database: Database, row_id: str) -> Lineage:
    """The problem that the row `row_id` (an id of any table, or its start) is about.

    Raises UnknownIdError: unknown, ambiguous, about no problem, or of another run.
    """
    row_id = row_id.strip().lower()
    matched = _find(database, row_id)
    rows = database.run_file("analyses", "lineage", variables={"id": row_id}).records()
    tables: dict[str, list[Found]] = defaultdict(list)
    for row in rows:
        tables[row["table_name"]].append(row)
    if not tables["problems"]:
        runs = ", ".join(sorted({str(row["run_id"]) for row in matched}))
        raise UnknownIdError(
            f"{row_id}: is not in run {database.run_id or '(none)'}; first stored by run {runs}"
        )
    return _problem(tables, tuple(str(row["id"]) for row in matched))


def is_about_a_problem(database: Database, row_id: str) -> bool:
    """Whether some row about a problem has an id that starts so."""
    found = database.run_file("analyses", "find_id", variables={"id": row_id.strip().lower()})
    return bool(row_id.strip()) and any(row["problem_id"] for row in found.records())


def _find(database: Database, row_id: str) -> list[Found]:
    if not row_id:
        raise UnknownIdError("an id, or its first characters, is needed")
    matched = database.run_file("analyses", "find_id", variables={"id": row_id}).records()
    problems = {row["problem_id"] for row in matched if row["problem_id"]}
    if not matched:
        raise UnknownIdError(f"{row_id}: no row of this corpus has an id that starts so")
    if not problems:
        raise UnknownIdError(f"{row_id}: a row of {matched[0]['table_name']}, about no problem")
    if len(problems) > 1:
        some = ", ".join(f"{row['id']} ({row['table_name']})" for row in matched[:MAX_NAMED])
        raise UnknownIdError(f"{row_id}: several ids start so, give more of it: {some}, ...")
    return matched


def _problem(tables: Mapping[str, Sequence[Found]], matched: tuple[str, ...]) -> Lineage:
    problem = tables["problems"][0]
    rationales = {row["id"] for row in tables["rationales"]}
    roots = [row for row in tables["rationales"] if row["parent_id"] not in rationales]
    loose = [row for row in tables["rejections"] if row["parent_id"] not in rationales]
    return Lineage(
        problem_id=problem["id"],
        matched=matched,
        question=problem["text"],
        answer=problem["answer"],
        source=problem["label"],
        splits=tuple(row["outcome"] for row in tables["problems"]),
        difficulties=tuple(map(_difficulty, tables["difficulties"])),
        chains=tuple(_chain(row, tables) for row in roots),
        rejections=tuple(map(_rejection, loose)),
        evaluations=tuple(map(_evaluation, tables["evaluations"])),
    )


def _chain(row: Found, tables: Mapping[str, Sequence[Found]]) -> Chain:
    below: dict[str, list[Found]] = {
        name: [child for child in tables[name] if child["parent_id"] == row["id"]]
        for name in ("rationales", "scores", "selections", "examples", "rejections")
    }
    return Chain(
        rationale_id=row["id"],
        kind=row["label"],
        model=row["model"],
        candidate=row["candidate"],
        round=row["round"],
        level=row["level"],
        num_tokens=row["num_tokens"],
        verdict=row["outcome"],
        extracted_answer=row["answer"],
        stated_as=row["stated_as"],
        chosen=row["chosen"],
        stop_reason=row["reason"],
        text=row["text"],
        children=tuple(_chain(child, tables) for child in below["rationales"]),
        scores=tuple(map(_score, below["scores"])),
        selections=tuple(map(_selection, below["selections"])),
        examples=tuple(map(_example, below["examples"])),
        rejections=tuple(map(_rejection, below["rejections"])),
    )


def _score(row: Found) -> ScoreLine:
    return ScoreLine(
        score_id=row["id"], student=row["label"], num_tokens=row["num_tokens"], rd=row["measure"]
    )


def _selection(row: Found) -> SelectionLine:
    return SelectionLine(
        selection_id=row["id"],
        condition=row["label"],
        kept=row["outcome"] == "kept",
        reason=row["reason"],
        rank=row["rank"],
    )


def _example(row: Found) -> ExampleLine:
    return ExampleLine(example_id=row["id"], condition=row["label"], num_tokens=row["num_tokens"])


def _rejection(row: Found) -> RejectionLine:
    return RejectionLine(
        rejection_id=row["id"],
        record_id=row["parent_id"],
        stage=row["label"],
        reason=row["reason"],
        detail=row["text"],
    )


def _difficulty(row: Found) -> DifficultyLine:
    return DifficultyLine(
        difficulty_id=row["id"],
        teacher_level=row["label"],
        level=row["outcome"],
        difficulty=row["measure"],
    )


def _evaluation(row: Found) -> EvaluationLine:
    return EvaluationLine(
        evaluation_id=row["id"],
        model_id=row["parent_id"],
        role=row["label"],
        compress=bool(row["round"]),
        verdict=row["outcome"],
        num_tokens=row["num_tokens"],
        extracted_answer=row["answer"],
        stated_as=row["stated_as"],
        sample=row["candidate"],
        is_cut_off=row["reason"] == "length",
        settings=row["settings"],
        text=row["text"],
    )
