"""What a step may ask of the world: Protocols only; a step knows no engine, path, clock or logger.

Invariant: a reply depends on the request alone (prompt, sampling, seed), never on what else was
in flight; `infra` implements these over Ray actors and worker processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

Role = Literal["teacher", "compressor", "student"]
Verdict = Literal["correct", "wrong", "no_answer", "truncated", "unverifiable"]
# How an answer was found: by a mark made for it (<answer>, ####, \boxed, "Answer:"), by a phrase
# ("the answer is 5"), or merely as what the closing line says.
StatedAs = Literal["tag", "hashes", "box", "label", "phrase", "closing_line"]


class TransientError(Exception):
    """Worth trying again: time-out, 429, 5xx. `retry_after_s` is what the server asked for."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class PermanentError(Exception):
    """This request can never succeed (too long, refused): the record is rejected with `reason`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[PermanentError], tuple[str, str]]:
        return PermanentError, (self.reason, self.detail)


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How to sample. `seed` and the candidate number fix every token, whatever the batching."""

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 1024
    num_candidates: int = 1
    seed: int = 0
    stop: tuple[str, ...] = ()
    json_schema: str | None = None
    """JSON Schema, as JSON, that the reply must follow; an engine that cannot refuses."""


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A rendered user message. `compress` asks the encoder for the `<compress>` control token."""

    text: str
    sha: str = ""
    compress: bool = False


@dataclass(frozen=True, kw_only=True)
class Completion:
    """One candidate with its usage."""

    text: str
    finish_reason: str  # stop | length | content_filter or a server's own word (endpoints)
    prompt_tokens: int
    completion_tokens: int
    latency_s: float


@dataclass(frozen=True, kw_only=True)
class TokenScores:
    """Teacher-forced scores of a target: one entry a target token."""

    logprobs: Sequence[float]  # nats
    ranks: Sequence[int]  # 1 = the model's first choice


@dataclass(frozen=True, kw_only=True)
class ScoreRequest:
    """Score `targets` written one after another by the assistant after `prompt` and `context`.

    `prompt` None: no user turn before them (unconditional). `context` is the assistant's too, but
    not scored. Each text is tokenised apart, so the split between rationale and answer is exact.
    What is `beside` goes with it to the same engine: an engine computes once what texts share.
    """

    prompt: Prompt | None
    context: tuple[str, ...] = ()
    targets: tuple[str, ...]
    beside: tuple[ScoreRequest, ...] = ()


class ChatModel(Protocol):
    """A model that writes. One call is one request; candidates share its prompt."""

    @property
    def name(self) -> str: ...

    @property
    def engine(self) -> str: ...

    async def complete(self, prompt: Prompt, sampling: Sampling) -> list[Completion]:
        """`num_candidates` completions, in candidate order. Raises Transient- or PermanentError."""
        ...


class ScoringModel(Protocol):
    """A model that reads: teacher-forced log-probabilities."""

    @property
    def name(self) -> str: ...

    async def score(self, request: ScoreRequest) -> list[TokenScores]:
        """One TokenScores a target: the request's own in order, then of each one beside it.

        Raises Transient- or PermanentError.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Grade:
    """What the verifier read and decided; `stated_as` is how the answer was found."""

    verdict: Verdict
    extracted_answer: str | None = None
    stated_as: StatedAs | None = None

    @property
    def is_guessed(self) -> bool:
        """Whether nothing marks the answer as one: it is merely what the closing line says."""
        return self.stated_as == "closing_line"


class Grader(Protocol):
    """Compares a text's last stated answer with the gold one, in a process with limits."""

    async def grade(
        self, text: str, *, answer: str, answer_type: str, truncated: bool
    ) -> Grade: ...


class TokenCounter(Protocol):
    """The target model's tokenizer, control tokens read as plain text."""

    def count(self, text: str) -> int: ...


class PromptBook(Protocol):
    """Prompt files of one variant."""

    def render(self, step: str, *, compress: bool = False, **values: str) -> Prompt: ...


@dataclass(frozen=True, kw_only=True)
class Ports:
    """All a step gets. A role its stage did not declare is absent, and asking for it is a bug."""

    prompts: PromptBook
    grader: Grader
    tokens: TokenCounter
    seed: int = 0
    chat: dict[str, ChatModel] = field(default_factory=dict)
    scoring: dict[str, ScoringModel] = field(default_factory=dict)
