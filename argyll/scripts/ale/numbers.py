"""Arithmetic of Ale: exact integers and ratios, IEEE doubles, and contagion from exact to inexact.

Booleans are not numbers. Integers and ratios are bounded in width before they are built.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Final

from argyll.scripts.ale.kinds import NUMBERS, mismatch
from argyll.scripts.ale.run import Run
from argyll.scripts.ale.values import Value, failure
from argyll.scripts.meter import exceeded

MAX_INTEGER_BITS: Final = 65_536
MAX_RATIO_BITS: Final = 8_192

Operation = Callable[[Run, Value, Value], Value]

_RATIO_STEPS: Final = 8
"""What one operation on ratios costs at least."""


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


def _check_ratio(run: Run, a: Value, b: Value) -> None:
    """Refuse operands too wide for exact division: reducing their ratio takes quadratic time."""
    for value in (a, b):
        bits = value.numerator.bit_length() + value.denominator.bit_length()
        if bits > MAX_RATIO_BITS:
            raise exceeded("size", f"{MAX_RATIO_BITS:,} bits in one operand of a ratio")
        run.charge(_RATIO_STEPS + (bits >> 8))


def check_bits(run: Run, bits: int) -> None:
    """Refuse an integer of more than `MAX_INTEGER_BITS`, and charge for walking it."""
    if bits > MAX_INTEGER_BITS:
        raise exceeded("size", f"{MAX_INTEGER_BITS:,} bits in one integer")
    run.charge(bits >> 12)


def _charge_product(run: Run, a: int, b: int) -> None:
    """Multiplication and division take time by the product of the widths."""
    run.charge((a.bit_length() >> 5) * (b.bit_length() >> 5) >> 10)


def add(run: Run, a: Value, b: Value) -> Value:
    ta, tb = type(a), type(b)
    if ta is float and tb is float:
        return a + b
    check_number(b)
    check_number(a)
    if ta is float or tb is float:
        return to_float(a) + to_float(b)
    if ta is int and tb is int:
        result = a + b
        check_bits(run, result.bit_length())
        return result
    _check_ratio(run, a, b)
    return _exact(a + b)


def subtract(run: Run, a: Value, b: Value) -> Value:
    ta, tb = type(a), type(b)
    if ta is float and tb is float:
        return a - b
    check_number(b)
    check_number(a)
    if ta is float or tb is float:
        return to_float(a) - to_float(b)
    if ta is int and tb is int:
        result = a - b
        check_bits(run, result.bit_length())
        return result
    _check_ratio(run, a, b)
    return _exact(a - b)


def multiply(run: Run, a: Value, b: Value) -> Value:
    ta, tb = type(a), type(b)
    if ta is float and tb is float:
        return a * b
    check_number(b)
    check_number(a)
    if ta is float or tb is float:
        return to_float(a) * to_float(b)
    if ta is int and tb is int:
        check_bits(run, a.bit_length() + b.bit_length())
        _charge_product(run, a, b)
        return a * b
    _check_ratio(run, a, b)
    return _exact(a * b)


def divide(run: Run, a: Value, b: Value) -> Value:
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
        _charge_product(run, a, b)
        quotient, remainder = divmod(a, b)
        if remainder == 0:
            return quotient
    _check_ratio(run, a, b)
    return _exact(Fraction(a) / b)


def modulo(run: Run, a: Value, b: Value) -> Value:
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
        _charge_product(run, a, b)
        return a % b
    _check_ratio(run, a, b)
    return _exact(a % b)


def parity(a: Value) -> Value:
    """The remainder by two, NaN for infinities."""
    check_number(a)
    return math.nan if type(a) is float and math.isinf(a) else a % 2


def negate(a: Value) -> Value:
    check_number(a)
    return -a


def _comparable(run: Run, a: Value, b: Value) -> None:
    check_number(b)
    check_number(a)
    for value in (a, b):
        if type(value) is Fraction:
            run.charge(_RATIO_STEPS + (value.numerator.bit_length() + value.denominator.bit_length() >> 8))


def same(run: Run, a: Value, b: Value) -> bool:
    _comparable(run, a, b)
    return a == b


def different(run: Run, a: Value, b: Value) -> bool:
    _comparable(run, a, b)
    return a != b


def less(run: Run, a: Value, b: Value) -> bool:
    _comparable(run, a, b)
    return a < b


def at_most(run: Run, a: Value, b: Value) -> bool:
    _comparable(run, a, b)
    return a <= b


def greater(run: Run, a: Value, b: Value) -> bool:
    _comparable(run, a, b)
    return a > b


def at_least(run: Run, a: Value, b: Value) -> bool:
    _comparable(run, a, b)
    return a >= b
