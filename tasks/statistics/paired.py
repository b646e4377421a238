"""Two models on the same questions: what differs, and whether chance would do the same.

Invariant: pure; the second model is measured against the first, the baseline: a positive difference
and a ratio below 1 speak for the second. Questions are paired, families are the units.

    compare(base, trained).accuracy.difference == 0.045
    verdicts([...], margin=0.02) == [Verdict(accuracy="better", tokens="shorter", ...)]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from tasks.statistics.clusters import LEVEL, Interval, Mean, Ratio, mean_of, ratio_of
from tasks.statistics.outcomes import Floats, Outcomes, in_common

ALPHA = 1 - LEVEL
POWER = 0.8
TOKEN_MARGIN = 0.05  # of the token ratio, either way
AccuracyVerdict = Literal["better", "worse", "equivalent", "undecided"]
TokensVerdict = Literal["shorter", "longer", "same", "undecided"]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Of accuracy, second minus first. What needs two families is None with one."""

    difference: float
    error: float | None  # standard error
    interval: Interval | None
    p_value: float | None  # paired t, clustered
    num_families: int  # or of seeds, where those are fewer (repeated.py)

    def smallest_detectable(self, *, power: float = POWER) -> float | None:
        """The difference that a test with this error would have found `power` of the time."""
        if self.error is None:
            return None
        size = _detectable_size(self.num_families, power)
        return float(size * self.error * np.sqrt(self.num_families))

    def power_for(self, difference: float) -> float | None:
        """How often a true `difference` would be found."""
        from statsmodels.stats.power import TTestPower

        if self.error is None:
            return None
        size = difference / (self.error * np.sqrt(self.num_families))
        return float(TTestPower().power(size, self.num_families, ALPHA))


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two models on the questions they share."""

    first: Outcomes
    second: Outcomes
    accuracy: Difference
    tokens: Ratio  # second by first
    seconds: Ratio
    num_won: int  # questions on which the second has more correct samples
    num_lost: int
    mcnemar: float | None  # exact p; None where a question has several samples


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """p values after Holm's correction for `num_tests` comparisons; None: one family only."""

    accuracy: AccuracyVerdict
    tokens: TokensVerdict
    accuracy_p: float | None
    tokens_p: float | None
    equivalence_p: float | None
    num_tests: int


def compare(first: Outcomes, second: Outcomes) -> Comparison:
    """The second model against the first, on the questions that both have.

    Raises ValueError where there is none.
    """
    first, second = in_common(first, second)
    if not len(first):
        raise ValueError("no question in common")
    gain = second.accuracy - first.accuracy
    return Comparison(
        first=first,
        second=second,
        accuracy=difference_of(gain, first),
        tokens=ratio_of(second.mean_tokens, first.mean_tokens, first.clusters),
        seconds=ratio_of(second.mean_seconds, first.mean_seconds, first.clusters),
        num_won=int((gain > 0).sum()),
        num_lost=int((gain < 0).sum()),
        mcnemar=_mcnemar(first, second),
    )


def difference_of(gain: Floats, asked: Outcomes) -> Difference:
    """The mean of `gain` (-1..1, one a question of `asked`), with Student's t of families - 1."""
    return difference_from(mean_of(gain, asked.clusters), gain)


def difference_from(mean: Mean, gain: Floats) -> Difference:
    """`mean`, of `gain`, as a difference of accuracies.

    Half a question won and half a question lost are added to the variance (Agresti and Min 2005):
    without it a few questions on which the models agree would leave no doubt at all.
    """
    from scipy import stats

    if mean.variance is None:
        return Difference(
            difference=mean.value, error=None, interval=None, p_value=None,
            num_families=mean.num_families,
        )  # fmt: skip
    changed = gain[gain != 0]
    added = float(np.mean(changed**2)) if len(changed) else 1.0
    squares = mean.variance * mean.num_questions**2 + added
    error = float(np.sqrt(squares) / (mean.num_questions + 2))
    freedom = mean.num_families - 1
    reach = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * error
    return Difference(
        difference=mean.value,
        error=error,
        interval=Interval(max(-1.0, mean.value - reach), min(1.0, mean.value + reach)),
        p_value=float(2 * stats.t.sf(abs(mean.value) / error, freedom)),
        num_families=mean.num_families,
    )


def verdicts(
    compared: Sequence[Comparison], *, margin: float, token_margin: float = TOKEN_MARGIN
) -> list[Verdict]:
    """A verdict a comparison; p values are corrected for how many are asked at once (Holm).

    better, worse, longer, shorter: the corrected p is below 0.05. equivalent, same: it is not, and
    two one-sided tests place the difference within the margin, the ratio within 1 +- token_margin.
    """
    accuracy = holm([one.accuracy.p_value for one in compared])
    tokens = holm([_ratio_p(one.tokens) for one in compared])
    alike = holm([_within(one.accuracy, margin) for one in compared])
    as_long = holm([_ratio_within(one.tokens, token_margin) for one in compared])
    return [
        Verdict(
            accuracy=_accuracy_verdict(one.accuracy.difference, accuracy[i], alike[i]),
            tokens=_tokens_verdict(one.tokens.value, tokens[i], as_long[i]),
            accuracy_p=accuracy[i],
            tokens_p=tokens[i],
            equivalence_p=alike[i],
            num_tests=len(compared),
        )
        for i, one in enumerate(compared)
    ]


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's correction of those that are there."""
    from statsmodels.stats.multitest import multipletests

    given = [p for p in p_values if p is not None]
    if len(given) < 2:
        return list(p_values)
    corrected = iter(multipletests(given, method="holm")[1].tolist())
    return [None if p is None else next(corrected) for p in p_values]


@cache
def _detectable_size(num_families: int, power: float) -> float:
    """In standard deviations of a family."""
    from statsmodels.stats.power import TTestPower

    return float(TTestPower().solve_power(nobs=num_families, alpha=ALPHA, power=power))


def _accuracy_verdict(
    difference: float, p_value: float | None, equivalence: float | None
) -> AccuracyVerdict:
    if p_value is not None and p_value < ALPHA:
        return "better" if difference > 0 else "worse"
    return "equivalent" if equivalence is not None and equivalence < ALPHA else "undecided"


def _tokens_verdict(
    ratio: float, p_value: float | None, equivalence: float | None
) -> TokensVerdict:
    if p_value is not None and p_value < ALPHA:
        return "longer" if ratio > 1 else "shorter"
    return "same" if equivalence is not None and equivalence < ALPHA else "undecided"


def _mcnemar(first: Outcomes, second: Outcomes) -> float | None:
    from statsmodels.stats.contingency_tables import mcnemar

    if (first.num_samples != 1).any() or (second.num_samples != 1).any():
        return None
    table = np.zeros((2, 2), dtype=np.int64)
    np.add.at(table, (first.num_correct, second.num_correct), 1)
    if table[0, 1] + table[1, 0] == 0:
        return 1.0
    return float(mcnemar(table, exact=True).pvalue)


def _ratio_p(ratio: Ratio) -> float | None:
    from scipy import stats

    if not ratio.log_error:  # None: no error is known; 0: all questions have the same ratio
        return None if ratio.log_error is None else float(ratio.value == 1)
    return float(2 * stats.t.sf(abs(np.log(ratio.value)) / ratio.log_error, ratio.num_families - 1))


def _within(found: Difference, margin: float) -> float | None:
    """Two one-sided tests (TOST): the larger p of 'at or below -margin', 'at or above margin'."""
    if found.error is None:
        return None
    return _one_sided(found.difference, found.error, (-margin, margin), found.num_families - 1)


def _ratio_within(ratio: Ratio, margin: float) -> float | None:
    if not ratio.log_error:
        return None if ratio.log_error is None else float(abs(ratio.value - 1) >= margin)
    bounds = (float(np.log(1 - margin)), float(np.log(1 + margin)))
    return _one_sided(float(np.log(ratio.value)), ratio.log_error, bounds, ratio.num_families - 1)


def _one_sided(value: float, error: float, bounds: tuple[float, float], freedom: int) -> float:
    from scipy import stats

    low, high = bounds
    return float(
        max(
            stats.t.sf((value - low) / error, freedom), stats.t.cdf((value - high) / error, freedom)
        )
    )
