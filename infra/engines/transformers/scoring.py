"""Teacher-forced log-probabilities and ranks of given targets.

Role: what a model thinks of a text somebody else wrote. Invariants: the split between targets is
exact because each is tokenised apart; what several rows begin with is computed once (`packing`);
the [tokens x vocabulary] matrix never exists: the output layer sees target positions alone, a slice
at a time, and a token's rank is the number of logits above its own, no sort.

A sample: ids of (prompt, "1) 3 + 4 = 7", "7") -> TokenScores([-.1, ...], [1, ...]) x 2
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from infra.engines.score_rows import ScoreRow
from infra.engines.transformers.packing import Indices, Packing, num_shared, pack
from tasks.ports import TokenScores

SLICE_LOGITS = 8_000_000
"""Entries of one slice of the logits, 32 MB in float32, of which two are alive at a time."""


def take_neighbours(rows: Sequence[Sequence[int]], first: int, max_tokens: int) -> range:
    """Of sorted `rows`, the run around `first` that is one pass of at most `max_tokens`.

    It grows to the side that shares more; what is shared counts once. One row always goes.
    """
    low, high = first, first + 1
    num_tokens = len(rows[first])
    while low > 0 or high < len(rows):
        below = num_shared(rows[low], rows[low - 1]) if low > 0 else -1
        above = num_shared(rows[high], rows[high - 1]) if high < len(rows) else -1
        num_tokens += len(rows[low - 1]) - below if below > above else len(rows[high]) - above
        if num_tokens > max_tokens:
            break
        low, high = (low - 1, high) if below > above else (low, high + 1)
    return range(low, high)


@torch.inference_mode()
def score_rows(model: Any, rows: Sequence[ScoreRow]) -> list[list[TokenScores]]:
    """Scores of every target of every row, in one pass."""
    packing = pack([row.ids for row in rows], model.device)
    wanted = _target_indices(rows, packing)
    hidden = _hidden_states(model, packing)
    logprobs, ranks = np.zeros(len(packing.ids)), np.zeros(len(packing.ids), np.int64)
    for part in _slices(wanted, model):
        before = torch.from_numpy(packing.previous[part]).to(model.device)
        ids = torch.from_numpy(packing.ids[part]).to(model.device)
        found = _score_tokens(model.get_output_embeddings()(hidden[before]), ids)
        logprobs[part], ranks[part] = (each.cpu().numpy() for each in found)
    return [
        [_of_target(here[start:stop], logprobs, ranks) for start, stop in row.targets]
        for row, here in zip(rows, packing.indices, strict=True)
    ]


def _target_indices(rows: Sequence[ScoreRow], packing: Packing) -> Indices:
    """Where target tokens are, each once."""
    is_target = np.zeros(len(packing.ids), bool)
    for row, here in zip(rows, packing.indices, strict=True):
        for start, stop in row.targets:
            is_target[here[start:stop]] = True
    return np.flatnonzero(is_target)


def _hidden_states(model: Any, packing: Packing) -> torch.Tensor:
    """[tokens, width]. Raises ValueError for a model that keeps our attention from the packing."""
    hidden: torch.Tensor = model.base_model(
        input_ids=torch.from_numpy(packing.ids)[None].to(model.device),
        position_ids=torch.from_numpy(packing.positions)[None].to(model.device),
        attention_mask=torch.zeros(1, 1, 1, 1, device=model.device),  # four dimensions: none built
        use_cache=False,
        packing=packing,
    ).last_hidden_state[0]
    if packing.num_layers_seen != model.config.num_hidden_layers:
        raise ValueError(f"{type(model).__name__} cannot score packed rows: use engine 'vllm'")
    return hidden


def _slices(wanted: Indices, model: Any) -> Iterator[Indices]:
    """Parts of `wanted` whose logits may exist at a time."""
    size = max(1, SLICE_LOGITS // model.get_output_embeddings().weight.shape[0])
    for start in range(0, len(wanted), size):
        yield wanted[start : start + size]


def _score_tokens(logits: torch.Tensor, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probability and rank of `ids`, [tokens], among `logits`, [tokens, vocabulary]."""
    if logits.dtype != torch.float64:
        logits = logits.float()
    target = logits.gather(1, ids[:, None])
    spare = logits.log_softmax(-1)
    logprobs = spare.gather(1, ids[:, None])[:, 0]
    is_above = torch.gt(logits, target, out=spare)  # as numbers: counting booleans takes 6 x longer
    return logprobs, 1 + is_above.sum(-1).round().long()


def _of_target(here: Indices, logprobs: np.ndarray[Any, Any], ranks: Indices) -> TokenScores:
    return TokenScores(logprobs=logprobs[here].tolist(), ranks=ranks[here].tolist())
