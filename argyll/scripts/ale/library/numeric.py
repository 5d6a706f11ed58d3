"""Arithmetic, numeric comparison and numeric predicates."""

import math
from collections.abc import Callable
from typing import Any

from argyll.scripts.ale import numbers
from argyll.scripts.ale.catalogue import builtin, constant
from argyll.scripts.ale.library.predicates import predicate
from argyll.scripts.ale.run import Run
from argyll.scripts.ale.values import Value

constant("+inf", math.inf, "Positive infinity; cannot leave a script.", tier=3)
constant("-inf", -math.inf, "Negative infinity; cannot leave a script.", tier=3)
constant("nan", math.nan, "Not a number; equal to nothing, cannot leave a script.", tier=3)
constant("*pos-inf*", math.inf, "Positive infinity.", tier=3)
constant("*neg-inf*", -math.inf, "Negative infinity.", tier=3)


@builtin("+", "numbers*", "The sum; 0 without arguments.", tier=1, contextual=True)
def add(run: Run, items: list[Value]) -> Value:
    if len(items) == 2:
        return numbers.add(run, items[0], items[1])
    result: Value = 0
    for item in items:
        result = numbers.add(run, result, item)
    return result


@builtin("*", "numbers*", "The product; 1 without arguments.", tier=1, contextual=True)
def multiply(run: Run, items: list[Value]) -> Value:
    if len(items) == 2:
        return numbers.multiply(run, items[0], items[1])
    result: Value = 1
    for item in items:
        result = numbers.multiply(run, result, item)
    return result


@builtin(
    "-", "number numbers*", "The difference from left to right, or the negation of one number.", tier=1, contextual=True
)
def subtract(run: Run, items: list[Value]) -> Value:
    result = items[0]
    if len(items) == 1:
        return numbers.negate(result)
    for item in items[1:]:
        result = numbers.subtract(run, result, item)
    return result


@builtin(
    "/",
    "number numbers*",
    "The quotient from left to right, exact for exact numbers; or the reciprocal.",
    tier=1,
    contextual=True,
)
def divide(run: Run, items: list[Value]) -> Value:
    result = items[0]
    if len(items) == 1:
        return numbers.divide(run, 1, result)
    for item in items[1:]:
        result = numbers.divide(run, result, item)
    return result


@builtin(
    "mod",
    "number number+",
    "The remainder, with the sign of the divisor.",
    tier=1,
    aliases=("modulo",),
    contextual=True,
)
def modulo(run: Run, items: list[Value]) -> Value:
    result = items[0]
    for item in items[1:]:
        result = numbers.modulo(run, result, item)
    return result


@builtin("inc", "number", "One more.", tier=1, contextual=True)
def increase(run: Run, number: Value) -> Value:
    return numbers.add(run, number, 1)


@builtin("dec", "number", "One less.", tier=1, contextual=True)
def decrease(run: Run, number: Value) -> Value:
    return numbers.subtract(run, number, 1)


def _chain(name: str, doc: str, holds: numbers.Operation, wanted: bool = True) -> None:
    @builtin(name, "number numbers*", doc, tier=1, contextual=True)
    def chain(run: Run, items: list[Value]) -> bool:
        numbers.check_number(items[0])
        for index in range(1, len(items)):
            if not holds(run, items[index - 1], items[index]):
                return not wanted
        return wanted


_chain("=", "Whether all numbers are equal, whatever their kind: (= 1 1.0) is true.", numbers.same)
_chain("!=", "Whether not all numbers are equal.", numbers.same, wanted=False)
_chain("<", "Whether each number is less than the next.", numbers.less)
_chain("<=", "Whether no number is greater than the next.", numbers.at_most)
_chain(">", "Whether each number is greater than the next.", numbers.greater)
_chain(">=", "Whether no number is less than the next.", numbers.at_least)


def _on_numbers(test: Callable[[Any], bool]) -> Callable[[Value], bool]:
    def checked(value: Value) -> bool:
        numbers.check_number(value)
        return test(value)

    return checked


predicate("zero?", "zero", _on_numbers(lambda n: n == 0), tier=1)
predicate("even?", "even", lambda n: numbers.parity(n) == 0, tier=1)
predicate("odd?", "odd", lambda n: numbers.parity(n) == 1, tier=1)
predicate("nan?", "not a number", _on_numbers(lambda n: n != n), tier=3)
predicate("inf?", "positive infinity", _on_numbers(lambda n: n == math.inf), tier=3)
predicate("-inf?", "negative infinity", _on_numbers(lambda n: n == -math.inf), tier=3)
