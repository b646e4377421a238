"""MACC's loop over chains that real models wrote: the reason it ends for, the round it keeps.

A compressor here is a recording: asked to refine one model's chain of a problem, it answers with
the next model's chain of the same problem, in one order after another. Grading and token counts are
the product's; the reference (tests/compression_reference.py) gets its lengths from transformers'
tokenizer. `python -m pytest tests/integration/test_macc_on_real_chains.py -s` prints how many loops
ended by which reason.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from flows.recipes.loading import load_recipe
from flows.recipes.plan import draft_plan
from infra.engines.token_counter import TokenizerCounter
from infra.runs.grading import ProcessGrader
from infra.runs.intake import Intake, take_in
from infra.runs.run import Run
from infra.runs.runner import run_stage
from infra.settings import Settings
from sql.database import Database
from tasks.compress import CompressConfig, CompressRecord, compress
from tasks.compress_methods import Outcome
from tasks.ports import Completion, Grade, Ports, Prompt, Sampling
from tasks.prompts import PromptFiles
from tasks.schemas import Rationale
from tests.compression_reference import Ended, ended
from tests.fakes import FakeModels, completion
from tests.integration.test_length_accounting import reference_lengths
from tests.real_chains import DATA, MATH100, RealProblem, math100, math500, save_qwen2_model

CONFIGS = {
    "until_rebound": CompressConfig(source="long"),
    "until_rebound, 2 rounds": CompressConfig(source="long", max_rounds=2),
    "until_rebound, 20% a round": CompressConfig(source="long", min_reduction=0.2),
    "fixed_rounds, 3": CompressConfig(source="long", method="fixed_rounds"),
    "one_round": CompressConfig(source="long", method="one_round"),
    "fixed_ratio": CompressConfig(source="long", method="fixed_ratio"),
}
MOST = 8  # no loop here asks more often
REASON_COLUMNS = {  # of the mart compression_by_round
    "rebound": "num_rebounded", "answer_changed": "num_answer_changed",
    "answer_not_stated": "num_answer_not_stated",
    "truncated": "num_truncated", "min_reduction": "num_min_reduction",
    "max_rounds": "num_max_rounds", "rounds_done": "num_rounds_done",
}  # fmt: skip


def finish_reason(chain: str) -> str:
    """Sky-T1's recording broke off where its solution was not closed."""
    is_open = "<|begin_of_thought|>" in chain and "<|end_of_solution|>" not in chain
    return "length" if is_open else "stop"


@dataclass
class Recording:
    """A ChatModel that answers one recorded chain with the next: a reply depends on it alone."""

    following: Mapping[str, str]
    name: str = "recorded"
    engine: str = "recorded"

    async def complete(self, prompt: Prompt, sampling: Sampling) -> list[Completion]:
        await asyncio.sleep(0)
        _, _, behind = prompt.text.partition("\n<solution>\n")
        reply = self.following[behind.rpartition("\n</solution>\n")[0]]
        return [completion(reply, finish_reason=finish_reason(reply))]


@dataclass
class RememberingGrader:
    """The product's grader, asked once for each chain: a verdict depends on its arguments alone."""

    grader: ProcessGrader
    known: dict[tuple[str, ...], Grade] = field(default_factory=dict)

    async def grade(self, text: str, *, answer: str, answer_type: str, truncated: bool) -> Grade:
        key = (text, answer, answer_type, str(truncated))
        if key not in self.known:
            self.known[key] = await self.grader.grade(
                text, answer=answer, answer_type=answer_type, truncated=truncated
            )
        return self.known[key]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_qwen2_model(tmp_path_factory.mktemp("target"))


@pytest.fixture(scope="module")
def grader() -> Iterator[RememberingGrader]:
    processes = ProcessGrader(max_workers=2)
    yield RememberingGrader(processes)
    processes.close()


def orders(problem: RealProblem, lengths: Mapping[str, int]) -> list[list[str]]:
    """The problem's chains in several orders: as recorded, back, by length down and up, shuffled.

    Rounds go round an order from any of its chains on, so three chains are met in all six orders;
    of orders that are the same round, one is left.
    """
    chains = list(dict.fromkeys(problem.chains.values()))
    down = sorted(chains, key=lambda chain: -lengths[chain])
    shuffled = random.Random(problem.question).sample(chains, len(chains))
    found = [chains, chains[::-1], down, down[::-1], shuffled]
    first = min(chains)
    rounds = [tuple(cycle_from(first, cycle(order), len(chains))) for order in found]
    return [list(order) for order in dict.fromkeys(rounds)]


def cycle_from(start: str, following: Mapping[str, str], count: int) -> Iterator[str]:
    """`count` chains from `start` on."""
    for _ in range(count):
        yield start
        start = following[start]


def cycle(order: Sequence[str]) -> dict[str, str]:
    return dict(zip(order, [*order[1:], order[0]], strict=True))


@dataclass(frozen=True)
class Loop:
    """One loop as it went, and as the reference says it must go."""

    found: Ended
    expected: Ended
    rows: list[Rationale]
    lengths: list[int]  # what the rows must say


async def grade(text: str, problem: RealProblem, grader: RememberingGrader) -> Grade:
    cut = finish_reason(text) == "length"
    return await grader.grade(text, answer=problem.answer, answer_type="math", truncated=cut)


async def loop_over(
    start: str, following: Mapping[str, str], *, problem: RealProblem, config: CompressConfig,
    lengths: Mapping[str, int], counter: TokenizerCounter, grader: RememberingGrader,
) -> Loop:  # fmt: skip
    record = CompressRecord(
        record_id=start[:40], problem_id="p", question=problem.question, answer=problem.answer,
        answer_type="math", level=None, candidate=0, text=start, num_tokens=counter.count(start),
    )  # fmt: skip
    ports = Ports(
        prompts=PromptFiles(config.prompt), grader=grader, tokens=counter,
        chat={"compressor": Recording(following)},
    )  # fmt: skip
    rows = list(await compress(record, ports, config))
    replies, text = [], start
    for _ in range(MOST):
        text = following[text]
        graded = await grade(text, problem, grader)
        replies.append(
            Outcome(
                num_tokens=lengths[text], verdict=graded.verdict,
                finish_reason=finish_reason(text), is_stated=graded.stated_as != "closing_line",
            )
        )  # fmt: skip
    kept = [row.round for row in rows if row.chosen]
    return Loop(
        found=Ended(len(rows), str(rows[-1].stop_reason), kept[0] if kept else None),
        expected=ended(lengths[start], replies, config),
        rows=rows,
        lengths=[reply.num_tokens for reply in replies[: len(rows)]],
    )


async def all_loops(
    problems: Sequence[RealProblem], config: CompressConfig, **given: Any
) -> list[Loop]:
    """From every right and whole chain of every problem, in each order."""
    loops: list[Loop] = []
    for problem in problems:
        for order in orders(problem, given["lengths"]):
            for start in order:
                if (await grade(start, problem, given["grader"])).verdict == "correct":
                    loop = loop_over(start, cycle(order), problem=problem, config=config, **given)
                    loops.append(await loop)
    return loops


@pytest.mark.parametrize("source", ["MATH-500, 3 models", "MATH, 8 samples of one"])
def test_real_chains_end_as_the_reference_says(
    source: str, target: Path, grader: RememberingGrader
) -> None:
    problems = math500() if "500" in source else math100()
    texts = (text for problem in problems for text in problem.chains.values())
    given = {
        "lengths": reference_lengths(target, texts), "counter": TokenizerCounter(str(target)),
        "grader": grader,
    }  # fmt: skip
    print(f"\n{source}: loops by the reason they ended for")
    seen: Counter[str] = Counter()
    for name, config in CONFIGS.items():
        loops = asyncio.run(all_loops(problems, config, **given))
        wrong = [loop for loop in loops if loop.found != loop.expected]
        assert wrong == []
        assert all([r.num_tokens for r in loop.rows] == loop.lengths for loop in loops)
        check_kept(loops)
        reasons = Counter(loop.found.reason for loop in loops)
        seen.update(reasons)
        kept = sum(loop.found.kept is not None for loop in loops)
        print(f"  {name:27} {len(loops):5} loops, {kept:5} kept a round: {dict(reasons)}")
    expected = {"rebound", "answer_changed", "min_reduction", "max_rounds", "rounds_done"}
    assert set(seen) == (
        expected | {"truncated", "answer_not_stated"} if "500" in source else expected
    )


def check_kept(loops: Sequence[Loop]) -> None:
    """Never an answer changed, never a chain cut off, never one longer than where it began."""
    kept = [row for loop in loops for row in loop.rows if row.chosen]
    assert len(kept) == sum(loop.found.kept is not None for loop in loops) > 50
    assert {row.verdict for row in kept} == {"correct"}
    assert {row.finish_reason for row in kept} == {"stop"}
    assert all(row.reached_ratio is not None and row.reached_ratio < 1 for row in kept)


# --- in a corpus: rationales somebody imported, verified, compressed and asked about


def imported(target: Path, *overrides: str) -> Any:
    """Stages verify and compress over the eight samples; the compressor lives elsewhere."""
    return load_recipe(
        "morsd",
        overrides=[
            'stages=["verify", "compress"]', "compress.source=long",
            f"models.student.model={target}", "models.compressor.engine=endpoint",
            "models.compressor.model=recorded",
            "models.compressor.endpoint.base_url=http://127.0.0.1:9/v1",
            "source.candidates=require", "source.columns.question=question",
            "source.columns.answer=gt", 'source.columns.candidates=["code"]', *overrides,
        ],
        problems=[str(DATA / f"{MATH100}.jsonl")],
    )  # fmt: skip


def filled(corpus: Path, recipe: Any, grader: RememberingGrader) -> Database:
    following = {
        start: reply
        for problem in math100()
        for start, reply in cycle(list(dict.fromkeys(problem.chains.values()))).items()
    }
    with Run(
        draft_plan(recipe), corpus=corpus, settings=Settings(), grader=grader,
        models=FakeModels({"recorded": Recording(following)}),
    ) as run:  # fmt: skip
        take_in(run, Intake(problems=recipe.problems, source=recipe.source), lambda _: None)
        asyncio.run(run_stage(run, "verify"))
        asyncio.run(run_stage(run, "compress"))
        return run.database()


def test_imported_rationales_are_compressed_and_counted(
    target: Path, tmp_path: Path, grader: RememberingGrader
) -> None:
    math100()  # skips where the file is absent
    database = filled(tmp_path / "corpus", imported(target), grader)
    rows = database.run("select text, num_tokens from stg_rationales").rows
    reference = reference_lengths(target, (text for text, _ in rows))
    assert all(count == reference[text] for text, count in rows)
    chains = database.run(
        "select parent_id, arg_max(stop_reason, round), count(stop_reason), "
        "max(num_tokens) filter (chosen), count(*) filter (chosen) "
        "from stg_rationales where kind = 'compressed' group by parent_id"
    ).rows
    ((num_right,),) = database.run(
        "select count(*) from stg_rationales where kind = 'long' and verdict = 'correct'"
    ).rows
    assert len(chains) == num_right > 700  # none is left out
    assert {number for _, _, number, _, _ in chains} == {1}  # one reason each
    assert {number for *_, number in chains} == {0, 1}
    reasons = Counter(reason for _, reason, *_ in chains)
    by_reason = named(database, "analyses", "rebound_by_level")
    assert {row["stop_reason"]: row["num_chains"] for row in by_reason} == dict(reasons)
    (level,) = named(database, "analyses", "compression_ratio_by_level")
    kept = [tokens for *_, tokens, number in chains if number]
    assert (level["num_chains"], level["num_unshortened"]) == (len(kept), len(chains) - len(kept))
    assert level["tokens_before"] > level["tokens_after"] == sum(kept)
    for reason, column in REASON_COLUMNS.items():
        ended_so = sum(row[column] for row in named(database, "marts", "compression_by_round"))
        assert ended_so == reasons[reason]
    assert database.run_file("checks", "compressed_longer").rows == []


def named(database: Database, kind: str, name: str) -> list[dict[str, Any]]:
    result = database.run_file(kind, name)
    return [dict(zip(result.columns, row, strict=True)) for row in result.rows]


def test_ratios_asked_for_and_reached_are_stored(
    target: Path, tmp_path: Path, grader: RememberingGrader
) -> None:
    math100()
    recipe = imported(target, "compress.method=fixed_ratio")
    database = filled(tmp_path / "corpus", recipe, grader)
    rows = database.run(
        "select c.target_ratio, c.reached_ratio = c.num_tokens / p.num_tokens, c.stop_reason "
        "from stg_rationales as c join stg_rationales as p on p.rationale_id = c.parent_id "
        "where c.kind = 'compressed'"
    ).rows
    asked = Counter(target_ratio for target_ratio, _, _ in rows)
    assert sorted(asked) == [0.5, 0.6, 0.7, 0.8, 0.9]
    assert min(asked.values()) > 0.1 * len(rows)  # 0.2 expected
    assert all(is_reached for _, is_reached, _ in rows)
    assert {reason for *_, reason in rows} <= {"rounds_done", "answer_changed"}
