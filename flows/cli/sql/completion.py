"""What Tab offers in the shell, and what Enter does. Pure but for prompt_toolkit's types.

Invariant: behind FROM and JOIN come relations; behind `name.` the columns of the relation that the
name stands for; else columns of the relations a statement names, then relations and keywords.

    offered("select st from funnel", "st", COLUMNS, [".help"])  ->  ["stage", "stg_candidates", ...]
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from flows.cli.display import FORMATS

Columns = Mapping[str, Sequence[tuple[str, str]]]  # relation -> its columns and their types

KEYWORDS = (
    "select", "from", "where", "group", "by", "order", "limit", "join", "left", "using", "on",
    "as", "and", "or", "not", "in", "is", "null", "distinct", "having", "union", "all", "with",
    "case", "when", "then", "else", "end", "between", "like", "ilike", "exclude", "desc", "asc",
    "count", "sum", "avg", "min", "max", "median", "round", "explain", "describe", "summarize",
    "show", "tables", "unnest", "filter", "over", "partition", "qualify", "sample", "exists",
    "coalesce", "cast", "true", "false", "arg_max", "arg_min", "list", "quantile_cont",
    "regexp_matches",
)  # fmt: skip
_WORD = re.compile(r"[\w.]*$")
_BEFORE = re.compile(r"\b(from|join|describe|summarize)\s+[\w.]*$", re.IGNORECASE)
_NAMED = re.compile(
    r"\b(?:from|join)\s+(\w+)"
    r"(?:\s+(?:as\s+)?(?!(?:where|join|left|using|on|group|order|limit)\b)(\w+))?",
    re.IGNORECASE,
)


class SqlCompleter(Completer):
    """See offered."""

    def __init__(self, columns: Columns, *, commands: Sequence[str]) -> None:
        self._columns, self._commands = columns, commands

    def get_completions(self, document: Document, _: CompleteEvent) -> Iterator[Completion]:
        """See Completer."""
        before = document.text_before_cursor
        found = _WORD.search(before)
        word = found[0] if found else ""
        for text, meta in offered(before, document.text, self._columns, self._commands):
            typed = word.rpartition(".")[2] if "." in word[1:] else word
            yield Completion(text, start_position=-len(typed), display_meta=meta)


def offered(
    before: str, statement: str, columns: Columns, commands: Sequence[str]
) -> list[tuple[str, str]]:
    """What the word at the end of `before` may become, and what it is."""
    if before.lstrip().startswith("."):
        return _of_command(before.lstrip(), columns, commands)
    found = _WORD.search(before)
    word = (found[0] if found else "").lower()
    named = {(alias or name).lower(): name for name, alias in _NAMED.findall(statement)}
    named |= {name: name for name in named.values()}
    owner, dot, start = word.rpartition(".")
    if dot:
        return _starting(start, columns.get(named.get(owner, owner), ()))
    tables = [(name, "relation") for name in sorted(columns)]
    if _BEFORE.search(before):
        return _starting(word, tables)
    own = [column for name in dict.fromkeys(named.values()) for column in columns.get(name, ())]
    keywords = [(name, "") for name in KEYWORDS]
    return _starting(word, [*dict(own).items(), *keywords, *tables]) if word else own


def _of_command(text: str, columns: Columns, commands: Sequence[str]) -> list[tuple[str, str]]:
    name, blank, argument = text.partition(" ")
    if not blank:
        return _starting(name, [(command, "") for command in commands])
    if name == ".schema":
        return _starting(argument, [(relation, "relation") for relation in sorted(columns)])
    if name == ".mode":
        return _starting(argument, [(mode, "") for mode in FORMATS])
    return []


def _starting(start: str, names: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those that begin so; else those that hold it, for `runs` is stg_runs."""
    start = start.lower()
    first = [item for item in names if item[0].lower().startswith(start)]
    return first or [item for item in names if start in item[0].lower()]


def is_whole(text: str) -> bool:
    """Whether Enter ends it: a dot-command, nothing at all, or a statement with its semicolon."""
    text = text.strip()
    return not text or text.startswith(".") or re.search(r";\s*(--[^\n]*)?$", text) is not None


def keys() -> KeyBindings:
    """Enter ends a whole statement and breaks the line of any other."""
    bound = KeyBindings()

    @bound.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state and buffer.complete_state.current_completion:
            buffer.complete_state = None
        elif is_whole(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n")

    return bound
