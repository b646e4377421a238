"""Options by letter, one or several; yes and no; and the sentences only they have.

Invariant: a sentence of its own (a `said` form) states one letter, or all, whatever else it names.

A sample: choices -> gold B, equal "The answer is not A but B.", unequal "Option A".
"""

# ruff: noqa: RUF001  signs and letters that look alike are what it is about

from __future__ import annotations

import random

from tests.answer_pairs.forms import QUESTION, Case, Form, latex, plain, said, words

OPTIONS = ("a red kite", "an old mill", "the third hill", "some warm rain", "no such thing")
LETTERS = "ABCDE"
FULL_WIDTH = str.maketrans("ABCDE", "ＡＢＣＤＥ")
ONE = (
    "The answer is X because it is larger.", "The answer is X since the others fail.",
    "The answer is X by elimination.", "The answer is X, as the others are too small.",
    "The answer is X and not Y.",
    "The answer is not Y but X.", "Therefore X is the right choice, not Y.", "Hence X.",
    "So the correct option is X.", "X is the correct answer.",
    "The correct answer is (X) because it is larger.",
    "Thus, option (X) is correct.", "Therefore, the best choice is X.", "So X is correct.",
    "I would choose X.", "The correct choice is (X).", "The answer is X. Option Y is too small.",
    "Answer: X) OPTION",
    "The answer is (X) OPTION.", "Answer: (X) OPTION", "So the answer is X. OPTION", "X", "(X)",
    "**X**", "Final answer: **X**", "Y is wrong because it is too small. The answer is X.",
    "#### X",
    "因此，正确答案是 X。", "所以选X。", "故选：X", "故选X.", "答案：X", "答案是X。",
    "所以正确选项是X。", "选项Y不对，应选X。", "因此答案为（X）。",
    "La respuesta correcta es X.", "La respuesta es la X.",
    "Die richtige Antwort ist X.", "Antwort: X", "La bonne réponse est X.", "Réponse : X",
    "Правильный ответ: X", "Ответ: X", "正解はXです。", "答えはXです。", "정답은 X입니다.",
    "정답: X",
)  # fmt: skip
SEVERAL = (
    "The answer is X.", "Answer: X", "So the correct options are X.", "The correct answers are X.",
    "\\boxed{X}", "#### X", "Therefore, the answer is X.", "所以选X。", "答案是X。",
    "**Answer:** X",
)  # fmt: skip


def question(options: tuple[str, ...], mark: str) -> str:
    """Which one, with the options below."""
    return "Which of these is meant?\n" + "\n".join(mark.replace("A",
            letter) + f" {text}" for letter, text in zip(LETTERS, options,
                    strict=False))  # fmt: skip


def letter_forms(letter: str, other: str, option: str) -> list[Form]:
    found = [
        plain("letter", letter), plain("bracketed", f"({letter})"),
        plain("full stop", f"{letter}."), plain("half bracket", f"{letter})"),
        latex("text", f"\\text{{{letter}}}"), latex("text bracketed", f"\\text{{({letter})}}"),
        latex("textbf", f"\\textbf{{({letter})}}"), latex("mathrm", f"\\mathrm{{{letter}}}"),
        plain("Option", f"Option {letter}"), plain("option", f"option ({letter})"),
        plain("Choice", f"choice {letter}"), plain("small", f"({letter.lower()})"),
        plain("option small", f"option {letter.lower()}"),
        plain("full-width", letter.translate(FULL_WIDTH)),
        plain("with text", f"({letter}) {option}"), plain("colon", f"{letter}: {option}"),
        latex("with text", f"\\text{{({letter}) {option}}}"), latex("letter", letter),
    ]  # fmt: skip
    sentences = [said(each, each.replace("OPTION", option).replace("X", letter).replace("Y",
            other)) for each in ONE]  # fmt: skip
    return found * 2 + sentences


def choices(rng: random.Random) -> Case:
    options = tuple(rng.sample(OPTIONS, rng.randint(4, 5)))
    letter, other = rng.sample(LETTERS[: len(options)], 2)
    gold = [plain("letter", letter), plain("letter", letter), plain("bracketed", f"({letter})")]
    text = dict(zip(LETTERS, options, strict=False))
    both = [plain("and", f"{letter} and {other}"), plain("or", f"{letter} or {other}"),
            plain("comma", f"{letter}, {other}"), plain("none", "none of these"),
            plain("both", f"both {letter} and {other}"),
            said("or", f"The answer is either {letter} or {other}."),
            said("cannot tell", "It cannot be determined which of them it is.")]  # fmt: skip
    equal = letter_forms(letter, other, text[letter])
    if rng.random() < 0.2:  # only a gold answer that names its option may be answered by the text
        gold = [plain("with text", f"({letter}) {text[letter]}")]
        equal += [words("option", text[letter]), plain("option", text[letter])] * 5
    return Case(golds=gold, equal=equal,
                unequal=[letter_forms(other, letter, text[other])] * 4 + [both],
                question=question(options, rng.choice(("(A)", "A.", "A)", "A:"))),
                types=(None, None, "choice"))  # fmt: skip


def lone_letters(rng: random.Random) -> Case:
    """The question does not list the options; I may be one of them."""
    letter, other = rng.sample("AAABCDEFGIIH", 2)
    other = other if other != letter else "B" if letter != "B" else "A"
    found = [each for each in letter_forms(letter, other, "") if usable(each)]
    wrong = [each for each in letter_forms(other, letter, "") if usable(each)]
    golds = [plain("letter", letter)] * 3 + [plain("bracketed", f"({letter})")]
    return Case(golds=golds, equal=found, unequal=[wrong], types=(None, "choice"))


def usable(form: Form) -> bool:
    """Not the text of an option, nor a sentence in which I may be a person."""
    lone = ("X", "(X)", "**X**", "So X is correct.", "I would choose X.", "Hence X.")
    return "OPTION" not in form.name and form.name not in (
        "with text", "colon", "small", "option small", "full-width", *lone
    )  # fmt: skip


def several(rng: random.Random) -> Case:
    """More than one letter is right."""
    options = tuple(rng.sample(OPTIONS, 5))
    letters = sorted(rng.sample(LETTERS, rng.randint(2, 3)))

    def forms(letters: list[str]) -> list[Form]:
        turned = rng.sample(letters, len(letters))
        lists = ["".join(letters), ", ".join(letters), ",".join(letters), ", ".join(turned),
                 " and ".join(letters), ", ".join(f"({each})" for each in letters)]  # fmt: skip
        if len(letters) == 2:
            lists.append(" and ".join(f"({each})" for each in letters))
        else:
            lists.append(", ".join(letters[:-1]) + f" and {letters[-1]}")
        if len(letters) == 3:
            lists.remove(" and ".join(letters))
        return [plain(f"list {index}", each) for index, each in enumerate(lists)] + [latex("text",
                f"\\text{{{', '.join(letters)}}}")]  # fmt: skip

    missing = letters[:-1] if len(letters) > 2 else [letters[0]]
    rest = [each for each in LETTERS if each not in letters]
    others = [[*letters, rest[0]], [*letters[:-1], rest[-1]],
              missing if len(missing) > 1 else [letters[0], rest[0]]]  # fmt: skip
    other = sorted(rng.choice(others))
    one = [plain("one", each) for each in letters] + [plain("one bracketed",
            f"({each})") for each in letters]  # fmt: skip
    golds = [plain("together", "".join(letters)), plain("comma", ", ".join(letters)),
             plain("tight", ",".join(letters))]  # fmt: skip
    return Case(golds=golds, equal=forms(letters), unequal=[forms(other), forms(other), one],
                question=rng.choice((question(options, "(A)"), QUESTION)))  # fmt: skip


def yes_or_no(rng: random.Random) -> Case:
    def forms(word: str) -> list[Form]:
        capital = word.capitalize()
        so = "Yes, that is so." if word == "yes" else "No, that is not so."
        return [
            plain("word", word), plain("Word", capital), latex("text", f"\\text{{{capital}}}"),
            latex("textbf", f"\\textbf{{{word}}}"), plain("upper", word.upper()),
            plain("full stop", f"{capital}."), said("comma", so),
            said("answer", f"The answer is {word}, because of what was said."),
        ]  # fmt: skip

    word, other = rng.sample(("yes", "no"), 2)
    return Case(
        golds=[plain("word", word), plain("Word", word.capitalize())],
        equal=forms(word), unequal=[forms(other)], question="Is it so?", types=(None, "yes_no"),
    )  # fmt: skip
