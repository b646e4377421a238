"""Takes problems (and imported rationales) into the corpus, once a run.

Invariant: an input row becomes a problem with its membership, or a rejection; a question that is
held out for evaluation, or nearly, is never trained on, whatever its answer is taken for. The run's
own row is written last, so finding it means ingest is complete.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice

from infra.nano.files import resolve_nano
from infra.runs.run import Run
from infra.runs.versions import versions
from tasks.intake.columns import Resolved
from tasks.intake.held_out import HeldOut
from tasks.intake.hygiene import HygieneConfig, NearDuplicates, held_out_questions, screen
from tasks.intake.problems import (
    IngestedProblem,
    IngestError,
    Item,
    SameGold,
    SourceConfig,
    read_problems,
    read_questions,
)
from tasks.intake.wording import wording
from tasks.ports import Grader
from tasks.schemas import Membership, Rejection, Row
from tasks.schemas import Run as RunRow

BATCH_ROWS = 256  # stored in one transaction
MAX_PAIRS = 10_000  # of golds that the verifier compares; of further ones the wording decides
MAX_NOTES = 20
PACKAGES = (
    "litecot", "prefect", "ray", "torch", "transformers", "deepspeed", "pyarrow", "duckdb",
)  # fmt: skip
WARNINGS = {
    "nul_removed": "NUL characters were removed",
    "surrogate_replaced": "a lone surrogate was replaced by U+FFFD",
    "control_text_in_question": "the question spells a control token; endpoints refuse it",
    "control_text_in_candidate": "a rationale spells a control token; endpoints refuse it",
    "no_candidates": "brings no rationale",
    "empty_candidate": "an empty rationale was left out",
    "labels_do_not_line_up": "there are not as many labels as rationales; labels are left out",
    "unreadable_label": "a label is neither true nor false; left out",
    "ambiguous_gold": "the gold answer could name another option, too (docs/recipes.md, Inputs)",
    "unknown_answer_type": "the answer type is unknown; it was guessed",
}


@dataclass(frozen=True, kw_only=True)
class Intake:
    """What is to be read. `held_out` is only looked at: nothing like it is trained on."""

    problems: Sequence[str]
    eval_problems: Sequence[str] = ()
    held_out: Sequence[str] = ()
    source: SourceConfig = field(default_factory=SourceConfig)
    hygiene: HygieneConfig = field(default_factory=HygieneConfig)
    limit: int | None = None
    eval_limit: int | None = None
    shard_size: int = 1000


@dataclass
class IntakeReport:
    """What was read. `notes` are lines a person should see, the first MAX_NOTES of them."""

    num_problems: int = 0
    num_eval: int = 0
    num_candidates: int = 0
    removed: Counter[str] = field(default_factory=Counter)  # reason -> rows and rationales
    is_new: bool = True
    notes: list[str] = field(default_factory=list)
    num_unsaid: int = 0

    def note(self, line: str) -> None:
        if len(self.notes) < MAX_NOTES:
            self.notes.append(line)
        else:
            self.num_unsaid += 1

    @property
    def removals(self) -> str:
        """What was removed, by reason, the most frequent first; empty where nothing was."""
        return ", ".join(f"{count} {reason}" for reason, count in self.removed.most_common())

    def lines(self) -> list[str]:
        """For a person: the notes, and what was removed with the way to see it."""
        more = f"and {self.num_unsaid} more lines like these"
        removed = f"removed at ingest: {self.removals} (`litecot ask removed_at_ingest` says more)"
        return [*self.notes, *[more] * bool(self.num_unsaid), *[removed] * bool(self.removals)]


def take_in(
    run: Run,
    intake: Intake,
    on_progress: Callable[[int], None],
    *,
    go_on: Callable[[], None] = lambda: None,
) -> IntakeReport:
    """Read all inputs of the run, unless an earlier invocation did. Raises IngestError.

    `go_on` is called now and then; what it raises ends the reading. Not to be called in an event
    loop: the grader is asked in one of its own.
    """
    if is_taken_in(run):
        return IntakeReport(is_new=False)
    report, same_gold = IntakeReport(), golds_compared_by(run.grader)

    def advance(num_rows: int) -> None:
        go_on()
        on_progress(num_rows)

    evaluated = _evaluation(intake, report, same_gold)
    ids = _take_split(run, intake, "eval", evaluated, report, advance)
    sets = [*intake.eval_problems, *intake.held_out]
    held_out = read_held_out(sets, intake.hygiene, ids=ids)
    go_on()
    items = _training(intake, report, held_out, same_gold)
    _take_split(run, intake, "train", items, report, advance)
    if intake.problems and not report.num_problems and report.removed:
        raise IngestError(
            f"all problems were removed at ingest ({report.removals}), nothing is left to work on: "
            "is an input an evaluation set too?"
        )
    row = _run_row(run, report.num_problems + report.num_eval, report.num_candidates)
    run.write(run.run_id, [row], stage="ingest")
    run.writer.flush()
    return report


def is_taken_in(run: Run) -> bool:
    """Whether the run's row, which ingest writes last, is there, and all that it counted."""
    return bool(run.latest().run_file("runs", "runs_taken_in").rows)


def read_held_out(
    names: Sequence[str], config: HygieneConfig, *, ids: Mapping[str, str]
) -> HeldOut:
    """The questions of evaluation sets, all of them; `ids`: wording -> problem id of the run's.

    Raises IngestError.
    """
    locations = list(dict.fromkeys(resolve_nano(name) for name in names))
    return held_out_questions(read_questions(locations) if locations else (), config, ids=ids)


def golds_compared_by(grader: Grader) -> SameGold:
    """Two golds are one where each is a correct answer to the other, for the first MAX_PAIRS.

    Either way, for a gold may be a wider answer than the other. Few are asked for: those of
    problems of one wording. The grader bounds what each may cost.
    """
    num_compared = 0

    @lru_cache(maxsize=4096)
    def same(answer: str, answer_type: str, other: str, other_type: str) -> bool:
        nonlocal num_compared
        num_compared += 1
        if num_compared > MAX_PAIRS:
            return False
        return asyncio.run(_is_same_gold(grader, (answer, answer_type), (other, other_type)))

    return same


async def _is_same_gold(grader: Grader, one: tuple[str, str], other: tuple[str, str]) -> bool:
    for (gold, answer_type), (stated, _) in ((one, other), (other, one)):
        graded = await grader.grade(
            f"<answer>{stated}</answer>", answer=gold, answer_type=answer_type, truncated=False
        )
        if graded.verdict != "correct":
            return False
    return True


def _evaluation(intake: Intake, report: IntakeReport, same_gold: SameGold) -> Iterator[Item]:
    items = _read(intake.eval_problems, SourceConfig(candidates="ignore"), report, same_gold)
    return _first(items, intake.eval_limit)


def _training(
    intake: Intake, report: IntakeReport, held_out: HeldOut, same_gold: SameGold
) -> Iterator[Item]:
    config = intake.hygiene
    items = screen(
        _read(intake.problems, intake.source, report, same_gold),
        held_out=held_out,
        near=NearDuplicates(config) if config.near_duplicates else None,
        check_rationales=config.check_rationales,
    )
    return _first(items, intake.limit)


def _read(
    names: Sequence[str], config: SourceConfig, report: IntakeReport, same_gold: SameGold
) -> Iterable[Item]:
    locations = [resolve_nano(name) for name in names]
    if not locations:
        return ()
    return read_problems(
        locations, config, on_resolved=lambda one: _note_guess(one, report), same_gold=same_gold
    )


def _first(items: Iterable[Item], limit: int | None) -> Iterator[Item]:
    """Up to the problem after the first `limit`."""
    count = 0
    for item in items:
        if isinstance(item, IngestedProblem) and item.is_new:
            if count == limit:
                return
            count += 1
        yield item


def _take_split(
    run: Run,
    intake: Intake,
    split: str,
    items: Iterator[Item],
    report: IntakeReport,
    on_progress: Callable[[int], None],
) -> dict[str, str]:
    """Store the items of a split; for evaluation, wording -> problem id of what was taken in."""
    ids: dict[str, str] = {}
    count = 0
    while batch := list(islice(items, BATCH_ROWS)):
        with run.writer.together():
            for item in batch:
                if isinstance(item, Rejection):
                    _write_rejection(run, item, report)
                    continue
                _write_problem(run, item, split=split, position=count, size=intake.shard_size)
                count += item.is_new
                if split == "eval":
                    ids[wording(item.problem.question)] = item.problem_id
                _tally(item, split, report, count)
        on_progress(report.num_problems + report.num_eval)
    return ids


def _write_rejection(run: Run, item: Rejection, report: IntakeReport) -> None:
    if item.twin is None:  # what hygiene removed is summed up instead
        report.note(f"rejected: {item.detail}")
    report.removed[item.reason] += 1
    run.write(item.record_id, [item], stage="ingest")


def _note_guess(resolved: Resolved, report: IntakeReport) -> None:
    columns = resolved.columns.model_dump()
    if any(columns[name] != name for name in resolved.guessed):
        report.note(resolved.describe())


def _write_problem(
    run: Run, item: IngestedProblem, *, split: str, position: int, size: int
) -> None:
    problem_id, shard = item.problem_id, position // size
    if not item.is_new:  # stored already: these are more rationales for it
        run.write(problem_id, list(item.candidates), stage="ingest")
        return
    membership = Membership(
        member_of=run.run_id,
        problem_id=problem_id,
        split=split,
        shard=shard,
        position=position,
        benchmark=item.problem.source if split == "eval" else None,
        family=item.family if split == "eval" else None,
    )
    rows: list[Row] = [item.problem, membership, *item.candidates]
    run.write(problem_id, rows, stage="ingest", shard=shard)


def _tally(item: IngestedProblem, split: str, report: IntakeReport, count: int) -> None:
    if split == "train":
        report.num_problems = count
    else:
        report.num_eval = count
    report.num_candidates += len(item.candidates)
    where = f"{item.problem.source}:{item.problem.line}"
    for name in item.warnings:
        report.note(f"{where}: {WARNINGS.get(name, name)}")


def _run_row(run: Run, num_problems: int, num_candidates: int = 0) -> RunRow:
    return RunRow(
        num_problems=num_problems,
        num_candidates=num_candidates,
        recipe=run.plan.recipe,
        resolved=run.plan.resolved,
        settings=run.plan.settings,
        fingerprints=json.dumps(dict(run.plan.fingerprints), sort_keys=True),
        versions=versions(*PACKAGES),
        prompts=json.dumps(run.plan.prompts(), sort_keys=True),
        prompt_texts=json.dumps(run.plan.prompt_texts(), sort_keys=True),
    )
