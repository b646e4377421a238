"""The choice of the next token: greedy, or drawn at a temperature from a nucleus.

Invariant: a row's tokens depend on its logits, its sampling and its seed, never on the rows beside
it. Each row has a generator of its own, seeded from (request seed, candidate), and every token
takes one number from it: the point of the cumulative distribution where the token lies. That costs
one number a token where Gumbel noise costs one a vocabulary entry, and is the same on every device.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch

from tasks.ports import Sampling
from tasks.stage import derive_seed


class RowSampler:
    """How one candidate draws its tokens."""

    __slots__ = ("next_uniform", "temperature", "top_p")

    def __init__(self, sampling: Sampling, candidate: int) -> None:
        self.temperature = sampling.temperature
        self.top_p = sampling.top_p
        self.next_uniform = random.Random(derive_seed(sampling.seed, candidate)).random


def choose_tokens(logits: torch.Tensor, samplers: Sequence[RowSampler]) -> list[int]:
    """One token a row. `logits` is [rows, vocabulary]."""
    drawn = [row for row, sampler in enumerate(samplers) if sampler.temperature > 0]
    if not drawn:
        greedy: list[int] = logits.argmax(-1).tolist()
        return greedy
    if len(drawn) == len(samplers):
        return _draw(logits, samplers)
    tokens: list[int] = logits.argmax(-1).tolist()
    rows = torch.tensor(drawn, device=logits.device)
    for row, token in zip(drawn, _draw(logits[rows], [samplers[r] for r in drawn]), strict=True):
        tokens[row] = token
    return tokens


def _draw(logits: torch.Tensor, samplers: Sequence[RowSampler]) -> list[int]:
    """Inverse transform sampling in float64: the first token whose cumulative share passes u."""
    settings = [(s.temperature, s.top_p, s.next_uniform()) for s in samplers]
    columns = torch.tensor(settings, dtype=torch.float64).to(logits.device)
    temperature, top_p, uniform = columns[:, 0:1], columns[:, 1:2], columns[:, 2:3]
    shares = torch.softmax(logits.double() / temperature, dim=-1)
    if min(s.top_p for s in samplers) < 1:
        shares = _keep_nucleus(shares, top_p)
    cumulative = shares.cumsum(-1)
    point = uniform * cumulative[:, -1:]
    found = torch.searchsorted(cumulative, point, right=True)
    tokens: list[int] = found.clamp_(max=logits.shape[-1] - 1).squeeze(1).tolist()
    return tokens


def _keep_nucleus(shares: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """Zero all but the fewest likeliest tokens that together reach `top_p` (Holtzman et al. 2020).

    A row with top_p 1 keeps everything, so it draws the same token whether or not a neighbour
    has a nucleus.
    """
    ordered = shares.sort(dim=-1, descending=True).values
    inside = (ordered.cumsum(-1) - ordered < top_p) | (top_p >= 1)
    threshold = ordered.masked_fill(~inside, torch.inf).amin(-1, keepdim=True)
    return shares.masked_fill(shares < threshold, 0.0)
