"""What the commands of `litecot corpus` show: tables for eyes, one JSON object for programs.

A sample: `show_sizes(measure(Corpus("corpus")), as_json=True)`
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from rich.table import Table

from flows.progress.consoles import page
from flows.progress.text import print_json, say, shown
from infra.care.words import size

if TYPE_CHECKING:
    from infra.care.differing import Diff
    from infra.care.pruning import Prune
    from infra.care.sizes import Sizes


SHOWN = 8  # characters of an id, which commands take as its start; JSON has all of it


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Columns that hold numbers only, or sizes, are set to the right; nothing where no row is."""
    cells = [list(row) for row in rows]
    if not cells:
        return
    table = Table(header_style="bold")
    for number, name in enumerate(columns):
        is_text = any(isinstance(row[number], str) and not _is_size(row[number]) for row in cells)
        table.add_column(
            shown(name), justify="left" if is_text else "right", overflow="fold",
            no_wrap=not is_text,
        )  # fmt: skip
    for row in cells:
        table.add_row(*(shown(cell) for cell in row))
    page().print(table)


def _is_size(cell: str) -> bool:
    return cell[:1].isdigit() and cell.endswith(("bytes", "iB"))


def show_sizes(sizes: Sizes, *, as_json: bool) -> None:
    if as_json:
        print_json({"bytes": sizes.num_bytes, **asdict(sizes)})
        return
    print_table(
        ("table", "parts", "rows", "bytes", "tokens", "paid tokens", "superseded"),
        [
            (one.table, one.num_parts, one.num_rows, size(one.num_bytes), one.num_tokens,
             one.paid_tokens, size(one.superseded_bytes))
            for one in sizes.tables
            if one.num_parts or one.superseded_bytes
        ],
    )  # fmt: skip
    print_table(
        ("run", "recipe", "last seen", "rows", "about", "paid tokens", "weights"),
        [
            (one.run_id[:SHOWN], one.recipe or "(gone)", one.seen_at[:10], one.num_rows,
             size(one.num_bytes), one.paid_tokens, size(one.weights_bytes))
            for one in sizes.runs
        ],
    )  # fmt: skip
    print_table(
        ("rationales", "rows", "tokens", "text"),
        [(one.kind, one.num_rows, one.num_tokens, size(one.text_bytes)) for one in sizes.kinds],
    )
    print_table(("student", "bytes"), [(path, size(n)) for path, n in sizes.students.items()])
    files = [(kind, size(num_bytes)) for kind, num_bytes in sizes.files.items()]
    print_table(("files", "bytes"), [*files, ("all", size(sizes.num_bytes))])


def show_prune(planned: Prune, *, as_json: bool) -> None:
    if as_json:
        told = {f.name: getattr(planned, f.name) for f in fields(planned) if f.name != "gone"}
        told |= {"runs": [asdict(run) for run in planned.runs]}
        told |= {"rows": [asdict(row) for row in planned.rows], "bytes": planned.num_bytes}
        print_json(told)
        return
    print_table(
        ("run", "recipe", "last seen", "", "why"),
        [
            (
                one.run_id[:SHOWN],
                one.recipe,
                one.seen_at[:16],
                "stays" if one.stays else "goes",
                one.why,
            )
            for one in planned.runs
        ],
    )
    print_table(
        ("rows that go", "rows", "requests", "paid tokens"),
        [(one.table, one.num_rows, one.num_requests, one.num_tokens) for one in planned.rows],
    )
    files = [(kind, size(num_bytes)) for kind, num_bytes in planned.files.items()]
    print_table(("files that go", "bytes"), files)
    for unit in planned.units:
        say(f"  {unit}")
    if not planned.num_bytes:
        say("nothing goes: there is nothing to free")
        return
    say(f"frees {size(planned.num_bytes)} ({planned.num_bytes} bytes)")
    if planned.price:
        say(f"to make it again costs {planned.price}")


def show_diff(found: Diff, *, as_json: bool) -> None:
    if as_json:
        print_json({"equal": found.is_equal, **asdict(found)})
        return
    print_table(
        ("table", "only here", "only there", "differ", "made otherwise", "equal"),
        [
            (one.table, one.num_only_here, one.num_only_there, one.num_differing,
             one.num_measured, one.num_equal)
            for one in found.tables
            if any((one.num_only_here, one.num_only_there, one.num_differing, one.num_measured,
                    one.num_equal))
        ],
    )  # fmt: skip
    for one in found.tables:
        for row_id, columns in one.differing.items():
            say(f"{one.table} {row_id}: differs in {', '.join(columns)}")
    print_table(
        ("run", "recipe", "last seen", "where"),
        [(one.run_id[:SHOWN], one.recipe, one.seen_at[:16], one.where) for one in found.runs],
    )
    print_table(
        ("recipe", "setting of its latest run", "here", "there"),
        [(one.recipe, one.setting, _told(one.here), _told(one.there)) for one in found.settings],
    )
    say("the same rows are in both" if found.is_equal else "they differ")


def _told(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
