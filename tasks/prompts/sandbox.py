"""What the text of a prompt may do: put values in, choose, loop a little; nothing that can grow.

Invariant: a rendering ends soon and small, whatever the file says and whatever the values are. All
it does is paid from one budget before it is done (characters handled, loop turns, calls), and
what could make much of little in one step, out of reach of a budget, is not there.

A sample: bounded_render(template, question="...") raises PromptLimitError: "more than 50,000,000
characters or 50,000 loop turns and calls are worked through"
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateSyntaxError, Undefined, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context, LoopContext, Macro, TemplateReference
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Cycler, Joiner, Namespace

BUDGET = 50_000_000  # characters: a long chain of thought, worked through a hundred times
ITEM = 50  # what a number costs of it, or a place in a list
TURN = 1_000  # what a loop's turn or a call costs of it
MAX_OUTPUT = 5_000_000  # characters of a text that is put together
MAX_NUMBER = 10**9  # of a factor, so that a product stays small
MAX_WIDTH = 1_000  # of an indent or a rounding

FILTERS = {
    "abs", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float",
    "indent", "int", "items", "join", "last", "length", "list", "lower", "map", "max", "min",
    "reject", "rejectattr", "replace", "reverse", "round", "safe", "select", "selectattr",
    "sort", "string", "title", "tojson", "trim", "truncate", "unique", "upper", "wordcount",
}  # fmt: skip
METHODS: dict[type, set[str]] = {
    str: {
        "capitalize", "casefold", "count", "endswith", "find", "index", "isalnum", "isalpha",
        "isascii", "isdecimal", "isdigit", "islower", "isnumeric", "isspace", "istitle",
        "isupper", "join", "lower", "lstrip", "partition", "removeprefix", "removesuffix",
        "replace", "rfind", "rindex", "rpartition", "rsplit", "rstrip", "split", "splitlines",
        "startswith", "strip", "swapcase", "title", "upper",
    },
    dict: {"get", "items", "keys", "values"},
    list: {"count", "index"},
    tuple: {"count", "index"},
}  # fmt: skip
MACHINERY = (LoopContext, Macro, TemplateReference, Cycler, Joiner, Namespace)


class PromptLimitError(SecurityError):
    """A rendering would take too long or too much memory."""


_left: ContextVar[int] = ContextVar("_left", default=BUDGET)


@contextmanager
def budget() -> Iterator[None]:
    """One rendering, or one compiling, which works constants out."""
    before = _left.set(BUDGET)
    try:
        yield
    finally:
        _left.reset(before)


def bounded_render(template: Template, **values: str) -> str:
    """Render within the limits. Raises PromptLimitError and what the template does."""
    with budget():
        return template.render(**values)


def _spend(cost: int) -> None:
    left = _left.get() - cost
    if left < 0:
        raise PromptLimitError(
            f"more than {BUDGET:,} characters or {BUDGET // TURN:,} loop turns and calls are "
            "worked through"
        )
    _left.set(left)


def _weigh(value: Any) -> Any:
    """Pay for the characters of `value`, which is given back: what is in it counts each time."""
    if isinstance(value, Namespace):
        _weigh(value._Namespace__attrs)  # its text tells all that it holds
    elif isinstance(value, Undefined):  # asked for its length, it raises
        _spend(ITEM)
    elif isinstance(value, str):
        _spend(1 + len(value))
    elif isinstance(value, Mapping):
        _spend(ITEM)
        for key, each in value.items():
            _weigh(key)
            _weigh(each)
    elif isinstance(value, range):
        _spend(ITEM * (1 + len(value)))
    elif isinstance(value, Iterable) and hasattr(value, "__len__"):
        _spend(ITEM)
        for each in value:
            _weigh(each)
    else:
        _spend(ITEM)
    return value


def _turns(value: Iterable[Any]) -> Iterable[Any]:
    """What a loop goes over, each turn paid for."""
    for each in value:
        _spend(TURN)
        yield _weigh(each)


def _range(*args: int) -> range:
    made = range(*args)
    _spend(TURN * (len(made) if -MAX_NUMBER < made.start - made.stop < MAX_NUMBER else BUDGET))
    return made


def _concat(pieces: Iterable[str]) -> str:
    found, length = [], 0
    for piece in pieces:
        length += len(piece)
        if length > MAX_OUTPUT:
            raise PromptLimitError(f"a text is longer than {MAX_OUTPUT:,} characters")
        found.append(piece)
    _spend(length)
    return "".join(found)


def _grown(name: str, args: Sequence[Any], named: Mapping[str, Any]) -> None:
    """Pay for what these may make more of than they are given."""
    rest = [*args[1:], *named.values()]
    if name == "tojson" and rest:
        raise PromptLimitError("tojson takes no arguments in a prompt")
    for number in rest if name in ("indent", "round") else ():
        if isinstance(number, int) and abs(number) > MAX_WIDTH:
            raise PromptLimitError(f"{name} takes numbers up to {MAX_WIDTH:,}")
    longest = max((len(each) for each in rest if isinstance(each, str)), default=0)
    if name == "replace":
        old = named.get("old", rest[0] if rest else "")
        _spend((str(args[0]).count(str(old)) + 1) * longest)
    elif name == "join" and isinstance(args[0], Sized):
        _spend((len(args[0]) + 1) * longest)
    elif name == "indent":
        _spend((str(args[0]).count("\n") + 1) * max(longest, MAX_WIDTH))


def _paid(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
    """The filter `work`, its input paid for; what it would give piece by piece is given whole."""
    context = 1 if hasattr(work, "jinja_pass_arg") else 0

    @functools.wraps(work)
    def paid(*args: Any, **named: Any) -> Any:
        _spend(TURN)
        given = [list(a) if isinstance(a, Iterator) else a for a in args[context:]]
        for each in [*given, *named.values()]:
            _weigh(each)
        if name in ("replace", "join", "indent", "round", "tojson"):
            _grown(name, given, named)
        made = work(*args[:context], *given, **named)
        return _weigh(list(made) if isinstance(made, Iterator) else made)

    return paid


class _Generator(CodeGenerator):
    """`a ~ b` is put together within the limit of a text."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802
        self.write("concat(map(str, map(environment.finalize, (")
        for each in node.nodes:
            self.visit(each, frame)
            self.write(", ")
        self.write("))))")


class PromptEnvironment(ImmutableSandboxedEnvironment):
    """Of all prompts: plain text, nothing to escape; no loader; the same rendering every time."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})
    code_generator_class = _Generator
    concat = staticmethod(_concat)

    def __init__(self) -> None:
        super().__init__(
            undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False,
            optimized=False, finalize=_weigh,
        )  # fmt: skip
        self.filters = {name: _paid(name, self.filters[name]) for name in sorted(FILTERS)}
        self.filters["_turns"], self.filters["_weigh"] = _turns, _weigh
        self.globals["range"] = _range
        del self.globals["lipsum"]

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        """With what is looped over, named and handed on under the budget."""
        try:
            tree = super()._parse(source, name, filename)
        except (RecursionError, MemoryError, ValueError) as error:  # an integer of 5000 digits
            raise TemplateSyntaxError(f"{type(error).__name__}: {error}", 1) from error
        for loop in tree.find_all(nodes.For):
            loop.iter = _filtered("_turns", loop.iter)
        for named in tree.find_all(nodes.Assign):
            named.node = _filtered("_weigh", named.node)
        for within in tree.find_all(nodes.With):
            within.values = [_filtered("_weigh", each) for each in within.values]
        return tree

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        allowed = METHODS.get(type(obj))
        if allowed is not None:
            return attr in allowed
        return isinstance(obj, MACHINERY) and super().is_safe_attribute(obj, attr, value)

    def unsafe_undefined(self, obj: Any, attribute: str) -> Undefined:
        if attribute.startswith("_"):
            return super().unsafe_undefined(obj, attribute)
        words = f"{attribute!r} of {type(obj).__name__!r} is not for prompts"
        return self.undefined(words, name=attribute, obj=obj, exc=SecurityError)

    def wrap_str_format(self, value: Any) -> None:
        """`format` is refused like any other method that is not in the list."""

    def call(self, context: Context, obj: Any, /, *args: Any, **named: Any) -> Any:
        _spend(TURN)
        for each in [*args, *named.values()]:
            _weigh(each)
        owner, name = getattr(obj, "__self__", None), getattr(obj, "__name__", "")
        if isinstance(owner, str):
            _weigh(owner)
            if name == "join" and args and hasattr(args[0], "__len__"):
                _spend(len(owner) * len(args[0]))
            elif name == "replace":
                _grown(name, [owner, *args], named)
        return super().call(context, obj, *args, **named)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        _spend(TURN)
        _weigh(left)
        _weigh(right)
        if operator == "**":
            raise PromptLimitError("** is not for prompts")
        if operator in "*%":
            for each in (left, right):
                if not isinstance(each, int | float) or abs(each) > MAX_NUMBER:
                    raise PromptLimitError(f"{operator} takes numbers up to {MAX_NUMBER:,}")
        return super().call_binop(context, operator, left, right)


def _filtered(name: str, node: nodes.Node) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)
