"""Access to sequences and objects."""

from itertools import product

from argyll.scripts.ale import kinds
from argyll.scripts.ale.calls import element
from argyll.scripts.ale.catalogue import builtin
from argyll.scripts.ale.equality import equal, freeze
from argyll.scripts.ale.kinds import mismatch
from argyll.scripts.ale.lazy import count, elements, first_of, is_empty, rest_of
from argyll.scripts.ale.run import Run
from argyll.scripts.ale.values import MISSING, AleSet, Value, failure

builtin("first", "sequence", "The first element, null when empty.", tier=1, aliases=("car",), contextual=True)(first_of)
builtin("rest", "sequence", "All but the first element, of the same kind.", tier=1, aliases=("cdr",), contextual=True)(
    rest_of
)


def _path(letters: str) -> None:
    steps = [first_of if letter == "a" else rest_of for letter in reversed(letters)]
    told = " of the ".join("first" if letter == "a" else "rest" for letter in letters)

    @builtin(f"c{letters}r", "sequence", f"The {told}.", tier=3, contextual=True)
    def walk(run: Run, sequence: Value) -> Value:
        for step in steps:
            sequence = step(run, sequence)
        return sequence


for _length in (2, 3, 4):
    for _letters in product("ad", repeat=_length):
        _path("".join(_letters))


def length(value: Value) -> int:
    """Elements of a counted sequence."""
    if type(value) not in kinds.COUNTED:
        raise mismatch(value, "counted")
    return count(value)


builtin("length", "sequence", "The number of elements, characters or members. Not for lazy sequences.", tier=1)(length)


@builtin("length!", "sequence", "The number of elements; walks lazy sequences.", tier=2, contextual=True)
def count_all(run: Run, sequence: Value) -> int:
    return len(elements(run, sequence))


@builtin("last", "sequence", "The last element, null when empty. Not for lazy sequences.", tier=1, contextual=True)
def last(run: Run, sequence: Value) -> Value:
    if type(sequence) not in kinds.INDEXED:
        raise mismatch(sequence, "indexed")
    return last_of_any(run, sequence)


@builtin("last!", "sequence", "The last element of any sequence.", tier=3, contextual=True)
def last_of_any(run: Run, sequence: Value) -> Value:
    items = sequence if type(sequence) in (list, str, bytes) else elements(run, sequence)
    return items[-1] if items else None


@builtin("nth", "sequence index default?", "The element at an integer index, counted from 0.", tier=1, contextual=True)
def nth(run: Run, sequence: Value, index: Value, default: Value = MISSING) -> Value:
    return element(run, sequence, index, default)


@builtin("nth!", "sequence index default?", "Like nth, for any sequence.", tier=3, contextual=True)
def nth_of_any(run: Run, sequence: Value, index: Value, default: Value = MISSING) -> Value:
    items = sequence if type(sequence) in kinds.INDEXED else elements(run, sequence)
    return element(run, items, index, default)


@builtin("seq", "value", "The value if it is a sequence with elements, else false.", tier=2, contextual=True)
def seq(run: Run, value: Value) -> Value:
    return value if type(value) in kinds.SEQUENCES and not is_empty(run, value) else False


@builtin("seq!", "sequence", "The sequence if it has elements, else false.", tier=3, contextual=True)
def seq_strict(run: Run, sequence: Value) -> Value:
    return False if is_empty(run, sequence) else sequence


@builtin("contains?", "container key", "Whether an object has the key or a set the member.", tier=1, contextual=True)
def contains(run: Run, container: Value, key: Value) -> bool:
    if type(container) is dict:
        return freeze(run, key) in container
    return type(container) is AleSet and freeze(run, key) in container.members


@builtin(
    "get",
    "container key default?",
    "The member under the key; without default a missing one is a failure.",
    tier=1,
    contextual=True,
)
def get(run: Run, container: Value, key: Value, default: Value = MISSING) -> Value:
    if type(container) not in kinds.MAPPED:
        raise mismatch(container, "mapped")
    members = container if type(container) is dict else container.members
    value = members.get(freeze(run, key), default)
    if value is MISSING:
        raise failure("key not found")
    return value


@builtin(
    "index-of",
    "sequence value",
    "The index of the first element equal to the value, else false.",
    tier=2,
    contextual=True,
)
def index_of(run: Run, sequence: Value, value: Value) -> Value:
    for index, item in enumerate(elements(run, sequence)):
        if equal(run, item, value):
            return index
    return False
