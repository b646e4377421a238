"""Where vLLM's processes write, and the one line of it that says why they ended.

Role: vLLM's core is a process of its own that reports a failure to its standard error and leaves
its host with "see root cause above". Here that goes to a file. Invariant: the file keeps its
name only where loading failed, and the error says it.

A sample line: "ValueError: No available memory for the cache blocks. Try increasing ..."
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ERROR = re.compile(r"\b((?:[\w.]*[a-z]Error|[\w.]*Exception): \S.*)$")
_CONSEQUENCES = ("EngineDeadError", "Engine core initialization failed", "WorkerProc init")
TAIL_BYTES = 256 * 1024


class EngineLog:
    """A file for the output of processes started inside `collecting`."""

    def __init__(self) -> None:
        self._file, name = tempfile.mkstemp(prefix="litecot-vllm-", suffix=".log")
        self.path = Path(name)

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Standard output and error of this process, and for good of those it starts, go there."""
        saved = {stream: os.dup(stream) for stream in (1, 2)}
        try:
            for stream in saved:
                os.dup2(self._file, stream)
            yield
        finally:
            for stream, copy in saved.items():
                os.dup2(copy, stream)
                os.close(copy)

    def cause(self) -> str:
        """The last error in the file that is not another one's consequence, in one line."""
        size = os.fstat(self._file).st_size
        tail = os.pread(self._file, TAIL_BYTES, max(0, size - TAIL_BYTES))
        lines = tail.decode(errors="replace").splitlines()
        found = [match[1] for line in lines if (match := _ERROR.search(line))]
        causes = [text for text in found if not any(c in text for c in _CONSEQUENCES)]
        return causes[-1].strip() if causes else "its log holds no error: was it killed?"

    def forget(self) -> None:
        """Take the name away, so that nothing is left behind however this process ends."""
        self.path.unlink(missing_ok=True)
