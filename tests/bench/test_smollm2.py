"""SmolLM2 in every role but training: how fast it writes and reads, RD and IFD beside float64.

    BENCH_SMOLLM2_PROBLEMS=100 python -m pytest tests/bench/test_smollm2.py -s -q

Training: test_smollm2_epoch.py. The reference shares no code with the product: transformers alone,
float64, one text at a time, its own tokenisation of the chat template's text, its own formulas.
What it found lies in BENCH_SMOLLM2_FILE, a line a rationale, and is not computed again by the next
start.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from infra.engines import EngineConfig, open_engine, smollm2
from tasks.ports import Prompt, Sampling
from tasks.prompts import PromptFiles
from tasks.schemas import Score
from tasks.score import ScoreConfig, ScoreRecord, score
from tests.fakes import ports
from tests.integration.test_scoring_reference import Student
from tests.real_chains import read
from tests.scoring_reference import ANSWER, PROMPT

NUM_PROBLEMS = int(os.environ.get("BENCH_SMOLLM2_PROBLEMS", "3"))
WRITERS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")


def rationales() -> Iterator[tuple[str, str, str]]:
    """(question, answer, rationale): four candidates a problem, right or wrong."""
    for row in read("gsm8k_test_openai_4candidates")[:NUM_PROBLEMS]:
        answer = row["ground_truth"].split("####")[-1].strip()
        for who in WRITERS:
            yield row["question"], answer, row[who]["solution"]


class Reference:
    """One text at a time in float64."""

    def __init__(self, folder: Path) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._torch = torch
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self._model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()

    def tokens(self, text: str) -> list[int]:
        found: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    def nll(self, given: list[int], wanted: list[int]) -> list[float]:
        """Of each wanted token behind those before it."""
        torch = self._torch
        with torch.no_grad():
            found = self._model(torch.tensor([given + wanted]), logits_to_keep=len(wanted) + 1)
        logprobs = torch.log_softmax(found.logits[0, :-1], dim=-1)
        nll: list[float] = (-logprobs[range(len(wanted)), wanted]).tolist()
        return nll

    @cache  # noqa: B019 (it lives as long as the test)
    def alone(self, chat: tuple[int, ...], answer: tuple[int, ...]) -> float:
        """Four candidates share it."""
        return sum(self.nll([*chat], [*answer]))

    def rd_and_ifd(self, question: str, answer: str, rationale: str) -> tuple[float, float]:
        message = {"role": "user", "content": PROMPT.format(question=question)}
        chat = self.tokens(
            self._tokenizer.apply_chat_template(
                [message], tokenize=False, add_generation_prompt=True
            )
        )
        r, a = self.tokens(rationale), self.tokens(ANSWER.format(answer=answer))
        behind = self.nll(chat, r + self.tokens("\n") + a)
        alone = self.alone(tuple(chat), tuple(a))
        unasked = self.nll(self.tokens("<|im_start|>assistant\n"), r)
        rd = math.exp((sum(behind[-len(a) :]) - alone) / len(a))
        return rd, sum(behind[: len(r)]) / sum(unasked)


def references(folder: Path) -> list[tuple[float, float]]:
    """Of all rationales; those that BENCH_SMOLLM2_FILE has are read there."""
    path = Path(os.environ.get("BENCH_SMOLLM2_FILE", "build/smollm2-float64.jsonl"))
    path.parent.mkdir(parents=True, exist_ok=True)
    known = {}
    if path.is_file():
        known = {tuple(key): tuple(value) for key, value in map(json.loads, path.open())}
    model = Reference(folder)
    with path.open("a") as file:
        for each in rationales():
            if each not in known:
                known[each] = model.rd_and_ifd(*each)
                file.write(json.dumps([each, known[each]]) + "\n")
                file.flush()
    return [known[each] for each in rationales()]


def role_prompts(role: str) -> list[Prompt]:
    """What a role is asked, of 16 problems."""
    rows = read("gsm8k_test_openai_4candidates")[:16]
    if role != "compressor":
        return [PromptFiles("default").render("generate", question=row["question"]) for row in rows]
    return [
        PromptFiles("instruct").render(
            "compress", question=row["question"], rationale=row[WRITERS[-1]]["solution"],
            target_tokens="", target_percent="",
        )
        for row in rows
    ]  # fmt: skip


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("engine_name", ["transformers", "vllm"])
async def test_roles_that_write(engine_name: str) -> None:
    """Teacher and evaluated student are asked alike; the compressor reads more than it writes."""
    if smollm2.fault():
        pytest.skip(str(smollm2.fault()))
    if engine_name == "vllm":
        pytest.importorskip("vllm")
    started = time.perf_counter()
    engine = open_engine(EngineConfig(engine=engine_name, model=smollm2.NAME, device="cpu"))
    print(f"\n{engine_name}: loaded in {time.perf_counter() - started:.1f} s")
    for role in ("teacher, student", "compressor"):
        started = time.perf_counter()
        replies = await asyncio.gather(
            *(engine.complete(prompt, Sampling(max_tokens=64)) for prompt in role_prompts(role))
        )
        seconds = time.perf_counter() - started
        given = sum(reply.prompt_tokens for (reply,) in replies)
        written = sum(reply.completion_tokens for (reply,) in replies)
        print(
            f"{engine_name}, {role}: 16 at once, {given} tokens given, {written} written in"
            f" {seconds:.1f} s: {written / seconds:.0f} tokens/s",
            flush=True,
        )
        assert written >= 16 * 8
    engine.close()


async def ours(engine: Any) -> list[Score]:
    config = ScoreConfig(scorers=("rd", "ifd"), strip_answer=False)
    known = ports(scoring={"student": Student(engine)})
    steps = [
        score(
            ScoreRecord(record_id="r", problem_id="p", question=q, answer=a, text=t), known, config
        )
        for q, a, t in rationales()
    ]
    return [row for (row,) in await asyncio.gather(*steps)]


@pytest.mark.timeout(7200)
async def test_rd_and_ifd_equal_a_float64_reference() -> None:
    if smollm2.fault():
        pytest.skip(str(smollm2.fault()))
    engine = open_engine(EngineConfig(model=smollm2.NAME))
    started = time.perf_counter()
    rows = await ours(engine)
    seconds = time.perf_counter() - started
    engine.close()
    num_tokens = sum(row.num_tokens for row in rows)
    print(
        f"\n{len(rows)} rationales, {num_tokens} tokens of them, scored in {seconds:.1f} s: ",
        end="",
    )
    print(f"{num_tokens / seconds:.0f} rationale tokens/s ({2 * num_tokens / seconds:.0f} read)")
    started = time.perf_counter()
    expected = references(smollm2.made_folder())
    print(f"float64 reference: {time.perf_counter() - started:.0f} s")
    for name, index in (("rd", 0), ("ifd", 1)):
        found = [getattr(row, name) for row in rows]
        wanted = [both[index] for both in expected]
        off = [abs(x - y) / y for x, y in zip(found, wanted, strict=True)]
        print(f"{name}: largest relative difference {max(off):.2e}, mean {sum(off) / len(off):.2e}")
        assert found == pytest.approx(wanted, rel=1e-4)
