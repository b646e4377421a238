"""The sentences that state an answer: X stands for it, {a} and {b} for numbers of no account.

Invariant: in each of them a person reads X as the answer.

A sample: "The answer is not {a} but X."
"""

# ruff: noqa: RUF001  signs and letters that look alike are what it is about

from __future__ import annotations

BOXES = (
    "\\boxed{X}", "$\\boxed{X}$", "$$\\boxed{X}$$", "\\[\\boxed{X}\\]", "\\(\\boxed{X}\\)",
    "So the result is \\boxed{X}.", "So the result is $\\boxed{X}$.",
    "Therefore, the final answer is: $\\boxed{X}$. I hope it is correct.",
    "The final answer is $\\boxed{X}$.", "**Final Answer**\n\\[ \\boxed{X} \\]",
    "Thus, the answer is \\(\\boxed{X}\\).", "The answer is \\boxed{X}.", "Answer: $\\boxed{X}$",
    "This gives us\n\n$$\n\\boxed{X}\n$$\n\nas required.", "**Answer:** \\boxed{X}",
    "\\boxed{X}\n\nThis uses each of the {a} numbers once.",
    "Hence we get $\\boxed{X}$, as claimed.",
    "<answer>\\boxed{X}</answer>", "#### \\boxed{X}", "The answer is $\\boxed{ X }$.",
    "$\\boxed{X}$ is the answer.",
    "Hence the answer is $\\boxed{X}$. It was the last of {a} steps.",
    "**$\\boxed{X}$**", "So we have:\n\\[\n\\boxed{X}\n\\]", "Therefore: $$\\boxed{X}.$$",
    "### Final Answer\n\n$\\boxed{X}$",
    "The final answer is $\\boxed{X}$, which is what we wanted.",
    "Final Answer: The final answer is $\\boxed{X}$. I hope it is correct.", "$\\boxed{X}$.",
    "So in the end we have \\( \\boxed{X} \\), and not what {a} would give.",
    "\\boxed{X}\n\nLet me know if you want to see another way!", "$$\n\\boxed{\nX\n}\n$$",
    "Thus the result is $\\underline{\\boxed{X}}$.", "The answer is\n\n\\[\\boxed{X}\\]",
)  # fmt: skip
STATEMENTS = (
    "The answer is X.", "Answer: X", "#### X", "<answer>X</answer>", "**Answer:** X",
    "**Answer: X**",
    "The final answer is X.", "Therefore, the answer is X.", "Final answer: X",
    "So the answer is X.",
    "The answer is: X", "Hence, the correct answer is X.", "The answer is therefore X.",
    "The answer is **X**.", "Thus the final answer is: X.", "<answer> X </answer>",
    "**Final Answer:** X",
    "So, the answer is X. I hope it is correct.", "the answer is X", "ANSWER: X",
    "Final Answer: X.",
    "My answer is X.", "The answer: X", "So the answer must be X.", "The answer should be X.",
    "In conclusion, the answer is X.", "X is the answer.", "Therefore, X is the final answer.",
    "**Answer**\n\nX", "## Final Answer\n\nX", "The answer is:\n\nX", "<answer>\nX\n</answer>",
    "Final Answer: The final answer is X. I hope it is correct.", "Answer = X", "Ans: X",
    "**Final answer: X.**", "The correct answer is: X", "Our final answer is X.",
    "The answer to the question is X.", "Thus, the answer turns out to be X.",
    "\n---\n**Answer:** X\n", "- **Answer**: X", "So, finally, the answer is X.",
    "### Answer\nX", "The correct answer is **X**.",
)  # fmt: skip
GOING_ON = (
    "The answer is exactly X.", "The answer is X in total.", "The answer is X, that is all.",
    "The answer is X (see above).", "The answer is X, which is what we wanted.",
    "The answer is X; the other case is impossible.", "The answer is X, not {a}.",
    "The answer is not {a} but X.", "I first thought {a}, but the answer is X.",
    "Instead of {a}, the answer is X.", "Is it {a}? No, the answer is X.",
    "The answer is X, for the {a} of them are in {b} rows.",
    "The answer is X. To check: {a} + {b} = {sum}.", "Answer: X. ({a} would be too few.)",
    "The answer is X, since there are {a} boxes.",
    "The answer is X. There were {a} students in all.",
    "The answer is X because {b} is more than {a}.", "So the answer is X, as {a} + {b} = {sum}.",
    "Answer: X\n\nNote that {a} of them were not needed.",
)  # fmt: skip
CLOSING = (
    "So altogether that makes X.", "Thus there are a total of X.", "This leaves X.",
    "So the result is X.", "Therefore, we get X.", "Thus it is X.", "Hence the total is X.",
    "So we end with X.",
)  # fmt: skip
FOREIGN = (
    ("zh", "每人 {a} 元，共 {b} 人。", "答案是X。"), ("zh", "共有{a}人，每人{b}本。", "答案为 X。"),
    ("zh", "已知小明有{a}个苹果，吃了{b}个。", "因此，答案是 X。"),
    ("zh", "一箱有{a}个。", "答案：X"),
    ("zh", "共有{a}人。", "所以答案是X，比原来少了{b}。"), ("zh", "其中 {a} 个是红的。", "答：X。"),
    ("zh", "先算 {a}+{b}={sum}。", "最终答案为：X"), ("zh", "共{a}步。", "故答案为：X。"),
    ("es", "Hay {a} alumnos y {b} sillas.", "La respuesta es X."),
    ("es", "Son {a} cajas.", "Por lo tanto, la respuesta final es X, pues hay {b} alumnos."),
    ("es", "Primero, {a} + {b} = {sum}.", "Respuesta: X"),
    ("de", "Es sind {a} Kisten.", "Die Antwort ist X."), ("de", "{a} + {b} = {sum}", "Antwort: X"),
    ("de", "Es gibt {a} Schüler.", "Die Antwort lautet X, denn es sind {b} Schüler."),
    ("fr", "Il y a {a} élèves.", "La réponse est X."), ("fr", "{a} + {b} = {sum}", "Réponse : X"),
    ("fr", "On a {a} caisses.", "Donc, la réponse finale est X, car il y a {b} élèves."),
    ("ru", "Всего {a} ящиков.", "Ответ: X"), ("ru", "Было {a} учеников и {b} стульев.",
            "Ответ: X."),
    ("ja", "箱が{a}個あります。", "答えはXです。"),
    ("ja", "{a}人います。", "したがって、答えは X です。"),
    ("ja", "{a}+{b}={sum}です。", "答え：X"),
    ("ko", "학생은 {a}명입니다.", "정답은 X입니다."), ("ko", "상자가 {a}개 있습니다.", "정답: X"),
    ("ko", "{a}+{b}={sum}", "따라서 답은 X입니다."),
    ("it", "Ci sono {a} scatole.", "La risposta è X."),
    ("pt", "Há {a} caixas.", "A resposta é X."),
)  # fmt: skip
BEFORE = (
    "There are {a} boxes with {b} apples each.", "First, {a} + {b} = {sum}.",
    "Step 1: {a} and {b} are given.",
    "We compute ${a} \\times {b} = {product}$.",
    "We know that {a} of them are red.\n\nLet's go on.",
    "Let $n = {a}$, so that $n + {b} = {sum}$.", "In the year 19{b} there were {a} of them.",
)  # fmt: skip
MISLEADING = (
    "A first guess is X, but that is not right.", "Someone might think of X, which is wrong.",
    "We start from X.", "At first we get X.",
)  # fmt: skip
# A statement taken back, and what is said then.
FIRST = ("The answer is X.", "\\boxed{X}", "So I get $\\boxed{X}$.", "So the answer is X.")
TAKEN_BACK = (
    "Wait, that is wrong.", "But that is not right. Let me check again.", "No, I made a mistake.",
    "Hmm, I counted {a} twice. Let me correct that.", "等等，这不对。", "Actually, no.",
)  # fmt: skip
DRESSES = (
    "\\displaystyle X", "\\,X\\,", "{X}", "\\ X", "X\\,", "\\color{blue}{X}", "\\textcolor{red}{X}",
    "{\\displaystyle X}", "X.", "\\;X\\;", "X\\ ",
)  # fmt: skip
