"""Prompt files: each renders, misses nothing silently, and takes values as text."""

from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from tasks.prompts import FOLDER, PromptFiles, prompt_file, prompt_sha, render

FILES = sorted(path.stem.split("__", 1) for path in FOLDER.glob("*.jinja"))
VALUES = {
    "generate": {"question": "THE QUESTION"},
    "judge": {"question": "THE QUESTION"},
    "verify": {"question": "THE QUESTION", "rationale": "THE CHAIN"},
    "compress": {"question": "THE QUESTION", "rationale": "THE CHAIN"},
    "rewrite": {
        "question": "THE QUESTION", "rationale": "THE CHAIN", "level": "hard", "feedback": "",
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


def test_each_level_has_its_template() -> None:
    def text(level: str) -> str:
        return render("rewrite", "default", **{**VALUES["rewrite"], "level": level})

    assert "under 300 tokens" in text("easy")
    assert "reflection on it" in text("medium")
    assert "sub-problems" in text("hard")


def test_an_unknown_variant_names_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"no prompt 'poem' for step 'judge'; there are: default"):
        prompt_file("judge", "poem")


def test_a_prompt_carries_its_hash_and_the_wish_to_compress() -> None:
    prompt = PromptFiles("nano").render("generate", question="q", compress=True)
    assert prompt.sha == prompt_sha("generate", "nano")
    assert prompt.compress
    assert prompt.sha != prompt_sha("generate", "default")
