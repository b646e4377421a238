"""Chains in other languages, with their counters, and chains that think.

Invariant: every form is a whole ending (`said`). What another number of the sentence says is never
the answer, and nothing that stands in a thought is.

A sample: counters -> gold 18, equal "因此一共需要18元。", unequal "答案为 7 元".
"""

# ruff: noqa: RUF001  signs and letters that look alike are what it is about

from __future__ import annotations

import random

from tests.answer_pairs.forms import Case, Form, latex, plain, said

# N is the answer, M another number of the sentence. First those that say which it is.
STATED = (
    "每人 M 元。\n答案是N。", "答案为 N 元，比原来少了 M 元。", "共有M人，所以答案是N人。",
    "答案是N个，而不是M个。", "最终答案是N米。", "因此，答案是Ｎ。",
    "所以答案为Ｎ元，其中M元是定金。",
    "答：一共有N本书。", "答案：N岁", "故答案为：N千克。", "所以，正确答案是N，因为有M人。",
    "答案是\\boxed{N}元，不是M元。", "因此答案为$N$厘米。",
    "综上所述，答案是 **N**。",
    "La respuesta es N, pues hay M alumnos.", "La respuesta es N euros.",
    "Respuesta final: N manzanas", "Por lo tanto, la respuesta correcta es N. Hay M alumnos.",
    "La respuesta es $N$ metros.",
    "Die Antwort ist N, denn es sind M Schüler.", "Die Antwort lautet N Euro.",
    "Also ist die Antwort N. Es sind M Schüler.", "Antwort: N Äpfel",
    "Die endgültige Antwort ist $N$.",
    "La réponse est N, car il y a M élèves.", "La réponse finale est N euros.",
    "Réponse : N pommes", "Donc la réponse est $N$. Il y a M élèves.", "Ответ: N рублей.",
    "Ответ: N, так как всего M человек.",
    "Таким образом, ответ: $N$.", "Правильный ответ: N.", "答えはN個です。M個ではありません。",
    "したがって、答えはN円です。",
    "答え：N人", "よって答えは$N$です。", "정답은 N개입니다. 학생은 M명입니다.",
    "따라서 답은 N원입니다.", "정답: N명", "La risposta è N, perché ci sono M alunni.",
    "A resposta é N, pois há M alunos.", "Het antwoord is N, want er zijn M leerlingen.",
)  # fmt: skip
# And those that end with it.
CLOSING = (
    "因此一共需要N元。", "每盒M个，所以一共有N个。", "一共N元", "所以小明有N本书。",
    "先算出M，再得到N。", "所以共有N人。",
    "Por lo tanto, en total hay N manzanas.", "Also sind es insgesamt N Äpfel.",
    "Donc il y a N pommes en tout.", "Итого N рублей.", "したがって、全部でN個です。",
    "따라서 모두 N개입니다.",
)  # fmt: skip
FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")
UNITS = ("厘米", "元", "个", "人", "千克", "米", "本", "岁", "平方厘米", "小时", "円", "개", "명")


def ending(sentence: str, number: int, other: int) -> str:
    return sentence.replace("N", str(number)).replace("M", str(other)).replace("Ｎ",
            str(number).translate(FULL_WIDTH))  # fmt: skip


def endings(number: int, other: int) -> list[Form]:
    return [said(each, ending(each, number, other)) for each in (*STATED, *CLOSING)]


def counters(rng: random.Random) -> Case:
    number, other, third = rng.sample(range(2, 400), 3)
    if rng.random() < 0.3:  # the gold answer's unit, or none
        return with_unit(number, other, rng.choice(UNITS))
    unequal = endings(other, number) + endings(other, third)
    return Case(golds=[plain("bare", str(number))], equal=endings(number, other), unequal=[unequal])


def with_unit(number: int, other: int, unit: str) -> Case:
    def forms(number: int, other: int) -> list[Form]:
        found = [plain("unit", f"{number}{unit}"), plain("blank unit", f"{number} {unit}"),
                 plain("bare", str(number)), latex("text", f"{number}\\text{{{unit}}}"),
                 latex("blank text", f"{number} \\text{{ {unit}}}")]  # fmt: skip
        sentences = (f"答案是N{unit}。", f"答案为 N {unit}，比原来少了 M {unit}。",
                     f"每个M{unit}。\n因此一共有N{unit}。",
                     f"答：N{unit}。", f"答案是\\boxed{{N}}{unit}。",
                     f"所以答案是$N${unit}。")  # fmt: skip
        return found + [said(each, ending(each, number, other)) for each in sentences]

    golds = [plain("bare", str(number)), plain("unit", f"{number}{unit}"),
             plain("blank unit", f"{number} {unit}")]  # fmt: skip
    wrong = [plain("longer", f"{number}5{unit}"), plain("point", f"{number}.5{unit}"),
             plain("root", f"{number}√2{unit}")]  # fmt: skip
    return Case(golds=golds, equal=forms(number, other), unequal=[forms(other, number), wrong])


def thoughts(rng: random.Random) -> Case:
    number, other = rng.sample(range(2, 400), 2)
    stated = rng.choice(("The answer is N.", "\\boxed{N}", "So the result is \\boxed{N}.", "#### N",
                         "答案是N。"))  # fmt: skip
    right, wrong = stated.replace("N", str(number)), stated.replace("N", str(other))
    musing = f"Let me see. {other} is too much, so"
    equal = [
        said("think before", f"<think>\n{musing} it is {number}.\n</think>\n\n{right}"),
        said("template opened it", f"{musing} I look for less.\n</think>\n\n{right}"),
        said("two before", f"<think>{musing} on.</think>\n<think>{wrong} No.</think>\n{right}"),
        said("empty thought", f"<think>\n\n</think>\n\n{right}"),
        said("wrong in thought", f"<think>\n{wrong}\nWait, that is wrong.\n</think>\n{right}"),
    ]  # fmt: skip
    refused = [
        said("never closed", f"<think>\n{musing} on.\n{right}"),
        said("nothing behind", f"<think>\n{right}\n</think>"),
        said("blank behind", f"<think>\n{right}\n</think>\n\n"),
        said("right in thought", f"<think>\n{right}\n</think>\n\n{wrong}"),
        said("second never closed", f"{right}\n<think>\nWait, let me check that again. Is"),
        said("closed, then open",
             f"<think>\n{musing} on.\n</think>\n\n{right}\n<think>\nHold on, {other} may be"),
             said("second, wrong behind", f"{right}\n<think>No, not quite.</think>\n{wrong}"),
    ]  # fmt: skip
    return Case(golds=[plain("bare", str(number))], equal=equal, unequal=[refused])
