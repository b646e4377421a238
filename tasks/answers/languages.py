"""How other languages than English state an answer: "答案是", "La respuesta es", "Ответ:".

Invariant: a text without any of their words is given none of their patterns, so that English pays
nothing for them; every repetition is bounded.
"""

from __future__ import annotations

import re

# Words for "answer", and what joins them to it. Chinese and Japanese need no blanks around.
_EAST = (
    r"(?:(?:最终|最后的?|正确的?|本题的?|最終的な)?(?:答案|答复|解答|选项|選項|正解|答え|こたえ|정답|답)"
    r"(?:应该?|應該?|应当|就|即|选项|選項)?"
    r"(?:是|为|為|等于|选择?|選|は|은|는|이|:|=|】|\s+(?=[(A-J0-9$\\]))"
    r"(?:选项|選項)?"
    r"|(?:故|应|應|因此|所以|于是|从而|本题|只能|则|正确)?(?<!不)(?:选择?|選擇?)(?:选项)?(?:是|为|:)?(?=\s?\(?[A-J])"
    r"|^\s{0,4}答\s?:)"
)
_WEST = (
    r"(?:\b(?:respuesta|solución|resposta|risposta|réponse|antwort|antwoord|jawaban|odpowied[źz]"
    r"|cevap|svar|vastaus|lösung|opción|option|alternativa|คำตอบ)(?:\s(?:final|finale|correcta|correta|correcte?|corretta|richtige|akhir|końcowa))?"
    r"\s{0,2}(?:\b(?:es|est|é|ist|lautet|beträgt|is|adalah|to|er|är|on)\b|è|é|=|:|คือ)"
    r"(?:\s(?:donc|alors|daher|also|somit|entonces|quindi|portanto|dunque)\b)?"
    r"|\b(?:ist|lautet|beträgt)\sdie\s(?:richtige\s)?Antwort\b|\brichtig\sist\b|(?:\b(?:ответ|вариант|відповідь|отговор)(?:\s(?:равен|будет|есть|таков))?\s{0,2}(?::|=|-|(?=\s?[-0-9$(A-J])))"
    r"|đáp án(?:\s(?:đúng|cuối cùng))?\s?(?:là|:)|(?:الإجابة|الجواب|الإجابة النهائية)\s?(?:هي|هو|:)"
    r"|उत्तर\s?(?:है|:|=))"
)
_FLAGS = re.IGNORECASE | re.MULTILINE
EAST = re.compile(_EAST + r"[:、「『\s]{0,4}", _FLAGS)
WEST = re.compile(_WEST + r"[:\s]{0,4}(?:-\s)?", _FLAGS)
_EAST_SIGNS = "答选選解정답こ"
_WEST_WORDS = (
    "respuesta", "resposta", "risposta", "antwo", "jawaban", "odpowied", "cevap", "svar", "vastaus",
    "alternativa", "richtig",
)  # fmt: skip
_OTHER_WEST_WORDS = (
    "solución", "réponse", "lösung", "opción", "вариант",
    "คำตอบ", "ответ", "відповідь", "отговор", "đáp án", "الإجابة", "الجواب", "उत्तर",
)  # fmt: skip
LABEL = re.compile(
    r"[\s#*_>-]{0,6}(?:最终|最后的?|正确的?)?(?:答案|答|答え|정답|답|ответ|respuesta|réponse|antwort|risposta"
    r"|resposta)(?:\s(?:final|finale))?\s?:\s{0,4}",
    re.IGNORECASE,
)


def phrases_of(tail: str) -> list[re.Pattern[str]]:
    """The patterns worth a search in `tail`; the value starts where one ends."""
    folded = tail.lower()
    found = []
    if not tail.isascii():
        found += [EAST] if any(sign in tail for sign in _EAST_SIGNS) else []
        if any(word in folded for word in _OTHER_WEST_WORDS):
            return [*found, WEST]
    return [*found, WEST] if any(word in folded for word in _WEST_WORDS) else found
