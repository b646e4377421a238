"""Which column holds what: what the user said, and a guess for what was left unsaid.

Invariant: a guess is made only where it is safe. Columns that could both be meant must agree on
the rows looked at; otherwise, or where there is none, IngestError names the columns there are and
the flag that settles it. Every guess is reported in Resolved.guessed.

A sample: of {"question": "Q", "gt": 7, "code": "3 + 4"} resolve_columns makes
ColumnMapping(question="question", answer="gt", candidates=("code",)).
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks.intake.chat import CHAT_NAMES
from tasks.intake.choices import (
    GOLD_NAMES,
    OPTION_NAMES,
    Options,
    Reading,
    option_families,
    reading_of,
    which,
)
from tasks.intake.columns import ColumnMapping, Resolved, SourceConfig
from tasks.intake.sampled import Table, difference, is_within
from tasks.intake.sources import Fields, IngestError, Source
from tasks.intake.values import (
    MISSING,
    align,
    answer_text,
    candidate_text,
    cell,
    flat,
    lookup,
    normalise,
    read_flag,
    to_text,
)
from tasks.intake.wording import wording

QUESTION_NAMES = (
    "question", "problem", "prompt", "input", "question_stem", "stem", "question.stem"
)  # fmt: skip
ANSWER_NAMES = (
    "answer", "gt", "gold", "final_answer", "ground_truth", "target", "gt_answer", "gold_answer"
)  # fmt: skip
CANDIDATE_NAMES = (
    "rationale", "rationales", "solution", "solutions", "code", "model_outputs", "generations",
    "completion", "completions", "response", "responses", "candidates", "candidate",
)  # fmt: skip
CORRECT_NAMES = (
    "is_correct", "correct", "per_sample_correct", "recorded_correct", "correctness",
    "score", "scores",
)  # fmt: skip
SUBJECT_NAMES = ("subject", "topic", "category", "type")
MODEL_NAMES = ("candidate_model", "model", "model_name")
# Beside a question column these hold a part of the question: leaving them out is not safe.
QUESTION_PARTS = ("body", "context", "passage", "choices", "options", "instruction")
TEXT_NAMES = ("text", "content", "response", "solution", "output", "rationale", "completion",
              "generation", "reasoning", "value")  # fmt: skip  # of an object that is a candidate
FLAG = "--candidates-column"


def resolve_columns(
    source: Source, rows: Sequence[Fields], config: SourceConfig, *, has_gold: bool = True
) -> Resolved:
    """Settles the columns on the first rows of the source. Raises IngestError.

    Without `has_gold` whatever column stands for the answer is not looked at.
    """
    table = Table(source.name, rows)
    given = _options_apart(table, config.columns)
    _check_given(table, given, config.candidates)
    found: dict[str, str | tuple[str, ...] | None] = {}
    if not given.question:
        found["question"] = _guess_question(table)
    if not given.options and config.options == "guess":
        found["options"] = _guess_options(table, given, has_gold=has_gold)
    known = given.model_copy(update={k: v for k, v in found.items() if v})
    if not given.question and (part := table.first(QUESTION_PARTS, but=known.options)):
        columns = f"--question-column {part} --question-column {known.question}"
        raise table.error(
            f"column {part} may belong to the question, beside {known.question}",
            f"--question-column {known.question}, or once for each part: {columns}",
        )
    if given.answer is None:
        found["answer"] = _guess_answer(table, known)
    if given.subject is None:
        found["subject"] = table.first(SUBJECT_NAMES, but=known.options)
    if given.answer_type is None:
        found["answer_type"] = table.first(("answer_type",))
    known = known.model_copy(update={k: v for k, v in found.items() if v})
    reading = Reading()
    if known.options and has_gold:
        reading = _reading(table, known.answer_columns(), table.options(known.options))
    if config.candidates == "ignore":
        known = known.model_copy(update={"candidates": (), "correct": (), "candidate_model": ()})
    else:
        known, more = _guess_candidates(table, known, is_required=config.candidates == "require")
        found |= more
    guessed = tuple(name for name, value in found.items() if value)
    return Resolved(source=source, columns=known, guessed=guessed, reading=reading)


def _options_apart(table: Table, given: ColumnMapping) -> ColumnMapping:
    """Lists of options that are named as parts of the question are its options."""
    columns = given.question_columns()
    apart = tuple(c for c in columns[1:] if not given.options and table.is_list_of_options(c))
    if not apart:
        return given
    asked = tuple(column for column in columns if column not in apart)
    return given.model_copy(update={"question": asked, "options": apart})


def _check_given(table: Table, given: ColumnMapping, candidates: str) -> None:
    flags = {
        "--question-column": given.question_columns(),
        "--options-column": given.options,
        "--answer-column": given.answer_columns(),
        "--subject-column": given.subject_columns(),
        "--answer-type-column": given.answer_type_columns(),
        "family in the benchmark's file:": given.family_columns(),
    }
    if candidates != "ignore":
        flags["--candidates-column"] = given.candidates
        flags["--correct-column"] = given.correct
        flags["--candidate-model-column"] = given.candidate_model
    for flag, columns in flags.items():
        for column in columns:
            if not table.has(column):
                raise table.error(f"no column {column!r}", flag)
    if given.options and not any(table.options(given.options)):
        named = ", ".join(given.options)
        raise table.error(f"column {named} holds no options", "--options-column")
    for column in flags.get("--candidates-column", ()):
        if (inside := _texts_inside(table, column)) and not table.holds_texts(column):
            raise table.error(f"column {column} holds objects, no texts", f"{FLAG} {inside[0]}")
    for flag in ("--correct-column", "--candidate-model-column"):
        count = len(flags.get(flag, ()))
        if given.candidates and count not in (0, 1, len(given.candidates)):
            raise IngestError(
                f"{table.name}: {flag} is given {count} times and --candidates-column"
                f" {len(given.candidates)} times: give one each, in the same order"
            )


def _guess_question(table: Table) -> str:
    named = table.named(QUESTION_NAMES)
    texts = [column for column in named if not table.is_chat(column)]
    chats = [column for column in (*named, *table.whole(CHAT_NAMES)) if table.is_chat(column)]
    found = table.choose("--question-column", [(name,) for name in texts], _question_text)
    if not found and not chats:
        raise table.error("no column that could be the question", "--question-column")
    return found[0] if found else chats[0]


def _guess_options(table: Table, given: ColumnMapping, *, has_gold: bool) -> tuple[str, ...]:
    """Columns that read as options of which the gold names one; () where none do."""
    taken = given.all_columns() if has_gold else given.question_columns()
    single = [(column,) for column in table.whole(OPTION_NAMES)]
    for columns in (*single, *option_families(list(table.columns))):
        options = table.options(columns)
        if any(column in taken for column in columns) or not any(options):
            continue
        if not has_gold:
            return columns
        answers = given.answer_columns()
        golds = [answers] if answers else [(c,) for c in _gold_columns(table, columns)]
        if any(_share_read(table, gold, options) >= 0.5 for gold in golds):
            return columns
    return ()


def _gold_columns(table: Table, options: Sequence[str]) -> list[str]:
    return [c for c in table.named((*ANSWER_NAMES, *GOLD_NAMES)) if not is_within(c, options)]


def _share_read(table: Table, columns: Sequence[str], options: Sequence[Options | None]) -> float:
    """Of the rows with options and a gold the share whose gold names one."""
    reading = _reading(table, columns, options)
    read = [
        which(value, one, reading) is not None
        for row, one in zip(table.rows, options, strict=True)
        if one and (value := _gold_cell(row, columns)) not in (None, MISSING, "")
    ]
    return sum(read) / len(read) if read else 0.0


def _reading(table: Table, columns: Sequence[str], options: Sequence[Options | None]) -> Reading:
    pairs = zip(table.rows, options, strict=True)
    return reading_of([(_gold_cell(row, columns), one) for row, one in pairs if one])


def _gold_cell(row: Fields, columns: Sequence[str]) -> object:
    values = [lookup(row, column) for column in columns]
    return values[0] if len(values) == 1 else values


def _guess_answer(table: Table, known: ColumnMapping) -> str:
    """Beside options a column that names one of them; elsewhere by its name alone."""
    flag = "--answer-column"
    if known.options:
        options = table.options(known.options)
        columns = _gold_columns(table, known.options)
        columns = [c for c in columns if _share_read(table, (c,), options) >= 0.5]
        if columns:
            _agree(table, columns, options)
            return columns[0]
    if not (found := table.guess(flag, ANSWER_NAMES, _gold_wording)):
        raise table.error("no column that could be the answer", flag)
    return found


def _gold_wording(value: object) -> str | None:
    """Of two columns that spell one gold otherwise (\\dfrac, \\frac) the first will do."""
    gold = answer_text(value)
    return None if gold is None else wording(gold)


def _agree(table: Table, columns: Sequence[str], options: Sequence[Options | None]) -> None:
    """Raises IngestError where two columns name different options."""
    for other in columns[1:]:
        pair = (columns[0], other)
        readings = [_reading(table, (column,), options) for column in pair]
        for row, one in zip(table.rows, options, strict=True):
            values = [lookup(row, column) for column in pair]
            golds = [one and which(v, one, r) for v, r in zip(values, readings, strict=True)]
            if golds[0] and golds[1] and golds[0].numbers != golds[1].numbers:
                what = difference(((pair[0],), (pair[1],)), [[value] for value in values])
                raise table.error(what, "--answer-column")


def _question_text(value: object) -> str | None:
    text = to_text(value)
    return None if text is None else normalise(text)


def _guess_candidates(
    table: Table, known: ColumnMapping, *, is_required: bool
) -> tuple[ColumnMapping, dict[str, str | tuple[str, ...] | None]]:
    found: dict[str, str | tuple[str, ...] | None] = {}
    if not known.candidates:
        taken = set(known.all_columns())
        options = [o for o in _families(table, CANDIDATE_NAMES) if not taken & set(o)]
        options = [tuple(_with_texts(table, c) for c in option) for option in options]
        found["candidates"] = table.choose(FLAG, options, _texts)
        if not found["candidates"]:
            chats = (*known.question_columns(), *table.whole(CHAT_NAMES))
            found["candidates"] = next(((c,) for c in chats if table.is_chat(c, ends=True)), ())
        if is_required and not found["candidates"]:
            raise table.error("no column that could be the candidates", FLAG)
        known = known.model_copy(update=found)
    if known.candidates and not known.correct:
        beside = _label_options(table, known.candidates)
        options = [option for option in beside if _are_labels(table, known, option)]
        found["correct"] = table.choose("--correct-column", options, _flags)
    if known.candidates and not known.candidate_model and (model := table.first(MODEL_NAMES)):
        found["candidate_model"] = (model,)
    return known.model_copy(update=found), found


def _with_texts(table: Table, column: str) -> str:
    """The column, or the texts in the objects it holds. Raises IngestError where it is unclear."""
    inside = _texts_inside(table, column)
    if not inside or table.holds_texts(column):
        return column
    named = [c for name in TEXT_NAMES for c in inside if c.rpartition(".")[2].lower() == name]
    if len(named) == 1 or len(inside) == 1:
        return (named or inside)[0]
    raise table.error(f"column {column} holds objects, no texts", f"{FLAG} {(named or inside)[0]}")


def _texts_inside(table: Table, column: str) -> list[str]:
    """Columns of texts in the objects that a column, or a list in it, holds."""
    held = [value for row in table.rows for value in flat(lookup(row, column))]
    keys = dict.fromkeys(key for value in held if isinstance(value, dict) for key in value)
    return [f"{column}.{key}" for key in keys if table.holds_texts(f"{column}.{key}", str)]


def _families(table: Table, names: Sequence[str]) -> list[tuple[str, ...]]:
    """Columns of these names; those of one name inside sibling objects go together."""
    inside = [[c for c in table.columns if c.lower().endswith(f".{name}")] for name in names]
    return [*((c,) for c in table.named(names)), *(tuple(group) for group in inside if group)]


def _label_options(table: Table, candidates: Sequence[str]) -> list[tuple[str, ...]]:
    owners = [column.rpartition(".")[0] for column in candidates]
    if not all(owners):
        return [(column,) for column in table.named(CORRECT_NAMES)]
    beside = [tuple(f"{owner}.{name}" for owner in owners) for name in CORRECT_NAMES]
    return [option for option in beside if all(column in table.columns for column in option)]


def _are_labels(table: Table, known: ColumnMapping, option: tuple[str, ...]) -> bool:
    """Whether these columns hold a readable label for each candidate of each row."""
    for row in table.rows:
        texts = [cell(row, column) for column in known.candidates]
        if not any(_texts(value) for value in texts):
            continue
        labels = align(row, option, [len(flat(value)) for value in texts])
        if labels is None or any(_is_unreadable(label) for label in labels):
            return False
    return True


def _is_unreadable(label: object) -> bool:
    return label is not None and label is not MISSING and read_flag(label) is None


def _texts(value: object) -> list[str | None] | None:
    texts = [candidate_text(item) for item in flat(value)]
    return texts if any(texts) else None


def _flags(value: object) -> list[bool | None]:
    return [read_flag(item) for item in flat(value)]
