"""What a sentence says: the value it begins with, the number or formula that its verb gives.

Invariant: linear in the sentence, which the caller bounds; nothing here knows the gold answer. What
is more than a number (`5 or 6`, `5x`, `at least 5`) stays whole, for equality to look at.
Samples: `$0.5$, as 5 + 6 = 11` says `$0.5$`, `the sum of 5 and 7 is 12` says 12.
"""

from __future__ import annotations

import re

from tasks.answers.number_words import IN_PROSE as NUMBER_WORDS
from tasks.answers.prose import IN_PROSE, bounded, first_number, last_number, numbers_in
from tasks.answers.quantities import CJK, read_quantity, split_unit
from tasks.answers.real_sets import is_bound, is_named_set
from tasks.answers.statement import NEGATION, Statement

_LETTER = "A-Za-z\u00c0-\u024f\u0400-\u04ff\u0600-\u06ff\u0900-\u097f\u1e00-\u1eff"


_PROSE_WORD = re.compile(
    rf"(?<![\\A-Za-z_^{{])[{_LETTER}][a-z'{_LETTER[6:]}]{{1,30}}(?![\w(^{{])|[{CJK}]{{2}}"
)


MAX_VALUE_CHARACTERS = 300
MAX_UNIT_WORDS = 3  # "inches per second"


_TEXT_COMMANDS = re.compile(r"\\(?:text|mathrm|mbox)\s?\{[^{}]{0,60}\}")


_SPAN = re.compile(
    r"\$(?![\s$])([^$]{1,400}?)(?<!\s)\$(?![0-9])|\\\(([^\0]{1,400}?)\\\)|\\\[([^\0]{1,800}?)\\\]"
)


_CONNECTING = {
    "and", "or", "to", "pi", "sqrt", "sin", "cos", "tan", "log", "ln", "exp", "inf",
    "infinity", "oo", "squared", "cubed",
    "per", "cent", "percent",
}  # fmt: skip


def _words_of(text: str) -> list[str]:
    return [word for word in _PROSE_WORD.findall(text) if word.lower() not in _CONNECTING]


def _spans(text: str) -> list[str]:
    return [match[1] or match[2] or match[3] for match in _SPAN.finditer(text)]


_DIRECTLY = re.compile(
    r"(?:(?:about|approximately|around|roughly|exactly|precisely|indeed|definitely|clearly|only"
    r"|simply|a total of|altogether|in total|just|then|therefore|thus"
    r"|hence|now|actually|also|certainly|surely|obviously|still|again|finally|equal\sto|equals|precisely),?:?\s"
    r"|(?:[-=]{1,2}>|→|⇒|∴|\\to|\\Rightarrow|\\therefore)\s?|\.{3}\s?(?=[0-9])){1,3}",
    re.IGNORECASE,
)


# "to be ready at 5" is a purpose, "needs to be 5" a statement.
_COPULA = re.compile(r"\b(?:is|are|was|(?<!to )be|be(?=\s[-+$\\(]{0,3}[0-9])|equals|gives)\s|=\s?")


_CONDITION = re.compile(r"\s(?:when|if|because|since|while|whenever|as long as)\s")


_WAYS = re.compile(r"\bin\s(?=[0-9,]{1,30}\s(?:different\s|distinct\s|possible\s)?ways\b)")


def _objects(text: str) -> list[str]:
    """Parts of a sentence in the order to look for its answer; of `the sum is 12` `12`.

    What a condition says (`... when the width is 25`) is looked at last.
    """
    bare = _DIRECTLY.sub("", text.strip())
    if re.match(r"[-+$\\(\[]{0,4}[0-9]|\$|\\[(\[]", bare) and "=" not in bare:
        return [bare]
    clause = _CONDITION.split(bare, maxsplit=1)[0]
    ways = [clause[match.end() :] for match in _WAYS.finditer(clause)]
    return [*reversed(ways[-1:]), *_predicates(clause), clause, *_predicates(bare), bare]


def _predicates(clause: str) -> list[str]:
    """What follows each verb or `=` of a clause, the last one first."""
    ends = [match.end() for match in _COPULA.finditer(clause)]
    return [clause[end:] for end in reversed(ends[-5:])]


def _number_of_sentence(text: str) -> str | None:
    """The number a sentence is about: what its last verb or `=` gives, else its first one."""
    if _NONE.match(text.strip()):
        return _CLAUSE_END.split(text, maxsplit=1)[0].strip()  # "no solution, since 10 ..."
    parts = _objects(text)
    for part in parts:
        number = first_number(part)
        if number is not None:
            return number
    for part in parts:  # a number in words where the part begins with it: "seventy-three of them"
        words_found = NUMBER_WORDS.match(_DIRECTLY.sub("", part.strip(), count=1))
        if words_found is not None and not _ONE_OF.match(part.strip(), words_found.end()):
            return words_found.group()
    return None


_NONE = re.compile(
    r"(?:(?:no|none|nothing)\b(?!\s(?:more|less|fewer|greater|later|earlier)\b)|undefined|infinite|infinitely"
    r"|unknown|impossible|any\s|does\snot\sexist|indeterminate)",
    re.IGNORECASE,
)
_ONE_OF = re.compile(r"\s(?:of|who|that|which|more|another)\b")


_JUDGEMENTS = {
    "correct", "right", "wrong", "incorrect", "reasonable", "consistent", "clear", "sound", "valid",
    "indeed", "confirmed", "simply", "the", "same", "in", "as", "not", "to", "a", "an",
}  # fmt: skip


def read_mathematics(statement: Statement) -> str | None:
    """The mathematics of a statement: formulas out of their sentence, numbers out of prose."""
    value = _EITHER.sub("", without_adverbs(statement.value))
    leading = _leading_value(value)
    if leading is not None:
        return value if statement.is_marked and _is_whole_value(value) else leading
    if _SPAN.search(value):
        return _formula_of_sentence(value)
    if _is_sentence(value):
        return _number_of_sentence(value) or (value if statement.is_marked else None)
    if statement.is_marked:
        return value or None
    words_in = value.lower().split()
    if not words_in or words_in[0] in _JUDGEMENTS:
        return None
    return value if len(words_in) <= 3 or re.search(r"[0-9\\=^]", value) else None


def without_delimiters(text: str) -> str:
    """`text` without the signs of LaTeX that begin and end a formula."""
    return _DELIMITERS.sub("", text)


def has_number(text: str) -> bool:
    """Whether `text` holds a digit or a sign of a formula."""
    return _HOLDS_NUMBER.search(text) is not None


def without_adverbs(text: str) -> str:
    """`therefore about 5` is 5."""
    bare = text.strip().strip("*").strip()
    match = _DIRECTLY.match(bare)
    return bare[match.end() :] if match else bare


_EITHER = re.compile(r"\A(?:either|both)\s", re.IGNORECASE)
_CLAUSE_END = re.compile(
    r";|,?\s(?:because|since|as|so|if|when|while|whenever|which|where|for|given|due|after|using|with|by|via|pues|porque|ya"
    r"\sque|denn|weil|da|car|puisque|parce|perché|poiché|так|потому|ведь|поскольку)\b"
    r"|\s[(\[](?=[a-z]{2,}[\s)\]])|(?<=[a-z])\s\((?=[0-9]{1,20}\))|\s-{1,3}\s(?!(?:sqrt|pi|sin|cos|tan|log|ln|exp)\b)(?=[a-z]{2,})|,\s(?=I\s)"
    rf"|,\s?(?!(?:and|or)\b)(?=[^\W\d_]{{2}})|,\s?(?=[{CJK}])",
    re.IGNORECASE,
)


_SIGN_OF_VALUE = re.compile(r"[0-9\\=<>^]|\b(?:pi|sqrt|infinity)\b")


def _leading_value(text: str) -> str | None:
    """The value that `text` begins with, up to its next clause; None where it begins otherwise.

    Of `$0.5$, as 5 + 6 = 11` it is `$0.5$`, of `x > 5 because ...` the inequality.
    """
    for end in (
        *(match.start() for match in _CLAUSE_END.finditer(text[:MAX_VALUE_CHARACTERS])),
        None,
    ):
        value = text[:end].strip().strip("*").strip()
        if _is_balanced(value):
            return value if _is_whole_value(value) else None
    return None


def _is_balanced(text: str) -> bool:
    """Whether no bracket and no formula is open at the end of `text`."""
    bare = _DELIMITERS.sub("", text)
    opened, closed = (sum(map(bare.count, brackets)) for brackets in ("([{", ")]}"))
    is_closed = text.count("\\(") == text.count("\\)") and text.count("\\[") == text.count("\\]")
    return opened == closed and is_closed and text.count("$") % 2 == 0


def _is_whole_value(value: str) -> bool:
    """Whether `value` is a number, formula, list or bound and nothing else but a unit."""
    if not value or len(value) > MAX_VALUE_CHARACTERS:
        return False
    if read_quantity(value) is not None:
        return True
    if _TOLD.match(value):
        return False
    outside = _SPAN.sub(" ", value)
    if not _SIGN_OF_VALUE.search(value):
        return is_named_set(value)
    number, unit = split_unit(outside) if outside == value else (outside, "")
    bare = number if len(unit.split()) <= MAX_UNIT_WORDS else outside
    num_words = len(_words_of(_TEXT_COMMANDS.sub(" ", bare)))
    return (
        num_words == 0
        or is_bound(value)
        or _IN_BASE.fullmatch(value) is not None
        or _is_list_of_quantities(value)
    )


_IN_BASE = re.compile(r"[0-9A-F]{1,60}\s(?:in\s)?base[\s-]\w{1,8}")


_LISTED = re.compile(r",?\s(?:and|or)\s|,\s|;\s?")


def _is_list_of_quantities(value: str) -> bool:
    parts = _LISTED.split(value)
    return len(parts) > 1 and all(read_quantity(part) is not None for part in parts)


def _formula_of_sentence(value: str) -> str | None:
    """`$5$ cm` is 5; of `the degree of $f$ is $3$` the 3; a value of formulas alone stays whole."""
    if not _words_of(_SPAN.sub(" ", value)):
        return value
    for part in _objects(value):
        spans, number = _spans(part), first_number(_SPAN.sub(" ", part))
        if spans or number:
            return spans[0].strip() if spans else number
    return None


_TOLD = re.compile(rf"[{CJK}]{{1,8}}\s?(?=[0-9$\\])")  # 一共18元


def _is_sentence(value: str) -> bool:
    if _TOLD.match(value):
        return read_quantity(value) is None
    return len(_words_of(value)) >= 2 and "\\" not in value and read_quantity(value) is None


def read_mathematics_line(line: str) -> str | None:
    """The last formula of a closing line, whole (the gold may be an equation), else its number.

    Of a line that denies or asks nothing is read.
    """
    line = _without_denial(line)
    if not line or line.endswith("?") or _SUPPOSITION.match(line):
        return None
    whole = _whole_predicate(line)
    if whole is not None:
        return whole
    spans = _spans(line)
    numbers = numbers_in(_SPAN.sub(" ", line))
    if spans and (not numbers or line.rstrip(" .").endswith(("$", "\\)", "\\]"))):
        return spans[-1].strip() or None
    if not spans and "=" in line and not _words_of(line):
        return _DELIMITERS.sub("", line).strip() or None
    found = _subject(line) or _closing_value(line) or (last_number(line) if numbers else None)
    return found or _spoken_number(line)


def _spoken_number(line: str) -> str | None:
    """Of `She has ten.` the ten."""
    for match in reversed(list(_SPOKEN_VERB.finditer(line))):
        spoken = NUMBER_WORDS.match(line, match.end())
        if spoken is not None and not _ONE_OF.match(line, spoken.end()):
            return spoken.group()
    return None


_SUPPOSITION = re.compile(
    r"\W{0,3}(?:let|suppose|assume|consider|if|we\sneed\sto|i\sneed\sto|find)\s(?!us\b)",
    re.IGNORECASE,
)
_SPOKEN_VERB = re.compile(r"\b(?:is|are|was|were|has|have|had|gets|needs|makes|leaves)\s")
_ASIDE = re.compile(r",\s(?:and\s)?not\b[^,;]*|\([^()]*\bnot\b[^()]*\)", re.IGNORECASE)
_LEAD_IN = re.compile(
    r"\A(?:so|thus|hence|therefore|then|finally|altogether|因此|所以|故|即|于是)[\s,:]{0,2}",
    re.IGNORECASE,
)


def _without_denial(line: str) -> str:
    """The line without what it denies in passing (", not 7"); empty where it denies as a whole."""
    bare = _ASIDE.sub("", line)
    last = re.split(r"(?<=[.!?])\s|;\s|,\s(?:and|so|but|therefore|hence)\s", bare.strip())[-1]
    return "" if NEGATION.search(last) else bare


def _whole_predicate(line: str) -> str | None:
    """All that follows a verb of the closing sentence, where it is a value and nothing else."""
    sentence = re.split(r"(?<=[.!?])\s", line.strip())[-1].strip()
    sentence = sentence if sentence.endswith("...") else sentence.rstrip(".!")
    ends = [0, *(match.end() for match in _CLOSING_VERB.finditer(sentence))]
    for end in ends[:6]:
        value = without_adverbs(_LEAD_IN.sub("", sentence[end:].strip(" :*")))
        if _is_balanced(value) and _is_whole_value(value):
            return bounded(sentence, end) + value
    return None


_CLOSING_VERB = re.compile(
    r"\b(?:is|are|was|were|equals|gives|get|have|obtain|end\swith|leaves|makes|totals|yields|to\sbe)\b(?:\sthat)?\s?:?|[=:]|得到|得出|求得|等于|[是为得]"
)


def _closing_value(line: str) -> str | None:
    """What follows the last verb of a closing sentence, where it is a value and nothing else."""
    sentence = re.split(r"(?<=[.!?])\s", line.strip())[-1].strip()
    bare = sentence.rstrip(".")
    if bare.endswith("!") and not _words_of(bare) and _is_whole_value(bare):
        return bare  # a factorial: nobody is glad about a number alone
    sentence = sentence if sentence.endswith("...") else sentence.rstrip(".!")
    ends = [match.end() for match in _CLOSING_VERB.finditer(sentence)]
    for end in reversed(ends[-5:]):
        value = _leading_value(without_adverbs(sentence[end:]))
        if value is not None:
            return bounded(sentence, end) + value
    return None


_DELIMITERS = re.compile(
    r"\\displaystyle(?![a-zA-Z])\s?|\\(?:text)?color\s?\{[^{}]{1,30}\}|\\[()\[\]]|\$"
)


_SUBJECT = re.compile(
    rf"({IN_PROSE.pattern})\s(?:is|was|are|were)\s(?:indeed\s)?the\b[^=]{{0,300}}\Z"
)


def _subject(line: str) -> str | None:
    """Of a closing sentence `326.5 is the sum of 313.9 and 12.6` its subject."""
    match = _SUBJECT.match(re.split(r"(?<=[.!?])\s", line.strip())[-1])
    return match[1] if match else None


_NUMBER_OF_LATEX = re.compile(
    r"\\[()\[\]]|\\(?:text|mathrm|textbf)\s?\{([^{}]{0,200})\}|\\[,!;: ]|(?<=\d)\$"
    r"|(?<![\w)}])\*\*|\*\*(?![\w({\\-])"
)


_HOLDS_NUMBER = re.compile(r"[0-9\\=^]")


def read_number(statement: Statement) -> str | None:
    """The number stated, with its sign, percent or unit; what is more than a number stays whole.

    `5 cm` is a number, `5\\sqrt{2}`, `5x` and `5 or 6` are mathematics to compare as such.
    """
    value = statement.value.strip()
    if len(value) > 2 and value[0] == value[-1] == "$":
        value = value[1:-1]
    value = _NUMBER_OF_LATEX.sub(lambda match: f" {match[1]} " if match[1] else "", value)
    value = re.sub(r"(?<=[0-9])(?:\{,\}|,\s?(?=[0-9]{3}\s))(?=[0-9])", "", value).strip()
    if read_quantity(value) is not None:
        return value
    found = read_mathematics(statement)
    if found is None or statement.stated_as in ("tag", "hashes", "box"):
        return found
    return found if _HOLDS_NUMBER.search(found) or read_quantity(found) is not None else None


def read_number_line(line: str) -> str | None:
    """The last number of a closing line, with what belongs to it."""
    found = read_mathematics_line(line)
    before, _, result = found.rpartition("=") if found else ("", "", "")
    if before and not re.search(r"[A-Za-z]", before) and read_quantity(result) is not None:
        return result.strip()
    return found if found is None or _HOLDS_NUMBER.search(found) or read_quantity(found) else None
