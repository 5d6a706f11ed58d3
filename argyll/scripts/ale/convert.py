"""JSON values to Ale values and back.

Inwards every number is a double, except integers beyond 2^53, which stay exact. Outwards integral doubles up to 2^53
become integers, ratios become doubles, integers beyond 64 bits become decimal strings; NaN and infinities are refused.
"""

import math
from fractions import Fraction
from typing import Final

from argyll.model.json import JSON
from argyll.scripts.ale.equality import MAX_VALUE_DEPTH, check_depth, thaw
from argyll.scripts.ale.kinds import kind
from argyll.scripts.ale.lazy import elements
from argyll.scripts.ale.numbers import check_bits, to_float
from argyll.scripts.ale.printer import integer_text, show
from argyll.scripts.ale.run import Run
from argyll.scripts.ale.values import AleSet, Cons, Key, Keyword, Lazy, Pair, Symbol, Value, failure

EXACT_DOUBLE: Final = 2**53
"""Every integer up to this magnitude is a double."""
_INT64: Final = 2**63
_SHORT_TEXT: Final = 16
"""Shorter strings are not counted: the elements around them are, so what they add up to is bounded."""


def inbound(run: Run, value: JSON) -> Value:
    """The Ale value of a JSON value. Lists and objects are copied, so later changes outside are not seen."""
    shape = type(value)
    if shape is int:
        return float(value) if -EXACT_DOUBLE <= value <= EXACT_DOUBLE else _wide(run, value)
    if shape is str or shape is float or value is None or shape is bool:
        return value
    # Text and doubles, the bulk of most documents, are spared a call.
    if shape is list:
        run.charge(len(value) >> 1)
        return [item if (type_ := type(item)) is str or type_ is float else inbound(run, item) for item in value]
    if shape is dict:
        run.charge(len(value) >> 1)
        return {
            key: item if (type_ := type(item)) is str or type_ is float else inbound(run, item)
            for key, item in value.items()
        }
    raise TypeError(f"not a JSON value: {shape.__name__}")


def _wide(run: Run, value: int) -> int:
    check_bits(run, value.bit_length())
    return value


def outbound(run: Run, value: Value, depth: int = 0) -> JSON:
    """The JSON of an Ale value. Raises `AleError` for what JSON cannot say."""
    shape = type(value)
    if shape is float:
        if -EXACT_DOUBLE <= value <= EXACT_DOUBLE:
            whole = int(value)
            return whole if whole == value else value
        return _double(value)
    if shape is str:
        return value if len(value) < _SHORT_TEXT else _text(run, value)
    if shape is dict:
        return _object(run, value, depth)
    if shape is list:
        return _array(run, value, depth)
    if value is None or shape is bool:
        return value
    if shape is int:
        return value if -_INT64 <= value < _INT64 else integer_text(value)
    return _rare(run, value, depth)


def _text(run: Run, text: str) -> str:
    # The same text can stand in a result a thousand times.
    run.check_output(len(text))
    return text


def _double(value: float) -> JSON:
    if math.isfinite(value):
        return value
    raise failure("NaN and infinity cannot leave a script: JSON has no such numbers")


def _array(run: Run, items: list[Value], depth: int) -> JSON:
    check_depth(depth)
    run.charge(len(items))
    return [outbound(run, item, depth + 1) for item in items]


def _object(run: Run, members: dict[Key, Value], depth: int) -> JSON:
    if depth > MAX_VALUE_DEPTH:
        check_depth(depth)
    fuel = run.fuel - len(members)
    run.fuel = fuel if fuel >= 0 else run.refuel(-fuel)
    result: dict[str, JSON] = {}
    others = False
    for key, value in members.items():
        if type(key) is str:
            result[key if len(key) < _SHORT_TEXT else _text(run, key)] = outbound(run, value, depth + 1)
        else:
            others = True
    if others:
        for key, value in members.items():
            if type(key) is not str:
                result.setdefault(_name(run, thaw(run, key)), outbound(run, value, depth + 1))
    return result


def _name(run: Run, key: Value) -> str:
    """The JSON name of an object key that is no keyword."""
    match key:
        case str():
            return _text(run, key)
        case bool():
            return "true" if key else "false"
        case None:
            raise failure("null cannot be the name of an output")
        case float() | int() | Fraction():
            number = outbound(run, key)
            return number if type(number) is str else str(number)
        case Symbol():
            return key.full
        case _:
            return show(run, key)


def _rare(run: Run, value: Value, depth: int) -> JSON:
    match value:
        case Keyword():
            return _text(run, value.name)
        case Cons() | Lazy():
            return _array(run, elements(run, value), depth)
        case Fraction():
            return outbound(run, to_float(value))
        case Symbol():
            return _text(run, value.full)
        case AleSet() | bytes() | Pair():
            return _text(run, show(run, value))
        case _:
            raise failure(f"a {kind(value)} cannot leave a script; return its result instead")
