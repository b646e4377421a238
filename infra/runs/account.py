"""What a stage has done and used in this invocation, as it happens: for whoever watches.

Invariant: told by one event loop, read by any thread; a reply that was kept from an earlier
invocation is not paid for again and not counted.

A sample: Account(num_rows=118, num_rejected=2, used={"teacher": Used(completion_tokens=41200)})
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tasks.ports import Completion
from tasks.stage import usage_of


@dataclass
class Used:
    """Of one role."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass
class Account:
    """Of one stage, over its shards. `used`: by role, what was asked for and came."""

    num_rows: int = 0
    num_rejected: int = 0
    num_failed: int = 0
    used: dict[str, Used] = field(default_factory=dict)

    def pay(self, role: str, completions: Sequence[Completion]) -> None:
        """A reply came."""
        if completions:
            usage, used = usage_of([completions]), self.used.setdefault(role, Used())
            used.requests += usage["num_requests"]
            used.prompt_tokens += usage["prompt_tokens"]
            used.completion_tokens += usage["completion_tokens"]

    @property
    def completion_tokens(self) -> int:
        """Of all roles."""
        return sum(used.completion_tokens for used in self.used.values())
