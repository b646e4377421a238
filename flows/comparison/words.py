"""A comparison in sentences, as a table for eyes, and as numbers for programs.

Invariant: points are hundredths of accuracy, the model's minus the baseline's; a ratio is the
model's by the baseline's. What a model wrote is text: whoever prints this escapes it.

    "nano, plain (200 questions): the trained student 3f2a91bc is right on 72.0%, its base
    nano:student on 67.5%: 4.5 points more (95% interval 1.2 to 7.8), better. It writes 0.71 times
    the tokens (0.66 to 0.77), shorter."
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flows.comparison.compared import Asked, Compared, Flip, Row, Side
from flows.evaluations.metrics import settings_words

if TYPE_CHECKING:
    from tasks.statistics.clusters import Interval, Ratio
    from tasks.statistics.outcomes import Outcomes

MAX_QUESTION, MAX_ANSWER = 160, 60  # characters of a flip's texts
FEW_FAMILIES = 300  # below, an exact test that is less sure is worth a word
SURE = 0.05
Cells = list[tuple[Any, ...]]


def sentences(compared: Compared) -> list[str]:
    """A paragraph a row, then what to bear in mind reading all of them."""
    lines = [_sentence(compared, row) for row in compared.rows]
    if len(compared.rows) > 1:
        lines.append(
            f"{len(compared.rows)} comparisons were made: p values and verdicts are corrected for "
            "that (Holm), the 95% intervals are of one comparison each."
        )
    if alone := _alone(compared):
        lines.append(alone)
    return lines


def examples(compared: Compared) -> list[str]:
    """The questions that flipped, some each way."""
    lines = []
    for row in compared.rows:
        for flip in row.flips:
            way = "won" if flip.won else "lost"
            lines.append(
                f"{way} by {row.model.name} ({_where(compared, row)}): "
                f"{shortened(flip.question, MAX_QUESTION)} -> {_said(flip.answer)}"
            )
            lines += _sides(compared, row, flip)
    return lines


def table(compared: Compared) -> tuple[tuple[str, ...], Cells]:
    """Column names and rows of text."""
    columns = (
        "model", "benchmark", "prompt", "questions", "baseline right", "model right",
        "points more", "p", "exact p", "won/lost", "times the tokens", "cut off",
        "detects from", "accuracy", "tokens",
    )  # fmt: skip
    return columns, [_cells(compared, row) for row in compared.rows]


def records(compared: Compared) -> list[dict[str, Any]]:
    """A row as numbers, 0..1 and not rounded; null where there is no such number."""
    return [_record(compared, row) for row in compared.rows]


def losses(compared: Compared, allowed: float) -> list[str]:
    """What is worse, for sure, and by more than `allowed` (0..1) as measured."""
    return [
        f"{_where(compared, row)}: {row.model.title} is right {_points(-difference)} points less "
        f"often than {_baseline(compared, row)} ({_interval_words(row)}), more than the "
        f"{_points(allowed)} allowed"
        for row in compared.rows
        if row.verdict.accuracy == "worse"
        and (difference := row.found.accuracy.difference) < -allowed
    ]


def doubts(compared: Compared, allowed: float) -> list[str]:
    """Where a loss of more than `allowed` was not found, but may well be."""
    return [
        f"{_where(compared, row)}: a loss of more than {_points(allowed)} points is not ruled out "
        f"({_interval_words(row)}); more questions or samples would tell"
        for row in compared.rows
        if not (row.verdict.accuracy == "worse" and row.found.accuracy.difference < -allowed)
        and ((interval := row.found.accuracy.interval) is None or interval.low < -allowed)
    ]


def shortened(text: str, length: int) -> str:
    """One line, the middle left out where it is long: a question asks at its end."""
    line = " ".join(text.split())
    if len(line) <= length:
        return line
    kept = length - 5
    return f"{line[: kept // 2]} ... {line[len(line) - (kept - kept // 2) :]}"


def _sentence(compared: Compared, row: Row) -> str:
    found = row.found.accuracy
    base = _baseline(compared, row)
    words = (
        f"{_where(compared, row)} ({_asked_words(row)}): {row.model.title} is right on "
        f"{_percent(row.second_accuracy.value)}, {base} on {_percent(row.first_accuracy.value)}: "
        f"{_more_or_less(found.difference)} ({_interval_words(row)}; {row.found.num_won} "
        f"question{'s' * (row.found.num_won != 1)} won, {row.found.num_lost} lost), "
        f"{row.verdict.accuracy}{_because(compared, row)}."
    )
    words += _tokens_words(row.found.tokens, row.verdict.tokens)
    cut = [_share_cut(row.found.second), _share_cut(row.found.first)]
    if any(cut):
        words += (
            f" Cut off at the limit of tokens: {_percent(cut[0])} of its answers, "
            f"{_percent(cut[1])} of the baseline's."
        )
    return words


def _because(compared: Compared, row: Row) -> str:
    """What has to be said beside a verdict."""
    verdict, found = row.verdict, row.found
    if verdict.accuracy == "equivalent":
        return f" within {_points(compared.margin)} points either way"
    if verdict.accuracy == "undecided":
        smallest = found.accuracy.smallest_detectable()
        alone = found.accuracy.p_value
        if alone is not None and alone < SURE:
            return f" (alone it would be sure, as one of {verdict.num_tests} it is not)"
        if smallest is None:
            return ": one family of questions says nothing about others"
        return f": here only {_points(smallest)} points or more are found four times of five"
    if (
        found.mcnemar is not None
        and found.accuracy.num_families < FEW_FAMILIES
        and found.mcnemar >= SURE
    ):
        return f" (the exact test of so few questions is less sure, p = {found.mcnemar:.2f})"
    return ""


def _tokens_words(ratio: Ratio, verdict: str) -> str:
    if not math.isfinite(ratio.value):
        return ""
    around = f" ({_ends(ratio.interval)})" if ratio.interval else ""
    return f" It writes {ratio.value:.2f} times the tokens{around}, {verdict}."


def _asked_words(row: Row) -> str:
    found = row.found
    number, families = len(found.first), found.accuracy.num_families
    words = f"{number} question{'s' * (number != 1)}"
    if families != number:
        words += f" in {families} famil{'ies' if families != 1 else 'y'}"
    most = max(row.first_answered, row.second_answered)
    if most > number:
        words += f" that both answered, of {most}"
    samples = [sorted({*some.num_samples.tolist()}) for some in (found.second, found.first)]
    if samples != [[1], [1]]:
        counts = [
            f"{some[0]}" if len(some) == 1 else f"{some[0]} to {some[-1]}" for some in samples
        ]
        same = counts[0] == counts[1]
        words += f", {counts[0]} samples each" if same else f", {counts[0]} samples and {counts[1]}"
    return words


def _interval_words(row: Row) -> str:
    interval = row.found.accuracy.interval
    if interval is None:
        return "no interval"
    return f"95% interval {_points(interval.low)} to {_points(interval.high)}"


def _where(compared: Compared, row: Row) -> str:
    """Benchmark and prompt; the settings too, where one was asked under several."""
    return asked_words(row.asked, _prompts(row), [one.asked for one in compared.rows])


def asked_words(asked: Asked, prompt: str, among: Sequence[Asked]) -> str:
    """E.g. "nano, plain"; with the settings where `among` has several for this benchmark."""
    settings = {one.settings for one in among if one.benchmark == asked.benchmark}
    more = f", {settings_words(asked.settings)}" if len(settings) > 1 else ""
    return f"{asked.benchmark}, {prompt}{more}"


def _prompts(row: Row) -> str:
    if row.asked.compress == row.first_asked.compress:
        return row.asked.prompt
    return f"{row.asked.prompt} against {row.first_asked.prompt}"


def _alone(compared: Compared) -> str:
    if not compared.alone:
        return ""
    every = [asked for _, asked in compared.alone]
    listed = "; ".join(
        f"{model.name}: {asked_words(asked, asked.prompt, every)}"
        for model, asked in compared.alone
    )
    return f"Left out, as only one of the two was asked it so: {listed}."


def _baseline(compared: Compared, row: Row) -> str:
    baseline, model = compared.baseline, row.model
    if model.model_id == baseline.model_id:
        return "with <compress>" if row.first_asked.compress else "without <compress>"
    return f"its base {baseline.name}" if model.base == baseline.model_id else baseline.title


def _cells(compared: Compared, row: Row) -> tuple[Any, ...]:
    found, verdict = row.found, row.verdict
    smallest = found.accuracy.smallest_detectable()
    points = f"{found.accuracy.difference * 100:+.1f}"
    if found.accuracy.interval:
        low, high = found.accuracy.interval
        points += f" ({_points(low)} to {_points(high)})"
    tokens = f"{found.tokens.value:.2f}" if math.isfinite(found.tokens.value) else ""
    if tokens and found.tokens.interval:
        tokens += f" ({_ends(found.tokens.interval)})"
    rates = [
        f"{_percent(one.value)} ({_percent(one.interval.low)} to {_percent(one.interval.high)})"
        for one in (row.first_accuracy, row.second_accuracy)
    ]
    return (
        row.model.name, row.asked.benchmark, _prompts(row), len(found.first), *rates, points,
        _p_value(verdict.accuracy_p), _p_value(found.mcnemar),
        f"{found.num_won}/{found.num_lost}", tokens,
        f"{_percent(_share_cut(found.second))} / {_percent(_share_cut(found.first))}",
        "" if smallest is None else _points(smallest), verdict.accuracy, verdict.tokens,
    )  # fmt: skip


def _record(compared: Compared, row: Row) -> dict[str, Any]:
    found, verdict = row.found, row.verdict
    difference = found.accuracy
    return {
        "baseline": compared.baseline.model_id,
        "model": row.model.model_id,
        "benchmark": row.asked.benchmark,
        "baseline_compress": row.first_asked.compress,
        "compress": row.asked.compress,
        "settings": row.asked.settings,
        "num_questions": len(found.first),
        "num_families": difference.num_families,
        "baseline_accuracy": row.first_accuracy.value,
        **_spread("baseline_accuracy", row.first_accuracy.interval),
        **_spread("baseline_accuracy_exact", row.first_accuracy.exact),
        "accuracy": row.second_accuracy.value,
        **_spread("accuracy", row.second_accuracy.interval),
        **_spread("accuracy_exact", row.second_accuracy.exact),
        "difference": difference.difference,
        **_spread("difference", difference.interval),
        "p_value": difference.p_value,
        "p_value_holm": verdict.accuracy_p,
        "equivalence_p_holm": verdict.equivalence_p,
        "mcnemar_p": found.mcnemar,
        "num_comparisons": verdict.num_tests,
        "num_won": found.num_won,
        "num_lost": found.num_lost,
        "smallest_detectable": difference.smallest_detectable(),
        "verdict": verdict.accuracy,
        "baseline_tokens": float(found.first.mean_tokens.mean()),
        "tokens": float(found.second.mean_tokens.mean()),
        "token_ratio": _finite(found.tokens.value),
        **_spread("token_ratio", found.tokens.interval),
        "token_ratio_p_holm": verdict.tokens_p,
        "tokens_verdict": verdict.tokens,
        "seconds_ratio": _finite(found.seconds.value),
        **_spread("seconds_ratio", found.seconds.interval),
        "baseline_share_cut_off": _share_cut(found.first),
        "share_cut_off": _share_cut(found.second),
    }


def _spread(name: str, interval: Interval | None) -> dict[str, float | None]:
    low, high = interval if interval else (None, None)
    return {f"{name}_low": _finite(low), f"{name}_high": _finite(high)}


def _sides(compared: Compared, row: Row, flip: Flip) -> list[str]:
    names = [compared.baseline.name, row.model.name]
    if row.asked.compress != row.first_asked.compress:
        names = [f"{names[0]}, {row.first_asked.prompt}", f"{names[1]}, {row.asked.prompt}"]
    return [
        f"    {name}: {_answer(side)}"
        for name, side in zip(names, (flip.first, flip.second), strict=True)
    ]


def _answer(side: Side) -> str:
    tokens = f"{side.mean_tokens:.0f} tokens"
    if side.num_samples == 1:
        return f"{_said(side.answer)}, {'right' if side.num_correct else 'wrong'}, {tokens}"
    return (
        f"{side.num_correct} of {side.num_samples} right, e.g. {_said(side.answer)}, "
        f"{tokens} on average"
    )


def _said(answer: str | None) -> str:
    return shortened(answer, MAX_ANSWER) if answer else "(no answer)"


def _share_cut(outcomes: Outcomes) -> float:
    return float(outcomes.cut_off.mean())


def _more_or_less(difference: float) -> str:
    if round(difference * 100, 1) == 0:
        return "as often"
    return f"{_points(abs(difference))} points {'more' if difference > 0 else 'less'}"


def _points(share: float) -> str:
    return f"{share * 100:.1f}".replace("-0.0", "0.0")


def _percent(share: float) -> str:
    return f"{share * 100:.1f}%"


def _ends(interval: Interval) -> str:
    return f"{interval.low:.2f} to {interval.high:.2f}"


def _p_value(p_value: float | None) -> str:
    if p_value is None:
        return ""
    return "<0.001" if p_value < 0.001 else f"{p_value:.3f}"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
