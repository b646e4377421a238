"""What stages that write chains are given: generate, verify, evaluate, rewrite, compress."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.runs.plan import config_json
from sql.database import Database, connect, names
from sql.pending import count_pending, stream_pending
from tasks.compress import CompressConfig
from tasks.evaluate import EvaluateConfig
from tasks.rewrite import RewriteConfig
from tasks.schemas import Candidate, Problem, Rejection
from tasks.stage import StageConfig
from tests.integration.inputs.rows import (
    CONFIGS,
    LONG,
    REWRITTEN,
    TABLES,
    WRONG,
    Ask,
    compressed,
    values,
    write_other_run,
)
from tests.unit import sample_corpus as sample
from tests.unit.sample_corpus import (
    P0,
    P1,
    P2,
    P3,
    Made,
    rationale,
)


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
