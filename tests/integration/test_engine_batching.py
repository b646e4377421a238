"""A reply depends on its request alone, whatever the batch; and what happens when it fails."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from infra.engines import EngineConfig
from infra.engines.chat import chat_encoder, load_tokenizer
from infra.engines.transformers.engine import TransformersEngine
from tasks.ports import Completion, PermanentError, Prompt, Sampling, ScoreRequest, TransientError
from tests.tiny_models import save_tiny_model

NUM_REQUESTS = 16
Request = tuple[Prompt, Sampling]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny"))


@contextmanager
def opened(folder: Path, **settings: Any) -> Iterator[TransformersEngine]:
    config = {"model": str(folder), "dtype": "float64", "threads": 1, **settings}
    engine = TransformersEngine(EngineConfig.model_validate(config))
    try:
        yield engine
    finally:
        engine.close()


def some_requests() -> list[Request]:
    rng = random.Random(1)
    return [
        (
            Prompt(text="1) right 4 " * rng.randint(0, 9), compress=rng.random() < 0.3),
            Sampling(
                temperature=rng.choice([0.0, 0.7, 1.2]),
                top_p=rng.choice([1.0, 0.9]),
                max_tokens=rng.choice([1, 4, 11, 24]),
                num_candidates=rng.randint(1, 4),
                seed=seed,
            ),
        )
        for seed in range(NUM_REQUESTS)
    ]


def texts(replies: list[list[Completion]]) -> list[list[tuple[str, str, int]]]:
    return [[(c.text, c.finish_reason, c.completion_tokens) for c in reply] for reply in replies]


async def ask(engine: TransformersEngine, requests: list[Request]) -> list[list[Completion]]:
    return await asyncio.gather(*(engine.complete(*request) for request in requests))


@pytest.fixture(scope="module")
def alone(folder: Path) -> list[list[tuple[str, str, int]]]:
    """What every request gets when nothing else is in flight."""

    async def one_by_one(engine: TransformersEngine) -> list[list[Completion]]:
        return [await engine.complete(*request) for request in some_requests()]

    with opened(folder) as engine:
        return texts(asyncio.run(one_by_one(engine)))


@pytest.mark.parametrize("settings", [{}, {"max_batch_size": 1}, {"max_batch_size": 5}])
@pytest.mark.parametrize("order", [1, -1])
async def test_batching_changes_no_text(
    folder: Path, alone: list[Any], settings: dict[str, int], order: int
) -> None:
    with opened(folder, max_batch_tokens=100, **settings) as engine:
        replies = await ask(engine, some_requests()[::order])
    assert texts(replies)[::order] == alone


async def test_latecomers_and_scoring_change_no_text(folder: Path, alone: list[Any]) -> None:
    async def late(engine: TransformersEngine, index: int) -> list[Completion]:
        for _ in range(index % 5):
            await engine.score(ScoreRequest(prompt=None, targets=("3 + 4 = 7" * index,)))
        return await engine.complete(*some_requests()[index])

    with opened(folder, max_batch_size=8) as engine:
        replies = await asyncio.gather(*(late(engine, index) for index in range(NUM_REQUESTS)))
    assert texts(list(replies)) == alone


async def test_tokens_are_those_of_generate(folder: Path) -> None:
    """The greedy continuation equals that of transformers' own loop."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    encoder = chat_encoder(load_tokenizer(str(folder)))
    prompts = [Prompt(text="1) right 4 " * n) for n in (1, 3, 7)]
    with opened(folder) as engine:
        replies = await ask(engine, [(p, Sampling(max_tokens=30)) for p in prompts])
    for prompt, (reply,) in zip(prompts, replies, strict=True):
        ids = torch.tensor([encoder.encode_prompt(prompt)])
        whole = model.generate(ids, max_new_tokens=30, do_sample=False)[0, ids.shape[1] :]
        assert reply.text == encoder.decode(whole.tolist())


async def test_usage_is_counted(folder: Path) -> None:
    prompt = Prompt(text="hi")
    with opened(folder) as engine:
        (reply,) = await engine.complete(prompt, Sampling(max_tokens=3))
        expected = len(chat_encoder(load_tokenizer(str(folder))).encode_prompt(prompt))
        assert (reply.prompt_tokens, reply.completion_tokens) == (expected, 3)
        assert reply.finish_reason == "length"
        assert reply.latency_s > 0
        assert engine.count("<|im_end|>") > 1
        assert engine.info()["generated_tokens"] == 3


async def test_candidates_differ_and_repeat(folder: Path) -> None:
    sampling = Sampling(temperature=1.0, max_tokens=12, num_candidates=6, seed=3)
    with opened(folder) as engine:
        first, again = await ask(engine, [(Prompt(text="hi"), sampling)] * 2)
        fewer = await engine.complete(Prompt(text="hi"), replace(sampling, num_candidates=2))
    assert texts([first]) == texts([again])
    assert len({c.text for c in first}) == 6
    assert texts([fewer]) == texts([first[:2]])


async def test_an_end_token_stops_a_row(folder: Path) -> None:
    """At a high temperature a random model soon writes its end token."""
    sampling = Sampling(temperature=3.0, max_tokens=500, num_candidates=4, seed=1)
    with opened(folder) as engine:
        replies = await engine.complete(Prompt(text="hi"), sampling)
    stopped = [c for c in replies if c.finish_reason == "stop"]
    assert stopped
    assert all(c.completion_tokens < 500 for c in stopped)
    assert not any("<|im_end|>" in c.text for c in stopped)


async def test_a_stop_string_ends_the_text_before_it(folder: Path) -> None:
    free = Sampling(temperature=1.0, max_tokens=60, seed=5)
    with opened(folder) as engine:
        (whole,) = await engine.complete(Prompt(text="hi"), free)
        stop = next(c for c in whole.text[10:] if c.isascii())
        bound = Sampling(temperature=1.0, max_tokens=60, seed=5, stop=(stop,))
        (cut,) = await engine.complete(Prompt(text="hi"), bound)
    assert cut.finish_reason == "stop"
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert cut.completion_tokens < whole.completion_tokens


async def test_a_prompt_that_is_too_long_is_refused(folder: Path) -> None:
    with opened(folder, max_model_len=50) as engine:
        with pytest.raises(PermanentError) as caught:
            await engine.complete(Prompt(text="3" * 60), Sampling(max_tokens=10))
        assert caught.value.reason == "prompt_too_long"
        with pytest.raises(PermanentError):
            await engine.score(ScoreRequest(prompt=None, targets=("3" * 60,)))
        assert await engine.complete(Prompt(text=""), Sampling(max_tokens=10))


async def test_a_caller_who_leaves_frees_the_engine(folder: Path) -> None:
    with opened(folder, max_batch_size=2) as engine:
        endless = Sampling(max_tokens=2000, num_candidates=6)
        left = asyncio.create_task(engine.complete(Prompt(text="hi"), endless))
        await asyncio.sleep(0.05)
        left.cancel()
        reply = await asyncio.wait_for(
            engine.complete(Prompt(text="ho"), Sampling(max_tokens=2)), timeout=120
        )
    assert reply[0].completion_tokens == 2


async def test_a_failed_pass_fails_its_requests_and_no_others(folder: Path) -> None:
    with opened(folder) as engine:
        working = engine._batch._head
        engine._batch._head = None  # as if the device had run out of memory
        with pytest.raises(TransientError, match="engine pass failed"):
            await engine.complete(Prompt(text="hi"), Sampling(max_tokens=2))
        engine._batch._head = working
        assert await engine.complete(Prompt(text="hi"), Sampling(max_tokens=2))


async def test_closing_tells_those_who_wait(folder: Path) -> None:
    with opened(folder) as engine:
        waiting = asyncio.create_task(
            engine.complete(Prompt(text="hi"), Sampling(max_tokens=2000, num_candidates=64))
        )
        await asyncio.sleep(0.05)
        await asyncio.to_thread(engine.close)
        with pytest.raises(TransientError):
            await waiting
        with pytest.raises(TransientError):
            await engine.complete(Prompt(text="hi"), Sampling())
