"""Answers whose true accuracy is known, to measure how often an interval or a test is right.

A family of questions has a difficulty, a question one about its family's, and a model's K samples
are drawn by the question's: Beta distributions of the given correlations. Of two models the second
has a share of the families' difficulties drawn anew, so that they differ by chance, by family.

`python -m tests.simulated_answers` prints the tables of docs/evaluation.md (some minutes).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tasks.statistics.clusters import Interval, mean_of, ratio_of
from tasks.statistics.intervals import effective_questions, interval_at
from tasks.statistics.outcomes import Counts, Floats, Outcomes
from tasks.statistics.paired import Difference, difference_of

NUM_TRUTHS = 2000
SIZES = (30, 500)
SAMPLES = (1, 8)
TRUTHS = (0.1, 0.5, 0.95)


@dataclass(frozen=True)
class Design:
    """`sizes`: questions of one family after another, again and again; correlations in 0..1."""

    sizes: tuple[int, ...]
    of_family: float
    of_question: float

    def families(self, num_questions: int) -> Counts:
        """The family of each question, from 0."""
        sizes = np.resize(self.sizes, num_questions)
        return np.repeat(np.arange(num_questions), sizes)[:num_questions]


CLUSTERED = Design((1, 1, 1, 1, 4), 0.3, 0.5)
DESIGNS = {
    "each its own family": Design((1,), 0.0, 0.4),
    "some families of 4": CLUSTERED,
    "pairs": Design((2,), 0.3, 0.4),
    "families of 1 to 3": Design((1, 2, 3), 0.3, 0.3),
    "families of 1 to 3, loose": Design((1, 2, 3), 0.1, 0.2),
    "families of 1 to 4": Design((1, 2, 3, 4), 0.2, 0.3),
    "families of 5": Design((5,), 0.3, 0.3),
}

Method = Callable[[Floats, Counts, int], tuple[float, float]]


def ours(values: Floats, families: Counts, num_samples: int) -> Interval:
    """The interval of an accuracy, as everything shows it."""
    mean = mean_of(values, families)
    worth = effective_questions(mean, most=len(values) * num_samples)
    return interval_at(mean.value, worth, method="wilson", level=0.95)


def normal(values: Floats, families: Counts, num_samples: int) -> tuple[float, float]:
    """What lies: the normal interval of independent questions."""
    reach = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - reach), float(values.mean() + reach)


def coverage(
    method: Method, design: Design, num_questions: int, num_samples: int, truth: float,
    *, seed: int = 1, repeats: int = NUM_TRUTHS,
) -> float:  # fmt: skip
    """How often the interval holds the true accuracy, in percent."""
    rng = np.random.default_rng(seed)
    families = design.families(num_questions)
    held = 0
    for values in draw(rng, design, num_questions, num_samples, truth, repeats=repeats):
        low, high = method(values, families, num_samples)
        held += low <= truth <= high
    return 100 * held / repeats


def draw(
    rng: np.random.Generator, design: Design, num_questions: int, num_samples: int, truth: float,
    *, repeats: int,
) -> Floats:  # fmt: skip
    """Share of correct samples, shape (repeats, questions)."""
    families = design.families(num_questions)
    easiness = _easiness(rng, np.full((repeats, families.max() + 1), truth), design.of_family)
    easiness = _easiness(rng, easiness[:, families], design.of_question)
    return rng.binomial(num_samples, easiness) / num_samples


def draw_gains(
    rng: np.random.Generator, design: Design, num_questions: int, num_samples: int, truth: float,
    *, better_by: float = 0.0, drawn_anew: float = 0.4, repeats: int = NUM_TRUTHS,
) -> Floats:  # fmt: skip
    """Share correct of the second minus the first, shape (repeats, questions).

    Without `better_by` both have the same accuracy, but not on the same families.
    """
    families = design.families(num_questions)
    shape = (repeats, families.max() + 1)
    first = _easiness(rng, np.full(shape, truth), design.of_family)
    anew = _easiness(rng, np.full(shape, truth), design.of_family)
    second = np.where(rng.random(shape) < drawn_anew, anew, first)
    second += (1 - second) * better_by / (1 - truth)
    shares = [
        rng.binomial(num_samples, _easiness(rng, one[:, families], design.of_question))
        for one in (first, second)
    ]
    return (shares[1] - shares[0]) / num_samples


def differences(
    design: Design, num_questions: int, num_samples: int, truth: float,
    *, better_by: float = 0.0, seed: int = 1, repeats: int = NUM_TRUTHS,
) -> list[Difference]:  # fmt: skip
    """What comparing says, once a simulation."""
    rng = np.random.default_rng(seed)
    asked = blank(design.families(num_questions), num_samples)
    gains = draw_gains(
        rng, design, num_questions, num_samples, truth, better_by=better_by, repeats=repeats
    )
    return [difference_of(gain, asked) for gain in gains]


def share_found(found: Sequence[Difference]) -> float:
    """How often the test finds a difference, in percent."""
    return 100 * float(np.mean([one.p_value is not None and one.p_value < 0.05 for one in found]))


def blank(families: Counts, num_samples: int) -> Outcomes:
    """Questions of these families, nothing answered."""
    number = len(families)
    return Outcomes.of(
        [str(i) for i in range(number)], families=[f"f{i}" for i in families],
        num_correct=np.zeros(number), num_samples=np.full(number, num_samples),
        mean_tokens=np.zeros(number), num_cut_off=np.zeros(number), mean_seconds=np.zeros(number),
    )  # fmt: skip


def ratio_coverage(
    design: Design, num_questions: int, *, ratio: float = 0.7, seed: int = 1, repeats: int = 1000
) -> float:
    """How often the interval of a token ratio holds it, in percent: log-normal lengths."""
    rng = np.random.default_rng(seed)
    families = design.families(num_questions)
    held = 0
    for _ in range(repeats):
        of_family, of_question = rng.normal(size=families.max() + 1), rng.normal(size=num_questions)
        first = np.exp(5 + 0.4 * of_family[families] + 0.5 * of_question)
        swing = rng.normal(0, 0.3, families.max() + 1)[families]
        noise = swing + rng.normal(0, 0.4, num_questions)
        second = ratio * first * np.exp(noise - (0.3**2 + 0.4**2) / 2)
        interval = ratio_of(second, first, families).interval
        held += interval is not None and interval.low <= ratio <= interval.high
    return 100 * held / repeats


def _easiness(rng: np.random.Generator, mean: Floats, correlation: float) -> Floats:
    """Drawn from the Beta distributions of these means; correlation 0: the means themselves."""
    if correlation == 0:
        return mean.copy()
    worth, middle = 1 / correlation - 1, np.clip(mean, 1e-6, 1 - 1e-6)
    return rng.beta(middle * worth, (1 - middle) * worth)


def _print_tables() -> None:
    cells = [(n, k, p) for n in SIZES for k in SAMPLES for p in TRUTHS]
    print(
        "| questions, samples, accuracy |", " | ".join(f"{n}, {k}, {p}" for n, k, p in cells), "|"
    )
    for method in (ours, normal):
        for name, design in DESIGNS.items():
            row = [coverage(method, design, *cell) for cell in cells]
            print(
                f"| {method.__name__}: {name} |",
                " | ".join(f"{x:.1f}" for x in row),
                "|",
                flush=True,
            )
    print("\nfound under no difference, percent")
    for name in ("each its own family", "some families of 4", "families of 5"):
        row = [share_found(differences(DESIGNS[name], *cell)) for cell in cells]
        print(f"| {name} |", " | ".join(f"{x:.1f}" for x in row), "|", flush=True)
    print("\na difference of 5 points at 500 questions: found, stated power, percent")
    for name in ("each its own family", "some families of 4"):
        for num_samples in SAMPLES:
            found = differences(DESIGNS[name], 500, num_samples, 0.6, better_by=0.05)
            stated = np.mean([one.power_for(0.05) for one in found[::20]])
            print(f"| {name}, {num_samples} | {share_found(found):.1f} | {100 * stated:.1f} |")
    print("\ntoken ratio: held, percent")
    for name in ("each its own family", "some families of 4", "families of 5"):
        print(f"| {name} |", " | ".join(f"{ratio_coverage(DESIGNS[name], n):.1f}" for n in SIZES))


if __name__ == "__main__":
    _print_tables()
