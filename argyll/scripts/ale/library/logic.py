"""Equality, truth, failures, kinds of values and calling of procedures."""
# Plain loops, no all(): a generator costs more than these loops and nests C frames.
# ruff: noqa: SIM110

from collections.abc import Callable

from argyll.scripts.ale import kinds
from argyll.scripts.ale.calls import call
from argyll.scripts.ale.catalogue import builtin, constant, procedure
from argyll.scripts.ale.equality import equal
from argyll.scripts.ale.kinds import mismatch
from argyll.scripts.ale.lazy import elements, is_empty
from argyll.scripts.ale.library.predicates import predicate
from argyll.scripts.ale.printer import display
from argyll.scripts.ale.run import Run
from argyll.scripts.ale.values import (
    AleError,
    AleSet,
    Cons,
    Keyword,
    Lazy,
    Pair,
    Symbol,
    SyntaxName,
    Value,
    failure,
)

constant("true", True, "True. Every value but false counts as true.", tier=1)
constant("false", False, "The only false value.", tier=1)
constant("null", None, "Nothing; also the empty list. Counts as true.", tier=1)


@builtin(
    "eq",
    "value values*",
    "Whether all values are equal in kind and content: (eq 1 1.0) is false.",
    tier=1,
    contextual=True,
)
def eq(run: Run, values: list[Value]) -> bool:
    for index in range(1, len(values)):
        if not equal(run, values[index - 1], values[index]):
            return False
    return True


@builtin("!eq", "value values*", "Whether not all values are equal.", tier=1, contextual=True)
def not_eq(run: Run, values: list[Value]) -> bool:
    return not eq(run, values)


@builtin("not", "value", "True only for false.", tier=1)
def not_(value: Value) -> bool:
    return value is False


@builtin("identity", "value", "The value itself.", tier=2)
def identity(value: Value) -> Value:
    return value


@builtin("constantly", "value", "A procedure that always answers the value.", tier=2)
def constantly(value: Value) -> Value:
    def always(_arguments: list[Value]) -> Value:
        return value

    return procedure("constantly", "values*", always)


@builtin("no-op", "values*", "Null, whatever the arguments.", tier=2)
def no_op(_values: list[Value]) -> Value:
    return None


@builtin("raise", "parts*", "Fails with the text of the parts, joined as by str.", tier=1, contextual=True)
def raise_(run: Run, parts: list[Value]) -> Value:
    texts = [display(run, part) for part in parts]
    run.check_text(sum(map(len, texts)))
    raise failure("".join(texts))


@builtin(
    "recover", "thunk handler", "The thunk's value, or what the handler makes of its failure. Limits cannot be recovered.",
    tier=2, contextual=True,
)  # fmt: skip
def recover(run: Run, thunk: Value, handler: Value) -> Value:
    depth = run.depth
    try:
        return call(run, thunk, [])
    except AleError as error:
        run.depth = depth
        value = error.value
    return call(run, handler, [value])


@builtin(
    "apply",
    "procedure arguments*",
    "Calls the procedure; the last argument is a sequence of further arguments.",
    tier=1,
    contextual=True,
)
def apply(run: Run, arguments: list[Value]) -> Value:
    function, *rest = arguments
    if not rest:
        return call(run, function, [])
    return call(run, function, [*rest[:-1], *elements(run, rest[-1])])


@builtin(
    "partial", "procedure arguments*", "A procedure with its first arguments already given.", tier=2, contextual=True
)
def partial(_run: Run, arguments: list[Value]) -> Value:
    function, *first = arguments

    def applied(run: Run, rest: list[Value]) -> Value:
        run.charge(len(first) >> 4)
        return call(run, function, first + rest)

    return procedure("partial", "values*", applied, contextual=True)


@builtin(
    "juxt",
    "procedure procedures*",
    "A procedure that answers the vector of what each procedure answers.",
    tier=3,
    contextual=True,
)
def juxt(_run: Run, functions: list[Value]) -> Value:
    def every(run: Run, arguments: list[Value]) -> Value:
        run.charge(len(functions))
        return [call(run, function, list(arguments)) for function in functions]

    return procedure("juxt", "values*", every, contextual=True)


def _is_mapped(value: Value) -> bool:
    return type(value) in kinds.MAPPED


TESTS: dict[str, tuple[str, Callable[[Value], bool], int]] = {
    "null": ("null", lambda v: v is None, 1),
    "string": ("a string", lambda v: type(v) is str, 1),
    "number": ("a number", lambda v: type(v) in kinds.NUMBERS, 1),
    "boolean": ("a boolean", lambda v: type(v) is bool, 1),
    "keyword": ("a keyword", lambda v: type(v) is Keyword, 1),
    "vector": ("a vector", lambda v: type(v) is list, 1),
    "list": ("a list, null included", lambda v: v is None or type(v) is Cons, 1),
    "object": ("an object", lambda v: type(v) is dict, 1),
    "true": ("true", lambda v: v is True, 1),
    "false": ("false", lambda v: v is False, 1),
    "seq": ("a sequence", lambda v: type(v) in kinds.SEQUENCES, 2),
    "symbol": ("a symbol", lambda v: type(v) is Symbol, 2),
    "procedure": ("a procedure", lambda v: type(v) in kinds.PROCEDURES, 2),
    "set": ("a set", lambda v: type(v) is AleSet, 2),
    "pair": ("something with first and rest", lambda v: type(v) in (Pair, Cons) or _non_empty(v), 2),
    "cons": ("a dotted pair", lambda v: type(v) is Pair, 2),
    "mapped": ("an object or set", _is_mapped, 2),
    "indexed": ("a sequence with indexes", lambda v: type(v) in kinds.INDEXED, 2),
    "counted": ("a sequence of known length", lambda v: type(v) in kinds.COUNTED, 2),
    "any": ("anything", lambda _v: True, 3),
    "appendable": ("a sequence that append takes", lambda v: type(v) in kinds.APPENDERS, 3),
    "atom": ("neither a pair nor a non-empty sequence", lambda v: not (type(v) in (Pair, Cons) or _non_empty(v)), 3),
    "bytes": ("bytes", lambda v: type(v) is bytes, 3),
    "local": ("a symbol without domain", lambda v: type(v) is Symbol and v.domain is None, 3),
    "mapper": ("an object", lambda v: type(v) is dict, 3),
    "qualified": ("a symbol with a domain", lambda v: type(v) is Symbol and v.domain is not None, 3),
    "reversible": ("a sequence that reverse takes", lambda v: type(v) in kinds.INDEXED, 3),
    "macro": ("a macro", lambda v: type(v) is SyntaxName and v.macro, 3),
    "special": ("a special form", lambda v: type(v) is SyntaxName and not v.macro, 3),
}  # fmt: skip
"""Kind name -> (words, test, tier); each gives `name?`, `!name?`, and a name for `is-a` and `assert-type`."""


def _non_empty(value: Value) -> bool:
    match value:
        case list() | str() | bytes() | dict():
            return len(value) > 0
        case AleSet():
            return bool(value.members)
        case _:
            return type(value) is Lazy


for _name, (_what, _test, _tier) in TESTS.items():
    predicate(f"{_name}?", _what, _test, tier=_tier)


@builtin("empty?", "sequence sequences*", "Whether every sequence is empty.", tier=1, contextual=True)
def empty(run: Run, values: list[Value]) -> bool:
    for value in values:
        if not is_empty(run, value):
            return False
    return True


@builtin("!empty?", "sequence sequences*", "Whether no sequence is empty.", tier=1, contextual=True)
def not_empty(run: Run, values: list[Value]) -> bool:
    for value in values:
        if is_empty(run, value):
            return False
    return True


def _passes(run: Run, name: Value, value: Value) -> bool:
    if type(name) is not Keyword:
        raise mismatch(name, "keyword")
    if name.name == "empty":
        return is_empty(run, value)
    if name.name not in TESTS:
        raise failure(f"unknown type :{name.name}")
    return TESTS[name.name][1](value)


@builtin("is-a", "type value", "Whether the value is of the type, a keyword such as :string.", tier=3, contextual=True)
def is_a(run: Run, name: Value, value: Value) -> bool:
    return _passes(run, name, value)


@builtin("assert-type", "type value", "The value, if it is of the type; else a failure.", tier=3, contextual=True)
def assert_type(run: Run, name: Value, value: Value) -> Value:
    if not _passes(run, name, value):
        raise mismatch(value, name.name)
    return value


@builtin("sym", "name", "The symbol of a string, keyword or symbol.", tier=3, contextual=True)
def sym(run: Run, name: Value) -> Value:
    match name:
        case Symbol():
            return name
        case str():
            run.check_text(len(name))
            domain, slash, local = name.partition("/")
            return Symbol(local, domain) if slash and domain and local else Symbol(name)
        case Keyword():
            return Symbol(name.name)
        case _:
            raise mismatch(name, "string")
