"""From files of recorded rationales to the problems that are labelled, chosen from and held out.

Role: reads a folder of JSONL that the user has and writes, beside the corpus, the files that
`--rationales` and `evaluate.problems` take. Invariants: the same folder gives the same bytes; no
pool shares a problem with another or with what is held out; what a source says of a rationale goes
along as its own grading (`recorded_correct`), for labelled ones a person's word on the reasoning.

A sample line: {"question": "Janet's ducks ...", "answer": "18", "answer_type": "integer",
"subject": "gsm8k", "candidates": [{"text": "She sells 16 - 3 ...", "is_correct": true}]}
"""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.errors import UsageError

Row = dict[str, Any]
LABELLED = "verify_cot_human_annotated_rationales"
CANDIDATES = "gsm8k_test_openai_4candidates"
HELD_OUT = "gsm8k_train"
SVAMP = "svamp"
WRITERS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
ANSWER_TYPES = {
    "MATH": "math", "addsub": "math", "aqua_rat": "choice", "date": "date", "gsm8k": "math",
    "last_letters": "text",
}  # fmt: skip
_CALCULATOR = re.compile(r"<<[^>]*>>")  # what a calculator was asked, no part of the text
SEED = 0  # of the order in which problems are drawn


@dataclass(frozen=True)
class Files:
    """Where the problems lie."""

    folder: Path

    @property
    def labelled(self) -> Path:
        """Rationales with a person's label."""
        return self.folder / "labelled.jsonl"

    @property
    def read(self) -> Path:
        """Held-out questions with their published solutions."""
        return self.folder / "read.jsonl"

    @property
    def answered(self) -> Path:
        """Held-out questions to be answered."""
        return self.folder / "answered.jsonl"

    def pool(self, seed: int) -> Path:
        """What the students of a seed are chosen from."""
        return self.folder / f"pool-{seed}.jsonl"


def write_files(
    files: Files, data: Path, *, seeds: Sequence[int], labelled: int, pool: int, read: int,
    answered: int,
) -> None:  # fmt: skip
    """Everything that is to be read. Raises UsageError where a file is not there, or too short."""
    _write(files.labelled, labelled_problems(_read(data, LABELLED), labelled))
    recorded = _drawn(_read(data, CANDIDATES))
    if len(recorded) < pool * max(seeds):
        raise UsageError(
            f"{CANDIDATES}.jsonl has {len(recorded)} problems, and {max(seeds)} pools of {pool}"
            " need more: ask for fewer seeds or a smaller pool"
        )
    for seed in seeds:
        _write(files.pool(seed), map(_candidates, recorded[(seed - 1) * pool : seed * pool]))
    held_out = [
        *map(_gsm8k, _drawn(_read(data, HELD_OUT))[:read]),
        *list(_svamp(_drawn(_read(data, SVAMP))))[:read],
    ]
    _write(files.read, held_out)
    shown = [row for of in _by_subject(held_out) for row in of[:answered]]
    _write(files.answered, ({k: v for k, v in row.items() if k != "candidates"} for row in shown))


def labelled_problems(rows: Iterable[Row], count: int) -> list[Row]:
    """`count` of each set, valid and mistaken in turn, mistakes behind a right answer first."""
    found = []
    sets: dict[str, list[Row]] = {}
    for row in rows:
        sets.setdefault(row["dataset"], []).append(row)
    for members in sets.values():
        valid = _drawn([row for row in members if row["flag"]])
        mistaken = _drawn([row for row in members if not row["flag"]])
        mistaken.sort(key=lambda row: not row["correct"])
        half = min(len(mistaken), count // 2)
        found += [*mistaken[:half], *valid[: count - half]]
    return [
        {
            "question": row["question"], "answer": str(row["final_answer"]),
            "answer_type": ANSWER_TYPES[row["dataset"]], "subject": row["dataset"],
            "candidates": [{"text": row["answer"], "is_correct": bool(row["flag"])}],
        }
        for row in found
    ]  # fmt: skip


def _candidates(row: Row) -> Row:
    """The four recorded ones, as their writers left them but for the calculator's marks."""
    return {
        "question": row["question"], "answer": _gold(row["ground_truth"]), "answer_type": "math",
        "subject": "gsm8k",
        "candidates": [
            {"text": plain(row[who]["solution"]), "is_correct": bool(row[who]["is_correct"])}
            for who in WRITERS
        ],
    }  # fmt: skip


def _gsm8k(row: Row) -> Row:
    return {
        "question": row["question"], "answer": _gold(row["answer"]), "answer_type": "math",
        "subject": "gsm8k", "candidates": [{"text": plain(row["answer"]), "is_correct": True}],
    }  # fmt: skip


def _svamp(rows: Iterable[Row]) -> Iterator[Row]:
    """One question a story; its solution is its equation."""
    told = set()
    for row in rows:
        if row["Body"] in told:
            continue
        told.add(row["Body"])
        answer = f"{row['Answer']:g}"
        equation = re.sub(r"(\d)\.0\b", r"\1", row["Equation"]).strip("() ")
        yield {
            "question": f"{row['Body'].rstrip('. ')}. {row['Question']}", "answer": answer,
            "answer_type": "math", "subject": SVAMP,
            "candidates": [
                {"text": f"{equation} = {answer}\n#### {answer}", "is_correct": True}
            ],
        }  # fmt: skip


def plain(text: str) -> str:
    """Without the calculator's marks: "2 * 3 = <<2*3=6>>6" -> "2 * 3 = 6"."""
    return _CALCULATOR.sub("", text)


def _gold(solution: str) -> str:
    return re.split(r"####|\nA:", solution)[-1].strip()


def _drawn(rows: Sequence[Row]) -> list[Row]:
    """All of them, in an order that says nothing."""
    return random.Random(SEED).sample(rows, len(rows))


def _by_subject(rows: Iterable[Row]) -> Iterable[list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["subject"], []).append(row)
    return found.values()


def _read(data: Path, name: str) -> list[Row]:
    path = data / f"{name}.jsonl"
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError:
        raise UsageError(
            f"{path} is not there: --data names the folder of recorded rationales"
            " (docs/evaluation.md says which files, and where they come from)"
        ) from None
    return [json.loads(line) for line in lines if line.strip()]


def _write(path: Path, rows: Iterable[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    growing = path.with_suffix(".writing")
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    growing.write_text("".join(lines), encoding="utf-8")
    os.replace(growing, path)
