"""What the corpus knows of a run before it starts: what is done of it, what its records cost.

Invariant: the question what is left of a stage is the run's own (sql/pending.py), asked of the
problems that its ingest would find (infra/runs/draft.py); sums go over all rows of a fingerprint,
whichever run made them. What is not known is None, never a guess.

    Known(observed=Observed(records={"generate": StageRecords(num_inputs=320, num_done=100)}))
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from flows.costs.expected import Chains, Examples, Observed, StageRecords, Trend
from flows.progress.slow import shown_if_slow
from flows.recipes.assumptions import Assumptions
from flows.recipes.intake import intake_of
from flows.recipes.missing import is_read_from_hub
from flows.recipes.plan import upstream_of
from flows.recipes.recipe import Recipe
from infra.runs.draft import Draft, draft_run
from infra.runs.plan import TRAIN, RunPlan
from infra.settings import load_settings
from infra.storage.corpus import Corpus
from infra.storage.recovery import assert_corpus_or_empty
from sql.database import Database, connect
from sql.pending import count_by_problem
from tasks.costs import ExpectedUsage

LOOKED_AT = 10  # runs of before, for what this one has not measured


@dataclass(frozen=True, kw_only=True)
class Known:
    """`num_problems`, `num_held_out`: of the run, where they are known to the last one."""

    observed: Observed
    num_problems: int | None = None
    num_held_out: int | None = None


@dataclass(frozen=True, kw_only=True)
class _Members:
    """Problems of the run by split, and which of the splits have all of them."""

    counts: Mapping[str, int] = field(default_factory=dict)
    splits: frozenset[str] = frozenset()

    def count(self, split: str) -> int | None:
        return self.counts.get(split, 0) if split in self.splits else None


def know_corpus(location: str, recipe: Recipe, plan: RunPlan, *, num_problems: int) -> Known:
    """What the corpus has of the plan's stages; `num_problems` of the run, as expected.

    Raises IngestError where the run's ingest would, CorpusError.
    """
    corpus = Corpus(location)
    if not corpus.exists:  # a run may be about to make it
        with corpus.store.explained():
            assert_corpus_or_empty(corpus.store)
        return Known(observed=Observed())
    with _opened(corpus, recipe, plan, num_problems=num_problems) as (database, members):
        found = members.count("train")
        whole = num_problems if found is None else found
        observed = _observed(database, recipe, plan, members, whole=whole)
        observed = _with_similar(database, recipe, plan, observed)
    return Known(
        observed=observed, num_problems=found or None, num_held_out=members.count("eval") or None
    )


@contextmanager
def _opened(
    corpus: Corpus, recipe: Recipe, plan: RunPlan, *, num_problems: int
) -> Iterator[tuple[Database, _Members]]:  # fmt: skip
    """The corpus with the problems of the run in it, whether or not it was begun."""
    parts, through = corpus.sound_parts(), corpus.store.files
    with connect(parts, through=through) as database:
        database.set_run(plan.run_id, dict(plan.fingerprints))
        if database.run_file("runs", "runs_taken_in").rows:
            yield database, _Members(counts=_counts(database), splits=frozenset(("train", "eval")))
            return
        present = {row[0] for row in database.run_file("runs", "stages_present").rows}
        if not present - {plan.fingerprints["ingest"]}:
            yield database, _Members()
            return
        with TemporaryDirectory(prefix="litecot-plan-") as folder:
            draft = _draft(database, recipe, plan, Path(folder), num_problems=num_problems)
            both = {name: [*some, *draft.parts.get(name, ())] for name, some in parts.items()}
            with connect(both, through=through) as drafted:
                drafted.set_run(plan.run_id, dict(plan.fingerprints))
                yield drafted, _Members(counts=_counts(drafted), splits=draft.splits)


def _draft(
    database: Database, recipe: Recipe, plan: RunPlan, folder: Path, *, num_problems: int
) -> Draft:  # fmt: skip
    with shown_if_slow("reading the problems", are_bytes=False) as advance:
        return draft_run(
            database, plan, intake_of(recipe), folder=folder, settings=load_settings(),
            can_read=not is_read_from_hub(recipe),
            on_progress=lambda num: advance(num, max(num, num_problems)),
        )  # fmt: skip


def _counts(database: Database) -> dict[str, int]:
    return dict(database.run_file("costs", "members_by_split").rows)


# --- under the same settings


def _observed(
    database: Database, recipe: Recipe, plan: RunPlan, members: _Members, *, whole: int
) -> Observed:
    stages = {fingerprint: stage for stage, fingerprint in plan.fingerprints.items()}
    paid = _paid(database, stages)
    chains, rewritten = _chains(database)
    records = _records(database, plan, members, whole=whole)
    is_made = "mix" in records and records["mix"].is_final
    return Observed(
        usage=paid.usage,
        trends=paid.trends,
        records=records,
        chains=chains,
        share_accepted=_accepted(rewritten, paid),
        examples=_examples(database, whole, recipe.estimate) if is_made else None,
        trained=TRAIN in plan.fingerprints and bool(_rows(database, "trained_models")),
    )


def _records(
    database: Database, plan: RunPlan, members: _Members, *, whole: int
) -> dict[str, StageRecords]:
    """Stage after stage: problems with work left in one have inputs to come in those behind it."""
    num_known = members.counts.get("train", 0)
    unread = 0 if "train" in members.splits else max(0, whole - num_known)
    lengths = dict(database.run_file("costs", "question_lengths").rows)
    unfinished: dict[str, set[str]] = {}
    found = {}
    for name, stage in plan.stages.items():
        by_problem = count_by_problem(database, **stage.pending_query())
        before = [unfinished[one] for one in upstream_of(stage.stage, stage.config)
                  if one in unfinished]  # fmt: skip
        waiting: set[str] = set().union(*before)
        num_inputs = sum(num for _, num, _ in by_problem)
        num_waiting = sum(num for problem, num, _ in by_problem if problem in waiting)
        num_closed = num_known - len(waiting)
        is_evaluation = stage.stage.phase == "evaluation"
        split = "eval" if is_evaluation else "train"
        weights = {problem: left for problem, _, left in by_problem if left} | dict.fromkeys(
            waiting, 1
        )
        found[name] = StageRecords(
            num_inputs=num_inputs,
            num_done=num_inputs - sum(left for *_, left in by_problem),
            num_open=0 if is_evaluation else len(waiting) + unread,
            num_inputs_open=num_waiting,
            rate=(num_inputs - num_waiting) / num_closed if num_closed else None,
            is_final=split in members.splits and not waiting,
            question_characters=_mean(lengths, weights),
        )
        left = {problem for problem, _, left in by_problem if left and problem is not None}
        unfinished[name] = waiting | left
    return found


def _mean(lengths: Mapping[str, int], weights: Mapping[str | None, int]) -> float | None:
    """Of the questions with these weights."""
    known = [(lengths[one], n) for one, n in weights.items() if one is not None and one in lengths]
    total = sum(n for _, n in known)
    return sum(length * n for length, n in known) / total if total else None


@dataclass(frozen=True, kw_only=True)
class _Paid:
    """By stage: finished records, what one asked, and how that grows with its question."""

    inputs: dict[str, int] = field(default_factory=dict)
    usage: dict[str, ExpectedUsage] = field(default_factory=dict)
    trends: dict[str, Trend] = field(default_factory=dict)


def _paid(database: Database, stages: Mapping[str, str]) -> _Paid:
    """`stages`: fingerprint -> stage."""
    found = _Paid()
    for row in database.run_file("costs", "paid").records():
        stage, count = stages[row["stage_fingerprint"]], row["num_inputs"]
        found.inputs[stage] = count
        found.usage[stage] = ExpectedUsage(
            requests=float(row["num_requests"]) / count,
            prompt_tokens=float(row["prompt_tokens"]) / count,
            completion_tokens=float(row["completion_tokens"]) / count,
        )
        if row["question_characters"] is not None:
            found.trends[stage] = Trend(
                question_characters=row["question_characters"],
                slope=ExpectedUsage(
                    requests=row["requests_slope"], prompt_tokens=row["prompt_slope"],
                    completion_tokens=row["completion_slope"],
                ),
            )  # fmt: skip
    return found


def _accepted(rewritten: int, paid: _Paid) -> float | None:
    return rewritten / paid.inputs["rewrite"] if paid.inputs.get("rewrite") else None


def _chains(database: Database) -> tuple[dict[str, Chains], int]:
    """By kind; and how many rewrites there are."""
    rows = database.run_file("costs", "chains").rows
    chains = {
        kind: Chains(num_tokens=tokens, share_correct=correct, share_solved=solved)
        for kind, tokens, correct, solved, _ in rows
    }
    return chains, next((count for kind, *_, count in rows if kind == "rewritten"), 0)


def _examples(database: Database, num_problems: int, assumed: Assumptions) -> Examples | None:
    """Of the selected run, which has so many problems."""
    rows = database.run_file("costs", "examples").rows
    if not rows or not num_problems:
        return None
    ((count, completion, prompt),) = rows
    return Examples(
        per_problem=count / num_problems,
        num_tokens=completion + prompt / assumed.characters_per_token,
    )


def known_examples(location: str, plan: RunPlan, assumed: Assumptions) -> tuple[int, float] | None:
    """Training examples that the corpus has under the plan's settings, and their mean tokens,
    prompts by their characters; None where it has none."""
    corpus = Corpus(location)
    if "mix" not in plan.fingerprints or not corpus.exists:
        return None
    with connect(corpus.sound_parts(), through=corpus.store.files) as database:
        database.set_run(plan.run_id, dict(plan.fingerprints))
        found = _examples(database, 1, assumed)
    return None if found is None else (round(found.per_problem), found.num_tokens)


def _rows(database: Database, name: str) -> list[tuple[Any, ...]]:
    return database.run_file("runs", name).rows


# --- under other settings


def _with_similar(
    database: Database, recipe: Recipe, plan: RunPlan, observed: Observed
) -> Observed:  # fmt: skip
    """What the plan's own rows do not say, as the latest runs with the same models had it."""
    found = observed
    runs = database.run_file("costs", "runs", variables={"most": LOOKED_AT}).rows
    for run_id, fingerprints, settings in runs:
        if _models_of(json.loads(settings or "{}")) == _models_of(json.loads(plan.settings)):
            database.set_run(run_id, json.loads(fingerprints))
            found = _filled(database, recipe, plan, found, json.loads(fingerprints))
    database.set_run(plan.run_id, dict(plan.fingerprints))
    return found


def _models_of(settings: Mapping[str, Any]) -> dict[str, str | None]:
    """Role -> model, of a recipe as a run keeps it."""
    models = settings.get("models") or {}
    named = {role: (one or {}).get("model") for role, one in models.items()}
    return {role: named.get(role) for role in ("teacher", "compressor", "student")}


def _filled(
    database: Database, recipe: Recipe, plan: RunPlan, known: Observed,
    fingerprints: Mapping[str, str],
) -> Observed:  # fmt: skip
    """`known`, its gaps filled from the run that is selected now, which has these fingerprints."""
    paid = _paid(database, {value: name for name, value in fingerprints.items()})
    chains, rewritten = _chains(database)
    num_problems = _counts(database).get("train", 0)
    accepted = _accepted(rewritten, paid)
    return replace(
        known,
        similar={**paid.usage, **known.similar},
        trends={**paid.trends, **known.trends},
        chains={**chains, **known.chains},
        rates={**_rates(database, plan, known, fingerprints, num_problems), **known.rates},
        share_accepted=accepted if known.share_accepted is None else known.share_accepted,
        examples=known.examples or _examples(database, num_problems, recipe.estimate),
    )


def _rates(
    database: Database, plan: RunPlan, known: Observed, fingerprints: Mapping[str, str],
    num_problems: int,
) -> dict[str, float]:  # fmt: skip
    """Inputs a problem that stages would have had in the selected run, whose rows are all there."""
    if not num_problems:
        return {}
    found = {}
    for name, stage in plan.stages.items():
        records = known.records.get(name)
        needed = [one for one in upstream_of(stage.stage, stage.config) if one in plan.stages]
        is_wanted = records is None or (records.rate is None and not records.is_final)
        if is_wanted and name not in known.rates and set(needed) <= set(fingerprints):
            counted = count_by_problem(database, **stage.pending_query())
            found[name] = sum(num for _, num, _ in counted) / num_problems
    return found
