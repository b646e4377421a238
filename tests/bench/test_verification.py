"""The verifier on every labelled answer of shared/data, beside math-verify used alone, in one run.

Ours is what the product runs (infra/runs/grading.py, two worker processes); math-verify alone is
`parse`, `parse`, `verify` with default settings in two processes of its own, the gold answer of
type `math` written as `$...$` because it reads LaTeX nowhere else. The record is noisy, so every
answer on which ours, math-verify or the record differ must be judged by hand in
verification_judgements.toml; one that is not fails the bench, and errors are counted against the
record so corrected.

The disagreements are written to BENCH_DISAGREEMENTS (a folder; pytest's tmp_path by default).
"""

from __future__ import annotations

import asyncio
import json
import logging
import multiprocessing
import os
import time
import tomllib
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pytest

from infra.runs.grading import ProcessGrader
from tasks.ports import Grade
from tests.labelled_answers import FILES, GSM8K, MATHEMATICS, LabelledAnswer, load

JUDGEMENTS = Path(__file__).with_name("verification_judgements.toml")
MOST_ERRORS = {file: 0.005 if file in (GSM8K, *MATHEMATICS) else 0.02 for file in FILES}
WORKERS = 2
IN_FLIGHT = 64
WARM_UP = [
    LabelledAnswer(
        file="", row=0, candidate=0, answer_type="math", gold="\\sqrt{12}",
        text="It is \\boxed{2\\sqrt3}.", recorded=True,
    )
] * 32  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Graded:
    """One answer with both verdicts."""

    answer: LabelledAnswer
    grade: Grade
    alone: bool

    @property
    def ours(self) -> bool:
        return self.grade.verdict == "correct"

    @property
    def is_disputed(self) -> bool:
        return len({self.ours, self.alone, self.answer.recorded}) > 1


@dataclass(frozen=True, kw_only=True)
class Part:
    """The answers of one type in one file, and the seconds each verifier took."""

    graded: list[Graded]
    ours_s: float
    alone_s: float


Truth = dict[tuple[str, str], bool]  # (file, row/candidate): is the stated answer the gold one?


def judged() -> Truth:
    """The judgements; an answer judged twice is an error of the file."""
    truth: Truth = {}
    for judgement in tomllib.loads(JUDGEMENTS.read_text(encoding="utf-8"))["judgement"]:
        for key in judgement["answers"]:
            assert (judgement["file"], key) not in truth, (judgement["file"], key)
            truth[judgement["file"], key] = judgement["correct"]
    return truth


async def grade_all(grader: ProcessGrader, answers: list[LabelledAnswer]) -> list[Grade]:
    slots = asyncio.Semaphore(IN_FLIGHT)

    async def one(answer: LabelledAnswer) -> Grade:
        async with slots:
            return await grader.grade(
                answer.text, answer=answer.gold, answer_type=answer.answer_type, truncated=False
            )

    return await asyncio.gather(*map(one, answers))


def verify_alone(answer: LabelledAnswer) -> bool:
    """math-verify by itself. Runs in a process of its own, whose main thread its time-outs need."""
    from math_verify import parse, verify

    logging.disable(logging.CRITICAL)
    gold = f"${answer.gold}$" if answer.answer_type == "math" else answer.gold
    return bool(verify(parse(gold), parse(answer.text)))


async def measure(
    answers: list[LabelledAnswer], grader: ProcessGrader, pool: ProcessPoolExecutor
) -> Part:
    started = time.perf_counter()
    grades = await grade_all(grader, answers)
    ours_done = time.perf_counter()
    alone = list(pool.map(verify_alone, answers, chunksize=8))
    return Part(
        graded=[
            Graded(answer=answer, grade=grade, alone=by_library)
            for answer, grade, by_library in zip(answers, grades, alone, strict=True)
        ],
        ours_s=ours_done - started,
        alone_s=time.perf_counter() - ours_done,
    )


async def measure_all() -> list[Part]:
    """Every file, type by type, both verifiers warm."""
    grader = ProcessGrader(max_workers=WORKERS)
    with ProcessPoolExecutor(WORKERS, multiprocessing.get_context("spawn")) as pool:
        await measure(WARM_UP, grader, pool)
        parts = [
            await measure(list(group), grader, pool)
            for file in FILES
            for _, group in groupby(sorted(load(file), key=_type_of), key=_type_of)
        ]
    grader.close()
    return parts


def _type_of(answer: LabelledAnswer) -> str:
    return answer.answer_type


def write_disagreements(graded: Iterable[Graded], folder: Path, truth: Truth) -> Path:
    """One line for each disputed answer, with the end of its text, to be judged."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "disagreements.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for each in graded:
            answer = each.answer
            line = {
                "file": answer.file, "answer": answer.key, "type": answer.answer_type,
                "gold": answer.gold[-200:], "extracted": each.grade.extracted_answer,
                "verdict": each.grade.verdict, "alone": each.alone, "recorded": answer.recorded,
                "judged": truth.get((answer.file, answer.key)), "end": answer.text[-700:],
            }  # fmt: skip
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return path


def agreement_table(parts: list[Part]) -> Iterator[str]:
    yield (
        f"{'file':<40} {'type':<8} {'answers':>7} {'agree with the record':>24} "
        f"{'differ from it':>16} {'answers/s':>15}"
    )
    yield f"{'':<57} {'ours':>12} {'alone':>11} {'ours':>8} {'alone':>7} {'ours':>8} {'alone':>6}"
    for part in parts:
        number, first = len(part.graded), part.graded[0].answer
        ours = sum(each.ours != each.answer.recorded for each in part.graded)
        alone = sum(each.alone != each.answer.recorded for each in part.graded)
        yield (
            f"{first.file:<40} {first.answer_type:<8} {number:>7} "
            f"{1 - ours / number:>12.2%} {1 - alone / number:>11.2%} {ours:>8} {alone:>7} "
            f"{number / part.ours_s:>8.0f} {number / part.alone_s:>6.0f}"
        )


@dataclass(frozen=True, kw_only=True)
class Errors:
    """Wrong verdicts in one file, by the judged record."""

    file: str
    answers: int
    disputed: int
    record: int
    ours: int
    alone: int

    def __str__(self) -> str:
        return (
            f"{self.file:<40} {self.answers:>7} {self.disputed:>9} {self.record:>10} "
            f"{self.ours:>5} {self.alone:>6} {self.ours / self.answers:>9.2%} "
            f"{self.alone / self.answers:>8.2%}"
        )


def errors_of(file: str, graded: list[Graded], truth: Truth) -> Errors:
    rows = [
        (each, truth.get((file, each.answer.key), each.answer.recorded))
        for each in graded
        if each.answer.file == file
    ]
    return Errors(
        file=file,
        answers=len(rows),
        disputed=sum(each.is_disputed for each, _ in rows),
        record=sum(each.answer.recorded != right for each, right in rows),
        ours=sum(each.ours != right for each, right in rows),
        alone=sum(each.alone != right for each, right in rows),
    )


@pytest.mark.timeout(1_800)
async def test_judged_errors_beside_math_verify_alone(tmp_path: Path) -> None:
    truth = judged()
    parts = await measure_all()
    graded = [each for part in parts for each in part.graded]
    disputed = [each for each in graded if each.is_disputed]
    folder = Path(os.environ.get("BENCH_DISAGREEMENTS", tmp_path))
    path = write_disagreements(disputed, folder, truth)
    errors = [errors_of(file, graded, truth) for file in FILES]
    print("", *agreement_table(parts), "", sep="\n")
    print(
        f"{'judged by hand':<40} answers  disputed  wrong: record  ours  alone  ours in %   alone"
    )
    print(*errors, f"disagreements: {path}", sep="\n")
    known = {(each.answer.file, each.answer.key) for each in graded}
    assert set(truth) <= known, "judgements of answers that are not in the data"
    unjudged = [
        each.answer for each in disputed if (each.answer.file, each.answer.key) not in truth
    ]
    assert [f"{answer.file} {answer.key}" for answer in unjudged] == []
    for found in errors:
        assert found.ours / found.answers <= MOST_ERRORS[found.file], found
        assert found.ours <= found.alone, found
