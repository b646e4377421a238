"""From our vocabulary to vLLM's: engine arguments, sampling parameters, and the memory of scoring.

Role: everything about vLLM that can be said without a loaded model. Invariant: importing this
module imports no vLLM; `prepare_environment` comes before anything of vLLM is imported.

A sample: EngineConfig(engine="vllm", model="nano:teacher", device="cpu") ->
    {"dtype": "float32", "kv_cache_memory_bytes": 1073741824, "load_format": "safetensors", ...}
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.engines.config import EngineConfig
from infra.engines.model_files import model_source
from infra.engines.vllm.checks import has_cpu_build
from tasks.ports import Sampling
from tasks.stage import derive_seed

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.lora.request import LoRARequest

GIB = 1024**3
HOST_VARIABLE = "LITECOT_ENGINE_HOST"
"""Process id of who holds the engine, for infra.engines.vllm.worker in vLLM's own processes."""
SCORING_BYTES_PER_LOGIT = 12
"""Of one entry of [tokens x vocabulary] at its peak: logits in the model's dtype, in float32, and
their log-softmax (vLLM's V1 model runner; V2 goes through slices of 1024 tokens: 1.9 GB for a
vocabulary of 152K)."""


def runs_on_cpu(config: EngineConfig) -> bool:
    """Whether the vLLM of this environment is the CPU build; it has one device only."""
    return config.device == "cpu" or has_cpu_build()


def prepare_environment(config: EngineConfig) -> None:
    """What vLLM reads from the environment, for this process and those it starts."""
    quiet = {
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "TOKENIZERS_PARALLELISM": "false",
    }
    if runs_on_cpu(config) and config.for_vllm.tensor_parallel == 1:
        quiet["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # one process fewer: half the loading time
    if config.threads is not None:
        quiet["OMP_NUM_THREADS"] = str(config.threads)
    for name, value in quiet.items():
        os.environ.setdefault(name, value)
    os.environ[HOST_VARIABLE] = str(os.getpid())


def engine_arguments(config: EngineConfig) -> dict[str, Any]:
    """Keyword arguments of AsyncEngineArgs; what is not there keeps vLLM's default."""
    options = config.for_vllm
    arguments: dict[str, Any] = {
        "model": model_source(config.model),
        "revision": config.revision,
        "dtype": config.dtype,
        "max_model_len": config.max_model_len,
        "quantization": options.quantization,
        "tensor_parallel_size": options.tensor_parallel,
        "distributed_executor_backend": "mp" if options.tensor_parallel > 1 else "uni",
        "enable_prefix_caching": options.enable_prefix_caching,
        "max_num_seqs": options.max_num_seqs,
        "max_num_batched_tokens": options.max_num_batched_tokens,
        "enforce_eager": options.enforce_eager,
        "load_format": "safetensors",
        "trust_remote_code": False,
        # a weak model held to a schema would write white space for ever where it may
        "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
        "worker_extension_cls": "infra.engines.vllm.worker.DiesWithHost",
        "disable_log_stats": True,
        "enable_log_requests": False,
        **_device_arguments(config),
    }
    if options.lora is not None:
        arguments |= {"enable_lora": True, "max_loras": 1, "max_lora_rank": options.max_lora_rank}
    return {name: value for name, value in arguments.items() if value is not None}


def _device_arguments(config: EngineConfig) -> dict[str, Any]:
    options = config.for_vllm
    if not runs_on_cpu(config):
        return {
            "gpu_memory_utilization": options.gpu_memory_utilization,
            "enable_sleep_mode": options.enable_sleep_mode,
        }
    return {
        "dtype": "float32" if config.dtype == "auto" else config.dtype,
        "kv_cache_memory_bytes": options.cpu_kv_cache_gib * GIB,
        "enforce_eager": True,  # compiling takes minutes and wins little on a CPU
        # vLLM 0.32 rewinds a seeded generator behind an unfinished chunk of a prompt, which a CPU
        # generator cannot do: "CPU Generator does not use offset", and the engine core is dead
        "enable_chunked_prefill": False,
    }


def lora_request(config: EngineConfig) -> LoRARequest | None:
    """The adapter that every request names."""
    if config.for_vllm.lora is None:
        return None
    from vllm.lora.request import LoRARequest

    return LoRARequest("litecot", 1, str(Path(config.for_vllm.lora).resolve()))


def scoring_tokens(vocabulary: int, max_gib: float) -> int:
    """Tokens whose log-probabilities over the whole vocabulary fit into `max_gib` at a time."""
    return max(1, int(max_gib * GIB) // (vocabulary * SCORING_BYTES_PER_LOGIT))


def sampling_parameters(sampling: Sampling, end_ids: Iterable[int]) -> SamplingParams:
    """One request for all candidates. vLLM seeds candidate i with `seed + i`, so seeds are hashed
    first: requests with neighbouring seeds share no candidate."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

    schema = sampling.json_schema
    return SamplingParams(
        n=sampling.num_candidates,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        max_tokens=sampling.max_tokens,
        seed=derive_seed(sampling.seed, "vllm") >> 1,  # room for `+ i` below 2**63
        stop=list(sampling.stop),
        stop_token_ids=list(end_ids),
        detokenize=bool(sampling.stop),  # vLLM looks for stop strings in its own text
        structured_outputs=None if schema is None else StructuredOutputsParams(json=schema),
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def scoring_parameters() -> SamplingParams:
    """Log-probability and rank of each prompt token, and one token that nobody reads."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        prompt_logprobs=0,  # the prompt's own tokens, no others beside them
        flat_logprobs=True,
        max_tokens=1,
        temperature=0.0,
        detokenize=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )
