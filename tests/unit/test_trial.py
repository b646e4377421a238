"""`litecot try`: two prompts, what they state, and what is said where one cannot be asked."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flows.cli.evaluation.trial import words_of
from flows.evaluations.trial import Answered, Asked, NoAnswerError, ask_both
from tasks.answers.verdict import stated_answer
from tasks.ports import PermanentError, Sampling, TransientError
from tasks.prompts import load_prompt
from tests.fakes import ScriptedChat, completion


class Model(ScriptedChat):
    """A ScriptedChat that can be closed, as engines and servers' models are."""

    def close(self) -> None:
        """Nothing is open."""


NO_TOKEN = PermanentError("no_compress_token", "the tokenizer has no <compress>: add it with ...")


def asked(**fields: Any) -> Asked:
    known: dict[str, Any] = {
        "question": "What is 3 + 4?", "prompt": load_prompt("generate", "default"),
        "sampling": Sampling(max_tokens=9, temperature=0.6, seed=5),
    }  # fmt: skip
    return Asked(**{**known, **fields})


def test_the_question_is_asked_as_an_evaluation_asks_it() -> None:
    model = Model(["The answer is 7.", "7"])
    plain, short = asyncio.run(ask_both(model, asked()))
    (first, sampling), (second, again) = model.asked
    assert first.text == load_prompt("generate", "default").render(question="What is 3 + 4?")
    assert (first.text, sampling) == (second.text, again)
    assert sampling == Sampling(max_tokens=9, temperature=0.6, seed=5)
    assert (first.compress, second.compress) == (plain.compress, short.compress) == (False, True)
    assert words_of(plain) == "4 tokens in 0.50 s, answer 7"
    assert words_of(short) == "1 tokens in 0.50 s, answer 7 (guessed from its last line)"


def test_the_first_request_of_an_engine_is_not_timed() -> None:
    model = Model(["warm", "The answer is 7.", "The answer is 8."])
    told = asyncio.run(ask_both(model, asked(), warm_up=True))
    assert [one.completion.text for one in told if one.completion] == [
        "The answer is 7.", "The answer is 8.",
    ]  # fmt: skip
    assert model.asked[0][1].max_tokens == 1


def test_a_gold_answer_is_compared_with() -> None:
    model = Model(["It is \\boxed{7.0}.", "The answer is 8."])
    told = asyncio.run(ask_both(model, asked(gold="7")))
    assert [words_of(one).partition(", ")[2] for one in told] == [
        "answer 7.0: correct", "answer 8: wrong",
    ]  # fmt: skip


def test_a_model_without_compress_answers_plain() -> None:
    told = asyncio.run(ask_both(Model(["The answer is 7.", NO_TOKEN]), asked()))
    assert words_of(told[1]) == "not asked: the tokenizer has no <compress>"
    assert told[0].completion is not None


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TransientError("nobody answers at http://x"), "no answer: nobody answers at http://x"),
        (PermanentError("prompt_too_long", "9 > 8"), "no answer: 9 > 8; see --max-tokens"),
    ],
)  # fmt: skip
def test_no_answer_at_all_is_one_line(error: Exception, said: str) -> None:
    with pytest.raises(NoAnswerError, match=said):
        asyncio.run(ask_both(Model([error, error]), asked()))


def test_a_cut_off_answer_says_so() -> None:
    cut = Answered(compress=False, completion=completion("so", finish_reason="length"))
    assert words_of(cut) == "1 tokens in 0.50 s, cut off at the limit, no answer found"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("So 3 + 4 = 7.\nThe answer is 7.", ("7", "phrase")),
        ("I think \\boxed{\\frac{1}{2}}", ("\\frac{1}{2}", "box")),
        ("Monday + 2 = Wednesday\nThe answer is Wednesday.", ("Wednesday", "phrase")),
        ("<think>The answer is 5.</think>\nThe answer is 6.", ("6", "phrase")),
        ("Let me add.\n3 + 4 = 7", ("3 + 4 = 7", "closing_line")),
    ],
)
def test_an_answer_is_read_without_a_gold_one(text: str, expected: tuple[str, str]) -> None:
    found = stated_answer(text)
    assert found is not None
    assert (found.extracted_answer, found.stated_as) == expected


@pytest.mark.parametrize("text", ["", "Let me think about this for a while and", "<think>7"])
def test_where_nothing_is_stated_nothing_is_read(text: str) -> None:
    assert stated_answer(text, truncated=True) is None
