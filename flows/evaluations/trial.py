"""One question to one model, plain and with `<compress>`: what `litecot try` does.

Invariants: the prompt, the sampling and the engine are those of an evaluation; the engine runs in
this process, no server, no Ray and no corpus is written to. A prompt that the model cannot be given
is a refusal in words, and the other is answered all the same.

A sample: Answered(compress=True, completion=Completion(text="1) 3 + 4 = 7 ...", ...),
stated=Grade(verdict="correct", extracted_answer="7", stated_as="phrase"), refusal=None)
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from infra.engines import EngineConfig, open_engine
from infra.runs.grading import ProcessGrader
from tasks.answers.inference import infer_answer_type
from tasks.answers.verdict import stated_answer
from tasks.errors import LitecotError
from tasks.ports import Completion, Grade, PermanentError, Prompt, Sampling, TransientError
from tasks.prompts import PromptFile


class NoAnswerError(LitecotError):
    """The model answered neither prompt; one line with its reason."""


class Writes(Protocol):
    """What both a loaded engine and a server's model do."""

    async def complete(self, prompt: Prompt, sampling: Sampling) -> list[Completion]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Asked:
    """`gold`: where there is one the answers are graded."""

    question: str
    prompt: PromptFile
    sampling: Sampling
    gold: str | None = None


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One prompt's outcome: a completion and what it states, or why there is none."""

    compress: bool
    completion: Completion | None = None
    stated: Grade | None = None
    refusal: str | None = None


def try_model(
    config: EngineConfig, asked: Asked, *, secrets: Mapping[str, str] | None = None
) -> list[Answered]:
    """Plain, then with `<compress>`. Raises ModelFilesError, NoAnswerError."""
    connect = config.engine_type.connect
    is_hosted = connect is None
    model: Writes = open_engine(config) if connect is None else connect(config, secrets or {})
    try:
        return asyncio.run(ask_both(model, asked, warm_up=is_hosted))
    finally:
        model.close()


async def ask_both(model: Writes, asked: Asked, *, warm_up: bool = False) -> list[Answered]:
    """One after the other, so that each has the machine for itself. Raises NoAnswerError."""
    if warm_up:  # what an engine does at its first request only is no part of the seconds
        await _answer(model, asked, compress=False, sampling=Sampling(max_tokens=1))
    told = [
        await _answer(model, asked, compress=compress, sampling=asked.sampling)
        for compress in (False, True)
    ]
    if all(one.completion is None for one in told):
        raise NoAnswerError(f"no answer: {told[0].refusal}")
    return [await _graded(one, asked) for one in told]


async def _answer(model: Writes, asked: Asked, *, compress: bool, sampling: Sampling) -> Answered:
    prompt = Prompt(
        text=asked.prompt.render(question=asked.question), sha=asked.prompt.sha, compress=compress
    )
    try:
        (completion,) = await model.complete(prompt, sampling)
    except PermanentError as error:
        return Answered(compress=compress, refusal=_refusal(error))
    except TransientError as error:
        return Answered(compress=compress, refusal=str(error))
    return Answered(compress=compress, completion=completion)


def _refusal(error: PermanentError) -> str:
    """Why, and what a person at a terminal can do about it."""
    if error.reason == "no_compress_token":  # the rest is about training or hosting it anew
        return error.detail.partition(": ")[0]
    return (
        f"{error.detail}; see --max-tokens" if error.reason == "prompt_too_long" else error.detail
    )


async def _graded(one: Answered, asked: Asked) -> Answered:
    if one.completion is None:
        return one
    text, is_cut = one.completion.text, one.completion.finish_reason == "length"
    if asked.gold is None:
        stated = stated_answer(text, truncated=is_cut)
    else:
        kind = infer_answer_type(asked.gold, asked.question)
        grader = ProcessGrader(max_workers=1)
        try:
            stated = await grader.grade(text, answer=asked.gold, answer_type=kind, truncated=is_cut)
        finally:
            grader.close()
    return Answered(compress=one.compress, completion=one.completion, stated=stated)
