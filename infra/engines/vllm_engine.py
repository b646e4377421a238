"""An engine over vLLM: continuous batching, paged KV cache, tensor parallelism, structured output.

Role: requests as token ids into AsyncLLM, and its outputs back as ours. Invariants: prompts and
texts go through our ChatEncoder, so a text has the same tokens, and comes back the same, as with
the transformers engine; AsyncLLM lives in one event loop on a thread of its own, so any number of
loops may use the engine.

A sample: `await VllmEngine(config).complete(Prompt(text="3 + 4?"), Sampling(num_candidates=4))`
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import uuid4

from infra.engines.chat import chat_encoder, load_tokenizer
from infra.engines.engine import EngineConfig, EngineInfo
from infra.engines.errors import EngineBrokenError
from infra.engines.model_files import ModelFilesError, model_source
from infra.engines.scoring import ScoreIds
from infra.engines.vllm_log import EngineLog
from infra.engines.vllm_loop import EngineLoop
from infra.engines.vllm_options import (
    engine_arguments,
    lora_request,
    prepare_environment,
    runs_on_cpu,
    sampling_parameters,
    scoring_parameters,
    scoring_tokens,
)
from tasks.ports import (
    Completion,
    PermanentError,
    Prompt,
    Sampling,
    ScoreRequest,
    TokenScores,
    TransientError,
)

if TYPE_CHECKING:
    from vllm import RequestOutput, SamplingParams
    from vllm.config import VllmConfig
    from vllm.v1.engine.async_llm import AsyncLLM


class VllmEngine:
    """See Engine. The constructor loads the model; any number of event loops may use it."""

    def __init__(self, config: EngineConfig) -> None:
        prepare_environment(config)
        tokenizer = load_tokenizer(model_source(config.model), revision=config.revision)
        self._config = config
        self._chat = chat_encoder(tokenizer)
        self._adapter = lora_request(config)
        self._num_tokens = 0
        self._made = _engine_config(config)
        self._log = EngineLog()
        self._loop = EngineLoop()
        self._llm = self._load()
        self._context = self._made.model_config.max_model_len
        self._max_scored = _max_scored(self._made, config)

    async def complete(self, prompt: Prompt, sampling: Sampling) -> list[Completion]:
        """See Engine. Candidates share one request; their latency is the slowest one's."""
        started = time.monotonic()
        ids = self._chat.encode_prompt(prompt)
        self._check_length(len(ids), sampling.max_tokens)
        params = sampling_parameters(sampling, self._chat.end_ids)
        output = await self._ask(ids, params)
        elapsed_s = time.monotonic() - started
        return [
            Completion(
                text=self._text(written.token_ids, sampling.stop),
                finish_reason=_finish_reason(written.finish_reason),
                prompt_tokens=len(ids),
                completion_tokens=len(written.token_ids),
                latency_s=elapsed_s,
            )
            for written in sorted(output.outputs, key=lambda written: written.index)
        ]

    async def score(self, request: ScoreRequest) -> list[TokenScores]:
        """See Engine. A rank counts the tokens at least as likely, so it ties upwards."""
        prompt = request.prompt
        given = self._chat.encode_start() if prompt is None else self._chat.encode_prompt(prompt)
        ids = ScoreIds(given=given, targets=[self._chat.encode_text(t) for t in request.targets])
        self._check_length(ids.length, 1)  # vLLM always writes a token
        self._check_scored(ids.length)
        row = [*ids.given, *(token for target in ids.targets for token in target)]
        output = await self._ask(row, scoring_parameters())
        return _by_target(ids, output)

    def count(self, text: str) -> int:
        """See Engine."""
        return len(self._chat.encode_text(text))

    def info(self) -> EngineInfo:
        """See Engine."""
        made = self._made
        return {
            "model": self._config.model,
            "engine": self._config.engine,
            "device": made.device_config.device_type,
            "dtype": str(made.model_config.dtype).removeprefix("torch."),
            "vocabulary": made.model_config.get_vocab_size(),
            "max_model_len": self._context,
            "max_num_batched_tokens": made.scheduler_config.max_num_batched_tokens,
            "max_num_seqs": made.scheduler_config.max_num_seqs,
            "tensor_parallel": made.parallel_config.tensor_parallel_size,
            "generated_tokens": self._num_tokens,
        }

    async def sleep(self) -> bool:
        """Give the GPU's memory back once what is in flight is done; False where it cannot."""
        if runs_on_cpu(self._config) or not self._config.for_vllm.enable_sleep_mode:
            return False
        await self._loop.call(self._llm.sleep(level=1, mode="wait"))
        return True

    async def wake(self) -> None:
        """Take the memory again; nothing where it is awake."""
        if self._config.for_vllm.enable_sleep_mode and not runs_on_cpu(self._config):
            await self._loop.call(self._llm.wake_up())

    def close(self) -> None:
        """See Engine."""
        if self._loop.close():
            self._llm.shutdown()
            del self._llm  # its __del__ fails once the interpreter is going down

    def _load(self) -> AsyncLLM:
        """Raises ModelFilesError with vLLM's own reason, which it leaves in its log only."""
        try:
            with self._log.collecting():
                llm = self._loop.run(_start(self._made))
        except Exception as error:
            self._loop.close()
            raise ModelFilesError(
                f"vLLM could not load {self._config.model!r}: {self._log.cause()} ({error}; all of "
                f"it in {self._log.path})"
            ) from error
        self._log.forget()
        return llm

    async def _ask(self, ids: list[int], params: SamplingParams) -> RequestOutput:
        """Raises PermanentError (refused), EngineBrokenError (its core is dead), TransientError."""
        from vllm.exceptions import VLLMClientError
        from vllm.v1.engine.exceptions import EngineDeadError

        try:
            output = await self._loop.call(self._generate(ids, params))
        except VLLMClientError as error:
            reason = "structured_output" if params.structured_outputs else "refused"
            raise PermanentError(reason, str(error)) from error
        except EngineDeadError:
            raise EngineBrokenError(f"vLLM's engine core died: {self._log.cause()}") from None
        except (TransientError, PermanentError):
            raise
        except Exception as error:
            raise TransientError(
                f"vLLM failed: {type(error).__name__}: {error.__cause__ or error}"
            ) from error
        self._num_tokens += sum(len(written.token_ids) for written in output.outputs)
        return output

    async def _generate(self, ids: list[int], params: SamplingParams) -> RequestOutput:
        from vllm.inputs import tokens_input

        replies = self._llm.generate(
            tokens_input(ids), params, uuid4().hex, lora_request=self._adapter
        )
        return [output async for output in replies][-1]

    def _text(self, ids: Sequence[int], stop: tuple[str, ...]) -> str:
        text = self._chat.decode(ids)
        cut = min((at for at in map(text.find, stop) if at >= 0), default=None)
        return text[:cut]

    def _check_length(self, num_tokens: int, max_tokens: int) -> None:
        if num_tokens + max_tokens > self._context:
            raise PermanentError(
                "prompt_too_long",
                f"{num_tokens} prompt + {max_tokens} new tokens > {self._context} of the model",
            )

    def _check_scored(self, num_tokens: int) -> None:
        """Nobody's memory profile counts these logits: too many end the engine (vllm #5907)."""
        if self._max_scored is not None and num_tokens > self._max_scored:
            raise PermanentError(
                "too_long_to_score",
                f"{num_tokens} tokens > {self._max_scored}, whose log-probabilities fit into "
                f"{self._config.for_vllm.scoring_gib} GiB: set vllm.scoring_gib higher",
            )


def _engine_config(config: EngineConfig) -> VllmConfig:
    """vLLM's resolved configuration, its chunks of prefill small enough to be scored.

    Raises ModelFilesError for what vLLM refuses.
    """
    from vllm.engine.arg_utils import AsyncEngineArgs

    arguments = engine_arguments(config)
    try:
        made = AsyncEngineArgs(**arguments).create_engine_config()
        scheduler, most = made.scheduler_config, _scored_at_once(made, config)
        if most is not None and scheduler.enable_chunked_prefill:
            most = max(most, scheduler.max_num_seqs)  # vLLM wants a token a sequence
            if config.for_vllm.max_num_batched_tokens is None:
                arguments["max_num_batched_tokens"] = min(most, scheduler.max_num_batched_tokens)
                made = AsyncEngineArgs(**arguments).create_engine_config()
    except (ValueError, OSError) as error:  # pydantic's errors are ValueErrors
        raise ModelFilesError(f"vLLM refuses {config.model!r}: {_one_line(error)}") from error
    return made


def _scored_at_once(made: VllmConfig, config: EngineConfig) -> int | None:
    """Tokens whose logits fit; None: vLLM's V2 model runner cuts them into slices itself."""
    if made.use_v2_model_runner:
        return None
    return scoring_tokens(made.model_config.get_vocab_size(), config.for_vllm.scoring_gib)


def _max_scored(made: VllmConfig, config: EngineConfig) -> int | None:
    """Tokens a request to score may have; None where every chunk fits."""
    most = _scored_at_once(made, config)
    if most is None or made.scheduler_config.max_num_batched_tokens <= most:
        return None
    return most


async def _start(made: VllmConfig) -> AsyncLLM:
    from vllm.v1.engine.async_llm import AsyncLLM

    return AsyncLLM.from_vllm_config(made, disable_log_stats=True)


def _by_target(ids: ScoreIds, output: RequestOutput) -> list[TokenScores]:
    """vLLM says nothing of the first token, so entry i is of token i + 1."""
    from vllm.logprobs import FlatLogprobs

    flat = output.prompt_logprobs
    assert isinstance(flat, FlatLogprobs)
    ranks = [rank for rank in flat.ranks if rank is not None]
    scored, start = [], len(ids.given) - 1
    for target in ids.targets:
        end = start + len(target)
        scored.append(TokenScores(logprobs=flat.logprobs[start:end], ranks=ranks[start:end]))
        start = end
    return scored


def _finish_reason(reason: str | None) -> str:
    """stop and length are outcomes; an abort or an error of vLLM's own is not."""
    if reason not in ("stop", "length"):
        raise TransientError(f"vLLM ended the request: {reason}")
    return reason


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
