"""Calling values: lambdas, procedures, and the data that Ale lets head a call.

Never uses `*args` to call what may call back: that nests C frames on Python 3.11.
"""

from argyll.scripts.ale.equality import freeze
from argyll.scripts.ale.kinds import kind, mismatch
from argyll.scripts.ale.run import Run
from argyll.scripts.ale.values import (
    MISSING,
    TAIL,
    AleError,
    AleSet,
    Builtin,
    Closure,
    Cons,
    Frame,
    Keyword,
    Node,
    SyntaxName,
    Value,
    failure,
    linked,
)


def call(run: Run, function: Value, arguments: list[Value]) -> Value:
    """Call any value and wait for the result. Raises `AleError` when it cannot be called so."""
    if type(function) is not Closure:
        return call_value(run, function, arguments)
    if function.arity == len(arguments):
        body, frame = function.body, [run, function.env, *arguments]
    else:
        body, frame = bind(run, function, arguments)
    fuel = run.fuel - 1
    run.fuel = fuel if fuel >= 0 else run.refuel(1)
    depth = run.depth - 1
    if depth < 0:
        run.too_deep()
    run.depth = depth
    try:
        result = body(frame)
        while result is TAIL:
            result = run.next_body(run.next_frame)
    except AleError as error:
        raise error.through(function.name, -1) from None
    run.depth = depth + 1
    return result


def bind(run: Run, closure: Closure, arguments: list[Value]) -> tuple[Node, Frame]:
    """The body to run and its frame. Raises `AleError` when no clause takes that many arguments."""
    given = len(arguments)
    for count, rest, body in closure.clauses:
        if rest and given >= count:
            return body, [run, closure.env, *arguments[:count], arguments[count:]]
        if given == count:
            return body, [run, closure.env, *arguments]
    raise no_clause(given)


def no_clause(given: int) -> AleError:
    return failure(f"no matching parameter pattern: got {given} argument{'' if given == 1 else 's'}")


def arity_message(low: int, high: int | None, given: int) -> str:
    """How a wrong number of arguments is told."""
    if high == low:
        return f"expected {low} argument{'' if low == 1 else 's'}, got {given}"
    expected = f"at least {low}" if high is None else f"{low}-{high}"
    return f"got {given} arguments, expected {expected}"


def call_value(run: Run, function: Value, arguments: list[Value]) -> Value:
    """Call anything but a lambda."""
    match function:
        case Builtin():
            return call_builtin(run, function, arguments)
        case Keyword():
            check_count(arguments, 1, 2)
            default = arguments[1] if len(arguments) > 1 else None
            return lookup(run, arguments[0], function.name, default)
        case dict() | AleSet():
            check_count(arguments, 1, 2)
            default = arguments[1] if len(arguments) > 1 else None
            return lookup(run, function, freeze(run, arguments[0]), default)
        case bool():
            return function
        case int():
            check_count(arguments, 1, 2)
            return element(run, arguments[0], function, arguments[1] if len(arguments) > 1 else None)
        case list() | str() | bytes() | Cons() | None:
            check_count(arguments, 1, 2)
            return part(run, function, arguments)
        case SyntaxName():
            raise failure(f"{function.name} is syntax, not a procedure")
        case _:
            raise failure(f"a {kind(function)} cannot be called")


def check_count(arguments: list[Value], low: int, high: int | None) -> None:
    given = len(arguments)
    if given < low or (high is not None and given > high):
        raise failure(arity_message(low, high, given))


def call_builtin(run: Run, function: Builtin, arguments: list[Value]) -> Value:
    """Call a procedure with any number of arguments."""
    check_count(arguments, function.low, function.high)
    implementation = function.function
    if function.variadic:
        return implementation(run, arguments) if function.contextual else implementation(arguments)
    given = len(arguments)
    if function.contextual:
        if given == 1:
            return implementation(run, arguments[0])
        if given == 2:
            return implementation(run, arguments[0], arguments[1])
        return implementation(run, arguments[0], arguments[1], arguments[2])
    if given == 0:
        return implementation()
    if given == 1:
        return implementation(arguments[0])
    if given == 2:
        return implementation(arguments[0], arguments[1])
    return implementation(arguments[0], arguments[1], arguments[2])


def lookup(run: Run, container: Value, key: Value, default: Value) -> Value:
    """The member of an object or set under a frozen key."""
    if type(container) is dict:
        return container.get(key, default)
    if type(container) is AleSet:
        return container.members.get(key, default)
    raise mismatch(container, "mapped")


def check_index(value: Value) -> int:
    """An index into a sequence. Floats, which all JSON numbers are, are refused."""
    if type(value) is not int:
        raise mismatch(value, "integer")
    return value


def element(run: Run, sequence: Value, index: Value, default: Value = MISSING) -> Value:
    """The element at an index; without default an index out of bounds is a failure."""
    position = check_index(index)
    match sequence:
        case list() | str() | bytes():
            if 0 <= position < len(sequence):
                return sequence[position]
        case None:
            pass
        case Cons():
            if 0 <= position < sequence.count:
                run.charge(position >> 4)
                cell: Cons = sequence
                for _ in range(position):
                    assert cell.rest is not None
                    cell = cell.rest
                return cell.first
        case _:
            raise mismatch(sequence, "indexed")
    if default is MISSING:
        raise failure("index out of bounds")
    return default


def part(run: Run, sequence: Value, bounds: list[Value]) -> Value:
    """The elements from one index up to another; of the same kind."""
    items = sequence
    if sequence is None or type(sequence) is Cons:
        items = [] if sequence is None else list(sequence)
        run.charge(len(items) >> 4)
    start = check_index(bounds[0])
    end = check_index(bounds[1]) if len(bounds) > 1 else len(items)
    if not 0 <= start <= end <= len(items):
        raise failure("index out of bounds")
    run.charge((end - start) >> 6)
    chosen = items[start:end]
    return linked(chosen) if sequence is None or type(sequence) is Cons else chosen
