"""A key-value cache of slots: row i of the running batch keeps its keys in slot i, from column 0.

Role: let rows of different lengths decode together, leave when they finish and come in while others
run, without copying what is cached. Invariant: slots 0..n-1 are the active rows, and a row of
length m has its keys in columns 0..m-1; whatever lies beyond is masked by the caller.

Shapes: keys and values of a layer are [slots, key-value heads, columns, head size].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import Cache

COLUMN_STEP = 256


class SlotCache(Cache):
    """Grows by columns and slots as needed; `place` says where the next token of each row goes."""

    def __init__(self) -> None:
        super().__init__(layers=[])
        self._keys: list[torch.Tensor] = []
        self._values: list[torch.Tensor] = []
        self._positions = torch.empty(0, dtype=torch.long)
        self._rows = torch.empty(0, dtype=torch.long)
        self._width = 0

    def admit(self, prefilled: DynamicCache, sources: Sequence[int], *, first_slot: int) -> None:
        """Copy prompt `sources[i]` of a prefill into slot `first_slot + i`."""
        for index, layer in enumerate(prefilled.layers):
            keys: Any = layer.keys  # type: ignore[union-attr]  # attention layers only
            values: Any = layer.values  # type: ignore[union-attr]
            if index == len(self._keys):
                self._keys.append(keys.new_zeros(0, *keys.shape[1:]))
                self._values.append(values.new_zeros(0, *values.shape[1:]))
            chosen = torch.tensor(sources, device=keys.device)
            self._keys[index] = _put(self._keys[index], keys[chosen], first_slot)
            self._values[index] = _put(self._values[index], values[chosen], first_slot)
            self._width = max(self._width, keys.shape[2])

    def place(self, positions: torch.Tensor) -> None:
        """The column the next token of each active row is written to, [rows]."""
        self._positions = positions
        self._rows = torch.arange(len(positions), device=positions.device)
        self._width = int(positions.max()) + 1
        for index in range(len(self._keys)):
            self._keys[index] = _widen(self._keys[index], self._width)
            self._values[index] = _widen(self._values[index], self._width)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Called by each attention layer: store one token a row, give back what all have."""
        keys, values = self._keys[layer_idx], self._values[layer_idx]
        keys[self._rows, :, self._positions] = key_states[:, :, 0]
        values[self._rows, :, self._positions] = value_states[:, :, 0]
        rows = len(self._rows)
        return keys[:rows, :, : self._width], values[:rows, :, : self._width]

    def move(self, sources: list[int], targets: list[int]) -> None:
        """Copy slots onto the slots of rows that left."""
        for stored in (*self._keys, *self._values):
            source = torch.tensor(sources, device=stored.device)
            target = torch.tensor(targets, device=stored.device)
            stored[target, :, : self._width] = stored[source, :, : self._width]


def _put(stored: torch.Tensor, rows: torch.Tensor, first: int) -> torch.Tensor:
    count, _, columns, _ = rows.shape
    stored = _widen(stored, columns)
    if first + count > len(stored):
        more = stored.new_zeros(max(first + count, len(stored) * 2), *stored.shape[1:])
        more[: len(stored)] = stored
        stored = more
    stored[first : first + count, :, :columns] = rows
    return stored


def _widen(stored: torch.Tensor, columns: int) -> torch.Tensor:
    if columns <= stored.shape[2]:
        return stored
    steps = -(-max(columns, stored.shape[2] * 5 // 4) // COLUMN_STEP)
    count, heads, old, size = stored.shape
    more = stored.new_zeros(count, heads, steps * COLUMN_STEP, size)
    more[:, :, :old] = stored
    return more
