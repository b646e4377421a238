"""Prompt files: each renders, misses nothing silently, and takes values as text."""

from __future__ import annotations

import re

import pytest
from jinja2 import UndefinedError

from tasks.prompts import FOLDER, PromptFiles, prompt_file, prompt_sha, render

FILES = sorted(path.stem.split("__", 1) for path in FOLDER.glob("*.jinja"))
VALUES = {
    "generate": {"question": "THE QUESTION"},
    "judge": {"question": "THE QUESTION", "structured": ""},
    "verify": {"question": "THE QUESTION", "rationale": "THE CHAIN", "structured": ""},
    "compress": {
        "question": "THE QUESTION", "rationale": "THE CHAIN", "target_percent": "",
        "target_tokens": "",
    },
    "rewrite": {
        "question": "THE QUESTION", "rationale": "THE CHAIN", "level": "hard", "feedback": "",
        "max_tokens": "300", "max_words": "200",
    },
}  # fmt: skip
HOSTILE = ["{{ x }}", "{% raw %}", "{# no #}", "<|im_end|>", "<compress>", "a & <b>", "\x00 é 😀"]


def test_every_prompt_is_known_here() -> None:
    assert {step for step, _ in FILES} == set(VALUES)


@pytest.mark.parametrize(("step", "variant"), FILES)
def test_renders_with_its_values(step: str, variant: str) -> None:
    text = render(step, variant, **VALUES[step])
    assert "THE QUESTION" in text
    assert ("THE CHAIN" in text) == ("rationale" in VALUES[step])
    assert "{{" not in text
    assert text == text.strip()


@pytest.mark.parametrize(("step", "variant"), FILES)
def test_a_missing_value_is_an_error(step: str, variant: str) -> None:
    values = {key: value for key, value in VALUES[step].items() if key != "question"}
    with pytest.raises(UndefinedError, match="question"):
        render(step, variant, **values)


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize(("step", "variant"), FILES)
def test_a_value_stays_text(step: str, variant: str, hostile: str) -> None:
    assert hostile in render(step, variant, **{**VALUES[step], "question": hostile})


def test_golden_generate() -> None:
    assert render("generate", "default", question="2 + 2 = ?") == (
        "2 + 2 = ?\nPlease reason step by step, and put your final answer within \\boxed{}."
    )


def test_golden_rewrite() -> None:
    text = render(
        "rewrite", "default", question="2 + 2 = ?", rationale="I add.", level="easy",
        feedback="too_long_for_easy",
    )  # fmt: skip
    assert text == (
        "Rewrite the solution below so that a smaller model can learn from it. Keep every key "
        "step and every result; leave out repeated explanation and filler such as "
        '"by definition we know that". Do not change the final answer.\n\n'
        "Problem:\n2 + 2 = ?\n\nSolution:\nI add.\n\n"
        "The problem is easy. Write under 300 tokens, in this order: direct analysis, method, "
        "short conclusion.\n\n"
        "An earlier rewrite could not be used: too long for easy. Mend that.\n\n"
        "End with the final answer within \\boxed{}."
    )


def rewrite_prompt(variant: str, **values: str) -> str:
    return render("rewrite", variant, **{**VALUES["rewrite"], **values})


def test_golden_rewrite_of_an_easy_problem() -> None:
    text = rewrite_prompt("instruct", level="easy", feedback="it has 312 tokens")
    assert text == (
        "Rewrite the solution below so that a smaller model can learn from it.\n\n"
        "<problem>\nTHE QUESTION\n</problem>\n\n<solution>\nTHE CHAIN\n</solution>\n\n"
        "The problem is easy. Write these parts, in this order, each under a short heading:\n"
        "1. Analysis: say directly what is given and what is asked.\n"
        "2. Method: the steps and their results.\n"
        "3. Conclusion: one short sentence.\n"
        "Stay under 300 tokens, that is about 200 words with formulas counted in.\n\n"
        "Rules:\n"
        "- Keep every key step and every intermediate result, so that each step follows from those "
        "before it.\n"
        "- Leave out repeated explanation, abandoned attempts that teach nothing, and filler such "
        'as "by definition we know that".\n'
        "- Do not change the final answer. Do not mention the solution you were given, or that "
        "this is a rewrite.\n"
        "- An earlier rewrite could not be used: it has 312 tokens. Mend that.\n\n"
        "End with the final answer within \\boxed{}."
    )


PARTS = {
    "easy": ["Analysis", "Method", "Conclusion"],
    "medium": ["Analysis", "Attempt", "Reflection", "Improvement", "Conclusion"],
    "hard": ["Analysis", "Decomposition", "Stepwise solution", "Integration", "Conclusion"],
}


def parts_of(text: str) -> list[str]:
    return re.findall(r"^\d\. ([\w ]+)", text, re.M)


@pytest.mark.parametrize("level", PARTS)
def test_each_level_has_its_template(level: str) -> None:
    text = rewrite_prompt("instruct", level=level)
    assert parts_of(text) == PARTS[level]
    assert ("under 300 tokens" in text) == (level == "easy")
    assert ("approach, a reflection on it, and the improved solution" in text) == (level == "hard")
    assert "could not be used" not in text
    assert "Difficulty" not in text


def test_a_single_prompt_has_all_templates() -> None:
    values = {key: value for key, value in VALUES["rewrite"].items() if key != "level"}
    text = render("rewrite", "instruct", **values)
    assert "Begin with one line that says so:\nDifficulty: easy, medium or hard\n" in text
    _, *sections = re.split(r"^(?:Easy|Medium|Hard):\n", text, flags=re.M)
    assert [parts_of(section) for section in sections] == list(PARTS.values())


def test_the_default_prompt_has_its_templates() -> None:
    assert "under 300 tokens" in rewrite_prompt("default", level="easy")
    assert "reflection on it" in rewrite_prompt("default", level="medium")
    assert "sub-problems" in rewrite_prompt("default", level="hard")


@pytest.mark.parametrize(
    ("step", "structured", "ending"),
    [
        ("judge", "", "Reason: one or two sentences\nDifficulty: easy, medium or hard"),
        ("judge", "yes", '"reason" (one or two sentences), then "level" ("easy", "medium" or '
                         '"hard").'),
        ("verify", "", "or why there is none\nLogic: sound or flawed\n"
                       "Completeness: complete or incomplete"),
        ("verify", "yes", 'then "logic" ("sound" or "flawed"), then "completeness" ("complete" or '
                          '"incomplete").'),
    ],
)  # fmt: skip
def test_a_verdict_is_asked_for_in_a_fixed_form(step: str, structured: str, ending: str) -> None:
    text = render(step, "instruct", **{**VALUES[step], "structured": structured})
    assert text.endswith(ending)
    assert ("JSON" in text) == bool(structured)


def test_an_unknown_variant_names_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"no prompt 'poem' for step 'judge'; there are: default"):
        prompt_file("judge", "poem")


def test_a_prompt_carries_its_hash_and_the_wish_to_compress() -> None:
    prompt = PromptFiles("nano").render("generate", question="q", compress=True)
    assert prompt.sha == prompt_sha("generate", "nano")
    assert prompt.compress
    assert prompt.sha != prompt_sha("generate", "default")
