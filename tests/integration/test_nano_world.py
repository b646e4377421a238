"""The nano world: answers, chains, compression rounds, the split, the tokenizer and the prompts."""

import json
import random
import re
import subprocess
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from infra.nano import chains, lessons, world
from tasks import prompts

NANO = Path(world.__file__).parent
QUESTION = "A dial has marks 0 to 9. It starts at 3.\n1) right 4\n2) left 2\nWhere does it end?"

unhurried = settings(deadline=None, max_examples=60)
problems = st.builds(
    lambda seed, family, num_steps: world.draw_any_problem(random.Random(seed), family, num_steps),
    st.integers(0, 2**32),
    st.sampled_from(world.FAMILIES),
    st.integers(1, world.MAX_STEPS),
)
styles = st.one_of(
    st.integers(0, 2**32).map(lambda seed: chains.long_style(random.Random(seed))),
    st.sampled_from(world.LEVELS).map(chains.rewrite_style),
)


def answer_from_the_wording(question: str) -> str:
    """Solve a question from its text alone."""
    names = world.WEEK if "day" in question.split("\n")[0] else world.DIAL
    place = next(
        i for i, name in enumerate(names) if re.search(rf"(is|at|shows) {name}\.", question)
    )
    for word, amount in re.findall(r"^\d\) (\w+) (\d)$", question, re.MULTILINE):
        place += int(amount) if word in ("right", "later") else -int(amount)
    end = names[place % len(names)]
    asked = re.search(r"end at (\d)\?", question)
    return end if asked is None else ("yes" if end == asked[1] else "no")


@unhurried
@given(problems)
def test_answers_follow_from_the_wording(problem: world.Problem) -> None:
    assert problem.answer == answer_from_the_wording(problem.question)


@unhurried
@given(problems, styles)
def test_every_chain_holds_every_equation_and_the_answer(
    problem: world.Problem, style: chains.Style
) -> None:
    for stage in chains.stages(style):
        assert chains.is_right_solution(problem, chains.render(problem, stage))


@unhurried
@given(problems, styles)
def test_each_round_is_right_and_shorter_until_minimal(
    problem: world.Problem, style: chains.Style
) -> None:
    texts = [chains.render(problem, stage) for stage in chains.stages(style)]
    assert all(chains.is_right_round(before, after) for before, after in pairwise(texts))
    assert texts[-1] == chains.render(problem, chains.MINIMAL)
    rebound = chains.render(problem, chains.compress(chains.MINIMAL))
    assert chains.count_pieces(rebound) > chains.count_pieces(texts[-1])


@unhurried
@given(problems, st.sampled_from(world.LEVELS))
def test_a_rewrite_lies_between_minimal_and_long(
    problem: world.Problem, level: world.Level
) -> None:
    long = chains.Style(opener=1, filler=1, restate=True, check=True, step_text=True)
    sizes = [
        chains.count_pieces(chains.render(problem, style))
        for style in (chains.MINIMAL, chains.rewrite_style(level), long)
    ]
    assert sizes[0] < sizes[1] < sizes[2]


def test_long_chains_are_four_times_the_minimal_ones() -> None:
    rng = random.Random(3)
    drawn = [
        world.draw_any_problem(rng, family, steps)
        for family in world.FAMILIES
        for steps in range(1, 9)
    ] * 20
    long = sum(
        chains.count_pieces(chains.render(problem, chains.long_style(rng))) for problem in drawn
    )
    minimal = sum(chains.count_pieces(chains.render(problem, chains.MINIMAL)) for problem in drawn)
    assert long >= 4 * minimal


@unhurried
@given(problems, st.sampled_from(world.LEVELS), st.integers(0, 2**32))
def test_a_corrupted_chain_differs_from_the_right_one(
    problem: world.Problem, level: world.Level, seed: int
) -> None:
    style = chains.rewrite_style(level)
    assert chains.corrupt(problem, style, random.Random(seed)) != chains.render(problem, style)


@pytest.mark.parametrize(
    "after",
    [
        "1) 3 + 4 = 7\n2) 7 - 2 = 5\nThe answer is 6.",
        "1) 3 + 4 = 7\nThe answer is 5.",
        "1) 3 + 4 = 8\n2) 8 - 3 = 5\nThe answer is 5.",
        "1) right 4: 3 + 4 = 7\n2) left 2: 7 - 2 = 5\nThe answer is 5.",
    ],
    ids=["answer_changed", "step_lost", "arithmetic_wrong", "not_shorter"],
)
def test_a_wrong_round_is_seen(after: str) -> None:
    before = "1) right 4: 3 + 4 = 7\n2) left 2: 7 - 2 = 5\nThe answer is 5."
    assert not chains.is_right_round(before, after)


@unhurried
@given(problems)
def test_wording_does_not_decide_the_split(problem: world.Problem) -> None:
    other = world.Problem(
        problem.family, problem.start, problem.moves, 1 - problem.opening, problem.asked
    )
    assert world.is_held_out(other) == world.is_held_out(problem)


@cache
def shipped(name: str) -> list[dict[str, str]]:
    """The rows of a shipped problem file."""
    return [
        json.loads(line) for line in (NANO / "problems" / f"{name}.jsonl").read_text().splitlines()
    ]


def test_shipped_problems_are_right_distinct_and_disjoint() -> None:
    train, held_out = shipped("train"), shipped("eval")
    questions = [row["question"] for row in train + held_out]
    assert (len(train), len(held_out), len(set(questions))) == (400, 200, 600)
    assert all(
        row["answer"] == answer_from_the_wording(row["question"]) for row in train + held_out
    )
    assert train == [p.row for p in world.shipped_problems("train")]
    assert held_out == [p.row for p in world.shipped_problems("eval")]
    assert not any(world.is_held_out(p) for p in world.shipped_problems("train"))
    assert all(world.is_held_out(p) for p in world.shipped_problems("eval"))


@pytest.mark.parametrize(
    ("step", "values", "expected"),
    [
        ("generate", {}, f"{QUESTION}\nSolve this step by step."),
        ("judge", {}, f"{QUESTION}\nJudge this: easy, medium or hard?"),
        (
            "rewrite",
            {"rationale": "R", "level": "hard"},
            f"{QUESTION}\n\nR\n\nRewrite this as hard.",
        ),
        ("verify", {"rationale": "R"}, f"{QUESTION}\n\nR\n\nVerify this: valid or invalid?"),
        ("compress", {"rationale": "R"}, f"{QUESTION}\n\nR\n\nCompress this a little."),
    ],
)
def test_prompts_render(step: str, values: dict[str, str], expected: str) -> None:
    assert prompts.render(step, lessons.VARIANT, question=QUESTION, **values) == expected


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    """The shipped tokenizer, loaded as any engine loads it."""
    return AutoTokenizer.from_pretrained(NANO / "weights" / "teacher")


@unhurried
@given(problems, st.integers(0, 2**32))
def test_one_token_per_piece(
    tokenizer: PreTrainedTokenizerBase, problem: world.Problem, seed: int
) -> None:
    lesson = lessons.teacher_lesson(random.Random(seed), problem)
    for text in (lesson.user, lesson.reply):
        assert len(tokenizer.encode(text)) == chains.count_pieces(text)


def test_a_key_is_one_token_of_its_own(tokenizer: PreTrainedTokenizerBase) -> None:
    assert tokenizer.tokenize("1) 3 + 4") == ["1)", " 3", "Ġ+", " 4"]


@unhurried
@given(st.text(st.characters(codec="ascii")))
def test_any_ascii_text_round_trips(tokenizer: PreTrainedTokenizerBase, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text, split_special_tokens=True)) == text


@pytest.mark.parametrize(
    "text", ["héé 日本 🎉 1) 3\r\n\n  $\\frac{1}{23}$", "<|im_end|>a<compress>", " 12) 3) "]
)
def test_real_text_round_trips_and_never_becomes_a_control_token(
    tokenizer: PreTrainedTokenizerBase, text: str
) -> None:
    ids = tokenizer.encode(text, split_special_tokens=True)
    assert tokenizer.decode(ids) == text
    assert not set(ids) & set(tokenizer.all_special_ids)


def test_the_compress_marker_stands_before_the_last_user_message(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    chat = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]
    text = tokenizer.apply_chat_template(
        chat, tokenize=False, add_generation_prompt=True, compress=True
    )
    assert text == (
        "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n"
        "<|im_start|>user\n<compress>c<|im_end|>\n<|im_start|>assistant\n"
    )


def test_the_world_loads_no_torch() -> None:
    code = "import sys, infra.nano.lessons; assert not {'torch', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=NANO.parents[1])
