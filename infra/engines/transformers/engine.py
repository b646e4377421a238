"""An engine over transformers: one model, one worker thread, everything batched dynamically.

Role: turn requests into token ids, hand them to the worker, and await it. Invariant: a request is
refused here (too long, no `<compress>` token) before it costs the model anything.

The decoding loop is our own (`decoding.RunningBatch`) and not `generate`; the figures stand there.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import torch

from infra.engines.chat import chat_encoder, load_tokenizer
from infra.engines.config import EngineConfig
from infra.engines.engine import EngineInfo
from infra.engines.model_files import model_source
from infra.engines.score_rows import encode_rows
from infra.engines.transformers.decoding import RunningBatch
from infra.engines.transformers.loading import context_length, load_model
from infra.engines.transformers.tickets import CompletionTicket, ScoreTicket
from infra.engines.transformers.worker import EngineWorker
from tasks.ports import Completion, PermanentError, Prompt, Sampling, ScoreRequest, TokenScores


class TransformersEngine:
    """See Engine. The constructor loads the model; any number of event loops may use it."""

    def __init__(self, config: EngineConfig) -> None:
        torch.set_num_threads(config.threads or os.cpu_count() or 1)
        tokenizer = load_tokenizer(model_source(config.model), revision=config.revision)
        self._config = config
        self._chat = chat_encoder(tokenizer)
        self._model = load_model(config)
        self._context = context_length(self._model, config)
        end_ids = frozenset({*self._chat.end_ids, *_declared_ends(self._model)})
        self._batch = RunningBatch(
            self._model, end_ids=end_ids, max_batch_tokens=config.max_batch_tokens
        )
        self._worker = EngineWorker(
            self._model,
            self._batch,
            max_batch_size=config.max_batch_size,
            max_batch_tokens=config.max_batch_tokens,
        )

    async def complete(self, prompt: Prompt, sampling: Sampling) -> list[Completion]:
        """See Engine."""
        if sampling.json_schema is not None:
            raise PermanentError(
                "structured_output", "engine 'transformers' cannot hold a reply to a JSON schema"
            )
        ids = self._chat.encode_prompt(prompt)
        self._check_length(len(ids), sampling.max_tokens)
        ticket = CompletionTicket(self._chat, ids, sampling)
        self._worker.submit_rows(ticket)
        return await asyncio.wrap_future(ticket.result)

    async def score(self, request: ScoreRequest) -> list[TokenScores]:
        """See Engine. No prompt: see ChatEncoder.encode_start."""
        rows = encode_rows(self._chat, request)
        self._check_length(max(len(row.ids) for row in rows), 0)
        ticket = ScoreTicket(rows)
        self._worker.submit_score(ticket)
        return await asyncio.wrap_future(ticket.result)

    def count(self, text: str) -> int:
        """See Engine."""
        return len(self._chat.encode_text(text))

    def info(self) -> EngineInfo:
        """See Engine."""
        return {
            "model": self._config.model,
            "engine": self._config.engine,
            "device": str(self._model.device),
            "dtype": str(self._model.dtype).removeprefix("torch."),
            "vocabulary": self._model.config.vocab_size,
            "max_model_len": self._context,
            "generated_tokens": self._batch.num_tokens,
            "busy_s": round(self._batch.busy_s, 3),
        }

    def close(self) -> None:
        """See Engine."""
        self._worker.close()

    def _check_length(self, num_tokens: int, max_tokens: int) -> None:
        if num_tokens + max_tokens > self._context:
            raise PermanentError(
                "prompt_too_long",
                f"{num_tokens} prompt + {max_tokens} new tokens > {self._context} of the model",
            )


def _declared_ends(model: Any) -> list[int]:
    """End tokens the model's generation_config names."""
    declared = model.generation_config.eos_token_id
    return [e for e in (declared if isinstance(declared, list) else [declared]) if e is not None]
