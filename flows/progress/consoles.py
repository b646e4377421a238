"""The consoles we print on. Invariant: no markup is taken, rich's own controls pass, no text's do.

A sample: page().print(table)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook
from rich.segment import Segment

from flows.progress.text import is_plain, plain

PAGE_WIDTH = 120


def console(**options: Any) -> Console:
    """A console that takes no markup and shows no control code but its own."""
    made = Console(markup=False, emoji=False, highlight=False, **options)
    made.push_render_hook(Guard())
    return made


def page() -> Console:
    """A console for whole pages: as wide as the terminal, or PAGE_WIDTH where piped."""
    made = console()
    return made if made.is_terminal else console(width=PAGE_WIDTH)


class Guard(RenderHook):
    """Escapes what a cell, a title or a label forgot to; its column is then too narrow by that."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """See RenderHook."""
        return [_Guarded(renderable) for renderable in renderables]


class _Guarded:
    def __init__(self, renderable: ConsoleRenderable) -> None:
        self._renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for segment in console.render(self._renderable, options):
            if segment.control or is_plain(segment.text):
                yield segment
            else:
                yield Segment(plain(segment.text), segment.style)
