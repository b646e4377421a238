"""The line of Python that loads a snapshot, whatever its folder is called.

Invariant: the line names the folder and nothing else. `datasets` (5.2; huggingface/datasets#7468)
reads a folder's name as a pattern: of "odd [x]" it finds no file, of "a?b" it loads "acb" as well.

    loading_line(Path("snap"))          datasets.load_dataset('snap')
    loading_line(Path("odd [x]/snap"))  datasets.load_dataset('parquet', data_files='/.../odd [[]x]/
"""

from __future__ import annotations

import glob
from pathlib import Path

PATTERN = "data/train-*.parquet"
_MEANT_OTHERWISE = set("*?[")  # what fsspec expands
_CHAIN = "::"  # of file systems, to fsspec, wherever it stands


def loading_line(folder: Path) -> str:
    """Python, after `import datasets`. Names are Python's literals, so quotes are no matter."""
    whole = str(folder.absolute())
    if _CHAIN in whole:
        table = f"__import__('pyarrow.parquet').parquet.read_table({f'{whole}/data'!r})"
        return f"datasets.DatasetDict(train=datasets.Dataset({table}))"
    if _MEANT_OTHERWISE & {*whole} or str(folder).startswith("~"):
        return f"datasets.load_dataset('parquet', data_files={f'{glob.escape(whole)}/{PATTERN}'!r})"
    return plain_line(folder)


def plain_line(folder: Path) -> str:
    """The one everybody knows."""
    return f"datasets.load_dataset({str(folder)!r})"
