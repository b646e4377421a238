"""`litecot evaluate`: any model on any benchmark, every answer a row, none asked for twice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from infra.storage import Corpus
from sql.database import connect
from tests.chat_server import Asked, ChatServer, ServerConfig, serving_in_thread
from tests.integration.command_line import litecot

pytestmark = pytest.mark.usefixtures("prefect_server", "warm_engines")

BENCHMARK = """
title = "Pens"
data = "pens.jsonl"
licence = "CC0-1.0"
question = "ask"
answer = "gold"
family = "who"
answer_type = "integer"
"""
WHO = ("Ann", "Bob", "Cas", "Dan")
ROWS = [
    {"ask": f"{who} has 3 pens and buys {n}: how many now?", "gold": 3 + n, "who": who}
    for who in WHO
    for n in range(1, 4)
]


class Models(ChatServer):
    """Two models: one is always right, one says 5."""

    counted: ClassVar[Counter[str]]

    def reply(self, asked: Asked, num_choices: int, **odd: Any) -> bytes:
        model = asked.body["model"]
        self.counted[model] += 1
        bought = int(asked.text.split("buys ")[1].split(":")[0])
        odd["text"] = f"The answer is \\boxed{{{3 + bought if model == 'good' else 5}}}."
        return super().reply(asked, num_choices, **odd)


@pytest.fixture(scope="module")
def server() -> Iterator[Models]:
    Models.counted = Counter()
    with serving_in_thread(ServerConfig(), make=Models) as served:
        assert isinstance(served, Models)
        yield served


def test_models_are_asked_once_and_only_for_what_is_new(server: Models, tmp_path: Path) -> None:
    (tmp_path / "pens.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    (tmp_path / "pens.toml").write_text(BENCHMARK)
    corpus = tmp_path / "corpus"
    command = [
        "evaluate", f"{server.base_url}#good", f"{server.base_url}#bad", "--corpus", str(corpus),
        "--on", str(tmp_path / "pens.toml"), "--set", "shard_size=5",
        "--set", "models.student.endpoint.api_key_env=NOT_NEEDED",
    ]  # fmt: skip
    said = litecot(*command)
    assert said.returncode == 0, said.stderr
    assert server.counted == {"good": len(ROWS), "bad": len(ROWS)}
    for told in ("good", "bad", "pens", "1.000", "0.333"):
        assert told in said.stdout
    rows = connect(Corpus(corpus).parts()).run(
        "select model_id, benchmark, family, count(*), sum((verdict = 'correct')::int),"
        " count(distinct settings) from raw_evaluations group by all order by all"
    )
    assert rows.rows == [
        (model, "pens", who, 3, right, 1)
        for model, right in (("bad", 1), ("good", 3))
        for who in WHO
    ]

    more = {"question": "Eve has 3 pens and buys 9: how many now?", "answer": "12"}
    (tmp_path / "more.jsonl").write_text(json.dumps(more))
    again = litecot(*command, "--on", str(tmp_path / "more.jsonl"), "--samples", "2")
    assert again.returncode == 0, again.stderr
    assert server.counted == dict.fromkeys(("good", "bad"), 2 * (len(ROWS) + 1))
