"""Mathematics read into a tree: what LaTeX and plain text write, by the usual precedence.

Invariant: reads an expression whole or not at all (UnreadableError), in time linear in its length,
no deeper than MAX_DEPTH brackets; it evaluates nothing. Single letters are variables (`e` and `i`
are the constants), runs of letters that name no function are products.
Samples: `3\\\\sqrt{2}` is ("*", 3, ("root", 2, 2)), `\\\\log_{10} 100` is ("log", 10, 100).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from tasks.answers.quantities import read_repeating

MAX_CHARACTERS = 400
MAX_DEPTH = 12

# ("n", Fraction) | ("v", name) | ("c", constant) | (operator, *operands)
Tree = tuple[object, ...]


class UnreadableError(ValueError):
    """The text is no expression, or one with signs that have no value here."""


_TOKEN = re.compile(
    r"\s*(?:(?P<repeating>[0-9]*\.[0-9]*(?:\\(?:overline|bar|dot)\s?\{?[0-9]{1,60}\}?"
    r"|\([0-9]{1,60}\)(?![0-9.])))"
    r"|(?P<number>(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+|\.(?![0-9.]))?|\.[0-9]+)"
    r"|\\(?P<command>[a-zA-Z]+|[{}|])"
    r"|(?P<word>[a-zA-Z]+)"
    r"|(?P<sign>\*\*|!!|[-+*/^_!()\[\]{}|%=,]))"
)
_FUNCTIONS = {
    "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh",
    "ln", "log", "lg", "exp", "sqrt", "cbrt",
}  # fmt: skip
_ALIASES = {"asin": "arcsin", "acos": "arccos", "atan": "arctan"}
_CONSTANTS = {"pi", "e", "i"}
_KNOWN = {*_FUNCTIONS, *_ALIASES, "pi"}
_GREEK = {
    "alpha", "beta", "gamma", "delta", "epsilon", "varepsilon", "zeta", "eta", "theta", "kappa",
    "lambda", "mu", "nu", "xi", "rho", "sigma", "tau", "phi", "varphi", "chi", "psi", "omega",
    "Gamma", "Delta", "Theta", "Lambda", "Sigma", "Phi", "Psi", "Omega", "ell", "hbar",
}  # fmt: skip
_TIMES = {"times", "cdot", "ast", "*"}
_CLOSING = {"(": ")", "[": "]", "{": "}", "lfloor": "rfloor", "lceil": "rceil"}
_MAX_PRODUCT_LETTERS = 4  # `xyz`; a longer run of letters is a word


@dataclass(frozen=True)
class Token:
    """A number, command, word or sign."""

    kind: str
    text: str


@lru_cache(maxsize=4096)
def read_expression(text: str) -> Tree:
    """The tree of canonical `text` (tasks/answers/latex.py). Raises UnreadableError."""
    if len(text) > MAX_CHARACTERS:
        raise UnreadableError("too long")
    reader = _Reader(_tokens(text))
    tree = reader.sum()
    if reader.token is not None:
        raise UnreadableError(f"unexpected {reader.token.text!r}")
    return tree


def _tokens(text: str) -> list[Token]:
    tokens, at, text = [], 0, text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise UnreadableError(f"unexpected {text[at : at + 10]!r}")
        kind, start = str(match.lastgroup), match.start(str(match.lastgroup))
        name = match[kind]
        if kind == "word" and name not in _KNOWN and len(name) <= _MAX_PRODUCT_LETTERS:
            name = name[0]  # a product: of nm^3 the power is that of m
        tokens.append(Token(kind, name))
        at = start + len(name)
    return tokens


class _Reader:
    """Recursive descent over the tokens: sum, product, sign, power, postfix, atom."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self._num_bars = 0

    @property
    def token(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _text(self) -> str:
        return self.token.text if self.token else ""

    def _take(self) -> Token:
        token = self.token
        if token is None:
            raise UnreadableError("ends early")
        self._at += 1
        return token

    def _accept(self, *texts: str) -> str | None:
        if self.token is not None and self.token.text in texts:
            return self._take().text
        return None

    def _expect(self, text: str) -> None:
        if self._accept(text) is None:
            raise UnreadableError(f"no {text!r}")

    def sum(self) -> Tree:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise UnreadableError("too deep")
        tree = self._product()
        while sign := self._accept("+", "-"):
            tree = (sign, tree, self._product())
        self._depth -= 1
        return tree

    def _product(self) -> Tree:
        tree = self._signed()
        while True:
            if sign := self._accept("*", "times", "cdot", "ast", "/", "div"):
                tree = ("/" if sign in ("/", "div") else "*", tree, self._signed())
            elif self._starts_atom():
                tree = self._beside(tree)
            else:
                return tree

    def _beside(self, tree: Tree) -> Tree:
        """What follows without a sign: a product, or the fraction of a mixed number."""
        before = self._at
        is_number = self.token is not None and self.token.kind in ("number", "repeating")
        follows = self._power()
        if is_number and self._tokens[before - 1].kind in ("number", "repeating"):
            raise UnreadableError("two numbers side by side")
        if tree[0] == "neg" and isinstance(tree[1], tuple) and tree[1][0] == "n":
            return ("neg", self._joined(tree[1], before, follows))
        return self._joined(tree, before, follows)

    def _joined(self, tree: Tree, before: int, follows: Tree) -> Tree:
        is_mixed = (
            tree[0] == "n"
            and self._tokens[before - 1].kind == "number"
            and follows[0] == "/"
            and self._tokens[before].text == "frac"
            and all(isinstance(part, tuple) and part[0] == "n" for part in follows[1:])
        )
        return ("+" if is_mixed else "*", tree, follows)

    def _starts_atom(self) -> bool:
        token = self.token
        if token is None:
            return False
        if token.kind == "sign":
            return token.text in "([{" or (token.text == "|" and self._num_bars == 0)
        return token.text not in {*_TIMES, "div", "rfloor", "rceil", "}", "degree"} and (
            token.kind != "command" or token.text not in ("|", "{")
        )

    def _signed(self) -> Tree:
        if self._accept("-"):
            return ("neg", self._signed())
        if self._accept("+"):
            return self._signed()
        return self._power()

    def _power(self) -> Tree:
        base = self._postfix(self._atom())
        if self._accept("^", "**"):
            return self._postfix(("^", base, self._exponent()))
        return base

    def _exponent(self) -> Tree:
        if self._accept("-"):
            return ("neg", self._exponent())
        self._accept("+")
        return self._power()

    def _postfix(self, tree: Tree) -> Tree:
        while mark := self._accept("!", "!!", "degree"):
            tree = ({"!": "factorial", "!!": "double factorial"}.get(mark, "degree"), tree)
        return tree

    def _atom(self) -> Tree:
        token = self._take()
        if token.kind == "number":
            return ("n", Fraction(token.text.replace(",", "").rstrip(".")))
        if token.kind == "repeating":
            return self._repeating(token.text)
        if token.kind == "sign":
            return self._bracketed(token.text)
        name = _ALIASES.get(token.text, token.text)
        if name in _FUNCTIONS:
            return self._function(name)
        if name in _CONSTANTS:
            return ("c", name)
        return self._command(name) if token.kind == "command" else self._letters(name)

    def _repeating(self, text: str) -> Tree:
        value = read_repeating(text)
        if value is None:
            raise UnreadableError(f"no decimal: {text!r}")
        return ("n", value)

    def _bracketed(self, opening: str) -> Tree:
        if opening == "|":
            self._num_bars += 1
            tree = self.sum()
            self._num_bars -= 1
            self._expect("|")
            return ("abs", tree)
        closing = _CLOSING.get(opening)
        if closing is None:
            raise UnreadableError(f"unexpected {opening!r}")
        num_bars, self._num_bars = self._num_bars, 0
        tree = self.sum()
        self._num_bars = num_bars
        self._expect(closing)
        return tree

    def _command(self, name: str) -> Tree:
        if name == "frac":
            return ("/", self._argument(), self._argument())
        if name in ("binom", "tbinom", "dbinom"):
            return ("binomial", self._argument(), self._argument())
        if name in ("lfloor", "lceil"):
            return ({"lfloor": "floor", "lceil": "ceiling"}[name], self._bracketed(name))
        if name in _GREEK:
            return self._variable("\\" + name)
        raise UnreadableError(f"unknown \\{name}")

    def _argument(self) -> Tree:
        if self._accept("{"):
            return self._bracketed("{")
        return self._atom()

    def _letters(self, word: str) -> Tree:
        if len(word) == 1:
            return self._variable(word)
        raise UnreadableError(f"the word {word!r}")

    def _variable(self, name: str) -> Tree:
        if name in _CONSTANTS:
            return ("c", name)
        if not self._accept("_"):
            return ("v", name)
        index = self._take()
        if index.text != "{":
            return ("v", f"{name}_{index.text}")
        parts = []
        while (part := self._take().text) != "}":
            parts.append(part)
        return ("v", f"{name}_{''.join(parts)}")

    def _function(self, name: str) -> Tree:
        if name == "sqrt":
            return self._root()
        base = self._base() if name == "log" and self._accept("_") else None
        power = self._exponent() if self._accept("^", "**") else None
        argument = self._function_argument()
        if power == ("neg", ("n", Fraction(1))) and name in ("sin", "cos", "tan"):
            name, power = f"arc{name}", None
        tree: Tree = (name, argument) if base is None else ("log", base, argument)
        if name == "cbrt":
            tree = ("root", ("n", Fraction(3)), argument)
        return tree if power is None else ("^", tree, power)

    def _base(self) -> Tree:
        return self._bracketed("{") if self._accept("{") else self._atom()

    def _root(self) -> Tree:
        degree: Tree = ("n", Fraction(2))
        if self._accept("["):
            degree = self._bracketed("[")
        return ("root", degree, self._argument())

    def _function_argument(self) -> Tree:
        """A bracket, or all that is multiplied without a sign."""
        if self._text() in ("(", "{", "["):
            return self._bracketed(self._take().text)
        tree = self._signed()
        while self._starts_atom() and self._text() not in _FUNCTIONS and self._text() != "(":
            tree = self._beside(tree)
        return tree
