"""Scores equal those of a slow loop over the full logits, whatever the batch."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from infra.engines import EngineConfig
from infra.engines.chat import chat_encoder, load_tokenizer
from infra.engines.score_rows import ScoreRow, longer_rows
from infra.engines.transformers import scoring
from infra.engines.transformers.engine import TransformersEngine
from infra.engines.transformers.loading import load_model
from infra.engines.transformers.packing import MAX_SHARING_TOKENS, pack
from infra.engines.transformers.scoring import score_rows, take_neighbours
from tasks.ports import Prompt, ScoreRequest, TokenScores
from tests.tiny_models import save_tiny_model

REQUESTS = [
    ScoreRequest(prompt=Prompt(text="3 + 4?"), targets=("1) 3 + 4 = 7\n", "The answer is 7.")),
    ScoreRequest(prompt=Prompt(text="3 + 4?", compress=True), targets=("7",)),
    ScoreRequest(prompt=None, targets=("1) 3 + 4 = 7 <|im_end|> é漢", "", "7")),
    ScoreRequest(prompt=Prompt(text=""), targets=("",)),
    ScoreRequest(prompt=None, context=("1) 3 + 4 = 7\n", "2) "), targets=("7 + 1 = 8",)),
    ScoreRequest(
        prompt=Prompt(text="3 + 4?"),
        targets=("1) 3 + 4 = 7\n",),
        beside=(
            ScoreRequest(prompt=Prompt(text="3 + 4?"), targets=("1) 3", " + 4")),
            ScoreRequest(prompt=None, targets=("1) 3 + 4 = 7\n",)),
        ),
    ),
    *(ScoreRequest(prompt=Prompt(text="q" * n), targets=("a " * n, "b")) for n in range(1, 40, 3)),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[TransformersEngine]:
    opened = TransformersEngine(EngineConfig(model=str(folder), dtype="float64", threads=1))
    yield opened
    opened.close()


def reference(folder: Path, request: ScoreRequest) -> list[TokenScores]:
    """One forward pass a token, the whole distribution each time."""
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    encoder = chat_encoder(load_tokenizer(str(folder)))
    prompt = request.prompt
    ids = encoder.encode_start() if prompt is None else encoder.encode_prompt(prompt)
    ids = [*ids, *(token for text in request.context for token in encoder.encode_text(text))]
    found = []
    for target in request.targets:
        logprobs, ranks = [], []
        for token in encoder.encode_text(target):
            with torch.inference_mode():
                logits = model(torch.tensor([ids])).logits[0, -1]
            logprobs.append(float(logits.log_softmax(-1)[token]))
            ranks.append(1 + int((logits > logits[token]).sum()))
            ids = [*ids, token]
        found.append(TokenScores(logprobs=logprobs, ranks=ranks))
    return [*found, *(each for other in request.beside for each in reference(folder, other))]


@pytest.mark.parametrize("request_", REQUESTS[:6])
async def test_scores_equal_a_slow_loop(
    engine: TransformersEngine, folder: Path, request_: ScoreRequest
) -> None:
    scored = await engine.score(request_)
    expected = reference(folder, request_)
    assert [s.ranks for s in scored] == [s.ranks for s in expected]
    for mine, slow in zip(scored, expected, strict=True):
        assert mine.logprobs == pytest.approx(slow.logprobs, rel=1e-9)


async def test_chunks_and_batches_change_nothing(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = [await engine.score(request) for request in REQUESTS]
    monkeypatch.setattr(scoring, "SLICE_LOGITS", 1000)  # two tokens at a time
    together = await asyncio.gather(*(engine.score(request) for request in REQUESTS))
    for one, other in zip(alone, together, strict=True):
        assert [s.ranks for s in one] == [s.ranks for s in other]
        for mine, theirs in zip(one, other, strict=True):
            assert mine.logprobs == pytest.approx(theirs.logprobs, rel=1e-9)


async def test_float32_is_close(engine: TransformersEngine, folder: Path) -> None:
    single = TransformersEngine(EngineConfig(model=str(folder), dtype="float32", threads=1))
    try:
        for request in REQUESTS[:3]:
            exact, rough = await engine.score(request), await single.score(request)
            for mine, theirs in zip(exact, rough, strict=True):
                assert mine.logprobs == pytest.approx(theirs.logprobs, rel=1e-4)
    finally:
        single.close()


def test_rows_share_what_they_begin_with() -> None:
    packing = pack([[5, 6, 7], [5, 6, 8, 9], [5], [5, 6, 7], [4]])
    assert packing.ids.tolist() == [5, 6, 8, 9, 7, 4]
    assert packing.positions.tolist() == [0, 1, 2, 3, 2, 0]
    assert [each.tolist() for each in packing.indices] == [
        [0, 1, 4], [0, 1, 2, 3], [0], [0, 1, 4], [5],
    ]  # fmt: skip
    assert [(each.start, each.stop) for each in packing.segments] == [(0, 4), (4, 5), (5, 6)]


@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6), min_size=1, max_size=20))
def test_every_distinct_start_is_there_once(rows: list[list[int]]) -> None:
    packing = pack(rows)
    starts = {tuple(row[: n + 1]) for row in rows for n in range(len(row))}
    assert len(packing.ids) == len(starts)
    for row, here in zip(rows, packing.indices, strict=True):
        assert packing.ids[here].tolist() == row
        assert packing.previous[here[1:]].tolist() == here[:-1].tolist()
    longer = longer_rows([ScoreRow(ids=row, targets=[]) for row in rows])
    assert all(rows[host][: len(row)] == row for row, host in zip(rows, longer, strict=True))
    assert len(set(longer)) == len({row for row in starts if is_leaf(row, starts)})


def is_leaf(row: tuple[int, ...], starts: set[tuple[int, ...]]) -> bool:
    return not any((*row, token) in starts for token in range(3))


@given(
    st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6), min_size=1, max_size=20),
    st.integers(1, 40),
    st.data(),
)
def test_a_pass_is_a_run_within_its_limit(
    rows: list[list[int]], max_tokens: int, data: st.DataObject
) -> None:
    rows = sorted(rows)
    first = data.draw(st.integers(0, len(rows) - 1))
    taken = take_neighbours(rows, first, max_tokens)
    assert first in taken
    assert len(taken) == 1 or len(pack([rows[i] for i in taken]).ids) <= max_tokens


def test_long_rows_share_nothing_but_what_they_are_the_start_of(folder: Path) -> None:
    """Their mask would be large; scores are the same."""
    model = load_model(EngineConfig(model=str(folder), dtype="float64"))
    start = [7, 8, 9] * (MAX_SHARING_TOKENS // 3 - 5)
    rows = [[*start, *range(100)], [*start, *range(50, 150)], start]
    packing = pack(rows)
    assert len(packing.ids) == len(rows[0]) + len(rows[1])
    targets = [[(len(start), len(row))] if len(row) > len(start) else [(1, 9)] for row in rows]
    asked = [ScoreRow(ids=row, targets=each) for row, each in zip(rows, targets, strict=True)]
    together = score_rows(model, asked)
    alone = [score_rows(model, [each])[0] for each in asked]
    for (one,), (other,) in zip(together, alone, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, rel=1e-6)
        assert one.ranks == other.ranks
