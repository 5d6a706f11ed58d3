"""Construction of collections and changed copies of them. Nothing is ever changed in place."""

from argyll.scripts.ale import kinds
from argyll.scripts.ale.calls import check_index
from argyll.scripts.ale.catalogue import builtin
from argyll.scripts.ale.equality import freeze
from argyll.scripts.ale.kinds import mismatch
from argyll.scripts.ale.lazy import elements, prepend
from argyll.scripts.ale.printer import display, show
from argyll.scripts.ale.run import Run
from argyll.scripts.ale.values import AleSet, Cons, Key, Lazy, Pair, Value, failure, linked


@builtin("list", "values*", "The list of the values.", tier=1)
def list_(values: list[Value]) -> Value:
    return linked(values)


@builtin("vector", "values*", "The vector of the values.", tier=1)
def vector(values: list[Value]) -> Value:
    return values


@builtin("object", "members*", "The object of alternating keys and values.", tier=1, contextual=True)
def object_(run: Run, members: list[Value]) -> Value:
    if len(members) % 2:
        raise failure("map must contain an even number of elements")
    run.check_size(len(members) // 2)
    result: dict[Key, Value] = {}
    for index in range(0, len(members), 2):
        result.setdefault(freeze(run, members[index]), members[index + 1])
    return result


@builtin("set", "values*", "The set of the values.", tier=2, contextual=True)
def set_(run: Run, values: list[Value]) -> Value:
    run.check_size(len(values))
    members: dict[Key, Value] = {}
    for value in values:
        members.setdefault(freeze(run, value), value)
    return AleSet(members)


@builtin("bytes", "values*", "Bytes from integers 0 to 255.", tier=3)
def bytes_(values: list[Value]) -> Value:
    for value in values:
        if not 0 <= check_index(value) <= 255:
            raise failure("a byte is an integer from 0 to 255")
    return bytes(values)


@builtin(
    "cons",
    "first rest",
    "The sequence with an element before it; a dotted pair when `rest` is no sequence.",
    tier=1,
    contextual=True,
)
def cons(run: Run, first: Value, rest: Value) -> Value:
    match rest:
        case None | Cons():
            return Cons(first, rest)
        case list():
            grown(run, len(rest) + 1)
            return [first, *rest]
        case Lazy():
            return prepend(first, rest)
        case _:
            return Pair(first, rest)


def grown(run: Run, size: int) -> None:
    """Charge for a copy of `size` elements and check that it may exist."""
    run.check_size(size)
    run.charge(size >> 6)


@builtin("append", "sequence value", "The vector, string, bytes or set with the value added.", tier=1, contextual=True)
def append(run: Run, sequence: Value, value: Value) -> Value:
    match sequence:
        case list():
            grown(run, len(sequence) + 1)
            return [*sequence, value]
        case str():
            if type(value) is not str:
                raise mismatch(value, "string")
            run.check_text(len(sequence) + len(value))
            return sequence + value
        case bytes():
            grown(run, len(sequence) + 1)
            return sequence + bytes_([value])
        case AleSet():
            grown(run, len(sequence.members) + 1)
            return AleSet({**sequence.members, freeze(run, value): value})
        case _:
            raise mismatch(sequence, "appender")


@builtin(
    "conj",
    "sequence value",
    "The value added where it is cheapest: at the end of vectors, the front of lists.",
    tier=1,
    contextual=True,
)
def conj(run: Run, sequence: Value, value: Value) -> Value:
    if type(sequence) in kinds.APPENDERS:
        return append(run, sequence, value)
    if type(sequence) is dict:
        return assoc(run, sequence, value)
    if type(sequence) not in kinds.SEQUENCES:
        raise mismatch(sequence, "sequence")
    return cons(run, value, sequence)


@builtin("assoc", "object pair", "The object with a member: `(assoc m (:key . value))`.", tier=1, contextual=True)
def assoc(run: Run, container: Value, pair: Value) -> Value:
    if type(container) is not dict:
        raise mismatch(container, "mapper")
    match pair:
        case Pair():
            key, value = pair.car, pair.cdr
        case Cons():
            key, value = pair.first, pair.rest
        case list() if pair:
            key, value = pair[0], pair[1:]
        case _:
            raise mismatch(pair, "pair")
    grown(run, len(container) + 1)
    run.charge(len(container) >> 3)
    return {**container, freeze(run, key): value}


@builtin("dissoc", "object key", "The object without a member.", tier=1, contextual=True)
def dissoc(run: Run, container: Value, key: Value) -> Value:
    if type(container) is dict:
        members = container
    elif type(container) is AleSet:
        members = container.members
    else:
        raise mismatch(container, "mapper")
    without = freeze(run, key)
    if without not in members:
        return container
    run.charge(len(members) >> 3)
    result = dict(members)
    del result[without]
    return result if type(container) is dict else AleSet(result)


for _name, _step in (("assoc", assoc), ("dissoc", dissoc), ("append", append), ("conj", conj)):

    def _folded(run: Run, values: list[Value], step=_step) -> Value:  # pyright: ignore
        result = values[0]
        for value in values[1:]:
            result = step(run, result, value)
        return result

    builtin(f"{_name}*", "sequence values*", f"Calls {_name} once for each value.", tier=2, contextual=True)(_folded)


@builtin("cons*", "values+", "Conses all values but the last before the last one.", tier=2, contextual=True)
def cons_all(run: Run, values: list[Value]) -> Value:
    result = values[-1]
    for value in reversed(values[:-1]):
        result = cons(run, value, result)
    return result


@builtin("reverse", "sequence", "A list, vector, string or bytes backwards.", tier=1, contextual=True)
def reverse(run: Run, sequence: Value) -> Value:
    match sequence:
        case list() | str() | bytes():
            run.charge(len(sequence) >> 6)
            return sequence[::-1]
        case None | Cons():
            return reverse_any(run, sequence)
        case _:
            raise mismatch(sequence, "reverser")


@builtin("reverse!", "sequence", "The list of any sequence's elements, backwards.", tier=3, contextual=True)
def reverse_any(run: Run, sequence: Value) -> Value:
    return linked(elements(run, sequence)[::-1])


def gathered(run: Run, sequences: list[Value]) -> list[Value]:
    """The elements of several sequences, in a new list."""
    result: list[Value] = []
    for sequence in sequences:
        result.extend(elements(run, sequence))
        run.check_size(len(result))
    return result


@builtin("seq->vector", "sequences*", "The vector of all elements; realises lazy sequences.", tier=1, contextual=True)
def to_vector(run: Run, sequences: list[Value]) -> Value:
    return gathered(run, sequences)


@builtin("seq->list", "sequences*", "The list of all elements.", tier=2, contextual=True)
def to_list(run: Run, sequences: list[Value]) -> Value:
    return linked(gathered(run, sequences))


@builtin("concat!", "sequences*", "The list of all elements.", tier=2, contextual=True)
def concat_now(run: Run, sequences: list[Value]) -> Value:
    return linked(gathered(run, sequences))


@builtin("seq->object", "sequences*", "The object of alternating keys and values.", tier=2, contextual=True)
def to_object(run: Run, sequences: list[Value]) -> Value:
    return object_(run, gathered(run, sequences))


@builtin("seq->set", "sequences*", "The set of all elements.", tier=2, contextual=True)
def to_set(run: Run, sequences: list[Value]) -> Value:
    return set_(run, gathered(run, sequences))


@builtin("str", "parts*", "The text of the parts, joined; null is nothing.", tier=1, contextual=True)
def str_(run: Run, parts: list[Value]) -> str:
    run.charge(len(parts))
    texts = [display(run, part) for part in parts]
    run.check_text(sum(map(len, texts)))
    return "".join(texts)


@builtin("str!", "parts*", "The parts as the reader would read them, with spaces between.", tier=3, contextual=True)
def str_read(run: Run, parts: list[Value]) -> str:
    texts = [show(run, part) for part in parts]
    run.check_text(sum(map(len, texts)) + len(texts))
    return " ".join(texts)
