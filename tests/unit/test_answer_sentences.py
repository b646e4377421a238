"""What a sentence around an answer does to it: denials, bounds, corrections, headings, markup."""

from __future__ import annotations

import re

import pytest

from tasks.answers import grade, infer_answer_type

KEY = "Which one?\n(A) red\n(B) blue\n(C) green\n(D) black"


def verdict(text: str, gold: str, question: str = "What is it?") -> str:
    kind = infer_answer_type(gold, question)
    return grade(text, answer=gold, answer_type=kind, truncated=False).verdict


@pytest.mark.parametrize(
    "ending",
    [
        "The answer is not 21.", "The answer cannot be 21.", "The answer isn't 21.",
        "\\boxed{not 21}",
        "#### not 21", "Answer: not 21", "<answer>not 21</answer>", "It is not 21.", "So x ≠ 21.",
        "The wrong answer is 21.", "The answer is either 21 or 22.", "The answer is 21 or more.",
        "The answer is no solution, since 21 is extraneous.", "So the value exceeds 21.",
        "It lies between 5 and 21.", "The answer is the square root of 21.", "Is the answer 21?",
        "If the answer is 21, we get a contradiction.", "The answer is \\geq 21.", "\\boxed{21+}",
        "\\boxed{\\neq 21}", "The answer is different from 21.", "So x = 5 or x = 21.",
        "\\boxed{x^2=21}",
        "The solutions are 5 and 21.", "The ratio is 3:21.", "Let x = 21.",
        "The answer is 21 dozen.",
        "There are 21 pupils.\nThe answer is unclear.",
        "We tried 21.\nHence no such number exists.",
        "We add 21 once.\nShe has ten.", "#### 21, 22", "We start from 21.\nSo that makes none.",
        "答案不是21。", "答案大于21。", "因此x>21。", "答案是21以上。", "答案是21万。",
        "答案是21的平方。", "答案是21分之一。",
        "答えは21以上です。", "答えは21ではありません。", "答えは21または22です。",
        "답은 21 이상입니다.", "답은 21만입니다.",
        "La respuesta es al menos 21.", "La respuesta no es 21.", "La respuesta es 21 millones.",
        "La réponse est entre 21 et 30.", "La réponse n'est pas 21.", "La réponse est 21 et demi.",
        "Die Antwort ist mehr als 21.", "Die Antwort ist nicht 21.",
        "Die Antwort ist 21 Millionen.",
        "Ответ: не 21.", "Ответ: от 21 до 30", "Ответ: 21 тысяч", "A resposta não é 21.",
        "La risposta è 21 mila.",
    ],
)  # fmt: skip
def test_what_is_said_of_a_number_is_not_the_number(ending: str) -> None:
    assert verdict(f"First 20 + 1 = 21.\n{ending}", "21") != "correct"


@pytest.mark.parametrize(
    "ending",
    [
        "The answer is not 20 but 21.", "The answer is 21, not 20.", "21 is the answer.",
        "Therefore, 21 is the final answer, not 20.", "### Answer\n21", "**Final Answer**\n\n21",
        "The answer is 20. Wait, that is wrong.\n## Final Answer\n\n21", "The answer is `21`.",
        "The answer is __21__.", "The answer is <b>21</b>.", "The answer is 21 ✅",
        "The answer is => 21",
        "Answer -> 21", "The answer is 21 (twenty-one).", "The answer is twenty-one (21).",
        "The answer is 21 (see above).", "\\boxed{\\text{The answer is }21}",
        "\\boxed{\\color{blue}{21}}",
        "\\boxed{\\textcolor{red}{21}}", "\\boxed{{21}}", "\\boxed{\\displaystyle 21}",
        "\\boxed{21\\ }",
        "\\boxed{\\begin{aligned}21\\end{aligned}}", "\\boxed{\\boldsymbol{21}}", "\\boxed{n=21}",
        "The answer is obviously 21.", "The answer is equal to 21.",
        "The answer is 21<end_of_turn>",
        "So altogether that makes 20 + 1.", "She has twenty-one.", "The answer is 21 μm.",
        "答：共21个。", "得21。", "于是有21个。", "答案是二十一个。", "答えは二十一です。",
        "총 21개입니다.", "3*7=21（元）", "答：一共21元。", "答案应为21。", "【答案】21",
        "答案是：负21的相反数",
        "La réponse est donc 21.",
        "Die Antwort ist daher 21.", "Die Lösung ist 21.", "答えは、21です。", "คำตอบคือ 21",
    ],
)  # fmt: skip
def test_a_number_is_found_whatever_stands_around_it(ending: str) -> None:
    expected = "wrong" if "负" in ending else "correct"
    assert verdict(f"First 3 + 4 = 7.\n{ending}", "21") == expected


@pytest.mark.parametrize(
    ("ending", "stated"),
    [
        ("Option B is incorrect.", None), ("We can rule out (B).", None),
        ("I would not choose B.", None),
        ("The answer cannot be B.", None), ("B项错误。", None), ("不选B。", None),
        ("Is the answer B?", None),
        ("答案是B或D。", None), ("答えはBではない。", None), ("B ist falsch.", None),
        ("B is right and C is wrong.", "B"), ("Although C looks good, B is the correct answer.",
        "B"),
        ("Correct option: B", "B"), ("Choice: B", "B"), ("The answer is blue (B).", "B"),
        ("The answer is B rather than C.", "B"), ("答案应为B。", "B"), ("【答案】B", "B"),
        ("故B正确。", "B"),
        ("只有选项B正确。", "B"), ("答えは「B」です。", "B"), ("La opción correcta es la B.", "B"),
        ("A alternativa correta é a letra B.", "B"), ("Правильный ответ B.", "B"), ("blue", "B"),
    ],
)  # fmt: skip
def test_letters_that_are_chosen_and_that_are_not(ending: str, stated: str | None) -> None:
    assert (verdict(ending, "(B) blue", KEY) == "correct") == (stated == "B")
    assert verdict(ending, "(C) green", KEY) != "correct"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It is not true.", "no"), ("This isn't correct.", "no"), ("The answer is not yes.", "no"),
        ("The answer is not false.", "yes"), ("So it is true.", "yes"),
        ("The answer is yes or no.", None),
    ],
)  # fmt: skip
def test_yes_and_no_denied(text: str, expected: str | None) -> None:
    assert (verdict(text, "yes") == "correct") == (expected == "yes")
    assert (verdict(text, "no") == "correct") == (expected == "no")


@pytest.mark.parametrize(
    "opened", ["[THINK]", "◁think▷", "<seed:think>", "<|think|>", "<thinking>", "<reflection>"]
)
def test_thoughts_under_other_tags(opened: str) -> None:
    closed = re.sub(r"\A([<\[◁]\|?)", r"\1/", opened)
    assert verdict(f"{opened}the answer is 9", "9") == "truncated"
    assert verdict(f"{opened}the answer is 8{closed}\nThe answer is 9.", "9") == "correct"


@pytest.mark.parametrize(
    ("gold", "stated", "is_equal"),
    [
        ("y=\\sqrt{3}x", "y-\\sqrt{3}x=0", True), ("x^2+y^2=\\pi", "y^2+x^2=\\pi", True),
        ("x^2+y^2=2", "x^2+y^2=\\sqrt{2}", False), ("y=2x+3", "2x-y+3=0", True), ("y=2x+3",
        "2x-y=3", False),
        ("0", "\\sin\\pi", True), ("\\frac{1}{\\sqrt{n}}", "\\sqrt{1/n}", True), ("|x|",
        "x", False),
        ("x", "\\sqrt{x^2}", False), ("45^\\circ", "\\frac{\\pi}{4}", True), ("120",
        "{10 \\choose 3}", True),
        ("6m^3n", "6nm^3", True), ("\\langle 1,2\\rangle", "⟨1, 2⟩", True),
        ("\\langle 1,2\\rangle", "⟨2, 1⟩", False),
        ("\\{1,2\\}", "A\\cap B=\\{1,2\\}", True), ("18", "9 \\cdot 2 = 18", True), ("0",
        "x^2-4=0", False),
        ("$0.50", "50\\text{ cents}", True), ("$0.50", "0.5\\text{ cents}", False), ("1e-3",
        "10^{-3}", True),
        ("100^\\circ\\text{C}", "100^\\circ\\text{F}", False), ("12:00", "0", False), ("18元",
        "18角", False),
    ],
)  # fmt: skip
def test_more_notations(gold: str, stated: str, is_equal: bool) -> None:
    assert (verdict(f"\\boxed{{{stated}}}", gold) == "correct") == is_equal
