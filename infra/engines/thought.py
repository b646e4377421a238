"""The thought that a chat template opens for the assistant, as those of R1's distilled models do.

Role: what a model writes behind such a prompt, from a chain as a corpus stores it, and back.
Invariants: asked, trained and scored alike, the template's opening tag is the only one at the front
of the reply, and it is closed: a chain that holds its thought loses its own opening tag; one that
has lost it stays; one that holds no thought stands behind an empty one. A chain that was cut off
inside its thought stays open, and verification never lets it be trained on.

A sample, the prompt ending with `<think>\\n`:
    "<think>\\n2 + 2\\n</think>\\n\\n4" -> "2 + 2\\n</think>\\n\\n4"
    "2 + 2\\n</think>\\n\\n4"          -> the same
    "2 + 2 = 4."                    -> "\\n</think>\\n\\n2 + 2 = 4."
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_OPENED = re.compile(r"<(think(?:ing)?)>\s*\Z", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class OpenedThought:
    """What stands at the end of the prompt: the tag `<think>` and white space."""

    name: str
    has_line_break: bool

    @staticmethod
    def at_the_end_of(markup: str) -> OpenedThought | None:
        """None where the template opens nothing, or closes it again (an empty thought)."""
        found = _OPENED.search(markup)
        return found and OpenedThought(name=found[1], has_line_break=found[0].endswith("\n"))

    def continued(self, texts: Sequence[str]) -> list[str]:
        """Texts of the assistant, one behind the other, as they go on behind the opened thought.

        One more than there are `texts`: first what goes before them all.
        """
        whole = "".join(texts)
        num_given = self._num_given(whole)
        if num_given:
            return ["", *_without_start(texts, num_given)]
        closed, opened = self._find(whole, "/"), self._find(whole, "")
        holds_thought = closed is not None and (opened is None or closed < opened)
        return ["" if holds_thought else self._empty(), *texts]

    def whole(self, written: str) -> str:
        """A reply written behind the opened thought as a text of its own, no empty thought in it.

        One that never closed the thought keeps it open: nothing in it is an answer.
        """
        if self._num_given(written):
            return written  # it opened the thought once more
        end = re.match(rf"\s*</{self.name}>", written, re.IGNORECASE)
        if end is not None:
            return written[end.end() :].lstrip("\n")
        return f"{self._tag()}\n{written.removeprefix(chr(10))}"

    def _tag(self) -> str:
        return f"<{self.name}>"

    def _empty(self) -> str:
        """Behind the opening tag: the rest of a thought without words."""
        return f"{'' if self.has_line_break else chr(10)}\n</{self.name}>\n\n"

    def _num_given(self, text: str) -> int:
        """Characters at the start of `text` that the prompt holds already."""
        space = r"\n?" if self.has_line_break else ""
        found = re.match(rf"(?:\s*<{self.name}>)+{space}", text, re.IGNORECASE)
        return found.end() if found else 0

    def _find(self, text: str, slash: str) -> int | None:
        found = re.search(rf"<{slash}{self.name}>", text, re.IGNORECASE)
        return found.start() if found else None


def _without_start(texts: Sequence[str], num_characters: int) -> list[str]:
    rest = []
    for text in texts:
        rest.append(text[num_characters:])
        num_characters = max(0, num_characters - len(text))
    return rest
