"""The shape of a decoder: from its config.json (a folder, the hub cache), else shapes.toml.

Invariants: no torch, no network; what is not known is None, never a guess. Dense models with a
gated MLP only (Qwen2, Qwen3, Llama, Mistral and their like): of others the formulas do not hold.

A sample: shape_of("Qwen/Qwen2.5-7B").num_parameters == 7_615_616_512
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from infra.engines.model_files import model_folder

SHAPES = Path(__file__).with_name("shapes.toml")
NEEDED = ("num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads")
BIASED = ("qwen2",)  # their q, k and v have biases whether or not the configuration says so
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """Sizes of a decoder. `queries`, `keys`: heads times their width; `tied`: head = embedding."""

    layers: int
    hidden: int
    intermediate: int
    queries: int
    keys: int
    vocabulary: int
    tied: bool = False
    biased: bool = False

    @property
    def embedding(self) -> int:
        """Parameters of the embedding, and of an untied head."""
        return self.vocabulary * self.hidden

    @property
    def layer(self) -> int:
        """Parameters of one layer: attention, gated MLP, two norms."""
        attention = 2 * self.hidden * (self.queries + self.keys)
        biases = (self.queries + 2 * self.keys) if self.biased else 0
        return attention + biases + 3 * self.hidden * self.intermediate + 2 * self.hidden

    @property
    def num_parameters(self) -> int:
        """Of all, a tied embedding once."""
        return self.layers * self.layer + self.embedding * (2 - self.tied) + self.hidden

    @property
    def largest_module(self) -> int:
        """Parameters of the largest module, as DeepSpeed's estimators mean it."""
        return max(self.embedding, self.hidden * self.intermediate)

    def adapter_parameters(self, rank: int) -> int:
        """Of LoRA on all linear layers but the head: rank x (inputs + outputs) each."""
        attention = 2 * (self.hidden + self.queries) + 2 * (self.hidden + self.keys)
        return rank * self.layers * (attention + 3 * (self.hidden + self.intermediate))


def shape_of(model: str, *, revision: str | None = None) -> ModelShape | None:
    """Of a folder or hub id; None: not known here, or no dense decoder."""
    return read_shape(_config_json(model, revision) or _shipped().get(model, {}))


def read_shape(config: dict[str, Any]) -> ModelShape | None:
    """From what a config.json holds; None where that is no dense decoder."""
    is_known = all(isinstance(config.get(name), int) for name in NEEDED)
    if not is_known or any(config.get(name) for name in EXPERTS):
        return None
    heads = config["num_attention_heads"]
    width = config.get("head_dim") or config["hidden_size"] // heads
    return ModelShape(
        layers=config["num_hidden_layers"],
        hidden=config["hidden_size"],
        intermediate=config["intermediate_size"],
        queries=heads * width,
        keys=(config.get("num_key_value_heads") or heads) * width,
        vocabulary=int(config.get("vocab_size", 0)),
        tied=bool(config.get("tie_word_embeddings", False)),
        biased=config.get("model_type") in BIASED or bool(config.get("attention_bias")),
    )


def _config_json(model: str, revision: str | None) -> dict[str, Any]:
    path = _config_path(model, revision)
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path else {}
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _config_path(model: str, revision: str | None) -> Path | None:
    if (folder := model_folder(model)) is not None:
        return folder / "config.json"
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(model, "config.json", revision=revision)
    return Path(cached) if isinstance(cached, str) else None


@cache
def _shipped() -> dict[str, dict[str, Any]]:
    tables = tomllib.loads(SHAPES.read_text(encoding="utf-8"))
    return {name: table for key, table in tables.items() for name in (key, *table.pop("also", ()))}
