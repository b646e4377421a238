"""An immutable snapshot of a run's training examples, loadable with `datasets.load_dataset`.

Invariant: a snapshot folder appears whole or not at all, is never changed afterwards, and names the
run, recipe and prompts it came from. No control token is in any text: `compress` is a column. The
card's front matter holds a hash of the data: `datasets` caches a folder under its name and front
matter alone, and would load another snapshot of that name instead.

    snapshot/README.md                        the dataset card
    snapshot/data/train-00000-of-00001.parquet
    snapshot/provenance.json                  run, resolved recipe, stage fingerprints, versions,
                                              SHA-256 of the data files
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.publishing.card import card_text
from infra.publishing.licences import UNKNOWN, licences_of
from infra.publishing.loading import loading_line, plain_line
from infra.publishing.public_names import PublicNames, public_settings
from infra.storage import Corpus
from sql.database import Database, statement
from tasks.errors import UsageError
from tasks.intake.sources import file_sha
from tasks.schemas import content_id

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_PER_FILE = 50_000
QUERY = ("analyses", "published_examples")


class PublishError(UsageError):
    """The snapshot cannot be made; one line naming the thing and the remedy."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What was written."""

    folder: Path
    num_examples: int
    num_files: int
    unlicensed: tuple[str, ...]  # sources whose licence nobody stated

    @property
    def loading_line(self) -> str:
        """Python that loads it, after `import datasets`."""
        return loading_line(self.folder)

    @property
    def is_loaded_by_name(self) -> bool:
        """Whether the folder's name alone will do."""
        return self.loading_line == plain_line(self.folder)


def write_snapshot(database: Database, folder: Path, *, licences: Mapping[str, str]) -> Snapshot:
    """The selected run's examples in `folder`. `licences`: source -> its licence.

    Raises PublishError: no examples, the folder is there already, or its disk is full.
    """
    total = int(database.run_file("analyses", "published_size").records()[0]["num_examples"])
    if not total:
        raise PublishError("the run has no training examples: run the stages select and mix first")
    check_folder(folder)
    check_sources(database, licences)
    known = source_licences(database, licences)
    growing = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
    try:
        files = _write_files(database, growing / "data", total, _names(database, known))
        (growing / "provenance.json").write_text(_provenance(database, files), encoding="utf-8")
        card = card_text(database, known, content=content_id(files))
        (growing / "README.md").write_text(card, encoding="utf-8")
        os.rename(growing, folder)
    except OSError as error:
        raise PublishError(
            f"{folder}: {error.strerror or error}; nothing was left there"
        ) from error
    finally:
        shutil.rmtree(growing, ignore_errors=True)
    unlicensed = tuple(source for source, licence in known.items() if licence == UNKNOWN)
    return Snapshot(folder=folder, num_examples=total, num_files=len(files), unlicensed=unlicensed)


def check_folder(folder: Path) -> None:
    """Whether a snapshot could be made there. Raises PublishError."""
    if "://" in str(folder) or str(folder).startswith("s3:"):
        raise PublishError(f"{folder}: a snapshot is a folder of this machine; --push uploads it")
    if folder.exists():
        raise PublishError(f"{folder} is there already: snapshots never change; name another one")
    if corpus := next((p for p in folder.absolute().parents if Corpus(p).exists), None):
        raise PublishError(f"{folder} would be inside the corpus {corpus}: name another folder")


def check_sources(database: Database, licences: Mapping[str, str]) -> None:
    """Whether each source a licence is stated of is one of the corpus'. Raises PublishError."""
    known = {row[0] for row in database.run_file("analyses", "problem_sources").rows}
    if unknown := sorted(licences.keys() - known):
        have = ", ".join(sorted(known))
        raise PublishError(f"no problem comes from {unknown[0]!r}; the sources are {have}")


def source_licences(database: Database, stated: Mapping[str, str]) -> dict[str, str]:
    """Of each source that examples come from."""
    sources = [row[0] for row in database.run_file("analyses", "published_sources").rows]
    return licences_of(sources, stated, inputs=stored_recipe(database).get("problems", ()))


def _names(database: Database, sources: Iterable[str]) -> PublicNames:
    return PublicNames(stored_recipe(database), sources)


def stored_recipe(database: Database) -> dict[str, Any]:
    """As the run stored it."""
    run = database.run_file("analyses", "published_run").records()[0]
    recipe: dict[str, Any] = json.loads(run["resolved"] or "{}").get("recipe", {})
    return recipe


def _write_files(
    database: Database, folder: Path, total: int, names: PublicNames
) -> dict[str, str]:
    """Each file's name in the snapshot -> its hash."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True)
    rows = database.stream(statement(*QUERY))
    num_files = -(-total // ROWS_PER_FILE)
    for number in range(num_files):
        path = folder / f"train-{number:05d}-of-{num_files:05d}.parquet"
        with (  # opened here: "a:b" is no URL
            path.open("wb") as file,
            pq.ParquetWriter(file, example_schema(), compression="zstd") as writer,
        ):
            for batch in _batches(itertools.islice(rows, ROWS_PER_FILE), 1000):
                records = [_record(row, names) for row in batch]
                writer.write_table(pa.Table.from_pylist(records, schema=example_schema()))
    return {f"{folder.name}/{path.name}": file_sha(path) for path in sorted(folder.iterdir())}


def _batches(rows: Iterator[dict[str, Any]], size: int) -> Iterator[Sequence[dict[str, Any]]]:
    while batch := list(itertools.islice(rows, size)):
        yield batch


def _record(row: dict[str, Any], names: PublicNames) -> dict[str, Any]:
    row["source"] = names.source(row["source"])
    row |= {role: names.model(row[role]) for role in ("teacher", "writer")}
    prompt, completion = row.pop("prompt"), row.pop("completion")
    messages = [
        {"role": "user", "content": prompt},
        {"role": "assistant", "content": completion},
    ]
    return {"messages": messages, "compress": row["condition"] == "compressed", **row}


def example_schema() -> pa.Schema:
    """The columns of a snapshot; their meaning is in the card (infra/publishing/card.py)."""
    import pyarrow as pa

    message = pa.struct([("role", pa.string()), ("content", pa.string())])
    text, number, measure = pa.string(), pa.int64(), pa.float64()
    return pa.schema(
        [
            ("example_id", text), ("messages", pa.list_(message)), ("compress", pa.bool_()),
            ("question", text), ("rationale", text), ("answer", text), ("answer_type", text),
            ("subject", text), ("level", text), ("difficulty", measure), ("condition", text),
            ("kind", text), ("round", number), ("num_tokens", number), ("original_tokens", number),
            ("rd", measure), ("teacher", text), ("writer", text), ("prompt_sha", text),
            ("source", text), ("problem_id", text), ("rationale_id", text), ("parent_id", text),
        ]
    )  # fmt: skip


def _provenance(database: Database, files: Mapping[str, str]) -> str:
    return json.dumps({**public_run(database), "files": files}, indent=1, sort_keys=True) + "\n"


def public_run(database: Database) -> dict[str, Any]:
    """The selected run without paths of this machine."""
    run = database.run_file("analyses", "published_run").records()[0]
    for name in ("resolved", "fingerprints", "versions", "prompts"):
        run[name] = public_settings(json.loads(run[name] or "{}"))
    return run
