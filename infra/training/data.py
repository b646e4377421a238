"""Examples as token ids: encoded chats, what is left out, what is held out, and their order.

Invariants: the encoding is the engines' own (infra/engines/chat.py), so the student is trained on
exactly the tokens it is later prompted with, and only the assistant's tokens carry a label. No
token is cut off: an example is trained on whole, held out whole, or left out whole, and counted.

A sample item: {"input_ids": [1, 87, ...], "labels": [-100, -100, ..., 412, 2]}
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from torch.utils.data import Sampler

from infra.engines.chat import IGNORED_LABEL, encode_example
from infra.training.config import TrainConfig
from infra.training.reports import TrainingError, TrainingExample
from tasks.ports import Prompt

Item = dict[str, list[int]]
HELD_OUT_SHARE = 10  # at most one in so many
FILLER: Item = {"input_ids": [0], "labels": [IGNORED_LABEL]}  # one token, nothing to learn


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """Every example of a run, in one of three places."""

    train: list[Item]
    held_out: list[Item]
    too_long: list[Item]

    @staticmethod
    def tokens(items: Sequence[Item]) -> int:
        """Prompt and completion, padding excluded."""
        return sum(len(item["input_ids"]) for item in items)

    @staticmethod
    def learnt_tokens(items: Sequence[Item]) -> int:
        """Those that carry a label."""
        return sum(len(item["labels"]) - item["labels"].count(IGNORED_LABEL) for item in items)

    def bin_length(self, config: TrainConfig) -> int:
        """Tokens a packed bin: as set, but no example is cut for it.

        Unset: max_length on GPUs, whose attention costs what the examples cost; short on CPU.
        """
        longest = max(len(item["input_ids"]) for item in self.train)
        return max(longest, config.bin_length or config.unset_bin_length)


def prepare_data(
    tokenizer: Any, examples: Sequence[TrainingExample], config: TrainConfig
) -> TrainingData:
    """Encode, leave out, hold out. Raises TrainingError where nothing is left to train on."""
    items = encode_examples(tokenizer, examples)
    fits = [len(item["input_ids"]) <= config.max_length for item in items]
    fitting = [number for number, does_fit in enumerate(fits) if does_fit]
    if not fitting:
        raise TrainingError(
            f"all {len(items)} examples are longer than train.max_length = {config.max_length}"
            f" tokens (the shortest has {min(len(item['input_ids']) for item in items)}): raise it"
        )
    held = _held_out([examples[number].group or str(number) for number in fitting], config)
    return TrainingData(
        train=[items[n] for n, is_held in zip(fitting, held, strict=True) if not is_held],
        held_out=[items[n] for n, is_held in zip(fitting, held, strict=True) if is_held],
        too_long=[item for item, does_fit in zip(items, fits, strict=True) if not does_fit],
    )


def encode_examples(tokenizer: Any, examples: Sequence[TrainingExample]) -> list[Item]:
    """Token ids and labels of each example, untruncated."""
    return [_encode(tokenizer, example) for example in examples]


def _encode(tokenizer: Any, example: TrainingExample) -> Item:
    prompt = Prompt(text=example.prompt, compress=example.condition == "compressed")
    encoded = encode_example(tokenizer, prompt, example.completion)
    return {"input_ids": encoded.input_ids, "labels": encoded.labels}


def _held_out(groups: Sequence[str], config: TrainConfig) -> list[bool]:
    """Whole groups, drawn by the seed, as long as they fit into what may be held out."""
    room = min(config.held_out_examples, len(groups) // HELD_OUT_SHARE)
    sizes: dict[str, int] = {}
    for group in groups:
        sizes[group] = sizes.get(group, 0) + 1
    names = sorted(sizes)
    random.Random(f"held out {config.seed}").shuffle(names)
    chosen = set()
    for name in names:
        if sizes[name] <= room:
            chosen.add(name)
            room -= sizes[name]
    return [group in chosen for group in groups]


class ExampleOrder(Sampler[int]):
    """The order of examples (or bins) in each epoch: the same on every rank, from (seed, epoch).

    Grouped by length, each run of `batch_size` indices (one step) has neighbours in length and the
    runs are in random order; transformers' LengthGroupedSampler instead puts long steps before
    short ones and draws from the global generator. At the end the index of a filler (one past the
    last) stands as often as it takes for every rank to have as many: accelerate would have trained
    on the first examples once more.
    """

    def __init__(
        self, lengths: Sequence[int], batch_size: int, *, seed: int, group_by_length: bool,
        multiple: int = 1,
    ) -> None:  # fmt: skip
        self.lengths = lengths
        self.batch_size = batch_size
        self.num_fillers = -len(lengths) % multiple
        self.seed = seed
        self.group_by_length = group_by_length
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.lengths) + self.num_fillers

    def tokens_until(self, step: int) -> int:
        """Tokens of all examples in the first `step` steps, no filler's."""
        epoch, steps = divmod(step, ceil(len(self) / self.batch_size))
        begun = self._order(epoch)[: steps * self.batch_size] if steps else []
        return epoch * sum(self.lengths) + sum(self.lengths[index] for index in begun)

    def steps_for(self, tokens: int) -> int:
        """The fewest steps in which at least so many tokens are seen."""
        whole, steps_each = sum(self.lengths), ceil(len(self) / self.batch_size)
        steps = max(0, tokens - 1) // whole * steps_each
        while self.tokens_until(steps) < tokens:
            steps += 1
        return steps

    def fillers_until(self, step: int) -> int:
        """Fillers among them, each a token."""
        return step // ceil(len(self) / self.batch_size) * self.num_fillers

    def go_to(self, step: int) -> None:
        """The order from now on is that of the epoch in which `step` steps were taken."""
        self.epoch = step // ceil(len(self) / self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Called by the data loader before each epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        return iter(self._order(self.epoch) + [len(self.lengths)] * self.num_fillers)

    def _order(self, epoch: int) -> list[int]:
        rng = random.Random(f"{self.seed}:{epoch}")
        order = list(range(len(self.lengths)))
        rng.shuffle(order)
        return self._grouped(order, rng) if self.group_by_length else order

    def _grouped(self, order: list[int], rng: random.Random) -> list[int]:
        size = self.batch_size
        left_over = [order.pop() for _ in range(len(order) % size)]  # any lengths, the last step
        order.sort(key=lambda index: self.lengths[index])  # stable: ties stay shuffled
        steps = [order[first : first + size] for first in range(0, len(order), size)]
        rng.shuffle(steps)
        return [index for step in [*steps, left_over] for index in step]
