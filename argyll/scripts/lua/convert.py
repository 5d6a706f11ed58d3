"""JSON values to Lua values and back. Every number is a double in Lua; integers beyond 2^53 lose their last digits.

Lua tables do not say whether they are arrays: see `outbound` for the rule.
"""

import math
from collections.abc import Callable
from itertools import islice
from operator import itemgetter
from typing import Any, Final, NoReturn, TypeAlias

from lupa import lua52

from argyll.model.json import JSON
from argyll.scripts.interface import Limits, RunError
from argyll.scripts.meter import exceeded

LuaValue: TypeAlias = Any
"""What lupa answers: None, bool, int, float, str, or a Lua table or function."""

STEPS_PER_OUTPUT: Final = 4
"""What reading one value back from Lua costs in steps."""

MAX_DEPTH: Final = 64
_EXACT: Final = 2**53


def inbound(value: JSON, table_from: Callable[..., LuaValue], nodes: int) -> tuple[LuaValue, int]:
    """The Lua value of a JSON value, and what is left of `nodes`: below zero when it has more values, then without one.

    Nulls in arrays become holes, null members vanish.
    """
    if type(value) is dict or type(value) is list:
        counter = _Plain(nodes)
        plain = counter.plain(value)
        return (table_from(plain, recursive=True) if counter.nodes >= 0 else None), counter.nodes
    return (_double(value) if type(value) is int else value), nodes


def _double(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        raise RunError("an input is an integer too large for Lua") from None


class _Plain:
    """Copies a value with doubles for integers, and gives up when it is too large."""

    def __init__(self, nodes: int) -> None:
        self.nodes = nodes

    def plain(self, value: JSON) -> JSON:
        kind = type(value)
        if kind is int:
            return _double(value)
        if kind is not list and kind is not dict:
            return value
        self.nodes -= len(value)
        if self.nodes < 0:
            return None
        if kind is list:
            return [self.plain(item) for item in value]
        return {key: self.plain(item) for key, item in value.items() if item is not None}


def outbound(value: LuaValue, limits: Limits) -> JSON:
    """The JSON of a Lua value.

    A table whose keys are positive integers filling at least half of 1..largest is an array, holes being null; any
    other, the empty one included, is an object with its keys as strings, in ascending order. Functions are null.
    Raises `RunError` for NaN and infinities, `LimitExceeded` for cycles and size.
    """
    return _Reader(limits).value(value, 0)


class _Reader:
    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.nodes = min(limits.size, limits.steps // STEPS_PER_OUTPUT)
        self.text = limits.output

    def value(self, value: LuaValue, depth: int) -> JSON:
        match value:
            case None | bool():
                return value
            case str():
                return self.read(value)
            case int():
                return value if -_EXACT <= value <= _EXACT else float(value)
            case float():
                return self.number(value)
            case _:
                return self.table(value, depth) if lua52.lua_type(value) == "table" else None

    def read(self, text: str) -> str:
        if len(text) > self.limits.text:
            raise exceeded("size", f"{self.limits.text:,} characters in one string")
        self.text -= len(text)
        if self.text < 0:
            raise exceeded("size", f"{self.limits.output:,} characters in one result")
        return text

    def number(self, value: float) -> JSON:
        if not math.isfinite(value):
            raise RunError("NaN and infinity cannot leave a script: JSON has no such numbers")
        return int(value) if value.is_integer() and abs(value) <= _EXACT else value

    def table(self, table: LuaValue, depth: int) -> JSON:
        if depth >= MAX_DEPTH:
            raise exceeded("depth", f"{MAX_DEPTH} levels of tables in a result; is one inside itself?")
        members: list[tuple[LuaValue, LuaValue]] = list(islice(table.items(), self.nodes + 1))
        self.nodes -= len(members)
        if self.nodes < 0:
            self.too_many()
        length = _array_length(members)
        if length:
            items: list[JSON] = [None] * length
            for index, item in members:
                items[index - 1] = self.value(item, depth + 1)
            return items
        result: dict[str, JSON] = {}
        named = [(self.name(key), type(key) is str, item) for key, item in members]
        for name, _, item in sorted(named, key=itemgetter(0, 1)):
            result[name] = self.value(item, depth + 1)
        return result

    def too_many(self) -> NoReturn:
        if self.limits.steps // STEPS_PER_OUTPUT < self.limits.size:
            raise exceeded("steps", f"{self.limits.steps:,} steps, {STEPS_PER_OUTPUT} for each value of a result")
        raise exceeded("size", f"{self.limits.size:,} values in one result")

    def name(self, key: LuaValue) -> str:
        match key:
            case str():
                return self.read(key)
            case bool():
                return "true" if key else "false"
            case int() | float():
                return str(self.value(key, 0))
            case _:
                raise RunError(f"a {lua52.lua_type(key)} cannot be the name of an output")


def _array_length(members: list[tuple[LuaValue, LuaValue]]) -> int:
    """The length of the array a table stands for, 0 when it is an object."""
    largest = 0
    for key, _ in members:
        if type(key) is not int or key < 1:
            return 0
        largest = max(largest, key)
    return largest if largest <= 2 * len(members) else 0
