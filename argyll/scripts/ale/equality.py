"""Structural, type-sensitive equality, and the frozen form that objects and sets keep their keys in.

1, 1.0, 1/1 and true are four different values here, which Python's own `==` and `hash` cannot say: never rely on those
for nested values.
"""
# Plain loops, no all(): a generator costs more than these loops and nests C frames.
# ruff: noqa: SIM110

import math
from fractions import Fraction
from typing import Final

from argyll.scripts.ale.kinds import mismatch
from argyll.scripts.ale.run import Run
from argyll.scripts.ale.values import AleSet, Closure, Cons, Key, Keyword, Pair, Symbol, Value, failure, linked
from argyll.scripts.meter import exceeded

MAX_VALUE_DEPTH: Final = 512
"""How deep values may nest to be compared, hashed, printed or converted."""

SHORT_TEXT: Final = 4096
"""Longer strings cost steps to compare."""


def check_depth(depth: int) -> None:
    """Refuse values nested deeper than `MAX_VALUE_DEPTH`."""
    if depth > MAX_VALUE_DEPTH:
        raise exceeded("depth", f"{MAX_VALUE_DEPTH} levels of nested data")


def equal(run: Run, a: Value, b: Value, depth: int = 0) -> bool:
    """Whether two values are of the same kind and hold the same."""
    kind = type(a)
    if kind is not type(b):
        return False
    if kind is str or kind is bytes:
        if len(a) >= SHORT_TEXT:
            run.charge(len(a) >> 10)
        return a == b
    if kind is int or kind is float or kind is Fraction:
        return a == b
    if a is b:
        return kind not in _CONTAINERS or not _holds_nan(run, a, depth)
    if kind is Keyword:
        return a.name == b.name
    if kind is Symbol:
        return a.name == b.name and a.domain == b.domain
    if kind not in _CONTAINERS:
        return kind is Closure and a.body is b.body and a.env is b.env
    check_depth(depth)
    return _equal_containers(run, a, b, depth + 1)


_CONTAINERS = frozenset({list, dict, AleSet, Cons, Pair})


def _equal_containers(run: Run, a: Value, b: Value, depth: int) -> bool:
    if type(a) is Pair:
        return equal(run, a.car, b.car, depth) and equal(run, a.cdr, b.cdr, depth)
    if type(a) is AleSet:
        run.charge(len(a.members))
        return a.members.keys() == b.members.keys()
    if type(a) is Cons:
        if a.count != b.count:
            return False
        run.charge(a.count)
        x, y = a, b
        while x is not None:
            if not equal(run, x.first, y.first, depth):
                return False
            x, y = x.rest, y.rest
        return True
    if len(a) != len(b):
        return False
    run.charge(len(a) + 1)
    if type(a) is list:
        for i, x in enumerate(a):
            if not equal(run, x, b[i], depth):
                return False
        return True
    for key, x in a.items():
        if key not in b or not equal(run, x, b[key], depth):
            return False
    return True


def _holds_nan(run: Run, value: Value, depth: int) -> bool:
    """Identity proves equality except through NaN, which equals nothing."""
    return not _equal_containers(run, value, value, depth + 1)


def freeze(run: Run, value: Value, depth: int = 0) -> Key:
    """The key form of a value. Equal values, and only those, have equal keys. Raises `AleError` for the unhashable."""
    kind = type(value)
    if kind is Keyword:
        return value.name
    if kind in _SCALAR_TAGS:
        if kind is float and math.isnan(value):
            raise failure("NaN cannot be a key")
        return (_SCALAR_TAGS[kind], value)
    if kind is Symbol:
        return ("symbol", value.domain, value.name)
    check_depth(depth)
    if kind is list or kind is Cons:
        run.charge(len(value) if kind is list else value.count)
        items: list[Key] = []
        for item in value:
            items.append(freeze(run, item, depth + 1))
        return ("vector" if kind is list else "list", *items)
    if kind is Pair:
        return ("pair", freeze(run, value.car, depth + 1), freeze(run, value.cdr, depth + 1))
    if kind is AleSet:
        run.charge(len(value.members))
        return ("set", frozenset(value.members))
    if kind is dict:
        run.charge(len(value))
        members: list[tuple[Key, Key]] = []
        for key, member in value.items():
            members.append((key, freeze(run, member, depth + 1)))
        return ("object", frozenset(members))
    raise mismatch(value, "key")


_SCALAR_TAGS: dict[type, str] = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "float",
    Fraction: "ratio",
    str: "string",
    bytes: "bytes",
}


def thaw(run: Run, key: Key) -> Value:
    """The value a key was frozen from. Members of sets and objects come in a fixed order, not the original one."""
    if type(key) is str:
        return Keyword(key)
    tag = key[0]
    if tag == "symbol":
        return Symbol(key[2], key[1])
    if tag == "vector" or tag == "list":
        run.charge(len(key))
        items = [thaw(run, item) for item in key[1:]]
        return items if tag == "vector" else linked(items)
    if tag == "pair":
        run.charge(1)
        return Pair(thaw(run, key[1]), thaw(run, key[2]))
    if tag == "set":
        run.charge(len(key[1]))
        return AleSet({member: thaw(run, member) for member in sorted(key[1], key=repr)})
    if tag == "object":
        run.charge(len(key[1]))
        return {name: thaw(run, member) for name, member in sorted(key[1], key=repr)}
    return key[1]
