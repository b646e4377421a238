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

from infra.engines.chat import COMPRESS, chat_encoder, load_tokenizer
from infra.training.config import TrainConfig
from infra.training.reports import TrainingError


def load_student(base: str, config: TrainConfig, *, attention: str = "sdpa") -> tuple[Any, Any]:
    """The model and its tokenizer, ready to train. Raises OSError, ValueError for a bad base."""
    tokenizer = load_tokenizer(base)
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
    add_control_token(model, tokenizer)
    return model, tokenizer


def set_rope_theta(model_config: Any, theta: float) -> None:
    """Change the base of the rotary embedding. Raises ValueError where a model has none."""
    parameters = getattr(model_config, "rope_parameters", None)
    if not parameters or "rope_theta" not in parameters:
        raise ValueError(f"{model_config.model_type} has no single RoPE base: unset rope_theta")
    model_config.rope_parameters = {**parameters, "rope_theta": theta}


def add_token(tokenizer: Any) -> bool:
    """Teach a tokenizer `<compress>`; whether that was needed."""
    is_known = COMPRESS in tokenizer.get_added_vocab()
    tokenizer.add_special_tokens(
        {"additional_special_tokens": [COMPRESS]}, replace_extra_special_tokens=False
    )
    return not is_known


def add_control_token(model: Any, tokenizer: Any) -> int | None:
    """Give `<compress>` an id and, as its embedding, the mean of all others.

    Returns the new id, or None where the tokenizer has the token already.
    """
    num_known = len(tokenizer)
    if not add_token(tokenizer):
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


def adapters_of(config: TrainConfig, tokenizer: Any, base: str) -> Any:
    """peft's settings for `config.lora`, None for full training. A `<compress>` that the base did
    not know is learnt whole. Raises ValueError without peft."""
    if config.lora is None:
        return None
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise ValueError("lora needs the package peft: pip install peft") from error
    is_new = COMPRESS not in load_tokenizer(base).get_added_vocab()
    added = tokenizer.convert_tokens_to_ids(COMPRESS)
    return LoraConfig(
        r=config.lora.rank,
        lora_alpha=config.lora.alpha,
        lora_dropout=config.lora.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
        trainable_token_indices=[added] if is_new else None,
    )


def save_student(
    model: Any, state: dict[str, Any], tokenizer: Any, *, base: str, config: TrainConfig,
    folder: Path,
) -> int:  # fmt: skip
    """Write weights (`state`, gathered), config and tokenizer, by one rank only.

    Returns the number of parameters.
    """
    if hasattr(model, "merge_and_unload"):
        model = _merged(model, state, base=base, config=config)
        state = model.state_dict()
    model.config.use_cache = True
    model.generation_config.eos_token_id = list(chat_encoder(tokenizer).end_ids)
    model.save_pretrained(folder, state_dict=_untied(model, state))
    tokenizer.save_pretrained(folder)
    # Under ZeRO-3 a parameter is an empty shell that knows its whole size.
    return sum(getattr(weight, "ds_numel", weight.numel()) for weight in model.parameters())


def _merged(trained: Any, state: dict[str, Any], *, base: str, config: TrainConfig) -> Any:
    """A plain copy of the base with the adapters in it: under ZeRO-3 the trained model is a set of
    empty shells, so all stages merge alike."""
    from peft import get_peft_model
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    unset_hf_deepspeed_config()  # type: ignore[no-untyped-call]
    model, _ = load_student(base, config)
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
