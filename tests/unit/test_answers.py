"""The verifier, case by case: where an answer is stated, what it equals, which verdict that is."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tasks.answers import gold_answer, grade, infer_answer_type


def verdict(text: str, gold: str, kind: str, *, truncated: bool = False) -> str:
    return grade(text, answer=gold, answer_type=kind, truncated=truncated).verdict


def extracted(text: str, kind: str = "math") -> str | None:
    return grade(text, answer="0", answer_type=kind, truncated=False).extracted_answer


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("so <answer>42</answer>", "42"),
        ("first <answer>1</answer>, no: <answer>2</answer>", "2"),
        ("<answer>The answer is \\boxed{7}</answer>", "7"),
        ("She makes 9 * 2 = 18\n#### 18", "18"),
        ("9 * 2 = <<9*2=18>>18\nA: 18", "18"),
        ("A: 18\nQ: Another?\nA: 19", "19"),
        ("hence \\boxed{\\frac{1}{2}}.", "\\frac{1}{2}"),
        ("hence \\boxed{\\{1, 2\\}}.", "\\{1, 2\\}"),
        ("\\boxed{1} but wait, \\boxed{2}", "2"),
        ("\\boxed{\\boxed{3}}", "3"),
        ("x is \\boxed{3} and y = \\boxed{5}.", "3 , 5"),
        ("\\fbox{4}", "4"),
        ("The answer is 5. Wait, I was wrong. The answer is 7.", "7"),
        ("The final answer is: $\\boxed{11}$. I hope it is correct.", "11"),
        ("**Answer:** 12", "12"),
        ("**Final Answer**: $x = 3$", "$x = 3$"),
        ("Answer: \\[ \\frac{2}{3} \\]", "\\[ \\frac{2}{3} \\]"),
        ("So the answer to this question is John makes $1260 if he works 7 days.", "$1260"),
        ("So the answer to this question is the magnitude of $5-12i$ is 13.", "13"),
        ("The answer is 8.\nLet me check whether the answer is reasonable.", "8"),
        ("The answer is 9. Or is the answer 10? If the answer is 11, it fails.", "9"),
        ("Therefore, the polygon has 15 sides.\n\nI think that's correct.", "15"),
        ("#### Step 2: halve it\nSo \\boxed{6}.\n", "6"),
        ("<think>The answer is 1.</think>The answer is 2.", "2"),
        ("\\boxed{5}<|im_end|>", "5"),
        ("\\boxed{} and \\boxed{3}", "3"),
        ("first <ANSWER> 1,000 </ANSWER>", "1,000"),
        ("#### 1,000", "1,000"),
        ("\\boxed{10{,}000}", "10{,}000"),
        ("The answer is 12,345.67.", "12,345.67"),
        ("The answer is the height must fall by 36% when the width is 25% larger.", "36%"),
        ("The answer is he can start no later than 2 pm to be ready at 5 pm.", "2 pm"),
        ("The answer is the width needs to be 12.", "12"),
        ("The answer is she can choose 4 of 8 members in 70 ways.", "70"),
        ("I am confident. 326.5 is the correct sum of 313.9 and 12.6.", "326.5"),
        ("The result is:\n\\[\n\\sin x = \\frac{1}{8}\n\\]\n", "\\sin x = \\frac{1}{8}"),
    ],
)
def test_last_stated_answer(text: str, expected: str) -> None:
    assert extracted(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "First 3 + 4 = 7.\nThen x^2 + (1/2", "so \\( k =", "which gives 9 *", "\\[ 3 + \\frac{1}{",
        "The roots are 3 and 5.\n\nAlternatively, perhaps I can think about the", "\\boxed{5",
        "Let \\(a, b",
    ],
)  # fmt: skip
def test_a_chain_that_breaks_off_has_no_answer(text: str) -> None:
    assert verdict(text, "5", "math") == "no_answer"
    assert extracted(text) is None


def test_a_closing_equation_is_read_whole() -> None:
    text = "Thus, the plane is:\n\\[\n5x - 7y + 4 = 0\n\\]"
    assert verdict(text, "5x - 7y + 4 = 0", "math") == "correct"
    assert verdict("So we have\n\\[ x = 3 + 4 = 7 \\]", "7", "math") == "correct"


@pytest.mark.parametrize(
    ("stated", "gold"),
    [
        ("9^{9^{9}}", "x+y"), ("9**9**9**9", "x+y"), ("99999999!", "x+y"),
        ("(" * 14 + "x" + ")" * 14, "x+y"), ("\\sum_{k=1}^{n} k^k", "x+y"), ("x+y", "9^{9^{9}}"),
        ("\\sqrt{2}+" * 60 + "x", "x+y"), ("e^{e^{e^{e}}}", "x+y"),
    ],
)  # fmt: skip
def test_what_algebra_cannot_reach_is_unverifiable(stated: str, gold: str) -> None:
    outcome = grade(f"\\boxed{{{stated}}}", answer=gold, answer_type="math", truncated=False)
    assert outcome.verdict == "unverifiable"
    assert outcome.extracted_answer == stated
    assert verdict(f"\\boxed{{{stated}}}", stated, "math") == "correct"  # spelled the same


def test_only_the_tail_of_a_long_text_is_read() -> None:
    assert extracted("\\boxed{1}" + " and so on" * 6_000) is None
    assert extracted("and so on " * 6_000 + "\\boxed{1}") == "1"


@pytest.mark.parametrize(
    ("gold", "stated"),
    [
        ("\\frac{1}{2}", "0.5"), ("\\frac12", "\\dfrac{1}{2}"), ("1/2", "50\\%"), ("50", "50%"),
        ("1\\frac{4}{5}", "\\frac{9}{5}"), ("137 \\frac{1}{2}", "137.5"), ("1,000", "1000"),
        ("11,\\! 111,\\! 100", "11111100"), ("10{,}000", "10,000"), ("\\$6", "6"),
        ("18.90", "\\$18.9"),
        ("15\\mbox{ cm}^2", "15"), ("864 \\mbox{ inches}^2", "864\\text{ square inches}"),
        ("90^\\circ", "90"), ("12", "12^{\\text{th}}\\text{ grade}"), (".35625", "0.35625"),
        ("6.72 \\times 10^{-5}", "0.0000672"), ("\\frac{1}{3}", "0.333333"), ("3", "three"),
        ("5", "x = 5"), ("x=5", "5"), ("[2,3]", "x \\in [2, 3]"), ("32", "n = 16 + 16 = 32"),
        ("3 \\pm 2\\sqrt{2}", "3 + 2\\sqrt{2}, 3 - 2\\sqrt{2}"), ("-2,1", "1 \\text{ and } -2"),
        ("1,2", "x = 2 or x = 1"), ("\\{1,2\\}", "2, 1"),
        ("(3, \\frac{\\pi}{2})", "\\left(3,\\frac\\pi2\\right)"),
        ("(-\\infty, 2) \\cup (3, \\infty)", "(3,\\infty)\\cup(-\\infty,2)"),
        ("\\begin{pmatrix} -1/3 \\\\ 2/3 \\end{pmatrix}",
         "\\begin{pmatrix} -\\frac{1}{3} \\\\[2pt] \\frac{2}{3} \\end{pmatrix}"),
        ("\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}",
         "\\begin{bmatrix}1&2\\\\3&4\\end{bmatrix}"),
        ("\\text{Evelyn}", "Evelyn"), ("\\text{(C)}", "(C)\\text{ Plane}"),
        ("\\text{even}", "Even"),
        ("\\text{4:30 p.m.}", "4:30 \\text{ PM}"), ("204_5", "204_{5}"), ("204_5", "204"),
        ("2\\sqrt3", "\\sqrt{12}"), ("120", "5!"), ("\\sqrt{5}", "5^{1/2}"),
        ("(x+1)^2", "x^2+2x+1"), ("x < 3", "3 > x"),
        ("5x-7y+11z+4=0", "5x - 7y + 11z + 4 = 0"), ("2 million", "2000000"),
    ],
)  # fmt: skip
def test_equal_mathematics(gold: str, stated: str) -> None:
    assert verdict(f"Thus \\boxed{{{stated}}}.", gold, "math") == "correct"


@pytest.mark.parametrize(
    ("gold", "stated"),
    [
        ("5", "6"), ("5", "5x"), ("(2,\\infty)", "[2,\\infty)"), ("(1,2)", "(2,1)"), ("1,2", "1"),
        ("\\frac{1}{3}", "0.33"), ("0.5", "50"), ("\\text{even}", "odd"), ("204_5", "54"),
        ("1000000", "1000001"), ("2\\sqrt3", "\\sqrt{11}"), ("\\{1,2\\}", "1,3"), ("10%", "0.1%"),
        ("\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "\\begin{pmatrix} 2 \\\\ 1 \\end{pmatrix}"),
        ("x^2+1", "x^2-1"), ("4:30 p.m.", "4:30 a.m."), ("5", "\\text{no solution}"),
    ],
)  # fmt: skip
def test_different_mathematics(gold: str, stated: str) -> None:
    assert verdict(f"Thus \\boxed{{{stated}}}.", gold, "math") == "wrong"


@pytest.mark.parametrize(
    "stated",
    ["18", "18.0",
     "$18", "18 dollars", "$18.00", "\\boxed{18}", "**18**", "eighteen", "18 eggs a day",
     "9 * 2 = 18", "the number of eggs is 18", "\\(18\\)", "\\$18"],
)  # fmt: skip
def test_equal_integers(stated: str) -> None:
    assert verdict(f"The answer is {stated}.", "18", "integer") == "correct"


def test_integers_with_separators_and_signs() -> None:
    assert verdict("A: 1,000", "1000", "integer") == "correct"
    assert verdict("A: 1000", "... = 1000\n#### 1,000", "integer") == "correct"
    assert verdict("The answer is -7.", "-7", "integer") == "correct"
    assert verdict("The answer is 7.", "-7", "integer") == "wrong"
    assert verdict("The answer is 180.", "18", "integer") == "wrong"


@pytest.mark.parametrize(
    ("text", "gold", "expected"),
    [
        ("The answer is (B).", "B", "correct"),
        ("The answer is B) 5 hours.", "B", "correct"),
        ("Therefore, the best answer choice is b.", "(B)", "correct"),
        ("The correct option is **C**", "B", "wrong"),
        ("The answer is painting.", "(B) painting", "correct"),
        ("The answer is B.", "(B) painting", "correct"),
        ("The answer is A, because C is too small.", "A", "correct"),
        ("The answer is A and C.", "A,C", "correct"),
        ("The answer is A or B.", "A", "wrong"),
        ("so option (D) fits best", "D", "correct"),
        ("\\boxed{\\text{(E)}}", "E", "correct"),
        ("The answer is a rural area.", "rural area", "correct"),
        ("ANS:D", "D", "correct"),
    ],
)
def test_choices(text: str, gold: str, expected: str) -> None:
    assert verdict(text, gold, "choice") == expected


@pytest.mark.parametrize(
    ("text", "gold", "expected"),
    [
        ("The answer is yes.", "yes", "correct"), ("The answer is no.", "yes", "wrong"),
        ("The answer is True.", "yes", "correct"), ("#### false", "No", "correct"),
        ("So yes, it is.", "true", "correct"), ("Therefore, no.", "False", "correct"),
        ("It ends at 4, not at 5.", "no", "no_answer"),
    ],
)  # fmt: skip
def test_yes_no(text: str, gold: str, expected: str) -> None:
    assert verdict(text, gold, "yes_no") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The date today is 11/22/2001.", "correct"),
        ("The date today is November 22, 2001.", "correct"),
        ("The answer is Thursday, 22nd of November 2001.", "correct"),
        ("\\boxed{2001-11-22}", "correct"),
        ("A week after 11/15/2001 is 11/22/2001.", "correct"),
        ("The answer is 11/22/2001, a week after 11/15/2001.", "correct"),
        ("The date today is 11/22/2002.", "wrong"),
        ("The date is 22/11/2001.", "wrong"),
        ("Without knowing the date (11/22/2001?) we cannot answer.", "no_answer"),
        ("N/A", "no_answer"),
    ],
)
def test_dates(text: str, expected: str) -> None:
    assert verdict(text, "11/22/2001", "date") == expected


@pytest.mark.parametrize(
    ("text", "gold", "expected"),
    [
        ("The answer is Thursday.", "Thursday", "correct"),
        ("The answer is friday", "Thursday", "wrong"),
        ('Therefore, the answer is "anna".', "anna", "correct"),
        ("The answer is St. Louis.", "St. Louis", "correct"),
        ("The answer is the Eiffel Tower!", "eiffel tower", "correct"),
        ("Thursday", "Thursday", "correct"),
        ("We count forward from Monday and then back again, twice", "Thursday", "no_answer"),
    ],
)
def test_texts(text: str, gold: str, expected: str) -> None:
    assert verdict(text, gold, "text") == expected


def test_no_answer_differs_from_wrong() -> None:
    assert verdict("I do not know.", "5", "integer") == "no_answer"
    assert verdict("", "5", "math") == "no_answer"
    assert grade("", answer="5", answer_type="math", truncated=False).extracted_answer is None


@pytest.mark.parametrize("gold", ["", "  ", "\x00", "$$"])
@pytest.mark.parametrize("kind", ["math", "integer", "choice", "yes_no", "date"])
def test_gold_that_says_nothing_is_unverifiable(gold: str, kind: str) -> None:
    assert verdict("The answer is 5 A yes 1/1/2001.", gold, kind) == "unverifiable"


def test_gold_of_another_type_is_unverifiable() -> None:
    assert verdict("The answer is 5.", "blue", "integer") == "unverifiable"
    assert verdict("The answer is yes.", "blue", "yes_no") == "unverifiable"
    assert verdict("The date is 1/1/2001.", "13/45/2001", "date") == "unverifiable"


def test_truncated_texts() -> None:
    cut = {"truncated": True}
    assert verdict("First, 3 + 4 = 7. Then 7", "7", "integer", **cut) == "truncated"
    assert verdict("The answer is 5. Let me check it once mo", "5", "integer", **cut) == "correct"
    assert verdict("\\boxed{5}", "5", "math", **cut) == "correct"
    assert verdict("The answer is 1", "18", "integer", **cut) == "truncated"  # 1 of what?
    assert verdict("\\boxed{1", "1", "math", **cut) == "truncated"
    assert verdict("<think>The answer is 5. But", "5", "integer", **cut) == "truncated"
    assert verdict("The answer is 6. Let me", "5", "integer", **cut) == "wrong"


def test_unknown_type_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no answer type .*; there are: math, integer"):
        grade("5", answer="5", answer_type="number", truncated=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("She makes 18\n#### 18", "18"), ("so $x=\\boxed{32}$.", "32"), ("first this\nA: 18", "18"),
        ("18", "18"), ("  \\frac{1}{2} ", "\\frac{1}{2}"), ("The answer is A.", "A"), ("", ""),
    ],
)  # fmt: skip
def test_gold_answer(text: str, expected: str) -> None:
    assert gold_answer(text) == expected


@pytest.mark.parametrize(
    ("answer", "question", "expected"),
    [
        ("yes", "Does it end at 5?", "yes_no"), ("True", "?", "yes_no"), ("5", "Where?", "integer"),
        ("She makes ... \n#### 1,000", "How much?", "integer"), ("$18", "?", "integer"),
        ("18.0", "?", "integer"), ("3.5", "?", "math"), ("\\frac{1}{2}", "?", "math"),
        ("(0, 1]", "?", "math"), ("x+1", "?", "math"), ("11/22/2001", "?", "date"),
        ("1/2", "?", "math"),
        ("November 22, 2001", "?", "date"), ("Thursday", "Which day?", "text"),
        ("B", "Which?\nA) red\nB) blue", "choice"), ("blue", "Which? (A) red (B) blue", "choice"),
        ("C", "Which is largest?", "choice"),
        ("F", "Which note?", "text"), ("-5", "?", "integer"), ("50%", "?", "math"),
    ],
)  # fmt: skip
def test_infer_answer_type(answer: str, question: str, expected: str) -> None:
    assert infer_answer_type(answer, question) == expected


def test_cheap_comparisons_do_not_import_math_verify() -> None:
    script = (
        "import sys\n"
        "from tasks.answers import grade\n"
        "for gold, said in (('5', '5'), ('5', '6'), ('\\\\frac12', '0.5'), ('(1,2)', '(1, 2)')):\n"
        "    grade(f'The answer is {said}.', answer=gold, answer_type='math', truncated=False)\n"
        "sys.exit(int(bool({'math_verify', 'sympy'} & set(sys.modules))))\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
