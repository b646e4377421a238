"""Cells to values: reads text, answers, candidates and recorded labels out of one row.

Invariant: pure functions that never raise on what a row holds; what cannot be read is None or
comes back as a snake_case warning. Questions and rationales stay as they came, blanks and lines
too; only short values (gold answers, subjects) are folded.

A sample: row {"q": "3 + 4?", "sol": {"text": ["= 7", "= 8"], "ok": [true, false]}} with
candidates ("sol.text",) and correct ("sol.ok",) brings [Imported("= 7", True, None),
Imported("= 8", False, None)].
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tasks import answers
from tasks.intake.chat import TEXT_KEYS, read_chat, reply
from tasks.intake.sources import Fields, Unreadable


class _Missing:
    """No such column in this row; a column that holds null is None."""


MISSING: Final = _Missing()
_SURROGATE = re.compile("[\ud800-\udfff]")
_INNER_SPACE = re.compile(r"(?<=\S)[^\S\n]+(?=\S)")
_INDENTED = re.compile(r"\n[^\S\n]+\S")
_POSITION = re.compile(r"-?[0-9]{1,6}")
_BLANK_LINES = re.compile(r"\n{3,}")
_MAX_DEPTH = 4  # lists in lists, in an answer
# <|im_end|>, DeepSeek's full-width bars; a thought's own marks are plain text to Qwen's tokenizers.
_CONTROL = re.compile(
    r"<[|\uff5c](?!(?:begin|end)_of_(?:thought|solution)[|\uff5c]>)[^<>|\uff5c\s]{1,40}[|\uff5c]>"
    r"|<compress>"
)
_FLAGS = {
    "true": True, "1": True, "1.0": True, "yes": True, "correct": True,
    "false": False, "0": False, "0.0": False, "no": False, "wrong": False, "incorrect": False,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Imported:
    """A candidate as the row holds it: `text` None where the cell is empty or holds no text."""

    text: str | None
    correct: bool | None
    model: str | None


def lookup(value: object, path: str) -> object:
    """The value at a dotted path, or MISSING. A list on the way gives the list of what it holds,
    or, where the path has a number there, that item (from 0; -1 is the last).
    """
    if isinstance(value, list):
        first, _, rest = path.partition(".")
        if _POSITION.fullmatch(first):
            number = int(first)
            if not -len(value) <= number < len(value):
                return MISSING
            return lookup(value[number], rest) if rest else value[number]
        found = [lookup(item, path) if isinstance(item, dict) else MISSING for item in value]
        return MISSING if all(item is MISSING for item in found) else found
    if not isinstance(value, dict):
        return MISSING
    if path in value:
        found_here: object = value[path]
        return found_here
    head, dot, rest = path.partition(".")
    return lookup(value[head], rest) if dot and head in value else MISSING


def cell(row: Fields, column: str) -> object:
    """`lookup`; a conversation named by its texts ("messages.content") is that conversation."""
    value = lookup(row, column)
    owner, _, key = column.rpartition(".")
    if isinstance(value, list) and owner and key in TEXT_KEYS and column not in row:
        whole = lookup(row, owner)
        if read_chat(whole) is not None:
            return whole
    return value


def clean_text(text: str) -> tuple[str, tuple[str, ...]]:
    """Without NULs, lone surrogates as U+FFFD; and what was done, as warnings."""
    warnings = []
    if "\0" in text:
        text, warnings = text.replace("\0", ""), ["nul_removed"]
    text, count = _SURROGATE.subn("\ufffd", text)
    return text, (*warnings, *(["surrogate_replaced"] if count else []))


def as_it_came(text: str) -> str:
    """NFC with LF line ends, without the blank rim: what is inside stays, blanks and lines too.

    The first line keeps its indentation where others have one, for then it is a table's or code's.
    """
    whole = _lf(text).rstrip()
    bare = whole.lstrip()
    if not bare or "\n" not in bare or not _INDENTED.search(bare):
        return bare
    return whole[whole.rfind("\n", 0, len(whole) - len(bare)) + 1 :]


def _lf(text: str) -> str:
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))


def normalise(text: str) -> str:
    """One form for equal texts: NFC, LF line ends, single spaces (indentation kept), no rim."""
    text = _lf(text)
    lines = [_INNER_SPACE.sub(" ", line.rstrip()) for line in text.split("\n")]
    return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip()


def control_text(text: str) -> str | None:
    """The first control token that the text spells; our own encoder keeps it plain text."""
    found = _CONTROL.search(text)
    return found and found[0]


def to_text(value: object, *, depth: int = 0) -> str | None:
    """A cell as text: bools are yes and no, 51.0 is 51, lists are joined; None for nothing."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return _float_text(value)
    if isinstance(value, (list, tuple)) and depth < _MAX_DEPTH:
        texts = [text for item in value if (text := to_text(item, depth=depth + 1)) is not None]
        return ", ".join(texts) if texts else None
    if value is None or isinstance(value, (_Missing, Unreadable, dict, list, tuple, bytes)):
        return None
    return str(value)


def _float_text(value: float) -> str | None:
    if not math.isfinite(value):
        return None
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else str(value)


def answer_text(value: object) -> str | None:
    """The gold answer in a cell, normalised: a worked solution gives what it ends in, NaN None."""
    text = to_text(value)
    if text is None or text.strip().lower() in ("", "nan"):
        return None
    text = clean_text(text)[0]
    gold = answers.gold_answer(text) if isinstance(value, str) else text
    return normalise(gold) or None


def read_flag(value: object) -> bool | None:
    """A recorded label: bools, 0 and 1, true/false, yes/no, correct/wrong; else None."""
    if isinstance(value, (bool, int, float)):
        return None if value not in (0, 1) else bool(value)
    return _FLAGS.get(value.strip().lower()) if isinstance(value, str) else None


def flat(value: object) -> list[object]:
    """A cell as a list of values: a list as it is, a scalar (null too) or a conversation as one."""
    return list(value) if isinstance(value, list) and read_chat(value) is None else [value]


def align(row: Fields, columns: Sequence[str], sizes: Sequence[int]) -> list[object] | None:
    """One value a candidate out of parallel columns; None where they do not line up.

    `sizes` counts the candidates of each candidate column. One column may serve them all.
    """
    groups = [flat(lookup(row, column)) for column in columns]
    wanted = [sum(sizes)] if len(groups) == 1 else list(sizes)
    if [len(group) for group in groups] != wanted:
        return None
    return [value for group in groups for value in group]


def imported_candidates(
    row: Fields,
    texts: Sequence[str],
    correct: Sequence[str],
    models: Sequence[str],
) -> tuple[list[Imported], tuple[str, ...]]:
    """The row's candidates in column order, and warnings. Columns as in ColumnMapping."""
    groups = [flat(cell(row, column)) for column in texts]
    if not any(groups) or groups in ([[None]], [[MISSING]]):
        return [], ("no_candidates",)
    sizes, warnings = [len(group) for group in groups], []
    labels = align(row, correct, sizes) if correct else [None] * sum(sizes)
    if labels is None:
        warnings.append("labels_do_not_line_up")
        labels = [None] * sum(sizes)
    flags = [read_flag(label) for label in labels]
    if any(f is None and v is not None and v is not MISSING
           for f, v in zip(flags, labels, strict=True)):  # fmt: skip
        warnings.append("unreadable_label")
    values = [value for group in groups for value in group]
    names = _model_names(row, texts, models, sizes)
    read = [candidate_text(value) for value in values]
    if None in read:
        warnings.append("empty_candidate")
    found = [Imported(t, f, m) for t, f, m in zip(read, flags, names, strict=True)]
    return found, tuple(warnings)


def candidate_text(value: object) -> str | None:
    """A rationale as it came: of a conversation its last reply; None where there is no text."""
    if (chat := read_chat(value)) is not None:
        text = reply(chat)
    elif isinstance(value, list):
        text = None
    else:
        text = to_text(value)
    return text if text and text.strip() else None


def _model_names(
    row: Fields, texts: Sequence[str], models: Sequence[str], sizes: Sequence[int]
) -> list[str | None]:
    """By the model columns; else, where sibling objects hold the texts, the objects' names."""
    total = sum(sizes)
    if not models:
        owners = [column.rpartition(".")[0] for column in texts]
        is_family = len(texts) > 1 and all(owners) and len(set(owners)) == len(owners)
        named = owners if is_family else [None] * len(sizes)
        return [owner for owner, size in zip(named, sizes, strict=True) for _ in range(size)]
    values = align(row, models, sizes)
    if values is None and len(models) == 1:
        values = flat(lookup(row, models[0])) * total
    if values is None or len(values) != total:
        return [None] * total
    return [to_text(value) for value in values]
