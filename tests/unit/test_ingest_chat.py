"""Conversations as sources write them: what is asked, what is answered, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.intake.chat import ChatError, ask, read_chat, reply
from tasks.intake.problems import (
    ColumnMapping,
    IngestedProblem,
    IngestError,
    SourceConfig,
    read_problems,
)
from tasks.intake.values import as_it_came
from tasks.schemas import Rejection


def user(text: object) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: object, **more: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **more}


SYSTEM = {"role": "system", "content": "Be brief."}
TWICE = [user("3 + 4?"), assistant("7"), user("Twice that?"), assistant("14")]


def ingest(folder: Path, row: dict[str, Any], **config: Any) -> Any:
    path = folder / "chats.jsonl"
    path.write_text(json.dumps(row))
    return next(iter(read_problems(path, SourceConfig(**config))))


def asked(item: Any) -> tuple[str, list[str]]:
    assert isinstance(item, IngestedProblem), item
    return item.problem.question, [candidate.text for candidate in item.candidates]


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [user("3 + 4?"), assistant("It is 7.")]},
        {"conversations": [{"from": "human", "value": "3 + 4?"},
                           {"from": "gpt", "value": "It is 7."}]},
        {"prompt": [user("3 + 4?")], "completion": [assistant("It is 7.")]},
        {"prompt": [user("3 + 4?")], "response": "It is 7."},
        {"messages": [user([{"type": "text", "text": "3 + 4?"}]),
                      assistant([{"type": "text", "text": "It is"}, {"text": " 7."}])]},
        {"messages": json.dumps([user("3 + 4?"), assistant("It is 7.")])},
        {"question": "3 + 4?", "responses": [[assistant("It is 7.")]]},
        {"question": "3 + 4?", "responses": [{"text": "It is 7.", "ok": True}]},
    ],
)  # fmt: skip
def test_the_users_turn_is_the_question_and_the_reply_the_rationale(
    tmp_path: Path, row: dict[str, Any]
) -> None:
    assert asked(ingest(tmp_path, {**row, "answer": "7"})) == ("3 + 4?", ["It is 7."])


@pytest.mark.parametrize(
    "columns",
    [
        {"question": "messages", "candidates": ("messages",)},
        {"question": "messages.content", "candidates": ("messages.content",)},
        {"question": "messages.0.content", "candidates": ("messages.-1.content",)},
    ],
)
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_turns_may_be_named(tmp_path: Path, kind: str, columns: dict[str, Any]) -> None:
    row = {"messages": [user("3 + 4?"), assistant("It is 7.")], "answer": "7"}
    path = tmp_path / f"chats.{kind}"
    path.write_text(json.dumps(row))
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist([row]), path)
    config = SourceConfig(columns=ColumnMapping(**columns))
    assert [asked(item) for item in read_problems(path, config)] == [("3 + 4?", ["It is 7."])]


def test_the_system_turn_stands_before_the_question_or_is_dropped(tmp_path: Path) -> None:
    row = {"messages": [SYSTEM, user("3 + 4?"), assistant("7")], "answer": "7"}
    assert asked(ingest(tmp_path, row)) == ("Be brief.\n\n3 + 4?", ["7"])
    assert asked(ingest(tmp_path, row, system="drop")) == ("3 + 4?", ["7"])


def test_several_turns_are_refused_with_the_way_out_or_taken_as_told(tmp_path: Path) -> None:
    row = {"messages": TWICE, "answer": "14"}
    found = ingest(tmp_path, row)
    assert isinstance(found, Rejection)
    assert (found.reason, "source.turns = 'join'" in found.detail) == ("several_turns", True)
    joined = "User: 3 + 4?\n\nAssistant: 7\n\nUser: Twice that?"
    assert asked(ingest(tmp_path, row, turns="join", columns=NAMED)) == (joined, ["14"])
    assert asked(ingest(tmp_path, row, turns="last", columns=NAMED)) == ("Twice that?", ["14"])


NAMED = ColumnMapping(question="messages", candidates=("messages",))


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([assistant("7")], "no_user_turn"),
        ([SYSTEM], "no_user_turn"),
        ([user([{"type": "image_url"}, {"type": "text", "text": "This?"}])], "turn_not_text"),
        ([user(None), assistant("7")], "turn_not_text"),
        ([user(""), assistant("7")], "empty_question"),
        ([{"role": "tool", "content": "4"}, user("So?")], "several_turns"),
    ],
)
def test_a_conversation_that_asks_nothing_is_refused(
    tmp_path: Path, messages: list[Any], reason: str
) -> None:
    found = ingest(tmp_path, {"messages": messages, "answer": "7"}, columns=NAMED)
    assert isinstance(found, Rejection)
    assert found.reason == reason


def test_two_user_turns_in_a_row_are_one_question_and_an_unanswered_one_has_no_reply() -> None:
    chat = read_chat([user("Tom has 3."), user("How many?"), assistant("3")])
    assert chat is not None
    assert ask(chat, turns="refuse", system="keep").question == "Tom has 3.\n\nHow many?"
    open_ended = read_chat([user("3 + 4?"), assistant("7"), user("And 5?")])
    assert open_ended is not None
    assert reply(open_ended) is None


def test_a_thought_beside_the_reply_is_one_block_before_it(tmp_path: Path) -> None:
    row = {"messages": [user("3 + 4?"), assistant("7", reasoning_content="3, then 4")]}
    _, texts = asked(ingest(tmp_path, {**row, "answer": "7"}))
    assert texts == ["<think>\n3, then 4\n</think>\n\n7"]


def test_a_text_column_goes_before_a_conversation_that_says_it_otherwise(tmp_path: Path) -> None:
    row = {"problem": "3 + 4?", "messages": [user("Solve: 3 + 4?"), assistant("7")], "answer": 7}
    assert asked(ingest(tmp_path, row))[0] == "3 + 4?"


@pytest.mark.parametrize("columns", [ColumnMapping(), ColumnMapping(candidates=("responses",))])
def test_objects_without_a_known_text_are_an_error_that_names_one(
    tmp_path: Path, columns: ColumnMapping
) -> None:
    row = {"question": "3 + 4?", "responses": [{"one": "7", "two": "8"}], "answer": 7}
    with pytest.raises(IngestError, match=r"--candidates-column responses\.one"):
        ingest(tmp_path, row, columns=columns)


TURNS = st.lists(
    st.tuples(st.sampled_from(["system", "user", "assistant"]), st.text(max_size=20)), max_size=6
)


@given(TURNS, st.sampled_from(["refuse", "join", "last"]), st.sampled_from(["keep", "drop"]))
def test_no_turn_is_lost_but_those_that_settings_leave_out(
    turns: list[tuple[str, str]], policy: Any, system: Any
) -> None:
    chat = read_chat([{"role": role, "content": text} for role, text in turns])
    if chat is None:
        assert not turns
        return
    try:
        question = as_it_came(ask(chat, turns=policy, system=system).question)
    except ChatError:
        assert policy == "refuse" or "user" not in dict(turns)
        return
    users = [n for n, (role, _) in enumerate(turns) if role == "user"]
    for number, (role, text) in enumerate(turns[: users[-1] + 1]):
        left_out = (role == "system" and system == "drop") or policy == "last"
        assert (left_out and number != users[-1]) or as_it_came(text) in question
