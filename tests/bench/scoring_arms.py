"""One way of scoring the same texts, in a process of its own: `python -m ... ARM FOLDER`.

FOLDER holds the model and work.json: {workload: {"requests": [...], "texts": [...]}}; the arm's
results go to FOLDER/ARM.json. Texts are token ids and where their targets are; only the product's
arms make theirs from the requests, within the time that counts. Loading and a first pass do not.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import sys
import time
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from typing import Any

from tasks.ports import Prompt, ScoreRequest

ROUNDS = 3  # over all workloads; the best of each counts, in every arm
Text = dict[str, Any]
Scores = list[tuple[float, int]]  # sum of log-probabilities and of ranks, a target


def as_request(saved: dict[str, Any]) -> ScoreRequest:
    """What dataclasses.asdict made of it, back."""
    prompt = saved["prompt"]
    return ScoreRequest(
        prompt=None if prompt is None else Prompt(**prompt),
        context=tuple(saved["context"]),
        targets=tuple(saved["targets"]),
        beside=tuple(map(as_request, saved["beside"])),
    )


def litecot(folder: Path, engine_name: str) -> Callable[[dict[str, Any]], Scores]:
    """The product's engine, all requests in flight."""
    from infra.engines import EngineConfig, open_engine

    options = {"max_model_len": 4096} if engine_name == "vllm" else {}
    engine = open_engine(
        EngineConfig.model_validate({"engine": engine_name, "model": str(folder), **options})
    )
    atexit.register(engine.close)

    async def score(requests: list[ScoreRequest]) -> Scores:
        replies = await asyncio.gather(*map(engine.score, requests))
        return [(sum(s.logprobs), sum(s.ranks)) for reply in replies for s in reply]

    return lambda work: asyncio.run(score(list(map(as_request, work["requests"]))))


def plain(folder: Path) -> Callable[[dict[str, Any]], Scores]:
    """What one writes first: a text at a time, all logits, log-softmax in float32, ranks."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(os.cpu_count() or 1)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    @torch.inference_mode()
    def score(text: Text) -> Scores:
        ids = torch.tensor([text["ids"]])
        logits = model(ids).logits[0, :-1].float()
        following = ids[0, 1:, None]
        logprobs = logits.log_softmax(-1).gather(1, following)[:, 0]
        ranks = 1 + (logits > logits.gather(1, following)).sum(-1)
        return [
            (float(logprobs[start - 1 : stop - 1].sum()), int(ranks[start - 1 : stop - 1].sum()))
            for start, stop in text["targets"]
        ]

    return lambda work: [found for text in work["texts"] for found in score(text)]


def vllm(folder: Path) -> Callable[[dict[str, Any]], Scores]:
    """vLLM's own class and its prompt_logprobs, all texts in one call."""
    cores = sorted(os.sched_getaffinity(0))
    os.environ |= {
        "VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "ERROR", "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # its memory is this process' memory
        "VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, cores)),
    }  # fmt: skip
    from vllm import LLM, SamplingParams
    from vllm.inputs import tokens_input

    llm = LLM(model=str(folder), dtype="float32", enforce_eager=True, max_model_len=4096)
    params = SamplingParams(
        prompt_logprobs=0, flat_logprobs=True, max_tokens=1, temperature=0.0, detokenize=False
    )

    def score(work: dict[str, Any]) -> Scores:
        prompts = [tokens_input(text["ids"]) for text in work["texts"]]
        outputs = llm.generate(prompts, params, use_tqdm=False)
        found = []
        for text, output in zip(work["texts"], outputs, strict=True):
            flat: Any = output.prompt_logprobs
            for start, stop in text["targets"]:
                cut = slice(start - 1, stop - 1)
                found.append((sum(flat.logprobs[cut]), sum(flat.ranks[cut])))
        return found

    return score


ARMS: dict[str, Callable[[Path], Callable[[dict[str, Any]], Scores]]] = {
    "litecot": lambda folder: litecot(folder, "transformers"),
    "plain loop": plain,
    "vllm": vllm,
    "litecot on vllm": lambda folder: litecot(folder, "vllm"),
}


def memory_mib(name: str) -> float:
    """VmRSS now, or VmHWM: the most since the last `forget_peak`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def timed(score: Callable[[dict[str, Any]], Scores], work: dict[str, Any]) -> dict[str, Any]:
    """What one round of a workload took."""
    forget_peak()
    loaded, started, cpu = memory_mib("VmRSS"), time.perf_counter(), time.process_time()
    found = score(work)
    return {
        "seconds": time.perf_counter() - started,
        "cpu_s": time.process_time() - cpu,
        "loaded_mib": loaded,
        "peak_mib": memory_mib("VmHWM"),
        "scores": found,
    }


def main(arm: str, folder: Path) -> None:
    work = json.loads((folder / "work.json").read_text())
    score = ARMS[arm](folder)
    first = next(iter(work.values()))
    score({"requests": first["requests"][:2], "texts": first["texts"][:2]})
    rounds = [{name: timed(score, each) for name, each in work.items()} for _ in range(ROUNDS)]
    results = {name: min((r[name] for r in rounds), key=itemgetter("seconds")) for name in work}
    (folder / f"{arm}.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
