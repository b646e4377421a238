"""Real, small implementations of the Protocols in tasks.ports: no process, no model, no clock.

A sample: `ports(chat={"teacher": ScriptedChat(["2 + 2 = 4. answer 4"])})`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from infra.engines import EngineConfig
from tasks.answers import grade
from tasks.ports import (
    Completion,
    Grade,
    Grader,
    Ports,
    Prompt,
    Sampling,
    ScoreRequest,
    TokenScores,
)
from tasks.prompts import PromptFiles

Reply = str | Completion | Exception
_ANSWER = re.compile(r"answer (\w+)")


def completion(text: str, **fields: Any) -> Completion:
    """A whole reply: 10 prompt tokens, a token a word, half a second."""
    defaults: dict[str, Any] = {
        "finish_reason": "stop", "prompt_tokens": 10, "completion_tokens": len(text.split()),
        "latency_s": 0.5,
    }  # fmt: skip
    return Completion(text=text, **{**defaults, **fields})


def words(count: int, answer: str = "4") -> str:
    """A text of `count` words that ends in its answer."""
    return " ".join(["so"] * (count - 2) + ["answer", answer])


@dataclass
class ScriptedChat:
    """Answers request after request from `replies`; an exception among them is raised."""

    replies: Sequence[Reply]
    name: str = "fake-model"
    engine: str = "fake"
    asked: list[tuple[Prompt, Sampling]] = field(default_factory=list)
    num_given: int = 0

    async def complete(self, prompt: Prompt, sampling: Sampling) -> list[Completion]:
        self.asked.append((prompt, sampling))
        found = []
        for _ in range(sampling.num_candidates):
            reply = self.replies[self.num_given]
            self.num_given += 1
            if isinstance(reply, Exception):
                raise reply
            found.append(completion(reply) if isinstance(reply, str) else reply)
        return found


@dataclass
class FunctionChat:
    """Answers by a function of the prompt's text; counts what is asked and what is in flight."""

    answer: Callable[[str], Reply]
    name: str = "fake-model"
    engine: str = "fake"
    asked: list[str] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0

    async def complete(self, prompt: Prompt, sampling: Sampling) -> list[Completion]:
        self.asked.append(prompt.text)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(0)  # let others be asked meanwhile
            reply = self.answer(prompt.text)
        finally:
            self.in_flight -= 1
        if isinstance(reply, Exception):
            raise reply
        return [completion(reply) if isinstance(reply, str) else reply]

    async def score(self, request: ScoreRequest) -> list[TokenScores]:
        raise NotImplementedError("this model only writes")


@dataclass
class TableScorer:
    """Scores a target by looking up (prompt given or not, target) -> (logprobs, ranks)."""

    answer: Callable[[ScoreRequest, int], tuple[Sequence[float], Sequence[int]]]
    name: str = "fake-student"
    asked: list[ScoreRequest] = field(default_factory=list)

    async def score(self, request: ScoreRequest) -> list[TokenScores]:
        self.asked.append(request)
        scored = [self.answer(request, number) for number in range(len(request.targets))]
        return [TokenScores(logprobs=logprobs, ranks=ranks) for logprobs, ranks in scored]


@dataclass
class WordGrader:
    """Reads the word behind the last "answer"; compares it with the gold one as text."""

    num_graded: int = 0

    async def grade(self, text: str, *, answer: str, answer_type: str, truncated: bool) -> Grade:
        self.num_graded += 1
        found = _ANSWER.findall(text)
        if not found:
            return Grade(verdict="truncated" if truncated else "no_answer")
        is_right = found[-1] == answer
        return Grade(verdict="correct" if is_right else "wrong", extracted_answer=found[-1])


class AnswerGrader:
    """What the product reads and compares, in this process."""

    async def grade(self, text: str, *, answer: str, answer_type: str, truncated: bool) -> Grade:
        return grade(text, answer=answer, answer_type=answer_type, truncated=truncated)


class WordCounter:
    """A token a word."""

    def count(self, text: str) -> int:
        return len(text.split())


@dataclass
class FakeModels:
    """A ModelHost (infra.runs.ports) of fakes, by model name; knows which were asked for."""

    models: Mapping[str, Any]
    is_closed: bool = False
    resident: list[EngineConfig] = field(default_factory=list)

    def model(self, config: EngineConfig, *, affinity: str = "") -> Any:
        return self.models[config.model]

    async def reside(self, configs: Collection[EngineConfig]) -> None:
        self.resident = list(configs)

    def close(self) -> None:
        self.is_closed = True


def ports(
    *,
    chat: Mapping[str, Any] | None = None,
    scoring: Mapping[str, Any] | None = None,
    prompts: str = "default",
    seed: int = 7,
    grader: Grader | None = None,
) -> Ports:
    """Ports of fakes, with the real prompt files."""
    return Ports(
        prompts=PromptFiles(prompts),
        grader=grader or WordGrader(),
        tokens=WordCounter(),
        seed=seed,
        chat=dict(chat or {}),
        scoring=dict(scoring or {}),
    )
