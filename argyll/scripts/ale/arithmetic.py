"""Two-operand arithmetic and comparison as single nodes: plain numbers are handled in place, the rest in `numbers`.

Integers stay in the fast path up to 62 bits; beyond that `numbers` watches their width.
"""

from collections.abc import Callable
from typing import Final

from argyll.scripts.ale import numbers
from argyll.scripts.ale.equality import SHORT_TEXT, equal
from argyll.scripts.ale.values import AleError, Frame, Node, Value

_WIDE: Final = 1 << 62


def _slow(f: Frame, operation: numbers.Operation, x: Value, y: Value, offset: int) -> Value:
    try:
        return operation(f[0], x, y)
    except AleError as error:
        raise error.placed(offset) from None


def _add(a: Node, b: Node, offset: int) -> Node:
    def node(f: Frame) -> Value:
        y = b(f)
        x = a(f)
        tx, ty = type(x), type(y)
        if tx is float and (ty is float or (ty is int and -_WIDE < y < _WIDE)):
            return x + y
        if tx is int and -_WIDE < x < _WIDE and (ty is float or (ty is int and -_WIDE < y < _WIDE)):
            return x + y
        return _slow(f, numbers.add, x, y, offset)

    return node


def _subtract(a: Node, b: Node, offset: int) -> Node:
    def node(f: Frame) -> Value:
        y = b(f)
        x = a(f)
        tx, ty = type(x), type(y)
        if tx is float and (ty is float or (ty is int and -_WIDE < y < _WIDE)):
            return x - y
        if tx is int and -_WIDE < x < _WIDE and (ty is float or (ty is int and -_WIDE < y < _WIDE)):
            return x - y
        return _slow(f, numbers.subtract, x, y, offset)

    return node


def _multiply(a: Node, b: Node, offset: int) -> Node:
    def node(f: Frame) -> Value:
        y = b(f)
        x = a(f)
        tx, ty = type(x), type(y)
        if tx is float and (ty is float or (ty is int and -_WIDE < y < _WIDE)):
            return x * y
        if tx is int and -_WIDE < x < _WIDE and (ty is float or (ty is int and -_WIDE < y < _WIDE)):
            return x * y
        return _slow(f, numbers.multiply, x, y, offset)

    return node


def _less(a: Node, b: Node, offset: int) -> Node:
    def node(f: Frame) -> Value:
        y = b(f)
        x = a(f)
        tx, ty = type(x), type(y)
        if (tx is float or tx is int) and (ty is float or ty is int):
            return x < y
        return _slow(f, numbers.less, x, y, offset)

    return node


def _at_most(a: Node, b: Node, offset: int) -> Node:
    def node(f: Frame) -> Value:
        y = b(f)
        x = a(f)
        tx, ty = type(x), type(y)
        if (tx is float or tx is int) and (ty is float or ty is int):
            return x <= y
        return _slow(f, numbers.at_most, x, y, offset)

    return node


def _same(a: Node, b: Node, offset: int) -> Node:
    def node(f: Frame) -> Value:
        y = b(f)
        x = a(f)
        tx, ty = type(x), type(y)
        if (tx is float or tx is int) and (ty is float or ty is int):
            return x == y
        return _slow(f, numbers.same, x, y, offset)

    return node


def _different(a: Node, b: Node, offset: int) -> Node:
    def node(f: Frame) -> Value:
        y = b(f)
        x = a(f)
        tx, ty = type(x), type(y)
        if (tx is float or tx is int) and (ty is float or ty is int):
            return x != y
        return _slow(f, numbers.different, x, y, offset)

    return node


def _greater(a: Node, b: Node, offset: int) -> Node:
    def node(f: Frame) -> Value:
        y = b(f)
        x = a(f)
        tx, ty = type(x), type(y)
        if (tx is float or tx is int) and (ty is float or ty is int):
            return x > y
        return _slow(f, numbers.greater, x, y, offset)

    return node


def _at_least(a: Node, b: Node, offset: int) -> Node:
    def node(f: Frame) -> Value:
        y = b(f)
        x = a(f)
        tx, ty = type(x), type(y)
        if (tx is float or tx is int) and (ty is float or ty is int):
            return x >= y
        return _slow(f, numbers.at_least, x, y, offset)

    return node


def _equal(a: Node, b: Node, _offset: int) -> Node:
    def node(f: Frame) -> Value:
        y = b(f)
        x = a(f)
        if type(x) is str and type(y) is str and len(x) < SHORT_TEXT:
            return x == y
        return equal(f[0], x, y)

    return node


def _not_equal(a: Node, b: Node, _offset: int) -> Node:
    def node(f: Frame) -> Value:
        y = b(f)
        x = a(f)
        if type(x) is str and type(y) is str and len(x) < SHORT_TEXT:
            return x != y
        return not equal(f[0], x, y)

    return node


FAST_OPERATORS: Final[dict[str, Callable[[Node, Node, int], Node]]] = {
    "+": _add,
    "-": _subtract,
    "*": _multiply,
    "<": _less,
    "<=": _at_most,
    "=": _same,
    "!=": _different,
    ">": _greater,
    ">=": _at_least,
    "eq": _equal,
    "!eq": _not_equal,
}
