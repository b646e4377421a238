"""A corpus in a notebook: `litecot.open("corpus")`, then SQL, Arrow, pandas, polars or datasets.

Invariant: read-only, one moment and one run, as `litecot sql` sees it; nothing is loaded before it
is asked for. A sample:

    corpus = litecot.open("corpus")
    corpus.sql("select stage, num_problems from funnel").df()
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from infra.storage.corpus import Corpus
from sql.database import Database, connect, relations
from sql.described import Described, describe
from tasks.errors import UsageError


class MissingLibraryError(UsageError):
    """Rows are asked for as an object of a library that is not installed."""


class OpenCorpus:
    """What `litecot.open` gives. `connection` is DuckDB's, with every relation in it.

    Raises CorpusError, UnknownRunError.
    """

    connection: Any  # duckdb.DuckDBPyConnection: register frames of your own, join them

    def __init__(self, location: str | Path = "corpus", *, run: str | None = None) -> None:
        self._corpus, self._run = Corpus(location), run
        self._database: Database | None = None
        self.refresh()

    def refresh(self) -> None:
        """See what was written since; also after minutes, once a run has compacted the corpus."""
        parts = self._corpus.sound_parts()
        opened = connect(parts, through=self._corpus.store.files, run_id=self._run)
        self.close()
        self._database, self.connection = opened, opened.cursor()

    @property
    def run_id(self) -> str:
        """The run whose rows all relations but raw_* show."""
        return self._opened().run_id

    def relations(self) -> list[str]:
        """What can be asked by name."""
        return relations()

    def describe(self, relation: str) -> Described:
        """Its rows and its columns. Raises UnknownRelationError."""
        return describe(self._opened(), relation)

    def sql(self, query: str) -> Any:
        """A duckdb.DuckDBPyRelation of a SELECT, or of a relation by its name."""
        self._opened()
        return self.connection.sql(f"from {query}" if query in relations() else query)

    def arrow(self, query: str) -> Any:
        """A pyarrow.Table of the same."""
        return self.sql(query).to_arrow_table()

    def pandas(self, query: str) -> Any:
        """A pandas.DataFrame. Raises MissingLibraryError."""
        _needs("pandas")
        return self.sql(query).df()

    def polars(self, query: str) -> Any:
        """A polars.DataFrame. Raises MissingLibraryError."""
        return _needs("polars").from_arrow(self.arrow(query))

    def dataset(self, query: str) -> Any:
        """A datasets.Dataset; a map in it is a list of entries. Raises MissingLibraryError."""
        return _needs("datasets").Dataset(_without_maps(self.arrow(query)))

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
        self._database = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"litecot.open({str(self._corpus.store)!r}, run={self.run_id!r})"

    def _opened(self) -> Database:
        if self._database is None:
            raise UsageError(f"{self._corpus.store}: is closed; litecot.open opens it again")
        return self._database


def _without_maps(table: Any) -> Any:
    """datasets has no type for a map."""
    import pyarrow as pa

    fields = [
        field.with_type(pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)])))
        if pa.types.is_map(kind := field.type)
        else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields))


def _needs(library: str) -> Any:
    try:
        return importlib.import_module(library)
    except ImportError as error:
        raise MissingLibraryError(
            f"{library} cannot be imported here ({error}): pip install {library}"
        ) from error
