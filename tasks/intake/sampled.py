"""The first rows of a source seen by column, for choosing among its columns.

Invariant: nothing is decided here; a fault is an IngestError that names the columns there are and
the flag that settles it. A sample: Table("a.jsonl", [{"question": "Q", "meta": {"gt": 7}}]).columns
is {"question": None, "meta.gt": None}.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tasks.intake.chat import read_chat
from tasks.intake.choices import Options, read_options
from tasks.intake.sources import Fields, IngestError
from tasks.intake.values import MISSING, candidate_text, cell, flat, lookup

MAX_COLUMNS_NAMED = 30
MAX_VALUE_CHARS = 40  # of a cell, in a message


class Table:
    """The first rows of a source, seen by column: a column of objects shows as its parts."""

    def __init__(self, name: str, rows: Sequence[Fields]) -> None:
        self.name = name
        self.rows = rows
        self.columns: dict[str, None] = {}
        for row in rows:
            for key, value in row.items():
                parts = [f"{key}.{part}" for part in value] if isinstance(value, dict) else [key]
                self.columns.update(dict.fromkeys(parts))
                for item in flat(value) if isinstance(value, list) else ():
                    if isinstance(item, dict):
                        self.columns.update(dict.fromkeys(f"{key}.{part}" for part in item))

    def is_chat(self, column: str, *, ends: bool = False) -> bool:
        """Whether it holds conversations; `ends`: with a reply in one."""
        held = [cell(row, column) for row in self.rows]
        if not any(read_chat(value) is not None for value in held):
            return False
        return not ends or any(candidate_text(value) for value in held)

    def holds_texts(self, column: str, kind: type | tuple[type, ...] = object) -> bool:
        """Whether a row has a text there, read as a candidate's is."""
        held = [value for row in self.rows for value in flat(cell(row, column))]
        return any(isinstance(value, kind) and candidate_text(value) for value in held)

    def error(self, problem: str, flag: str) -> IngestError:
        shown = ", ".join(list(self.columns)[:MAX_COLUMNS_NAMED]) or "none"
        more = ", ..." if len(self.columns) > MAX_COLUMNS_NAMED else ""
        return IngestError(f"{self.name}: {problem}; columns: {shown}{more}; name it with {flag}")

    def has(self, column: str) -> bool:
        return any(lookup(row, column) is not MISSING for row in self.rows)

    def named(self, names: Sequence[str]) -> list[str]:
        return [column for name in names for column in self.columns if column.lower() == name]

    def first(self, names: Sequence[str], *, but: Sequence[str] = ()) -> str | None:
        """`but`: columns that serve already, or parts of these."""
        used = [column for column in self.named(names) if not is_within(column, but)]
        return next(iter(used), None)

    def whole(self, names: Sequence[str]) -> list[str]:
        """Columns of these names, objects as they are, at the top or one level down."""
        roots = dict.fromkeys(key for row in self.rows for key in row)
        every = dict.fromkeys((*roots, *self.columns))
        return [c for name in names for c in every if c.lower().rpartition(".")[2] == name]

    def options(self, columns: Sequence[str]) -> list[Options | None]:
        """Of each row; None also where they cannot be read."""
        found: list[Options | None] = []
        for row in self.rows:
            try:
                found.append(read_options([cell(row, column) for column in columns]))
            except ValueError:
                found.append(None)
        return found

    def is_list_of_options(self, column: str) -> bool:
        held = [cell(row, column) for row in self.rows]
        if any(isinstance(value, str) or read_chat(value) for value in held):
            return False
        return any(self.options([column]))

    def guess(
        self, flag: str, names: Sequence[str], read: Callable[[object], object]
    ) -> str | None:
        found = self.choose(flag, [(name,) for name in self.named(names)], read)
        return found[0] if found else None

    def choose(
        self,
        flag: str,
        options: Sequence[tuple[str, ...]],
        read: Callable[[object], object],
    ) -> tuple[str, ...]:
        """The first option, if the others say the same on every row that has both."""
        for other in options[1:]:
            for row in self.rows:
                pair = [[read(lookup(row, c)) for c in option] for option in (options[0], other)]
                if pair[0] != pair[1] and all(None not in values for values in pair):
                    raise self.error(difference((options[0], other), pair), flag)
        return options[0] if options else ()


def difference(options: Sequence[tuple[str, ...]], pair: Sequence[list[object]]) -> str:
    one, two = ("+".join(option) for option in options)
    shown = [" ".join(repr(values[0]).split())[:MAX_VALUE_CHARS] for values in pair]
    return f"both {one} and {two} could be meant, and they differ ({shown[0]} and {shown[1]})"


def is_within(column: str, used: Sequence[str]) -> bool:
    return any(column == one or column.startswith(f"{one}.") for one in used)
