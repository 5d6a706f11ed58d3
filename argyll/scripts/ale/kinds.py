"""The names of the kinds of values, for errors ("got string, expected number") and type predicates."""

from fractions import Fraction

from argyll.scripts.ale.values import (
    AleError,
    AleSet,
    Builtin,
    Closure,
    Cons,
    Keyword,
    Lazy,
    Pair,
    Symbol,
    SyntaxName,
    Value,
)

_NAMES: dict[type, str] = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "float",
    Fraction: "ratio",
    str: "string",
    Keyword: "keyword",
    Symbol: "symbol",
    Cons: "list",
    list: "vector",
    dict: "object",
    AleSet: "set",
    bytes: "bytes",
    Pair: "cons",
    Lazy: "lazy-sequence",
    Closure: "procedure",
    Builtin: "procedure",
    SyntaxName: "special",
}

NUMBERS = frozenset({int, float, Fraction})
COUNTED = frozenset({type(None), Cons, list, str, bytes, dict, AleSet})
SEQUENCES = COUNTED | {Lazy}
INDEXED = frozenset({type(None), Cons, list, str, bytes})
MAPPED = frozenset({dict, AleSet})
APPENDERS = frozenset({list, str, bytes, AleSet})
PROCEDURES = frozenset({Closure, Builtin})


def kind(value: Value) -> str:
    """The name of the value's kind."""
    return _NAMES.get(type(value), "value")


def mismatch(value: Value, expected: str) -> AleError:
    """The failure for a value of the wrong kind; handlers see an object with `:message`."""
    message = f"got {kind(value)}, expected {expected}"
    return AleError({"message": message, "wrapped": message}, message)
