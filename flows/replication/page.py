"""The page of the replication: verdicts, tables and plots, all from rows of one corpus.

Role: from results to Markdown (page.md.jinja) with SVG beside it. Invariants: no number is written
by hand; a page of anything less than the whole design says so first, and of what it is or lacks.

A sample: write_page(Path("replication.md"), asked, design, results, decided)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from flows.replication.charts import arms_chart, claims_chart, frontier_chart, levels_chart
from flows.replication.design import BUDGETS, TITLES, Asked, Budget, Design, Paper
from flows.replication.results import LEVELS, Results, outcomes_of, pooled
from flows.replication.verdicts import Decided
from flows.replication.words import asked_as, effect_words, interval_words, marked, p_words
from tasks.statistics.intervals import accuracy_of
from tasks.statistics.outcomes import Outcomes
from tasks.statistics.tokens import mean_tokens

TEMPLATE = Path(__file__).with_name("page.md.jinja")
Row = dict[str, Any]


def write_page(
    page: Path, asked: Asked, design: Design, results: Results, decided: Sequence[Decided], *,
    sections: Sequence[str] = (),
) -> None:  # fmt: skip
    """`page` and, in a folder of its name, its plots.

    `sections`: Markdown of what else is told of the same students (`Results.students`), such as how
    well they were forecast; behind the papers'.
    """
    plots = page.with_suffix("")
    plots.mkdir(parents=True, exist_ok=True)
    drawn = draw(asked, design, results, decided)
    for name, svg in drawn.items():
        (plots / f"{name}.svg").write_text(svg, encoding="utf-8")
    words = {name: f"{plots.name}/{name}.svg" for name in drawn}
    text = page_text(asked, design, results, decided, plots=words)
    page.write_text("\n".join([text, *sections]), encoding="utf-8")


def page_text(
    asked: Asked, design: Design, results: Results, decided: Sequence[Decided], *,
    plots: dict[str, str],
) -> str:  # fmt: skip
    """The Markdown. `plots`: name -> path, of those that were drawn."""
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["marked"] = marked
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        titles=TITLES, papers=asked.papers, design=design, plots=plots,
        asked=asked, is_pilot=is_pilot(asked, design), missing=results.missing,
        num_done=len(results.students), num_variants=results.num_variants,
        num_seeds=len(results.seeds), num_questions=_num_questions(results),
        minutes=results.seconds / 60,
        counts={
            word: sum(one.word == word for one in decided)
            for word in ("holds", "does not hold", "undecided", "not run")
        },
        claims={paper: [_claim(o) for o in decided if o.claim.paper == paper]
                for paper in asked.papers},
        arms={paper: arm_rows(paper, design, results) for paper in asked.papers},
        base=_base(results),
        rebounds=_rebounds(results),
        candidates=_candidates(results),
    )  # fmt: skip


def is_pilot(asked: Asked, design: Design) -> bool:
    """Whether less was asked than the design as it ships."""
    return asked.model_copy(update={"corpus": "corpus"}) not in (
        Asked(), Asked(num_seeds=len(design.seeds))
    )  # fmt: skip


def draw(
    asked: Asked, design: Design, results: Results, decided: Sequence[Decided]
) -> dict[str, str]:
    """Name -> SVG of the plots that there is something for."""
    drawn: dict[str, str] = {}
    for metric, title in (("accuracy", "difference of accuracy, points"),
                          ("tokens", "change of tokens an answer, percent")):  # fmt: skip
        rows = [_mark(one) for one in decided if one.claim.metric == metric and one.interval]
        if rows:
            drawn[f"claims_{metric}"] = claims_chart(rows, title)
    for paper in asked.papers:
        rows = arm_rows(paper, design, results)
        if not rows:
            continue
        plain = [row for row in rows if row["asked"] == "plainly"]
        if paper == "litecot":
            drawn["litecot_levels"] = levels_chart(level_rows(paper, design, results))
        if paper == "morsd":
            drawn["morsd_arms"] = arms_chart(plain)
        else:
            drawn[f"{paper}_frontier"] = frontier_chart(rows if paper == "macc" else plain)
    return drawn


def arm_rows(paper: Paper, design: Design, results: Results) -> list[Row]:
    """A row an arm, budget and way to ask that the paper's claims are of, seeds pooled."""
    rows = []
    is_marked = any(c.a_compress or c.b_compress for c in design.claims_of([paper]))
    for arm, budget in _arms(paper, design):
        students = [s.trained for s in results.students
                    if (s.variant.arm, s.variant.budget) == (arm, budget)]  # fmt: skip
        for compress in (False, True) if is_marked else (False,):
            if (found := pooled(results.students, arm, budget, compress=compress)) is None:
                continue
            rows.append({
                "arm": arm, "budget": budget, "words": design.arms[arm].words,
                "asked": "with <compress>" if compress else "plainly",
                "num_seeds": len(students),
                **{name: _mean([student[name] for student in students]) for name in (
                    "num_examples", "num_problems", "num_easy", "num_medium", "num_hard",
                    "num_steps", "train_tokens")},
                **_measured(found),
            })  # fmt: skip
    return rows


def level_rows(paper: Paper, design: Design, results: Results) -> list[Row]:
    """A row an arm, budget and level, asked plainly."""
    return [
        {"arm": arm, "budget": budget, "level": level, **_measured(found)}
        for arm, budget in _arms(paper, design)
        for level in LEVELS
        if (found := pooled(results.students, arm, budget, compress=False, level=level))
    ]


def _arms(paper: Paper, design: Design) -> list[tuple[str, Budget]]:
    return [
        (name, budget)
        for name, arm in design.arms.items()
        if paper in arm.papers
        for budget in BUDGETS
        if budget == "steps" or arm.tokens
    ]


def _measured(found: Outcomes) -> Row:
    accuracy = accuracy_of(found.accuracy, found.clusters, num_samples=found.num_samples)
    tokens = mean_tokens(found)
    around = tokens.interval or (tokens.value, tokens.value)
    return {
        "accuracy": accuracy.value, "low": accuracy.interval[0], "high": accuracy.interval[1],
        "tokens": tokens.value, "tokens_low": around[0], "tokens_high": around[1],
        "cut_off": float(found.num_cut_off.sum() / found.num_samples.sum()),
    }  # fmt: skip


def _claim(one: Decided) -> Row:
    claim = one.claim
    detectable = one.comparison and one.comparison.accuracy.smallest_detectable()
    needs_it = one.word == "undecided" and claim.metric == "accuracy" and detectable
    return {
        "words": claim.words, "section": claim.section, "budget": one.budget, "word": one.word,
        "a": asked_as(claim.a, claim.a_compress), "b": asked_as(claim.b, claim.b_compress),
        "effect": effect_words(one), "interval": interval_words(one), "p": p_words(one.p_value),
        "num_tests": one.num_tests,
        "seeds": f"{one.seeds_for} of {one.num_seeds}" if one.num_seeds else "",
        "detectable": f"{100 * detectable:.1f}" if needs_it and detectable else "",
    }  # fmt: skip


def _mark(one: Decided) -> Row:
    assert one.interval is not None
    assert one.effect is not None
    is_accuracy = one.claim.metric == "accuracy"
    low, effect, high = (
        100 * (value if is_accuracy else value - 1)
        for value in (one.interval[0], one.effect, one.interval[1])
    )
    claim = one.claim
    versus = (
        f"{asked_as(claim.a, claim.a_compress)} / {asked_as(claim.b, claim.b_compress)}"
        f"{f', {claim.level}' if claim.level else ''} ({one.budget})"
    )
    return {"claim": versus, "effect": effect, "low": low, "high": high, "word": one.word}


def _num_questions(results: Results) -> int:
    return len({row["problem_id"] for s in results.students for row in s.answers})


def _base(results: Results) -> list[Row]:
    rows = [row for student in results.students for row in student.base]
    return [
        {"asked": "with <compress>" if compress else "plainly", **_measured(found)}
        for compress in (False, True)
        if (found := outcomes_of(rows, compress=compress))
    ]


def _rebounds(results: Results) -> list[Row]:
    """Why compression ended, by level, all seeds together."""
    counts: dict[tuple[str, str], int] = {}
    rounds: dict[str, list[tuple[float, int]]] = {}
    for row in results.rebounds:
        key = (row["level"], row["stop_reason"])
        counts[key] = counts.get(key, 0) + row["num_chains"]
        kept = row["mean_kept_round"]
        if kept is not None:
            rounds.setdefault(row["level"], []).append((kept, row["num_chains"]))
    return [
        {
            "level": level,
            "num_chains": total,
            "share": counts.get((level, "rebound"), 0) / total,
            "kept_round": sum(k * n for k, n in rounds[level]) / sum(n for _, n in rounds[level])
            if level in rounds
            else None,
        }
        for level in LEVELS
        if (total := sum(n for (name, _), n in counts.items() if name == level))
    ]


def _candidates(results: Results) -> Row | None:
    """What the teacher's chains gave the filters to do, the mean over seeds."""
    if not results.candidates:
        return None
    names = ("num_chains", "share_wrong", "share_duplicate", "share_confusing")
    return {name: _mean([row[name] or 0.0 for row in results.candidates]) for name in names}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
