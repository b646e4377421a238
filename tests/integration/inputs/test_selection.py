"""What `score` and `select` are given, `mix` and `train` after them."""

from __future__ import annotations

import asyncio
import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.runs.plan import config_json
from sql.database import Database, connect
from sql.pending import stream_pending
from tasks.score import ScoreConfig
from tasks.select import SelectConfig, SelectRecord, select
from tests.fakes import ports
from tests.integration.inputs.rows import (
    BASE,
    LONG,
    REWRITTEN,
    WRONG,
    Ask,
    candidates,
    compressed,
    values,
)
from tests.selection_reference import Chain, kept
from tests.unit import sample_corpus as sample
from tests.unit.sample_corpus import (
    FINGERPRINTS,
    P0,
    P1,
    P2,
    RUN_ID,
    Made,
    rationale,
)


@pytest.mark.parametrize(
    ("kinds", "places"), [(("long",), [0]), (("rewritten", "compressed"), [3, 1]), ((), [])]
)
def test_score_reads_right_chains_of_its_kinds(ask: Ask, kinds: Any, places: list[int]) -> None:
    kept = compressed(REWRITTEN, 1, chosen=True)
    rows = [LONG, REWRITTEN, WRONG, kept, compressed(REWRITTEN, 2)]
    found = ask("score", *rows, config=ScoreConfig(kinds=kinds))
    assert values(found, "record_id") == [(rows[place].id,) for place in places]


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


def test_score_reads_chains_of_every_verdict_where_it_is_to(ask: Ask) -> None:
    wrong = rationale("generate", P0, candidate=5, verdict="wrong")
    found = ask("score", LONG, wrong, config=ScoreConfig(only_correct=False))
    assert {row["record_id"] for row in found} == {LONG.id, wrong.id}


def test_the_cutoff_of_the_worst_is_the_best_of_them(ask: Ask) -> None:
    chains = [rationale("generate", P0, candidate=n, text=f"t{n}") for n in range(4)]
    scores = [sample.score(chain.id, (n + 1) / 10) for n, chain in enumerate(chains)]
    config = SelectConfig(keep_fraction=0.5, worst_first=True)
    (found,) = ask("select", *chains, *scores, config=config)
    assert found["cutoff"] == -0.3  # a cost: less is better, and the worst are wanted
    rows = asyncio.run(select(SelectRecord.from_row(found), ports(), SelectConfig(
        keep_fraction=0.5, worst_first=True, keep_per_problem=9, filters=("difficulty",)
    )))  # fmt: skip
    assert {row.rationale_id for row in rows if row.kept} == {chain.id for chain in chains[2:]}


def test_without_the_accuracy_filter_wrong_chains_have_a_share_and_a_text(ask: Ask) -> None:
    wrong = rationale("generate", P0, candidate=5, verdict="wrong")
    rows = [LONG, wrong, sample.score(LONG.id, 0.4), sample.score(wrong.id, 0.1)]
    config = SelectConfig(keep_fraction=0.5, filters=("diversity", "difficulty"))
    (found,) = ask("select", *rows, config=config)
    assert found["cutoff"] == 0.1
    assert all(chain["text"] for chain in found["candidates"])


def test_what_need_not_be_scored_has_a_text_all_the_same(ask: Ask) -> None:
    (found,) = ask("select", LONG, config=SelectConfig(filters=("accuracy", "diversity")))
    assert [chain["text"] for chain in found["candidates"]] == [LONG.row.__dict__["text"]]


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
