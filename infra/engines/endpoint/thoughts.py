"""A reply's thought and its answer, however a server hands them over, as R1 writes them.

Invariants: one `<think>` block at most in front of the answer, never two and never half a pair but
for a thought that was cut off; what stands behind the answer is left as the model wrote it.

A sample: thought "2 + 2", content "4" -> "<think>\\n2 + 2\\n</think>\\n\\n4"
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_OPEN = re.compile(r"\s*<think(?:ing)?>", re.IGNORECASE)
_CLOSE = re.compile(r"\s*</think(?:ing)?>", re.IGNORECASE)
_TAG = re.compile(r"</?think(?:ing)?>", re.IGNORECASE)
# What only somebody who still thinks begins a last sentence with.
_STILL_THINKING = re.compile(
    r"(?:^|[.!?:\n]\s*)(?:but |oh,? |so )?(?:wait|hmm+|hold on|let me (?:re)?(?:think|check|see)"
    r"|alternatively|actually, (?:wait|no|let))\b[^.!?\n]*$",
    re.IGNORECASE,
)
_LAST_WORDS = 2000  # characters


@dataclass
class Habit:
    """Whether a model's chat template opens the thought itself, as its finished replies show: they
    hold `</think>` and no `<think>`. Then a reply that was cut off before is all thought."""

    num_unopened: int = 0  # finished replies with a thought that nothing opens
    num_plain: int = 0  # finished replies without any thought

    @property
    def opens_thoughts(self) -> bool:
        return self.num_unopened > self.num_plain

    def see(self, content: str) -> None:
        """A finished reply without a thought apart."""
        tag = _TAG.search(content)
        if tag is None:
            self.num_plain += 1
        elif tag.group().startswith("</"):
            self.num_unopened += 1


def with_one_thought(content: str, reasoning: str, *, is_cut_off: bool, habit: Habit) -> str:
    """The whole text. `reasoning`: what the server gave apart from the content, maybe nothing;
    `is_cut_off`: the reply ended at the token limit."""
    apart, content = _apart(reasoning, content)
    if not apart and not is_cut_off:
        habit.see(content)
    told, answer, is_open = _split(content)
    thought = _together(apart, told)
    if not thought and is_cut_off and not _TAG.search(content) and answer.strip():
        is_open = habit.opens_thoughts or bool(_STILL_THINKING.search(answer[-_LAST_WORDS:]))
        return f"<think>\n{answer.lstrip(chr(10))}" if is_open else answer
    if not thought:
        return answer
    if is_open or (is_cut_off and not answer.strip()):
        return f"<think>\n{thought}"  # cut off while it was thinking
    return f"<think>\n{thought}\n</think>\n\n{answer.lstrip(chr(10))}"


def _apart(reasoning: str, content: str) -> tuple[str, str]:
    """The thought that came apart and the content without it, where both fields hold both."""
    if not reasoning.strip():
        return "", content
    thought, behind, _ = _split(reasoning)
    if not thought:  # no tags in it
        thought, behind = _bare(reasoning), ""
    if behind.strip():  # an answer in the field of the thought
        if not content.strip():
            return thought, behind
        if behind.strip() not in content:
            thought = f"{thought}\n\n{behind.strip()}"
    if not _TAG.search(content) and content.strip().startswith(thought.strip()):
        rest = content.strip()[len(thought.strip()) :]
        if not rest.strip():
            return "", content
        return (thought, rest) if rest.startswith("\n") else (thought, content)
    return thought, content


def _split(text: str) -> tuple[str, str, bool]:
    """The thought a text begins with, what stands behind it, and whether it never ends."""
    opened, closed = _OPEN.match(text), _CLOSE.search(text)
    if closed is None:
        return (_bare(text), "", True) if opened else ("", text, False)
    before, rest = text[: closed.start()], text[closed.end() :]
    if opened is None and _TAG.search(before):
        return "", text, False  # it begins with an answer: a thought in its middle stays there
    while again := _CLOSE.match(rest):  # closed twice
        rest = rest[again.end() :]
    thought = _bare(before)
    if _OPEN.match(rest):  # the chat template's empty block, then the model's own
        more, answer, is_open = _split(rest)
        return _together(thought, more), answer, is_open
    return thought, rest, False


def _bare(text: str) -> str:
    bare = _TAG.sub("", text).strip("\n")
    return bare if bare.strip() else ""


def _together(one: str, other: str) -> str:
    """Both thoughts, or the longer where it holds the other one."""
    if not one or not other or one.strip() in other:
        return other or one
    return one if other.strip() in one else f"{one}\n\n{other}"
