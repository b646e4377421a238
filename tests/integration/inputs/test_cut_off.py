"""What stages are told of chains that were cut off."""

from __future__ import annotations

import pytest

from tasks.compress import CompressConfig
from tasks.score import ScoreConfig
from tasks.select import SelectConfig
from tests.integration.inputs.rows import (
    CUT_OFF,
    LONG,
    REWRITTEN,
    WRONG,
    Ask,
    Records,
    compressed,
    values,
)
from tests.unit import sample_corpus as sample
from tests.unit.sample_corpus import (
    P0,
    P1,
    rationale,
)


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
