"""One place where an answer is stated.

Sample: "A: 18" states Statement(value="18", line="18", start=0, stated_as="label").
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tasks.ports import StatedAs

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


_CORRECTION = re.compile(
    r"(\W{0,4})not\s(?:[^.\n]|\.(?=[0-9])){1,80}?,?\sbut\s(?:rather\s|instead\s)?(.+)",
    re.IGNORECASE | re.DOTALL,
)
_DENIAL = re.compile(r"[\s*]{0,4}not\s+(?=\S)", re.IGNORECASE)


NEGATION = re.compile(
    r"\b(?:not|cannot|never|neither|wrong|incorrect|false|extraneous|contradiction|eliminate|exclude|reject"
    r"|rule\sout|invalid|falsch|nicht|nunca|incorrecta?|faux|неверно|неправильн\w*)\b|n't\b|\\neq|≠"
    r"|[错錯誤]|不(?![同妨断仅但过])|非(?!常)|ではない|ではありません|間違|違う|아니|아닙|틀렸"
    r"|\bno\s(?:es|son)\b|\bn'est\spas\b|\bnon\sè\b|\bnão\sé\b|(?<!\w)не(?!\w)",
    re.IGNORECASE,
)


def corrected(value: str) -> str:
    """Of `not A but B` what it says: B."""
    match = _CORRECTION.match(value)
    return match[1] + match[2] if match else value


def denied(value: str) -> str | None:
    """What `value` says the answer is not; None where it denies nothing."""
    match = _DENIAL.match(value)
    return value[match.end() :] if match else None
