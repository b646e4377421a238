"""Candidates ranked by forecast, and how good the forecasts of a corpus are.

Invariant: what is printed is stored, or a line says why not; a recipe that has no examples is named
with the command that makes them, and the others are ranked all the same.

A sample: show_forecasts([Order(recipe="macc"), Order(recipe="morsd")], on=(), output="table")
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flows.cli.display import check_format, print_result
from flows.cli.readers import open_corpus
from flows.names import names_in
from flows.progress.forecasts import (
    amount,
    error_amount,
    errors,
    expected,
    prompt_words,
    together,
)
from flows.progress.text import say
from flows.recipes.plan import draft_plan
from flows.recipes.training import recipe_that_trains
from flows.session import Order, resolve_recipe
from infra.runs.forecasts import candidate_of, evaluated_students, store
from infra.storage import Corpus, CorpusError, CorpusWriter
from sql.database import Database, Result
from tasks.errors import UsageError, near_names
from tasks.forecasts import features
from tasks.forecasts.config import ForecastConfig
from tasks.forecasts.students import Outlook, Quality, by_group, quality
from tasks.forecasts.students import forecast as forecast_candidates
from tasks.schemas import Forecast


def show_forecasts(orders: Sequence[Order], *, on: Sequence[str], output: str) -> None:
    """Rank the orders' recipes. Raises UsageError, TooFewStudentsError, CorpusError."""
    check_format(output)
    corpus = orders[0].corpus
    if not Corpus(corpus).exists:
        raise UsageError(f"there is no corpus {corpus}: {_remedy(orders[0].recipe)}")
    runs: dict[str, str] = {}  # model_id -> run_id
    with open_corpus(corpus) as database:
        candidates = [_candidate(order, database, runs) for order in orders]
        students = of_benchmarks(evaluated_students(database), on)
    present = [each for each in candidates if each is not None]
    lacking = [o.recipe for o, each in zip(orders, candidates, strict=True) if each is None]
    for recipe in lacking:
        line = f"corpus {corpus} has no examples of recipe {recipe} under these settings"
        if not present:
            raise UsageError(f"{line}: {_remedy(recipe)}")
        say(f"litecot: {line}, so it is not ranked: {_remedy(recipe)}", file=sys.stderr)
    config = recipe_that_trains(resolve_recipe(orders[0])).forecast
    outlook = forecast_candidates(students, present, config)
    note = _store(corpus, outlook, runs)
    shown, left_out = largest(outlook.forecasts)
    _print(_ranking(shown, output), output)
    if output == "table":
        unranked = _unranked(present, outlook)
        for line in [*_notes(shown), *unranked, *_unknown(outlook), *left_out, *note]:
            say(line)


def _remedy(recipe: str) -> str:
    return f"`litecot run {recipe}` with the same options makes them"


def _candidate(order: Order, database: Database, runs: dict[str, str]) -> features.Candidate | None:
    recipe = recipe_that_trains(resolve_recipe(order))
    plan = draft_plan(recipe)
    found = candidate_of(database, plan, recipe.train, label=order.recipe)
    if found is not None:
        runs[found.model_id] = plan.run_id
    return found


def of_benchmarks(
    students: Sequence[features.Result], on: Iterable[str]
) -> Sequence[features.Result]:
    """Those of the benchmarks named, commas between. Raises UsageError where one is not there."""
    wanted = names_in(on)
    known = sorted({one.group.benchmark for one in students})
    for name in wanted:
        if name not in known:
            near = near_names(name, known)
            hint = f" (did you mean {near}?)" if near else ""
            there = ", ".join(known) or "none"
            raise UsageError(
                f"--on {name}: no student of the corpus was evaluated on it{hint}; "
                f"there are: {there}"
            )
    return [one for one in students if not wanted or one.group.benchmark in wanted]


def _store(corpus: str, outlook: Outlook, runs: Mapping[str, str]) -> list[str]:
    """Keep the forecasts; a line where they cannot be."""
    try:
        with CorpusWriter(corpus) as writer:
            for row in outlook.forecasts:
                store(writer, [row], run_id=runs[row.model_id])
    except CorpusError as error:
        return [f"not stored: {error}"]
    return []


def largest(rows: Sequence[Forecast]) -> tuple[list[Forecast], list[str]]:
    """Of evaluations of one benchmark with several settings those of most students; what is said
    of the others."""
    sizes: dict[tuple[str, bool], dict[str | None, int]] = {}
    for row in rows:
        found = sizes.setdefault((row.benchmark, row.compress), {})
        found[row.settings] = max(found.get(row.settings, 0), row.num_models)
    best = {key: max(found, key=lambda s: (found[s], s or "")) for key, found in sizes.items()}
    kept = [row for row in rows if row.settings == best[row.benchmark, row.compress]]
    lines = [
        f"{benchmark}, {prompt_words(compress)}: evaluated with {best[benchmark, compress]}; "
        f"{len(found) - 1} other settings are in `forecasts` (--format json has all of a row)"
        for (benchmark, compress), found in sizes.items()
        if len(found) > 1
    ]
    return kept, lines


def _ranked(rows: Sequence[Forecast]) -> list[tuple[int, list[Forecast]]]:
    """By benchmark and prompt, the most accurate first, of equals the shortest."""
    found = []
    by_place: dict[tuple[str, bool], list[list[Forecast]]] = {}
    for targets in together(rows):
        by_place.setdefault((targets[0].benchmark, targets[0].compress), []).append(targets)
    for _, some in sorted(by_place.items()):
        some.sort(key=lambda both: (-both[0].predicted, both[1].predicted, both[0].recipe))
        found += [(rank, both) for rank, both in enumerate(some, start=1)]
    return found


def _ranking(rows: Sequence[Forecast], output: str) -> list[dict[str, Any]]:
    if output == "table":
        return [
            {
                "benchmark": both[0].benchmark, "prompt": prompt_words(both[0].compress),
                "rank": rank, "recipe": both[0].recipe, "accuracy": expected(both[0])[9:],
                "tokens": expected(both[1]).replace(" tokens", ""), "students": both[0].num_models,
            }
            for rank, both in _ranked(rows)
        ]  # fmt: skip
    columns = (
        "benchmark", "settings", "compress", "recipe", "model_id", "target", "predicted", "low",
        "high", "level", "num_models", "loo_error", "loo_error_of_mean",
    )  # fmt: skip
    return [
        {"rank": rank, **{name: getattr(row, name) for name in columns}, **_nested(row)}
        for rank, both in _ranked(rows)
        for row in both
    ]


def _nested(row: Forecast) -> dict[str, Any]:
    return {"features": json.loads(row.features), "used": json.loads(row.used)}


def _notes(rows: Sequence[Forecast]) -> list[str]:
    """How far to trust each ranking."""
    lines, said = [], set[tuple[str, bool]]()
    for rank, both in _ranked(rows):
        place = (both[0].benchmark, both[0].compress)
        if place not in said:
            said.add(place)
            lines.append(
                f"{place[0]}, {prompt_words(place[1])}: intervals of {both[0].level:.0%}; leaving "
                f"one out {'; '.join(map(errors, both))}"
            )
            first = both[0]
        elif rank == 2 and both[0].high > first.low:
            lines[-1] += "; the first two overlap: which is better is not sure"
    return lines


def _unranked(candidates: Sequence[features.Candidate], outlook: Outlook) -> list[str]:
    """Of bases that the corpus has evaluated too few students of."""
    forecast = {row.model_id for row in outlook.forecasts}
    return [
        f"{one.recipe} is not ranked: too few evaluated students of {one.base}"
        for one in candidates
        if one.model_id not in forecast
    ]


def _unknown(outlook: Outlook) -> list[str]:
    names = ", ".join(outlook.unknown)
    return [f"left out, for not all training sets have it: {names}"] if names else []


def show_quality(corpus: str, *, overrides: Sequence[str], on: Sequence[str], output: str) -> None:
    """How well each evaluated student is forecast from the others.

    Raises UsageError, TooFewStudentsError, CorpusError.
    """
    check_format(output)
    config = _forecast_settings(overrides)
    with open_corpus(corpus) as database:
        students = of_benchmarks(evaluated_students(database), on)
    found = quality(students, config)
    num_bases = len({one.group.base for one in found})
    rows = [_quality_row(one, output, with_base=num_bases > 1) for one in found]
    _print(rows, output)
    small = len(by_group(students)) - len({one.group for one in found})
    if output == "table" and small:
        say(f"{small} benchmarks or prompts have fewer than {config.min_models} such students")


def _forecast_settings(overrides: Sequence[str]) -> ForecastConfig:
    """`--set forecast...`, as of any recipe; others are of no use here. Raises UsageError."""
    if other := [each for each in overrides if not each.strip().startswith("forecast.")]:
        raise UsageError(f"--set {other[0]}: without a RECIPE only forecast.* can be set")
    return resolve_recipe(Order(overrides=tuple(overrides))).forecast


def _quality_row(one: Quality, output: str, *, with_base: bool) -> dict[str, Any]:
    group = one.group
    if output != "table":
        return {
            "base": group.base, "benchmark": group.benchmark, "settings": group.settings,
            "compress": group.compress, "target": one.target, "num_models": one.num_models,
            "loo_error": one.error, "loo_error_of_mean": one.error_of_mean,
            "share_inside": one.share_inside, "rank_correlation": one.rank_correlation,
        }  # fmt: skip
    correlation = "" if one.rank_correlation is None else f"{one.rank_correlation:.2f}"
    base = {"base": group.base} if with_base else {}
    return base | {
        "benchmark": group.benchmark, "prompt": prompt_words(group.compress),
        "forecast of": one.target, "students": one.num_models,
        "off by": error_amount(one.target, one.error),
        "mean off by": error_amount(one.target, one.error_of_mean),
        "in the interval": amount("accuracy", one.share_inside), "rank correlation": correlation,
    }  # fmt: skip


def _print(rows: Sequence[Mapping[str, Any]], output: str) -> None:
    names = tuple(rows[0])
    first = rows[0].values()
    types = tuple("DOUBLE" if isinstance(v, int | float) else "VARCHAR" for v in first)
    cells = [tuple(row.values()) for row in rows]
    print_result(Result(columns=names, types=types, rows=cells), output)
