"""Tokens follow their distribution, their nucleus and their own seed; neighbours change nothing."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from infra.engines.transformers.sampling import RowSampler, choose_tokens
from tasks.ports import Sampling

LOGITS = torch.tensor([0.0, 1.0, 2.0, 3.0, -torch.inf], dtype=torch.float64)


def draw(sampling: Sampling, count: int) -> list[int]:
    sampler = RowSampler(sampling, 0)
    return [choose_tokens(LOGITS[None], [sampler])[0] for _ in range(count)]


def test_temperature_zero_takes_the_likeliest() -> None:
    assert draw(Sampling(temperature=0.0), 5) == [3] * 5


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_draws_follow_the_softmax(temperature: float) -> None:
    count = 4000
    expected = torch.softmax(LOGITS / temperature, -1)
    seen = Counter(draw(Sampling(temperature=temperature, seed=7), count))
    for token, share in enumerate(expected.tolist()):
        assert seen[token] / count == pytest.approx(share, abs=0.03)
    assert seen[4] == 0


def test_the_nucleus_keeps_the_fewest_tokens_that_reach_top_p() -> None:
    shares = torch.softmax(LOGITS, -1)  # .03 .09 .24 .64
    assert set(draw(Sampling(temperature=1.0, top_p=0.6), 300)) == {3}
    assert set(draw(Sampling(temperature=1.0, top_p=float(shares[3]) + 0.01), 300)) == {2, 3}
    assert set(draw(Sampling(temperature=1.0, top_p=0.9), 600)) == {1, 2, 3}


def test_candidates_and_seeds_differ_and_repeat() -> None:
    def chosen(seed: int, candidate: int) -> list[int]:
        sampler = RowSampler(Sampling(temperature=2.0, seed=seed), candidate)
        return [choose_tokens(LOGITS[None], [sampler])[0] for _ in range(40)]

    assert chosen(1, 0) == chosen(1, 0)
    assert len({tuple(chosen(seed, c)) for seed in range(3) for c in range(3)}) == 9


def test_a_row_draws_the_same_beside_any_neighbour() -> None:
    torch.manual_seed(0)
    logits = torch.randn(6, 50, dtype=torch.float64)
    settings = [(0.0, 1.0), (0.7, 1.0), (1.0, 0.9), (1.3, 0.5), (0.9, 1.0), (0.0, 0.5)]
    samplings = [Sampling(temperature=t, top_p=p, seed=i) for i, (t, p) in enumerate(settings)]

    def together(rows: list[int]) -> dict[int, list[int]]:
        samplers = [RowSampler(samplings[row], 0) for row in rows]
        steps = [choose_tokens(logits[rows], samplers) for _ in range(20)]
        return {row: [step[at] for step in steps] for at, row in enumerate(rows)}

    alone = {row: together([row])[row] for row in range(6)}
    assert together([0, 1, 2, 3, 4, 5]) == alone
    assert together([5, 3, 1]) == {row: alone[row] for row in (5, 3, 1)}
