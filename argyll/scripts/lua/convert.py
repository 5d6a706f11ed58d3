"""JSON values to Lua values and back. Every number is a double in Lua; integers beyond 2^53 lose their last digits.

Lua tables do not say whether they are arrays: see `outbound` for the rule.
"""

import math
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from lupa import lua52

from argyll.model.json import JSON
from argyll.scripts.interface import Limits, RunError
from argyll.scripts.meter import exceeded

LuaValue: TypeAlias = Any
"""What lupa answers: None, bool, int, float, str, or a Lua table or function."""

MAX_DEPTH: Final = 64
MAX_INPUT_NODES: Final = 1_000_000
_EXACT: Final = 2**53


def inbound(value: JSON, table_from: Callable[..., LuaValue]) -> LuaValue:
    """The Lua value of a JSON value. Nulls in arrays become holes, null members vanish."""
    if type(value) is dict or type(value) is list:
        nodes = [MAX_INPUT_NODES]
        return table_from(_plain(value, nodes, 0), recursive=True)
    return _double(value) if type(value) is int else value


def _double(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        raise RunError("an input is an integer too large for Lua") from None


def _plain(value: JSON, nodes: list[int], depth: int) -> JSON:
    """The value with doubles for integers."""
    kind = type(value)
    if kind is int:
        return _double(value)
    if kind is not list and kind is not dict:
        return value
    nodes[0] -= len(value)
    if nodes[0] < 0:
        raise exceeded("size", f"{MAX_INPUT_NODES:,} values in one input")
    if kind is list:
        return [_plain(item, nodes, depth + 1) for item in value]
    return {key: _plain(item, nodes, depth + 1) for key, item in value.items() if item is not None}


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
        self.nodes = limits.size

    def value(self, value: LuaValue, depth: int) -> JSON:
        match value:
            case None | bool():
                return value
            case str():
                if len(value) > self.limits.text:
                    raise exceeded("size", f"{self.limits.text:,} characters in one string")
                return value
            case int():
                return value if -_EXACT <= value <= _EXACT else float(value)
            case float():
                return self.number(value)
            case _:
                return self.table(value, depth) if lua52.lua_type(value) == "table" else None

    def number(self, value: float) -> JSON:
        if not math.isfinite(value):
            raise RunError("NaN and infinity cannot leave a script: JSON has no such numbers")
        return int(value) if value.is_integer() and abs(value) <= _EXACT else value

    def table(self, table: LuaValue, depth: int) -> JSON:
        if depth >= MAX_DEPTH:
            raise exceeded("depth", f"{MAX_DEPTH} levels of tables in a result; is one inside itself?")
        members: list[tuple[LuaValue, LuaValue]] = list(table.items())
        self.nodes -= len(members)
        if self.nodes < 0:
            raise exceeded("size", f"{self.limits.size:,} values in one result")
        length = _array_length(members)
        if length:
            items: list[JSON] = [None] * length
            for index, item in members:
                items[index - 1] = self.value(item, depth + 1)
            return items
        result: dict[str, JSON] = {}
        for key, item in sorted(members, key=lambda member: (self.name(member[0]), type(member[0]) is str)):
            result[self.name(key)] = self.value(item, depth + 1)
        return result

    def name(self, key: LuaValue) -> str:
        match key:
            case str():
                return key
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
