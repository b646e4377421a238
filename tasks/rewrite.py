"""DAP: the teacher rewrites a correct long chain by the template of its level, then verifies it.

In two steps the level is the one that the stage `difficulty` graded; with a single prompt the
teacher judges it and rewrites at once, as in the paper's abstract.
Invariant: a rewrite whose answer is not the gold one, or that the teacher rejects, is tried again
with the reason, up to `max_attempts` times; then `fallback` says what becomes of the chain. A
rewrite that was refused never enters the corpus (LiteCoT 3-4), and every attempt's fault is told.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

from jinja2 import UndefinedError
from pydantic import Field, model_validator

from tasks.costs import CostBook, Expectation, ExpectedUsage
from tasks.ports import Completion, Grade, Ports, Prompt, Sampling
from tasks.prompts import is_own, render
from tasks.prompts.values import QUESTION, PromptValue, StepPrompt, rationale, structured
from tasks.rewrite_faults import CHECK, Fault, fault_of, read_check
from tasks.schemas import Rationale, Rejection
from tasks.stage import Level, Record, Stage, StageConfig, derive_seed, usage_of
from tasks.structured import after_thought, choices_schema
from tasks.verify import grade_completion

HARDER: Level = "medium"  # what `escalate` makes of an easy problem
LIMIT = "of an easy rewrite, by `rewrite.max_tokens_easy`"
PROMPT = StepPrompt(
    step="rewrite",
    values=(
        QUESTION,
        rationale("the long chain that is rewritten"),
        PromptValue(
            name="level",
            meaning="easy, medium or hard; single_prompt: left out, the reply has to say it",
            samples=("easy", "medium", "hard"),
            sure_if=("variant", "two_step"),
        ),
        PromptValue(
            name="feedback",
            meaning='why the attempt before it was refused; "" at the first',
            samples=("", "it has 312 tokens"),
        ),
        PromptValue(name="max_tokens", meaning=f"tokens {LIMIT}", samples=("300",)),
        PromptValue(name="max_words", meaning=f"about as many words {LIMIT}", samples=("200",)),
    ),
)
CHECK_PROMPT = StepPrompt(
    step="verify",
    setting="check_prompt",
    values=(QUESTION, rationale("the rewrite"), structured("rewrite.structured_check")),
)


class RewriteConfig(StageConfig):
    """Variant, template by level, checks, and what happens after the last attempt."""

    prompt: str = Field(default="instruct", description="variant that ships, or a file of yours")
    check_prompt: str | None = Field(
        default=None,
        exclude_if=lambda name: name is None,  # left out, a recipe is stored as it always was
        description="of the teacher's check; left out: the variant of `prompt`, else instruct",
    )
    variant: Literal["two_step", "single_prompt"] = Field(
        default="two_step", description="rewrite by level and check, or all in one prompt"
    )
    level: Literal["graded", "easy", "medium", "hard"] = Field(
        default="graded", description="template: of the level graded, or one for all problems"
    )
    temperature: float = Field(
        default=0.6, ge=0, description="of sampling; 0: always the likeliest token"
    )
    top_p: float = Field(
        default=0.95, gt=0, le=1, description="share of probability that is sampled from"
    )
    max_tokens: int = Field(default=8192, ge=1, description="limit of a rewrite")
    max_tokens_easy: int = Field(default=300, ge=1, description="an easy rewrite may be no longer")
    max_attempts: int = Field(
        default=3, ge=1, description="rewrites of a chain before it is given up"
    )
    escalate: bool = Field(
        default=False, description="an easy rewrite that stays too long is tried as medium"
    )
    require_stated_answer: bool = Field(
        default=True, description="an answer that only the closing line gives away is a fault"
    )
    fallback: Literal["reject", "original"] = Field(
        default="reject", description="after the last attempt; original: the parent goes on instead"
    )
    teacher_check: bool = Field(
        default=True, description="the teacher checks logic and completeness"
    )
    max_tokens_check: int = Field(default=8192, ge=1, description="a reasoning model thinks first")
    structured_check: bool = Field(default=False, description="hold that check to a JSON schema")
    """Hold the teacher's check to a JSON schema (engines vllm and endpoint). Off by default: a
    reasoning model has to be free to think before it answers, and a schema starts at once."""

    @model_validator(mode="after")
    def _check_level(self) -> RewriteConfig:
        if self.level != "graded" and self.variant == "single_prompt":
            raise ValueError("level: with variant 'single_prompt' the teacher judges it: leave it")
        return self

    @model_validator(mode="after")
    def _check_prompt(self) -> RewriteConfig:
        if self.variant == "single_prompt" and not is_own(self.prompt):  # own: see its checks
            values = {"question": "", "rationale": "", "feedback": ""}
            try:
                render("rewrite", self.prompt, **values, **_limits(self))
            except UndefinedError:
                raise ValueError(
                    f"variant 'single_prompt' has to ask for the level, which prompt "
                    f"{self.prompt!r} does not: set rewrite.prompt = 'instruct'"
                ) from None
        return self


def _limits(config: RewriteConfig) -> dict[str, str]:
    limit = config.max_tokens_easy
    return {"max_tokens": str(limit), "max_words": str(limit * 2 // 3)}  # of worked mathematics


@dataclass(frozen=True, kw_only=True)
class RewriteRecord(Record):
    question: str
    answer: str
    answer_type: str
    level: Level | None  # None: the single prompt judges it
    parent_id: str | None  # None: no candidate was correct and whole
    parent_text: str | None
    parent_model: str | None
    parent_engine: str | None
    num_cut_off: int = 0  # correct candidates that are no parent, for they were cut off


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One rewrite with what was found; `fault` None means it is accepted."""

    completion: Completion  # its text is the rewrite alone
    prompt: Prompt
    level: Level | None  # given, or judged by the reply; None: the reply names none
    grade: Grade
    fault: Fault | None
    paid: Sequence[Sequence[Completion]]  # replies, the check's included


_LEVEL_LINE = re.compile(r"\s*\W{0,4}difficulty\W{1,6}(easy|medium|hard)\b[^\n]*\n?", re.I)


def split_level(reply: str) -> tuple[Level | None, str]:
    """A single prompt's reply -> the level its first line names, and the rewrite below it."""
    found = _LEVEL_LINE.match(reply)
    if found is None:
        return None, reply
    return cast(Level, found[1].lower()), reply[found.end() :].lstrip()


async def _teacher_check(
    text: str, *, record: RewriteRecord, ports: Ports, config: RewriteConfig, seed: int
) -> tuple[Fault | None, list[Completion]]:
    prompt = ports.prompts.render(
        "verify",
        question=record.question,
        rationale=text,
        structured="yes" if config.structured_check else "",
    )
    schema = choices_schema(CHECK) if config.structured_check else None
    sampling = Sampling(max_tokens=config.max_tokens_check, seed=seed, json_schema=schema)
    reply = await ports.chat["teacher"].complete(prompt, sampling)
    return read_check(reply[0].text), reply


def _prompt(
    level: Level | None, feedback: str, record: RewriteRecord, ports: Ports, config: RewriteConfig
) -> Prompt:
    values = {
        "question": record.question, "rationale": record.parent_text or "", "feedback": feedback,
        **_limits(config),
    }  # fmt: skip
    if level is not None:  # left out, the prompt asks for it
        values["level"] = level
    return ports.prompts.render("rewrite", compress=False, **values)


async def _attempt(
    number: int,
    feedback: str,
    *,
    level: Level | None,
    record: RewriteRecord,
    ports: Ports,
    config: RewriteConfig,
) -> Attempt:
    seed = derive_seed(ports.seed, "rewrite", record.parent_id, number)
    prompt = _prompt(level, feedback, record, ports, config)
    sampling = Sampling(
        temperature=config.temperature, top_p=config.top_p, max_tokens=config.max_tokens, seed=seed
    )
    paid = [await ports.chat["teacher"].complete(prompt, sampling)]
    text = after_thought(paid[0][0].text)
    if level is None:
        level, text = split_level(text)
    completion = replace(paid[0][0], text=text)
    grade = await grade_completion(completion, record, ports)
    fault = fault_of(
        grade,
        level=level,
        num_tokens=ports.tokens.count(text),
        finish_reason=completion.finish_reason,
        max_tokens=config.max_tokens,
        max_tokens_easy=config.max_tokens_easy,
        require_stated=config.require_stated_answer,
    )
    if fault is None and config.teacher_check:
        fault, check = await _teacher_check(
            text, record=record, ports=ports, config=config, seed=seed
        )
        paid.append(check)
    return Attempt(
        completion=completion, prompt=prompt, level=level, grade=grade, fault=fault, paid=paid
    )


async def _attempts(
    level: Level | None,
    earlier: Sequence[Attempt],
    *,
    record: RewriteRecord,
    ports: Ports,
    config: RewriteConfig,
) -> list[Attempt]:
    """`earlier`, and up to `max_attempts` more: the last one is accepted, or all failed."""
    attempts = list(earlier)
    for number in range(len(earlier), len(earlier) + config.max_attempts):
        feedback = attempts[-1].fault.feedback if attempts and attempts[-1].fault else ""
        attempts.append(
            await _attempt(number, feedback, level=level, record=record, ports=ports, config=config)
        )
        if attempts[-1].fault is None:
            break
    return attempts


async def rewrite(
    record: RewriteRecord, ports: Ports, config: RewriteConfig
) -> Sequence[Rationale | Rejection]:
    """One Rationale (kind "rewritten"), or one Rejection that names the last fault and tells all.

    With fallback "original" the parent's text follows the rejection as the rewritten chain.
    """
    if record.parent_id is None:
        return [_without_parent(record)]
    level = record.level if config.level == "graded" else config.level
    attempts = await _attempts(level, [], record=record, ports=ports, config=config)
    last = attempts[-1].fault
    if config.escalate and last is not None and last.reason == "too_long_for_easy":
        attempts = await _attempts(HARDER, attempts, record=record, ports=ports, config=config)
        last = attempts[-1].fault
    if last is None:
        return [_accepted(attempts, record, ports)]
    detail = f"{len(attempts)} attempts failed: {_told(attempts)}"
    teacher = ports.chat["teacher"].name
    refused = _rejected(record, last.reason, detail, model=teacher, attempts=attempts)
    if config.fallback == "reject":
        return [refused]
    return [refused, await _original(attempts, record, ports)]


def _without_parent(record: RewriteRecord) -> Rejection:
    if not record.num_cut_off:
        return _rejected(record, "no_correct_candidate", "no long chain reached the gold answer")
    detail = f"{record.num_cut_off} long chains reached the gold answer, and all were cut off"
    return _rejected(record, "no_whole_candidate", detail)


def _told(attempts: Sequence[Attempt]) -> str:
    """What was wrong with each attempt that failed, in order."""
    return "; ".join(
        f"{number} ({attempt.level or 'no level'}) {attempt.fault.words}"
        for number, attempt in enumerate(attempts, start=1)
        if attempt.fault is not None
    )


def _usage_of_all(attempts: Sequence[Attempt]) -> list[Sequence[Completion]]:
    return [request for attempt in attempts for request in attempt.paid]


def _accepted(attempts: Sequence[Attempt], record: RewriteRecord, ports: Ports) -> Rationale:
    teacher, attempt = ports.chat["teacher"], attempts[-1]
    text = attempt.completion.text
    return Rationale(
        problem_id=record.problem_id,
        parent_id=record.parent_id,
        kind="rewritten",
        level=attempt.level,
        model=teacher.name,
        engine=teacher.engine,
        text=text,
        num_tokens=ports.tokens.count(text),
        verdict=attempt.grade.verdict,
        extracted_answer=attempt.grade.extracted_answer,
        stated_as=attempt.grade.stated_as,
        finish_reason=attempt.completion.finish_reason,
        faults=_told(attempts) or None,
        prompt_sha=attempt.prompt.sha,
        **usage_of(_usage_of_all(attempts)),
    )


async def _original(attempts: Sequence[Attempt], record: RewriteRecord, ports: Ports) -> Rationale:
    """The parent instead of the rewrite; what the attempts cost is on the rejection's account."""
    text = record.parent_text or ""
    grade = await ports.grader.grade(
        text, answer=record.answer, answer_type=record.answer_type, truncated=False
    )
    return Rationale(
        problem_id=record.problem_id,
        parent_id=record.parent_id,
        kind="rewritten",
        level=attempts[-1].level,
        model=record.parent_model or "",
        engine=record.parent_engine or "",
        text=text,
        num_tokens=ports.tokens.count(text),
        verdict=grade.verdict,
        extracted_answer=grade.extracted_answer,
        stated_as=grade.stated_as,
        finish_reason="original",
        faults=_told(attempts),
    )


def _rejected(
    record: RewriteRecord,
    reason: str,
    detail: str,
    *,
    model: str | None = None,
    attempts: Sequence[Attempt] = (),
) -> Rejection:
    return Rejection(
        record_id=record.record_id,
        problem_id=record.problem_id,
        stage="rewrite",
        reason=reason,
        detail=detail,
        model=model,
        **usage_of(_usage_of_all(attempts)),
    )


def _usage(book: CostBook, config: RewriteConfig) -> ExpectedUsage:
    """So many attempts, each a rewrite and, where wanted, the teacher's check of it."""
    length, checks = book.length("rewritten"), int(config.teacher_check)
    written = book.question + book.length("long") + book.template("rewrite", config.prompt)
    checked = checks * (
        book.question + length + book.template("verify", STAGE.prompt_name("verify", config))
    )
    verdict = checks * book.reply(book.assume("verdict_tokens"), config.max_tokens_check)
    attempt = ExpectedUsage(
        requests=1 + checks,
        prompt_tokens=written + checked,
        completion_tokens=book.reply(length, config.max_tokens) + verdict,
    )
    return attempt.times(min(book.assume("rewrite_attempts"), config.max_attempts))


STAGE = Stage(
    name="rewrite",
    reads="rewrite",
    writes=Rationale,
    record=RewriteRecord,
    config=RewriteConfig,
    step=rewrite,
    roles=("teacher",),
    prompts=(PROMPT, CHECK_PROMPT),
    upstream=("generate", "verify", "difficulty"),
    makes=("rewritten",),
    grades=True,
    title="rewritten as {level}",
    schema_setting="structured_check",
    expects=Expectation(
        records=lambda book, config: book.num_solved,
        usage=_usage,
        chains=lambda book, config: book.num_solved * book.share_accepted,
        length=lambda book, config: min(book.assume("rewritten_tokens"), config.max_tokens),
    ),
)
