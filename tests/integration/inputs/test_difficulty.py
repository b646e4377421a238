"""What `difficulty` is given: errors of all draws, the shortest right chain, shares of a shard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.difficulty import DifficultyConfig
from tasks.schemas import Membership, Problem
from tests.integration.inputs.rows import (
    Ask,
    Records,
    values,
    write_other_run,
)
from tests.unit import sample_corpus as sample
from tests.unit.sample_corpus import (
    P0,
    P1,
    P2,
    P3,
    RUN_ID,
    Made,
    rationale,
)


def test_difficulty_counts_wrong_answers(ask: Ask) -> None:
    rows = [
        rationale("generate", P0, candidate=0),
        rationale("generate", P0, candidate=1, verdict="wrong"),
        rationale("generate", P0, candidate=2, verdict="truncated"),
        rationale("generate", P0, candidate=3, verdict="unverifiable"),
    ]
    (found,) = ask("difficulty", *rows)
    assert (found["num_wrong"], found["num_graded"]) == (2, 3)
    assert found["subject_error_rate"] is None  # there is no other problem to tell by


def test_difficulty_reads_the_shortest_right_chain(ask: Ask) -> None:
    rows = [
        rationale("generate", P0, candidate=0, text="but wrong", num_tokens=5, verdict="wrong"),
        rationale("generate", P0, candidate=1, text="long", num_tokens=50),
        rationale("generate", P0, candidate=2, text="shortest right", num_tokens=40),
    ]
    (found,) = ask("difficulty", *rows)
    assert (found["rationale"], found["num_tokens"]) == ("shortest right", 40)
    assert found["length_quantile"] == 0.5  # the only one


OWN_RUN = Made("ingest", sample.RUN)


def errors(found: Records) -> list[tuple[Any, ...]]:
    return values(found, "num_wrong", "num_graded")


def test_difficulty_counts_earlier_runs_with_other_settings(ask: Ask, tmp_path: Path) -> None:
    write_other_run(tmp_path / "corpus", rationale("generate", P0, verdict="wrong", text="3"))
    found = ask("difficulty", OWN_RUN, rationale("generate", P0), rationale("generate", P1))
    assert errors(found) == [(1, 2), (0, 1)]
    assert values(found, "subject_error_rate") == [(0,), (0,)]  # of this run alone


def test_difficulty_may_leave_earlier_runs_out(ask: Ask, tmp_path: Path) -> None:
    write_other_run(tmp_path / "corpus", rationale("generate", P0, verdict="wrong", text="3"))
    rows = (OWN_RUN, rationale("generate", P0), rationale("generate", P1))
    found = ask("difficulty", *rows, config=DifficultyConfig(history=False))
    assert errors(found) == [(0, 1), (0, 1)]


def test_difficulty_counts_no_draw_twice(ask: Ask, tmp_path: Path) -> None:
    own = rationale("generate", P0, verdict="wrong", text="own")
    write_other_run(
        tmp_path / "corpus",
        own,  # the same draw, made before
        rationale("generate", P0, candidate=1, text="drawn"),
        rationale("verify", P0, candidate=1, text="drawn"),  # and imported
        rationale("verify", P0, candidate=2, text="drawn"),  # another draw of the same words
        rationale("generate", P0, candidate=3, text="unclear", verdict="unverifiable"),
        rationale("rewrite", P0, kind="rewritten", text="no draw at all"),
        rationale("generate", P3, text="of a problem held out here"),
    )
    assert errors(ask("difficulty", OWN_RUN, own)) == [(1, 3)]


def test_difficulty_counts_no_run_that_began_later(ask: Ask, tmp_path: Path) -> None:
    """A run that is resumed after another one has worked goes on as it started."""
    own = rationale("generate", P0)
    assert errors(ask("difficulty", OWN_RUN, own)) == [(0, 1)]
    write_other_run(tmp_path / "corpus", rationale("generate", P0, verdict="wrong", text="later"))
    assert errors(ask("difficulty")) == [(0, 1)]


def test_difficulty_compares_problems_within_their_shard(ask: Ask) -> None:
    rows = [
        rationale("generate", P0, verdict="wrong", num_tokens=10),
        rationale("generate", P1, num_tokens=20), rationale("generate", P2, num_tokens=5),
    ]  # fmt: skip
    found = values(ask("difficulty", *rows), "subject_error_rate", "length_quantile")
    assert found == [(0.0, 0.25), (1.0, 0.75), (None, 0.5)]
    assert values(ask("difficulty", shard=1), "record_id") == [(P2,)]


def test_difficulty_goes_on_where_it_stopped(ask: Ask) -> None:
    """Problems graded before an interruption still count for those that are left."""
    rows = [
        rationale("generate", P0, verdict="wrong", num_tokens=10),
        rationale("generate", P1, num_tokens=20),
    ]
    _, left = ask("difficulty", *rows)
    graded = replace(sample.difficulty(P0, "hard", 0.9), input_id=P0)
    assert ask("difficulty", graded) == [left]


def test_equal_lengths_share_the_middle_of_their_places(ask: Ask) -> None:
    found = ask("difficulty", *(rationale("generate", problem) for problem in (P0, P1)))
    assert values(found, "length_quantile") == [(0.5,), (0.5,)]


def problems_of(subjects: str) -> tuple[list[str], list[Made]]:
    """A problem a letter, its subject, in one shard of their own; their ids and rows."""
    problems = [
        Problem(source="s", question=f"q{n}", answer="1", answer_type="math", subject=subject)
        for n, subject in enumerate(subjects)
    ]
    ids = [problem.content_id() for problem in problems]
    members = [
        Membership(member_of=RUN_ID, problem_id=one, split="train", shard=7, position=70 + n)
        for n, one in enumerate(ids)
    ]
    return ids, [Made("ingest", row) for row in (*problems, *members)]


def test_a_subjects_errors_are_those_of_its_other_problems_and_of_the_shard(ask: Ask) -> None:
    ids, rows = problems_of("aaab")
    verdicts = ["wrong", "wrong", "correct", "correct"]
    rows += [
        rationale("generate", one, verdict=v) for one, v in zip(ids, verdicts, strict=True)
    ]  # fmt: skip
    found = ask("difficulty", *rows, config=DifficultyConfig(subject_prior=2))
    expected = [(1 + 2 / 3) / 4, (1 + 2 / 3) / 4, (2 + 4 / 3) / 4, (0 + 4 / 3) / 2]
    assert [row["subject_error_rate"] for row in found] == pytest.approx(expected)
    found = ask("difficulty", config=DifficultyConfig(subject_prior=0))
    assert values(found, "subject_error_rate") == [(0.5,), (0.5,), (1.0,), (None,)]


def by_quantile(problem_id: str, value: float, *, hard_from: float = 2 / 3) -> Made:
    made = sample.difficulty(problem_id, "easy", value)
    bounds = {"thresholds": "quantile", "medium_from": 1 / 3, "hard_from": hard_from}
    return replace(made, row=replace(made.row, level=None, **bounds))


def levels(ask: Ask, ids: Sequence[str], *rows: Made) -> list[str]:
    """The levels of `ids` in order, as the rewrite is given them."""
    chains = [rationale("generate", one) for one in ids]
    found = {row["problem_id"]: row["level"] for row in ask("rewrite", *rows, *chains)}
    return [found[one] for one in ids]


def test_quantile_levels_are_shares_of_the_shards_problems(ask: Ask) -> None:
    ids, rows = problems_of("abcdef")
    scores = [0.9, 0.1, 0.92, 0.91, 0.2, 0.95]
    graded = [by_quantile(one, score) for one, score in zip(ids, scores, strict=True)]
    expected = ["medium", "easy", "hard", "medium", "easy", "hard"]
    assert levels(ask, ids, *rows, *graded) == expected
    assert levels(ask, ids, by_quantile(P0, 0.99), by_quantile(P2, 0.0)) == expected  # other shards


def test_equal_scores_share_a_level(ask: Ask) -> None:
    ids, rows = problems_of("abcdef")
    graded = [by_quantile(one, score) for one, score in zip(ids, [0.5] * 5 + [0.6], strict=True)]
    assert levels(ask, ids, *rows, *graded) == ["medium"] * 5 + ["hard"]


def test_bounds_are_those_stored_with_the_row(ask: Ask) -> None:
    ids, rows = problems_of("abc")
    graded = [by_quantile(one, n / 10, hard_from=1) for n, one in enumerate(ids)]
    assert levels(ask, ids, *rows, *graded) == ["easy", "medium", "medium"]
