"""Taking problems in: once a run, none that is held out, and again where the disk lost them.

And once more before training: nothing that is held out is among the examples.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from flows.cli.messages import exit_code
from flows.recipes.loading import load_recipe
from flows.recipes.plan import draft_plan
from infra.engines import EngineConfig
from infra.runs.grading import ProcessGrader
from infra.runs.intake import Intake, IntakeReport, take_in
from infra.runs.plan import RunPlan
from infra.runs.run import Run
from infra.runs.train_student import EvaluationOverlapError, train_student
from infra.settings import Settings
from infra.storage import Corpus
from infra.storage.local import LocalStore
from infra.training.config import TrainConfig
from sql.database import connect
from tasks.intake.hygiene import HygieneConfig
from tasks.intake.problems import IngestedProblem, IngestError, SourceConfig, read_problems
from tasks.ports import Grader
from tasks.prompts import prompt_sha
from tasks.schemas import Example, Membership
from tests.fakes import WordCounter, WordGrader

FINGERPRINTS = {"ingest": "fp-ingest", "mix": "fp-mix", "train": "fp-train"}
SHIP = (
    "A ship carries 40 boxes of lemons and 25 boxes of limes from one port to the next. Each box "
    "holds 12 pieces of fruit. How many pieces of fruit does the ship carry?"
)
TRUCK = SHIP.replace("A ship", "One truck").replace("the ship", "it").replace("port", "market")
LEMONS = SHIP.replace("lemons", "melons")


def write(path: Path, *rows: tuple[str, str]) -> str:
    lines = [json.dumps({"question": question, "answer": answer}) for question, answer in rows]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.fixture
def intake(tmp_path: Path) -> Intake:
    train = write(tmp_path / "train.jsonl", ("1 + 1?", "2"), ("2 + 1?", "3"), ("3 + 1?", "4"))
    held_out = write(tmp_path / "eval.jsonl", ("3  + 1?", "4"), ("9 + 1?", "10"))
    return Intake(
        problems=[train], eval_problems=[held_out],
        source=SourceConfig(candidates="ignore", answer_type="text"),
    )  # fmt: skip


def open_run(folder: Path, grader: Grader | None = None) -> Run:
    plan = RunPlan(
        run_id="run", recipe="r", resolved="{}", fingerprints=FINGERPRINTS, stages={},
        counter=EngineConfig(model="m"), seed=0,
    )  # fmt: skip
    grader = grader or WordGrader()
    run = Run(plan, corpus=folder, settings=Settings(), grader=grader, tokens=WordCounter())
    run.run_id = _run_id(run)
    return run


def run_intake(folder: Path, intake: Intake) -> tuple[IntakeReport, list[tuple[object, ...]]]:
    """What one invocation took in, and the run's problems afterwards."""
    with open_run(folder) as run:
        report = take_in(run, intake, lambda count: None)
        rows = run.database().run("select split, question from stg_problems order by all").rows
        rejected = run.database().run("select reason, question from stg_rejections "
                                      "join stg_problems using (problem_id)").rows  # fmt: skip
    return report, [*rows, *rejected]


def _run_id(run: Run) -> str:
    from infra.runs.intake import _run_row

    return _run_row(run, 0).content_id()


EXPECTED = [
    ("eval", "3  + 1?"), ("eval", "9 + 1?"), ("train", "1 + 1?"), ("train", "2 + 1?"),
    ("in_evaluation_set", "3  + 1?"),
]  # fmt: skip


def test_a_held_out_question_is_not_trained_on_whatever_its_answer_type(
    tmp_path: Path, intake: Intake
) -> None:
    _, found = run_intake(tmp_path / "corpus", intake)
    assert found == EXPECTED


def test_the_second_time_nothing_is_read(tmp_path: Path, intake: Intake) -> None:
    run_intake(tmp_path / "corpus", intake)
    report, found = run_intake(tmp_path / "corpus", intake)
    assert not report.is_new
    assert found == EXPECTED


def lose(corpus: Path, table: str) -> None:
    """All its parts, by both their names."""
    store = LocalStore(corpus)
    for part in (corpus / table).glob("*.parquet"):
        store.delete(f"{table}/{part.name}")


@pytest.mark.parametrize("table", ["memberships", "problems"])
def test_what_the_disk_lost_is_taken_in_again(tmp_path: Path, intake: Intake, table: str) -> None:
    run_intake(tmp_path / "corpus", intake)
    lose(tmp_path / "corpus", table)
    _, found = run_intake(tmp_path / "corpus", intake)
    assert found == EXPECTED


def test_lost_candidates_are_taken_in_again(tmp_path: Path) -> None:
    lines = [
        json.dumps({"question": f"{n} + 1?", "answer": str(n + 1), "rationales": ["a", "b"][:n]})
        for n in (1, 2)
    ]
    (tmp_path / "brought.jsonl").write_text("\n".join(lines))
    source = SourceConfig(candidates="require", answer_type="text")
    intake = Intake(problems=[str(tmp_path / "brought.jsonl")], source=source)

    def candidates() -> list[tuple[object, ...]]:
        database = connect(Corpus(tmp_path / "corpus").parts())
        return database.run("select text from raw_candidates order by all").rows

    run_intake(tmp_path / "corpus", intake)
    lose(tmp_path / "corpus", "candidates")
    run_intake(tmp_path / "corpus", intake)
    assert candidates() == [("a",), ("a",), ("b",)]
    report, _ = run_intake(tmp_path / "corpus", intake)
    assert not report.is_new


def questions(found: list[tuple[object, ...]], split: str = "train") -> list[object]:
    return [question for where, question in found if where == split]


def test_what_is_removed_is_summed_up_and_named(tmp_path: Path) -> None:
    train = write(tmp_path / "train.jsonl", (SHIP, "780"), (LEMONS, "780"), (TRUCK, "780"),
                  ("1 + 1?", "2"))  # fmt: skip
    held_out = write(tmp_path / "eval.jsonl", (TRUCK, "780"))
    intake = Intake(
        problems=[train], held_out=[held_out],
        hygiene=HygieneConfig(evaluation_overlap=0.9), source=SourceConfig(answer_type="text"),
    )  # fmt: skip
    report, found = run_intake(tmp_path / "corpus", intake)
    assert questions(found) == ["1 + 1?", SHIP]
    assert report.lines() == [
        "removed at ingest: 1 near_duplicate_question, 1 in_evaluation_set "
        "(`litecot ask removed_at_ingest` says more)"
    ]
    assert (report.num_problems, report.num_eval) == (2, 0)
    database = connect(Corpus(tmp_path / "corpus").parts())
    database.set_run(_run_id(open_run(tmp_path / "corpus")), FINGERPRINTS)
    asked = database.run_file("analyses", "removed_at_ingest").records()
    assert [(row["reason"], row["num_records"], row["sample_twin"]) for row in asked] == [
        ("in_evaluation_set", 1, "eval.jsonl:1"),
        ("near_duplicate_question", 1, "train.jsonl:1"),
    ]
    assert asked[0]["sample_detail"].startswith("train.jsonl:3: is held out for evaluation")


def test_where_everything_is_removed_the_run_ends_here(tmp_path: Path) -> None:
    train = write(tmp_path / "train.jsonl", ("1 + 1?", "2"), ("2 + 1?", "3"))
    intake = Intake(problems=[train], held_out=[train])
    for _ in range(2):
        with pytest.raises(IngestError, match=r"all problems .* .2 in_evaluation_set"):
            run_intake(tmp_path / "corpus", intake)


def test_what_covers_half_of_a_held_out_question_is_not_trained_on(tmp_path: Path) -> None:
    train = write(tmp_path / "train.jsonl", (TRUCK, "780"), ("1 + 1?", "2"))
    held_out = write(tmp_path / "eval.jsonl", (SHIP.replace("40", "50"), "900"), ("0 + 1?", "1"))
    intake = Intake(problems=[train], eval_problems=[held_out])
    report, found = run_intake(tmp_path / "corpus", intake)
    assert questions(found) == ["1 + 1?"]
    assert report.removed == {"shares_ngram_with_evaluation": 1}
    assert ("shares_ngram_with_evaluation", SHIP.replace("40", "50")) in found


def test_a_benchmark_is_held_out_whole_though_few_of_it_are_evaluated(tmp_path: Path) -> None:
    train = write(tmp_path / "train.jsonl", ("1 + 1?", "2"), ("3 + 1?", "4"))
    held_out = write(tmp_path / "eval.jsonl", ("9 + 1?", "10"), ("3 + 1?", "4"))
    intake = Intake(problems=[train], eval_problems=[held_out], eval_limit=1)
    report, found = run_intake(tmp_path / "corpus", intake)
    assert (questions(found, "eval"), questions(found)) == (["9 + 1?"], ["1 + 1?"])
    assert report.removed == {"in_evaluation_set": 1}


def test_removed_problems_do_not_count_for_the_limit(tmp_path: Path) -> None:
    train = write(tmp_path / "train.jsonl", (SHIP, "780"), (LEMONS, "780"), ("1 + 1?", "2"),
                  ("2 + 1?", "3"))  # fmt: skip
    report, found = run_intake(tmp_path / "corpus", Intake(problems=[train], limit=2))
    assert questions(found) == ["1 + 1?", SHIP]
    assert report.num_problems == 2


def test_near_duplicates_may_be_kept(tmp_path: Path) -> None:
    train = write(tmp_path / "train.jsonl", (SHIP, "780"), (LEMONS, "780"))
    hygiene = HygieneConfig(near_duplicates=False)
    report, found = run_intake(tmp_path / "corpus", Intake(problems=[train], hygiene=hygiene))
    assert (questions(found), report.lines()) == ([SHIP, LEMONS], [])


def test_another_spelling_of_a_problem_brings_its_rationales_to_the_first(tmp_path: Path) -> None:
    rows = [
        {"question": question, "answer": "780", "rationales": [text]}
        for question, text in ((SHIP, "a"), (SHIP.upper(), "b"))
    ]
    (tmp_path / "brought.jsonl").write_text("\n".join(map(json.dumps, rows)))
    _, found = run_intake(tmp_path / "corpus", Intake(problems=[str(tmp_path / "brought.jsonl")]))
    assert questions(found) == [SHIP]
    query = "select text from raw_candidates join raw_problems using (problem_id) order by all"
    assert connect(Corpus(tmp_path / "corpus").parts()).run(query).rows == [("a",), ("b",)]


@pytest.mark.parametrize(
    ("evaluated", "is_evaluated_on", "says"),
    [
        (SHIP.upper(), True, "train.jsonl:1 ({}) holds 100% of eval.jsonl:1"),
        (TRUCK, False, "train.jsonl:1 ({}) holds 8"),
    ],
    ids=["the same, in the corpus", "nearly, in a set that is only looked at"],
)
def test_training_refuses_what_is_evaluated_on(
    tmp_path: Path, evaluated: str, is_evaluated_on: bool, says: str
) -> None:
    """The corpus holds the example already when the evaluation set comes along."""
    train = write(tmp_path / "train.jsonl", (SHIP, "780"))
    held_out = write(tmp_path / "eval.jsonl", (evaluated, "780"))
    with open_run(tmp_path / "corpus") as run:
        take_in(run, Intake(problems=[train]), lambda count: None)
        problem_id = run.database().run("select problem_id from stg_problems").rows[0][0]
        example = Example(
            rationale_id="r", problem_id=problem_id, condition="original", prompt=SHIP,
            completion="780", num_tokens=1,
        )  # fmt: skip
        run.write("r", [example], stage="mix")
        if is_evaluated_on:
            add_evaluation(run, held_out)
        run.writer.flush()
        with pytest.raises(EvaluationOverlapError) as caught:
            train_student(
                run.database(), run.writer, store=run.corpus.store, plan=run.plan,
                config=TrainConfig(), base=EngineConfig(model="m"),
                held_out=[] if is_evaluated_on else [held_out],
            )  # fmt: skip
    assert str(caught.value).startswith(
        "training problems are in an evaluation set: " + says.format(problem_id)
    )
    assert "\n" not in str(caught.value)
    assert exit_code(caught.value) == 1


def add_evaluation(run: Run, path: str) -> None:
    """As an earlier version of the program did: without a look at what is trained on."""
    for item in read_problems(path, SourceConfig()):
        assert isinstance(item, IngestedProblem)
        member = Membership(
            member_of=run.run_id, problem_id=item.problem_id, split="eval", shard=0, position=0
        )
        run.write(item.problem_id, [item.problem, member], stage="ingest")


def test_golds_are_compared_by_the_runs_grader_within_its_limits(tmp_path: Path) -> None:
    ways = ["1/2", "0.5", r"\frac12", "9**9**9**9", "(1+1)/4", "1/4"]
    lines = [
        json.dumps({"question": "How much?", "answer": way, "rationales": [f"It is {way}."]})
        for way in ways
    ]
    (tmp_path / "ways.jsonl").write_text("\n".join(lines))
    began = time.monotonic()
    with open_run(tmp_path / "corpus", ProcessGrader(max_workers=1, time_limit_s=10)) as run:
        report = take_in(run, Intake(problems=[str(tmp_path / "ways.jsonl")]), lambda count: None)
        (problem,) = run.database().run("select answer from stg_problems").rows
        texts = run.database().run("select text from stg_candidates order by candidate").rows
    assert problem == ("1/2",)
    assert texts == [(f"It is {way}.",) for way in ways if "9" not in way and way != "1/4"]
    assert report.removed == {"conflicting_answer": 2}
    assert time.monotonic() - began < 60


def test_what_is_asked_behind_a_system_turn_or_with_options_is_held_out_too(
    tmp_path: Path,
) -> None:
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1 + 1?"}]
    rows = [
        {"messages": chat, "answer": "2", "choices": None},
        {"messages": [{"role": "user", "content": "2 + 1?"}], "choices": ["3", "4"], "answer": "A"},
        {"messages": [{"role": "user", "content": "5 + 1?"}], "choices": ["6", "4"], "answer": "A"},
    ]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    held_out = write(tmp_path / "eval.jsonl", ("1 + 1?", "2"), ("2 + 1?", "3"))
    intake = Intake(problems=[str(tmp_path / "train.jsonl")], held_out=[held_out])
    report, found = run_intake(tmp_path / "corpus", intake)
    assert report.removed == {"in_evaluation_set": 2}
    assert found == [("train", "5 + 1?\n(A) 6\n(B) 4")]


def test_a_run_keeps_the_text_of_its_prompts(tmp_path: Path, intake: Intake) -> None:
    """Beside the hashes, in a column of its own: whoever reads hashes goes on doing so."""
    mine = tmp_path / "mine.jinja"
    mine.write_text("Say. {{ question }}")
    plan = draft_plan(load_recipe("nano", overrides=[f"generate.prompt={mine}"]))
    fakes: dict[str, Any] = {"grader": WordGrader(), "tokens": WordCounter()}
    with Run(plan, corpus=tmp_path / "corpus", settings=Settings(), **fakes) as run:
        take_in(run, intake, lambda count: None)
        (row,) = run.database().run("select prompts, prompt_texts from stg_runs").records()
    prompts, kept = json.loads(row["prompts"]), json.loads(row["prompt_texts"])
    assert prompts["rewrite__nano"] == prompt_sha("rewrite", "nano")
    assert kept[prompts["generate__mine"]] == "Say. {{ question }}"
    assert set(kept) == set(prompts.values())
