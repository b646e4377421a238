"""Counting tokens in the driver, without a model.

Invariant: `count` equals the number of tokens the engine of the same model would read, control
tokens in the text taken as plain characters. The tokenizer loads at the first count.
"""

from __future__ import annotations

import threading
from functools import lru_cache

from infra.engines.model_files import model_source

CACHED_TEXTS = 20_000


class TokenizerCounter:
    """A TokenCounter (tasks.ports) over the tokenizer of `model`. Thread-safe."""

    def __init__(self, model: str, *, revision: str | None = None) -> None:
        self._model = model
        self._revision = revision
        self._lock = threading.Lock()
        self.count = lru_cache(maxsize=CACHED_TEXTS)(self._count)

    def _count(self, text: str) -> int:
        from infra.engines.chat import chat_encoder, load_tokenizer

        with self._lock:
            if not hasattr(self, "_encoder"):
                source = model_source(self._model)
                self._encoder = chat_encoder(load_tokenizer(source, revision=self._revision))
        return len(self._encoder.encode_text(text))
