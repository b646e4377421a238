"""The replication on real text: its design is sound, its files are apart, verdicts follow from
rows. Made-up rows and files: no model is loaded here."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from flows.cli.replication.real_run import numbers_in
from flows.real_text.design import FILE, Asked, Design, StudentClaim, read_design
from flows.real_text.page import page_text
from flows.real_text.results import Results, Row, TaughtStudent
from flows.real_text.sources import labelled_problems, write_files
from flows.real_text.state import prepare
from flows.real_text.verdicts import Decided, decide, dose, scorer_auc
from flows.recipes.plan import draft_plan
from flows.session import resolve_recipe
from tasks.errors import UsageError
from tests.gpu.kit.real_page import page_of
from tests.real_chains import DATA

QUESTIONS = 40


def asked(**more: Any) -> Asked:
    return Asked.model_validate({"data": DATA, "corpus": "made", **more})


# --- the design


def test_every_student_is_a_recipe_and_arms_share_what_they_choose_from() -> None:
    design = read_design()
    prints: dict[str, set[tuple[str, int]]] = {}
    for student in asked(size="full").students():
        recipe = resolve_recipe(student.order)
        assert recipe.models.student.model == "smollm2"
        assert recipe.stages[-2:] == ("train", "evaluate")
        found = draft_plan(recipe).fingerprints
        prints.setdefault(found["train"], set()).add((student.arm, student.seed))
        prints.setdefault(f"score {student.seed}", set()).add((found["score"], 0))
    assert all(len(shared) == 1 for shared in prints.values())
    assert len(prints) == design.sizes["full"].seeds * (len(design.arms) + 1)


@pytest.mark.parametrize("size", ["reduced", "full"])
def test_students_of_a_size_take_the_same_steps(size: str) -> None:
    trained = [resolve_recipe(student.order).train for student in asked(size=size).students()]
    assert (
        len({(one.max_steps, one.batch_size, one.learning_rate, one.dtype) for one in trained}) == 1
    )
    assert trained[0].max_steps is not None


def test_every_claim_of_a_size_has_its_arms() -> None:
    design = read_design()
    arms = {student.arm for student in asked().students()}
    assert {name for claim in design.student_claims for name in (claim.a, claim.b)} == arms
    assert {student.arm for student in asked(size="full").students()} == set(design.arms)


@pytest.mark.parametrize(
    "change",
    [
        {"arms": {}},
        {"scorer_claims": [{"words": "w", "scorer": "rdd", "among": "all"}]},
        {"student_claims": [{"words": "w", "a": "all", "b": "none", "measure": "answer"}]},
        {"student_claims": [{"words": "w", "a": "all", "b": "rd-lowest", "measure": "speed"}]},
    ],
)
def test_a_claim_about_what_is_not_there_is_refused(change: Any) -> None:
    with pytest.raises((ValidationError, UsageError)):
        Design.model_validate({**tomllib.loads(FILE.read_text(encoding="utf-8")), **change})


def test_a_pilot_is_asked_for_by_numbers_and_is_one() -> None:
    pilot = asked(scale=numbers_in("pool=4, read=2"), num_seeds=1)
    assert (pilot.scaled.pool, pilot.scaled.read, pilot.is_pilot) == (4, 2, True)
    assert not asked().is_pilot
    for wrong in ("pole=4", "pool=0", "pool"):
        with pytest.raises(UsageError, match="of seeds, labelled, pool, read, answered"):
            numbers_in(wrong)
    with pytest.raises(UsageError, match="--seeds 9: the design has 5"):
        asked(num_seeds=9).students()
    with pytest.raises(UsageError, match="--arms roow"):
        asked(arms=("roow",)).students()


# --- its files


def test_nothing_held_out_is_in_a_pool_and_no_pool_is_in_another(tmp_path: Path) -> None:
    if not DATA.exists():
        pytest.skip("recorded rationales are not beside this checkout")
    made = asked(corpus=str(tmp_path / "corpus"))
    prepare(made)
    files = [*(made.files.pool(seed) for seed in made.seeds), made.files.read]
    questions = [
        [json.loads(line)["question"] for line in file.read_text("utf-8").splitlines()]
        for file in files
    ]
    assert [len(of) for of in questions] == [110, 110, 110, 60]
    everything = [question for of in questions for question in of]
    assert len(set(everything)) == len(everything)
    assert "<<" not in files[0].read_text("utf-8")
    before = [file.read_bytes() for file in files]
    prepare(made)
    assert [file.read_bytes() for file in files] == before


def test_labels_are_balanced_and_a_mistake_behind_a_right_answer_comes_first() -> None:
    rows = [
        {"dataset": "date", "question": f"q{n}", "answer": "a", "final_answer": 1,
         "correct": n % 3 == 0, "flag": int(n < 6)}
        for n in range(20)
    ]  # fmt: skip
    found = labelled_problems(rows, 8)
    labels = [row["candidates"][0]["is_correct"] for row in found]
    assert sorted(labels) == [False] * 4 + [True] * 4
    mistaken = [row["question"] for row in found if not row["candidates"][0]["is_correct"]]
    assert all(int(question[1:]) % 3 == 0 for question in mistaken)


def test_a_folder_without_the_files_is_a_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--data names the folder"):
        prepare(asked(data=tmp_path, corpus=str(tmp_path / "corpus")))


def test_too_many_pools_are_refused(tmp_path: Path) -> None:
    if not DATA.exists():
        pytest.skip("recorded rationales are not beside this checkout")
    files = asked(corpus=str(tmp_path / "corpus")).files
    with pytest.raises(UsageError, match="ask for fewer seeds or a smaller pool"):
        write_files(files, DATA, seeds=[1, 2], labelled=2, pool=900, read=1, answered=1)


# --- verdicts, of rows made up


def student(
    arm: str, seed: int, gain: float, *, right: float = 0.1, rd: float = 1.0
) -> TaughtStudent:
    rng = np.random.default_rng([seed, *arm.encode()])
    read = tuple(
        {"problem_id": f"p{n}", "benchmark": "gsm8k", "answer": 2.0 - gain + rng.normal(0, 0.02),
         "solution": 1.0 - gain + rng.normal(0, 0.02), "answer_behind_solution": 0.2}
        for n in range(QUESTIONS)
    )  # fmt: skip
    answers = tuple(
        {"problem_id": f"p{n}", "is_correct": int(rng.random() < right)} for n in range(QUESTIONS)
    )
    taught = {"mean_rd": rd, "num_examples": 9, "num_steps": 3, "train_tokens": 900}
    return TaughtStudent(arm=arm, seed=seed, taught=taught, read=read, answers=answers)


def base() -> list[Row]:
    return [
        {"problem_id": f"p{n}", "answer": 2.0, "solution": 1.0, "answer_behind_solution": 0.3,
         "benchmark": "gsm8k"}
        for n in range(QUESTIONS)
    ]  # fmt: skip


def word_of(lowest: Sequence[float], others: Sequence[float], measure: str = "answer") -> Decided:
    design = read_design()
    claim = StudentClaim.model_validate(
        {"words": "w", "a": "rd-lowest", "b": "by-random", "measure": measure}
    )
    design = design.model_copy(update={"student_claims": (claim,), "scorer_claims": ()})
    students = [
        student(arm, seed, gain, right=gain)
        for arm, gains in (("rd-lowest", lowest), ("by-random", others))
        for seed, gain in enumerate(gains)
    ]
    return decide(design, Results(students=students, base=base()))[0]


@pytest.mark.parametrize(
    ("lowest", "others", "word"),
    [
        ([0.5, 0.5, 0.5], [0.3, 0.3, 0.3], "holds"),
        ([0.3, 0.3, 0.3], [0.5, 0.5, 0.5], "does not hold"),
        ([0.4, 0.4, 0.4], [0.4, 0.4, 0.4], "does not hold"),  # shown to be as good
        ([0.9, 0.9, 0.1], [0.3, 0.3, 0.3], "undecided"),  # a seed speaks against it
        ([0.1, 0.1, 0.5], [0.4, 0.4, 0.4], "undecided"),  # and here for it
    ],
)
def test_a_verdict_follows_from_what_was_read(
    lowest: list[float], others: list[float], word: str
) -> None:
    found = word_of(lowest, others)
    assert found.word == word
    assert found.effect == pytest.approx(np.mean(lowest) - np.mean(others), abs=0.02)
    assert found.num_seeds == 3


def test_accuracy_is_compared_by_question_too() -> None:
    assert word_of([0.9, 0.9], [0.1, 0.1], "accuracy").word == "holds"
    assert word_of([0.4], [], "accuracy").word == "not run"
    nothing = word_of([0.0, 0.0], [0.0, 0.0], "accuracy")  # right: no question is no proof
    assert (nothing.word, nothing.effect) == ("undecided", 0.0)


def labelled(helps: float) -> list[Row]:
    """Of RD a valid rationale has less, by `helps`; length says nothing."""
    rng = np.random.default_rng(3)
    rows = []
    for n in range(160):
        is_valid = n % 2 == 0
        rows.append({
            "rationale_id": f"r{n}", "problem_id": f"p{n // 2}", "subject": f"set {n % 3}",
            "is_valid": is_valid, "is_right": n % 5 != 0, "rd": rng.normal(1 - helps * is_valid, 1),
            "ifd": None, "grape": rng.normal(), "rsr": rng.normal(), "naturalness": rng.normal(),
            "length": float(rng.integers(50, 200)),
        })  # fmt: skip
    return rows


def test_lower_rd_counts_for_a_rationale_and_length_has_no_say() -> None:
    rows = labelled(helps=2.0)
    assert scorer_auc(rows, "rd").value > 0.8
    assert abs(scorer_auc(rows, "length").value - 0.5) < 0.12
    words = [one.word for one in decide(read_design(), Results(labelled=rows))[:3]]
    assert words == ["holds", "holds", "holds"]
    assert np.isnan(scorer_auc(rows, "ifd").value)


def test_students_of_lower_rd_that_gain_more_have_a_negative_rho() -> None:
    students = [
        student(arm, seed, gain, rd=rd)
        for seed in range(3)
        for arm, gain, rd in (("rd-lowest", 0.5, 0.4), ("by-random", 0.3, 0.8),
                              ("rd-highest", 0.1, 1.4))
    ]  # fmt: skip
    found = dose(Results(students=students, base=base()), "answer")
    assert found is not None
    assert found["rho"] < -0.8
    assert dose(Results(students=students[:3], base=base()), "answer") is None


def test_a_page_of_less_than_a_size_says_so_first() -> None:
    results = Results(
        labelled=labelled(1.0), base=base(), students=[student("all", 1, 0.2)], num_students=15
    )
    text = page_text(asked(), results, decide(read_design(), results))
    begun = "**This is not the whole replication** of the size reduced: 1 of its 15 students"
    assert begun in text
    pilot = page_text(asked(num_seeds=1), results, decide(read_design(), results))
    assert "**This is a pilot, not the replication**: 1 of its 15 students are done" in pilot
    assert begun not in pilot
    assert "| `all`: every recorded rationale, right or wrong |" in text
    assert "| rd | 0." in text


def test_a_page_is_made_of_a_gpu_kits_rows_and_says_where_they_are_from() -> None:
    one = student("rd-lowest", 1, 0.2)
    rows = {
        "labelled": labelled(1.0), "base": base(), "base_answers": [], "seconds": {"train": 60.0},
        "students": [{**one.__dict__, "base_answers": ()}], "left_out": [2, 3],
    }  # fmt: skip
    told = {"device": "Some GPU", "checks": {"real-text": {"figures": rows, "wall_s": 400.0}}}
    text = page_of(told)
    assert "from the rows of the GPU kit on Some GPU (400 s)" in text
    assert "**This is not the whole replication** of the size full: 1 of its 24 students" in text
    with pytest.raises(ValueError, match="no figures of real-text: no CUDA device"):
        page_of({"device": "cpu", "checks": {"real-text": {"reason": "no CUDA device"}}})
