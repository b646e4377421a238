"""No example is made of a chain that was cut off, or whose thought has no end or nothing behind it.

What makes a chain no whole one is said once, in sql/staging/stg_rationales.sql.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sql.database import connect
from tasks.mix import MixConfig, MixRecord, mix
from tasks.schemas import Rejection
from tasks.select import Considered, SelectConfig, SelectRecord, select
from tests.fakes import ports
from tests.unit import sample_corpus as sample
from tests.unit.sample_corpus import P0

ANSWER = "3 + 4 = 7. The answer is 7."
THOUGHTS = [
    ("<think>", "</think>"), ("<THINK>", "</THINK>"), ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"), ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"), ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("[THINK]", "[/THINK]"), ("◁think▷", "◁/think▷"),
]  # fmt: skip
NOTHING = [
    "", " ", "\n\n", "\u3000\u00a0", "\u200b", "<|im_end|>", "\n<|begin_of_solution|>\n", "</s>",
    "\n<answer></answer>\n", "<|begin_of_solution|>\n<|end_of_solution|>",
]  # fmt: skip
UNCLOSED, NOTHING_BEHIND = "unclosed_thought", "nothing_behind_thought"


def incomplete(folder: Path, texts: Sequence[str], finish_reason: str) -> list[str | None]:
    """What stg_rationales says of each."""
    rows = [
        sample.rationale("generate", P0, candidate=n, text=text, finish_reason=finish_reason)
        for n, text in enumerate(texts)
    ]
    members = [made for made in sample.EVERYTHING if made.row.table in ("runs", "memberships")]
    database = connect(sample.write_rows(folder / "corpus", [*members, *rows]))
    query = "select incomplete from stg_rationales order by candidate"
    return [row[0] for row in database.run(query).rows]


def test_thoughts_in_every_writing(tmp_path: Path) -> None:
    """Random chains of sentences and thoughts, ended as every kind of fault ends them."""
    draw = random.Random(5)
    cases: list[tuple[str, str | None]] = []
    for begin, end in THOUGHTS * 12:
        said = [draw.choice([ANSWER, "Let me think.", "x < 3 and y > 2", "思考"]) for _ in range(4)]
        closed = "".join(f"{begin}\n{part}\n{end}\n{part}\n" for part in said[: draw.randint(0, 2)])
        cases += [
            (closed + ANSWER, None),
            (closed + begin + said[0] + end + ANSWER, None),
            (said[0] + end + "\n" + ANSWER, None),  # the template opened it
            (closed + begin + said[1], UNCLOSED),
            (closed + ANSWER + "\n" + begin + said[2], UNCLOSED),
            (closed + begin, UNCLOSED),
            (closed + begin + said[3] + end + draw.choice(NOTHING), NOTHING_BEHIND),
            (ANSWER + end + draw.choice(NOTHING), NOTHING_BEHIND),
        ]
    found = incomplete(tmp_path, [text for text, _ in cases], "stop")
    assert [(t, r) for (t, _), r in zip(cases, found, strict=True)] == cases


@pytest.mark.parametrize("text", [
    ANSWER, "I think, so I am. 7", "a thought: 7", "The reasoning (see above) gives 7", "", "  ",
    "if a <thinking then 7", "x<think", "think>7", "<b>think</b> 7", "[thinking aloud] 7",
])  # fmt: skip
def test_words_about_thinking_are_no_thought(tmp_path: Path, text: str) -> None:
    assert incomplete(tmp_path, [text], "imported") == [None]


@pytest.mark.parametrize(("finish_reason", "reason"), [
    ("stop", None), ("imported", None), ("original", None),
    ("length", "cut_off"), ("content_filter", "content_filter"),
    ("whatever_this_is", "cut_off"), ("", "cut_off"),
])  # fmt: skip
def test_by_the_reason_a_server_gave(
    tmp_path: Path, finish_reason: str, reason: str | None
) -> None:
    """One that nobody knows is no proof of a whole chain."""
    text = f"<think>3 + 4</think>{ANSWER}"
    assert incomplete(tmp_path, [text, f"<think>{ANSWER}"], finish_reason) == [
        reason, reason or UNCLOSED
    ]  # fmt: skip


# --- selection and examples


def considered(name: str, **fields: Any) -> Considered:
    known: dict[str, Any] = {"condition": "original", "verdict": "correct", "rd": 0.5, "text": name}
    return Considered(rationale_id=name, **{**known, **fields})


def decisions(*candidates: Considered, **settings: Any) -> dict[str, tuple[str, str]]:
    record = SelectRecord(record_id="p", problem_id="p", candidates=candidates, cutoff=None)
    rows = asyncio.run(select(record, ports(), SelectConfig.model_validate(settings)))
    return {row.rationale_id: (row.filter, row.reason) for row in rows}


@pytest.mark.parametrize("reason", ["cut_off", "content_filter", UNCLOSED, "parent_cut_off"])
@pytest.mark.parametrize("rd", [0.1, None])
def test_a_chain_cut_off_is_dropped_whatever_it_states(reason: str, rd: float | None) -> None:
    """It takes no place, and is nobody's better twin."""
    found = decisions(
        considered("cut", incomplete=reason, rd=rd, text="same"), considered("whole", text="same"),
        keep_per_problem=1,
    )  # fmt: skip
    assert found == {"cut": ("completeness", reason), "whole": ("kept", "kept")}


def test_a_wrong_chain_is_wrong_first() -> None:
    found = decisions(considered("a", verdict="wrong", incomplete="cut_off", rd=None))
    assert found == {"a": ("accuracy", "wrong_answer")}


@pytest.mark.parametrize(
    ("stated_as", "required", "kept"),
    [("closing_line", True, False), ("closing_line", False, True), ("box", True, True),
     ("phrase", True, True), (None, True, True)],
)  # fmt: skip
def test_an_answer_that_is_not_stated_is_a_setting(
    stated_as: str | None, required: bool, kept: bool
) -> None:
    """Off where nothing is set; of rows of older versions nobody knows."""
    found = decisions(considered("a", stated_as=stated_as), require_stated_answer=required)
    assert found == {"a": ("kept", "kept") if kept else ("accuracy", "answer_not_stated")}
    assert SelectConfig().require_stated_answer is False


def test_no_example_is_made_of_what_somebody_else_selected() -> None:
    record = MixRecord(
        record_id="s", problem_id="p", rationale_id="r", question="2 + 2 = ?", condition="original",
        text="so answer 4. But", incomplete="cut_off",
    )  # fmt: skip
    (row,) = asyncio.run(mix(record, ports(), MixConfig()))
    assert isinstance(row, Rejection)
    assert (row.stage, row.record_id, row.problem_id, row.reason) == ("mix", "s", "p", "cut_off")
