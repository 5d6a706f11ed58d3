"""The macros of Ale: forms that are told in terms of other forms. Users cannot define any.

What a macro adds is named `ale/...` or by names no script can write, so locals of the script never capture it.
"""

from collections.abc import Callable

from argyll.scripts.ale import core
from argyll.scripts.ale.catalogue import GLOBALS, procedure
from argyll.scripts.ale.expander import DOMAIN, FORMS, Expander, Scope, syntax
from argyll.scripts.ale.library import lazily
from argyll.scripts.ale.reader import Form, Tag
from argyll.scripts.ale.special import procedure as lambda_of
from argyll.scripts.ale.special import recursive
from argyll.scripts.ale.values import Keyword, Symbol

_FOR = core.Const(procedure("for", "body sequence", lazily.comprehend, contextual=True))
_FOR_NESTED = core.Const(procedure("for", "body sequence", lazily.comprehend_nested, contextual=True))
_FOR_EACH = core.Const(procedure("for-each", "body sequence", lazily.each, contextual=True))
_LAZY_SEQ = core.Const(procedure("lazy-seq", "body", lazily.delayed, contextual=True))
_COMPOSE = core.Const(procedure("comp", "functions*", lazily.compose))


def _ale(name: str, form: Form) -> Form:
    return Form(Tag.SYMBOL, form.offset, Symbol(name, DOMAIN))


def _plain(name: str, form: Form) -> Form:
    return Form(Tag.SYMBOL, form.offset, Symbol(name))


def _list(form: Form, *items: Form) -> Form:
    return Form(Tag.LIST, form.offset, items=items)


def _vector(form: Form, *items: Form) -> Form:
    return Form(Tag.VECTOR, form.offset, items=items)


def _let(form: Form, name: Form, value: Form, body: Form) -> Form:
    return _list(form, _ale("let", form), _vector(form, name, value), body)


@syntax("and", "forms*", "The last value, or false as soon as one is false; true without forms.", tier=1)
def and_(expander: Expander, form: Form, scope: Scope) -> core.Core:
    items = expander.expand_all(form.items[1:], scope)
    return core.And(items) if len(items) > 1 else items[0] if items else core.Const(True)


@syntax("or", "forms*", "The first value that is not false, else false.", tier=1)
def or_(expander: Expander, form: Form, scope: Scope) -> core.Core:
    items = expander.expand_all(form.items[1:], scope)
    return core.Or(items) if len(items) > 1 else items[0] if items else core.Const(False)


def _negated(value: core.Core) -> core.Core:
    return core.If(value, core.Const(False), core.Const(True))


@syntax("!and", "forms*", "Whether `and` is false.", tier=3)
def not_and(expander: Expander, form: Form, scope: Scope) -> core.Core:
    return _negated(and_(expander, form, scope))


@syntax("!or", "forms*", "Whether `or` is false.", tier=3)
def not_or(expander: Expander, form: Form, scope: Scope) -> core.Core:
    return _negated(or_(expander, form, scope))


@syntax("cond", "clauses*", "`[test value]` pairs: the value of the first test that is not false, else null.", tier=1)
def cond(expander: Expander, form: Form, scope: Scope) -> core.Core:
    result: core.Core = core.Const(None)
    for clause in reversed(form.items[1:]):
        if clause.tag is not Tag.VECTOR or len(clause.items) != 2:
            expander.fail(clause, "a clause of cond is [test value]")
        test, value = expander.expand_all(clause.items, scope)
        result = core.If(test, value, result)
    return result


@syntax(
    "case",
    "subject branches*",
    "`[value result]` or `[(v1 v2) result]`: the first equal by eq; none is a failure.",
    tier=1,
)
def case(expander: Expander, form: Form, scope: Scope) -> core.Core:
    branches: list[tuple[tuple[core.Core, ...], core.Core]] = []
    for branch in form.items[2:]:
        if branch.tag is not Tag.VECTOR or len(branch.items) != 2:
            expander.fail(branch, "a branch of case is [value result] or [(value value) result]")
        candidates, result = branch.items
        several = candidates.tag is Tag.LIST and candidates.items and candidates.items[0].name != "quote"
        wanted = candidates.items if several else (candidates,)
        branches.append((expander.expand_all(wanted, scope), expander.expand(result, scope)))
    return core.Case(expander.expand(form.items[1], scope), tuple(branches), form.offset)


@syntax("when", "test body*", "The body unless the test is false; else null.", tier=1)
def when(expander: Expander, form: Form, scope: Scope) -> core.Core:
    return core.If(expander.expand(form.items[1], scope), expander.body(form.items[2:], scope), core.Const(None))


@syntax("when-not", "test body*", "The body when the test is false; else null.", tier=2)
def when_not(expander: Expander, form: Form, scope: Scope) -> core.Core:
    return core.If(expander.expand(form.items[1], scope), core.Const(None), expander.body(form.items[2:], scope))


@syntax("unless", "test then else?", "`then` when the test is false, else `else` or null.", tier=1)
def unless(expander: Expander, form: Form, scope: Scope) -> core.Core:
    test, then, *other = expander.expand_all(form.items[1:], scope)
    return core.If(test, other[0] if other else core.Const(None), then)


@syntax("if-let", "binding then else?", "Binds `[name value]` and takes `then` unless the value is false.", tier=2)
def if_let(expander: Expander, form: Form, scope: Scope) -> core.Core:
    name, value = expander.binding(form.items[1])
    inner = Scope([name], scope)
    then, *other = expander.expand_all(form.items[2:], inner)
    test = core.Local(0, 2, name, form.offset)
    chosen = core.If(test, then, other[0] if other else core.Const(None))
    return core.Let((expander.expand(value, scope),), chosen)


@syntax("when-let", "binding body*", "Binds `[name value]` and evaluates the body unless the value is false.", tier=2)
def when_let(expander: Expander, form: Form, scope: Scope) -> core.Core:
    name, value = expander.binding(form.items[1])
    body = expander.body(form.items[2:], Scope([name], scope))
    chosen = core.If(core.Local(0, 2, name, form.offset), body, core.Const(None))
    return core.Let((expander.expand(value, scope),), chosen)


@syntax("let*", "bindings body+", "Binds names one after the other; each value sees the names before it.", tier=1)
def let_star(expander: Expander, form: Form, scope: Scope) -> core.Core:
    pairs = expander.bindings(form.items[1], unique=False)
    if not pairs:
        expander.fail(form.items[1], "let* needs at least one binding")
    values: list[core.Core] = []
    for name, value in pairs:
        values.append(expander.expand(value, scope))
        scope = Scope([name], scope)
    result = expander.body(form.items[2:], scope)
    for value in reversed(values):
        result = core.Let((value,), result)
    return result


@syntax("letfn", "lambdas body+", "Mutually recursive procedures: `(letfn [(lambda-rec f (x) ...)] ...)`.", tier=2)
def letfn(expander: Expander, form: Form, scope: Scope) -> core.Core:
    group = form.items[1]
    if group.tag not in (Tag.VECTOR, Tag.LIST):
        expander.fail(group, "letfn starts with [(lambda-rec name (parameters) body) ...]")
    pairs: list[tuple[str, Form]] = []
    for item in group.items:
        if item.tag is not Tag.LIST or len(item.items) < 3 or item.items[0].name != "lambda-rec":
            expander.fail(item, "letfn binds (lambda-rec name (parameters) body)")
        name = expander.symbol_name(item.items[1], "the name of a lambda-rec")
        pairs.append((name, _list(item, _ale("lambda", item), *item.items[2:])))
    if len({name for name, _ in pairs}) != len(pairs):
        expander.fail(group, "two procedures have the same name")
    return recursive(expander, pairs, form.items[2:], scope)


@syntax("lambda-rec", "name parameters body+", "A procedure that can call itself by its name.", tier=1)
def lambda_rec(expander: Expander, form: Form, scope: Scope) -> core.Core:
    name = expander.symbol_name(form.items[1], "the name of a lambda-rec")
    inner = Scope([name], scope)
    value = lambda_of(expander, form, form.items[2:], inner, name)
    return core.LetRec((value,), core.Local(0, 2, name, form.offset))


@syntax("thunk", "body*", "A procedure without parameters.", tier=2)
def thunk(expander: Expander, form: Form, scope: Scope) -> core.Core:
    return core.Lambda((core.LambdaClause(0, False, expander.body(form.items[1:], Scope([], scope))),), "thunk")


@syntax("lazy-seq", "body*", "A sequence that is computed when it is first needed.", tier=2)
def lazy_seq(expander: Expander, form: Form, scope: Scope) -> core.Core:
    return core.Call(_LAZY_SEQ, (thunk(expander, form, scope),), form.offset)


@syntax("comp", "functions*", "The composition of procedures, the leftmost applied first.", tier=2)
def comp(expander: Expander, form: Form, scope: Scope) -> core.Core:
    return core.Call(_COMPOSE, expander.expand_all(form.items[1:], scope), form.offset)


@syntax(":", "target method arguments*", "Calls the procedure that an object holds under a keyword.", tier=3)
def method_call(expander: Expander, form: Form, scope: Scope) -> core.Core:
    target, method, *arguments = form.items[1:]
    if method.tag is Tag.SYMBOL:
        method = Form(Tag.CONSTANT, method.offset, Keyword(expander.symbol_name(method, "a method")))
    member = core.Call(
        core.Const(GLOBALS["get"]), (expander.expand(target, scope), expander.expand(method, scope)), form.offset
    )
    return core.Call(member, expander.expand_all(arguments, scope), form.offset)


def _step(expander: Expander, value: Form, step: Form, *, last: bool) -> Form:
    """The call that threads a value into one form."""
    if step.tag is Tag.LIST and step.items and step.tail is None:
        head, *rest = step.items
        return _list(step, head, *rest, value) if last else _list(step, head, value, *rest)
    if step.tag is Tag.SYMBOL or (step.tag is Tag.CONSTANT and type(step.value) is Keyword):
        return _list(step, step, value)
    raise expander.error(step, "a value is threaded through calls, names and keywords only")


def _thread(name: str, doc: str, tier: int, *, last: bool) -> None:
    @syntax(name, "value forms*", doc, tier=tier)
    def thread(expander: Expander, form: Form, scope: Scope) -> core.Core:
        value = form.items[1]
        for step in form.items[2:]:
            value = _step(expander, value, step, last=last)
        return expander.expand(value, scope)


_thread("->", "Passes the value through the calls, as their first argument.", 1, last=False)
_thread("->>", "Passes the value through the calls, as their last argument.", 1, last=True)


def _through_names(
    expander: Expander, form: Form, scope: Scope, wrap: Callable[[Form, Form], Form], steps: tuple[Form, ...]
) -> core.Core:
    """Binds the value and the result of each step to a hidden name; `wrap(name, step)` is the form of a step."""
    names = [_plain(expander.fresh(), form) for _ in steps]
    values = [form.items[1], *[wrap(name, step) for name, step in zip(names, steps, strict=True)]]
    result = values[-1]
    for name, value in zip(reversed(names), reversed(values[:-1]), strict=True):
        result = _let(form, name, value, result)
    return expander.expand(result, scope)


def _some_thread(name: str, doc: str, *, last: bool) -> None:
    @syntax(name, "value forms*", doc, tier=3)
    def thread(expander: Expander, form: Form, scope: Scope) -> core.Core:
        def wrap(value: Form, step: Form) -> Form:
            empty = _list(step, _ale("null?", step), value)
            threaded = _step(expander, value, step, last=last)
            return _list(step, _ale("if", step), empty, _ale("null", step), threaded)

        return _through_names(expander, form, scope, wrap, form.items[2:])


_some_thread("some->", "Like ->, but stops with null as soon as a value is null.", last=False)
_some_thread("some->>", "Like ->>, but stops with null as soon as a value is null.", last=True)


def _cond_thread(name: str, doc: str, *, last: bool) -> None:
    @syntax(name, "value clauses*", doc, tier=3)
    def thread(expander: Expander, form: Form, scope: Scope) -> core.Core:
        def wrap(value: Form, clause: Form) -> Form:
            if clause.tag is not Tag.VECTOR or len(clause.items) != 2:
                expander.fail(clause, f"a clause of {name} is [test form]")
            test, step = clause.items
            tested = _step(expander, value, test, last=last)
            threaded = _step(expander, value, step, last=last)
            return _list(clause, _ale("if", clause), tested, threaded, value)

        return _through_names(expander, form, scope, wrap, form.items[2:])


_cond_thread(
    "cond->", "`[test form]`: threads the value first into the test and, if it holds, into the form.", last=False
)
_cond_thread(
    "cond->>", "`[test form]`: threads the value last into the test and, if it holds, into the form.", last=True
)


@syntax("let->", "binding forms*", "`[name value]`: binds the name anew to the value of each form.", tier=3)
def let_thread(expander: Expander, form: Form, scope: Scope) -> core.Core:
    expander.binding(form.items[1])
    name, value = form.items[1].items
    values = [value, *form.items[2:]]
    result = values[-1]
    for earlier in reversed(values[:-1]):
        result = _let(form, name, earlier, result)
    return expander.expand(result, scope)


def _comprehension(expander: Expander, form: Form, scope: Scope, inner: core.Core, outer: core.Core) -> core.Core:
    pairs = expander.bindings(form.items[1], unique=False)
    if not pairs:
        expander.fail(form.items[1], f"{form.items[0].value.name} needs at least one [name sequence]")
    sources: list[core.Core] = []
    for name, source in pairs:
        sources.append(expander.expand(source, scope))
        scope = Scope([name], scope)
    result = expander.body(form.items[2:], scope)
    for position, source in enumerate(reversed(sources)):
        body = core.Lambda((core.LambdaClause(1, False, result),), "for")
        result = core.Call(outer if position else inner, (body, source), form.offset)
    return result


@syntax(
    "for", "bindings body+", "The lazy sequence of the body for each element; the last binding runs innermost.", tier=1
)
def for_(expander: Expander, form: Form, scope: Scope) -> core.Core:
    return _comprehension(expander, form, scope, _FOR, _FOR_NESTED)


@syntax("for-each", "bindings body+", "Evaluates the body for each element at once; the value of the last.", tier=2)
def for_each(expander: Expander, form: Form, scope: Scope) -> core.Core:
    return _comprehension(expander, form, scope, _FOR_EACH, _FOR_EACH)


@syntax(
    "try", "forms+", "`(try body (catch [name predicate] ...) (finally ...))`: handles failures, never limits.", tier=3
)
def try_(expander: Expander, form: Form, scope: Scope) -> core.Core:
    body: list[Form] = []
    catches: list[tuple[core.Core, core.Core]] = []
    ensure: core.Core | None = None
    for part in form.items[1:]:
        head = part.items[0].name if part.tag is Tag.LIST and part.items else None
        if head == "catch":
            if ensure is not None:
                expander.fail(part, "catch stands before finally")
            catches.append(_catch(expander, part, scope))
        elif head == "finally":
            if ensure is not None:
                expander.fail(part, "try has one finally")
            ensure = expander.body(part.items[1:], scope)
        elif catches or ensure is not None:
            expander.fail(part, "the body of try stands before catch and finally")
        else:
            body.append(part)
    return core.Try(expander.body(body, scope), tuple(catches), ensure)


def _catch(expander: Expander, form: Form, scope: Scope) -> tuple[core.Core, core.Core]:
    if len(form.items) < 3 or form.items[1].tag is not Tag.VECTOR or len(form.items[1].items) != 2:
        expander.fail(form, "catch is (catch [name predicate] body)")
    name_form, predicate = form.items[1].items
    inner = Scope([expander.symbol_name(name_form, "the name of the error")], scope)
    tested = expander.expand(_step(expander, name_form, predicate, last=True), inner)
    handled = expander.body(form.items[2:], inner)
    return (
        core.Lambda((core.LambdaClause(1, False, tested),), "catch"),
        core.Lambda((core.LambdaClause(1, False, handled),), "catch"),
    )


@syntax("syntax-quote", "form", "`` `form ``: quotes, but evaluates `,x` and splices `,@x`.", tier=3)
def syntax_quote(expander: Expander, form: Form, scope: Scope) -> core.Core:
    return _quasi(expander, form.items[1], scope, {})


def _quasi(expander: Expander, form: Form, scope: Scope, fresh: dict[str, str]) -> core.Core:
    match form.tag:
        case Tag.CONSTANT | Tag.BYTES:
            return core.Const(expander.datum(form))
        case Tag.SYMBOL:
            return core.Const(_quasi_symbol(expander, form, scope, fresh))
        case _:
            pass
    if form.tag is Tag.LIST and form.items:
        if form.items[0].name == "unquote" and len(form.items) == 2:
            return expander.expand(form.items[1], scope)
        if form.items[0].name == "unquote-splicing":
            expander.fail(form, ",@ stands inside a list, vector, object or set")
    if form.tail is not None:
        result = _quasi(expander, form.tail, scope, fresh)
        for item in reversed(form.items):
            result = core.PairOf(_quasi(expander, item, scope, fresh), result)
        return result
    segments: list[core.Core] = []
    for item in form.items:
        if item.tag is Tag.LIST and len(item.items) == 2 and item.items[0].name == "unquote-splicing":
            segments.append(expander.expand(item.items[1], scope))
        else:
            segments.append(core.VectorOf((_quasi(expander, item, scope, fresh),)))
    return core.Call(core.Const(GLOBALS[_COLLECTORS[form.tag]]), tuple(segments), form.offset)


_COLLECTORS = {
    Tag.LIST: "seq->list",
    Tag.VECTOR: "seq->vector",
    Tag.OBJECT: "seq->object",
    Tag.SET: "seq->set",
}


def _quasi_symbol(expander: Expander, form: Form, scope: Scope, fresh: dict[str, str]) -> Symbol:
    symbol: Symbol = form.value
    if symbol.domain is not None:
        return symbol
    if len(symbol.name) > 1 and symbol.name.endswith("#"):
        if symbol.name not in fresh:
            fresh[symbol.name] = f"{symbol.name[:-1]}-{len(fresh) + 1}"
        return Symbol(fresh[symbol.name])
    known = symbol.name in GLOBALS or symbol.name in FORMS
    return Symbol(symbol.name, DOMAIN) if known and not expander.is_local(symbol.name, scope) else symbol


@syntax("unquote", "form", "`,form`: evaluated inside a syntax quote.", tier=3, aliases=("unquote-splicing",))
def unquote(expander: Expander, form: Form, _scope: Scope) -> core.Core:
    expander.fail(form, "`,` and `,@` stand only inside a syntax quote (`); commas do not separate items")
