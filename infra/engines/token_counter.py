"""Counting tokens in the driver, without a model.

Invariant: `count` equals the number of tokens the engine of the same model would read, control
tokens in the text taken as plain characters. The tokenizer loads at the first count: Qwen2's
from its tokenizer.json, since transformers brings torch along, seven CPU seconds of it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

from cachetools import LRUCache
from tokenizers import Tokenizer

from infra.engines.model_files import model_folder, model_source
from tasks.ports import PermanentError

# More than replies may lie between a thread's count and its step's: those of 1 000 GPUs. A count
# is kept by its text's digest, 200 bytes: the text itself may be 100 KB.
CACHED_COUNTS = 200_000
# transformers 5 gives every Qwen2 tokenizer these, whatever its tokenizer.json says: only a file
# that says the same counts the same (transformers.models.qwen2.tokenization_qwen2).
QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class TokenizerCounter:
    """A TokenCounter (tasks.ports) over the tokenizer of `model`. Thread-safe.

    The latest counts are kept: a text that a thread has counted costs its next caller nothing.
    """

    def __init__(self, model: str, *, revision: str | None = None) -> None:
        self._model = model
        self._revision = revision
        self._lock = threading.Lock()
        self._tokens: Callable[[str], list[int]] | None = None
        self._counts: LRUCache[bytes, int] = LRUCache(CACHED_COUNTS)

    def count(self, text: str) -> int:
        """See tasks.ports.TokenCounter."""
        digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        with self._lock:
            if (known := self._counts.get(digest)) is not None:
                return known
            tokens = self._tokens = self._tokens or _encoder(self._model, self._revision)
        found = len(tokens(text))
        with self._lock:
            self._counts[digest] = found
        return found


def _encoder(model: str, revision: str | None) -> Callable[[str], list[int]]:
    file = _tokenizer_file(model, revision)
    if file is not None and _is_qwen2(json.loads(file.read_bytes())):
        return _plain_encoder(file)
    from infra.engines.chat import chat_encoder, load_tokenizer

    return chat_encoder(load_tokenizer(model_source(model), revision=revision)).encode_text


def _plain_encoder(file: Path) -> Callable[[str], list[int]]:
    """As ChatEncoder.encode_text (infra/engines/chat.py)."""
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = True
    control = {i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special}

    def encode(text: str) -> list[int]:
        clean = text.encode("utf-8", "replace").decode("utf-8")
        # A batch lets other threads run meanwhile; "fast" leaves out where each token stands.
        (encoded,) = tokenizer.encode_batch_fast([clean], add_special_tokens=False)
        ids: list[int] = encoded.ids
        if not control.isdisjoint(ids):
            raise PermanentError("control_token", "the tokenizer reads text as a control token")
        return ids

    return encode


def _is_qwen2(declared: dict[str, Any]) -> bool:
    """Whether transformers would build from this file the tokenizer that stands in it."""
    steps = (declared.get("pre_tokenizer") or {}).get("pretokenizers") or [{}]
    return (
        [step.get("type") for step in steps] == ["Split", "ByteLevel"]
        and steps[0]["pattern"] == {"Regex": QWEN2_SPLIT}
        and not steps[1]["add_prefix_space"]
        and not steps[1]["use_regex"]
        and (declared.get("normalizer") or {}).get("type") == "NFC"
        and declared["model"]["type"] == "BPE"
    )


def _tokenizer_file(model: str, revision: str | None) -> Path | None:
    """tokenizer.json of a folder or hub id; None where there is none."""
    if model_folder(model) is not None:
        file = Path(model_source(model)) / "tokenizer.json"
        return file if file.is_file() else None
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        return Path(hf_hub_download(model, "tokenizer.json", revision=revision))
    except EntryNotFoundError:  # said by the hub, or by a cache that has the model without it
        return None
