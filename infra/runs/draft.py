"""The problems of a run that was not started yet, as its ingest would find them.

Invariant: the corpus is only read. What it lacks is taken in by the run's own ingest, into a corpus
of its own that lies beside it while queries see both; a problem that is stored already is in one of
them only.

    draft = draft_run(database, plan, intake, folder=scratch, settings=settings)
    connect({table: [*files, *draft.parts.get(table, ())] for table, files in stored.items()})
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.runs.intake import Intake, take_in
from infra.runs.plan import RunPlan
from infra.runs.run import Run
from infra.settings import Settings
from infra.storage import Corpus
from sql.database import Database
from tasks.schemas import Candidate, Membership, Problem, Row

TAKEN_IN = (Problem.table, Membership.table, Candidate.table)


@dataclass(frozen=True, kw_only=True)
class Draft:
    """Files beside the corpus' own, by table; `splits`: those whose problems are all known."""

    parts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    splits: frozenset[str] = frozenset()


def draft_run(
    database: Database, plan: RunPlan, intake: Intake, *, folder: Path, settings: Settings,
    can_read: bool = True, on_progress: Callable[[int], None] = lambda _: None,
) -> Draft:  # fmt: skip
    """What a stored run of the same files has read, else what is read now, into `folder`.

    Without `can_read` (data sets of the hub, where nothing may be asked over the network) the
    problems behind those of the stored runs stay unknown. Raises IngestError.
    """
    stored = _members_stored(database, intake)
    wanted = {"train", *(["eval"] if intake.eval_problems else [])}
    known = {split for split in wanted if _has_all(stored.get(split, ()), _limit(intake, split))}
    is_read = known != wanted and can_read
    with _DraftRun(plan, database, folder=folder, settings=settings) as run:
        if is_read:
            take_in(run, intake, on_progress)
        else:
            _write_members(run, [one for split in wanted for one in stored.get(split, ())])
    parts = Corpus(folder).parts()
    return Draft(
        parts={table: parts[table] for table in TAKEN_IN},
        splits=frozenset(wanted if is_read else known),
    )


class _DraftRun(Run):
    """Stores in a corpus of its own what the corpus it is drafted for has not."""

    def __init__(
        self, plan: RunPlan, database: Database, *, folder: Path, settings: Settings
    ) -> None:
        super().__init__(plan, corpus=folder, settings=settings)
        self._known = {row[0] for row in database.run_file("runs", "stored_inputs").rows}

    def write(
        self, input_id: str, rows: list[Row], *, stage: str, shard: int | None = None
    ) -> None:
        """See Run."""
        of_stage = self.plan.fingerprints.get(stage, "")
        if new := [row for row in rows if row.content_id(of_stage) not in self._known]:
            super().write(input_id, new, stage=stage, shard=shard)


def _limit(intake: Intake, split: str) -> int | None:
    return intake.limit if split == "train" else intake.eval_limit


def _members_stored(database: Database, intake: Intake) -> dict[str, list[dict[str, Any]]]:
    """By split, in order: the first of them, or all."""
    variables = {
        "train_limit": intake.limit, "eval_limit": intake.eval_limit,
        "shard_size": intake.shard_size,
    }  # fmt: skip
    found: dict[str, list[dict[str, Any]]] = {}
    for row in database.run_file("runs", "draft_members", variables=variables).records():
        found.setdefault(row["split"], []).append(row)
    return found


def _has_all(members: Sequence[Mapping[str, Any]], limit: int | None) -> bool:
    return bool(members) and (members[0]["is_all"] or len(members) == limit)


def _write_members(run: Run, members: Sequence[Mapping[str, Any]]) -> None:
    columns = ("problem_id", "split", "shard", "position", "benchmark", "family")
    with run.writer.together():
        for one in members:
            row = Membership(member_of=run.run_id, **{name: one[name] for name in columns})
            run.write(row.problem_id, [row], stage="ingest", shard=row.shard)
    run.writer.flush()
