"""Takes problems (and brought rationales) into the corpus, once a run.

Invariant: an input row becomes a problem with its membership, or a rejection; a question that is
also an evaluation question is never trained on, whatever its answer is taken for. The run's own row
is written last, so finding it means ingest is complete.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from infra.nano.files import resolve_nano
from infra.run import Run
from tasks.columns import Resolved
from tasks.ingest import IngestedProblem, SourceConfig, read_problems
from tasks.schemas import Membership, Rejection, Row
from tasks.schemas import Run as RunRow

PACKAGES = (
    "litecot", "prefect", "ray", "torch", "transformers", "deepspeed", "pyarrow", "duckdb",
)  # fmt: skip
WARNINGS = {
    "nul_removed": "NUL characters were removed",
    "surrogate_replaced": "a lone surrogate was replaced by U+FFFD",
    "control_text_in_question": "the question names a control token; it stays plain text",
    "control_text_in_candidate": "a rationale names a control token; it stays plain text",
    "no_candidates": "brings no rationale",
    "empty_candidate": "an empty rationale was left out",
    "labels_do_not_line_up": "there are not as many labels as rationales; labels are left out",
    "unreadable_label": "a label is neither true nor false; left out",
    "unknown_answer_type": "the answer type is unknown; it was guessed",
}


@dataclass(frozen=True, kw_only=True)
class Intake:
    """What is to be read."""

    problems: Sequence[str]
    eval_problems: Sequence[str] = ()
    source: SourceConfig = field(default_factory=SourceConfig)
    limit: int | None = None
    eval_limit: int | None = None
    shard_size: int = 1000


@dataclass
class IntakeReport:
    """What was read. `notes` are lines a person should see (guessed columns, odd rows)."""

    num_problems: int = 0
    num_eval: int = 0
    num_candidates: int = 0
    num_rejected: int = 0
    is_new: bool = True
    notes: list[str] = field(default_factory=list)


def take_in(run: Run, intake: Intake, on_progress: Callable[[int], None]) -> IntakeReport:
    """Read all inputs of the run, unless an earlier invocation did. Raises IngestError."""
    if is_taken_in(run):
        return IntakeReport(is_new=False)
    report = IntakeReport()
    held_out = _take_split(run, intake, "eval", report, {}, on_progress)
    _take_split(run, intake, "train", report, held_out, on_progress)
    row = _run_row(run, report.num_problems + report.num_eval, report.num_candidates)
    run.write(run.run_id, [row], stage="ingest")
    run.writer.flush()
    return report


def is_taken_in(run: Run) -> bool:
    """Whether the run's row, which ingest writes last, is there, and all that it counted.

    Candidates may be more: another run may have read more of them for the same problems.
    """
    found = run.database().run(
        "select 1 from raw_runs where run_id = getvariable('run_id')"
        " and num_problems = (select count(*) from stg_problems)"
        " and coalesce(num_candidates, 0) <= (select count(*) from stg_candidates)"
    )
    return bool(found.rows)


def _take_split(
    run: Run,
    intake: Intake,
    split: str,
    report: IntakeReport,
    held_out: Mapping[str, str],
    on_progress: Callable[[int], None],
) -> dict[str, str]:
    """Wording -> problem_id of what was taken in; what is worded like one of `held_out` is not."""
    names = intake.problems if split == "train" else intake.eval_problems
    limit = intake.limit if split == "train" else intake.eval_limit
    config = intake.source if split == "train" else SourceConfig(candidates="ignore")
    taken: dict[str, int] = {}
    wordings: dict[str, str] = {}
    if not names:
        return wordings
    locations = [resolve_nano(name) for name in names]
    for item in read_problems(locations, config, on_resolved=lambda one: _note_guess(one, report)):
        if isinstance(item, IngestedProblem):
            problem_id = item.problem.content_id()
            if problem_id not in taken and limit is not None and len(taken) >= limit:
                break
            wording = " ".join(item.problem.question.casefold().split())
            if twin := held_out.get(wording):
                item = _in_evaluation(item, twin)
            wordings.setdefault(wording, problem_id)
        if isinstance(item, Rejection):
            report.num_rejected += 1
            report.notes.append(f"rejected: {item.detail}")
            run.write(item.record_id, [replace(item, stage="ingest")], stage="ingest")
            continue
        position = taken.setdefault(problem_id, len(taken))
        _write_problem(run, item, split=split, position=position, size=intake.shard_size)
        _tally(item, split, report, len(taken))
        on_progress(report.num_problems + report.num_eval)
    return wordings


def _note_guess(resolved: Resolved, report: IntakeReport) -> None:
    columns = resolved.columns.model_dump()
    if any(columns[name] != name for name in resolved.guessed):
        report.notes.append(resolved.describe())


def _in_evaluation(item: IngestedProblem, twin: str) -> Rejection:
    where = f"{item.problem.source}:{item.problem.line}"
    return Rejection(
        record_id=item.problem.content_id(),
        problem_id=twin,
        stage="ingest",
        reason="in_evaluation_set",
        detail=f"{where}: is held out for evaluation, so it is not trained on",
    )


def _write_problem(
    run: Run, item: IngestedProblem, *, split: str, position: int, size: int
) -> None:
    problem_id = item.problem.content_id()
    membership = Membership(
        member_of=run.run_id,
        problem_id=problem_id,
        split=split,
        shard=position // size,
        position=position,
    )
    rows: list[Row] = [item.problem, membership, *item.candidates]
    run.write(problem_id, rows, stage="ingest")


def _tally(item: IngestedProblem, split: str, report: IntakeReport, count: int) -> None:
    if split == "train":
        report.num_problems = count
    else:
        report.num_eval = count
    report.num_candidates += len(item.candidates)
    where = f"{item.problem.source}:{item.problem.line}"
    report.notes += [f"{where}: {WARNINGS.get(name, name)}" for name in item.warnings]


def _run_row(run: Run, num_problems: int, num_candidates: int = 0) -> RunRow:
    return RunRow(
        num_problems=num_problems,
        num_candidates=num_candidates,
        recipe=run.plan.recipe,
        resolved=run.plan.resolved,
        fingerprints=json.dumps(dict(run.plan.fingerprints), sort_keys=True),
        versions=json.dumps({name: _version(name) for name in PACKAGES}),
    )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
