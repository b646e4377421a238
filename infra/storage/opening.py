"""From a corpus' location to its store.

open_store("corpora/maths")         ->  LocalStore
open_store("s3://bucket/maths")     ->  S3Store, its journal in <journals>/bucket-3fa2c19b04d1
"""

from __future__ import annotations

import re
from pathlib import Path

from infra.settings import load_settings
from infra.storage.errors import CorpusError
from infra.storage.store import Store

_SCHEME = re.compile(r"\w+:/")


def open_store(location: str | Path | Store) -> Store:
    """The store at a path or an s3:// URL. Raises CorpusError."""
    if not isinstance(location, str | Path):
        return location
    if isinstance(location, str) and location.startswith("s3://"):
        from infra.storage.s3.store import S3Store

        return S3Store(location, journals=load_settings().journal_folder)
    if _SCHEME.match(str(location)):
        raise CorpusError(f"{location}: pass a folder or a URL like s3://bucket/prefix")
    from infra.storage.local import LocalStore

    return LocalStore(Path(location))
