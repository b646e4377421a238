"""The replication on real text where there is neither corpus nor Ray: the same design, its rows.

Role: flows/real_text/design.toml at its full size with the product's own scoring step, selection,
ranks and verifier, called one after the other. Invariants: what is chosen is what `select` would
choose of the same scores; rows are those that the analyses of flows/real_text/results.py give, so
that the same page is made of them (tests/gpu/kit/real_page.py). A seed that the time does not
reach is left out, and told.

A sample: {"labelled": [...], "base": [...], "students": [{"arm": "all", "seed": 1, ...}], ...}
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import time
import tomllib
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from flows.real_text import sources
from infra.engines import EngineConfig, open_engine
from infra.training.reports import TrainingExample
from tasks.answers import grade
from tasks.ports import Sampling
from tasks.prompts import PromptFiles
from tasks.score import ScoreConfig, ScoreRecord, score
from tasks.select import Considered, SelectConfig, cost_of, select_condition
from tests.fakes import ports
from tests.gpu.bare.ranks import settings
from tests.rank_runs import RankJob, run_jobs

Row = dict[str, Any]
DESIGN = tomllib.loads(Path(sources.__file__).with_name("design.toml").read_text("utf-8"))
SCORERS = ("rd", "ifd", "grape", "rsr", "random")


@dataclass(frozen=True, kw_only=True)
class Named:
    """An engine under a name, as a stage sees it."""

    name: str
    engine: Any

    def score(self, request: Any) -> Any:
        return self.engine.score(request)


@dataclass(kw_only=True)
class RealText:
    """One run of the design."""

    data: Path
    base: Path
    folder: Path
    device: str
    scale: Row  # of [sizes.full], or less
    budget_s: float
    figures: Row
    began: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        """Fills the figures as it goes."""
        files = sources.Files(self.folder / "problems")
        numbers = {name: self.scale[name] for name in ("labelled", "pool", "read", "answered")}
        seeds = DESIGN["seeds"][: self.scale["seeds"]]
        sources.write_files(files, self.data, seeds=seeds, **numbers)
        self.figures |= {"scale": self.scale, "students": [], "left_out": [], "seconds": {}}
        held_out = _problems(files.read)
        with self._timed("labelled"), self._engine(self.base) as engine:
            scored = self._scored(engine, _problems(files.labelled),
                                  DESIGN["labelled"]["score.scorers"], seed=0)  # fmt: skip
            self.figures["labelled"] = [_labelled(row) for row in scored]
        with self._timed("base"), self._engine(self.base) as engine:
            self.figures["base"] = self._read(engine, held_out)
            self.figures["base_answers"] = self._answers(engine, _problems(files.answered))
        longest = 0.0
        for seed in seeds:
            started = time.monotonic()
            if started - self.began + longest > self.budget_s:
                self.figures["left_out"].append(seed)
                continue
            self._seed(seed, files, held_out)
            longest = max(longest, time.monotonic() - started)

    def _seed(self, seed: int, files: sources.Files, held_out: Sequence[Row]) -> None:
        with self._timed("score"), self._engine(self.base) as engine:
            pool = self._scored(engine, _problems(files.pool(seed)), SCORERS, seed=seed)
        taught = {arm: chosen(pool, arm) for arm in self.scale["arms"]}
        with self._timed("train"):
            found = run_jobs(
                self.folder / f"seed-{seed}", [self._job(arm, seed, taught[arm]) for arm in taught],
                num_ranks=1,
            )  # fmt: skip
        for arm, outcome in zip(taught, found, strict=True):
            assert outcome.error is None, f"{arm} {seed}: {outcome.error}"
            with self._timed("read"), self._engine(outcome.model) as engine:
                read = self._read(engine, held_out)
                answers = self._answers(engine, _problems(files.answered))
            rds = [row["rd"] for row in taught[arm] if row["is_right"]]
            told = asdict(outcome.result)
            self.figures["students"].append({
                "arm": arm, "seed": seed, "read": read, "answers": answers,
                "taught": {
                    "mean_rd": sum(rds) / len(rds) if rds else None,
                    **{name: told[name] for name in (
                        "num_examples", "num_steps", "train_tokens", "train_seconds")},
                },
            })  # fmt: skip

    def _job(self, arm: str, seed: int, rows: Sequence[Row]) -> RankJob:
        own = {
            "train.max_steps",
            "train.batching",
            "train.per_rank_batch_size",
            "train.gradient_accumulation",
            "train.held_out_examples",
            "train.warmup_ratio",
        }
        given = {**DESIGN["common"], **self.scale["set"]}
        config = settings(
            self.device, zero="zero2", seed=seed, max_length=2048, epochs=3,
            **{name.removeprefix("train."): given[name] for name in own},
        )  # fmt: skip
        book = PromptFiles("default")
        examples = [
            TrainingExample(
                prompt=book.render("generate", question=row["question"]).text,
                completion=row["text"], group=row["problem_id"],
            )
            for row in rows
        ]  # fmt: skip
        return RankJob(
            run=arm, base=str(self.base), config=config.model_dump(),
            examples=[asdict(one) for one in examples],
        )  # fmt: skip

    @contextmanager
    def _engine(self, folder: Path) -> Any:
        dtype = "bfloat16" if self.device == "cuda" else "float32"
        engine = open_engine(
            EngineConfig.model_validate(
                {"model": str(folder), "device": self.device, "dtype": dtype}
            )
        )
        try:
            yield engine
        finally:
            engine.close()

    def _scored(
        self, engine: Any, problems: Sequence[Row], scorers: Sequence[str], *, seed: int
    ) -> list[Row]:
        """A row a candidate: what it is, what the verifier says, what the scorers say."""
        config = ScoreConfig(scorers=tuple(scorers), only_correct=False)
        known = ports(scoring={"student": Named(name="student", engine=engine)}, seed=seed)
        rows = [
            {
                "problem_id": problem["problem_id"], "question": problem["question"],
                "answer": problem["answer"], "subject": problem["subject"], "text": one["text"],
                "rationale_id": _id(problem["question"], str(number), one["text"]),
                "is_valid": one["is_correct"], "is_right": _is_right(one["text"], problem),
            }
            for problem in problems
            for number, one in enumerate(problem["candidates"])
        ]  # fmt: skip
        records = [
            ScoreRecord(record_id=row["rationale_id"], problem_id=row["problem_id"],
                        question=row["question"], answer=row["answer"], text=row["text"])
            for row in rows
        ]  # fmt: skip

        async def everything() -> list[Any]:
            return await asyncio.gather(*(score(one, known, config) for one in records))

        scored = [asdict(found) for (found,) in asyncio.run(everything())]
        return [
            {**row, **one, **(one["others"] or {}), "length": one["num_tokens"]}
            for row, one in zip(rows, scored, strict=True)
        ]

    def _read(self, engine: Any, held_out: Sequence[Row]) -> list[Row]:
        return [
            {
                "problem_id": row["problem_id"], "benchmark": row["subject"],
                "answer": math.log(row["ppl_answer"]), "solution": math.log(row["ppl_rationale"]),
                "answer_behind_solution": math.log(row["ppl_answer_given_rationale"]),
            }
            for row in self._scored(engine, held_out, ("rd",), seed=0)
        ]  # fmt: skip

    def _answers(self, engine: Any, problems: Sequence[Row]) -> list[Row]:
        book = PromptFiles("default")
        sampling = Sampling(temperature=0.0, max_tokens=self.scale["max_tokens"])

        async def everything() -> list[Any]:
            prompts = (book.render("generate", question=one["question"]) for one in problems)
            return await asyncio.gather(*(engine.complete(one, sampling) for one in prompts))

        return [
            {
                "problem_id": problem["problem_id"], "num_tokens": one.completion_tokens,
                "is_correct": int(_is_right(one.text, problem, cut=one.finish_reason == "length")),
            }
            for problem, (one,) in zip(problems, asyncio.run(everything()), strict=True)
        ]  # fmt: skip

    @contextmanager
    def _timed(self, name: str) -> Any:
        started = time.monotonic()
        yield
        known = self.figures["seconds"].get(name, 0.0)
        self.figures["seconds"][name] = round(known + time.monotonic() - started, 1)


def chosen(pool: Sequence[Row], arm: str) -> list[Row]:
    """What the arm's selection keeps of a scored pool, in the pool's order."""
    given = {**DESIGN["chosen"], **DESIGN["arms"][arm].get("set", {})}
    own = {key.removeprefix("select."): value for key, value in given.items()
           if key.startswith("select.")}  # fmt: skip
    config = SelectConfig.model_validate(own)
    by_problem: dict[str, list[Considered]] = {}
    for row in pool:
        by_problem.setdefault(row["problem_id"], []).append(Considered(
            rationale_id=row["rationale_id"], condition="original", text=row["text"],
            verdict="correct" if row["is_right"] else "wrong", value=row.get(str(config.by)),
            rd=row["rd"] if row["is_right"] else None,
        ))  # fmt: skip
    everyone = [one for of in by_problem.values() for one in of]
    fit = [one for one in everyone if "accuracy" not in config.filters or one.verdict == "correct"]
    costs = sorted(cost_of(one, config) for one in fit)
    at = math.ceil((config.keep_fraction or 1.0) * len(costs)) - 1
    cutoff = costs[at] if costs else None
    kept = {
        row.rationale_id
        for problem_id, of in by_problem.items()
        for row in select_condition(of, problem_id=problem_id, cutoff=cutoff, config=config)
        if row.kept
    }
    return [row for row in pool if row["rationale_id"] in kept]


def _labelled(row: Row) -> Row:
    names = ("rationale_id", "problem_id", "subject", "is_valid", "is_right", "rd", "ifd", "grape",
             "rsr", "naturalness", "length")  # fmt: skip
    return {name: row[name] for name in names}


def _problems(file: Path) -> list[Row]:
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    return [{**row, "problem_id": _id(row["question"], row["answer"])} for row in rows]


def _is_right(text: str, problem: Row, *, cut: bool = False) -> bool:
    """By our verifier; what only math-verify could tell, where that is not there, is not right."""
    try:
        found = grade(
            text, answer=problem["answer"], answer_type=problem["answer_type"], truncated=cut
        )
    except ModuleNotFoundError:
        return False
    return found.verdict == "correct"


def _id(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
