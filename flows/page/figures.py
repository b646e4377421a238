"""What the page is made of: figures with their words and their table, sections of them.

Invariant: a table's cells are text made here of a query's rows, and what a query could not know is
said by a dash; a figure has its finding in words and its table, whether or not it has a picture.

A sample: table(rows, "Funnel", {"stage": "step", "num_problems": ("problems", count)})
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from flows.page.drawing import drawn
from flows.progress.text import plain

if TYPE_CHECKING:
    from sql.database import Database

Row = Mapping[str, Any]
Rows = list[dict[str, Any]]
Form = Callable[[Any], str]
Columns = Mapping[str, str | tuple[str, Form]]
NONE = "–"  # noqa: RUF001
MOST_ROWS = 200  # of a table
MOST_LETTERS = 300  # of a cell
GAP = "\u202f"  # between thousands


@dataclass(frozen=True, kw_only=True)
class Column:
    title: str
    is_number: bool


@dataclass(frozen=True, kw_only=True)
class Table:
    """`num_more` rows are not shown."""

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    num_more: int = 0


@dataclass(frozen=True, kw_only=True)
class Figure:
    """`told`: the finding, in words; `svg` None: a table alone."""

    key: str
    title: str
    told: str
    table: Table
    svg: Markup | None = None


@dataclass(frozen=True, kw_only=True)
class Section:
    """`nothing`: said instead of figures where there are none."""

    key: str
    title: str
    intro: str = ""
    figures: Sequence[Figure] = ()
    nothing: str = ""
    notes: Sequence[str] = field(default=())


def table(rows: Sequence[Row], caption: str, columns: Columns) -> Table:
    """`columns`: a row's key -> its heading, of a number with what writes it."""
    named = {key: (told, words) if isinstance(told, str) else told for key, told in columns.items()}
    return Table(
        caption=caption,
        columns=[
            Column(title=title, is_number=form is not words) for title, form in named.values()
        ],
        rows=[[form(row[key]) for key, (_, form) in named.items()] for row in rows[:MOST_ROWS]],
        num_more=max(len(rows) - MOST_ROWS, 0),
    )


def figure(key: str, title: str, told: str, numbers: Table, chart: Any) -> Figure:
    """`chart`: None for a table alone."""
    svg = None if chart is None else drawn(chart, key=key, title=title, told=told)
    return Figure(key=key, title=title, told=told, table=numbers, svg=svg)


def rows_of(database: Database, kind: str, name: str) -> Rows:
    """Of sql/<kind>/<name>.sql."""
    return database.run_file(kind, name).records()


def plainly(rows: Rows, *keys: str) -> Rows:
    """With names as they may be shown."""
    return [{**row, **{key: shortened(words(row[key]), 40) for key in keys}} for row in rows]


def words(value: Any) -> str:
    """Text of a cell or a label: safe to show, not long."""
    text = plain(value)
    return shortened(text, MOST_LETTERS) if text else NONE


def shortened(text: str, most: int) -> str:
    """Its beginning, where it is longer."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def count(value: Any) -> str:
    """12 345."""
    return NONE if value is None else f"{int(value):,}".replace(",", GAP)


def amount(value: Any) -> str:
    """A measured number: 12 345, 123.4, 0.1235."""
    if value is None or not math.isfinite(value):
        return NONE
    size = abs(value)
    digits = 0 if size >= 1000 else 1 if size >= 10 else 2 if size >= 1 else 4
    return f"{value:,.{digits}f}".replace(",", GAP)


def share(value: Any) -> str:
    """12.3%."""
    return NONE if value is None else f"{value:.1%}"


def seconds(value: Any) -> str:
    """ "3.2 s", "4 min 5 s", "2 h 3 min"."""
    if value is None:
        return NONE
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def spoken(name: Any) -> str:
    """A snake_case word for people."""
    return words(str(name).replace("_", " "))


def listed(parts: Sequence[str]) -> str:
    """ "a, b and c"."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
