"""What vLLM is told, without vLLM: options, devices, the memory of scoring; its log's cause."""

from __future__ import annotations

import os
from typing import Any

import pytest
from pydantic import ValidationError

from infra.engines import EngineConfig
from infra.engines.vllm.log import EngineLog
from infra.engines.vllm.options import GIB, engine_arguments, scoring_tokens


def arguments(**options: Any) -> dict[str, Any]:
    return engine_arguments(
        EngineConfig.model_validate({"engine": "vllm", "model": "org/model", **options})
    )


def test_no_pickles_and_no_code_of_a_checkpoint() -> None:
    told = arguments()
    assert (told["load_format"], told["trust_remote_code"]) == ("safetensors", False)


def test_options_arrive() -> None:
    told = arguments(
        max_model_len=4096,
        vllm={"tensor_parallel": 4, "quantization": "awq", "max_num_seqs": 8, "lora": "somewhere"},
    )
    assert told["tensor_parallel_size"] == 4
    assert told["distributed_executor_backend"] == "mp"
    assert (told["quantization"], told["max_num_seqs"], told["max_model_len"]) == ("awq", 8, 4096)
    assert (told["enable_lora"], told["max_lora_rank"]) == (True, 64)
    assert "max_num_batched_tokens" not in told  # vLLM's own default


def test_a_cpu_has_float32_a_cache_and_whole_prompts() -> None:
    told = arguments(device="cpu", vllm={"cpu_kv_cache_gib": 2})
    assert (told["dtype"], told["kv_cache_memory_bytes"]) == ("float32", 2 * GIB)
    assert told["enable_chunked_prefill"] is False
    assert "gpu_memory_utilization" not in told
    assert arguments(device="cpu", dtype="bfloat16")["dtype"] == "bfloat16"


def test_scoring_stays_within_its_memory() -> None:
    for vocabulary in (582, 32_000, 151_936):
        assert scoring_tokens(vocabulary, 2.0) * vocabulary * 12 <= 2 * GIB
    assert 1100 < scoring_tokens(151_936, 2.0) < 1200
    assert scoring_tokens(10**12, 0.001) == 1


def test_a_rank_vllm_does_not_have_is_named() -> None:
    with pytest.raises(ValidationError, match="max_lora_rank"):
        arguments(vllm={"max_lora_rank": 48})


def test_the_log_names_the_cause_and_not_its_consequences() -> None:
    log = EngineLog()
    try:
        assert "was it killed?" in log.cause()
        with log.collecting():
            os.write(2, b"(EngineCore pid=7) ERROR ValueError: No available memory. Try less.\n")
            os.write(
                1, b"  raise EngineDeadError()\nRuntimeError: Engine core initialization failed.\n"
            )
        assert log.cause() == "ValueError: No available memory. Try less."
    finally:
        log.forget()
    assert not log.path.exists()
