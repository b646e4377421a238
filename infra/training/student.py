"""The model being trained: loaded with its control token and RoPE base, saved as plain safetensors.

Invariant: what is saved needs nothing of ours to load: full weights (adapters merged), config with
the RoPE base it was trained with, tokenizer with `<compress>`.

A sample folder: config.json, generation_config.json, model.safetensors, tokenizer.json,
tokenizer_config.json, training.log, progress.jsonl
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled

from infra.engines.chat import COMPRESS, load_tokenizer
from infra.training.config import LoraSettings, TrainConfig


def load_student(base: str, config: TrainConfig) -> tuple[Any, Any]:
    """The model and its tokenizer, ready to train. Raises OSError, ValueError for a bad base."""
    tokenizer = load_tokenizer(base)
    model_config = AutoConfig.from_pretrained(base, trust_remote_code=False)
    if config.rope_theta is not None:
        set_rope_theta(model_config, config.rope_theta)
    model = AutoModelForCausalLM.from_pretrained(
        base,
        config=model_config,
        dtype=getattr(torch, config.dtype),
        trust_remote_code=False,
        use_safetensors=True,
    )
    model.config.use_cache = False
    added = add_control_token(model, tokenizer)
    if config.lora is not None:
        model = _with_adapters(model, config.lora, added=added)
    return model, tokenizer


def set_rope_theta(model_config: Any, theta: float) -> None:
    """Change the base of the rotary embedding. Raises ValueError where a model has none."""
    parameters = getattr(model_config, "rope_parameters", None)
    if not parameters or "rope_theta" not in parameters:
        raise ValueError(f"{model_config.model_type} has no single RoPE base: unset rope_theta")
    model_config.rope_parameters = {**parameters, "rope_theta": theta}


def add_control_token(model: Any, tokenizer: Any) -> int | None:
    """Give `<compress>` an id and, as its embedding, the mean of all others.

    Returns the new id, or None where the tokenizer has the token already.
    """
    num_known, is_known = len(tokenizer), COMPRESS in tokenizer.get_added_vocab()
    tokenizer.add_special_tokens(
        {"additional_special_tokens": [COMPRESS]}, replace_extra_special_tokens=False
    )
    if is_known:
        return None  # what it means to the base stays
    token_id: int = tokenizer.convert_tokens_to_ids(COMPRESS)
    if token_id >= model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    layers = (model.get_input_embeddings(), model.get_output_embeddings())
    for weight in {id(layer.weight): layer.weight for layer in layers}.values():
        _set_to_mean(weight, token_id, num_known=num_known)
    return token_id


def _set_to_mean(weight: torch.Tensor, row: int, *, num_known: int) -> None:
    with _gathered(weight), torch.no_grad():
        if weight.numel():  # ZeRO-3: whole inside the context
            weight[row] = weight[:num_known].float().mean(dim=0).to(weight.dtype)


def _gathered(weight: torch.Tensor) -> AbstractContextManager[Any]:
    if not is_deepspeed_zero3_enabled():  # type: ignore[no-untyped-call]
        return nullcontext()
    import deepspeed

    gathered: AbstractContextManager[Any] = deepspeed.zero.GatheredParameters(
        [weight], modifier_rank=0
    )
    return gathered


def _with_adapters(model: Any, settings: LoraSettings, *, added: int | None) -> Any:
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise ValueError("lora needs the package peft: pip install peft") from error
    adapters = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
        trainable_token_indices=None if added is None else [added],
    )
    return get_peft_model(model, adapters)


def save_student(model: Any, state: dict[str, Any], tokenizer: Any, *, folder: Path) -> int:
    """Write weights (`state`, gathered), config and tokenizer, by one rank only.

    Returns the number of parameters.
    """
    if hasattr(model, "merge_and_unload"):
        model = model.merge_and_unload()
        state = model.state_dict()
    model.config.use_cache = True
    model.save_pretrained(folder, state_dict=state)
    tokenizer.save_pretrained(folder)
    # Under ZeRO-3 a parameter is an empty shell that knows its whole size.
    return sum(getattr(weight, "ds_numel", weight.numel()) for weight in model.parameters())
