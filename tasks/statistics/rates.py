"""How often answers are correct, by question: pass@k, maj@k; mean@k is Outcomes.accuracy.

Invariant: one number in 0..1 a question; what is said of a benchmark is their mean, its interval by
tasks/statistics/intervals.py.

    pass_at_k([1], [2], k=1) == [0.5], pass_at_k([1], [2], k=2) == [1.0]
    maj_at_k([["7", "8", "7"]], [[True, False, True]]) == [1.0]
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from tasks.statistics.outcomes import Floats


def pass_at_k(num_correct: ArrayLike, num_samples: ArrayLike, *, k: int) -> Floats:
    """Chance that one of `k` samples is correct: 1 - C(n - c, k) / C(n, k), unbiased.

    Chen et al. 2021, arXiv 2107.03374. NaN where a question has fewer than `k` samples.
    """
    from scipy.stats import hypergeom

    correct, samples = np.asarray(num_correct), np.asarray(num_samples)
    chance = 1.0 - hypergeom.pmf(0, samples, correct, np.minimum(k, samples))
    return np.where(samples >= k, np.clip(chance, 0.0, 1.0), np.nan)


def maj_at_k(
    answers: Sequence[Sequence[str | None]],
    correct: Sequence[Sequence[bool]],
    *,
    k: int | None = None,
) -> Floats:
    """Whether the answer most of the first `k` samples give is correct (arXiv 2203.11171).

    All correct answers are one answer, however they are written; a sample without an answer has
    no vote. Of answers that tie for the lead each is as likely: one correct of two gives 0.5.
    """
    return np.array(
        [_majority(said[:k], right[:k]) for said, right in zip(answers, correct, strict=True)],
        dtype=np.float64,
    )


def _majority(said: Sequence[str | None], right: Sequence[bool]) -> float:
    votes = Counter(
        (True, "") if is_right else (False, answer)
        for answer, is_right in zip(said, right, strict=True)
        if is_right or answer is not None
    )
    if not votes:
        return 0.0
    lead = max(votes.values())
    leaders = [is_right for (is_right, _), count in votes.items() if count == lead]
    return sum(leaders) / len(leaders)
