"""A corpus of any size in the product's own layout: texts and lengths of recorded real chains.

Role: what `test_corpus` measures on. Invariants: the same numbers give the same rows; every row
goes through the product's schema, content ids and stamp, every part through its writer and its
compaction; the candidates of one problem share text as recorded candidates of one problem do.

    write_corpus(folder, num_rationales=1_000_000, shape=LITECOT)
"""

from __future__ import annotations

import json
import random
import string
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from infra.storage import CorpusWriter
from infra.storage.manifest import Manifest, save_manifest
from infra.storage.opening import open_store
from infra.storage.parquet_parts import write_part
from infra.storage.rows import Stamp, Stored, stamped
from tasks.schemas import (
    TABLES,
    Candidate,
    Difficulty,
    Evaluation,
    Example,
    Invocation,
    Membership,
    Problem,
    Rationale,
    Rejection,
    Row,
    Run,
    Score,
    Selection,
    arrow_schema,
)

DATA = Path(__file__).parents[2].parent / "shared" / "data"
LONG_FILE = DATA / "math500_skyt1_27b_longcot.jsonl"
GROUPS_FILE = DATA / "math100_qwen25math_8candidates.jsonl"
STAGES = ("ingest", "verify", "generate", "difficulty", "rewrite", "compress", "score", "select",
          "mix", "evaluate-base", "evaluate-trained")  # fmt: skip
FINGERPRINTS = {stage: f"fp-{stage}" for stage in STAGES}
EARLIER_FINGERPRINT = "earlier-generate"
RUN = Run(recipe="bench", resolved="{}", fingerprints=json.dumps(FINGERPRINTS), versions="{}")
EARLIER = Run(recipe="earlier", resolved="{}", fingerprints="{}", versions="{}")
LEVELS = ("easy", "medium", "hard")
ACCURACY = {"easy": 0.95, "medium": 0.8, "hard": 0.45}
SUBJECTS = ("Algebra", "Geometry", "Number Theory", "Prealgebra", "Precalculus", "Probability")
CHARACTERS_A_TOKEN = 3
BATCH_PROBLEMS = 1_000
DONE = 0.99  # the rest of the problems is pending in every stage after the first


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a problem has. Imported candidates come from files, others from the teacher."""

    num_candidates: int
    is_imported: bool
    has_rewrites: bool
    is_selected: bool
    rationales_a_problem: float  # so many, about


LITECOT = Shape(
    num_candidates=4, is_imported=False, has_rewrites=True, is_selected=True,
    rationales_a_problem=8.8,
)  # fmt: skip
MORSD = Shape(
    num_candidates=8, is_imported=True, has_rewrites=False, is_selected=False,
    rationales_a_problem=8.0,
)  # fmt: skip


@dataclass(frozen=True)
class Made:
    stage: str
    input_id: str
    row: Row

    @property
    def id(self) -> str:
        return self.row.content_id(FINGERPRINTS.get(self.stage, self.stage))


@cache
def recorded_groups() -> list[list[str]]:
    """Recorded candidates, 8 a problem."""
    with GROUPS_FILE.open() as lines:
        return [json.loads(line)["code"] for line in lines]


@cache
def recorded_lengths(shape: Shape) -> list[int]:
    """Lengths of recorded chains, characters, sorted: of long ones, or of imported candidates."""
    if shape.is_imported:
        return sorted(len(text) for group in recorded_groups() for text in group)
    with LONG_FILE.open() as lines:
        return sorted(len(json.loads(line)["code"][0]) for line in lines)


class Synthetic:
    """One problem and everything made from it."""

    def __init__(self, number: int, shape: Shape, *, is_pending: bool) -> None:
        self.number, self.shape, self.is_pending = number, shape, is_pending
        self.random = random.Random(number)
        self.level = self.random.choices(LEVELS, weights=(5, 3, 2))[0]
        self.problem = Problem(
            source=f"source-{number % 3}",
            question=f"Problem {number}. {recorded_groups()[number % 100][0][:200]}",
            answer=str(number), answer_type="math", subject=self.random.choice(SUBJECTS),
        )  # fmt: skip
        self.problem_id = self.problem.content_id()

    def rows(self) -> Iterator[Made]:
        """In the order the stages make them."""
        yield Made("ingest", self.problem_id, self.problem)
        yield Made("ingest", self.problem_id, self._member(RUN, "train"))
        yield from self._earlier()
        chains = list(self._chains())
        imported = [self._brought(chain, number) for number, chain in enumerate(chains)]
        if self.shape.is_imported:
            yield from imported
        if self.is_pending:
            return
        long = [self._long(made) for made in imported]
        yield from long
        correct = [made for made in long if _rationale(made).verdict == "correct"]
        considered = list(correct)
        if self.shape.has_rewrites:
            yield self._difficulty()
            rewritten = list(self._rewritten(correct))
            yield from rewritten
            considered += [made for made in rewritten if isinstance(made.row, Rationale)]
            considered = [made for made in considered if _rationale(made).kind != "compressed"
                          or _rationale(made).chosen]  # fmt: skip
        scores = {made.id: self._score(made) for made in considered}
        yield from scores.values()
        if self.shape.is_selected:
            yield from self._selected(considered, scores)
            yield from (self._dropped(made) for made in long if made not in correct)

    def held_out(self) -> Iterator[Made]:
        """As an evaluation problem."""
        yield Made("ingest", self.problem_id, self.problem)
        yield Made("ingest", self.problem_id, self._member(RUN, "eval"))
        for role in ("base", "trained"):
            for compress in (False, True):
                for sample in range(4):
                    yield self._evaluation(role, compress=compress, sample=sample)

    def _member(self, run: Run, split: str) -> Membership:
        return Membership(
            member_of=run.content_id(), problem_id=self.problem_id, split=split,
            shard=self.number // BATCH_PROBLEMS, position=self.number,
        )  # fmt: skip

    def _chains(self) -> Iterator[str]:
        """Candidates of about one length: recorded candidates, one after another, cut."""
        lengths, groups = recorded_lengths(self.shape), recorded_groups()
        place = self.random.random() * 0.8
        letters = list(string.ascii_lowercase)  # others a problem, or all would compress to nothing
        self.random.shuffle(letters)
        cipher = str.maketrans(string.ascii_lowercase, "".join(letters))
        for candidate in range(self.shape.num_candidates):
            length = lengths[int((place + self.random.random() * 0.2) * len(lengths))]
            text, group = "", self.number
            while len(text) < length:
                text += groups[group % len(groups)][candidate % 8] + "\n"
                group += 1
            yield text[:length].translate(cipher)

    def _brought(self, text: str, number: int) -> Made:
        row = Candidate(problem_id=self.problem_id, candidate=number, text=text, model="somebody")
        return Made("ingest", self.problem_id, row)

    def _chain(self, stage: str, input_id: str, text: str, **columns: Any) -> Made:
        num_tokens = len(text) // CHARACTERS_A_TOKEN
        defaults: dict[str, Any] = {
            "problem_id": self.problem_id, "model": "teacher", "engine": "vllm", "text": text,
            "num_tokens": num_tokens, "extracted_answer": self.problem.answer,
            "verdict": "correct", "finish_reason": "stop", "prompt_sha": f"sha-{stage}",
            "num_requests": 1, "prompt_tokens": 100, "completion_tokens": num_tokens,
            "latency_s": num_tokens / 40,
        }  # fmt: skip
        return Made(stage, input_id, Rationale(**{**defaults, **columns}))

    def _long(self, imported: Made) -> Made:
        assert isinstance(imported.row, Candidate)
        is_correct = self.random.random() < ACCURACY[self.level]
        fault = self.random.choices(("wrong", "truncated", "no_answer"), weights=(8, 1, 1))[0]
        stage, input_id = "generate", self.problem_id
        columns: dict[str, Any] = {}
        if self.shape.is_imported:
            stage, input_id = "verify", imported.id
            columns = {"candidate_id": input_id, "recorded_correct": self.random.random() < 0.7,
                       "num_requests": 0, "completion_tokens": 0, "latency_s": 0.0}  # fmt: skip
        return self._chain(
            stage, input_id, imported.row.text, kind="long", candidate=imported.row.candidate,
            verdict="correct" if is_correct else fault,
            extracted_answer=self.problem.answer if is_correct else str(self.random.randrange(9)),
            **columns,
        )  # fmt: skip

    def _earlier(self) -> Iterator[Made]:
        """Every tenth problem was worked on by a run with other settings."""
        if self.number % 10 == 0:
            yield Made("earlier", self.problem_id, self._member(EARLIER, "train"))
            yield self._chain(
                EARLIER_FINGERPRINT, self.problem_id, "An earlier answer.", kind="long",
                verdict="wrong",
            )  # fmt: skip

    def _difficulty(self) -> Made:
        value = min(1.0, LEVELS.index(self.level) / 3 + self.random.random() / 3)
        row = Difficulty(
            problem_id=self.problem_id, teacher_level=self.random.choice(LEVELS), type_score=value,
            step_score=value, error_rate=value, measured=value, difficulty=value, level=self.level,
            model="teacher", num_requests=1, prompt_tokens=200, completion_tokens=4, latency_s=0.3,
        )  # fmt: skip
        return Made("difficulty", self.problem_id, row)

    def _rewritten(self, correct: list[Made]) -> Iterator[Made]:
        """The rewrite and its rounds of compression, or why there is none."""
        if not correct or self.random.random() < 0.02:
            row = Rejection(
                record_id=self.problem_id, problem_id=self.problem_id, stage="rewrite",
                reason="answer_changed" if correct else "no_correct_rationale",
                num_requests=len(correct), model="teacher",
            )  # fmt: skip
            yield Made("rewrite", self.problem_id, row)
            return
        parent = min(correct, key=lambda made: _rationale(made).num_tokens)
        text = _rationale(parent).text[:2200]
        rewrite = self._chain("rewrite", self.problem_id, text, kind="rewritten",
                              parent_id=parent.id, level=self.level)  # fmt: skip
        yield rewrite
        num_rounds = self.random.randint(2, 6)
        for number in range(1, num_rounds + 1):
            is_last = number == num_rounds
            share = 0.85 ** (number - 2 if is_last else number)
            yield self._chain(
                "compress", rewrite.id, text[: int(len(text) * share)], kind="compressed",
                model="compressor", parent_id=rewrite.id, level=self.level, round=number,
                chosen=number == num_rounds - 1, stop_reason="rebound" if is_last else None,
            )  # fmt: skip

    def _score(self, chain: Made) -> Made:
        rd = self.random.lognormvariate(-0.5, 0.7)
        row = Score(
            rationale_id=chain.id, problem_id=self.problem_id, student="student",
            num_tokens=_rationale(chain).num_tokens, num_answer_tokens=3,
            ppl_rationale=1 + self.random.random(), ppl_answer=4.0,
            ppl_answer_given_rationale=4 * rd, rd=rd, ifd=rd / 2, grape=-self.random.random(),
            rsr=rd * 3, naturalness=-self.random.random(),
        )  # fmt: skip
        return Made("score", chain.id, row)

    def _selected(self, considered: list[Made], scores: dict[str, Made]) -> Iterator[Made]:
        for rank, chain in enumerate(considered, start=1):
            row = _rationale(chain)
            is_kept = row.kind != "long"
            selection = Made(
                "select", self.problem_id,
                Selection(
                    rationale_id=chain.id, problem_id=self.problem_id, kept=is_kept, rank=rank,
                    condition="compressed" if row.kind == "compressed" else "original",
                    filter="kept" if is_kept else "difficulty",
                    reason="kept" if is_kept else "beyond_keep_per_problem",
                    rd=scores[chain.id].row.rd,  # type: ignore[attr-defined]
                ),
            )  # fmt: skip
            yield selection
            if is_kept:
                yield Made("mix", selection.id, Example(
                    rationale_id=chain.id, problem_id=self.problem_id,
                    condition=selection.row.condition,  # type: ignore[attr-defined]
                    prompt=self.problem.question, completion=row.text, num_tokens=row.num_tokens,
                ))  # fmt: skip

    def _dropped(self, chain: Made) -> Made:
        row = Selection(
            rationale_id=chain.id, problem_id=self.problem_id, kept=False, condition="original",
            filter="accuracy", reason="wrong_answer",
        )  # fmt: skip
        return Made("select", self.problem_id, row)

    def _evaluation(self, role: str, *, compress: bool, sample: int) -> Made:
        row = Evaluation(
            model_id=f"{role}-student", role=role, benchmark=self.problem.source,
            problem_id=self.problem_id, sample=sample, compress=compress, text="The answer is 4.",
            num_tokens=self.random.randint(50, 3000), finish_reason="stop",
            verdict="correct" if self.random.random() < 0.5 else "wrong", num_requests=1,
            prompt_tokens=80, completion_tokens=500, latency_s=4.0,
        )  # fmt: skip
        return Made(f"evaluate-{role}", f"{self.problem_id}:{compress}:{sample}".lower(), row)


def write_corpus(folder: Path, *, num_rationales: int, shape: Shape) -> None:
    """About `num_rationales`, in compacted parts, as a finished `litecot run` leaves them."""
    store = open_store(folder)
    folder.mkdir(parents=True)
    manifest = Manifest(journal="another machine's")
    for seq, tables in enumerate(_batches(num_rationales, shape), start=1):
        parts = {name: _write(store, name, rows, seq=seq) for name, rows in tables.items()}
        manifest = manifest.with_parts(parts, folded=seq)
    save_manifest(store, manifest)
    with CorpusWriter(folder, grace_s=0.0) as writer:
        writer.compact()


def _batches(num_rationales: int, shape: Shape) -> Iterator[dict[str, list[Stored]]]:
    num_problems = int(num_rationales / shape.rationales_a_problem)
    yield _stamped(_once())
    for start in range(0, num_problems, BATCH_PROBLEMS):
        numbers = range(start, min(start + BATCH_PROBLEMS, num_problems))
        made = (
            Synthetic(number, shape, is_pending=number >= DONE * num_problems).rows()
            for number in numbers
        )
        yield _stamped(row for rows in made for row in rows)
    held_out = range(num_problems, num_problems + num_problems // 50)
    yield _stamped(
        row for number in held_out for row in Synthetic(number, shape, is_pending=False).held_out()
    )


def _once() -> Iterator[Made]:
    """The runs, their invocations, and input lines that were refused."""
    yield Made("run", "run", RUN)
    yield Made("earlier", "run", EARLIER)
    yield Made("run", "run", Invocation(
        started_at="2099-01-01T00:00:00", finished_at="2099-01-01T09:00:00", status="done",
        stage_seconds=json.dumps(dict.fromkeys(STAGES, 3600.0)), stage_rows="{}",
        num_requests=9, num_repeated=0,
    ))  # fmt: skip
    for number in range(5_000):
        yield Made("ingest", f"file:{number}", Rejection(
            record_id=f"file:{number}", stage="ingest",
            reason=("duplicate", "contaminated", "empty_answer")[number % 3], detail="a line",
        ))  # fmt: skip


def _stamped(rows: Iterator[Made]) -> dict[str, list[Stored]]:
    tables: dict[str, list[Stored]] = defaultdict(list)
    for made in rows:
        is_earlier = made.stage.startswith("earlier")
        stamp = Stamp(
            run_id=(EARLIER if is_earlier else RUN).content_id(),
            stage_fingerprint=FINGERPRINTS.get(made.stage, made.stage),
            input_id=made.input_id,
        )
        tables[made.row.table].append(stamped(made.row, stamp))
    return tables


def _write(store: Any, name: str, rows: list[Stored], *, seq: int) -> Any:
    import pyarrow as pa

    table = pa.Table.from_pylist(rows, schema=arrow_schema(TABLES[name]))
    return write_part(store, name, table, seq=seq)


def _rationale(made: Made) -> Rationale:
    assert isinstance(made.row, Rationale)
    return made.row
