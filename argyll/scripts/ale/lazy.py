"""Lazy sequences and the one way to walk any sequence.

A lazy cell shares a stateful producer with the cells after it and is forced at most once, so walking a sequence twice
computes it once. No Python generators: advancing one nests C frames, which deep scripts could exhaust.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from argyll.scripts.ale.equality import thaw
from argyll.scripts.ale.kinds import SEQUENCES, mismatch
from argyll.scripts.ale.run import Run
from argyll.scripts.ale.values import (
    ENDED,
    PENDING,
    PRESENT,
    AleError,
    AleSet,
    Cons,
    Keyword,
    Lazy,
    Marker,
    Pair,
    Value,
)

END: Final = Marker("end of sequence")

Pull: TypeAlias = Callable[[Run], Value]
"""The next element on each call, then END for ever."""


def force(run: Run, cell: Lazy) -> bool:
    """Compute the cell if that has not happened yet; whether it holds an element."""
    if cell.state != PENDING:
        return cell.state == PRESENT
    if cell.failure is not None:
        raise cell.failure.again()
    produce = cell.produce
    if produce is None:
        raise AleError("a lazy sequence depends on itself", "a lazy sequence depends on itself")
    fuel = run.fuel - 1
    run.fuel = fuel if fuel >= 0 else run.refuel(1)
    depth = run.depth - 1
    if depth < 0:
        run.too_deep()
    run.depth = depth
    cell.produce = None
    try:
        present = produce(run, cell)
    except AleError as error:
        cell.failure = error
        raise
    run.depth = depth + 1
    cell.state = PRESENT if present else ENDED
    return present


def from_pull(pull: Pull) -> Lazy:
    """The lazy sequence of what `pull` yields."""

    def produce(run: Run, cell: Lazy) -> bool:
        value = pull(run)
        if value is END:
            return False
        cell.first = value
        cell.rest = Lazy(produce)
        return True

    return Lazy(produce)


def prepend(first: Value, rest: Lazy) -> Lazy:
    """A lazy sequence that starts with `first`."""
    cell = Lazy(None)
    cell.first = first
    cell.rest = rest
    cell.state = PRESENT
    return cell


def pull_list(items: list[Value]) -> Pull:
    """The elements of an eager collection."""
    index = 0

    def pull(run: Run) -> Value:
        nonlocal index
        if index >= len(items):
            return END
        index += 1
        return items[index - 1]

    return pull


def pull_from(run: Run, sequence: Value) -> Pull:
    """The elements of any sequence. Raises `AleError` for other values."""
    if type(sequence) is list:
        return pull_list(sequence)
    if type(sequence) is not Lazy:
        run.charge(count(sequence) >> 2)
        return pull_list(_eager_elements(run, sequence))
    current: Value = sequence
    eager: Pull | None = None

    def pull(run: Run) -> Value:
        nonlocal current, eager
        if eager is not None:
            return eager(run)
        if not force(run, current):
            return END
        value = current.first
        current = current.rest
        if type(current) is not Lazy:
            run.charge(count(current) >> 2)
            eager = pull_list(_eager_elements(run, current))
        return value

    return pull


def count(sequence: Value) -> int:
    """The elements of a counted sequence, without walking it. Raises `AleError` for other values."""
    match sequence:
        case list() | str() | dict() | bytes():
            return len(sequence)
        case None:
            return 0
        case Cons():
            return sequence.count
        case AleSet():
            return len(sequence.members)
        case _:
            raise mismatch(sequence, "sequence")


def _eager_elements(run: Run, sequence: Value) -> list[Value]:
    """The elements of a sequence that is not lazy; objects yield (key . value) pairs."""
    match sequence:
        case list():
            return sequence
        case None:
            return []
        case str() | Cons() | bytes():
            return list(sequence)
        case dict():
            return [entry(run, key, value) for key, value in sequence.items()]
        case AleSet():
            return list(sequence.members.values())
        case _:
            raise mismatch(sequence, "sequence")


def entry(run: Run, key: Value, value: Value) -> Value:
    """What an object yields for one member: a pair, which is a proper list when the value is one."""
    name = Keyword(key) if type(key) is str else thaw(run, key)
    return Cons(name, value) if value is None or type(value) is Cons else Pair(name, value)


def elements(run: Run, sequence: Value) -> list[Value]:
    """All elements of any sequence, realised; not to be changed. Charges one step each, within the size limit."""
    if type(sequence) is not Lazy:
        run.charge(count(sequence))
        return _eager_elements(run, sequence)
    items: list[Value] = []
    pull = pull_from(run, sequence)
    while (value := pull(run)) is not END:
        items.append(value)
        if len(items) > run.limits.size:
            run.check_size(len(items))
    return items


def is_empty(run: Run, sequence: Value) -> bool:
    """Whether a sequence has no elements. Raises `AleError` for other values."""
    match sequence:
        case None:
            return True
        case Cons():
            return False
        case Lazy():
            return not force(run, sequence)
        case AleSet():
            return not sequence.members
        case _:
            if type(sequence) not in SEQUENCES:
                raise mismatch(sequence, "sequence")
            return len(sequence) == 0


def first_of(run: Run, sequence: Value) -> Value:
    """The first element, null when there is none."""
    match sequence:
        case None:
            return None
        case list() | str() | bytes():
            return sequence[0] if sequence else None
        case Cons():
            return sequence.first
        case Pair():
            return sequence.car
        case Lazy():
            return sequence.first if force(run, sequence) else None
        case dict():
            for key, value in sequence.items():
                return entry(run, key, value)
            return None
        case AleSet():
            for member in sequence.members.values():
                return member
            return None
        case _:
            raise mismatch(sequence, "pair")


def rest_of(run: Run, sequence: Value) -> Value:
    """The sequence without its first element; keeps the kind."""
    match sequence:
        case None:
            return None
        case Cons():
            return sequence.rest
        case Pair():
            return sequence.cdr
        case list() | str() | bytes():
            run.charge(len(sequence) >> 6)
            return sequence[1:]
        case Lazy():
            return sequence.rest if force(run, sequence) else None
        case dict():
            run.charge(len(sequence) >> 3)
            return dict(list(sequence.items())[1:])
        case AleSet():
            run.charge(len(sequence.members) >> 3)
            return AleSet(dict(list(sequence.members.items())[1:]))
        case _:
            raise mismatch(sequence, "pair")
