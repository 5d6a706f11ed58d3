"""Arithmetic of Ale: exact integers and ratios, IEEE doubles, and contagion from exact to inexact.

Booleans are not numbers. Integers and ratios are bounded in width before they are built.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Final

from argyll.scripts.ale.kinds import NUMBERS, mismatch
from argyll.scripts.ale.values import Value, failure
from argyll.scripts.meter import exceeded

MAX_INTEGER_BITS: Final = 65_536
MAX_RATIO_BITS: Final = 8_192

Operation = Callable[[Value, Value], Value]


def check_number(value: Value) -> None:
    """Refuse anything that is not a number."""
    if type(value) not in NUMBERS:
        raise mismatch(value, "number")


def to_float(value: Value) -> float:
    """The nearest double; integers beyond its range become infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _exact(value: Fraction) -> Value:
    return value.numerator if value.denominator == 1 else value


def _check_ratio(a: Value, b: Value) -> None:
    """Refuse operands too wide for exact division: reducing their ratio takes quadratic time."""
    for value in (a, b):
        if value.numerator.bit_length() + value.denominator.bit_length() > MAX_RATIO_BITS:
            raise exceeded("size", f"{MAX_RATIO_BITS:,} bits in one operand of a ratio")


def _check_bits(bits: int) -> None:
    if bits > MAX_INTEGER_BITS:
        raise exceeded("size", f"{MAX_INTEGER_BITS:,} bits in one integer")


def add(a: Value, b: Value) -> Value:
    ta, tb = type(a), type(b)
    if ta is float and tb is float:
        return a + b
    check_number(b)
    check_number(a)
    if ta is float or tb is float:
        return to_float(a) + to_float(b)
    if ta is int and tb is int:
        result = a + b
        _check_bits(result.bit_length())
        return result
    _check_ratio(a, b)
    return _exact(a + b)


def subtract(a: Value, b: Value) -> Value:
    ta, tb = type(a), type(b)
    if ta is float and tb is float:
        return a - b
    check_number(b)
    check_number(a)
    if ta is float or tb is float:
        return to_float(a) - to_float(b)
    if ta is int and tb is int:
        result = a - b
        _check_bits(result.bit_length())
        return result
    _check_ratio(a, b)
    return _exact(a - b)


def multiply(a: Value, b: Value) -> Value:
    ta, tb = type(a), type(b)
    if ta is float and tb is float:
        return a * b
    check_number(b)
    check_number(a)
    if ta is float or tb is float:
        return to_float(a) * to_float(b)
    if ta is int and tb is int:
        _check_bits(a.bit_length() + b.bit_length())
        return a * b
    _check_ratio(a, b)
    return _exact(a * b)


def divide(a: Value, b: Value) -> Value:
    """Exact on exact operands; with a float it is IEEE division, zero divisors included."""
    check_number(b)
    check_number(a)
    if type(a) is float or type(b) is float:
        x, y = to_float(a), to_float(b)
        if y != 0:
            return x / y
        if x == 0 or math.isnan(x) or math.isnan(y):
            return math.nan
        return math.copysign(math.inf, x) * math.copysign(1.0, y)
    if b == 0:
        raise failure("divide by zero")
    if type(a) is int and type(b) is int:
        quotient, remainder = divmod(a, b)
        if remainder == 0:
            return quotient
    _check_ratio(a, b)
    return _exact(Fraction(a) / b)


def modulo(a: Value, b: Value) -> Value:
    """The remainder with the sign of the divisor, for every kind of number."""
    check_number(b)
    check_number(a)
    if type(a) is float or type(b) is float:
        x, y = to_float(a), to_float(b)
        if y == 0 or math.isinf(x):
            return math.nan
        return x % y
    if b == 0:
        raise failure("divide by zero")
    if type(a) is int and type(b) is int:
        return a % b
    _check_ratio(a, b)
    return _exact(a % b)


def negate(a: Value) -> Value:
    check_number(a)
    return -a


def _comparable(a: Value, b: Value) -> None:
    check_number(b)
    check_number(a)


def same(a: Value, b: Value) -> bool:
    _comparable(a, b)
    return a == b


def different(a: Value, b: Value) -> bool:
    _comparable(a, b)
    return a != b


def less(a: Value, b: Value) -> bool:
    _comparable(a, b)
    return a < b


def at_most(a: Value, b: Value) -> bool:
    _comparable(a, b)
    return a <= b


def greater(a: Value, b: Value) -> bool:
    _comparable(a, b)
    return a > b


def at_least(a: Value, b: Value) -> bool:
    _comparable(a, b)
    return a >= b
