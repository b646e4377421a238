"""`litecot sql` takes a query as it is pasted or piped: it may begin with a comment.

Invariant: what is an option stays one, and a misspelt option is said to be none; only a word that
begins with two dashes and has a blank or a line break before any known option's end is a query.

A sample: ["-- why\nselect 1", "--format", "csv"] -> [" -- why\nselect 1", "--format", "csv"]
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand, TyperOption

from tasks.errors import UsageError

STDIN = "-"


class QueryCommand(TyperCommand):
    """A command whose argument is SQL."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See click.Command."""
        options = {
            name: not parameter.is_flag
            for parameter in self.params
            if isinstance(parameter, TyperOption)
            for name in parameter.opts
        }
        return super().parse_args(ctx, as_pasted(args, {**options, "--help": False}))


def as_pasted(arguments: Sequence[str], options: dict[str, bool]) -> list[str]:
    """`arguments` with a blank before a query that looks like an option; `options`: name ->
    whether it takes a value."""
    words: list[str] = []
    for place, word in enumerate(arguments):
        if word == "--":
            return [*words, *arguments[place:]]
        is_value = place > 0 and options.get(arguments[place - 1], False)
        is_query = word.startswith("--") and re.search(r"\s", word) is not None
        if is_query and not is_value and word.partition("=")[0] not in options:
            word = f" {word}"
        words.append(word)
    return words


def wants_shell(given: str | None) -> bool:
    """Whether nobody gives a query and a person is there to type some."""
    return given is None and sys.stdin.isatty() and sys.stdout.isatty()


def query_text(given: str | None) -> str:
    """The query: as given, or from standard input where it is left out or "-".

    Raises UsageError where nobody gives one.
    """
    if given not in (None, STDIN):
        return str(given)
    if sys.stdin.isatty():
        raise UsageError("no query: litecot sql 'from funnel', or give it on standard input")
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"standard input is not UTF-8 ({error.reason}): save it as such") from None
