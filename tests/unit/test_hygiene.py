"""What is removed at ingest, what never is, and what the removal names."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.intake.hygiene import HeldOut, HygieneConfig, NearDuplicates, held_out_questions, screen
from tasks.intake.problems import IngestedProblem, Item, SourceConfig, read_problems
from tasks.intake.wording import ngrams, tokens_of
from tasks.schemas import Rejection

GIFT = (
    "Amanda received $50 as a gift. She plans to buy two cassette tapes that cost $9 each and a "
    "headphone set that costs $25. How much money will she have left?"
)
TRAIN = "A train travels 360 miles in 3 hours. At the same rate, how many additional hours would "
TRAIN += "it take to travel an additional 240 miles?"
PLANE = TRAIN.replace("train", "plane").replace("360", "1200").replace("240", "2000")

STORY = "A sailor ties nine knots in a rope and opens four of them again. How many stay tied?"
WORDS = ["red", "blue", "green", "grey", "pink", "black", "white", "brown", "amber", "teal", "tan"]

Row = tuple[str, str] | tuple[str, str, Sequence[str]]


def read(folder: Path, rows: Sequence[Row]) -> list[Item]:
    path = folder / "sums.jsonl"
    names = ("question", "answer", "rationales")
    lines = [json.dumps(dict(zip(names, row, strict=False))) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return list(read_problems(path, SourceConfig(answer_type="text")))


def near(folder: Path, *rows: Row, **config: object) -> list[Item]:
    found = NearDuplicates(HygieneConfig.model_validate(config))
    return list(screen(read(folder, rows), near=found))


def held_out(*questions: str, **config: object) -> HeldOut:
    places = [(f"eval.jsonl:{n}", question) for n, question in enumerate(questions, start=1)]
    return held_out_questions(places, HygieneConfig.model_validate(config), ids={})


def reasons(items: Sequence[Item]) -> list[str]:
    return [item.reason if isinstance(item, Rejection) else "kept" for item in items]


def test_of_near_duplicates_the_first_stays_and_is_named(tmp_path: Path) -> None:
    _, found = near(tmp_path, (GIFT, "7"), (GIFT.replace("Amanda", "Josie"), "$7", ["50 - 43"]))
    assert isinstance(found, Rejection)
    assert (found.reason, found.twin) == ("near_duplicate_question", "sums.jsonl:1")
    assert found.similarity == pytest.approx(0.9375, abs=0.02)
    assert found.detail.startswith("sums.jsonl:2: nearly repeats sums.jsonl:1 (9")
    assert found.detail.endswith("; rationales lost: 1")


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (GIFT.replace("$50", "$60"), "7"),
        (GIFT.replace("two", "three"), "7"),
        (GIFT, "17"),
        (GIFT.replace("Amanda", "Josie"), "17"),
        (TRAIN, "7"),
    ],
    ids=["numbers", "number words", "answer", "name and answer", "another question"],
)
def test_other_numbers_or_another_answer_is_another_problem(
    tmp_path: Path, question: str, answer: str
) -> None:
    kept = reasons(near(tmp_path, (GIFT, "7"), (question, answer)))
    assert kept[1] == ("conflicting_answer" if question == GIFT else "kept")


def test_the_threshold_decides(tmp_path: Path) -> None:
    rows: list[Row] = [(GIFT, "7"), (GIFT.replace("Amanda", "Josie"), "7")]
    assert reasons(near(tmp_path, *rows, threshold=0.95)) == ["kept", "kept"]
    assert reasons(near(tmp_path, *rows, threshold=0.9))[1] == "near_duplicate_question"


def test_rationales_of_a_removed_problem_go_with_it_in_later_rows_too(tmp_path: Path) -> None:
    again = GIFT.replace("Amanda", "Josie")
    items = near(tmp_path, (GIFT, "7", ["a"]), (again, "7", ["b"]), (again, "7", ["c"]),
                 (GIFT, "7", ["d"]))  # fmt: skip
    removed = "near_duplicate_question"
    assert reasons(items) == ["kept", removed, removed, "kept"]
    kept = [item for item in items if isinstance(item, IngestedProblem)]
    assert [c.text for item in kept for c in item.candidates] == ["a", "d"]


def test_the_same_wording_adds_its_rationales_to_the_first(tmp_path: Path) -> None:
    first, second = read(tmp_path, [(GIFT, "7", ["a"]), (f"{GIFT.upper()} ", "7.", ["a", "b"])])
    assert isinstance(first, IngestedProblem)
    assert isinstance(second, IngestedProblem)
    assert (second.is_new, second.problem_id) == (False, first.problem_id)
    (added,) = second.candidates
    assert (added.problem_id, added.candidate, added.text) == (first.problem_id, 1, "b")


@settings(deadline=None, max_examples=25)
@given(st.integers(min_value=0, max_value=10**6), st.floats(min_value=0.5, max_value=0.95))
def test_near_duplicates_are_what_comparing_every_pair_says(seed: int, threshold: float) -> None:
    """But for the few that MinHash misses at the threshold: none is found that is not there."""
    chance = random.Random(seed)
    texts = [[chance.choice("abcdefgh") * 3 for _ in range(12)] for _ in range(4)]
    for base in texts[:4]:
        changed = list(base)
        changed[chance.randrange(12)] = "zzz"
        texts.append(changed)
    items = [_item(" ".join(words), number) for number, words in enumerate(texts)]
    found = NearDuplicates(HygieneConfig(threshold=threshold, num_perm=64, seed=seed))
    for number, item in enumerate(items):
        twin = found.admit(item)
        if twin is not None:
            earlier = items[int(twin.where.rpartition(":")[2])]
            assert earlier.problem.line is not None
            assert earlier.problem.line < number
            assert twin.similarity == _jaccard(item, earlier) >= threshold


def _item(question: str, number: int) -> IngestedProblem:
    from tasks.schemas import Problem

    problem = Problem(source="s", line=number, question=question, answer="1", answer_type="text")
    return IngestedProblem(
        problem=problem, problem_id=problem.content_id(), tokens=tokens_of(question)
    )


def _jaccard(one: IngestedProblem, other: IngestedProblem) -> float:
    a, b = (set(ngrams(item.tokens, 3)) for item in (one, other))
    return len(a & b) / len(a | b)


def test_hardly_any_near_duplicate_is_missed() -> None:
    """200 pairs just above the threshold, where a miss is likeliest: at most 2% are promised."""
    chance = random.Random(5)
    found = NearDuplicates(HygieneConfig())
    num_missed = 0
    for number in range(200):
        words = ["".join(chance.choices("abcdefgh", k=5)) for _ in range(32)]
        changed = [*words[:16], "another", *words[17:]]  # 27 of 33 n-grams in common
        found.admit(_item(" ".join(words), 2 * number))
        num_missed += found.admit(_item(" ".join(changed), 2 * number + 1)) is None
    assert num_missed <= 8


def test_a_shared_preamble_does_not_make_the_work_quadratic() -> None:
    chance = random.Random(6)
    found = NearDuplicates(HygieneConfig(threshold=0.95))
    preamble = "please read the following statement with care and answer with yes or no only"
    for number in range(2000):
        words = " ".join(chance.choice(["red", "green", "blue", "grey"]) for _ in range(3))
        found.admit(_item(f"{preamble} {words} {preamble} x{number % 997}", number))
    assert len(found) < 2000


def test_a_held_out_wording_is_found_whatever_its_dress() -> None:
    index = held_out(r"Compute $\dfrac{1}{2} + 3$.")
    twin = index.same(tokens_of(r"compute \(\frac 1 2+3\)"))
    assert twin is not None
    assert (twin.where, twin.similarity) == ("eval.jsonl:1", 1.0)
    assert index.same(tokens_of(r"compute \(\frac 1 2-3\)")) is None


def test_half_of_a_held_out_question_is_too_much() -> None:
    index = held_out(GIFT, PLANE)
    twin = index.overlapping(f"Here is one more. {TRAIN} Think step by step.")
    assert twin is not None
    assert twin.where == "eval.jsonl:2"
    assert twin.similarity == pytest.approx(18 / 25, abs=0.06)
    assert "miles in 3 hours at the same rate how many additional hours" in twin.shared
    assert index.overlapping(TRAIN[:60]) is None
    assert held_out(PLANE, evaluation_overlap=0.9).overlapping(TRAIN) is None
    assert held_out(PLANE, evaluation_ngram=0).overlapping(PLANE) is None


def test_short_held_out_questions_are_found_by_equality_only() -> None:
    index = held_out("Simplify $\\sqrt{242}$.")
    assert index.overlapping("Simplify $\\sqrt{242}$. Then simplify $\\sqrt{50}$ as well.") is None
    assert index.same(tokens_of("simplify \\sqrt 242")) is not None


def test_counting_is_nobodys_wording() -> None:
    spinner = "The wheel shown is spun twice: name the two colours. 1 2 3 4 5 6 7 8 9 10 11 12 13"
    index = held_out(spinner)
    assert index.overlapping("We count: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14") is None
    assert index.overlapping(spinner.replace("7 8 9", "0")) is not None


def test_a_turn_of_phrase_is_nobodys_question() -> None:
    index = held_out("What is one half of one third? Express your answer as a common fraction.")
    assert index.overlapping("What is 2/4? Express your answer as a common fraction.") is None


def test_a_preamble_of_many_held_out_questions_does_not_count() -> None:
    preamble = "Read the question with care and answer with one of the letters given below:"
    stories = [f"{preamble} {word} {STORY.replace('sailor', word)}" for word in WORDS]
    index = held_out(*stories, f"{preamble} {GIFT}")
    assert index.overlapping(f"{preamble} which of the two rivers is the longer one?") is None
    twin = index.overlapping(GIFT)
    assert twin is not None
    assert twin.where == f"eval.jsonl:{len(WORDS) + 1}"


def test_what_is_held_out_is_removed_with_its_twin_named(tmp_path: Path) -> None:
    items = read(tmp_path, [(GIFT, "7"), (TRAIN, "2", ["2 h"]), ("Who?", "me"), ("What?", "it")])
    index = held_out(PLANE, "WHO?")
    found = list(screen(items, held_out=index))
    assert reasons(found) == ["kept", "shares_ngram_with_evaluation", "in_evaluation_set", "kept"]
    removed = [item for item in found if isinstance(item, Rejection)]
    assert [item.twin for item in removed] == ["eval.jsonl:1", "eval.jsonl:2"]
    assert "of eval.jsonl:1, which is held out for evaluation" in removed[0].detail


def test_a_rationale_that_quotes_a_held_out_question_is_left_out(tmp_path: Path) -> None:
    rationales = ["50 - 43 = 7", f"An example first. {PLANE} 5 hours. Now: 7."]
    items = read(tmp_path, [(GIFT, "7", rationales)])
    quoted, kept = screen(items, held_out=held_out(PLANE))
    assert isinstance(quoted, Rejection)
    assert isinstance(kept, IngestedProblem)
    assert quoted.reason == "rationale_shares_ngram_with_evaluation"
    assert quoted.detail.startswith("sums.jsonl:1: rationale 1 holds 100% of eval.jsonl:1")
    assert quoted.problem_id == kept.problem_id
    assert [candidate.text for candidate in kept.candidates] == ["50 - 43 = 7"]
    (whole,) = screen(items, held_out=held_out(PLANE), check_rationales=False)
    assert whole == items[0]
