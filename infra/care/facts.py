"""A corpus asked about its rows: DuckDB over the parts that can be read, with the views of care.

Invariant: the queries are files (sql/care); all runs are seen together, whichever is selected.

    with facts(corpus, manifest) as database:
        database.run_file("care", "all_runs").records()
"""

from __future__ import annotations

from collections.abc import Collection

from infra.storage.corpus import Corpus, part_files
from infra.storage.manifest import Manifest
from sql.database import Database, connect, statement

VIEWS = ("row_references", "unneeded_rows")  # each reads those before it only


def facts(corpus: Corpus, manifest: Manifest, *, without: Collection[str] = ()) -> Database:
    """`without`: files, e.g. "problems/part-....parquet", that cannot be read."""
    left_out = {corpus.store.readable(name) for name in without}
    parts = {
        table: [file for file in files if file not in left_out]
        for table, files in part_files(corpus.store, manifest).items()
    }
    database = connect(parts, through=corpus.store.files, kinds=())
    create_views(database)
    return database


def create_views(database: Database) -> None:
    """What files of sql/care read of one another."""
    for name in VIEWS:
        database.cursor().execute(f"create view {name} as {statement('care', name)}")


def model_paths(database: Database) -> set[str]:
    """Folders of the trained students that have their row."""
    return {row["path"] for row in database.run_file("care", "models").records()}
