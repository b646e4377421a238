"""What plug-ins and notebooks import: `from litecot import Stage` (docs/extending.md).

Invariant: importing this loads no prefect, ray, torch or vllm, and takes no name from you: a
`tasks.py` or a folder `sql` beside your script stays yours (litecot/_names.py). The names are
loaded when the first of them is asked for: Ray enters each of our workers by way of this package,
and most of those never need one. A corpus is opened by `litecot.open` (docs/notebooks.md), which is
not in `__all__`: `import *` leaves Python's `open`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from litecot._names import claim_names

claim_names()

if TYPE_CHECKING:
    from litecot._api import *  # noqa: F403
    from litecot._corpus import OpenCorpus


def __getattr__(name: str) -> Any:
    if name == "__all__" or not name.startswith("_"):  # Python asks any module for such
        from litecot import _api

        if name == "__all__" or name in _api.__all__:
            return getattr(_api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    from litecot import _api

    return sorted([*globals(), *_api.__all__])


def open(location: str | Path = "corpus", *, run: str | None = None) -> "OpenCorpus":
    """A corpus, a folder or s3://bucket/path, for reading; `run` is an id or its start, by default
    the latest. Raises CorpusError, UnknownRunError."""
    from litecot._corpus import OpenCorpus

    return OpenCorpus(location, run=run)
