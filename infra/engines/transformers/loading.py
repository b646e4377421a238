"""Loading a model's weights, and refusing the architectures whose passes we would get wrong.

Invariant: safetensors only, no remote code; the model that comes back has full causal attention, a
plain output layer, and is in evaluation mode on its device.
"""

from __future__ import annotations

from typing import Any

import torch

from infra.engines.config import EngineConfig
from infra.engines.lean import leave_out_sklearn
from infra.engines.model_files import ModelFilesError, model_source
from infra.engines.transformers.attention import register_grouped_attention

# Config entries of models that rework their logits or embeddings outside the output layer.
_REWORKED_LOGITS = ("final_logit_softcapping", "logits_scaling", "logit_scale")


def load_model(config: EngineConfig) -> Any:
    """The model in evaluation mode. Raises ModelFilesError for one this engine cannot run."""
    leave_out_sklearn()
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    source, device = model_source(config.model), _device(config)
    declared = AutoConfig.from_pretrained(source, revision=config.revision, trust_remote_code=False)
    _check_architecture(config.model, declared)
    model: Any = AutoModelForCausalLM.from_pretrained(
        source,
        revision=config.revision,
        dtype=_dtype(config, device),
        attn_implementation=register_grouped_attention(),
        use_safetensors=True,
        trust_remote_code=False,
    )
    return model.to(device).eval()


def context_length(model: Any, config: EngineConfig) -> int:
    """Prompt and completion together may have so many tokens."""
    made_for: int | None = getattr(model.config, "max_position_embeddings", None)
    limits = [limit for limit in (made_for, config.max_model_len) if limit is not None]
    return min(limits, default=2**31 - 1)


def _device(config: EngineConfig) -> str:
    if config.device != "auto":
        return config.device
    return "cuda" if torch.cuda.is_available() else "cpu"


def _dtype(config: EngineConfig, device: str) -> Any:
    if config.dtype != "auto":
        return getattr(torch, config.dtype)
    return "auto" if device == "cuda" else torch.float32


def _check_architecture(model: str, declared: Any) -> None:
    if declared.is_encoder_decoder:
        raise ModelFilesError(f"model {model!r} is an encoder-decoder: use a decoder-only model")
    kinds = set(getattr(declared, "layer_types", None) or ["full_attention"])
    if kinds != {"full_attention"}:
        raise ModelFilesError(f"model {model!r} has {sorted(kinds)} layers: use engine 'vllm'")
    for name in _REWORKED_LOGITS:
        if getattr(declared, name, None) not in (None, 1, 1.0):
            raise ModelFilesError(f"model {model!r} sets {name}: use engine 'vllm'")
