"""A small corpus of the recipe nano, all stages but training, made once for all modules that ask.

A sample: `calm.printed` -> what `litecot`, ARGUMENTS and `--corpus calm.folder` said
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from tests.integration.command_line import litecot

NUM_PROBLEMS = 12
STAGES = ("generate", "difficulty", "rewrite", "compress", "score", "select", "mix")
ARGUMENTS = (
    "run", "nano", "--limit", str(NUM_PROBLEMS), "--set", "shard_size=6",
    "--set", f"stages={json.dumps(STAGES)}",
)  # fmt: skip


@dataclass(frozen=True)
class CalmCorpus:
    """Where it is, and what its run printed."""

    folder: Path
    printed: str

    @classmethod
    def made_once(cls, services: Path) -> CalmCorpus:
        """By who asks first; the others wait. `services`: a folder that all of them see."""
        folder, printed = services / "calm", services / "calm.printed"
        with FileLock(services / "calm.lock"):
            if not printed.exists():
                done = litecot(*ARGUMENTS, "--corpus", str(folder))
                assert done.returncode == 0, done.stdout + done.stderr
                printed.write_text(done.stdout)
        return cls(folder, printed.read_text())
