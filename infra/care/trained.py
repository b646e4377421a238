"""Are trained weights what was written? Through the store, so a bucket's are asked of the bucket.

Invariant: every byte is read; a folder without checksums (an earlier version's) is looked at as far
as its headers tell.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from infra.care.stock import Stock
from infra.engines.model_files import cut_off_weights
from infra.storage.checksums import SUMS
from infra.storage.names import checked_name
from infra.storage.store import Store

THREADS = 8
REMEDY = "delete its folder, and a rerun trains it again"


def weights_faults(store: Store, stock: Stock) -> Iterator[str]:
    """One line for each file that is not what was written."""
    for unit in rotten_weights(store, stock).values():
        yield from (f"{fault}; {REMEDY}" for fault in unit)


def rotten_weights(store: Store, stock: Stock) -> dict[str, list[str]]:
    """Folder, e.g. "weights/9c0e", -> what is wrong with it; sound ones are left out."""
    found = {}
    for unit in stock.units("weights", "unclaimed weights"):
        there = {f.name for f in stock.of("weights", "unclaimed weights") if f.unit == unit}
        if faults := list(_faults(store, unit, there)):
            found[unit] = faults
    return found


def _faults(store: Store, unit: str, there: set[str]) -> Iterator[str]:
    listed = f"{unit}/{SUMS}"
    if listed not in there:
        cut_off = cut_off_weights(store.folder / unit)
        if cut_off:
            yield cut_off
        return
    try:
        names = sums_of(store, unit)
    except (ValueError, TypeError) as error:
        yield f"{store.where(listed)}: cannot be read ({error})"
        return
    gone = [name for name in names if name not in there]
    yield from (f"{store.where(name)}: is gone" for name in gone)
    with ThreadPoolExecutor(THREADS) as pool:
        kept = [name for name in names if name in there]
        for name, summed in zip(kept, pool.map(store.checksum, kept), strict=True):
            if summed != names[name]:
                yield f"{store.where(name)}: holds other bytes than were written"


def sums_of(store: Store, unit: str) -> dict[str, str]:
    """File, e.g. "weights/9c0e/model.safetensors" -> checksum; none where nobody noted them.

    Raises ValueError or TypeError where the list cannot be read.
    """
    listed = f"{unit}/{SUMS}"
    content = store.read(listed)
    if content is None:
        return {}
    sums: dict[str, str] = dict(json.loads(content))
    of = store.where(listed)
    return {f"{unit}/{checked_name(name, of=of)}": summed for name, summed in sums.items()}
