"""What students of other training sets say of one that is yet to be trained.

Bayesian ridge regression over every student that was evaluated in the same way: same base, same
benchmark, same settings of the evaluation, same prompt; nothing else is put together.

Invariants: below `min_models` there is no forecast; a student is never forecast from itself; the
error of leaving one out stands beside every forecast; a feature that is not known of all is left
out, and told.

A sample: Forecast(recipe="macc", benchmark="gsm8k", compress=True, target="tokens", predicted=118,
    low=92, high=151, num_models=14, loo_error=11.2, loo_error_of_mean=38.0, ...)
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from tasks.errors import UsageError
from tasks.forecasts.config import ForecastConfig
from tasks.forecasts.features import FEATURES, Candidate, Feature, Group, Result, TrainingSet
from tasks.schemas import Forecast, content_id
from tasks.statistics.forecast import Floats, Forecasts, alike, mean_of_others, regress

Target = Literal["accuracy", "tokens"]
METHOD = "bayesian ridge 1"  # counted up where the same students begin to give other forecasts
BEGUN = 0.5  # of the questions that others were asked: with fewer an evaluation has only begun


class TooFewStudentsError(UsageError):
    """The corpus has evaluated too few students to forecast one."""


@dataclass(frozen=True, kw_only=True)
class Quality:
    """How well the students of a group are forecast, each from the others."""

    group: Group
    target: Target
    num_models: int
    error: float  # mean absolute, in the target's unit
    error_of_mean: float
    share_inside: float  # of the truths, in the intervals of `level`
    rank_correlation: float | None  # Spearman's, of forecast and truth


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """All forecasts of some candidates, and what has to be said with them."""

    forecasts: tuple[Forecast, ...]
    unknown: tuple[str, ...] = ()  # features left out, for they are not known of all


@dataclass(frozen=True, kw_only=True)
class _Fit:
    """One target, on the scale it is forecast on: logit of accuracy, logarithm of tokens."""

    found: Forecasts
    values: Floats
    others: Floats  # the mean of the others, in the target's unit
    back: Callable[[Floats], Floats]

    @property
    def left_out(self) -> Floats:
        return self.back(self.found.left_out)


def by_group(results: Sequence[Result]) -> dict[Group, list[Result]]:
    """Evaluations that came to their end, by how they were made; in the order of their ids."""
    found: dict[Group, list[Result]] = {}
    for result in sorted(results, key=lambda one: one.model_id):
        found.setdefault(result.group, []).append(result)
    for group, some in found.items():
        most = max(one.num_questions for one in some)
        found[group] = [one for one in some if one.num_questions >= BEGUN * most]
    return found


def forecast(
    results: Sequence[Result], candidates: Sequence[Candidate], config: ForecastConfig
) -> Outlook:
    """Accuracy and tokens of every candidate, in each group of its base that is large enough.

    Raises TooFewStudentsError where no candidate can be forecast.
    """
    unknown = set[str]()
    rows: dict[str, list[Forecast]] = {one.model_id: [] for one in candidates}
    for group, some in by_group(results).items():
        asked = [one for one in candidates if one.base == group.base]
        for known, together in _with_others(some, asked):
            columns, lacking = _columns(known, [one.training for one in asked])
            if _num_different(known, columns) >= config.min_models:
                unknown |= lacking
                for row in _rows(together, known, columns, config):
                    rows[row.model_id].append(row)
    found = tuple(row for some_rows in rows.values() for row in some_rows)
    if not found:
        raise TooFewStudentsError(_too_few(by_group(results), candidates, config))
    return Outlook(forecasts=found, unknown=tuple(sorted(unknown)))


def _with_others(
    students: Sequence[Result], candidates: Sequence[Candidate]
) -> Iterator[tuple[list[Result], list[Candidate]]]:
    """Candidates with the students that tell of them: one that is evaluated already, all but it."""
    ids = {one.model_id for one in students}
    if new := [one for one in candidates if one.model_id not in ids]:
        yield list(students), new
    for one in candidates:
        if one.model_id in ids:
            yield [each for each in students if each.model_id != one.model_id], [one]


def quality(results: Sequence[Result], config: ForecastConfig) -> list[Quality]:
    """Of each group that is large enough and each target. Raises TooFewStudentsError."""
    groups = by_group(results)
    found = [
        _quality(group, some, target, columns, config)
        for group, some in groups.items()
        if _num_different(some, columns := _columns(some, ())[0]) >= config.min_models
        for target in TARGETS
    ]
    if not found:
        raise TooFewStudentsError(_too_few(groups, (), config))
    return found


def _too_few(
    groups: Mapping[Group, Sequence[Result]], candidates: Sequence[Candidate],
    config: ForecastConfig,
) -> str:  # fmt: skip
    bases = {one.base for one in candidates}
    sizes = [
        (_num_different(some, _columns(some, ())[0]), group)
        for group, some in groups.items()
        if not bases or group.base in bases
    ]
    most, group = max(sizes, key=lambda one: one[0], default=(0, None))
    of = f" of {' or '.join(sorted(bases))}" if bases else ""
    on = f" (on {group.benchmark})" if group else ""
    return (
        f"a forecast needs {config.min_models} evaluated students{of} that differ in their "
        f"training, and the corpus has {most}{on}; `litecot run` with other recipes makes more "
        "(forecast.min_models)"
    )


def _columns(
    known: Sequence[Result], candidates: Sequence[TrainingSet]
) -> tuple[list[Feature], set[str]]:
    """The features that are known of all, and the names of those known of some only."""
    sets = [*(one.training for one in known), *candidates]
    have = {f.name: [f.value(one, False) is not None for one in sets] for f in FEATURES}
    kept = [f for f in FEATURES if all(have[f.name]) and not all(have.get(f.instead, [False]))]
    lacking = {f.name for f in FEATURES if any(have[f.name]) and not all(have[f.name])}
    if {"log_ppl_examples", "log_ppl_rationales"} & {f.name for f in kept}:
        lacking -= {"log_ppl_examples", "log_ppl_rationales"}  # one of them is enough
    return kept, lacking


def _matrix(sets: Sequence[TrainingSet], columns: Sequence[Feature], compress: bool) -> Floats:
    rows = [[f.value(one, compress) for f in columns] for one in sets]
    return np.array(rows, dtype=np.float64).reshape(len(sets), len(columns))


def _num_different(known: Sequence[Result], columns: Sequence[Feature]) -> int:
    if not known or not columns:
        return 0
    matrix = _matrix([one.training for one in known], columns, known[0].group.compress)
    return int(alike(matrix).max()) + 1


def _logit(shares: Floats, num: float) -> Floats:
    """Of shares of `num` questions; none and all of them have one, half a question apart."""
    smooth = (shares * num + 0.5) / (num + 1)
    logits: Floats = np.log(smooth / (1 - smooth))
    return logits


def _share(logits: Floats, num: float) -> Floats:
    """Back from there, into 0..1."""
    smooth = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
    shares: Floats = np.clip((smooth * (num + 1) - 0.5) / num, 0, 1)
    return shares


def _fit(
    target: Target, known: Sequence[Result], columns: Sequence[Feature],
    asked: Sequence[TrainingSet], level: float,
) -> _Fit:  # fmt: skip
    compress = known[0].group.compress
    x = _matrix([one.training for one in known], columns, compress)
    num = float(np.median([one.num_questions for one in known]))
    values = np.array([getattr(one, target) for one in known], dtype=np.float64)
    if target == "accuracy":
        scaled, back = _logit(values, num), lambda logits: _share(logits, num)
    else:
        scaled, back = np.log(np.maximum(values, 1e-6)), np.exp
    found = regress(x, scaled, new=_matrix(asked, columns, compress), level=level)
    return _Fit(found=found, values=values, others=mean_of_others(x, values), back=back)


def _rows(
    candidates: Sequence[Candidate], known: Sequence[Result], columns: Sequence[Feature],
    config: ForecastConfig,
) -> Iterator[Forecast]:  # fmt: skip
    group, sets = known[0].group, [one.training for one in candidates]
    names = sorted(feature.name for feature in columns)
    rests_on = content_id([(one.model_id, one.accuracy, one.tokens) for one in known], names)
    for target in TARGETS:
        fit = _fit(target, known, columns, sets, config.level)
        errors = {
            "loo_error": _mean_error(fit.left_out, fit.values),
            "loo_error_of_mean": _mean_error(fit.others, fit.values),
        }
        for number, candidate in enumerate(candidates):
            used = {f.name: f.value(candidate.training, group.compress) for f in columns}
            predicted, low, high = _interval(fit, number, target, known)
            yield Forecast(
                model_id=candidate.model_id, recipe=candidate.recipe, base=candidate.base,
                data_fingerprint=candidate.data_fingerprint, benchmark=group.benchmark,
                settings=group.settings, compress=group.compress, target=target,
                predicted=predicted, low=low, high=high, level=config.level, num_models=len(known),
                features=json.dumps(_finite(asdict(candidate.training))), used=json.dumps(used),
                method=METHOD, rests_on=rests_on, **errors,
            )  # fmt: skip


def _interval(
    fit: _Fit, number: int, target: Target, known: Sequence[Result]
) -> tuple[float, float, float]:
    """Of a candidate: prediction and bounds, in the target's unit."""
    found = fit.found
    predicted, low, high = (
        float(fit.back(each)[number]) for each in (found.predicted, found.low, found.high)
    )
    if target == "accuracy":  # an answer more or less is always possible
        step = 1 / float(np.median([one.num_questions for one in known]))
        low, high = max(0.0, min(low, predicted - step)), min(1.0, max(high, predicted + step))
    return predicted, low, high


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v
            for k, v in values.items()}  # fmt: skip


def _quality(
    group: Group, known: Sequence[Result], target: Target, columns: Sequence[Feature],
    config: ForecastConfig,
) -> Quality:  # fmt: skip
    from scipy.stats import spearmanr

    fit = _fit(target, known, columns, (), config.level)
    low, high = fit.back(fit.found.left_out_low), fit.back(fit.found.left_out_high)
    varies = np.ptp(fit.values) > 0 and np.ptp(fit.left_out) > 0
    return Quality(
        group=group, target=target, num_models=len(known),
        error=_mean_error(fit.left_out, fit.values),
        error_of_mean=_mean_error(fit.others, fit.values),
        share_inside=float(np.mean((low <= fit.values) & (fit.values <= high))),
        rank_correlation=float(spearmanr(fit.left_out, fit.values)[0]) if varies else None,
    )  # fmt: skip


def _mean_error(said: Floats, true: Floats) -> float:
    return float(np.mean(np.abs(said - true)))


TARGETS: tuple[Target, ...] = ("accuracy", "tokens")
