"""Short texts, yes or no, and the letters of multiple choice.

Invariant: readings are canonical (`thursday`, `yes`, `B`), so equality of readings is equality of
answers; case, punctuation, articles and quotes never decide.
"""

from __future__ import annotations

import re
import unicodedata

from tasks.answers.statement import NEGATION

_TEXT_COMMAND = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mbox)\s?\{([^{}]{0,400})\}")
_LEADING = re.compile(r"(?:that|it is|it's|it was|simply|just|indeed)\b[\s,:]{0,3}")
_NOT_WORD = re.compile(r"[^\w]|_")
_ARTICLES = {"a", "an", "the"}

_YES = {"yes", "true", "yeah", "yep", "correct"}
_NO = {"no", "false", "nope", "incorrect"}
_OPENERS = {"so", "thus", "hence", "therefore", "then"}
_WORD = re.compile(r"[a-z]{1,20}")


def canonical_text(text: str) -> str:
    """Folded text: NFKC, lower case, no punctuation, no articles, single spaces."""
    folded = unicodedata.normalize("NFKC", _TEXT_COMMAND.sub(r"\1", text)).casefold().strip()
    folded = unicodedata.normalize("NFKC", folded)
    bare = _LEADING.sub("", folded, count=1)
    words = _NOT_WORD.sub(" ", bare.replace("'", "")).split()
    kept = [word for word in words if word not in _ARTICLES]
    return " ".join(kept or words) or folded


def read_yes_no(text: str) -> str | None:
    """`yes` or `no` by the first word that says so; None where there is none."""
    polarities = _polarities(text)
    return polarities[0] if polarities else None


def read_closing_yes_no(line: str) -> str | None:
    """For a last line that announces nothing: its first or its last word must say it."""
    words = [
        word for word in _WORD.findall(line.lower().replace("n't", " not")) if word not in _OPENERS
    ]
    for near in (words[:1], words[-3:]):
        polarity = _polarities(" ".join(near)) if {*near[:1], *near[-1:]} & (_YES | _NO) else []
        if polarity:
            return polarity[-1]
    return None


def _polarities(text: str) -> list[str]:
    words = _WORD.findall(text.lower().replace("n't", " not"))
    found = []
    for at, word in enumerate(words):
        if word in _YES | _NO:
            is_denied = bool({"not", "cannot"} & {*words[max(0, at - 2) : at]})
            found.append("yes" if (word in _YES) != is_denied else "no")
    both = re.search(r"\b(?:yes\sor\sno|true\sor\sfalse|no\sor\syes)\b", text, re.IGNORECASE)
    return [] if both else found


_SEPARATED = re.compile(
    r"\(?[A-Ja-j]\)?(?:\s?(?:,|&|;|/|、|和|与|及|或者?|かと?|と|또는|와|과|и(?:ли)?"
    r"|\b(?:and|or|oder|und|ou|et|o|y|e)\b)\s?\(?[A-Ja-j]\)?){0,9}"
)
_NAMED = re.compile(r"option|choice|letter|选项", re.IGNORECASE)
_COPULA = re.compile(r"\s?(?:です|である|だ|입니다|이다|项|選択肢)?[.\s]*\Z")
_JOINED = re.compile(r"[A-J]{2,6}")  # several options of one answer: BD
_TRAILING = re.compile(
    r"(?:\(([A-J])\)|,\s(?:which\sis\s)?(?:option|choice)\s\(?([A-J])\)?)\s*\Z", re.IGNORECASE
)
_OPTION = re.compile(
    r"(?:(?:option|choice|answer|letter|opción|opção|réponse|lettre|a\sletra|letra|lösung|вариант|la|le|el|die|der)"
    r"\s{1,3}|选项|選択肢\s?){0,2}"
    r"(?:\(([A-J])\)|\[([A-J])\]|([A-J])[).:]|([A-J])(?![A-Za-z0-9_']))",
    re.IGNORECASE,
)
_CLOSING_OPTION = re.compile(
    r"(?:\b(?:option|choice|answer)\s{1,3}(?:is\s)?\(?|\()([A-J])\)?(?![\w'])|\b([A-J])\)",
    re.IGNORECASE,
)
_BEGINS_PHRASE = re.compile(
    r"\s(?!(?:because|since|by|as|and|or|is|was|for|due|given|which|rather|over|instead|not|but|if|from|through|with)\b)\w"
)
_VERDICT = re.compile(
    r"([A-J])\s?(?:项|选项)?\s?(?:是)?(?:正确|对的?)|(?:正确|对)的?(?:选项)?是\s?([A-J])"
    r"|\b([A-J])\)?\s(?:is|must\sbe|seems|would\sbe)\s(?:clearly\s|indeed\s)?(?:the\s)?"
    r"(?:right|correct|best|only|answer)|\b(?:choose|pick|select|go\swith|must\sbe|选择?)\s?\(?([A-J])(?![\w'])"
)
_OPENING = re.compile(
    r"\s*(?:(?:so|thus|hence|therefore|then|answer|option|final|it is|因此|所以|故)[\s,:]{1,3})"
    r"{1,3}",
    re.I,
)
_INDENT = re.compile(r"[\s\"'$]{1,10}")


def read_letters(text: str) -> str | None:
    """`B`, or `A,C` for several; None where the text names no option by letter."""
    bare = _COPULA.sub("", _TEXT_COMMAND.sub(r"\1", text)).strip(" .$\"'`*{}「」『』【】\t\n\\;,:!")
    if _SEPARATED.fullmatch(bare):
        letters = re.findall(r"(?<![A-Z])[A-J](?![A-Z])", bare.upper())
        return ",".join(sorted(set(letters)))
    if _JOINED.fullmatch(bare) and list(bare) == sorted(set(bare)):
        return ",".join(bare)
    match = _OPTION.match(_INDENT.sub("", bare, count=1) if bare[:1] in " \"'$" else bare)
    if match is None:
        named = _TRAILING.search(bare)  # painting (B)
        return (named[1] or named[2]).upper() if named and len(bare) < 60 else None
    letter = next(group for group in match.groups() if group)
    # Without a bracket, only a capital is a letter, and "A dog", "I think" are not options.
    if match[4] and (
        (not letter.isupper() and not _NAMED.match(match.group()))
        or (letter in "AI" and _BEGINS_PHRASE.match(bare[match.end() :]))
    ):
        return None
    return letter.upper()


_CLAUSES = re.compile(r"[,;.]\s?|\bbut\b|\band\b|\brather\sthan\b|而(?=不)|(?=不选)", re.IGNORECASE)


def _without_denials(line: str) -> str:
    """The clauses of a line that say what is, not what is not."""
    if not NEGATION.search(line):
        return line
    return ", ".join(clause for clause in _CLAUSES.split(line) if not NEGATION.search(clause))


def read_closing_letter(line: str) -> str | None:
    """The last option a closing line names: `so option (C) fits`, or a line that is a letter."""
    if line.rstrip().endswith("?"):
        return None
    line = _without_denials(line)
    bare = _OPENING.sub("", line, count=1)
    letters = read_letters(bare) if len(bare) < 20 else None
    if letters is not None:
        return letters
    verdicts = list(_VERDICT.finditer(line))
    if verdicts:
        return next(group for group in verdicts[-1].groups() if group)
    found = [match[1] or match[2] for match in _CLOSING_OPTION.finditer(line)]
    return found[-1].upper() if found else None


_LETTER_AND_TEXT = re.compile(r"\s{0,3}\(?([A-Ja-j])(?:\)|[.:])\s{1,3}(\S.{0,400})", re.DOTALL)


def split_option(text: str) -> tuple[str | None, str]:
    """Letter and text of an option: `(B) painting` is ("B", "painting"), `painting` (None, ...)."""
    match = _LETTER_AND_TEXT.match(text)
    if match:
        return match[1].upper(), canonical_text(match[2])
    bare = text.strip().strip("().:$ ")
    is_letter = len(bare) == 1 and bare.upper() in "ABCDEFGHIJ"
    return (bare.upper() if is_letter else None), canonical_text(text)
