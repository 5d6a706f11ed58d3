"""Procedures over sequences that call back: mapping, folding, and everything lazy."""

import math
from itertools import product

from argyll.scripts.ale import kinds, numbers
from argyll.scripts.ale.calls import call, check_index
from argyll.scripts.ale.catalogue import builtin, constant, procedure
from argyll.scripts.ale.kinds import mismatch
from argyll.scripts.ale.lazy import END, Pull, elements, first_of, force, from_pull, is_empty, pull_from, rest_of
from argyll.scripts.ale.run import Run
from argyll.scripts.ale.values import MISSING, Lazy, Value, failure, linked

constant("*space*", " ", "A space.", tier=3)
constant("*newline*", "\n", "A line break.", tier=3)


def _pull_or_nothing(run: Run, value: Value) -> Pull:
    """Lazy procedures treat what is no sequence as an empty one."""
    return pull_from(run, value if type(value) in kinds.SEQUENCES else None)


@builtin(
    "map",
    "procedure sequence sequences*",
    "The lazy sequence of the results; ends with the shortest sequence.",
    tier=1,
    contextual=True,
)
def map_(run: Run, arguments: list[Value]) -> Value:
    function, *sequences = arguments
    if len(sequences) == 1:
        return comprehend(run, function, sequences[0] if type(sequences[0]) in kinds.SEQUENCES else None)
    pulls = [_pull_or_nothing(run, sequence) for sequence in sequences]

    def pull(run: Run) -> Value:
        run.charge(len(pulls))
        values: list[Value] = []
        for each in pulls:
            value = each(run)
            if value is END:
                return END
            values.append(value)
        return call(run, function, values)

    return from_pull(pull)


@builtin("map!", "procedure sequence", "The list of the results, computed at once.", tier=3, contextual=True)
def map_now(run: Run, function: Value, sequence: Value) -> Value:
    return linked([call(run, function, [value]) for value in elements(run, sequence)])


@builtin(
    "filter",
    "procedure sequence",
    "The lazy sequence of the elements for which the result is not false.",
    tier=1,
    contextual=True,
)
def filter_(run: Run, function: Value, sequence: Value) -> Value:
    source = _pull_or_nothing(run, sequence)

    def pull(run: Run) -> Value:
        while (value := source(run)) is not END:
            run.charge(1)
            if call(run, function, [value]) is not False:
                return value
        return END

    return from_pull(pull)


@builtin(
    "fold-left", "procedure initial? sequence",
    "The procedure applied to the result so far and each element, from the left.",
    tier=1, aliases=("foldl", "reduce"), contextual=True,
)  # fmt: skip
def fold_left(run: Run, function: Value, second: Value, third: Value = MISSING) -> Value:
    pull = pull_from(run, second if third is MISSING else third)
    result = second
    if third is MISSING:
        result = pull(run)
        if result is END:
            return call(run, function, [])
    while (value := pull(run)) is not END:
        run.charge(1)
        result = call(run, function, [result, value])
    return result


@builtin(
    "fold-right", "procedure initial? sequence",
    "The procedure applied to each element and the result so far, from the right.",
    tier=2, aliases=("foldr", "fold-right!"), contextual=True,
)  # fmt: skip
def fold_right(run: Run, function: Value, second: Value, third: Value = MISSING) -> Value:
    items = list(elements(run, second if third is MISSING else third))
    result = second
    if third is MISSING:
        if not items:
            return call(run, function, [])
        result = items.pop()
    for value in reversed(items):
        result = call(run, function, [value, result])
    return result


def _concatenated(source: Pull) -> Value:
    inner: Pull | None = None

    def pull(run: Run) -> Value:
        nonlocal inner
        while True:
            if inner is not None and (value := inner(run)) is not END:
                return value
            sequence = source(run)
            if sequence is END:
                inner = None
                return END
            run.charge(1)
            inner = pull_from(run, sequence)

    return from_pull(pull)


@builtin("mapcat", "procedure sequences*", "The lazy concatenation of the results.", tier=2, contextual=True)
def mapcat(run: Run, arguments: list[Value]) -> Value:
    if len(arguments) == 1:
        return _concatenated(pull_from(run, None))
    return _concatenated(pull_from(run, map_(run, arguments)))


@builtin("concat", "sequences*", "The lazy concatenation of the sequences.", tier=2, contextual=True)
def concat(run: Run, sequences: list[Value]) -> Value:
    return _concatenated(pull_from(run, sequences))


@builtin("zip", "sequences*", "The lazy sequence of vectors of corresponding elements.", tier=2, contextual=True)
def zip_(run: Run, sequences: list[Value]) -> Value:
    pulls = [_pull_or_nothing(run, sequence) for sequence in sequences]

    def pull(run: Run) -> Value:
        run.charge(len(pulls))
        values: list[Value] = []
        for each in pulls:
            value = each(run)
            if value is END:
                return END
            values.append(value)
        return values if values else END

    return from_pull(pull)


def _whole(count: Value) -> int:
    """A count, which may be a JSON number."""
    numbers.check_number(count)
    if count != count:
        raise failure("a count cannot be NaN")
    return int(min(max(count, 0), 2**53)) if count not in (math.inf, -math.inf) else 2**53 if count > 0 else 0


@builtin("take", "count sequence", "The lazy sequence of the first elements.", tier=2, contextual=True)
def take(run: Run, count: Value, sequence: Value) -> Value:
    source, left = _pull_or_nothing(run, sequence), _whole(count)

    def pull(run: Run) -> Value:
        nonlocal left
        if left <= 0:
            return END
        left -= 1
        return source(run)

    return from_pull(pull)


@builtin("drop", "count sequence", "The lazy sequence without the first elements.", tier=2, contextual=True)
def drop(run: Run, count: Value, sequence: Value) -> Value:
    source, left = _pull_or_nothing(run, sequence), _whole(count)

    def pull(run: Run) -> Value:
        nonlocal left
        while left > 0:
            left -= 1
            run.charge(1)
            if source(run) is END:
                left = 0
        return source(run)

    return from_pull(pull)


@builtin(
    "take-while",
    "procedure sequence",
    "The lazy sequence of elements up to the first for which the result is false.",
    tier=2,
    contextual=True,
)
def take_while(run: Run, function: Value, sequence: Value) -> Value:
    source = _pull_or_nothing(run, sequence)

    def pull(run: Run) -> Value:
        value = source(run)
        return value if value is not END and call(run, function, [value]) is not False else END

    return from_pull(pull)


@builtin(
    "partition",
    "count step? sequence",
    "The lazy sequence of lists of `count` elements, one every `step`; the last may be short.",
    tier=2,
    contextual=True,
)
def partition(run: Run, count: Value, second: Value, third: Value = MISSING) -> Value:
    size = check_index(int(count) if type(count) is float and count.is_integer() else count)
    stride = size if third is MISSING else _whole(second)
    if size < 1 or stride < 1:
        raise failure("partition needs a count and a step of at least 1")
    source = _pull_or_nothing(run, second if third is MISSING else third)
    window: list[Value] = []
    ended = False

    def pull(run: Run) -> Value:
        nonlocal window, ended
        while not ended and len(window) < size:
            run.check_size(len(window))
            value = source(run)
            if value is END:
                ended = True
            else:
                window.append(value)
        if not window:
            return END
        run.charge(len(window))
        result = linked(window[:size])
        window = window[stride:]
        for _ in range(max(0, stride - size)):
            run.charge(1)
            if ended or source(run) is END:
                ended = True
                break
        return result

    return from_pull(pull)


@builtin(
    "range", "from? to? step?", "Lazy numbers: endless, from 0 towards `to`, or between two numbers by a step.", tier=1
)
def range_(first: Value = MISSING, second: Value = MISSING, third: Value = MISSING) -> Value:
    start, end, step = 0, second, 1 if third is MISSING else third
    if second is MISSING:
        end = math.inf if first is MISSING else first
        numbers.check_number(end)
        step = -1 if end < 0 else 1
    else:
        start = first
    for number in (start, end, step):
        numbers.check_number(number)
    if step == 0:
        raise failure("the step of a range cannot be zero")
    ascending = step > 0
    current: Value = start

    def pull(run: Run) -> Value:
        nonlocal current
        if not (current < end if ascending else current > end):
            return END
        value = current
        current = numbers.add(run, current, step)
        return value

    return from_pull(pull)


@builtin(
    "cartesian-product",
    "sequence sequences*",
    "The list of all combinations, one element from each sequence.",
    tier=3,
    contextual=True,
)
def cartesian_product(run: Run, sequences: list[Value]) -> Value:
    columns = [elements(run, sequence) for sequence in sequences]
    size = 1 if all(columns) else 0
    for column in columns:
        size *= len(column)
        run.check_size(size)
    run.charge(size * len(columns))
    return linked([linked(list(row)) for row in product(*columns)])


def delayed(_run: Run, thunk: Value) -> Value:
    """`lazy-seq`: a cell that becomes whatever sequence the thunk answers."""

    def produce(run: Run, cell: Lazy) -> bool:
        value = call(run, thunk, [])
        if type(value) is Lazy:
            if not force(run, value):
                return False
            cell.first, cell.rest = value.first, value.rest
            return True
        if type(value) not in kinds.SEQUENCES:
            raise mismatch(value, "sequence")
        if is_empty(run, value):
            return False
        cell.first, cell.rest = first_of(run, value), rest_of(run, value)
        return True

    return Lazy(produce)


def comprehend(run: Run, body: Value, sequence: Value) -> Value:
    """`for` over one sequence."""
    source = pull_from(run, sequence)

    def pull(run: Run) -> Value:
        value = source(run)
        return END if value is END else call(run, body, [value])

    return from_pull(pull)


def comprehend_nested(run: Run, body: Value, sequence: Value) -> Value:
    """`for` over a sequence whose body is itself a comprehension."""
    return _concatenated(pull_from(run, comprehend(run, body, sequence)))


def each(run: Run, body: Value, sequence: Value) -> Value:
    """`for-each` over one sequence: the value of the last turn."""
    pull, result = pull_from(run, sequence), None
    while (value := pull(run)) is not END:
        run.charge(1)
        result = call(run, body, [value])
    return result


def compose(functions: list[Value]) -> Value:
    """`comp`: the first takes all arguments, each further one the result."""

    def composed(run: Run, arguments: list[Value]) -> Value:
        if not functions:
            if len(arguments) != 1:
                raise failure(f"expected 1 argument, got {len(arguments)}")
            return arguments[0]
        run.charge(len(functions))
        result = call(run, functions[0], arguments)
        for function in functions[1:]:
            result = call(run, function, [result])
        return result

    return procedure("comp", "values*", composed, contextual=True)
