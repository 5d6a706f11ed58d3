"""Core language to Python closures. Each takes a frame and answers a value, or TAIL for a call still to be made.

Arguments are evaluated right to left, then the operator. Counting happens at lambda calls (fuel and depth) and inside
built-in loops; everything else is bounded by the length of a body. A failure on its way out of a call notes that call; a
tail call has left its frame and is not noted.
"""

from collections.abc import Callable
from typing import Final

from argyll.scripts.ale import core
from argyll.scripts.ale.builtincalls import builtin_call, placed_call
from argyll.scripts.ale.calls import bind, call
from argyll.scripts.ale.equality import equal, freeze
from argyll.scripts.ale.values import (
    TAIL,
    UNSET,
    AleError,
    AleSet,
    Builtin,
    Clause,
    Closure,
    Cons,
    Frame,
    Key,
    Keyword,
    Node,
    Pair,
    Value,
    failure,
)


def compile_node(form: core.Core, tail: bool = False) -> Node:
    """The closure for a core form. Only a `tail` one may answer TAIL, to a caller that follows it."""
    return _COMPILERS[type(form)](form, tail)


LONG_BODY: Final = 64
"""A body of more forms than this costs a step more for every four of them; shorter ones cost the step of their call."""


def compile_body(form: core.Core) -> Node:
    """The closure for a body, which may answer TAIL; a long one charges for its length."""
    body = compile_node(form, tail=True)
    steps = (core.size(form) - LONG_BODY) >> 2
    if steps <= 0:
        return body

    def charged(f: Frame) -> Value:
        f[0].charge(steps)
        return body(f)

    return charged


def _const(form: core.Const, _tail: bool) -> Node:
    value = form.value
    return lambda f: value


def _local(form: core.Local, _tail: bool) -> Node:
    depth, i = form.depth, form.index
    if form.checked:
        return _checked_local(form)
    if depth == 0:
        return lambda f: f[i]
    if depth == 1:
        return lambda f: f[1][i]
    if depth == 2:
        return lambda f: f[1][1][i]

    def outer(f: Frame) -> Value:
        for _ in range(depth):
            f = f[1]
        return f[i]

    return outer


def _checked_local(form: core.Local) -> Node:
    depth, i, name, offset = form.depth, form.index, form.name, form.offset

    def checked(f: Frame) -> Value:
        for _ in range(depth):
            f = f[1]
        value = f[i]
        if value is UNSET:
            raise failure(f"{name} is used before it has a value").placed(offset)
        return value

    return checked


def _if(form: core.If, tail: bool) -> Node:
    test, then, other = compile_node(form.test), compile_node(form.then, tail), compile_node(form.other, tail)
    return lambda f: then(f) if test(f) is not False else other(f)


def _in_order(items: tuple[core.Core, ...], tail: bool) -> tuple[list[Node], Node]:
    return [compile_node(item) for item in items[:-1]], compile_node(items[-1], tail)


def _and(form: core.And, tail: bool) -> Node:
    heads, last = _in_order(form.items, tail)
    if len(heads) == 1:
        head = heads[0]
        return lambda f: last(f) if head(f) is not False else False

    def conjunction(f: Frame) -> Value:
        for head in heads:
            if head(f) is False:
                return False
        return last(f)

    return conjunction


def _or(form: core.Or, tail: bool) -> Node:
    heads, last = _in_order(form.items, tail)

    def disjunction(f: Frame) -> Value:
        for head in heads:
            value = head(f)
            if value is not False:
                return value
        return last(f)

    return disjunction


def _begin(form: core.Begin, tail: bool) -> Node:
    heads, last = _in_order(form.items, tail)

    def sequence(f: Frame) -> Value:
        for head in heads:
            head(f)
        return last(f)

    return sequence


def _let(form: core.Let, tail: bool) -> Node:
    values, body = [compile_node(value) for value in form.values], compile_node(form.body, tail)
    if len(values) == 1:
        value = values[0]
        return lambda f: body([f[0], f, value(f)])
    return lambda f: body([f[0], f, *[value(f) for value in values]])


def _let_rec(form: core.LetRec, tail: bool) -> Node:
    values, body = [compile_node(value) for value in form.values], compile_node(form.body, tail)
    unset = [UNSET] * len(values)

    def recursive(f: Frame) -> Value:
        inner = [f[0], f, *unset]
        for index, value in enumerate(values, 2):
            inner[index] = value(inner)
        return body(inner)

    return recursive


def _lambda(form: core.Lambda, _tail: bool) -> Node:
    clauses: tuple[Clause, ...] = tuple((c.count, c.rest, compile_body(c.body)) for c in form.clauses)
    count, rest, body = clauses[0]
    arity = count if len(clauses) == 1 and not rest else -1
    name = form.name
    return lambda f: Closure(arity, body, clauses, f, name)


def _vector(form: core.VectorOf, _tail: bool) -> Node:
    items = [compile_node(item) for item in form.items]
    return lambda f: [item(f) for item in items]


def _object(form: core.ObjectOf, _tail: bool) -> Node:
    values = [compile_node(value) for value in form.values]
    names = [key.value.name for key in form.keys if type(key) is core.Const and type(key.value) is Keyword]
    if len(names) == len(values) == len(set(names)):
        if len(names) == 1:
            name, value = names[0], values[0]
            return lambda f: {name: value(f)}
        members = list(zip(names, values, strict=True))
        return lambda f: {name: value(f) for name, value in members}
    keys, offset = [compile_node(key) for key in form.keys], form.offset

    def build(f: Frame) -> Value:
        result: dict[Key, Value] = {}
        for key, value in zip(keys, values, strict=True):
            result.setdefault(_frozen(f, key(f), offset), value(f))
        return result

    return build


def _set(form: core.SetOf, _tail: bool) -> Node:
    items, offset = [compile_node(item) for item in form.items], form.offset

    def build(f: Frame) -> Value:
        members: dict[Key, Value] = {}
        for item in items:
            value = item(f)
            members.setdefault(_frozen(f, value, offset), value)
        return AleSet(members)

    return build


def _frozen(f: Frame, value: Value, offset: int) -> Key:
    try:
        return freeze(f[0], value)
    except AleError as error:
        raise error.placed(offset) from None


def _pair(form: core.PairOf, _tail: bool) -> Node:
    car, cdr = compile_node(form.car), compile_node(form.cdr)

    def build(f: Frame) -> Value:
        first, second = car(f), cdr(f)
        return Cons(first, second) if second is None or type(second) is Cons else Pair(first, second)

    return build


def _case(form: core.Case, tail: bool) -> Node:
    subject, offset = compile_node(form.subject), form.offset
    branches = [([compile_node(c) for c in candidates], compile_node(body, tail)) for candidates, body in form.branches]

    def choose(f: Frame) -> Value:
        value = subject(f)
        for candidates, body in branches:
            for candidate in candidates:
                if equal(f[0], value, candidate(f)):
                    return body(f)
        raise failure("no cases could be matched").placed(offset)

    return choose


def _try(form: core.Try, _tail: bool) -> Node:
    body = compile_node(form.body)
    catches = [(compile_node(applies), compile_node(handler)) for applies, handler in form.catches]
    ensure = None if form.ensure is None else compile_node(form.ensure)

    def attempt(f: Frame) -> Value:
        run = f[0]
        depth = run.depth
        try:
            return body(f)
        except AleError as error:
            run.depth = depth
            for applies, handler in catches:
                if call(run, applies(f), [error.value]) is not False:
                    return call(run, handler(f), [error.value])
            raise

    if ensure is None:
        return attempt
    last = ensure

    def ensured(f: Frame) -> Value:
        run = f[0]
        depth = run.depth
        try:
            result = attempt(f)
        except AleError:
            run.depth = depth
            last(f)
            raise
        last(f)
        return result

    return ensured


def _call(form: core.Call, tail: bool) -> Node:
    function, offset = form.function, form.offset
    arguments = [compile_node(argument) for argument in form.arguments]
    if type(function) is core.Const:
        value = function.value
        if type(value) is Keyword and 1 <= len(arguments) <= 2:
            return _keyword_call(value.name, arguments, offset)
        if type(value) is Builtin:
            return builtin_call(value, arguments, offset)
    operator = compile_node(function)
    return _tail_call(operator, arguments, offset) if tail else _plain_call(operator, arguments, offset)


def _keyword_call(name: str, arguments: list[Node], offset: int) -> Node:
    container = arguments[0]
    keyword = Keyword(name)
    if len(arguments) == 1:

        def member(f: Frame) -> Value:
            value = container(f)
            if type(value) is dict:
                return value.get(name)
            return placed_call(f, keyword, [value], offset)

        return member
    default = arguments[1]

    def member_or(f: Frame) -> Value:
        fallback = default(f)
        value = container(f)
        if type(value) is dict:
            return value.get(name, fallback)
        return placed_call(f, keyword, [value, fallback], offset)

    return member_or


def _enter(run: Value, function: Value, arguments: list[Value], offset: int) -> tuple[Node, Frame]:
    """Body and frame of a lambda call whose clause has to be looked for."""
    try:
        return bind(run, function, arguments)
    except AleError as error:
        raise error.placed(offset) from None


def _plain_call(operator: Node, arguments: list[Node], offset: int) -> Node:
    if len(arguments) == 1:
        return _plain_call1(operator, arguments[0], offset)
    count, backwards = len(arguments), arguments[::-1]

    def node(f: Frame) -> Value:
        values = [argument(f) for argument in backwards]
        values.reverse()
        function = operator(f)
        run = f[0]
        if type(function) is not Closure:
            return placed_call(f, function, values, offset)
        if function.arity == count:
            body, frame = function.body, [run, function.env, *values]
        else:
            body, frame = _enter(run, function, values, offset)
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
            raise error.through(function.name, offset) from None
        run.depth = depth + 1
        return result

    return node


def _plain_call1(operator: Node, argument: Node, offset: int) -> Node:
    def node(f: Frame) -> Value:
        value = argument(f)
        function = operator(f)
        run = f[0]
        if type(function) is not Closure:
            return placed_call(f, function, [value], offset)
        if function.arity == 1:
            body, frame = function.body, [run, function.env, value]
        else:
            body, frame = _enter(run, function, [value], offset)
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
            raise error.through(function.name, offset) from None
        run.depth = depth + 1
        return result

    return node


def _tail_call(operator: Node, arguments: list[Node], offset: int) -> Node:
    if len(arguments) == 1:
        return _tail_call1(operator, arguments[0], offset)
    if len(arguments) == 2:
        return _tail_call2(operator, arguments[0], arguments[1], offset)
    count, backwards = len(arguments), arguments[::-1]

    def node(f: Frame) -> Value:
        values = [argument(f) for argument in backwards]
        values.reverse()
        function = operator(f)
        run = f[0]
        if type(function) is not Closure:
            return placed_call(f, function, values, offset)
        if function.arity == count:
            run.next_body, run.next_frame = function.body, [run, function.env, *values]
        else:
            run.next_body, run.next_frame = _enter(run, function, values, offset)
        fuel = run.fuel - 1
        run.fuel = fuel if fuel >= 0 else run.refuel(1)
        return TAIL

    return node


def _tail_call1(operator: Node, argument: Node, offset: int) -> Node:
    def node(f: Frame) -> Value:
        value = argument(f)
        function = operator(f)
        run = f[0]
        if type(function) is not Closure:
            return placed_call(f, function, [value], offset)
        if function.arity == 1:
            run.next_body, run.next_frame = function.body, [run, function.env, value]
        else:
            run.next_body, run.next_frame = _enter(run, function, [value], offset)
        fuel = run.fuel - 1
        run.fuel = fuel if fuel >= 0 else run.refuel(1)
        return TAIL

    return node


def _tail_call2(operator: Node, left: Node, right: Node, offset: int) -> Node:
    def node(f: Frame) -> Value:
        second = right(f)
        first = left(f)
        function = operator(f)
        run = f[0]
        if type(function) is not Closure:
            return placed_call(f, function, [first, second], offset)
        if function.arity == 2:
            run.next_body, run.next_frame = function.body, [run, function.env, first, second]
        else:
            run.next_body, run.next_frame = _enter(run, function, [first, second], offset)
        fuel = run.fuel - 1
        run.fuel = fuel if fuel >= 0 else run.refuel(1)
        return TAIL

    return node


_COMPILERS: Final[dict[type, Callable[..., Node]]] = {
    core.Const: _const,
    core.Local: _local,
    core.If: _if,
    core.And: _and,
    core.Or: _or,
    core.Begin: _begin,
    core.Let: _let,
    core.LetRec: _let_rec,
    core.Lambda: _lambda,
    core.VectorOf: _vector,
    core.ObjectOf: _object,
    core.SetOf: _set,
    core.PairOf: _pair,
    core.Case: _case,
    core.Try: _try,
    core.Call: _call,
}
