"""Options of a multiple choice, however a source holds them, and which of them the gold names.

Invariant: pure; options are listed as (A), (B), ... whatever their own labels are, and a gold that
could name two of them says so.

A sample: read_options([["4", "6", "7"]]) is Options(("4", "6", "7")), whose lines are "(A) 4",
"(B) 6", "(C) 7"; which(2, options, Reading()) is Gold((2,)): option (C).
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tasks import answers
from tasks.intake.values import clean_text, flat, to_text
from tasks.intake.wording import wording

LETTERS = "ABCDEFGHIJ"  # what the verifier reads
MAX_LITERAL_CHARS = 100_000  # of a list written as text, in CSV
OPTION_NAMES = (
    "choices", "options", "choice", "option", "answer_choices", "endings", "alternatives",
    "choice_list", "option_list",
)  # fmt: skip
# Beside options these may hold the gold, too.
GOLD_NAMES = (
    "answerkey", "answer_key", "answer_index", "answer_idx", "answer_letter", "correct_answer",
    "correct_option", "correct_choice", "correct_index", "correct_idx", "correct_letter",
    "gold_index", "target_index", "label", "cop", "correct",
)  # fmt: skip
_ONE_EACH = re.compile(r"(|op|opt|option|choice|ending)[_ ]?([a-j]|[0-9])", re.IGNORECASE)
_TEXT_KEYS = ("text", "content", "value", "option", "choice", "answer")
_LABEL_KEYS = ("label", "key", "letter", "id", "option_label", "name")
_LABELLED = re.compile(r"\s*[(\[]?([A-Ja-j])\s?[)\].:]\s*(\S.*)", re.DOTALL)
_INLINE = re.compile(r"(?:^|[\s,;|])[(\[]?([A-Ja-j])\s?[)\].:]\s*(?=\S)")
_LETTER = re.compile(r"(?:option\s|choice\s)?[(\[]?([A-Ja-j])[)\].:]?", re.IGNORECASE)
_DRESS = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|boxed|mbox)\s*\{([^{}]*)\}")
_WHOLE = re.compile(r"[0-9]{1,3}")


@dataclass(frozen=True, slots=True)
class Options:
    """The texts of the options, and the source's own labels where it has some."""

    texts: tuple[str, ...]
    labels: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        return [f"({LETTERS[n]}) {text}" for n, text in enumerate(self.texts)]

    def are_in(self, question: str) -> bool:
        """Whether the question lists them already."""
        return all(
            re.search(rf"(?:^|[\s(\[]){LETTERS[n]}[)\].:]\s*{re.escape(text)}", question)
            for n, text in enumerate(self.texts)
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """How a source's gold column counts: positions from `base`; `is_sure` where rows showed it.

    `by_text`: every gold looked at is an option's text, so a number is no position.
    """

    base: int = 0
    is_sure: bool = False
    by_text: bool = False


@dataclass(frozen=True, slots=True)
class Gold:
    """The options a gold names, by number from 0; `is_ambiguous`: it could have named others."""

    numbers: tuple[int, ...]
    is_ambiguous: bool = False

    def letters(self) -> str:
        return ",".join(LETTERS[number] for number in self.numbers)


def option_families(columns: Sequence[str]) -> list[tuple[str, ...]]:
    """Columns that hold an option each: A, B, C, D; op1 .. op4; choice_a .. choice_d."""
    groups: dict[str, dict[str, str]] = {}
    for column in columns:
        if found := _ONE_EACH.fullmatch(column):
            groups.setdefault(found[1].lower(), {})[found[2].lower()] = column
    found_families = []
    for prefix, members in groups.items():
        for start in ("a", "0", "1"):
            marks = [chr(ord(start) + n) for n in range(len(LETTERS))]
            run = [members[m] for n, m in enumerate(marks) if all(k in members for k in marks[:n])
                   and m in members]  # fmt: skip
            if len(run) > 1 and (prefix or start == "a"):
                found_families.append(tuple(run))
                break
    return found_families


def read_options(cells: Sequence[object]) -> Options | None:
    """The options of a row: one cell that holds them all, or a cell each; None where it has none.

    Raises ValueError where there are too many, or one is empty.
    """
    options = _from_cell(cells[0]) if len(cells) == 1 else _from_cells(cells)
    if options is None or len(options.texts) < 2:
        return None
    if len(options.texts) > len(LETTERS):
        raise ValueError(f"{len(options.texts)} options, more than {len(LETTERS)}")
    if not all(options.texts):
        raise ValueError(f"option ({LETTERS[options.texts.index('')]}) is empty")
    return options


def _from_cells(cells: Sequence[object]) -> Options | None:
    texts = ["" if isinstance(cell, (list, dict)) else _text(cell) for cell in cells]
    while texts and not texts[-1]:  # of a table whose questions have unequally many
        texts.pop()
    return Options(tuple(texts)) if texts else None


def _from_cell(cell: object) -> Options | None:
    if isinstance(cell, str):
        cell = _literal(cell) or _split(cell)
    if isinstance(cell, dict):
        return _from_object(cell)
    if not isinstance(cell, (list, tuple)) or not cell:
        return None
    if all(isinstance(item, dict) for item in cell):
        return _from_objects(list(cell))
    if any(isinstance(item, (dict, list, tuple, bytes)) for item in cell):
        return None
    return _unlabelled([_text(item) for item in cell])


def _from_object(cell: dict[object, object]) -> Options | None:
    """ARC's {"text": [...], "label": [...]}, or {"A": "4", "B": "6"}."""
    lists = {str(key).lower(): item for key, item in cell.items() if isinstance(item, list)}
    texts = next((lists[key] for key in (*_TEXT_KEYS, "choices", "texts") if key in lists), None)
    if texts is not None:
        labels = next((lists[key] for key in (*_LABEL_KEYS, "labels") if key in lists), [])
        return Options(tuple(map(_text, texts)), _labels(labels, texts))
    keys = [str(key) for key in cell]
    families = option_families(keys)
    if len(families) != 1 or set(families[0]) != set(keys):
        return None
    by_key = {str(key): item for key, item in cell.items()}
    options = _from_cells([by_key[key] for key in families[0]])
    if options is None:
        return None
    return Options(options.texts, tuple(families[0][: len(options.texts)]))


def _from_objects(cell: list[dict[str, object]]) -> Options | None:
    """[{"label": "A", "text": "4"}, ...], or [{"A": "4"}, {"B": "6"}]."""
    if all(len(item) == 1 for item in cell) and not any(set(item) & set(_TEXT_KEYS)
                                                        for item in cell):  # fmt: skip
        return _from_object({key: value for item in cell for key, value in item.items()})
    key = next((key for key in _TEXT_KEYS if all(key in item for item in cell)), None)
    if key is None:
        return None
    texts = [item[key] for item in cell]
    label = next((k for k in _LABEL_KEYS if k != key and all(k in item for item in cell)), None)
    labels = [item[label] for item in cell] if label else []
    return Options(tuple(map(_text, texts)), _labels(labels, texts))


def _labels(labels: Sequence[object], texts: Sequence[object]) -> tuple[str, ...]:
    found = tuple(map(_text, labels))
    return found if len(found) == len(texts) == len(set(found)) else ()


def _unlabelled(texts: list[str]) -> Options:
    """Without the letters the texts bring themselves: "A)21", "B)21.5"."""
    marked = [_LABELLED.match(text) for text in texts]
    letters = "".join(found[1].upper() for found in marked if found)
    if letters and letters == LETTERS[: len(texts)]:
        return Options(tuple(found[2].strip() for found in marked if found))
    return Options(tuple(texts))


def _literal(text: str) -> object:
    """A list or an object written as text, as in CSV; None where it is none."""
    bare = text.strip()
    if bare[:1] not in ("[", "{") or len(bare) > MAX_LITERAL_CHARS:
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            value: object = read(bare)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        return value if isinstance(value, (list, dict)) else None
    return None


def _split(text: str) -> object:
    """The options of "a ) 38 , b ) 27" and of "A. 38\nB. 27"; None where it is no such text."""
    marks = list(_INLINE.finditer(text))
    in_order: list[re.Match[str]] = []
    for mark in marks:
        if len(in_order) < len(LETTERS) and mark[1].upper() == LETTERS[len(in_order)]:
            in_order.append(mark)
    if len(in_order) < 2 or text[: in_order[0].start()].strip():
        return None
    ends = [*(mark.start() for mark in in_order[1:]), len(text)]
    return [text[m.end() : end].strip(" ,;|\n") for m, end in zip(in_order, ends, strict=True)]


def _text(value: object) -> str:
    text = None if isinstance(value, (dict, list)) else to_text(value)
    return "" if text is None else clean_text(text)[0].strip()


def which(value: object, options: Options, reading: Reading) -> Gold | None:
    """The options that the gold in a cell names; None where it names none."""
    if isinstance(value, list):
        found = [which(item, options, reading) for item in value]
        if not found or None in found:
            return None
        golds = [gold for gold in found if gold is not None]
        numbers = tuple(sorted({number for gold in golds for number in gold.numbers}))
        return Gold(numbers, any(gold.is_ambiguous for gold in golds))
    text = to_text(value)
    if text is None or not (text := text.strip()):
        return None
    if isinstance(value, str) and _read(text, options, reading) is None:
        text = answers.gold_answer(text).strip()
    return _read(text, options, reading) or _several(text, options, reading)


def _read(text: str, options: Options, reading: Reading) -> Gold | None:
    """By the source's own label, then letter, position, text; what reads otherwise is a doubt."""
    by_label = _index([label.casefold() for label in options.labels], _bare(text).casefold())
    ways = [by_label, _by_letter(text, options)]
    position = None if by_label is not None else _position(text, options, reading)
    by_text = _by_text(text, options)
    ways += [by_text, position] if reading.by_text else [position, by_text]
    read = [number for number in ways if number is not None]
    if not read:
        return None
    is_unsure = read[0] == position and not (reading.is_sure or reading.by_text)
    return Gold((read[0],), is_ambiguous=len(set(read)) > 1 or (is_unsure and by_text != position))


def _several(text: str, options: Options, reading: Reading) -> Gold | None:
    """ "A, C" and "AC" where options are letters; None else."""
    parts = re.split(r"\s*(?:,|;|&|\band\b)\s*", text)
    if len(parts) < 2 or not all(_LETTER.fullmatch(part) for part in parts):
        return None
    return which(parts, options, reading)


def _bare(text: str) -> str:
    return text.strip(" ()[].:$")


def _index(texts: Sequence[str], text: str) -> int | None:
    return texts.index(text) if texts.count(text) == 1 else None


def _by_letter(text: str, options: Options) -> int | None:
    """Of "C", "(C)", "C.", and of "(C) 7" where 7 is what option C says; whatever LaTeX dresses."""
    text = _DRESS.sub(r"\1", text.strip(" $"))
    if found := _LETTER.fullmatch(text):
        number = LETTERS.index(found[1].upper())
        return number if number < len(options.texts) else None
    if found := _LABELLED.match(text):
        number = LETTERS.index(found[1].upper())
        if number < len(options.texts) and wording(found[2]) == wording(options.texts[number]):
            return number
    return None


def _position(text: str, options: Options, reading: Reading) -> int | None:
    if not _WHOLE.fullmatch(text):
        return None
    number = int(text) - reading.base
    return number if 0 <= number < len(options.texts) else None


def _by_text(text: str, options: Options) -> int | None:
    exact = _index(options.texts, text)
    return exact if exact is not None else _index(list(map(wording, options.texts)), wording(text))


def reading_of(rows: Sequence[tuple[object, Options]]) -> Reading:
    """How a gold column counts, by rows of it beside their options."""
    held = [(one, options) for value, options in rows for one in flat(value)]
    texts = [(text.strip(), options) for value, options in held if (text := to_text(value))]
    positions = [
        (int(text), len(options.texts))
        for text, options in texts
        if _WHOLE.fullmatch(text) and _bare(text) not in options.labels
    ]
    by_text = bool(texts) and all(_by_text(text, options) is not None for text, options in texts)
    if any(number == 0 for number, _ in positions):
        return Reading(base=0, is_sure=True, by_text=by_text)
    if any(number == count for number, count in positions):
        return Reading(base=1, is_sure=True, by_text=by_text)
    return Reading(by_text=by_text)
