"""An engine over vLLM: continuous batching, paged KV cache, tensor parallelism, structured output.

Role: requests as token ids into AsyncLLM, and its outputs back as ours. Invariants: prompts and
texts go through our ChatEncoder, so a text has the same tokens, and comes back the same, as with
the transformers engine; AsyncLLM lives in one event loop on a thread of its own, so any number of
loops may use the engine.

A sample: `await VllmEngine(config).complete(Prompt(text="3 + 4?"), Sampling(num_candidates=4))`
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import uuid4

from infra.engines.chat import chat_encoder, load_tokenizer
from infra.engines.config import EngineConfig
from infra.engines.engine import EngineInfo
from infra.engines.errors import EngineBrokenError
from infra.engines.model_files import ModelFilesError, model_source
from infra.engines.score_rows import encode_rows, longer_rows
from infra.engines.vllm.log import EngineLog
from infra.engines.vllm.loop import EngineLoop
from infra.engines.vllm.options import (
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
        self._reading: dict[tuple[int, ...], asyncio.Task[RequestOutput]] = {}
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
                text=self._text(written.token_ids, sampling),
                finish_reason=_finish_reason(written.finish_reason),
                prompt_tokens=len(ids),
                completion_tokens=len(written.token_ids),
                latency_s=elapsed_s,
            )
            for written in sorted(output.outputs, key=lambda written: written.index)
        ]

    async def score(self, request: ScoreRequest) -> list[TokenScores]:
        """See Engine. A rank counts the tokens at least as likely, so it ties upwards.

        vLLM reads no cached prefix for a request to score. So a row that another one begins with is
        read from that one, and a row that several requests in flight have is asked for once.
        """
        rows = encode_rows(self._chat, request)
        longest = max(len(row.ids) for row in rows)
        self._check_length(longest, 1)  # vLLM always writes a token
        self._check_scored(longest)
        hosts = [tuple(rows[index].ids) for index in longer_rows(rows)]
        asked = list(dict.fromkeys(hosts))
        params = scoring_parameters()
        outputs = await asyncio.gather(*(self._ask(list(ids), params) for ids in asked))
        found = dict(zip(asked, outputs, strict=True))
        return [
            _of_target(found[host], start, stop)
            for row, host in zip(rows, hosts, strict=True)
            for start, stop in row.targets
        ]

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
        """In vLLM's loop. Rows to score that are in flight and equal are one request."""
        if params.prompt_logprobs is None:
            return await self._last_output(ids, params)
        key = tuple(ids)
        if key not in self._reading:
            task = asyncio.ensure_future(self._last_output(ids, params))
            self._reading[key] = task
            task.add_done_callback(lambda _: self._reading.pop(key))
        return await asyncio.shield(self._reading[key])

    async def _last_output(self, ids: list[int], params: SamplingParams) -> RequestOutput:
        from vllm.inputs import tokens_input

        replies = self._llm.generate(
            tokens_input(ids), params, uuid4().hex, lora_request=self._adapter
        )
        return [output async for output in replies][-1]

    def _text(self, ids: Sequence[int], sampling: Sampling) -> str:
        text = self._chat.decode(ids)
        cut = min((at for at in map(text.find, sampling.stop) if at >= 0), default=None)
        held = sampling.json_schema is not None  # from its first token on: no room for a thought
        return text[:cut] if held else self._chat.reply(text[:cut])

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


def _of_target(output: RequestOutput, start: int, stop: int) -> TokenScores:
    """vLLM says nothing of the first token, so entry i is of token i + 1."""
    from vllm.logprobs import FlatLogprobs

    flat = output.prompt_logprobs
    assert isinstance(flat, FlatLogprobs)
    ranks = [rank for rank in flat.ranks[start - 1 : stop - 1] if rank is not None]
    return TokenScores(logprobs=flat.logprobs[start - 1 : stop - 1], ranks=ranks)


def _finish_reason(reason: str | None) -> str:
    """stop and length are outcomes; an abort or an error of vLLM's own is not."""
    if reason not in ("stop", "length"):
        raise TransientError(f"vLLM ended the request: {reason}")
    return reason


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
