"""The model being trained: loaded with its control token and RoPE base, saved as plain safetensors.

Invariant: what is saved needs nothing of ours to load: full weights (adapters merged), config with
the RoPE base it was trained with, tokenizer with `<compress>`.

A sample folder: config.json, generation_config.json, model.safetensors, tokenizer.json,
tokenizer_config.json, training.log, progress.jsonl
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled

from infra.engines.chat import COMPRESS, COMPRESS_AS_TEXT, end_ids, load_tokenizer
from infra.training.config import TrainConfig
from infra.training.reports import TrainingError


@dataclass(frozen=True, kw_only=True)
class Words:
    """A student's tokenizer, and the id of its `<compress>` where the base did not know that."""

    tokenizer: Any
    new_id: int | None


def load_words(base: str, config: TrainConfig) -> Words:
    """The base's tokenizer, taught `<compress>`. Raises ValueError for a base that knows it as a
    token where the config wants plain text."""
    tokenizer = load_tokenizer(base)
    is_known = COMPRESS in tokenizer.get_added_vocab()
    if config.compress_token == "text":
        if is_known:
            raise ValueError(
                f"{base} knows {COMPRESS} as a token of its own: unset train.compress_token"
            )
        tokenizer.init_kwargs[COMPRESS_AS_TEXT] = True
        return Words(tokenizer=tokenizer, new_id=None)
    tokenizer.init_kwargs.pop(COMPRESS_AS_TEXT, None)
    tokenizer.add_special_tokens(
        {"additional_special_tokens": [COMPRESS]}, replace_extra_special_tokens=False
    )
    # What it means to a base that knows it stays.
    new_id = None if is_known else int(tokenizer.convert_tokens_to_ids(COMPRESS))
    return Words(tokenizer=tokenizer, new_id=new_id)


def load_student(base: str, config: TrainConfig, words: Words, *, attention: str = "sdpa") -> Any:
    """The model, ready to train. Raises OSError, ValueError for a bad base."""
    model_config = AutoConfig.from_pretrained(base, trust_remote_code=False)
    if config.rope_theta is not None:
        set_rope_theta(model_config, config.rope_theta)
    model = AutoModelForCausalLM.from_pretrained(
        base,
        config=model_config,
        dtype=getattr(torch, config.dtype),
        attn_implementation=attention,
        trust_remote_code=False,
        use_safetensors=True,
    )
    model.config.use_cache = False
    if words.new_id is not None:
        _embed(model, words.new_id, num_known=len(words.tokenizer) - 1)
    return model


def set_rope_theta(model_config: Any, theta: float) -> None:
    """Change the base of the rotary embedding. Raises ValueError where a model has none."""
    parameters = getattr(model_config, "rope_parameters", None)
    if not parameters or "rope_theta" not in parameters:
        raise ValueError(f"{model_config.model_type} has no single RoPE base: unset rope_theta")
    model_config.rope_parameters = {**parameters, "rope_theta": theta}


def _embed(model: Any, token_id: int, *, num_known: int) -> None:
    """Give a new token, as its embedding, the mean of all others."""
    if token_id >= model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(token_id + 1, mean_resizing=False)
    layers = (model.get_input_embeddings(), model.get_output_embeddings())
    for weight in {id(layer.weight): layer.weight for layer in layers}.values():
        _set_to_mean(weight, token_id, num_known=num_known)


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


def adapters_of(config: TrainConfig) -> Any:
    """peft's settings for `config.lora`, None for full training. Raises ValueError without peft.

    A new `<compress>` keeps the mean embedding it starts with: the adapters learn what it means.
    peft's trainable tokens ask for CUDA under ZeRO-3, and TRL's fused head would not see them.
    """
    if config.lora is None:
        return None
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise ValueError("lora needs the package peft: pip install peft") from error
    return LoraConfig(
        r=config.lora.rank,
        lora_alpha=config.lora.alpha,
        lora_dropout=config.lora.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def save_student(
    model: Any, state: dict[str, Any], words: Words, *, base: str, config: TrainConfig,
    folder: Path,
) -> int:  # fmt: skip
    """Write weights (`state`, gathered), config and tokenizer, by one rank only.

    Returns the number of parameters.
    """
    if hasattr(model, "merge_and_unload"):
        model = _merged(model, state, words, base=base, config=config)
        state = model.state_dict()
    model.config.use_cache = True
    model.generation_config.eos_token_id = list(end_ids(words.tokenizer))
    model.save_pretrained(folder, state_dict=_untied(model, state))
    words.tokenizer.save_pretrained(folder)
    # Under ZeRO-3 a parameter is an empty shell that knows its whole size.
    return sum(getattr(weight, "ds_numel", weight.numel()) for weight in model.parameters())


def _merged(
    trained: Any, state: dict[str, Any], words: Words, *, base: str, config: TrainConfig
) -> Any:
    """A plain copy of the base with the adapters in it: under ZeRO-3 the trained model is a set of
    empty shells, so all stages merge alike."""
    from peft import get_peft_model
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    unset_hf_deepspeed_config()  # type: ignore[no-untyped-call]
    model = load_student(base, config, words)
    model = get_peft_model(model, trained.peft_config["default"], autocast_adapter_dtype=False)
    found = model.load_state_dict(state, strict=False)
    if found.unexpected_keys:
        raise TrainingError(f"adapters that fit nothing: {', '.join(found.unexpected_keys[:3])}")
    return model.merge_and_unload()


def _untied(model: Any, state: dict[str, Any]) -> dict[str, Any]:
    """Without the second name of tied weights, which a gathered state lists twice."""
    if not model.config.tie_word_embeddings:
        return state
    names = set(getattr(model, "_tied_weights_keys", None) or ())
    return {name: weight for name, weight in state.items() if name not in names}
