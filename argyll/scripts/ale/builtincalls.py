"""Calls of the language's own procedures as closures: one shape for each number of arguments, failures placed at the call.

Arguments are evaluated right to left. Lambdas are called in `evaluator`.
"""

from collections.abc import Callable
from typing import Final

from argyll.scripts.ale.arithmetic import FAST_OPERATORS
from argyll.scripts.ale.calls import call_value
from argyll.scripts.ale.values import AleError, Builtin, Frame, Node, Value


def placed_call(f: Frame, function: Value, arguments: list[Value], offset: int) -> Value:
    """Call something that is not a lambda; its failures happen at `offset`."""
    try:
        return call_value(f[0], function, arguments)
    except AleError as error:
        raise error.placed(offset) from None


def builtin_call(builtin: Builtin, arguments: list[Node], offset: int) -> Node:
    """The closure for a call of a procedure of the language, whose number of arguments the expander has checked."""
    fast = FAST_OPERATORS.get(builtin.name)
    if fast is not None and len(arguments) == 2:
        return fast(arguments[0], arguments[1], offset)
    if builtin.variadic or not 1 <= len(arguments) <= 3:
        return _list_call(builtin, arguments, offset)
    return _FIXED[builtin.contextual, len(arguments)](builtin.function, arguments, offset)


def _list_call(builtin: Builtin, arguments: list[Node], offset: int) -> Node:
    function = builtin.function
    backwards = arguments[::-1]

    def values(f: Frame) -> list[Value]:
        result = [argument(f) for argument in backwards]
        result.reverse()
        return result

    if not builtin.variadic:
        return lambda f: placed_call(f, builtin, values(f), offset)
    if builtin.contextual:

        def contextual(f: Frame) -> Value:
            given = values(f)
            try:
                return function(f[0], given)
            except AleError as error:
                raise error.placed(offset) from None

        return contextual

    def plain(f: Frame) -> Value:
        given = values(f)
        try:
            return function(given)
        except AleError as error:
            raise error.placed(offset) from None

    return plain


def _fixed1(function: Callable[..., Value], arguments: list[Node], offset: int) -> Node:
    (a,) = arguments

    def node(f: Frame) -> Value:
        x = a(f)
        try:
            return function(x)
        except AleError as error:
            raise error.placed(offset) from None

    return node


def _fixed2(function: Callable[..., Value], arguments: list[Node], offset: int) -> Node:
    a, b = arguments

    def node(f: Frame) -> Value:
        y = b(f)
        x = a(f)
        try:
            return function(x, y)
        except AleError as error:
            raise error.placed(offset) from None

    return node


def _fixed3(function: Callable[..., Value], arguments: list[Node], offset: int) -> Node:
    a, b, c = arguments

    def node(f: Frame) -> Value:
        z = c(f)
        y = b(f)
        x = a(f)
        try:
            return function(x, y, z)
        except AleError as error:
            raise error.placed(offset) from None

    return node


def _contextual1(function: Callable[..., Value], arguments: list[Node], offset: int) -> Node:
    (a,) = arguments

    def node(f: Frame) -> Value:
        x = a(f)
        try:
            return function(f[0], x)
        except AleError as error:
            raise error.placed(offset) from None

    return node


def _contextual2(function: Callable[..., Value], arguments: list[Node], offset: int) -> Node:
    a, b = arguments

    def node(f: Frame) -> Value:
        y = b(f)
        x = a(f)
        try:
            return function(f[0], x, y)
        except AleError as error:
            raise error.placed(offset) from None

    return node


def _contextual3(function: Callable[..., Value], arguments: list[Node], offset: int) -> Node:
    a, b, c = arguments

    def node(f: Frame) -> Value:
        z = c(f)
        y = b(f)
        x = a(f)
        try:
            return function(f[0], x, y, z)
        except AleError as error:
            raise error.placed(offset) from None

    return node


_FIXED: Final = {
    (False, 1): _fixed1,
    (False, 2): _fixed2,
    (False, 3): _fixed3,
    (True, 1): _contextual1,
    (True, 2): _contextual2,
    (True, 3): _contextual3,
}
