"""The value of an expression, and whether two expressions have the same one.

Invariant: rational arithmetic is exact; the rest is computed to DIGITS digits, and equality asks
for the first EQUAL_DIGITS of them, whatever the size of the value (2^{-60} and 2^{-61} differ).
Variables are given the same rational points on both sides: equal at all of them is equal.
Bounded: no power, factorial or argument beyond the limits below is ever computed.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

from tasks.answers.expressions import Tree, UnreadableError

DIGITS = 120
EQUAL_DIGITS = 80
MAX_BITS = 20_000  # of an exact number
MAX_FACTORIAL = 1_000
MAX_MAGNITUDE = 10**6  # of an exponent or a function's argument that is not exact
NUM_POINTS = 4
NUM_NEEDED_POINTS = 2

Value = Any  # Fraction, or mpmath's mpf or mpc
Point = Mapping[str, Fraction]


class UndefinedError(ArithmeticError):
    """The expression has no value at this point, or none within the limits."""


@lru_cache(maxsize=1)
def _arithmetic() -> Any:
    import mpmath

    context = mpmath.MPContext()
    context.dps = DIGITS
    return context


def variables_of(tree: Tree) -> frozenset[str]:
    """Names of the variables in `tree`."""
    if tree[0] == "v":
        return frozenset((str(tree[1]),))
    operands = [operand for operand in tree[1:] if isinstance(operand, tuple)]
    return frozenset().union(*map(variables_of, operands)) if operands else frozenset()


def points_of(names: frozenset[str], *, positive: bool) -> list[Point]:
    """Points to compare at, the same for the same names; all `positive`, or the last one negative.

    Identities of roots and logarithms (\\sqrt{ab}, \\ln xy) are meant for positive numbers.
    """
    return [
        {name: _coordinate(name, -1 if index == NUM_POINTS - 1 and not positive else 1, index)
         for name in names}
        for index in range(NUM_POINTS)
    ]  # fmt: skip


def _coordinate(name: str, sign: int, index: int) -> Fraction:
    number = zlib.crc32(f"{name}/{index}".encode())
    return sign * Fraction(number % 1_997 + 211, 853)


def depends_on_sign(tree: object) -> bool:
    """Whether `tree` holds an absolute value, or the root of a power: |x| is not x."""
    if not isinstance(tree, tuple):
        return False
    if tree[0] == "abs" or (tree[0] == "root" and _holds(tree[2], "^")):
        return True
    return any(map(depends_on_sign, tree[1:]))


def _holds(tree: object, operator: str) -> bool:
    return isinstance(tree, tuple) and (
        tree[0] == operator or any(_holds(part, operator) for part in tree[1:])
    )


def difference(left: Value, right: Value) -> Value:
    """left - right; what cancels is exactly zero."""
    return _add(left, -right)


def evaluate(tree: Tree, point: Point, log_base: int = 10) -> Value:
    """The value at `point`; `\\\\log` without a base is to `log_base` (0: natural).

    Raises UndefinedError and UnreadableError (an operator that has no value).
    """
    try:
        return _value(tree, point, log_base)
    except (ZeroDivisionError, OverflowError, ValueError) as error:
        if isinstance(error, UnreadableError):
            raise
        raise UndefinedError(str(error)) from error


def _value(tree: Tree, point: Point, log_base: int) -> Value:
    operator, *operands = tree
    if operator == "n":
        return operands[0]
    if operator == "v":
        return point[str(operands[0])]
    if operator == "c":
        return _constant(str(operands[0]))
    if operator in _ANGLE and _has_degree(operands[0]):
        argument = _value(_tree(operands[0]), point, log_base)
        return _ANGLE[str(operator)](_real(argument) * _arithmetic().pi / 180)
    values = [_value(_tree(operand), point, log_base) for operand in operands]
    if operator == "log" and len(values) == 1:
        return _logarithm(values[0], Fraction(log_base) if log_base else None)
    return _OPERATORS[str(operator)](*values)


def _tree(operand: object) -> Tree:
    assert isinstance(operand, tuple)
    return operand


def _has_degree(tree: object) -> bool:
    return isinstance(tree, tuple) and (tree[0] == "degree" or any(map(_has_degree, tree[1:])))


def _constant(name: str) -> Value:
    context = _arithmetic()
    return {"pi": +context.pi, "e": +context.e, "i": context.mpc(0, 1)}[name]


def _real(value: Value) -> Value:
    """`value` as a number of mpmath, within the limits."""
    if not isinstance(value, Fraction):
        return value
    context = _arithmetic()
    return context.mpf(value.numerator) / value.denominator


def _limited(value: Value) -> Value:
    number = _real(value)
    if not abs(number) <= MAX_MAGNITUDE:
        raise UndefinedError("beyond the limits")
    return number


def _exact(value: Fraction) -> Value:
    if value.numerator.bit_length() + value.denominator.bit_length() > MAX_BITS:
        raise UndefinedError("too many digits")
    return value


def _add(left: Value, right: Value) -> Value:
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return _exact(left + right)
    left, right = _real(left), _real(right)
    total = left + right
    # What cancels leaves rounding alone, which is nothing.
    scale = max(abs(left), abs(right))
    return Fraction(0) if abs(total) < scale * _arithmetic().mpf(10) ** (10 - DIGITS) else total


def _multiply(left: Value, right: Value) -> Value:
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return _exact(left * right)
    return _real(left) * _real(right)


def _divide(left: Value, right: Value) -> Value:
    if right == 0:
        raise UndefinedError("division by zero")
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return _exact(left / right)
    return _real(left) / _real(right)


def _power(base: Value, exponent: Value) -> Value:
    if isinstance(exponent, Fraction):
        if exponent.denominator == 1:
            return _whole_power(base, exponent.numerator)
        if exponent.denominator <= 12:
            root = _root(Fraction(exponent.denominator), base)
            return _whole_power(root, exponent.numerator)
    if base == 0:
        raise UndefinedError("a power of zero")
    logarithm = _arithmetic().log(_limited_size(base))
    return _arithmetic().exp(_limited(_real(exponent) * logarithm))


def _whole_power(base: Value, exponent: int) -> Value:
    if base == 0 and exponent <= 0:
        raise UndefinedError("zero to no power")
    if isinstance(base, Fraction):
        bits = max(base.numerator.bit_length(), base.denominator.bit_length())
        if bits * abs(exponent) <= MAX_BITS or bits <= 1:
            return base ** (exponent if bits > 1 else exponent % 2 or 2)
    if abs(exponent) > MAX_MAGNITUDE:
        raise UndefinedError("beyond the limits")
    return _limited_size(base) ** exponent


def _limited_size(value: Value) -> Value:
    """`value` as a number whose logarithm is within the limits."""
    number = _real(value)
    if number != 0 and abs(_arithmetic().mag(abs(number))) > MAX_MAGNITUDE:
        raise UndefinedError("beyond the limits")
    return number


def _root(degree: Value, value: Value) -> Value:
    if not isinstance(degree, Fraction) or degree.denominator != 1 or not 0 < degree <= 1_000:
        return _power(value, _divide(Fraction(1), degree))
    n = degree.numerator
    if isinstance(value, Fraction):
        if value < 0 and n % 2:
            return -_root(degree, -value)
        if value >= 0:
            over, under = _whole_root(value.numerator, n), _whole_root(value.denominator, n)
            if over is not None and under is not None:
                return Fraction(over, under)
    number = _limited_size(value)
    return _arithmetic().sqrt(number) if n == 2 else _arithmetic().root(number, n)


def _whole_root(number: int, degree: int) -> int | None:
    if degree == 2:
        root = math.isqrt(number)
    else:
        root = round(float(number) ** (1 / degree)) if number.bit_length() < 50 else -1
    return root if root >= 0 and root**degree == number else None


def _factorial(value: Value) -> Value:
    if isinstance(value, Fraction) and value.denominator == 1:
        if not 0 <= value <= MAX_FACTORIAL:
            raise UndefinedError("no factorial within the limits")
        return Fraction(math.factorial(value.numerator))
    if not abs(_real(value)) <= MAX_FACTORIAL:
        raise UndefinedError("no factorial within the limits")
    return _arithmetic().factorial(_real(value))


def _double_factorial(value: Value) -> Value:
    if not isinstance(value, Fraction) or value.denominator != 1 or not 0 <= value <= MAX_FACTORIAL:
        raise UndefinedError("no double factorial within the limits")
    return Fraction(math.prod(range(value.numerator, 0, -2)))


def _binomial(n: Value, k: Value) -> Value:
    whole = all(isinstance(value, Fraction) and value.denominator == 1 for value in (n, k))
    if not whole or not 0 <= k <= n or min(k, n - k) > MAX_FACTORIAL or n > MAX_MAGNITUDE:
        raise UndefinedError("no binomial within the limits")
    return _exact(Fraction(math.comb(n.numerator, k.numerator)))


def _logarithm(value: Value, base: Value | None) -> Value:
    context = _arithmetic()
    if value == 0:
        raise UndefinedError("logarithm of zero")
    if isinstance(value, Fraction) and value > 0:
        natural = context.log(value.numerator) - context.log(value.denominator)
    else:
        natural = context.log(_limited_size(value))
    return natural if base is None else _divide(natural, _logarithm(base, None))


def _of(name: str) -> Callable[[Value], Value]:
    def apply(value: Value) -> Value:
        result = getattr(_arithmetic(), name)(_limited(value))
        # Of an argument within the limits, what is so small is rounding: sin pi is zero.
        is_zero = name in ("sin", "cos", "tan") and _is_rounding(result)
        return Fraction(0) if is_zero else result

    return apply


def _is_rounding(value: Value) -> bool:
    return bool(abs(value) < _arithmetic().mpf(10) ** (15 - DIGITS))


def _reciprocal(name: str) -> Callable[[Value], Value]:
    return lambda value: _divide(Fraction(1), _of(name)(value))


def _whole(rounded: Callable[[Fraction], int]) -> Callable[[Value], Value]:
    def apply(value: Value) -> Value:
        if isinstance(value, Fraction):
            return Fraction(rounded(value))
        number = _limited(value)
        if number.imag:
            raise UndefinedError("not real")
        return Fraction(int(getattr(_arithmetic(), rounded.__name__)(number)))

    return apply


_ANGLE: dict[str, Callable[[Value], Value]] = {
    **{name: _of(name) for name in ("sin", "cos", "tan")},
    "cot": _reciprocal("tan"), "sec": _reciprocal("cos"), "csc": _reciprocal("sin"),
}  # fmt: skip
_OPERATORS: dict[str, Callable[..., Value]] = {
    **_ANGLE,
    **{name: _of(name) for name in ("sinh", "cosh", "tanh", "exp")},
    "arcsin": _of("asin"), "arccos": _of("acos"), "arctan": _of("atan"),
    "+": _add,
    "-": lambda left, right: _add(left, -right),
    "*": _multiply,
    "/": _divide,
    "neg": lambda value: -value,
    "^": _power,
    "root": _root,
    "abs": abs,
    "degree": lambda value: value,
    "factorial": _factorial,
    "double factorial": _double_factorial,
    "binomial": _binomial,
    "floor": _whole(math.floor),
    "ceiling": _whole(math.ceil),
    "ln": lambda value: _logarithm(value, None),
    "lg": lambda value: _logarithm(value, Fraction(10)),
    "log": lambda base, value: _logarithm(value, base),
}  # fmt: skip


def same_value(left: Value, right: Value) -> bool:
    """Equality to EQUAL_DIGITS digits of the larger one; exact for exact numbers."""
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return left == right
    if left == 0 or right == 0:
        return bool(left == right)
    left, right = _real(left), _real(right)
    limit = max(abs(left), abs(right)) * _arithmetic().mpf(10) ** -EQUAL_DIGITS
    return bool(abs(left - right) <= limit)


def close_value(left: Value, right: Value, tolerance: Fraction) -> bool:
    """Equality but for `tolerance`, relative to the larger one."""
    left, right = _real(left), _real(right)
    return bool(abs(left - right) <= max(abs(left), abs(right)) * _real(tolerance))


def ratio_of(left: Value, right: Value) -> Value | None:
    """left / right, None where either is zero."""
    return None if left == 0 or right == 0 else _divide(left, right)
