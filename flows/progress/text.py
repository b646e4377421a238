"""Text for a terminal: what a model or a file wrote is never markup or a control code.

A sample: plain("a\x1b[31mb") == "a\\x1b[31mb"
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    pass


PAGE_WIDTH = 120

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u202a-\u202e\u2066-\u2069]")


def plain(value: object) -> str:
    """Text safe for a terminal: control codes and direction overrides shown as their escapes."""
    return _CONTROL.sub(lambda m: f"\\x{ord(m[0]):02x}", "" if value is None else str(value))


def page() -> Console:
    """A console for whole pages: as wide as the terminal, or PAGE_WIDTH where piped."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(width=PAGE_WIDTH, highlight=False)
