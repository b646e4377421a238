"""How a chain ends: the sentences around a stated answer.

Invariant: whatever stands before or behind, a person reads the form as the answer, and as all of
it. Numbers around it are other numbers; where the pair is unequal, one may be the gold answer.

A sample: "There are 12 boxes with 7 apples each.\\nTherefore, the final answer is: $\\boxed{5}$. I
hope it is correct."
"""

# ruff: noqa: RUF001  signs and letters that look alike are what it is about

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tests.answer_pairs.forms import Form

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
    "My answer is X.", "### Answer\nX", "The correct answer is **X**.",
)  # fmt: skip
GOING_ON = (
    "The answer is X, since there are {a} boxes.",
    "The answer is X. There were {a} students in all.",
    "The answer is X because {b} is more than {a}.", "So the answer is X, as {a} + {b} = {sum}.",
    "Answer: X\n\nNote that {a} of them were not needed.",
)  # fmt: skip
CLOSING = (
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
NO_BOLD = re.compile(r"\*|_|`")


@dataclass(frozen=True)
class Ending:
    """A chain's last lines and the name of the sentence that states the answer."""

    text: str
    frame: str


def in_box(form: Form) -> str:
    return f"\\text{{{form.text}}}" if form.kind == "words" else form.text


def in_prose(form: Form, rng: random.Random) -> str:
    if form.kind != "latex":
        return form.text
    return rng.choice(("$X$", "$X$", "\\(X\\)", "$X$")).replace("X", form.text)


def fill(sentence: str, rng: random.Random, avoid: str = "") -> str:
    """The sentence with numbers, none of which is `avoid`."""
    numbers = {"a": avoid}
    while avoid in numbers.values():
        a, b = rng.randint(13, 59), rng.randint(61, 98)
        numbers = {"a": f"{a}", "b": f"{b}", "sum": f"{a + b}", "product": f"{a * b}"}
    for name, number in numbers.items():
        sentence = sentence.replace(f"{{{name}}}", number)
    return sentence


def put(frame: str, text: str) -> str:
    """`text` for the frame's X; one full stop where it brings its own."""
    if text.endswith("."):
        frame = re.sub(r"X([.。])", lambda found: "X", frame)
    return re.sub(r"\bX\b|X", lambda _: text, frame, count=1)


def frames_for(form: Form, *, scalar: bool) -> list[tuple[str, Sequence[str]]]:
    kinds: list[tuple[str, Sequence[str]]] = [("box", BOXES), ("statement", STATEMENTS)]
    if form.kind == "said":
        return [("said", ["X"])]
    if form.kind == "prose":
        kinds = [("statement", STATEMENTS)]
    elif form.kind == "latex":
        kinds += [("box", BOXES)]
    if scalar:
        kinds += [("going on", GOING_ON)]
        if form.kind in ("latex", "plain"):
            kinds += [("closing", CLOSING), ("foreign", [])]
    return kinds


def write(
    form: Form, rng: random.Random, *, scalar: bool = False, gold: str = "", mislead: bool = False
) -> Ending:
    """A chain's ending that states the form; `mislead` puts the gold answer before it."""
    if form.kind == "said" and "think>" in form.text:
        return Ending(form.text, "said")
    kind, frames = rng.choice(frames_for(form, scalar=scalar))
    lines = [fill(line, rng, gold) for line in rng.sample(BEFORE, rng.randint(0, 2))]
    if mislead:
        lines.append(put(rng.choice(MISLEADING), gold))
    if kind == "foreign":
        language, before, frame = rng.choice(FOREIGN)
        name = f"{language}: {frame}"
        lines = [fill(before, rng, gold)]
    else:
        frame = rng.choice(frames)
        while NO_BOLD.search(form.text) and "**" in frame:
            frame = rng.choice(frames)
        name = frame
    stated = in_box(form) if kind == "box" else in_prose(form, rng)
    if kind == "box" and "$" in form.text:
        frame, name = "So the result is \\boxed{X}.", "So the result is \\boxed{X}."
    if mislead and gold.isdigit() and "{b}" not in frame:
        frame = frame.replace("{a}", gold)
    lines.append(put(fill(frame, rng, gold), stated))
    text = "\n".join(lines)
    if rng.random() < 0.12:
        thought = fill(rng.choice(BEFORE), rng, gold) + " So maybe the answer is 977? Let me see."
        text = f"<think>\n{thought}\n</think>\n\n{text}"
        name = f"think, {name}"
    return Ending(text, name)
