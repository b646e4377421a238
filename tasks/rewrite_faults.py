"""Why a rewrite cannot be used: by our own checks, or by the teacher's (LiteCoT 4).

Invariant: a fault is a snake_case reason for the tables and words for whoever mends it: the next
attempt's prompt, and the person who reads the rejection.

A sample: Fault("too_long_for_easy", "it has 312 tokens, the limit for an easy problem is 300").
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tasks.ports import Grade
from tasks.stage import Level
from tasks.structured import after_thought, is_object, one_line, read_choice, read_reason

CHECK = {"logic": ("sound", "flawed"), "completeness": ("complete", "incomplete")}
MAX_REASON_CHARS = 300
MAX_ANSWER_CHARS = 100
_VALID = re.compile(r"\b(invalid|valid)\b", re.I)


@dataclass(frozen=True)
class Fault:
    """`reason` is a column value; `words` finish "it could not be used: ..."."""

    reason: str
    words: str

    @property
    def feedback(self) -> str:
        """What the next attempt should know: nothing where the rewrite was not to blame."""
        return "" if self.reason == "check_unread" else self.words


def fault_of(
    grade: Grade,
    *,
    level: Level | None,
    num_tokens: int,
    finish_reason: str,
    max_tokens: int,
    max_tokens_easy: int,
    require_stated: bool = True,
) -> Fault | None:
    """What our own checks find, before the teacher is asked. A text cut off is not a whole one."""
    if finish_reason == "content_filter":
        return Fault("truncated", "it was cut off by a content filter")
    if finish_reason not in ("stop", "length"):
        return Fault("truncated", f"it ended for a reason nobody knows: {one_line(finish_reason)}")
    if finish_reason == "length" or grade.verdict == "truncated":
        return Fault("truncated", f"it was cut off at the limit of {max_tokens} tokens")
    if level is None:
        return Fault("no_level", "it did not begin with a line such as 'Difficulty: medium'")
    if grade.verdict == "no_answer":
        return Fault("no_answer", "it states no final answer")
    if grade.verdict == "unverifiable":
        return Fault("unverifiable", "its final answer could not be compared")
    if grade.verdict != "correct":
        answer = one_line(grade.extracted_answer or "")[:MAX_ANSWER_CHARS]
        return Fault("answer_changed", f"the final answer changed to {answer}")
    if require_stated and grade.is_guessed:
        answer = one_line(grade.extracted_answer or "")[:MAX_ANSWER_CHARS]
        words = f"its final answer ({answer}) is not stated as such, only its last lines hold it"
        return Fault("answer_not_stated", words)
    if level == "easy" and num_tokens > max_tokens_easy:
        words = f"it has {num_tokens} tokens, the limit for an easy problem is {max_tokens_easy}"
        return Fault("too_long_for_easy", words)
    return None


def read_check(reply: str) -> Fault | None:
    """What the teacher found; None where it found the logic sound and the whole complete."""
    logic, completeness = (read_choice(reply, name, allowed) for name, allowed in CHECK.items())
    if logic is None and completeness is None:
        return _read_word(reply)
    found = []
    if logic == "flawed":
        found.append("its logic is flawed")
    if completeness == "incomplete":
        found.append("it is incomplete")
    if not found:
        return None if logic and completeness else UNREAD
    reason = read_reason(reply, max_chars=MAX_REASON_CHARS)
    return Fault("teacher_rejected", " and ".join(found) + (f" ({reason})" if reason else ""))


UNREAD = Fault("check_unread", "the teacher's check gave no verdict")


def _read_word(reply: str) -> Fault | None:
    """The verdict of a prompt that asks for one word, the last that is said."""
    words = [] if is_object(reply) else _VALID.findall(after_thought(reply))
    if not words:
        return UNREAD
    if words[-1].lower() == "valid":
        return None
    reason = read_reason(reply, max_chars=MAX_REASON_CHARS)
    return Fault("teacher_rejected", f"the teacher rejects it ({reason})")
