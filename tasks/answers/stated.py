"""Where a text states its answer: tags, `####`, `\\boxed{}`, "the answer is X", "A: X".

Invariant: only the last TAIL_CHARACTERS are read, every repetition in a pattern is bounded, and the
work is linear in the tail, so no text is slow. Nothing here knows the gold answer.

Sample: "... = 18\\nA: 18" states Statement(value="18", line="18", start=9, stated_as="label", ...).
"""

from __future__ import annotations

import re
from dataclasses import replace

from tasks.answers.phrases import find_phrases
from tasks.answers.statement import MAX_ANSWER_CHARACTERS, MAX_MARKS, Statement, corrected
from tasks.answers.symbols import plain, without_markup

TAIL_CHARACTERS = 16_000


def tail_of(text: str) -> str:
    """The end of `text`, in plain characters: what the final answer is looked for in."""
    tail = without_markup(plain(text[-TAIL_CHARACTERS:]))
    return _MATRIX.sub(_on_one_line, tail) if "\\end{" in tail else tail


_MATRIX = re.compile(r"\\begin\{(\w{0,2}matrix|array)\}[^\0]{0,900}?\\end\{\1\}")


def _on_one_line(match: re.Match[str]) -> str:
    return match.group().replace("\n", " ")


def find_statements(tail: str) -> list[Statement]:
    """The statements of an answer in `tail`, in order; the last one counts."""
    boxes = [_unsaid(box) for box in _boxes(tail)]
    phrases = (one for one in find_phrases(tail) if not _is_within(one, boxes))
    found = [*_tagged(tail), *_hashed(tail), *boxes, *phrases]
    kept = (s for s in found if s.value and len(s.value) <= MAX_ANSWER_CHARACTERS)
    return sorted(kept, key=lambda statement: statement.start)


def _unsaid(box: Statement) -> Statement:
    """Of `\\boxed{\\text{The answer is }42}` the 42."""
    if "nswer" not in box.value:
        return box
    phrases = find_phrases(_SAID.sub(r"\1", box.value))
    return replace(box, value=phrases[-1].value) if phrases else box


def _is_within(phrase: Statement, boxes: list[Statement]) -> bool:
    """Whether a phrase is part of what a box holds."""
    return any(
        box.start < phrase.start < box.start + len(box.line) + len("\\framebox{}") for box in boxes
    )


_SAID = re.compile(r"\\text\s?\{([^{}]{0,200})\}")
_CLOSING_DELIMITERS = " \t\n\r$*\\]}"


def last_lines(tail: str) -> list[str]:
    """The last lines that say something, last first, each the last 600 characters at most."""
    lines = reversed(tail[-4_000:].splitlines())
    return [line.strip()[-600:] for line in lines if line.strip(_CLOSING_DELIMITERS)]


_ENDS_OPEN = re.compile(
    r"(?:[-+*/=<>^_,(\[{&\\]|\\(?:cdot|times|leq?|geq?|neq?|approx|frac|sqrt|pm))\Z"
)
_STOPS = (".", "!", "?")


def stops_inside(line: str) -> bool:
    """Whether a last line breaks off inside a formula: no answer is read from its numbers."""
    bare = line.rstrip()
    if bare.endswith(_STOPS):
        return False
    opened, closed = (sum(map(bare.count, brackets)) for brackets in ("([{", ")]}"))
    return opened > closed or _ENDS_OPEN.search(bare) is not None


def stops_in_sentence(line: str) -> bool:
    """Whether a last line breaks off in its prose: what stands before it was no conclusion."""
    return line.rstrip()[-1:].isalnum()


_TAG = re.compile(r"<answer>((?:[^<]|<(?!/?answer>)){0,2000})(?:</answer>|\Z)", re.IGNORECASE)


def _tagged(tail: str) -> list[Statement]:
    if "nswer>" not in tail and "NSWER>" not in tail:
        return []
    matches = list(_TAG.finditer(tail))[-MAX_MARKS:]
    return [_inner(match[1], match.start()) for match in matches]


def _inner(value: str, start: int) -> Statement:
    """A tag's content, which may state its answer by a box or a phrase in turn."""
    nested = [*_boxes(value), *find_phrases(value)]
    chosen = max(nested, key=lambda s: s.start).value if nested else corrected(value.strip())
    return Statement(chosen, chosen, start, "tag")


# A heading may start with #### too: elsewhere than on the last line only a bare value counts.
_HASHED = re.compile(r"^[ \t]{0,8}####[ \t]{0,8}([^\s#][^\n]{0,1000})$", re.MULTILINE)
_BARE_VALUE = re.compile(r"[-+$\\(\[{]{0,4}[0-9.][^\n]{0,40}|\S{1,20}")


def _hashed(tail: str) -> list[Statement]:
    if "####" not in tail:
        return []
    end = len(tail.rstrip())
    found = []
    for match in _HASHED.finditer(tail):
        value = corrected(match[1].strip())
        is_last = match.end() >= end
        if (is_last or _BARE_VALUE.fullmatch(value)) and "\\boxed" not in value:
            is_open = is_last and match.end() == len(tail)
            found.append(Statement(value, value, match.start(), "hashes", is_open=is_open))
    return found


_BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s{0,3}(?:\{|([0-9A-Za-z]{1,20}))")
_JOINT = re.compile(
    r"(?:[\s$,;&]|\\[()\[\],;]|\\q?quad|\\text\s?\{\s?(?:and|or)\s?\}|\b(?:and|or)\b"
    r"|[a-zA-Z]\w?\s?=){0,20}"
)


def _boxes(tail: str) -> list[Statement]:
    """Boxes; those joined by nothing but commas, "and" or `y =` are one answer."""
    if "box" not in tail:
        return []
    found: list[tuple[int, int, str]] = []
    for match in list(_BOX.finditer(tail))[-MAX_MARKS:]:
        if found and match.start() < found[-1][1]:
            continue  # nested in the box before, which is unwrapped below
        content, end = _braced(tail, match)
        if content is None or not content.strip():
            continue
        if found and _JOINT.fullmatch(tail[found[-1][1] : match.start()][:80]):
            start, _, joined = found.pop()
            parts = joined.split(" , ")
            found.append((start, end, joined if content in parts else f"{joined} , {content}"))
        else:
            found.append((match.start(), end, content))
    return [Statement(corrected(value), value, start, "box") for start, _, value in found]


def _braced(tail: str, match: re.Match[str]) -> tuple[str | None, int]:
    """Content and end of the box at `match`, inner boxes unwrapped; None where it never closes."""
    if match[1] is not None:
        return match[1], match.end()
    depth = 1
    stop = min(len(tail), match.end() + MAX_ANSWER_CHARACTERS + 200)
    for at in range(match.end(), stop):
        escaped = tail[at - 1] == "\\" and tail[at - 2] != "\\"
        if tail[at] in "{}" and not escaped:
            depth += 1 if tail[at] == "{" else -1
        if depth == 0:
            content = tail[match.end() : at]
            inner = list(_BOX.finditer(content))
            return (_braced(content, inner[-1])[0] if inner else content.strip()), at + 1
    return None, stop
