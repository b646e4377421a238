"""The vLLM engine on a CUDA device: texts, scores, sleep, a chunked prompt, a schema."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from infra.engines import EngineConfig, open_engine
from tasks.difficulty import LEVELS
from tasks.ports import Prompt, Sampling, ScoreRequest
from tasks.prompts import PromptFiles
from tasks.structured import choice_schema

torch = pytest.importorskip("torch")
pytest.importorskip("vllm", reason="vLLM is not installed")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

QUESTION = "A dial has marks 0 to 9. It starts at {}.\n1) left 5\n2) right 8\nWhere does it end?"
PROMPTS = [PromptFiles("nano").render("generate", question=QUESTION.format(n)) for n in range(10)]
SCORED = ScoreRequest(prompt=PROMPTS[0], targets=("1) 0 - 5 = 5\n2) 5 + 8 = 3", "3"))
OPTIONS = {
    "gpu_memory_utilization": 0.2,
    "max_num_batched_tokens": 256,  # prompts are cut: seeded candidates must survive it
    "enforce_eager": True,
    "enable_sleep_mode": True,
}


@pytest.fixture(scope="module")
def vllm() -> Iterator[Any]:
    engine = open_engine(
        EngineConfig.model_validate(
            {
                "engine": "vllm", "model": "nano:teacher", "device": "cuda", "dtype": "float32",
                "vllm": OPTIONS,
            }
        )
    )  # fmt: skip
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def reference() -> Iterator[Any]:
    engine = open_engine(EngineConfig(model="nano:teacher", device="cuda", dtype="float32"))
    yield engine
    engine.close()


async def texts(engine: Any, sampling: Sampling, prompts: list[Prompt] = PROMPTS) -> list[str]:
    replies = await asyncio.gather(*(engine.complete(each, sampling) for each in prompts))
    return [completion.text for reply in replies for completion in reply]


async def test_greedy_texts_are_those_of_transformers(vllm: Any, reference: Any) -> None:
    ours = await texts(vllm, Sampling(max_tokens=300))
    theirs = await texts(reference, Sampling(max_tokens=300))
    assert sum(a == b for a, b in zip(ours, theirs, strict=True)) >= 9


async def test_candidates_are_reproduced_in_other_company(vllm: Any) -> None:
    sampling = Sampling(max_tokens=100, temperature=1.0, num_candidates=4, seed=3)
    together = await texts(vllm, sampling)
    alone = [text for prompt in PROMPTS for text in await texts(vllm, sampling, [prompt])]
    assert sum(a == b for a, b in zip(together, alone, strict=True)) >= 0.9 * len(alone)


async def test_scores_are_those_of_transformers(vllm: Any, reference: Any) -> None:
    for ours, theirs in zip(await vllm.score(SCORED), await reference.score(SCORED), strict=True):
        assert list(ours.ranks) == list(theirs.ranks)
        assert list(ours.logprobs) == pytest.approx(list(theirs.logprobs), abs=1e-2)


async def test_a_schema_holds_any_model(vllm: Any) -> None:
    schema = choice_schema("level", LEVELS)
    for text in await texts(vllm, Sampling(max_tokens=1500, json_schema=schema), PROMPTS[:2]):
        assert json.loads(text)["level"] in LEVELS


async def test_it_gives_its_memory_back_asleep_and_writes_the_same_afterwards(vllm: Any) -> None:
    before, free = await texts(vllm, Sampling(max_tokens=50)), torch.cuda.mem_get_info()[0]
    assert await vllm.sleep()
    asleep = torch.cuda.mem_get_info()[0]
    await vllm.wake()
    assert asleep - free > 2**30
    assert await texts(vllm, Sampling(max_tokens=50)) == before
