"""`[models.ROLE]` of a recipe: which engine hosts which model, and how.

Invariants: plain pydantic and plain values, so that a recipe is read without any model library and
a configuration reaches another process before its plug-ins are loaded there.

A sample: EngineConfig(engine="vllm", model="Qwen/Qwen2.5-7B", vllm={"tensor_parallel": 2})
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from infra.engines.engine_type import ENGINES, EngineType
from tasks.errors import near_names

OptionsT = TypeVar("OptionsT", bound=BaseModel)

Dtype = Literal["auto", "float64", "float32", "bfloat16", "float16"]

Device = Literal["auto", "cpu", "cuda"]


class VllmOptions(BaseModel):
    """`[models.ROLE.vllm]`: what only vLLM knows. Names and defaults are vLLM's where not said."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tensor_parallel: int = Field(default=1, ge=1, description="GPUs one replica is spread over")
    gpu_memory_utilization: float = Field(
        default=0.9, gt=0, le=1, description="share of a GPU's memory that an engine takes"
    )
    quantization: str | None = Field(
        default=None, description="vLLM's name of it, e.g. fp8; unset: what the checkpoint says"
    )
    enable_prefix_caching: bool = Field(
        default=True, description="keep the cache of a prompt for the next that begins with it"
    )
    max_num_seqs: int | None = Field(
        default=None, ge=1, description="chains decoded at a time; unset: vLLM's choice"
    )
    max_num_batched_tokens: int | None = Field(
        default=None, ge=1, description="tokens of one pass; unset: vLLM's choice"
    )
    enforce_eager: bool = Field(
        default=False, description="no CUDA graphs: starts sooner, decodes slower"
    )
    lora: str | None = Field(
        default=None, description="folder of a LoRA adapter that every request uses"
    )
    max_lora_rank: Literal[1, 8, 16, 32, 64, 128, 256, 320, 512] = Field(
        default=64, description="at least the adapter's rank"
    )
    cpu_kv_cache_gib: int = Field(
        default=1, ge=1, description="memory of the cache where vLLM runs on CPU"
    )
    scoring_gib: float = Field(
        default=2.0,
        gt=0,
        description=(
            "memory one pass of scoring may take beside the engine's own; see docs/engines.md"
        ),
    )
    enable_sleep_mode: bool = Field(
        default=False, description="set by placement where roles take turns on the same GPU"
    )


class EndpointOptions(BaseModel):
    """`[models.ROLE.endpoint]`: an OpenAI-compatible server."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str = Field(
        description="up to and with the version, e.g. http://127.0.0.1:8000/v1; no password in it"
    )
    api_key_env: str = Field(
        default="OPENAI_API_KEY",
        description="environment variable with the key; no key is sent where it is not set",
    )
    api_key_block: str | None = Field(
        default=None, description="Prefect Secret block with the key; goes before the variable"
    )
    requests_per_minute: int | None = Field(
        default=None, ge=1, description="the server's limit, kept to; unset: none"
    )
    tokens_per_minute: int | None = Field(
        default=None, ge=1, description="the same, of prompts and completions"
    )
    timeout_s: float = Field(
        default=3600,
        gt=0,
        description="for a whole reply: a chain of 32K tokens at 10 tokens/s takes most of an hour",
    )
    connect_timeout_s: float = Field(
        default=30, gt=0, description="until the server has taken the connection"
    )
    candidates: Literal["auto", "together", "separate"] = Field(
        default="auto",
        description=(
            "ask for `n` in one request, or in one each; auto: together, then one each if ignored"
        ),
    )
    omit: tuple[Literal["n", "seed", "temperature", "top_p", "max_tokens"], ...] = Field(
        default=(),
        description=(
            "parameters that the server refuses, never sent; without n, candidates come one by one"
        ),
    )

    @model_validator(mode="after")
    def _check_omit(self) -> EndpointOptions:
        if "n" in self.omit and self.candidates == "together":
            raise ValueError('omit = ["n"] asks one by one, and candidates = "together" does not')
        return self

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

    engine: str = Field(
        default="transformers",
        description="transformers, vllm, endpoint, or one that a file in plugins adds",
    )
    model: str = Field(
        min_length=1,
        description=(
            "a local folder, a hub id, nano:teacher, nano:student or smollm2; a "
            "server's name for it"
        ),
    )
    revision: str | None = Field(
        default=None,
        description=(
            "of a hub id. At an endpoint: the name under which its rows are known, whatever its URL"
        ),
    )
    dtype: Dtype = Field(
        default="auto",
        description=(
            "auto: the checkpoint's own on CUDA, float32 on CPU. float64 makes batching exact"
        ),
    )
    device: Device = Field(default="auto", description="auto: a GPU where there is one")
    max_batch_size: int = Field(
        default=64,
        ge=1,
        description="rows (candidates) decoded together by the transformers engine",
    )
    max_batch_tokens: int = Field(
        default=16384,
        ge=1,
        description=(
            "tokens of one prefill or scoring pass, padding included; a longer row goes alone"
        ),
    )
    max_model_len: int | None = Field(
        default=None,
        ge=2,
        description="prompt plus completion, tokens; unset: what the model was made for",
    )
    threads: int | None = Field(default=None, ge=1, description="CPU threads; unset: all cores")
    replicas: int = Field(default=1, ge=1, description="engines of this model from the start")
    max_replicas: int | None = Field(
        default=None,
        ge=1,
        description=(
            "engines while work waits and the cluster has room; unset: no more than `replicas`"
        ),
    )
    max_in_flight: int = Field(
        default=256,
        ge=1,
        description=(
            "requests inside one replica, or at one endpoint, at a time; more wait in the driver"
        ),
    )
    vllm: VllmOptions | None = Field(default=None, description="with engine = vllm")
    endpoint: EndpointOptions | None = Field(default=None, description="with engine = endpoint")
    options: dict[str, Any] = Field(
        default={},
        exclude_if=lambda options: not options,
        description="of an engine from outside; written as its own table, `[models.ROLE.ENGINE]`",
    )

    @model_validator(mode="before")
    @classmethod
    def _take_own_table(cls, given: Any) -> Any:
        """The table of an engine from outside becomes `options`."""
        if not isinstance(given, dict):
            return given
        engine = str(given.get("engine", cls.model_fields["engine"].default))
        rest = {key: value for key, value in given.items() if key in cls.model_fields}
        for name in given.keys() - rest.keys():
            if name != engine and name in ENGINES:
                raise ValueError(_goes_with(name))
            if name != engine:
                rest[name] = given[name]  # refused as any unknown key is
        table = given.get(engine) if engine not in cls.model_fields else None
        if engine not in ENGINES:
            return rest  # said of the key `engine`, and not of its table too
        if table is not None and rest.get("options"):
            raise ValueError(f"the options of engine {engine!r} are given twice")
        options = rest.get("options") if table is None else table
        if engine not in cls.model_fields:
            return {**rest, "options": _own_options(engine, options or {})}
        if options:
            raise ValueError(f"the options of engine {engine!r} are in the table {engine!r}")
        return rest

    @field_validator("engine")
    @classmethod
    def _check_engine(cls, name: str) -> str:
        if name not in ENGINES:
            near = near_names(name, ENGINES)
            meant = f"did you mean {near}? " if near else ""
            raise ValueError(
                f"no engine {name!r}: {meant}there are {', '.join(ENGINES)}, and those of the "
                "files in plugins"
            )
        return name

    @model_validator(mode="after")
    def _check(self) -> EngineConfig:
        tables = [name for name in type(self).model_fields if name in ENGINES]
        for name in tables:
            if getattr(self, name) is not None and self.engine != name:
                raise ValueError(_goes_with(name))
        own = self.engine_type.options
        if own is not None and self.engine in tables and getattr(self, self.engine) is None:
            for field, about in own.model_fields.items():
                if about.is_required():
                    raise ValueError(f"engine {self.engine!r} needs {self.engine}.{field}")
        if self.max_replicas is not None and self.max_replicas < self.replicas:
            raise ValueError("max_replicas is smaller than replicas")
        return self

    def __hash__(self) -> int:
        """Without `options`, which has no hash; equality looks at everything."""
        return hash((self.engine, self.model, self.dtype, self.device, self.vllm, self.endpoint))

    @property
    def engine_type(self) -> EngineType:
        """What its engine says about itself."""
        return ENGINES[self.engine]

    @property
    def for_vllm(self) -> VllmOptions:
        """The vLLM options, defaults where the recipe has none."""
        return self.vllm or VllmOptions()

    def own(self, options: type[OptionsT]) -> OptionsT:
        """The table of an engine from outside, as `options` (its EngineType.options) reads it."""
        return options.model_validate(self.options)


def _goes_with(name: str) -> str:
    return f"the table {name!r} goes with engine = {name!r}"


def _own_options(engine: str, table: Any) -> dict[str, Any]:
    """Checked, with defaults, as plain values. Raises ValueError: a line a fault."""
    options = ENGINES[engine].options
    if options is None:
        if table:
            raise ValueError(f"engine {engine!r} has no options: leave out its table")
        return {}
    try:
        return options.model_validate(table).model_dump(mode="json")
    except ValidationError as error:
        known = ", ".join(sorted(options.model_fields))
        faults = []
        for item in error.errors():
            text = item["msg"].removeprefix("Value error, ")
            if item["type"] == "extra_forbidden":
                text = f"unknown key; known are {known}"
            key = ".".join([engine, *map(str, item["loc"])])
            faults.append(f"{key}: {text}")
        raise ValueError("; ".join(faults)) from None


def engine_for(*, has_gpu: bool) -> str:
    """What hosts a checkpoint that nobody named an engine for: ours is there and starts at once."""
    return "vllm" if has_gpu else "transformers"


def at_server(base_url: str, model: str) -> dict[str, Any]:
    """The settings of a model that somebody's server answers for."""
    return {"engine": "endpoint", "model": model, "endpoint": {"base_url": base_url}}
