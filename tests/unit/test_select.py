"""MoRSD's three filters: order, ties, and one row for every rationale considered."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.diversity import Multiset, jaccard, near_duplicates, ngrams, words_of
from tasks.schemas import Selection
from tasks.select import Considered, SelectConfig, SelectRecord, select
from tests.fakes import ports

CHAIN = "first add the two numbers then divide what you get by three and write it down"
OTHER = "halve both sides of the equation before you look for a common factor in them"


def considered(name: str, text: str = CHAIN, **fields: Any) -> Considered:
    known: dict[str, Any] = {"condition": "original", "verdict": "correct", "rd": 0.5}
    return Considered(rationale_id=name, text=text, **{**known, **fields})


def run(
    *candidates: Considered, cutoff: float | None = None, **settings: Any
) -> dict[tuple[str, str], Selection]:
    record = SelectRecord(
        record_id="p", problem_id="p", candidates=tuple(candidates), cutoff=cutoff
    )
    rows = asyncio.run(select(record, ports(), SelectConfig.model_validate(settings)))
    found = {(row.rationale_id, row.condition): row for row in rows}
    assert len(found) == len(rows)
    return found


def decisions(*candidates: Considered, **settings: Any) -> dict[str, tuple[str, str]]:
    return {key[0]: (row.filter, row.reason) for key, row in run(*candidates, **settings).items()}


def test_accuracy_comes_first() -> None:
    """A wrong rationale is no near-duplicate of a right one and takes no place in the ranking."""
    assert decisions(considered("w", verdict="wrong", rd=0.1), considered("r", rd=0.9)) == {
        "w": ("accuracy", "wrong_answer"),
        "r": ("kept", "kept"),
    }


def test_diversity_comes_before_difficulty() -> None:
    found = decisions(considered("a", rd=0.2), considered("twin", rd=5.0), max_rd=1.0)
    assert found["twin"] == ("diversity", "near_duplicate")


def test_difficulty_comes_last() -> None:
    found = decisions(considered("a", rd=0.2), considered("b", OTHER, rd=5.0), max_rd=1.0)
    assert found["b"] == ("difficulty", "rd_above_threshold")


@pytest.mark.parametrize(("better", "worse"), [("a", "b"), ("b", "a")])
def test_of_two_near_duplicates_the_lower_rd_survives(better: str, worse: str) -> None:
    found = decisions(considered(better, rd=0.3), considered(worse, CHAIN.upper(), rd=0.4))
    assert found == {better: ("kept", "kept"), worse: ("diversity", "near_duplicate")}


def test_a_duplicate_takes_no_place_of_keep_per_problem() -> None:
    found = run(
        considered("a", rd=0.1), considered("twin", rd=0.2), considered("b", OTHER, rd=0.3),
        considered("c", "something else", rd=0.4), keep_per_problem=2,
    )  # fmt: skip
    assert {key[0]: row.rank for key, row in found.items()} == {
        "a": 1, "twin": None, "b": 2, "c": 3
    }  # fmt: skip
    assert [key[0] for key, row in found.items() if row.kept] == ["a", "b"]
    assert found["c", "original"].reason == "beyond_keep_per_problem"


def test_keep_per_problem_can_be_off() -> None:
    found = run(
        considered("a"), considered("b", OTHER), considered("c", "else"), keep_per_problem=None
    )
    assert all(row.kept for row in found.values())


def test_outside_the_kept_fraction() -> None:
    found = decisions(
        considered("a", rd=0.4), considered("b", OTHER, rd=0.6), cutoff=0.5, keep_per_problem=None
    )
    assert found == {"a": ("kept", "kept"), "b": ("difficulty", "outside_keep_fraction")}


def test_the_cutoff_itself_is_kept() -> None:
    assert decisions(considered("a", rd=0.5), cutoff=0.5) == {"a": ("kept", "kept")}


def test_a_right_rationale_that_was_not_scored_is_named() -> None:
    assert decisions(considered("a", rd=None)) == {"a": ("accuracy", "not_scored")}


@pytest.mark.parametrize("verdict", ["no_answer", "truncated", "unverifiable"])
def test_other_verdicts_are_their_own_reason(verdict: str) -> None:
    assert decisions(considered("a", verdict=verdict, rd=None)) == {"a": ("accuracy", verdict)}


@pytest.mark.parametrize("max_rd", [1.0, math.inf])
def test_nan_is_never_kept_and_never_the_better_twin(max_rd: float) -> None:
    found = decisions(considered("a", rd=math.nan), considered("b", rd=0.9), max_rd=max_rd)
    assert found == {"a": ("diversity", "near_duplicate"), "b": ("kept", "kept")}
    alone = decisions(considered("a", rd=math.nan), max_rd=max_rd)
    assert alone == {"a": ("difficulty", "rd_above_threshold")}


def test_uses_are_judged_apart() -> None:
    """The same chain may be taught both ways: as the original and as its own compressed form."""
    found = run(considered("a"), considered("a", condition="compressed"), keep_per_problem=1)
    assert {key: row.kept for key, row in found.items()} == {
        ("a", "original"): True,
        ("a", "compressed"): True,
    }


def test_every_row_tells_the_rd_it_was_judged_by() -> None:
    assert run(considered("a", rd=0.25))["a", "original"].rd == 0.25


candidates = st.lists(
    st.builds(
        Considered,
        rationale_id=st.uuids().map(str),
        condition=st.sampled_from(["original", "compressed"]),
        verdict=st.sampled_from(["correct", "correct", "wrong", "no_answer"]),
        text=st.sampled_from([CHAIN, CHAIN + " now", OTHER, "short", ""]),
        rd=st.none() | st.sampled_from([0.1, 0.5, 0.5, 0.9, 1.5, math.inf, math.nan]),
    ),
    max_size=8,
    unique_by=lambda c: c.rationale_id,
)


@given(candidates, st.randoms(use_true_random=False), st.none() | st.just(0.5))
def test_arrival_order_does_not_matter(
    some: list[Considered], random: Any, cutoff: float | None
) -> None:
    shuffled = list(some)
    random.shuffle(shuffled)
    settings = {"keep_per_problem": 2, "max_rd": 1.0, "cutoff": cutoff}
    assert _told(run(*some, **settings)) == _told(run(*shuffled, **settings))


def _told(found: dict[tuple[str, str], Selection]) -> dict[tuple[str, str], tuple[Any, ...]]:
    return {
        key: (row.kept, row.filter, row.reason, row.rank, str(row.rd)) for key, row in found.items()
    }


@given(candidates, st.sampled_from([1, 2, None]))
def test_everything_considered_leaves_with_one_row(
    some: list[Considered], keep: int | None
) -> None:
    found = run(*some, keep_per_problem=keep)
    assert set(found) == {(c.rationale_id, c.condition) for c in some}
    assert all(row.kept == (row.filter == "kept") for row in found.values())
    by_id = {c.rationale_id: c for c in some}
    for (name, _), row in found.items():
        assert not row.kept or by_id[name].verdict == "correct"
    for condition in ("original", "compressed"):
        _check_kept([row for key, row in found.items() if key[1] == condition], keep)


def _check_kept(rows: Sequence[Selection], keep: int | None) -> None:
    kept = [row.rd for row in rows if row.kept and row.rd is not None]
    beyond = [row.rd for row in rows if row.reason == "beyond_keep_per_problem"]
    assert keep is None or len(kept) <= keep
    assert not kept or max(kept) <= 1.0
    assert not kept or all(rd is not None and rd >= max(kept) for rd in beyond)


@given(st.text(), st.text(), st.integers(1, 4))
def test_similarity_is_symmetric_and_one_for_itself(left: str, right: str, size: int) -> None:
    one, two = (Multiset(ngrams(words_of(text), size)) for text in (left, right))
    assert jaccard(one, one) == 1.0
    assert jaccard(one, two) == jaccard(two, one)
    assert 0.0 <= jaccard(one, two) <= 1.0


def test_similarity_by_hand() -> None:
    left, right = (Multiset(ngrams(words_of(text), 3)) for text in ("a b c d", "A b c e"))
    assert jaccard(left, right) == pytest.approx(1 / 3)  # abc of abc, bcd, bce


def naive_ngrams(text: str, size: int) -> list[str]:
    words = re.findall(r"\w+|[^\w\s]", text.casefold())
    return [" ".join(words[i : i + size]) for i in range(max(1, len(words) - size + 1))]


def naive_similarity(left: str, right: str, size: int) -> float:
    """Jaccard similarity of multisets as it is defined: the smaller counts over the larger ones."""
    one, two = naive_ngrams(left, size), naive_ngrams(right, size)
    grams = set(one) | set(two)
    smaller = sum(min(one.count(gram), two.count(gram)) for gram in grams)
    return smaller / sum(max(one.count(gram), two.count(gram)) for gram in grams)


def naive_duplicates(texts: Sequence[str], size: int, threshold: float) -> dict[str, str]:
    """Every text against all better ones that stayed."""
    kept: list[int] = []
    found = {}
    for number, text in enumerate(texts):
        twins = [k for k in kept if naive_similarity(text, texts[k], size) >= threshold]
        if twins:
            found[str(number)] = str(twins[0])
        else:
            kept.append(number)
    return found


words = st.lists(st.sampled_from(["a", "B", "b", "c", "=", "2"]), max_size=12)


@st.composite
def versions(draw: st.DrawFn) -> list[str]:
    """Texts of which some are one another's with a few words changed."""
    texts = [draw(words)]
    for _ in range(draw(st.integers(1, 5))):
        base = list(draw(st.sampled_from(texts))) if draw(st.booleans()) else draw(words)
        for _ in range(draw(st.integers(0, 2)) if base else 0):
            base[draw(st.integers(0, len(base) - 1))] = draw(st.sampled_from(["x", "a", "b c"]))
        texts.append(base)
    return [" ".join(text) for text in texts]


@given(versions(), st.integers(1, 4), st.sampled_from([0.2, 0.5, 2 / 3, 0.8, 1.0]))
def test_near_duplicates_are_exactly_those_of_the_definition(
    texts: list[str], size: int, threshold: float
) -> None:
    ordered = [considered(str(number), text) for number, text in enumerate(texts)]
    assert near_duplicates(ordered, size=size, least=threshold) == naive_duplicates(
        texts, size, threshold
    )


def test_a_near_duplicate_names_the_better_one() -> None:
    found = run(considered("a", rd=0.2), considered("twin", rd=0.3), considered("b", OTHER))
    assert {key[0]: row.duplicate_of for key, row in found.items()} == {
        "a": None, "twin": "a", "b": None
    }  # fmt: skip


# --- by other measures than RD


def by(name: Any = "grape", **settings: Any) -> dict[str, Any]:
    return {"by": name, **settings}


def valued(name: str, value: float | None, text: str = CHAIN, **fields: Any) -> Considered:
    """A right, scored rationale with a value of the measure; its RD says the opposite."""
    rd = 0.5 if value is None or not math.isfinite(value) else abs(value)
    return considered(name, text, value=value, **{"rd": rd, **fields})


@pytest.mark.parametrize(
    ("name", "better", "worse"),
    [("ifd", 0.2, 0.4), ("rsr", 1.0, 2.0), ("length", 10, 20), ("random", 0.1, 0.2),
     ("grape", -0.2, -0.4), ("naturalness", -1.0, -2.0), ({"rd": 1, "grape": 1}, 0.1, 0.9)],
)  # fmt: skip
def test_each_scorer_goes_in_its_direction(name: Any, better: float, worse: float) -> None:
    settings = by(name, keep_per_problem=1)
    found = run(valued("a", worse), valued("b", better, OTHER), **settings)
    assert {key[0]: (row.kept, row.rank) for key, row in found.items()} == {
        "a": (False, 2), "b": (True, 1)
    }  # fmt: skip
    twins = decisions(valued("a", worse), valued("b", better), **settings)
    assert twins == {"a": ("diversity", "near_duplicate"), "b": ("kept", "kept")}


@pytest.mark.parametrize(
    ("name", "kept", "dropped"), [("ifd", [0.1, 0.5], [0.51]), ("grape", [0.9, 0.5], [0.49])]
)
def test_the_threshold_is_the_worst_kept(
    name: str, kept: list[float], dropped: list[float]
) -> None:
    texts = {value: f"text number {value}" for value in (*kept, *dropped)}
    settings = by(name, threshold=0.5, keep_per_problem=None)
    found = decisions(*(valued(str(v), v, text) for v, text in texts.items()), **settings)
    assert {key for key, told in found.items() if told == ("kept", "kept")} == set(map(str, kept))
    for value in dropped:
        assert found[str(value)] == ("difficulty", "beyond_threshold")


@pytest.mark.parametrize("name", ["ifd", "grape", {"rd": 1.0}])
@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_no_value_comes_last_and_is_never_kept_by_a_threshold(
    name: Any, value: float | None
) -> None:
    rows = valued("a", value), valued("b", 0.9, OTHER), valued("c", 0.9, "something else")
    found = run(*rows, **by(name, threshold=1.0 if name != "grape" else 0.0))
    assert (found["a", "original"].reason, found["a", "original"].rank) == ("beyond_threshold", 3)
    assert found["b", "original"].kept
    alone = run(rows[0], **by(name))
    assert alone["a", "original"].kept  # nothing asked for a value, and there is no better one
    twins = decisions(valued("a", value), valued("b", 0.9), **by(name))
    assert twins["a"] == ("diversity", "near_duplicate")


@pytest.mark.parametrize(("name", "sign"), [("ifd", 1), ("grape", -1)])
def test_the_cutoff_is_a_cost(name: str, sign: int) -> None:
    """What the query gives: the measure with its sign, less is better."""
    rows = [valued(str(n), sign * n / 10, f"text {n} of them") for n in range(5)]
    found = run(*rows, valued("none", None, OTHER), cutoff=0.2, **by(name, keep_per_problem=None))
    assert {key[0] for key, row in found.items() if row.kept} == {"0", "1", "2"}
    assert found["3", "original"].reason == "outside_keep_fraction"
    assert found["none", "original"].reason == "outside_keep_fraction"


def test_max_rd_is_for_rd_alone() -> None:
    assert decisions(valued("a", -0.1, rd=5.0), **by("grape")) == {"a": ("kept", "kept")}


def test_rows_tell_the_measure_but_for_rd() -> None:
    (row,) = run(considered("a", rd=0.25, value=0.25)).values()
    assert (row.by, row.value, row.rd) == (None, None, 0.25)
    (row,) = run(valued("a", -0.5, rd=0.25), **by("grape")).values()
    assert (row.by, row.value, row.rd) == ("grape", -0.5, 0.25)
    (row,) = run(valued("a", 0.5, rd=0.25), **by({"rsr": 0.5, "rd": 0.5})).values()
    assert (row.by, row.value, row.rd) == ("0.5 rd + 0.5 rsr", 0.5, 0.25)
    (row,) = run(considered("w", verdict="wrong", rd=None), **by("grape")).values()
    assert (row.by, row.value, row.rd) == ("grape", None, None)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"by": "perplexity"}, "no scorer 'perplexity'; there are: grape, ifd"),
        ({"by": {"rd": 1, "perplexity": 1}}, "no scorer 'perplexity'; there are"),
        ({"by": {}}, "a scorer's name, or weights such as"),
        ({"by": 3}, "a scorer's name, or weights such as"),
        ({"by": {"rd": 0}}, "the weight of 'rd' must be above 0"),
        ({"by": {"rd": math.inf}}, "the weight of 'rd' must be above 0 and finite"),
        ({"by": {"rd": math.nan}}, "the weight of 'rd' must be above 0 and finite"),
        ({"by": {"rd": "much"}}, "the weight of 'rd' is no number"),
        ({"by": {"rd": True}}, "the weight of 'rd' is no number"),
        ({"threshold": 0.5}, "where select.by is rd it is select.max_rd"),
        ({"by": {"rd": 10**400, "ifd": 1}}, "the weight of 'rd' must be above 0 and finite"),
        ({"by": {"rd": 1, "ifd": 1e-10}}, "the weight of 'ifd' is below 1e-09 of the largest"),
        ({"by": {"rd": 1.0}, "threshold": 1.5}, "weighted ranks are 0"),
        ({"by": "ifd", "threshold": math.inf}, "finite"),
    ],
)
def test_wrong_settings_are_one_line(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(told)) as caught:
        SelectConfig.model_validate(settings)
    assert len(caught.value.errors()) == 1


weights = st.dictionaries(
    st.sampled_from(["rd", "ifd", "grape", "rsr"]), st.floats(1e-3, 1e3), min_size=1
)


@given(weights=weights, scale=st.sampled_from([1e-310, 1e-300, 1.0, 1e300, 1e305]))
def test_weights_of_any_size_are_parts_of_one(weights: dict[str, float], scale: float) -> None:
    by = {name: weight * scale for name, weight in weights.items()}
    asked = json.loads(SelectConfig(by=by).for_query())["measures"]
    total = sum(weights.values())
    assert {each["scorer"]: each["weight"] for each in asked} == pytest.approx(
        {name: weight / total for name, weight in weights.items()},
        rel=1e-6 if scale < 1e-305 else 1e-12,
    )


def test_the_order_of_weights_means_nothing() -> None:
    one, other = ({"rd": 0.5, "rsr": 0.25}, {"rsr": 0.25, "rd": 0.5})
    assert SelectConfig(by=one).measure == SelectConfig(by=other).measure
    query = [json.loads(SelectConfig(by=some).for_query()) for some in (one, other)]
    assert query[0]["measures"] == query[1]["measures"]


NAMES = ["rd", "ifd", "grape", "rsr", "naturalness", "length", "random"]
odd = st.none() | st.sampled_from([0.1, 0.5, 0.5, 0.9, -0.5, math.inf, -math.inf, math.nan])
measured = st.lists(
    st.builds(
        Considered,
        rationale_id=st.uuids().map(str),
        condition=st.just("original"),
        verdict=st.sampled_from(["correct", "correct", "wrong"]),
        text=st.sampled_from([CHAIN, OTHER, "short", "other", ""]),
        rd=st.sampled_from([0.1, 0.5, 0.9, 1.5]),
        value=odd,
    ),
    max_size=8,
    unique_by=lambda c: c.rationale_id,
)


@given(measured, st.sampled_from(NAMES[1:]), st.none() | st.sampled_from([0.5, 0.1]), st.data())
def test_properties_of_selection_by_any_scorer(
    some: list[Considered], name: str, threshold: float | None, data: st.DataObject
) -> None:
    keep = data.draw(st.sampled_from([1, 2, None]))
    settings = by(name, threshold=threshold, keep_per_problem=keep)
    found = run(*some, **settings)
    assert _told(found) == _told(run(*data.draw(st.permutations(some)), **settings))
    assert len(found) == len(some)
    higher = name in ("grape", "naturalness")
    ranked = sorted((row for row in found.values() if row.rank), key=lambda row: row.rank or 0)
    for better, worse in itertools.pairwise(ranked):
        if not _is_number(better.value):
            assert not _is_number(worse.value)
        elif _is_number(worse.value):
            assert better.value >= worse.value if higher else better.value <= worse.value
    kept = [row for row in ranked if row.kept]
    assert keep is None or len(kept) <= keep
    assert kept == ranked[: len(kept)]
    if threshold is not None:
        within = [
            row for row in ranked if _is_number(row.value)
            and (row.value >= threshold if higher else row.value <= threshold)
        ]  # fmt: skip
        assert kept == (within if keep is None else within[:keep])
    for row in found.values():
        if row.reason == "near_duplicate":
            twin = found[str(row.duplicate_of), "original"]
            assert twin.rank is not None
            assert not (_is_number(row.value) and not _is_number(twin.value))


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


# --- controls: a filter left out, the worst kept


def test_without_the_accuracy_filter_a_wrong_chain_is_judged_like_any_other() -> None:
    found = decisions(
        considered("w", verdict="wrong", rd=0.1), considered("r", OTHER, rd=0.9),
        filters=["diversity", "difficulty"],
    )  # fmt: skip
    assert found == {"w": ("kept", "kept"), "r": ("difficulty", "beyond_keep_per_problem")}


def test_without_any_filter_only_what_was_cut_off_is_dropped() -> None:
    found = decisions(
        considered("a", rd=9.0), considered("twin", rd=None), considered("w", verdict="wrong"),
        considered("cut", incomplete="cut_off"), filters=[], cutoff=0.1,
    )  # fmt: skip
    assert found == {
        **dict.fromkeys(("a", "twin", "w"), ("kept", "kept")),
        "cut": ("completeness", "cut_off"),
    }


def test_without_the_difficulty_filter_nothing_has_to_be_scored() -> None:
    found = decisions(
        considered("a", rd=None), considered("twin", rd=None), considered("b", OTHER, rd=None),
        filters=["accuracy", "diversity"],
    )  # fmt: skip
    assert found == {
        "a": ("kept", "kept"), "b": ("kept", "kept"), "twin": ("diversity", "near_duplicate")
    }  # fmt: skip


def test_the_worst_may_be_kept_instead() -> None:
    two = (considered("low", rd=0.2, value=0.2), considered("high", OTHER, rd=5.0, value=5.0))
    found = run(*two, worst_first=True)
    assert {name: row.reason for (name, _), row in found.items()} == {
        "low": "beyond_keep_per_problem", "high": "kept"
    }  # fmt: skip
    assert found["high", "original"].by == "worst by rd"


def test_a_threshold_against_the_worst_is_refused() -> None:
    with pytest.raises(ValidationError, match="worst_first keeps those"):
        SelectConfig(by="ifd", threshold=1.0, worst_first=True)
