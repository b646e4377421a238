"""Examples as tensors: encoded chats, batches of like length, padding to the longest.

Invariant: the encoding is the engines' own (infra/engines/chat.py), so the student is trained on
exactly the tokens it is later prompted with; only the assistant's tokens carry a label.

A sample item: {"input_ids": [1, 87, ...], "labels": [-100, -100, ..., 412, 2]}
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import Sampler

from infra.engines.chat import IGNORED_LABEL, encode_example
from infra.training.reports import TrainingExample
from tasks.ports import Prompt

Item = dict[str, list[int]]


def encode_examples(tokenizer: Any, examples: Sequence[TrainingExample]) -> list[Item]:
    """Token ids and labels of each example, untruncated."""
    return [_encode(tokenizer, example) for example in examples]


def _encode(tokenizer: Any, example: TrainingExample) -> Item:
    prompt = Prompt(text=example.prompt, compress=example.condition == "compressed")
    encoded = encode_example(tokenizer, prompt, example.completion)
    return {"input_ids": encoded.input_ids, "labels": encoded.labels}


def collate(items: Sequence[Item], *, pad_id: int) -> dict[str, torch.Tensor]:
    """Right-pad to the longest: input_ids, attention_mask and labels, each (batch, longest)."""
    longest = max(len(item["input_ids"]) for item in items)

    def padded(name: str, fill: int) -> torch.Tensor:
        rows = [item[name] + [fill] * (longest - len(item[name])) for item in items]
        return torch.tensor(rows, dtype=torch.long)

    lengths = torch.tensor([len(item["input_ids"]) for item in items])
    mask = (torch.arange(longest)[None, :] < lengths[:, None]).long()
    return {
        "input_ids": padded("input_ids", pad_id),
        "attention_mask": mask,
        "labels": padded("labels", IGNORED_LABEL),
    }


class ExampleOrder(Sampler[int]):
    """The order of examples in each epoch: the same on every rank, from (seed, epoch) alone.

    Grouped by length, each run of `batch_size` indices (one global step) has neighbours in length
    and the runs are in random order; transformers' LengthGroupedSampler instead puts long steps
    before short ones and draws from the global generator.
    """

    def __init__(
        self, lengths: Sequence[int], batch_size: int, *, seed: int, group_by_length: bool
    ) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.group_by_length = group_by_length
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.lengths)

    def set_epoch(self, epoch: int) -> None:
        """Called by the data loader before each epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        rng = random.Random(f"{self.seed}:{self.epoch}")
        order = list(range(len(self.lengths)))
        rng.shuffle(order)
        if self.group_by_length:
            order = self._grouped(order, rng)
        return iter(order)

    def _grouped(self, order: list[int], rng: random.Random) -> list[int]:
        size = self.batch_size
        left_over = [order.pop() for _ in range(len(order) % size)]  # any lengths, the last step
        order.sort(key=lambda index: self.lengths[index])  # stable: ties stay shuffled
        steps = [order[first : first + size] for first in range(0, len(order), size)]
        rng.shuffle(steps)
        return [index for step in [*steps, left_over] for index in step]
