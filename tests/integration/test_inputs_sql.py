"""What each stage is given: sql/inputs over small corpora, through the anti-join of resume."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.runs.run import config_json
from infra.storage import CorpusWriter
from sql.database import Database, connect, names
from sql.pending import count_pending, stream_pending
from tasks.catalog import STAGES
from tasks.compress import CompressConfig
from tasks.difficulty import DifficultyConfig
from tasks.evaluate import EvaluateConfig
from tasks.rewrite import RewriteConfig
from tasks.schemas import Candidate, Membership, Problem, Rejection
from tasks.score import ScoreConfig
from tasks.scorers import SCORERS
from tasks.select import SelectConfig, SelectRecord, select
from tasks.stage import StageConfig
from tests.fakes import ports
from tests.selection_reference import Chain, kept
from tests.unit import sample_corpus as sample
from tests.unit.sample_corpus import (
    FINGERPRINTS,
    OTHER_FINGERPRINTS,
    OTHER_ID,
    P0,
    P1,
    P2,
    P3,
    RUN_ID,
    Made,
    rationale,
)

TABLES = {stage.reads: stage.writes.table for stage in STAGES.values()}
RECORDS = {stage.reads: stage.record for stage in STAGES.values()}
CONFIGS = {stage.reads: stage.config for stage in STAGES.values()}
BASE = (
    *(sample.problem(number) for number in range(4)),
    *(sample.member(problem_id) for problem_id in (P0, P1, P2)),
    sample.member(P3, split="eval"),
)
Records = list[dict[str, Any]]
Ask = Callable[..., Records]


@pytest.fixture(scope="module", autouse=True)
def mine() -> Iterator[None]:
    """A scorer from outside."""
    assert "mine" not in SCORERS
    SCORERS.add(replace(SCORERS["ifd"], name="mine"), origin="test", sha="test", source="test")
    yield
    SCORERS.remove("test")


@pytest.fixture(scope="module")
def views() -> Database:
    """Over the corpus of one test after another: making all views takes longer than to ask."""
    return connect({})


@pytest.fixture
def ask(tmp_path: Path, views: Database) -> Ask:
    """ask(stage, *rows, config=..., shard=...): what `stage` has left to do over BASE and rows."""

    def asked(
        reads: str, *rows: Made, config: StageConfig | None = None, shard: int | None = None
    ) -> Records:
        parts = sample.write_rows(tmp_path / "corpus", [*BASE, *rows])
        database = sample.seen_through(views, parts)
        database.set_run(RUN_ID, FINGERPRINTS)
        query: dict[str, Any] = {
            "reads": reads, "table": TABLES[reads], "shard": shard,
            "fingerprint": FINGERPRINTS.get(reads, FINGERPRINTS["evaluate-base"]),
            "config": config_json(config or CONFIGS[reads]()),
        }  # fmt: skip
        found = list(stream_pending(database, **query))
        assert count_pending(database, **query) == len(found)
        for row in found:  # each is what the step takes
            RECORDS[reads].from_row(row)
        return found

    return asked


def values(found: Sequence[dict[str, Any]], *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in columns) for row in found]


@pytest.fixture(scope="module")
def empty() -> Database:
    return connect({})


@pytest.mark.parametrize("reads", sorted(set(names("inputs")) - {"train", "texts"}))
def test_binds_on_an_empty_corpus(empty: Database, reads: str) -> None:
    query = {
        "reads": reads, "table": TABLES[reads], "fingerprint": "fp", "shard": None,
        "config": config_json(CONFIGS[reads]()),
    }  # fmt: skip
    assert count_pending(empty, **query) == 0
    assert list(stream_pending(empty, **query)) == []


# --- generate, verify, evaluate


def test_generate_reads_training_problems_in_order(ask: Ask) -> None:
    assert values(ask("generate"), "record_id", "answer") == [(P0, "1"), (P1, "2"), (P2, "3")]


def test_a_shard_is_its_own_problems(ask: Ask) -> None:
    assert set(values(ask("generate", shard=0), "record_id")) == {(P0,), (P1,)}
    assert values(ask("generate", shard=1), "record_id") == [(P2,)]


def test_what_has_rows_or_a_rejection_is_done(ask: Ask) -> None:
    done = replace(rationale("generate", P0), input_id=P0)
    refused = Made(
        "generate", Rejection(record_id=P1, problem_id=P1, stage="generate", reason="x"), P1
    )
    assert values(ask("generate", done, refused), "record_id") == [(P2,)]


def test_rows_of_other_settings_do_not_count_as_done(ask: Ask, tmp_path: Path) -> None:
    write_other_run(tmp_path / "corpus", rationale("generate", P0))
    assert values(ask("generate"), "record_id") == [(P0,), (P1,), (P2,)]


def write_other_run(folder: Path, *rows: Made) -> None:
    """Rows made earlier by a run with other settings."""
    with CorpusWriter(folder) as writer:
        for made in rows:
            fingerprint = OTHER_FINGERPRINTS[made.stage]
            writer.finish(P0, [made.row], stage_fingerprint=fingerprint, run_id=OTHER_ID)


def test_verify_reads_what_was_brought(ask: Ask) -> None:
    imported = [
        Made("ingest", Candidate(problem_id=P1, candidate=n, text=f"t{n}", finish_reason=ended))
        for n, ended in ((1, "length"), (0, None))
    ]
    columns = ("problem_id", "candidate", "text", "answer", "finish_reason")
    assert values(ask("verify", *imported), *columns) == [
        (P1, 0, "t0", "2", None), (P1, 1, "t1", "2", "length")
    ]  # fmt: skip


def test_evaluate_reads_held_out_problems_both_ways(ask: Ask) -> None:
    found = ask("evaluate", config=EvaluateConfig(num_samples=2))
    assert values(found, "problem_id", "compress", "sample") == [
        (P3, False, 0), (P3, False, 1), (P3, True, 0), (P3, True, 1)
    ]  # fmt: skip
    assert len({row["record_id"] for row in found}) == 4


# --- difficulty


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


# --- rewrite, compress


def test_the_parent_of_a_rewrite_is_the_shortest_right_chain(ask: Ask) -> None:
    chains = [
        rationale("generate", P0, candidate=0, num_tokens=5, verdict="wrong"),
        rationale("generate", P0, candidate=1, num_tokens=50),
        rationale("generate", P0, candidate=2, num_tokens=40, text="this one"),
        rationale("generate", P0, candidate=3, num_tokens=40),
    ]
    (found,) = ask("rewrite", *chains, sample.difficulty(P0, "hard", 0.9))
    assert (found["parent_id"], found["parent_text"], found["level"]) == (
        chains[2].id, "this one", "hard"
    )  # fmt: skip


def test_a_graded_problem_without_a_right_chain_is_still_given(ask: Ask) -> None:
    wrong = rationale("generate", P0, verdict="wrong")
    (found,) = ask("rewrite", wrong, sample.difficulty(P0, "hard", 0.9))
    assert (found["parent_id"], found["parent_text"]) == (None, None)


def test_the_parent_brings_its_writer(ask: Ask) -> None:
    chain = rationale("verify", P0, model="r1", engine="imported")
    (found,) = ask("rewrite", chain, sample.difficulty(P0, "hard", 0.9))
    assert (found["parent_model"], found["parent_engine"]) == ("r1", "imported")


@pytest.mark.parametrize("graded", [(), (sample.difficulty(P0, "hard", 0.9),)])
def test_a_single_prompt_needs_no_level(ask: Ask, graded: Sequence[Made]) -> None:
    chains = [rationale("generate", P0), rationale("generate", P0, candidate=1)]
    single = RewriteConfig(variant="single_prompt")
    found = ask("rewrite", *chains, *graded, config=single)
    assert values(found, "problem_id", "level", "parent_id") == [(P0, None, chains[0].id)]


def test_in_two_steps_there_is_nothing_to_rewrite_before_there_is_a_level(ask: Ask) -> None:
    assert ask("rewrite", rationale("generate", P0)) == []


LONG = rationale("generate", P0)
WRONG = rationale("generate", P0, candidate=1, verdict="wrong", text="other")
REWRITTEN = rationale("rewrite", P0, kind="rewritten", parent_id=LONG.id, level="easy")


def compressed(parent: Made, number: int, **columns: Any) -> Made:
    return rationale(
        "compress", P0, kind="compressed", parent_id=parent.id, round=number,
        **{"chosen": False, **columns},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("source", "parent", "level"), [("long", LONG, "hard"), ("rewritten", REWRITTEN, "easy")]
)
def test_compress_takes_right_chains_of_its_source(
    ask: Ask, source: Any, parent: Made, level: str
) -> None:
    rows = [LONG, WRONG, REWRITTEN, sample.difficulty(P0, "hard", 0.9), compressed(LONG, 1)]
    found = ask("compress", *rows, config=CompressConfig(source=source))
    assert values(found, "record_id", "level") == [(parent.id, level)]


def test_compress_needs_no_level(ask: Ask) -> None:
    assert values(ask("compress", LONG, config=CompressConfig(source="long")), "level") == [(None,)]


# --- chains that were cut off

CUT_OFF = rationale("generate", P0, candidate=2, num_tokens=5, finish_reason="length")


def test_a_chain_cut_off_is_nobodys_parent_and_is_not_scored(ask: Ask) -> None:
    rows = [CUT_OFF, LONG, sample.difficulty(P0, "hard", 0.9)]
    (found,) = ask("rewrite", *rows)
    assert (found["parent_id"], found["num_cut_off"]) == (LONG.id, 1)
    found = ask("compress", config=CompressConfig(source="long"))
    assert values(found, "record_id") == [(LONG.id,)]
    assert values(ask("score", config=ScoreConfig(kinds=("long",))), "record_id") == [(LONG.id,)]


@pytest.mark.parametrize("finish_reason", ["length", "content_filter"])
def test_a_problem_whose_right_chains_were_all_cut_off_has_no_parent(
    ask: Ask, finish_reason: str
) -> None:
    chain = rationale("generate", P0, finish_reason=finish_reason)
    (found,) = ask("rewrite", chain, WRONG, sample.difficulty(P0, "hard", 0.9))
    assert (found["parent_id"], found["parent_text"], found["num_cut_off"]) == (None, None, 1)


def told_incomplete(found: Records) -> dict[tuple[str, str], str | None]:
    return {
        (c["rationale_id"], c["condition"]): c["incomplete"]
        for row in found
        for c in row["candidates"]
    }


def test_select_is_told_of_all_that_was_cut_off_and_of_what_was_made_of_it(ask: Ask) -> None:
    """Also in a corpus of an older version, where such chains were rewritten and scored."""
    original = rationale(
        "rewrite", P0, kind="rewritten", parent_id=CUT_OFF.id, finish_reason="original"
    )
    rounds = [compressed(parent, 1, chosen=True) for parent in (original, REWRITTEN)]
    open_thought = rationale("generate", P1, text="<think>1 + 1 = 2, the answer is 2")
    rows = [CUT_OFF, LONG, original, REWRITTEN, *rounds, open_thought]
    scores = [sample.score(made.id, 0.5) for made in rows]
    both = SelectConfig(original_kinds=("long", "rewritten"), with_compressed=True)
    assert told_incomplete(ask("select", *rows, *scores, config=both)) == {
        (CUT_OFF.id, "original"): "cut_off",
        (original.id, "original"): "parent_cut_off",
        (rounds[0].id, "compressed"): "parent_cut_off",
        (LONG.id, "original"): None,
        (REWRITTEN.id, "original"): None,
        (rounds[1].id, "compressed"): None,
        (open_thought.id, "original"): "unclosed_thought",  # alone with its problem
    }


def test_a_chain_cut_off_has_no_share_in_the_kept_fraction(ask: Ask) -> None:
    chains = [LONG, CUT_OFF, *(rationale("generate", P0, candidate=n) for n in (3, 4))]
    measured = zip(chains, (0.3, 0.1, 0.2, 0.4), strict=True)
    scores = [sample.score(chain.id, rd) for chain, rd in measured]
    (found,) = ask("select", *chains, *scores, config=SelectConfig(keep_fraction=0.25))
    assert found["cutoff"] == 0.2  # the best of three


def test_an_answer_not_stated_has_no_share_where_it_has_to_be(ask: Ask) -> None:
    guessed = rationale("generate", P0, candidate=3, stated_as="closing_line")
    rows = [LONG, guessed, sample.score(LONG.id, 0.2), sample.score(guessed.id, 0.1)]
    (found,) = ask("select", *rows, config=SelectConfig(keep_fraction=0.5))
    assert found["cutoff"] == 0.1
    strict = SelectConfig(keep_fraction=0.5, require_stated_answer=True)
    (found,) = ask("select", config=strict)
    assert found["cutoff"] == 0.2
    assert {c["rationale_id"]: c["stated_as"] for c in found["candidates"]} == {
        LONG.id: None, guessed.id: "closing_line"
    }  # fmt: skip


def test_mix_is_told_of_a_chain_that_is_no_whole_one(ask: Ask) -> None:
    thought = rationale("generate", P0, candidate=4, text="<think>1</think> ")
    kept = [sample.selection(one.id, "original") for one in (LONG, CUT_OFF, thought)]
    found = ask("mix", LONG, CUT_OFF, thought, *kept)
    assert {row["rationale_id"]: row["incomplete"] for row in found} == {
        LONG.id: None, CUT_OFF.id: "cut_off", thought.id: "nothing_behind_thought"
    }  # fmt: skip


# --- score, select


@pytest.mark.parametrize(
    ("kinds", "places"), [(("long",), [0]), (("rewritten", "compressed"), [3, 1]), ((), [])]
)
def test_score_reads_right_chains_of_its_kinds(ask: Ask, kinds: Any, places: list[int]) -> None:
    kept = compressed(REWRITTEN, 1, chosen=True)
    rows = [LONG, REWRITTEN, WRONG, kept, compressed(REWRITTEN, 2)]
    found = ask("score", *rows, config=ScoreConfig(kinds=kinds))
    assert values(found, "record_id") == [(rows[place].id,) for place in places]


def candidates(found: Records) -> set[tuple[str, str]]:
    return {(c["rationale_id"], c["condition"]) for row in found for c in row["candidates"]}


BOTH = SelectConfig(original_kinds=("rewritten",), with_compressed=True)


def test_select_considers_the_kept_round_for_compressed(ask: Ask) -> None:
    kept = compressed(REWRITTEN, 1, chosen=True)
    found = ask("select", LONG, REWRITTEN, kept, compressed(REWRITTEN, 2), config=BOTH)
    assert candidates(found) == {(REWRITTEN.id, "original"), (kept.id, "compressed")}


def test_a_chain_already_minimal_stands_as_its_own_compressed_one(ask: Ask) -> None:
    rebound = compressed(REWRITTEN, 1, stop_reason="rebound")
    found = ask("select", LONG, REWRITTEN, rebound, config=BOTH)
    assert candidates(found) == {(REWRITTEN.id, "original"), (REWRITTEN.id, "compressed")}


@pytest.mark.parametrize("reason", ["answer_changed", "answer_not_stated", "truncated", "refused"])
def test_a_chain_that_could_not_be_compressed_is_no_compressed_one(ask: Ask, reason: str) -> None:
    """Taught under <compress>, it would teach that <compress> means nothing."""
    spoilt = compressed(REWRITTEN, 1, stop_reason=reason)
    found = ask("select", LONG, REWRITTEN, spoilt, config=BOTH)
    assert candidates(found) == {(REWRITTEN.id, "original")}


def test_select_leaves_compressed_out_where_it_is_not_wanted(ask: Ask) -> None:
    kept = compressed(REWRITTEN, 1, chosen=True)
    assert candidates(ask("select", LONG, REWRITTEN, kept, WRONG)) == {
        (LONG.id, "original"), (WRONG.id, "original")
    }  # fmt: skip


def test_select_considers_wrong_and_unscored_ones_too(ask: Ask) -> None:
    (found,) = ask("select", LONG, WRONG, sample.score(LONG.id, 0.5))
    told = {c["rationale_id"]: (c["verdict"], c["rd"]) for c in found["candidates"]}
    assert told == {LONG.id: ("correct", 0.5), WRONG.id: ("wrong", None)}


@pytest.mark.parametrize(
    ("fraction", "cutoff"), [(None, None), (0.25, 0.1), (0.5, 0.2), (0.3, 0.2), (1.0, 0.4)]
)
def test_the_cutoff_is_the_rd_of_the_kept_fraction(
    ask: Ask, fraction: float | None, cutoff: float | None
) -> None:
    chains = [rationale("generate", P0, candidate=n, text=f"t{n}") for n in range(4)]
    scores = [sample.score(chain.id, (n + 1) / 10) for n, chain in enumerate(chains)]
    wrong = rationale("generate", P0, candidate=9, verdict="wrong")
    config = SelectConfig(keep_fraction=fraction)
    (found,) = ask("select", *chains, *scores, wrong, config=config)
    assert found["cutoff"] == cutoff


def scored(made: Made, **values: Any) -> Made:
    """A scores row with values of other scorers than RD."""
    row = sample.score(made.id, values.pop("rd", 0.5)).row
    return Made("score", replace(row, problem_id=made.row.__dict__["problem_id"], **values))


def test_select_brings_the_value_of_its_measure(ask: Ask) -> None:
    other = rationale("generate", P0, candidate=2)
    rows = [LONG, WRONG, other, scored(LONG, ifd=0.25, others={"random": 0.75}), scored(other)]
    for by, value in (("ifd", 0.25), ("random", 0.75), ("length", 9.0), ("rd", None)):
        (found,) = ask("select", *rows, config=SelectConfig(by=by))
        values = {c["rationale_id"]: c["value"] for c in found["candidates"]}
        without = 9.0 if by == "length" else None
        assert values == {LONG.id: value, other.id: without, WRONG.id: None}


@pytest.mark.parametrize(
    ("fraction", "cutoff"),
    [(0.25, -0.4), (0.5, -0.3), (0.51, -0.2), (0.75, -0.2), (0.76, None), (1.0, None)],
)
def test_the_cutoff_of_a_scorer_where_higher_is_better(
    ask: Ask, fraction: float, cutoff: float | None
) -> None:
    """Of 0.4, 0.3, 0.2 and one without a value, which comes last."""
    chains = [rationale("generate", P0, candidate=n, text=f"t{n}") for n in range(4)]
    values = [0.2, None, 0.4, 0.3]
    scores = [scored(c, naturalness=v) for c, v in zip(chains, values, strict=True)]
    config = SelectConfig(by="naturalness", keep_fraction=fraction)
    (found,) = ask("select", *chains, *scores, config=config)
    assert found["cutoff"] == cutoff


def test_weighted_ranks_by_hand(ask: Ask) -> None:
    """Over all shards; RD 0.1 0.2 0.2 0.4 is 0 0.5 0.5 1, grape -1 -2 -3 -4 is 0 1/3 2/3 1."""
    chains = [rationale("generate", problem, text=f"t{n}", candidate=n)
              for n, problem in enumerate([P0, P2, P0, P1])]  # fmt: skip
    rds, grapes = (0.1, 0.2, 0.2, 0.4), (-1.0, -2.0, -3.0, -4.0)
    scores = [scored(c, rd=r, grape=g) for c, r, g in zip(chains, rds, grapes, strict=True)]
    config = SelectConfig(by={"rd": 3, "grape": 1}, keep_fraction=0.5)
    found = ask("select", *chains, *scores, config=config)
    values = {c["rationale_id"]: c["value"] for row in found for c in row["candidates"]}
    expected = [0, (3 * 0.5 + 1 / 3) / 4, (3 * 0.5 + 2 / 3) / 4, 1]
    assert [values[chain.id] for chain in chains] == pytest.approx(expected)
    assert {row["cutoff"] for row in found} == {values[chains[1].id]}


def test_one_rationale_alone_has_rank_nought(ask: Ask) -> None:
    config = SelectConfig(by={"rd": 1.0})
    (found,) = ask("select", LONG, WRONG, scored(LONG, rd=7.0), config=config)
    assert {c["rationale_id"]: c["value"] for c in found["candidates"]} == {
        LONG.id: 0.0, WRONG.id: None
    }  # fmt: skip


VALUES = (0.1, 0.2, 0.2, 0.3, 0.5, -0.5, None, math.inf, -math.inf, math.nan)
MEASURES: list[Any] = [
    "ifd", "naturalness", "mine", "length", {"rd": 1.0}, {"rd": 0.5, "naturalness": 0.5},
    {"ifd": 1, "mine": 2, "length": 0.5},
]  # fmt: skip


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Database, list[Chain]]:
    """Values full of ties and gaps, two uses and two shards."""
    rows, chains = _drawn_chains(random.Random(5))
    database = connect(sample.write_rows(tmp_path_factory.mktemp("drawn") / "c", [*BASE, *rows]))
    database.set_run(RUN_ID, FINGERPRINTS)
    return database, chains


@pytest.mark.parametrize("by", MEASURES, ids=str)
@pytest.mark.parametrize("settings", [
    {}, {"fraction": 0.3, "per_problem": None}, {"worst": 0.25, "per_problem": 2},
], ids=str)  # fmt: skip
def test_selection_is_that_of_the_reference(
    drawn: tuple[Database, list[Chain]], by: Any, settings: dict[str, Any]
) -> None:
    """Query and filters together."""
    database, chains = drawn
    settings = {**settings, **({"worst": 9.0} if by == "length" and "worst" in settings else {})}
    config = SelectConfig(
        by=by, threshold=settings.get("worst"), keep_fraction=settings.get("fraction"),
        keep_per_problem=settings.get("per_problem", 1), with_compressed=True,
    )  # fmt: skip
    found = stream_pending(
        database, reads="select", table="selections", fingerprint="fp", shard=None,
        config=config_json(config),
    )  # fmt: skip
    decided = [
        row
        for record in map(SelectRecord.from_row, found)
        for row in asyncio.run(select(record, ports(), config))
    ]
    assert len(decided) == len(chains)
    ours = {(row.rationale_id, row.condition) for row in decided if row.kept}
    assert ours == kept(chains, by=by, **settings)
    assert ours


def _drawn_chains(draw: random.Random) -> tuple[list[Made], list[Chain]]:
    """Long chains, each with a kept round of compression: the two uses."""
    rows: list[Made] = []
    chains: list[Chain] = []
    for number in range(40):
        problem = draw.choice([P0, P1, P2])
        words = draw.choice(["one two three four", "one two three four five", f"text {number} x"])
        long = rationale("generate", problem, candidate=number, text=words, verdict=_verdict(draw))
        short = rationale(
            "compress", problem, kind="compressed", parent_id=long.id, round=1, chosen=True,
            text=words, verdict=_verdict(draw),
        )  # fmt: skip
        for made, condition in ((long, "original"), (short, "compressed")):
            is_correct = made.row.__dict__["verdict"] == "correct"
            values = _drawn_values(draw) if is_correct and draw.random() < 0.9 else {}
            chains.append(
                Chain(rationale_id=made.id, problem_id=problem, text=words, condition=condition,
                      is_correct=is_correct, values=values)
            )  # fmt: skip
            rows += [made, *([_scores_row(made, values)] if values else [])]
    return rows, chains


def _verdict(draw: random.Random) -> str:
    return draw.choice(["correct", "correct", "correct", "wrong"])


def _drawn_values(draw: random.Random) -> dict[str, Any]:
    drawn = {name: draw.choice(VALUES) for name in ("ifd", "naturalness", "mine")}
    return {**drawn, "rd": draw.choice([0.1, 0.2, 0.9, math.inf]), "length": 9.0}


def _scores_row(made: Made, values: dict[str, Any]) -> Made:
    others = None if values["mine"] is None else {"mine": values["mine"]}
    shown = {name: values[name] for name in ("rd", "ifd", "naturalness")}
    return scored(made, **shown, others=others)


def test_only_what_select_may_keep_brings_its_text(ask: Ask) -> None:
    """A wrong or unscored chain is compared with none, and needs no look at how it ends."""
    other = rationale("generate", P0, candidate=2, text="1 + 0 = 1")
    unscored = rationale("generate", P0, candidate=3, text="unscored")
    elsewhere = rationale("generate", P1, text="alone")
    scores = [sample.score(made.id, 0.5) for made in (LONG, other, elsewhere)]
    found = ask("select", LONG, WRONG, other, unscored, elsewhere, *scores)
    texts = {c["rationale_id"]: c["text"] for row in found for c in row["candidates"]}
    assert texts == {
        LONG.id: "1 + 1 = 2", other.id: "1 + 0 = 1", WRONG.id: "", unscored.id: "",
        elsewhere.id: "alone",
    }  # fmt: skip


def test_select_compares_chains_of_all_kinds_and_times(ask: Ask) -> None:
    config = SelectConfig(original_kinds=("long", "rewritten"))
    ask("select", LONG, sample.score(LONG.id, 0.5))  # written, then the other
    (found,) = ask("select", REWRITTEN, sample.score(REWRITTEN.id, 0.4), config=config)
    assert {c["rationale_id"]: c["text"] for c in found["candidates"]} == {
        LONG.id: "1 + 1 = 2", REWRITTEN.id: "1 + 1 = 2"
    }  # fmt: skip


def test_a_shard_reads_what_was_written_at_any_time(ask: Ask) -> None:
    ask("score", LONG, config=ScoreConfig(kinds=("long",)))
    other = rationale("generate", P0, candidate=1)
    elsewhere = rationale("generate", P2)
    found = ask("score", elsewhere, other, config=ScoreConfig(kinds=("long",)), shard=0)
    assert values(found, "record_id") == [(LONG.id,), (other.id,)]


# --- mix


def test_mix_reads_kept_selections_with_their_text(ask: Ask) -> None:
    kept = sample.selection(LONG.id, "original")
    dropped = sample.selection(WRONG.id, "original", kept=False, filter="accuracy", rank=None)
    (found,) = ask("mix", LONG, WRONG, kept, dropped)
    assert found["record_id"] == kept.id
    assert (found["text"], found["question"], found["condition"]) == (
        "1 + 1 = 2", "What is 0 + 1?", "original"
    )  # fmt: skip


def test_train_reads_examples_in_an_order_of_content(tmp_path: Path) -> None:
    examples = [sample.example(LONG.id, "original"), sample.example(LONG.id, "compressed")]
    database = connect(sample.write_rows(tmp_path / "c", [*BASE, LONG, *examples]))
    database.set_run(RUN_ID, FINGERPRINTS)
    found = database.run_file("inputs", "train").records()
    assert [row["record_id"] for row in found] == sorted(made.id for made in examples)


# --- hostile content


def test_text_is_no_sql(ask: Ask, tmp_path: Path) -> None:
    hostile = Problem(source="x", question="'); drop --", answer="{inputs}", answer_type="text")
    member = sample.member(P0).row
    rows = [
        Made("ingest", hostile),
        Made("ingest", replace(member, problem_id=hostile.content_id(), position=9)),
    ]
    assert values(ask("generate", *rows), "question", "answer")[-1] == ("'); drop --", "{inputs}")


def test_settings_are_no_sql(ask: Ask) -> None:
    config = StageConfig(prompt="'; select 1 --")
    assert len(ask("generate", config=config)) == 3
