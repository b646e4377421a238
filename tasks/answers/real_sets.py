"""Sets of real numbers: intervals in every notation, inequalities, their unions, all of R.

Invariant: reads notation alone; endpoints stay text, to be compared as mathematics by the caller.
Samples: `x > 5`, `5 < x`, `(5, \\infty)`, `]5;\\infty[` are one interval, open at its low end "5".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tasks.answers import latex

MAX_PIECES = 12


@dataclass(frozen=True)
class Interval:
    """Ends as written, None for infinity; closed ends belong to it."""

    low: str | None
    high: str | None
    low_closed: bool = False
    high_closed: bool = False


@dataclass(frozen=True)
class RealSet:
    """A union of intervals; `is_certain` where the notation can mean no tuple."""

    pieces: tuple[Interval, ...]
    is_certain: bool
    name: str = ""


_ALL = re.compile(
    r"\\reals|(?:the\s)?(?:set\sof\s)?all\s(?:the\s)?(?:real(?:s|\snumbers)|real\svalues)"
    r"(?:\sof\s[a-z])?|all\s[a-z]\s?\\in\s?\\reals|any\sreal\snumber",
    re.IGNORECASE,
)
_RELATION = re.compile(r"\\(?:leq|geq|neq)(?![a-z])|<=|>=|!=|<|>")
_NAME = re.compile(r"\\?[a-zA-Z]\w{0,6}(?:_\{?\w{1,3}\}?)?(?:\([a-z]\))?")
_INFINITY = re.compile(r"[-+]?\s?(?:\\infty|inf(?:inity)?|oo)")
_SEPARATORS = re.compile(r"\\cup|(?<![a-z])or(?![a-z])|(?<![a-z])U(?![a-z])")
_BUILDER = re.compile(r"\\?\{\s?([a-z])\s?(?:\\in\s?\\reals)?\s?[|:]\s?(.*?)\\?\}")
_BOUNDS = [
    (re.compile(rf"(?:x\s?is\s)?{words}\s(?P<n>.+)", re.IGNORECASE), relation)
    for words, relation in (
        (r"(?:at\sleast|no(?:t)?\s(?:less|fewer)\sthan)", ">="),
        (r"(?:at\smost|no(?:t)?\s(?:more|greater)\sthan|up\sto)", "<="),
        (r"(?:(?:more|greater|larger)\sthan|over|above|exceeds|exceeding)", ">"),
        (r"(?:(?:less|fewer|smaller)\sthan|under|below)", "<"),
    )
] + [
    (re.compile(r"(?P<n>.+?)\sor\s(?:more|greater|above|higher)", re.IGNORECASE), ">="),
    (re.compile(r"(?P<n>.+?)\sor\s(?:less|fewer|below|lower)", re.IGNORECASE), "<="),
]


_MEMBER = re.compile(r"\A\\?[a-zA-Z]\w?\s?\\in(?![a-z])\s?")
_BETWEEN = re.compile(r"(?:from|between)\s(.{1,60}?)\s(?:and|to)\s(.{1,60})")
_BOUND_WORD = re.compile(
    r"\s?(?:exceed|at\s|no(?:t)?\s|up\sto|more\s|greater|larger|less|fewer|smaller|over|above|under|below"
    r"|between|from)",
    re.IGNORECASE,
)


_EMPTY = re.compile(r"(?:the\s)?(?:empty|null)\sset|\\?\{\s?\\?\}|\\emptyset", re.IGNORECASE)


def is_named_set(text: str) -> bool:
    """Whether `text` names a set without any number: "all real numbers", "the empty set"."""
    bare = text.strip(" $.")
    return len(bare) < 60 and (_ALL.fullmatch(bare) or _EMPTY.fullmatch(bare)) is not None


def is_bound(text: str) -> bool:
    """Whether `text` bounds a number in words: "at least 5", "between 2 and 3", "5 or more"."""
    return (
        len(text) < 80
        and (
            _BOUND_WORD.match(text) is not None
            or text.endswith((" or more", " or less", " or fewer"))
        )
        and any(map(str.isdigit, text))
        and read_real_set(text) is not None
    )


def read_real_set(text: str) -> RealSet | None:
    """The set that canonical `text` (tasks/answers/latex.py) writes; None for anything else."""
    text = _MEMBER.sub("", text.strip())
    if _ALL.fullmatch(text):
        return RealSet((Interval(None, None),), is_certain=True)
    builder = _BUILDER.fullmatch(text)
    if builder is not None:
        return read_real_set(builder[2].strip())
    for pattern, relation in _BOUNDS:
        if bound := pattern.fullmatch(text):
            return _certain((_half_line(relation, bound["n"]),))
    between = _BETWEEN.fullmatch(text)
    if between is not None:
        return _certain((Interval(between[1], between[2], low_closed=True, high_closed=True),))
    parts = [part.strip() for part in _SEPARATORS.split(text)]
    if len(parts) > MAX_PIECES or not all(parts):
        return None
    read = [_piece(part) for part in parts]
    if any(piece is None for piece in read):
        return None
    sets = [piece for piece in read if piece is not None]
    names = {piece.name for piece in sets} - {""}
    return RealSet(
        tuple(interval for piece in sets for interval in piece.pieces),
        is_certain=len(sets) > 1 or sets[0].is_certain,
        name=names.pop() if len(names) == 1 else "",
    )


def _certain(pieces: tuple[Interval, ...], name: str = "") -> RealSet:
    return RealSet(pieces, is_certain=True, name=name)


def _piece(text: str) -> RealSet | None:
    excluded = re.fullmatch(r"\\reals\s?(?:\\setminus|\\backslash|-)\s?\\?\{(.*?)\\?\}", text)
    if excluded and "," not in excluded[1]:
        return _certain(_without(excluded[1]))
    return _interval(text) or _inequality(text)


def _without(point: str) -> tuple[Interval, ...]:
    return (Interval(None, point.strip()), Interval(point.strip(), None))


def _interval(text: str) -> RealSet | None:
    if len(text) < 4 or text[0] not in "([]" or text[-1] not in ")[]":
        return None
    inner = text[1:-1]
    ends = latex.split_top(inner, ";" if ";" in inner else ",")
    if len(ends) != 2 or not all(ends):
        return None
    low, high = (None if _INFINITY.fullmatch(end) else end for end in ends)
    if (low is None and ends[0][0] != "-") or (high is None and ends[1][0] == "-"):
        return None
    piece = Interval(
        low, high, text[0] == "[" and low is not None, text[-1] == "]" and high is not None
    )
    is_tuple = text[0] + text[-1] in ("()", "[]")
    return RealSet((piece,), is_certain=not is_tuple or None in (low, high) or ";" in inner)


def _inequality(text: str) -> RealSet | None:
    """`x > 5`, `5 < x`, `1 < x \\\\leq 3`, `x \\\\neq 2`, `x > 1 and x < 3`."""
    if re.search(r"\sand\s", text):
        return _intersection(re.split(r"\sand\s", text))
    relations = [_SPELT.get(match, match) for match in _RELATION.findall(text)]
    sides = [side.strip() for side in _RELATION.split(text)]
    if len(relations) == 1 and not sides[0] and sides[1]:  # `\\geq 5`, of what is not said
        return _certain((_half_line(relations[0], sides[1]),))
    if not all(sides) or len(relations) not in (1, 2):
        return None
    if len(relations) == 1:
        left, right = sides
        if _NAME.fullmatch(left) and not _NAME.fullmatch(right):
            relation, name, number = relations[0], left, right
        elif _NAME.fullmatch(right) and not _NAME.fullmatch(left):
            relation, name, number = _TURNED[relations[0]], right, left
        else:
            return None
        if _INFINITY.fullmatch(number):
            return _certain((Interval(None, None),), name)
        pieces = _without(number) if relation == "!=" else (_half_line(relation, number),)
        return _certain(pieces, name)
    low, name, high = sides
    if relations[0][0] != relations[1][0] or "!" in relations[0] or not _NAME.fullmatch(name):
        return None
    if relations[0][0] == ">":
        low, high, relations = high, low, [_TURNED[relation] for relation in reversed(relations)]
    ends = [None if _INFINITY.fullmatch(end) else end for end in (low, high)]
    return _certain((Interval(ends[0], ends[1], relations[0] == "<=", relations[1] == "<="),), name)


def _intersection(parts: list[str]) -> RealSet | None:
    """Of `x > 1 and x < 3` the interval between; None where that is not plain."""
    read = [_inequality(part.strip()) for part in parts]
    if len(read) != 2 or read[0] is None or read[1] is None or read[0].name != read[1].name:
        return None
    (first, *more), (second, *others) = read[0].pieces, read[1].pieces
    if first.low is None:
        first, second = second, first
    if more or others or None in (first.low, second.high) or {first.high, second.low} != {None}:
        return None
    return _certain(
        (Interval(first.low, second.high, first.low_closed, second.high_closed),), read[0].name
    )


_SPELT = {"\\leq": "<=", "\\geq": ">=", "\\neq": "!="}
_TURNED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "!=": "!="}


def _half_line(relation: str, number: str) -> Interval:
    is_closed = relation.endswith("=")
    if relation[0] == ">":
        return Interval(number.strip(), None, low_closed=is_closed)
    return Interval(None, number.strip(), high_closed=is_closed)
