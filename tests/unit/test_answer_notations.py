"""What people and models write for an answer, kind by kind: equal and unequal, read whole.

The answer type is inferred as at the intake, so that what a user brings is what is tested.
"""

from __future__ import annotations

import re

import pytest

from tasks.answers import grade, infer_answer_type
from tasks.ports import Grade


def graded(text: str, gold: str) -> Grade:
    kind = infer_answer_type(gold, "What is it?")
    return grade(text, answer=gold, answer_type=kind, truncated=False)


def boxed(stated: str, gold: str) -> str:
    return graded(f"So it is \\boxed{{{stated}}}.", gold).verdict


def said(stated: str, gold: str) -> str:
    return graded(f"First 2 + 2 = 4.\nThe answer is {stated}.", gold).verdict


def bare(answer: str) -> str:
    """`answer` without blanks, text commands and the comma of thousands."""
    return re.sub(r"\\text\s?\{([^}]*)\}|\{,\}|\s", r"\1", answer).replace(" ", "")


@pytest.mark.parametrize(
    "stated",
    [
        "7\\sqrt3", "7\\pi", "(7,8)", "7, 8", "7x", "7x+1", "7!", "7+3i", "\\pm 7", "x > 7",
        "x \\geq 7", "[7,\\infty)", "7^2", "7:2", "7/2", "7\\frac{1}{2}", "7 \\text{ or } 8", "7e3",
        "7_8 + 1", "20+7\\sqrt2", "\\begin{pmatrix}7\\\\8\\end{pmatrix}", "\\{7, 8\\}", "-7", "7-9",
        "7 \\text{ hours } 20 \\text{ minutes}", "\\log_{7} 2", "\\sqrt[3]{7}", "\\frac{7}{x}",
        "7 \\text{ squared}", "|x| = 7 + a", "7 \\text{ dozen}", "7 \\text{ million}", "7{,}000",
    ],
)  # fmt: skip
def test_what_begins_with_the_gold_number_is_not_it(stated: str) -> None:
    outcome = graded(f"So it is \\boxed{{{stated}}}.", "7")
    assert outcome.verdict == "wrong"
    assert bare(outcome.extracted_answer or "") == bare(stated)
    assert graded(f"The answer is ${stated}$.", "7").verdict == "wrong"
    assert graded(f"Thus it is ${stated}$.", "7").verdict == "wrong"
    assert graded(f"#### {stated}", "7").verdict == "wrong"


@pytest.mark.parametrize(
    "stated",
    [
        "7 or 8", "at least 7", "more than 7", "7 or more", "7^2", "7x", "7 to 9",
        "between 7 and 9",
        "7:2", "7 hours 20 minutes", "minus 7", "negative seven", "seven eighths", "7 dozen",
        "7 and a half", "x > 7", "7%", "seven hundred", "7,8", "7 squared", "7*8",
    ],
)  # fmt: skip
def test_what_says_more_than_the_gold_number_in_words_is_not_it(stated: str) -> None:
    expected = "correct" if stated == "7%" else "wrong"  # by the rule of percentages
    assert said(stated, "7") == expected
    assert said(f"{stated}, because 3 + 4 = 7", "7") == expected


@pytest.mark.parametrize(
    ("gold", "stated"),
    [
        ("256", "2^{8}"), ("12", "3\\cdot4"), ("120", "5!"), ("9", "\\sqrt{81}"), ("9", "9 = 3^2"),
        ("9", "4+5"), ("-6", "18-24"), ("4", "\\log_2 16"), ("3", "|{-3}|"), ("10",
        "\\binom{5}{2}"),
        ("720", "6!"), ("6!", "720"), ("2", "\\sqrt[3]{8}"), ("5", "\\lfloor 5.7 \\rfloor"),
        ("1000", "10^3"), ("1000", "1e3"), ("8", "2**3"), ("7", "7 = x"), ("7", "(7)"),
        ("7", "7\\text{ cm}"), ("7", "7\\text{ square units}"), ("7", "7^\\circ"),
    ],
)  # fmt: skip
def test_a_whole_number_may_be_written_as_mathematics(gold: str, stated: str) -> None:
    assert boxed(stated, gold) == "correct"
    assert said(f"${stated}$", gold) == "correct"


@pytest.mark.parametrize(
    ("gold", "stated"),
    [
        ("2^{-70}", "2^{-71}"), ("\\frac{1}{40!}", "\\frac{1}{39!}"), ("e^{-50}", "e^{-51}"),
        ("3^{-90}", "3^{-90}+3^{-92}"), ("1 + 2^{-80}", "1"), ("\\pi^{-60}", "\\pi^{-61}"),
        ("5-\\frac{1}{\\mathrm{e}}", "5"), ("5-\\frac{1}{ e }", "5-\\frac{2}{e}"),
        ("\\frac{5^{700}+2}{7^{700}}", "\\frac{5^{700}+3}{7^{700}}"),
    ],
)  # fmt: skip
def test_values_of_any_size_are_told_apart(gold: str, stated: str) -> None:
    assert boxed(stated, gold) == "wrong"
    assert boxed(f"{gold} + 0", gold) == "correct"


@pytest.mark.parametrize(
    ("gold", "stated"),
    [
        ("5\\pi", "5\\pi\\text{ cm}^2"), ("5\\pi", "5\\pi\\ \\mathrm{m}^3"), ("2\\sqrt7",
        "2√7 sq. units"),
        ("\\frac{5\\sqrt{7}}{3}", "\\frac{5\\sqrt{7}}{3}\\text{ square inches}"), ("4x",
        "4x\\text{ km}"),
        ("10000", "10 000"), ("10000", "10\\,000"), ("10000", "10{,}000"), ("10000", "10~000"),
        ("10000", "10\u202f000"), ("10000", "10\u00a0000"), ("10000", "10\u2009000"),
        ("10000", "10'000"), ("10000", "10_000"), ("100000", "1,00,000"), ("1234567", "1.234.567"),
        ("12.5", "12{,}5"), ("12.5", "12,5"), ("\\log_{10} 1000", "3"), ("\\log_{12} 7",
        "\\frac{\\ln 7}{\\ln 12}"),
        ("\\sin 30^\\circ", "\\frac{1}{2}"), ("\\frac12", "\\cos 60°"), ("0.\\overline{27}",
        "\\frac{3}{11}"),
        ("\\frac16", "0.1\\overline{6}"), ("\\frac16", "0.1(6)"), ("\\frac{5}{3}", "1.66666..."),
        ("312_4", "312"), ("312_4", "312_{4}"), ("312_4", "312 in base 4"),
        ("\\emptyset", "\\varnothing"), ("\\emptyset", "\\{\\}"), ("\\emptyset",
        "\\text{the empty set}"),
        ("x \\geq 3", "[3, \\infty)"), ("(2,5]", "2 < x \\leq 5"), ("x<1", "1 > x"), ("(0,4)",
        "]0;4["),
        ("x<1 \\text{ or } x>2", "(-\\infty,1)\\cup(2,\\infty)"), ("x \\neq 2",
        "(-\\infty,2)\\cup(2,\\infty)"),
        ("\\mathbb{R}", "(-\\infty,\\infty)"), ("\\mathbb{R}", "\\text{all real numbers}"),
        ("{3,4}", "\\{4,3\\}"),
        ("7:30 PM", "7:30 p.m."), ("7:30 PM", "19:30"), ("7 pm", "7:00 PM"), ("11 a.m.", "11 AM"),
        ("3:4", "6:8"), ("3:4", "3 to 4"), ("4-9", "4 to 9"), ("4-9", "from 4 to 9"), ("5 Mar",
        "March 5"),
        ("30 minutes", "0.5 hours"), ("90 minutes", "1 hour 30 minutes"), ("50 cents", "\\$0.50"),
        ("x^2+2x+1", "(1+x)^2"), ("2x+4y=6", "x+2y=3"), ("\\frac{x}{2}", "0.5x"),
        ("\\frac{\\sqrt2}{2}", "1/\\sqrt{2}"),
        ("1 \\pm \\sqrt3", "1+\\sqrt3 \\text{ and } 1-\\sqrt3"), ("x^{10}", "x¹⁰"), ("\\sqrt{12}",
        "√12"),
        ("\\frac{7}{250}", "⁷⁄₂₅₀"), ("2\\frac{1}{2}", "2½"), ("3.2\\times10^{5}", "320000"),
    ],
)  # fmt: skip
def test_notations_that_are_equal(gold: str, stated: str) -> None:
    assert boxed(stated, gold) == "correct"


@pytest.mark.parametrize(
    ("gold", "stated"),
    [
        ("10", "10 000"), ("1", "1 234 567"), ("5\\pi", "6\\pi\\text{ cm}^2"), ("\\log_{10} 1000",
        "\\log_{1} 3"),
        ("\\sin 30^\\circ", "\\sin 30"), ("0.\\overline{27}", "0.27"), ("312_4", "312_5"),
        ("312_4", "54"),
        ("\\emptyset", "0"), ("x \\geq 3", "(3,\\infty)"), ("(2,5]", "2 \\leq x < 5"), ("x<1",
        "x>1"),
        ("(0,4)", "[0,4]"), ("\\mathbb{R}", "x > 0"), ("{3,4}", "\\{3\\}"), ("7:30 PM", "7:30 AM"),
        ("7 pm", "7 am"), ("7 pm", "7 \\text{ hours}"), ("3:4", "4:3"), ("4-9", "-5"), ("4-9", "4"),
        ("5 Mar", "5 Apr"), ("5 Mar", "6 Mar"), ("30 minutes", "30 hours"), ("5 cm", "5 m"),
        ("5 \\text{ cm}", "5 \\text{ cm}^2"), ("x^2+2x+1", "x^2+2x-1"), ("2x+4y=6", "x+2y=4"),
        ("x^{10}", "x^1 0"),
        ("4 7/8", "47/8"), ("\\frac13", "0.33"), ("\\sqrt{12}", "\\sqrt{1}2"), ("6!", "-6!"),
        ("210_3", "(210, 3)"),
        ("f(x)=x^2", "f(x)=x^3"), ("3+2i", "3-2i"), ("(3,4)", "(4,3)"), ("[1,2]", "(1,2)"),
    ],
)  # fmt: skip
def test_notations_that_differ(gold: str, stated: str) -> None:
    assert boxed(stated, gold) == "wrong"


@pytest.mark.parametrize(
    ("gold", "stated"),
    [
        ("64", "sixty-four"), ("64", "Sixty four"), ("-8", "minus eight"), ("-8", "negative 8"),
        ("0.75", "three quarters"), ("2/3", "two thirds"), ("1/4", "a quarter"), ("2.5",
        "two and a half"),
        ("2.5", "2 and a half"), ("105", "one hundred and five"), ("12000", "twelve thousand"),
        ("2500000", "2.5 million"), ("36", "3 dozen"), ("50%", "fifty percent"), ("50%",
        "50 per cent"),
        ("3.2", "three point two"), ("\\frac{\\pi}{4}", "pi/4"), ("x^2", "x**2"), ("5\\pi", "5 pi"),
        ("64", "therefore sixty-four"), ("64", "64, since 8 * 8 = 64"), ("64", "exactly 64 apples"),
        ("2\\sqrt{3}", "2*sqrt(3)"), ("64", "clearly 64"),
    ],
)  # fmt: skip
def test_numbers_in_words_and_plain_text(gold: str, stated: str) -> None:
    assert said(stated, gold) == "correct"
    if gold == "64":
        assert said(stated, "65") == "wrong"


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ("The answer is A because it is red.", "A"), ("The answer is A since B is too big.", "A"),
        ("The answer is A by elimination.", "A"), ("The answer is I as shown.", "I"),
        ("The answer is I and not C.", "I"), ("The answer is not A but C.", "C"),
        ("Thus C is the correct choice, not A.", "C"), ("Hence D.", "D"),
        ("So the answer is option B.", "B"),
        ("I would go with (D).", "D"), ("The answer is B, D.", "BD"), ("The answer is D and B.",
        "B, D"),
        ("\\boxed{\\text{B, D}}", "BD"), ("The answer is \\(\\text{(C) a red hat}\\).", "(C)"),
        ("正确答案是 B。", "B"), ("所以选 C。", "C"), ("故选Ｄ", "D"), ("选项 A 正确，答案：A",
        "A"),
        ("La respuesta correcta es la B.", "B"), ("Die richtige Antwort ist (C).", "C"),
        ("正解はDです。", "D"),
    ],
)  # fmt: skip
def test_letters(text: str, gold: str) -> None:
    assert graded(text, gold).verdict == "correct"
    other = "E" if gold != "E" else "D"
    assert grade(text, answer=other, answer_type="choice", truncated=False).verdict == "wrong"


def test_an_article_is_no_letter() -> None:
    for text, gold in (("The answer is A dog.", "A"), ("The answer is B, A.", "B")):
        outcome = grade(text, answer=gold, answer_type="choice", truncated=False)
        assert outcome.verdict == "wrong"


@pytest.mark.parametrize(
    "text",
    [
        "每盒 6 个，共 4 盒。\n答案是24。", "答案为 24 元，比去年少了 5 元。",
        "因此一共需要24元。", "答：24个。",
        "答案：２４", "所以答案是 $24$ 厘米。", "最终答案为：\\boxed{24}",
        "正确答案应该是二十四。", "故一共有24名学生。",
        "先算出 6，再得到24。", "La respuesta es 24, pues hay 30 alumnos.",
        "La réponse est 24, car il y a 30 élèves.",
        "Die Antwort ist 24, denn es sind 30 Schüler.",
        "Also ist die Antwort 24. Es sind 30 Schüler.",
        "Ответ: 24. Всего 30 учеников.", "Ответ — 24.", "答えは24です。生徒は30人です。",
        "정답은 24입니다. 학생은 30명입니다.",
        "La risposta è 24, perché ci sono 30 alunni.", "A resposta é 24, porque há 30 alunos.",
        "Đáp án là 24.",
    ],
)  # fmt: skip
def test_other_languages(text: str) -> None:
    assert graded(text, "24").verdict == "correct"
    assert graded(text, "24个").verdict == "correct"
    for other in ("30", "5", "6"):
        assert graded(text, other).verdict == "wrong"


def test_units_of_other_languages_convert_and_scale() -> None:
    assert boxed("18", "18厘米") == "correct"
    assert boxed("18万元", "180000") == "correct"
    assert boxed("5小时30分钟", "5.5小时") == "correct"
    assert boxed("18厘米", "18米") == "wrong"
    assert boxed("三分之二", "\\frac23") == "correct"


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("<think>\nSo the answer is 9.\nBut wait, let me check", "truncated"),
        ("<THINK>the answer is 9", "truncated"), ("<|begin_of_thought|>\nthe answer is 9 but",
        "truncated"),
        ("<think>3 + 6</think>\nThe answer is 9.\n<think>Hmm, maybe the answer is 8.", "truncated"),
        ("<think>the answer is 9</think>", "no_answer"),
        ("<think>the answer is 9</think>\n\n<|im_end|>", "no_answer"),
        ("<think>the answer is 9</think>\n\nI could not decide which one holds.", "no_answer"),
        ("<think>a</think>\nThe answer is 9.\n<think>b</think>", "no_answer"),
        ("<think>the answer is 8</think>\n9", "correct"),
        ("the answer is 8</think>\nThe answer is 9.", "correct"),
        ("<Thinking>the answer is 8</Thinking>\nThe answer is 9.", "correct"),
        ("<|begin_of_thought|>8<|end_of_thought|>\nSo \\boxed{9}", "correct"),
    ],
)  # fmt: skip
def test_a_thought_is_no_answer(text: str, verdict: str) -> None:
    assert graded(text, "9").verdict == verdict


@pytest.mark.parametrize(
    ("text", "stated_as"),
    [
        ("<answer>9</answer>", "tag"), ("#### 9", "hashes"), ("\\boxed{9}", "box"), ("Answer: 9",
        "label"),
        ("A: 9", "label"), ("答案：9", "label"), ("The answer is 9.", "phrase"), ("答案是9。",
        "phrase"),
        ("So she has 9 apples.", "closing_line"), ("I do not know.", None),
    ],
)  # fmt: skip
def test_how_an_answer_was_found_is_told(text: str, stated_as: str | None) -> None:
    assert graded(text, "9").stated_as == stated_as
