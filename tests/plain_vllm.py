"""vLLM alone, as somebody runs it who knows nothing of us: folders of models, one question each.

`python -m tests.plain_vllm CHATS.json`: [[folder, question], ...] in, a JSON line for each out. One
process for all: importing takes longer than loading small models does. The limit of tokens is ours;
where to end before is what vLLM reads in the folder.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

SOURCE_ROOT = Path(__file__).resolve().parents[1]
MAX_TOKENS = 40
ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
}


@dataclass(frozen=True, kw_only=True)
class Reply:
    """Greedy, control tokens shown."""

    text: str
    finish_reason: str


def chat(chats: Sequence[tuple[Path, str]], scratch: Path) -> list[Reply]:
    """What each folder's model answers."""
    file = scratch / "chats.json"
    file.write_text(json.dumps([[str(folder), question] for folder, question in chats]))
    done = subprocess.run(
        [sys.executable, "-m", "tests.plain_vllm", str(file)],
        cwd=SOURCE_ROOT, capture_output=True, text=True, env={**os.environ, **ENVIRONMENT},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    told = [line for line in done.stdout.splitlines() if line.startswith('{"text"')]
    return [Reply(**json.loads(line)) for line in told]


def _main() -> None:
    from vllm import LLM

    for folder, question in json.loads(Path(sys.argv[1]).read_text()):
        llm = LLM(
            model=folder, dtype="float32", enforce_eager=True, max_model_len=256,
            kv_cache_memory_bytes=2**28,
        )  # fmt: skip
        params = llm.get_default_sampling_params()
        params.temperature, params.max_tokens = 0.0, MAX_TOKENS
        params.skip_special_tokens = False
        message = {"role": "user", "content": question}
        (done,) = llm.chat([[message]], params, use_tqdm=False)  # type: ignore[list-item]
        (found,) = done.outputs
        print(json.dumps(asdict(Reply(text=found.text, finish_reason=str(found.finish_reason)))))
        del llm
        gc.collect()


if __name__ == "__main__":
    _main()
