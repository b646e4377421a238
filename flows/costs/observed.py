"""What is known of a run's input files before it starts.

Invariant: cheap, whatever the size: files are sampled and counted, never parsed as a whole. What is
not known is None, never a guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from flows.costs.expected import Inputs
from flows.recipes.recipe import Recipe
from infra.nano.files import resolve_nano
from tasks.intake.columnar import count_arrow_rows
from tasks.intake.problems import IngestedProblem, read_problems
from tasks.intake.readers import read_rows, unpacked
from tasks.intake.sources import IngestError, Source, find_sources

SAMPLED = 200  # problems read to learn the length of questions and of rationales
CHUNK = 1 << 20
COUNTED_BYTES = 256 << 20  # read in a second; from there on by the file's size
PARSED_BYTES = 32 << 20  # CSV and JSON lists are counted by parsing them


def know_inputs(recipe: Recipe) -> Inputs:
    """From the recipe's files; hub data sets are not counted."""
    sample = _sample(recipe)
    questions = [len(item.problem.question) for item in sample]
    candidates = [len(one.text) for item in sample for one in item.candidates]
    held_out = recipe.evaluate.problems if "evaluate" in recipe.stages else ()
    return Inputs(
        num_problems=count_problems(recipe.problems),
        num_held_out=count_problems(held_out),
        question_characters=sum(questions) / len(questions) if questions else None,
        candidates=len(candidates) / len(sample) if candidates else None,
        candidate_characters=sum(candidates) / len(candidates) if candidates else None,
    )


def _sample(recipe: Recipe) -> list[IngestedProblem]:
    """The first problems of the first file."""
    files = [path for name in recipe.problems if Path(path := resolve_nano(name)).is_file()]
    if not files:
        return []
    try:
        items = islice(read_problems(files[0], recipe.source), SAMPLED)
        return [item for item in items if isinstance(item, IngestedProblem)]
    except IngestError:
        return []


def count_problems(names: Sequence[str]) -> int | None:
    """Rows of all inputs: so many problems at most. None where one of them cannot be counted."""
    if not names:
        return None
    try:
        counts = [count_rows(source) for source in find_sources(map(resolve_nano, names))]
    except (IngestError, OSError, EOFError):
        return None
    return None if None in counts else sum(count or 0 for count in counts)


def count_rows(source: Source, *, most: int = COUNTED_BYTES) -> int | None:
    """Of JSONL beyond `most` bytes about, by its size; None: a hub data set or a large list."""
    if source.kind == "hub":
        return None
    path = Path(source.location)
    if source.kind == "parquet":
        import pyarrow.parquet as pq

        return int(pq.read_metadata(path).num_rows)
    if source.kind == "jsonl":
        return _count_lines(source, most=most)
    if source.kind == "arrow":
        return count_arrow_rows(source.location)
    if path.stat().st_size > PARSED_BYTES:
        return None
    return sum(1 for _ in read_rows(source, max_line_bytes=PARSED_BYTES))


def _count_lines(source: Source, *, most: int) -> int:
    path = Path(source.location)
    size, lines, read, last = path.stat().st_size, 0, 0, b"\n"
    with path.open("rb") as raw:
        stream = unpacked(raw, source.packing)
        while read < most and (chunk := stream.read(CHUNK)):
            lines, read, last = lines + chunk.count(b"\n"), read + len(chunk), chunk[-1:]
        if read < most:
            return lines + (last != b"\n")
        return round(lines * size / raw.tell())
