"""What is given to computer algebra at all: the cheap look before the expensive one.

Invariant: linear in the expression, no evaluation. Whatever is out of reach would only fill a
worker until its time or memory limit; the answers of MATH-500 stay within half of every bound.
Samples: `3^{2010}` and `\\frac{n!}{2}` are within reach, `9^{9^{9}}` and `99999!` are not.
"""

from __future__ import annotations

import re

MAX_CHARACTERS = 300
MAX_OPENINGS = 60
MAX_DEPTH = 8  # the parser's time is exponential in the depth of brackets
MAX_BARS = 8  # |, which may open or close
MAX_SEPARATORS = 12  # lists are taken apart before

_EXPONENT = r"(?:\^|\*\*)\s?[({]{0,2}\s?"
_OUT_OF_REACH = re.compile(
    "|".join(
        (
            r"[0-9]{201}",  # longer than any number read exactly
            _EXPONENT + r"[-+]?[0-9,]{5}",  # x^{99999}
            r"[0-9.][eE][-+]?[0-9]{4}",  # 1e9999
            _EXPONENT + r"[-+]?[0-9.]{1,200}\s?[)}]{0,2}\s?" + _EXPONENT,  # 9^{9^9}, 9**9**9
            _EXPONENT + r"[^\s^*]{1,100}" + _EXPONENT + r"[^\s^*]{1,100}" + _EXPONENT,  # x^{x^{x^x
            r"[0-9]{4}\s?[)}]?\s?!|![\s)}]{0,3}!|\^[{(]?[0-9]{1,9}[})]{0,2}\s?!",  # 9999!, (10^9)!
            r"\\(?:sum|prod|int|lim|oint|bigcup|bigcap)(?![a-z])",  # nobody's final answer
            r"\\(?:[td]?binom|gcd|lcm|mod|pmod|log|choose)(?![a-z])[^+=]{0,40}[0-9]{5}",
            r"[0-9]{4}\s?\\choose",
            r"\\(?:sin|cos|tan|cot|sec|csc)\s?\^\s?\{?\s?[0-9]{2}",  # \sin^{99} x
            r"[\^_&,;]\s?[\^_]",  # no expression at all
        )
    )
)
_COMMAND = re.compile(r"\\[A-Za-z]{1,20}")
_LONG_POWER = re.compile(r"\)\s?" + _EXPONENT + r"[-+]?(?:[2-9][0-9]|[0-9]{3})")
_VARIABLE = re.compile(r"[a-zA-Z]")


def is_within_reach(expression: str) -> bool:
    """Whether comparing `expression` symbolically can be expected to end soon."""
    return (
        len(expression) <= MAX_CHARACTERS
        and expression.count("|") <= MAX_BARS
        and expression.count(",") + expression.count(";") <= MAX_SEPARATORS
        and sum(map(expression.count, "([{")) <= MAX_OPENINGS
        and _depth(expression) <= MAX_DEPTH
        and _OUT_OF_REACH.search(expression) is None
        and not _is_long_polynomial(expression)
    )


def _is_long_polynomial(expression: str) -> bool:
    """`(a+b)^{99}`: fine as a number, endless to expand."""
    powered = _LONG_POWER.search(expression)
    return powered is not None and _VARIABLE.search(_COMMAND.sub("", expression)) is not None


def _depth(expression: str) -> int:
    """Greatest number of brackets open at once, of whatever kinds."""
    depth = deepest = 0
    for character in expression:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    return deepest
