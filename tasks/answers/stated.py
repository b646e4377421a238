"""Where a text states its answer: tags, `####`, `\\boxed{}`, "the answer is X", "A: X".

Invariant: only the last TAIL_CHARACTERS are read, every repetition in a pattern is bounded, and the
work is linear in the tail, so no text is slow. Nothing here knows the gold answer.

Sample: "... = 18\\nA: 18" states Statement(value="18", line="18", start=9, stated_as="label", ...).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tasks.answers import languages
from tasks.answers.symbols import plain, without_markup
from tasks.ports import StatedAs

TAIL_CHARACTERS = 16_000
MAX_ANSWER_CHARACTERS = 1_000  # what is longer is no final answer
MAX_MARKS = 40  # of each sort, the last ones: they cost a look at what follows


@dataclass(frozen=True)
class Statement:
    """One place where an answer is stated.

    `value` ends with the sentence, `line` with the line (for answers that hold a full stop).
    `stated_as`: the mark made for the purpose (tag, `####`, box, label "A:"), or a phrase.
    `is_marked`: by such a mark.
    `is_open`: the text ends inside it, so more may have been meant to follow.
    """

    value: str
    line: str
    start: int
    stated_as: StatedAs
    is_open: bool = False

    @property
    def is_marked(self) -> bool:
        return self.stated_as != "phrase"


def tail_of(text: str) -> str:
    """The end of `text`, in plain characters: what the final answer is looked for in."""
    tail = without_markup(plain(text[-TAIL_CHARACTERS:]))
    return _MATRIX.sub(_on_one_line, tail) if "\\end{" in tail else tail


_MATRIX = re.compile(r"\\begin\{(\w{0,2}matrix|array)\}[^\0]{0,900}?\\end\{\1\}")


def _on_one_line(match: re.Match[str]) -> str:
    return match.group().replace("\n", " ")


def find_statements(tail: str) -> list[Statement]:
    """The statements of an answer in `tail`, in order; the last one counts."""
    found = [*_tagged(tail), *_hashed(tail), *_boxes(tail), *_phrases(tail)]
    kept = (s for s in found if s.value and len(s.value) <= MAX_ANSWER_CHARACTERS)
    return sorted(kept, key=lambda statement: statement.start)


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


_TAG = re.compile(r"<answer>((?:[^<]|<(?!/?answer>)){0,2000})</answer>", re.IGNORECASE)


def _tagged(tail: str) -> list[Statement]:
    if "nswer>" not in tail and "NSWER>" not in tail:
        return []
    matches = list(_TAG.finditer(tail))[-MAX_MARKS:]
    return [_inner(match[1], match.start()) for match in matches]


def _inner(value: str, start: int) -> Statement:
    """A tag's content, which may state its answer by a box or a phrase in turn."""
    nested = [*_boxes(value), *_phrases(value)]
    chosen = max(nested, key=lambda s: s.start).value if nested else value.strip()
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
        value = match[1].strip()
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
    return [Statement(value, value, start, "box") for start, _, value in found]


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


_PHRASE = re.compile(
    r"(?:\banswers?\b[^.?!\n:=$\\]{0,70}?(?:\b(?:is|are|was|be)\b|:|=)"
    r"|\b(?:correct|right|best)\s(?:option|choice)\s{1,2}(?:is\b|:)"
    r"|^[ \t]{0,8}(?P<short>A|Ans|ANS)\.?[ \t]?:)"
    r"[:\s]{0,4}(?:-\s)?",
    re.IGNORECASE | re.MULTILINE,
)
_CORRECTION = re.compile(r"not\s[^.\n]{1,60}?,?\sbut\s(?:rather\s|instead\s)?(.+)", re.IGNORECASE)
_HYPOTHESIS = re.compile(
    r"\b(?:if|whether|unless|suppose|assuming)\s(?:that\s)?(?:the|my|this)?\s?$", re.I
)
_LABEL = re.compile(r"[\s#*_>-]{0,6}(?:(?:the|final|my|correct)\s){0,2}answer\s?:\s{0,4}", re.I)
_SENTENCE_END = re.compile(
    r"(?<![.\s])(?<!\bsq)(?<!\bcu)(?<!\bSt)(?<!\bMr)(?<!\bDr)(?:\.(?![Mm]\.)|\?|!(?!\s{0,2}[-=+*/\\<>^$]))(?=[\"')\]]?(?:\s|\Z|[A-Z]))"
)


def _phrases(tail: str) -> list[Statement]:
    found = []
    patterns = [_PHRASE, *languages.phrases_of(tail)]
    for pattern in patterns:
        for match in list(pattern.finditer(tail))[-MAX_MARKS:]:
            statement = _phrase(tail, match)
            if statement is not None:
                found.append(statement)
    return found


_TAG_SIGNS = ("<", "/")  # of <answer>, which is no word of a sentence


def _phrase(tail: str, match: re.Match[str]) -> Statement | None:
    before = tail[max(0, match.start() - 30) : match.start()]
    if before[-1:] in _TAG_SIGNS or _HYPOTHESIS.search(before):
        return None
    line = _line_after(tail, match.end())
    correction = _CORRECTION.match(line)
    line = correction[1] if correction else line
    label = _line_before(tail, match)
    is_marked = bool(match.groupdict().get("short")) or any(
        pattern.fullmatch(label) is not None for pattern in (_LABEL, languages.LABEL)
    )
    value = _display(line) or _factorial(line, is_marked) or _sentence(line)
    after = tail[match.end() + len(value) :][:1]
    if after == "?" or re.match(r"not\b", value) or "\\boxed" in line[: len(value) + 8]:
        return None
    is_open = match.end() + len(value) >= len(tail)
    stated_as: StatedAs = "label" if is_marked else "phrase"
    return Statement(value.strip(), _unstopped(line), match.start(), stated_as, is_open)


def _line_before(tail: str, match: re.Match[str]) -> str:
    start = tail.rfind("\n", max(0, match.start() - 40), match.start()) + 1
    return tail[max(start, match.start() - 40) : match.end()]


def _line_after(tail: str, start: int) -> str:
    rest = tail[start : start + MAX_ANSWER_CHARACTERS]
    if rest[:2] in ("\\[", "$$") or rest.startswith("\\begin"):
        return rest
    return rest.partition("\n")[0]


_DISPLAY = re.compile(r"\\\[([^\0]{1,800}?)\\\]|\$\$([^$]{1,800})\$\$")


def _display(line: str) -> str | None:
    match = _DISPLAY.match(line)
    return match.group() if match else None


def _sentence(line: str) -> str:
    match = _SENTENCE_END.search(line)
    return line[: match.start()] if match else line


_FACTORIAL = re.compile(r"[-+*/()0-9\s]{1,40}!{1,2}\s*")


def _factorial(line: str, is_marked: bool) -> str | None:
    """`5!` behind a label, `1/5!`; behind a phrase it may be joy ("The answer is 5!")."""
    if not _FACTORIAL.fullmatch(line):
        return None
    return line.strip() if is_marked or re.search(r"[0-9)]\s?[-+*/]", line) else None


def _unstopped(line: str) -> str:
    return line.strip().removesuffix(".").strip()
