"""`[models.ROLE]` of a recipe: which engine hosts which model, and how.

Invariant: plain pydantic, so that a recipe is read without any model library.

A sample: EngineConfig(engine="vllm", model="Qwen/Qwen2.5-7B", vllm={"tensor_parallel": 2})
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

EngineName = Literal["transformers", "vllm", "endpoint"]

Dtype = Literal["auto", "float64", "float32", "bfloat16", "float16"]

Device = Literal["auto", "cpu", "cuda"]


class VllmOptions(BaseModel):
    """`[models.ROLE.vllm]`: what only vLLM knows. Names and defaults are vLLM's where not said."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tensor_parallel: int = Field(default=1, ge=1)
    """GPUs one replica is spread over."""
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1)
    quantization: str | None = None
    enable_prefix_caching: bool = True
    max_num_seqs: int | None = Field(default=None, ge=1)
    max_num_batched_tokens: int | None = Field(default=None, ge=1)
    enforce_eager: bool = False
    lora: str | None = None
    """Folder of a LoRA adapter that every request uses."""
    max_lora_rank: Literal[1, 8, 16, 32, 64, 128, 256, 320, 512] = 64
    cpu_kv_cache_gib: int = Field(default=1, ge=1)
    """Memory of the cache where vLLM runs on CPU."""
    scoring_gib: float = Field(default=2.0, gt=0)
    """Memory one pass of scoring may take beside the engine's own; see docs/engines.md."""
    enable_sleep_mode: bool = False
    """Set by placement where roles take turns on the same GPU."""


class EndpointOptions(BaseModel):
    """`[models.ROLE.endpoint]`: an OpenAI-compatible server."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str
    """Up to and with the version, e.g. http://127.0.0.1:8000/v1; no password in it."""
    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable with the key; no key is sent where it is not set."""
    api_key_block: str | None = None
    """Prefect Secret block with the key; goes before the variable."""
    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)
    timeout_s: float = Field(default=3600, gt=0)
    """For a whole reply: a chain of 32K tokens at 10 tokens/s takes most of an hour."""
    connect_timeout_s: float = Field(default=30, gt=0)
    candidates: Literal["auto", "together", "separate"] = "auto"
    """Ask for `n` in one request, or in one each; auto: together, then one each if ignored."""

    @field_validator("base_url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")) or any(c.isspace() for c in url):
            raise ValueError("write it with http:// or https://, e.g. http://127.0.0.1:8000/v1")
        if "@" in url:
            raise ValueError("no name or password in it: the key comes from api_key_env")
        return url


class EngineConfig(BaseModel):
    """Which model, and how it is hosted. Equal configurations share one pool of replicas."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: EngineName = "transformers"
    model: str = Field(min_length=1)
    """A local folder, a hub id, or nano:teacher / nano:student; a server's name for it."""
    revision: str | None = None
    """Of a hub id. At an endpoint: the name under which its rows are known, whatever its URL."""
    dtype: Dtype = "auto"
    """auto: the checkpoint's own on CUDA, float32 on CPU. float64 makes batching exact."""
    device: Device = "auto"
    max_batch_size: int = Field(default=64, ge=1)
    """Rows (candidates) decoded together by the transformers engine."""
    max_batch_tokens: int = Field(default=16384, ge=1)
    """Tokens of one prefill or scoring pass, padding included; a longer row goes alone."""
    max_model_len: int | None = Field(default=None, ge=2)
    """Prompt plus completion, tokens; None: what the model was made for."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads; None: all cores."""
    replicas: int = Field(default=1, ge=1)
    """Engines of this model from the start."""
    max_replicas: int | None = Field(default=None, ge=1)
    """Engines while work waits and the cluster has room; None: no more than `replicas`."""
    max_in_flight: int = Field(default=256, ge=1)
    """Requests inside one replica, or at one endpoint, at a time; more wait in the driver."""
    vllm: VllmOptions | None = None
    endpoint: EndpointOptions | None = None

    @model_validator(mode="after")
    def _check(self) -> EngineConfig:
        for name in ("vllm", "endpoint"):
            if getattr(self, name) is not None and self.engine != name:
                raise ValueError(f"the table '{name}' goes with engine = {name!r}")
        if self.engine == "endpoint" and self.endpoint is None:
            raise ValueError("engine 'endpoint' needs endpoint.base_url")
        if self.max_replicas is not None and self.max_replicas < self.replicas:
            raise ValueError("max_replicas is smaller than replicas")
        return self

    @property
    def for_vllm(self) -> VllmOptions:
        """The vLLM options, defaults where the recipe has none."""
        return self.vllm or VllmOptions()
