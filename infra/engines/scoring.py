"""Teacher-forced log-probabilities and ranks of given targets.

Role: what a model thinks of a text somebody else wrote. Invariants: the split between targets is
exact because each is tokenised apart; the [tokens x vocabulary] matrix never exists: hidden states
of target positions go through the output layer a chunk at a time.

A sample: ids of (prompt, "1) 3 + 4 = 7", "7") -> TokenScores([-.1, ...], [1, ...]) x 2
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tasks.ports import TokenScores

CHUNK_LOGITS = 4_000_000  # entries of one slice of the logits: 16 MB in float32


@dataclass(eq=False, frozen=True, kw_only=True)
class ScoreIds:
    """A conversation as ids: `given` first, then the targets one after another."""

    given: list[int]
    targets: list[list[int]]

    @property
    def length(self) -> int:
        """Tokens in all."""
        return len(self.given) + sum(map(len, self.targets))


def take_similar(lengths: Sequence[int], *, max_rows: int, max_tokens: int) -> list[int]:
    """Indices of one batch: the oldest waiting, and those most like it in length.

    The batch is padded to its longest row and stays within `max_tokens`; one row always goes.
    """
    oldest = lengths[0]
    chosen, longest = [0], oldest
    for index in sorted(range(1, len(lengths)), key=lambda i: abs(lengths[i] - oldest)):
        wider = max(longest, lengths[index])
        if len(chosen) >= max_rows or wider * (len(chosen) + 1) > max_tokens:
            break
        chosen.append(index)
        longest = wider
    return chosen


@torch.inference_mode()
def score_batch(model: Any, batch: Sequence[ScoreIds]) -> list[list[TokenScores]]:
    """Scores of every target of every row. Rows are padded right, where nothing looks."""
    rows = [[*item.given, *(i for target in item.targets for i in target)] for item in batch]
    ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row)
    hidden = model.base_model(input_ids=ids.to(model.device), use_cache=False).last_hidden_state
    predicting = [
        hidden[index, len(item.given) - 1 : item.length - 1] for index, item in enumerate(batch)
    ]
    wanted = [i for item in batch for target in item.targets for i in target]
    logprobs, ranks = _score_tokens(
        torch.cat(predicting), torch.tensor(wanted, dtype=torch.long), model
    )
    return _by_target(batch, logprobs, ranks)


def _score_tokens(
    hidden: torch.Tensor, wanted: torch.Tensor, model: Any
) -> tuple[list[float], list[int]]:
    """`hidden` is [tokens, width], `wanted` the ids those positions should have predicted."""
    head = model.get_output_embeddings()
    size = max(1, CHUNK_LOGITS // head.weight.shape[0])
    logprobs: list[float] = []
    ranks: list[int] = []
    wanted = wanted.to(hidden.device)
    for start in range(0, len(wanted), size):
        ids, logits = wanted[start : start + size], head(hidden[start : start + size])
        if logits.dtype != torch.float64:
            logits = logits.float()
        target = logits.gather(1, ids[:, None])
        logprobs += (target[:, 0] - logits.logsumexp(-1)).tolist()
        ranks += (1 + (logits > target).sum(-1)).tolist()
    return logprobs, ranks


def _by_target(
    batch: Sequence[ScoreIds], logprobs: list[float], ranks: list[int]
) -> list[list[TokenScores]]:
    """Cut the flat lists back into rows and targets."""
    scored, start = [], 0
    for item in batch:
        found = []
        for target in item.targets:
            end = start + len(target)
            found.append(TokenScores(logprobs=logprobs[start:end], ranks=ranks[start:end]))
            start = end
        scored.append(found)
    return scored
