"""Text for a terminal: what a model or a file wrote is never markup or a control code.

Invariant: all that we show goes through `plain` (or `json_safe`), or is printed on one of our
consoles (flows/progress/consoles.py), which do it to whatever a table or a tree forgot. Escaped
are the controls (C0 but tab and line feed, DEL, C1), what turns the direction of text or has no
width, tags, and lone surrogates.

A sample: plain("a\x1b[31mb") == "a\\x1b[31mb", plain("a\u202eb") == "a\\u202eb"
"""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.text import Text

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)


def plain(value: object) -> str:
    """Text safe for a terminal: what it would obey, or not show, is seen as its escape."""
    return _UNSAFE.sub(_escape, "" if value is None else str(value))


def is_plain(text: str) -> bool:
    """Whether `plain` would leave it alone."""
    return _UNSAFE.search(text) is None


def json_safe(text: str) -> str:
    """A JSON text with the same escaped as JSON has it: the same values, safe for a terminal."""
    return _UNSAFE.sub(lambda m: _json_escape(m[0]), text)


def print_json(content: object) -> None:
    """For programs: one value, which ends up on a terminal too."""
    print(json_safe(json.dumps(content, indent=2, ensure_ascii=False)))


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", errors="surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))


def say(line: object = "", *, file: TextIO | None = None, flush: bool = False) -> None:
    """`print` for what may hold others' words."""
    print(plain(line), file=file or sys.stdout, flush=flush)


def shown(value: object, style: str = "") -> Text:
    """A cell or a label: no markup, no control code."""
    from rich.text import Text

    return Text(plain(value), style)
