"""The values of Ale and how Python holds them. No evaluation, no conversion from or to JSON.

null is None; booleans, integers, floats and strings are Python's own; a ratio is a `Fraction`; a vector is a `list`
that nobody changes once it is built; an object is a `dict` whose plain `str` keys MEAN KEYWORDS, so JSON objects need no key
conversion, and whose other keys are tagged tuples (see `equality.freeze`).
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

Value: TypeAlias = Any
"""Any Ale value. Ale is dynamically typed; this is the one place where `Any` stands for it."""

Key: TypeAlias = str | tuple[Any, ...]
"""An object key or set member: a keyword's name, or (tag, value)."""

Frame: TypeAlias = list[Any]
"""[run, enclosing frame or None, local 0, local 1, ...]"""


MAX_CALLS: Final = 16
"""How many of the calls around a failure are remembered."""


class AleError(Exception):
    """A failure a script may `recover` from.

    `value` is what a handler sees, `offset` the place in the text or -1. `calls` are the calls of procedures around that
    place, innermost first: names and places; only the first `MAX_CALLS` are kept, `deeper` counts the others.
    """

    def __init__(self, value: Value, message: str) -> None:
        super().__init__(message)
        self.value = value
        self.message = message
        self.offset = -1
        self.calls: list[tuple[str, int]] = []
        self.deeper = 0

    def placed(self, offset: int) -> "AleError":
        """This error with a place, unless an inner form has given it one already.

        Calls that a procedure of the language has made get its place.
        """
        if self.offset < 0:
            self.offset = offset
        for index in range(len(self.calls) - 1, -1, -1):
            name, place = self.calls[index]
            if place >= 0:
                break
            self.calls[index] = (name, offset)
        return self

    def through(self, name: str, offset: int) -> "AleError":
        """This error on its way out of a call of a procedure."""
        if len(self.calls) < MAX_CALLS:
            self.calls.append((name, offset))
        else:
            self.deeper += 1
        return self

    def again(self) -> "AleError":
        """The same failure met another time: its place stays, its calls are new."""
        return AleError(self.value, self.message).placed(self.offset)


def failure(message: str) -> AleError:
    """A plain failure: handlers see the message."""
    return AleError(message, message)


class Keyword:
    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Symbol:
    __slots__ = ("domain", "name")

    def __init__(self, name: str, domain: str | None = None) -> None:
        self.name = name
        self.domain = domain

    @property
    def full(self) -> str:
        return self.name if self.domain is None else f"{self.domain}/{self.name}"


class Cons:
    """A non-empty immutable linked list; the empty one is None."""

    __slots__ = ("count", "first", "rest")

    def __init__(self, first: Value, rest: "Cons | None") -> None:
        self.first = first
        self.rest = rest
        self.count: int = 1 if rest is None else rest.count + 1

    def __iter__(self) -> Iterator[Value]:
        cell: Cons | None = self
        while cell is not None:
            yield cell.first
            cell = cell.rest


def linked(items: list[Value]) -> Cons | None:
    """The list of `items`, null when there are none."""
    result: Cons | None = None
    for item in reversed(items):
        result = Cons(item, result)
    return result


class Pair:
    """A dotted pair whose second half is not a list."""

    __slots__ = ("car", "cdr")

    def __init__(self, car: Value, cdr: Value) -> None:
        self.car = car
        self.cdr = cdr


class AleSet:
    """An immutable set: members by their frozen form, in order of insertion."""

    __slots__ = ("members",)

    def __init__(self, members: dict[Key, Value]) -> None:
        self.members = members


class Lazy:
    """A cell of a lazy sequence. Forced at most once; a failure sticks. See `lazy.force`."""

    __slots__ = ("failure", "first", "produce", "rest", "state")

    def __init__(self, produce: "Producer | None") -> None:
        self.produce = produce
        self.state = PENDING
        self.first: Value = None
        self.rest: Value = None
        self.failure: AleError | None = None


Producer: TypeAlias = Callable[[Any, Lazy], bool]
"""Fills the `first` and `rest` of a cell within a run; False when the sequence ends there."""

PENDING: Final = 0
PRESENT: Final = 1
ENDED: Final = 2


class Closure:
    """A lambda with its environment. `arity` is its exact argument count, or -1 when `clauses` must be searched."""

    __slots__ = ("arity", "body", "clauses", "env", "name")

    def __init__(self, arity: int, body: "Node", clauses: "tuple[Clause, ...]", env: Frame, name: str) -> None:
        self.arity = arity
        self.body = body
        self.clauses = clauses
        self.env = env
        self.name = name


Node: TypeAlias = Callable[[Frame], Value]
"""A compiled form."""

Clause: TypeAlias = tuple[int, bool, Node]
"""(fixed parameters, whether a rest parameter follows, body)"""


class Builtin:
    """A procedure of the language. The flags say how `function` wants its arguments; see `catalogue.builtin`."""

    __slots__ = ("contextual", "function", "high", "low", "name", "variadic")

    def __init__(
        self, name: str, function: Callable[..., Value], low: int, high: int | None, variadic: bool, contextual: bool
    ) -> None:
        self.name = name
        self.function = function
        self.low = low
        self.high = high
        self.variadic = variadic
        self.contextual = contextual


class SyntaxName:
    """The name of a special form or macro used as a value: it can be passed around and never called."""

    __slots__ = ("macro", "name")

    def __init__(self, name: str, macro: bool) -> None:
        self.name = name
        self.macro = macro


class Marker:
    """A unique internal value."""

    __slots__ = ("label",)

    def __init__(self, label: str) -> None:
        self.label = label


MISSING: Final = Marker("missing argument")
UNSET: Final = Marker("unset let-rec variable")
TAIL: Final = Marker("tail call waits in the run")
