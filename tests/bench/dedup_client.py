"""A process of its own: reads a file of problems as ingest does, and says what that took.

    python -m tests.bench.dedup_client ours problems.jsonl 100000 1000000

prints a JSON object a size: seconds by the wall, CPU seconds in all and for near-duplicates (one
thread, so the two differ only where others use the machine), resident MiB grown, counts.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from typing import Any

import psutil

from tasks.intake.held_out import Twin
from tasks.intake.hygiene import HygieneConfig, NearDuplicates, screen
from tasks.intake.problems import IngestedProblem, SourceConfig, read_problems
from tasks.intake.wording import ngrams
from tasks.schemas import Rejection


class Ours(NearDuplicates):
    """With a stopwatch."""

    seconds = 0.0

    def admit(self, item: IngestedProblem) -> Twin | None:
        start = time.process_time()
        try:
            return super().admit(item)
        finally:
            self.seconds += time.process_time() - start


class Datasketch(Ours):
    """The usual loop over datasketch.MinHashLSH: as many values and bands, nothing confirmed."""

    def __init__(self, config: HygieneConfig) -> None:
        super().__init__(config)
        from datasketch import MinHash, MinHashLSH

        self._minhash, self._num = MinHash, 0
        bands = self._tables[0].get_num_bands()
        self._index = MinHashLSH(params=(bands, config.num_perm // bands), num_perm=config.num_perm)

    def admit(self, item: IngestedProblem) -> Twin | None:
        start = time.process_time()
        sketch = self._minhash(num_perm=self._config.num_perm)
        sketch.update_batch([gram.encode() for gram in set(ngrams(item.tokens, 3))])
        found = self._index.query(sketch)
        if not found:
            self._index.insert(self._num, sketch)
            self._num += 1
        self.seconds += time.process_time() - start
        return Twin(where=str(found[0]), similarity=0.8) if found else None


def main() -> None:
    which, path, *sizes = sys.argv[1:]
    marks = {int(size) for size in sizes}
    process = psutil.Process()
    near = {"ours": Ours, "datasketch": Datasketch}[which](HygieneConfig())
    before, counts = process.memory_info().rss, Counter[str]()
    wall, cpu = time.perf_counter(), time.process_time()
    items = read_problems(path, SourceConfig(candidates="ignore"))
    for number, item in enumerate(screen(items, near=near), start=1):
        counts[item.reason if isinstance(item, Rejection) else "kept"] += 1
        if number in marks:
            grown = (process.memory_info().rss - before) / 2**20
            said: dict[str, Any] = {
                "problems": number, "wall_seconds": time.perf_counter() - wall,
                "seconds": time.process_time() - cpu, "near_seconds": near.seconds, "mib": grown,
                **counts,
            }  # fmt: skip
            print(json.dumps(said), flush=True)
        if number == max(marks):
            return


if __name__ == "__main__":
    main()
