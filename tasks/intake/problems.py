"""Ingest: rows of the user's files become problems, the candidates they bring, and rejections.

Invariant: every row comes out once, in order, as an IngestedProblem or a Rejection with a reason;
no two problems share a wording (tasks/intake/wording.py), and one wording has one answer. Rows are
streamed: what grows with the input is some 200 bytes a problem, for telling duplicates.

A sample: {"question": "3 + 4 = ?", "answer": "... #### 7", "solution": "3 + 4 = 7"} at line 1 gives
IngestedProblem(problem=Problem(source="sums.jsonl", line=1, question="3 + 4 = ?", answer="7",
answer_type="integer"), candidates=[Candidate(candidate=0, text="3 + 4 = 7", ...)]).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tasks import answers
from tasks.answers.kinds import ANSWER_TYPES
from tasks.intake.columns import ColumnMapping, Resolved, SourceConfig, resolve_columns
from tasks.intake.readers import read_rows
from tasks.intake.sources import (
    BadRow,
    Fields,
    IngestError,
    Source,
    SourceRow,
    file_sha,
    find_sources,
)
from tasks.intake.values import (
    MISSING,
    Imported,
    answer_text,
    clean_text,
    control_text,
    imported_candidates,
    lookup,
    normalise,
    to_text,
)
from tasks.intake.wording import tokens_of, wording
from tasks.schemas import Candidate, Problem, Rejection, content_id

STAGE = "ingest"
NUM_SAMPLE_ROWS = 32
MAX_DETAIL_CHARS = 300

__all__ = [
    "ColumnMapping",
    "IngestError",
    "IngestedProblem",
    "Item",
    "Resolved",
    "SourceConfig",
    "file_sha",
    "read_problems",
    "read_questions",
    "read_resolved",
    "resolve_questions",
    "resolve_sources",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class IngestedProblem:
    """A row that was accepted. `is_new` False: the problem was seen before, its candidates not.

    `problem_id` is the first problem's of this wording; `tokens` are those of the question.
    """

    problem: Problem
    problem_id: str
    tokens: Sequence[str] = field(repr=False)
    candidates: list[Candidate] = field(default_factory=list)
    warnings: tuple[str, ...] = ()
    is_new: bool = True


Item = IngestedProblem | Rejection


class _RowError(Exception):
    """This row is no problem: becomes a Rejection."""

    def __init__(self, reason: str, detail: str, problem_id: str | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.problem_id = problem_id


def read_problems(
    locations: str | Path | Iterable[str | Path],
    config: SourceConfig | None = None,
    *,
    on_resolved: Callable[[Resolved], None] | None = None,
) -> Iterator[Item]:
    """Problems of files or hub ids, in order. What is wrong with a whole input raises at once.

    `on_resolved` hears which columns are used, before the first item. Raises IngestError: here, or
    at the end where no row was a problem.
    """
    config = config or SourceConfig()
    resolved = resolve_sources(locations, config)
    if on_resolved is not None:
        for one in resolved:
            on_resolved(one)
    return read_resolved(resolved, config)


def read_questions(locations: Iterable[str | Path]) -> Iterator[tuple[str, str]]:
    """Every question of files or hub ids, with where it is ("eval.jsonl:3"), repeated or not.

    For sets that are only looked at: no gold answer is needed, rows without a question are passed
    over. Raises IngestError.
    """
    for source in find_sources(locations):
        one, config = _resolve_questions(source)
        question = one.columns.question_columns()
        for row in read_rows(source, max_line_bytes=config.max_line_bytes, columns=question):
            if isinstance(row, BadRow):
                continue
            try:
                text, _ = _read_question(row.fields, one.columns, config.max_question_chars)
            except _RowError:
                continue
            yield f"{source.name}:{row.line}", text


def resolve_questions(locations: Iterable[str | Path]) -> list[Resolved]:
    """`resolve_sources` for sets that are only looked at: a question column is enough."""
    return [_resolve_questions(source)[0] for source in find_sources(locations)]


def _resolve_questions(source: Source) -> tuple[Resolved, SourceConfig]:
    sample = _sample(source, SourceConfig())
    unread = ColumnMapping(answer=next(iter(sample[0]), None))  # any: it is not looked at
    config = SourceConfig(candidates="ignore", columns=unread)
    return resolve_columns(source, sample, config), config


def resolve_sources(
    locations: str | Path | Iterable[str | Path], config: SourceConfig
) -> list[Resolved]:
    """Opens every input and settles its columns on the first rows. Raises IngestError."""
    many = [locations] if isinstance(locations, (str, Path)) else locations
    return [resolve_columns(s, _sample(s, config), config) for s in find_sources(many)]


def read_resolved(resolved: Sequence[Resolved], config: SourceConfig) -> Iterator[Item]:
    """Streams the items. Raises IngestError at the end if there was no problem among them."""
    seen = _SeenProblems()
    rejected: Counter[str] = Counter()
    first: Rejection | None = None
    for one in resolved:
        columns = one.columns.all_columns()
        limit = config.max_line_bytes
        for row in read_rows(one.source, max_line_bytes=limit, columns=columns):
            item = _read_item(row, one, config, seen)
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
            first = first or _reject(source, row.line, _RowError(row.reason, row.detail))
        else:
            rows.append(row.fields)
        if len(rows) == NUM_SAMPLE_ROWS:
            break
    if not rows:
        raise _no_problem([source], bad, first)
    return rows


def _read_item(
    row: SourceRow | BadRow, one: Resolved, config: SourceConfig, seen: _SeenProblems
) -> Item:
    try:
        if isinstance(row, BadRow):
            raise _RowError(row.reason, row.detail)
        return seen.admit(_read_problem(row, one, config))
    except _RowError as error:
        return _reject(one.source, row.line, error)


def _reject(source: Source, line: int, error: _RowError) -> Rejection:
    detail = " ".join(f"{source.name}:{line}: {error.detail}".split())
    return Rejection(
        stage=STAGE,
        record_id=content_id(source.name, line),
        problem_id=error.problem_id,
        reason=error.reason,
        detail=detail[:MAX_DETAIL_CHARS],
    )


def _read_problem(row: SourceRow, one: Resolved, config: SourceConfig) -> IngestedProblem:
    columns = one.columns
    question, warnings = _read_question(row.fields, columns, config.max_question_chars)
    answer = _read_answer(row.fields, columns, config.max_question_chars)
    answer_type, doubts = _read_answer_type(row.fields, columns, config, answer, question)
    subject = None if columns.subject is None else to_text(lookup(row.fields, columns.subject))
    problem = Problem(
        source=one.source.name,
        line=row.line,
        question=question,
        answer=answer,
        answer_type=answer_type,
        subject=None if subject is None else normalise(clean_text(subject)[0]) or None,
    )
    problem_id = problem.content_id()
    candidates, complaints = _read_candidates(row.fields, problem_id, columns, config)
    told = dict.fromkeys((*row.warnings, *warnings, *doubts, *complaints))
    return IngestedProblem(
        problem=problem, problem_id=problem_id, tokens=tokens_of(question), candidates=candidates,
        warnings=tuple(told),
    )  # fmt: skip


def _read_question(
    fields: Fields, columns: ColumnMapping, max_chars: int
) -> tuple[str, tuple[str, ...]]:
    values = [lookup(fields, column) for column in columns.question_columns()]
    if any(isinstance(value, (dict, list, bytes)) for value in values):
        raise _RowError("question_not_text", "the question is no text: name a column inside it")
    parts = [text for value in values if (text := to_text(value)) is not None]
    if sum(map(len, parts)) > max_chars:
        raise _RowError("question_too_long", f"question longer than {max_chars} characters")
    text, warnings = clean_text("\n".join(parts))
    if not (question := normalise(text)):
        raise _RowError("empty_question", "no question")
    if control_text(question):
        warnings = (*warnings, "control_text_in_question")
    return question, warnings


def _read_answer(fields: Fields, columns: ColumnMapping, max_chars: int) -> str:
    value = lookup(fields, columns.answer or "")
    if isinstance(value, (dict, bytes)):
        raise _RowError("answer_not_text", "the answer is no text: name a column inside it")
    if isinstance(value, str) and len(value) > max_chars:
        raise _RowError("answer_too_long", f"answer longer than {max_chars} characters")
    answer = answer_text(value)
    if answer is None:
        what = f"column {columns.answer} is {'absent' if value is MISSING else 'empty'}"
        raise _RowError("missing_answer", f"no answer: {what}")
    return answer


def _read_answer_type(
    fields: Fields, columns: ColumnMapping, config: SourceConfig, answer: str, question: str
) -> tuple[str, tuple[str, ...]]:
    if config.answer_type is not None:
        return config.answer_type, ()
    said = to_text(lookup(fields, columns.answer_type)) if columns.answer_type else None
    if said is not None and said in ANSWER_TYPES:
        return said, ()
    return answers.infer_answer_type(answer, question), ("unknown_answer_type",) if said else ()


def _read_candidates(
    fields: Fields, problem_id: str, columns: ColumnMapping, config: SourceConfig
) -> tuple[list[Candidate], tuple[str, ...]]:
    if not columns.candidates:
        return [], ()
    imported, warnings = imported_candidates(
        fields, columns.candidates, columns.correct, columns.candidate_model
    )
    found = []
    for number, one in enumerate(imported):
        if one.text is not None:
            candidate, doubts = _read_candidate(one, number, problem_id, config)
            found.append(candidate)
            warnings += doubts
    return found, warnings


def _read_candidate(
    imported: Imported, number: int, problem_id: str, config: SourceConfig
) -> tuple[Candidate, tuple[str, ...]]:
    text, warnings = clean_text(imported.text or "")
    if control_text(text):
        warnings = (*warnings, "control_text_in_candidate")
    candidate = Candidate(
        problem_id=problem_id,
        candidate=number,
        text=text,
        model=imported.model or config.candidate_model,
        recorded_correct=imported.correct,
    )
    return candidate, warnings


class _SeenProblems:
    """Tells duplicates: wording -> problem id, answer, next candidate number, texts, packed."""

    def __init__(self) -> None:
        self._known: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        return len(self._known)

    def admit(self, item: IngestedProblem) -> IngestedProblem:
        """The item if new; what it adds if its problem is known. Raises _RowError otherwise."""
        key = _digest(" ".join(item.tokens))
        answer = _digest(wording(item.problem.answer))
        texts = [_digest(candidate.text) for candidate in item.candidates]
        known = self._known.get(key)
        if known is None:
            problem_id = bytes.fromhex(item.problem_id)
            self._known[key] = _pack(problem_id, answer, _next_number(item.candidates), texts)
            return item
        problem_id = known[:8]
        if known[8:16] != answer:
            detail = "the question was seen before with another answer; the first is kept"
            raise _RowError("conflicting_answer", detail, problem_id.hex())
        added = self._merge(key, known, item, texts)
        return replace(item, problem_id=problem_id.hex(), candidates=added, is_new=False)

    def _merge(
        self, key: bytes, known: bytes, item: IngestedProblem, texts: list[bytes]
    ) -> list[Candidate]:
        """The item's candidates that the known problem has not, numbered on."""
        head, number, old = known[:16], int.from_bytes(known[16:20], "big"), known[20:]
        had = {old[n : n + 8] for n in range(0, len(old), 8)}
        new = [n for n, text in enumerate(texts) if text not in had]
        problem_id = head[:8].hex()
        if not new:
            raise _RowError("duplicate_problem", "the problem was seen before", problem_id)
        imported = [old, *(texts[n] for n in new)]
        self._known[key] = _pack(head[:8], head[8:], number + len(new), imported)
        return [
            replace(item.candidates[n], problem_id=problem_id, candidate=number + k)
            for k, n in enumerate(new)
        ]


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


def _next_number(candidates: Sequence[Candidate]) -> int:
    return candidates[-1].candidate + 1 if candidates else 0


def _pack(problem_id: bytes, answer: bytes, next_number: int, texts: Sequence[bytes]) -> bytes:
    return b"".join((problem_id, answer, next_number.to_bytes(4, "big"), *texts))
