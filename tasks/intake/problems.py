"""Ingest: rows of the user's files become problems, the candidates they bring, and rejections.

Invariant: every row comes out once, in order, as an IngestedProblem or a Rejection with a reason;
no two problems share a wording (tasks/intake/wording.py), and one wording has one answer. Rows are
streamed: what grows with the input is some 200 bytes a problem, for telling duplicates.

A sample: {"question": "3 + 4 = ?", "answer": "... #### 7", "solution": "3 + 4 = 7"} at line 1 gives
IngestedProblem(problem=Problem(source="sums.jsonl", line=1, question="3 + 4 = ?", answer="7",
answer_type="integer"), candidates=[Candidate(candidate=0, text="3 + 4 = 7", ...)]).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from tasks.intake.columns import ColumnMapping, Resolved, SourceConfig, of_benchmark
from tasks.intake.endings import ending_columns
from tasks.intake.guesses import resolve_columns
from tasks.intake.readers import read_rows
from tasks.intake.rows import IngestedProblem, RowError, read_problem, read_question
from tasks.intake.seen import SameGold, SeenProblems
from tasks.intake.sources import (
    BadRow,
    Fields,
    IngestError,
    Source,
    SourceRow,
    file_sha,
    find_sources,
)
from tasks.schemas import Rejection, content_id

STAGE = "ingest"
NUM_SAMPLE_ROWS = 32
MAX_DETAIL_CHARS = 300

__all__ = [
    "ColumnMapping",
    "IngestError",
    "IngestedProblem",
    "Item",
    "Resolved",
    "SameGold",
    "SourceConfig",
    "file_sha",
    "read_problems",
    "read_questions",
    "read_resolved",
    "resolve_questions",
    "resolve_sources",
]  # fmt: skip


Item = IngestedProblem | Rejection


def read_problems(
    locations: str | Path | Iterable[str | Path],
    config: SourceConfig | None = None,
    *,
    on_resolved: Callable[[Resolved], None] | None = None,
    same_gold: SameGold | None = None,
) -> Iterator[Item]:
    """Problems of files or hub ids, in order. What is wrong with a whole input raises at once.

    `on_resolved` hears which columns are used, before the first item. `same_gold` is the verifier:
    without it golds are equal by their wording only. Raises IngestError: here, or
    at the end where no row was a problem.
    """
    config = config or SourceConfig()
    resolved = resolve_sources(locations, config)
    if on_resolved is not None:
        for one in resolved:
            on_resolved(one)
    return read_resolved(resolved, config, same_gold=same_gold)


def read_questions(locations: Iterable[str | Path]) -> Iterator[tuple[str, str]]:
    """Every question of files or hub ids, with where it is ("eval.jsonl:3"), repeated or not.

    One with options or a system turn comes without them, too: so a problem may have it. For sets
    that are only looked at: no gold answer is needed, rows without a question are passed over.
    Raises IngestError.
    """
    for source in find_sources(locations):
        one, config = _resolve_questions(source)
        needed = (*one.columns.question_columns(), *one.columns.options)
        for row in read_rows(source, max_line_bytes=config.max_line_bytes, columns=needed):
            if isinstance(row, BadRow):
                continue
            try:
                found = read_question(row.fields, one.columns, config)
            except RowError:
                continue
            for text in dict.fromkeys((found.text, found.stem)):
                yield f"{source.name}:{row.line}", text


def resolve_questions(locations: Iterable[str | Path]) -> list[Resolved]:
    """`resolve_sources` for sets that are only looked at: a question column is enough."""
    return [_resolve_questions(source)[0] for source in find_sources(locations)]


def _resolve_questions(source: Source) -> tuple[Resolved, SourceConfig]:
    told = config_of(source, SourceConfig(candidates="ignore"))
    sample = _sample(source, told)
    unread = {"answer": next(iter(sample[0]), None)}  # any: it is not looked at
    config = told.model_copy(update={"columns": told.columns.model_copy(update=unread)})
    resolved = resolve_columns(source, sample, config, has_gold=False)
    columns = resolved.columns
    return _checked(resolved, (*columns.question_columns(), *columns.options)), config


def resolve_sources(
    locations: str | Path | Iterable[str | Path], config: SourceConfig
) -> list[Resolved]:
    """Opens every input and settles its columns on the first rows. Raises IngestError."""
    many = [locations] if isinstance(locations, (str, Path)) else locations
    read_as = [(source, config_of(source, config)) for source in find_sources(many)]
    found = [resolve_columns(source, _sample(source, own), own) for source, own in read_as]
    return [_checked(one, one.columns.all_columns()) for one in found]


def config_of(source: Source, config: SourceConfig) -> SourceConfig:
    """`config`, or what the benchmark says that the source is."""
    return of_benchmark(source.benchmark) if source.benchmark else config


def _checked(one: Resolved, columns: Sequence[str]) -> Resolved:
    """Itself, if the columns that are needed can be read. Raises IngestError."""
    limit = SourceConfig().max_line_bytes
    if one.source.kind not in ("json", "jsonl", "hub"):  # these hold rows, not columns
        next(iter(read_rows(one.source, max_line_bytes=limit, columns=columns)), None)
    return one


def read_resolved(
    resolved: Sequence[Resolved], config: SourceConfig, *, same_gold: SameGold | None = None
) -> Iterator[Item]:
    """Streams the items. Raises IngestError at the end if there was no problem among them."""
    seen = SeenProblems(same_gold)
    rejected: Counter[str] = Counter()
    first: Rejection | None = None
    for one in resolved:
        columns = (*one.columns.all_columns(), *ending_columns(one.columns.candidates))
        own = config_of(one.source, config)
        for row in read_rows(one.source, max_line_bytes=own.max_line_bytes, columns=columns):
            item = _read_item(row, one, own, seen)
            if isinstance(item, Rejection):
                rejected[item.reason] += 1
                first = first or item
            yield item
    if not seen:
        raise _no_problem([one.source for one in resolved], rejected, first)


def _no_problem(
    sources: Sequence[Source], rejected: Counter[str], first: Rejection | None
) -> IngestError:
    names = ", ".join(source.name for source in sources)
    if first is None:
        return IngestError(f"{names}: no rows")
    counts = ", ".join(f"{count} {reason}" for reason, count in rejected.most_common())
    return IngestError(f"{names}: no row is a usable problem ({counts}); first: {first.detail}")


def _sample(source: Source, config: SourceConfig) -> list[Fields]:
    rows: list[Fields] = []
    bad: Counter[str] = Counter()
    first: Rejection | None = None
    for row in read_rows(source, max_line_bytes=config.max_line_bytes):
        if isinstance(row, BadRow):
            bad[row.reason] += 1
            first = first or _reject(source, row.line, RowError(row.reason, row.detail))
        else:
            rows.append(row.fields)
        if len(rows) == NUM_SAMPLE_ROWS:
            break
    if not rows:
        raise _no_problem([source], bad, first)
    return rows


def _read_item(
    row: SourceRow | BadRow, one: Resolved, config: SourceConfig, seen: SeenProblems
) -> Item:
    try:
        if isinstance(row, BadRow):
            raise RowError(row.reason, row.detail)
        return seen.admit(read_problem(row, one, config))
    except RowError as error:
        return _reject(one.source, row.line, error)


def _reject(source: Source, line: int, error: RowError) -> Rejection:
    detail = " ".join(f"{source.name}:{line}: {error.detail}".split())
    return Rejection(
        stage=STAGE,
        record_id=content_id(source.name, line),
        problem_id=error.problem_id,
        reason=error.reason,
        detail=detail[:MAX_DETAIL_CHARS],
    )
