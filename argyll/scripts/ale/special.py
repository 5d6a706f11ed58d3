"""The special forms of Ale: what the core language has a word for. No macros here."""

from argyll.scripts.ale import core
from argyll.scripts.ale.expander import DOMAIN, Expander, Scope, syntax
from argyll.scripts.ale.reader import Form, Tag


@syntax("quote", "form", "The form itself, not evaluated. `'form` is short for it.", tier=1, macro=False)
def quote(expander: Expander, form: Form, _scope: Scope) -> core.Core:
    return core.Const(expander.datum(form.items[1]))


@syntax(
    "if",
    "test then else?",
    "`then` unless the test is false, else `else` or null. Only false is false.",
    tier=1,
    macro=False,
)
def if_(expander: Expander, form: Form, scope: Scope) -> core.Core:
    test, then, *other = expander.expand_all(form.items[1:], scope)
    return core.If(test, then, other[0] if other else core.Const(None))


@syntax("begin", "body*", "Evaluates each form; the value of the last.", tier=1, macro=False)
def begin(expander: Expander, form: Form, scope: Scope) -> core.Core:
    return expander.body(form.items[1:], scope)


@syntax(
    "let",
    "bindings body+",
    "Binds names in parallel: `(let [n v] ...)` or `(let ([n v] [m w]) ...)`.",
    tier=1,
    macro=False,
)
def let(expander: Expander, form: Form, scope: Scope) -> core.Core:
    pairs = expander.bindings(form.items[1])
    values = tuple([named(expander.expand(value, scope), name) for name, value in pairs])
    body = expander.body(form.items[2:], Scope([name for name, _ in pairs], scope))
    return core.Let(values, body)


@syntax(
    "let-rec",
    "bindings body+",
    "Like let, but the values may refer to the names: recursive lambdas.",
    tier=1,
    macro=False,
)
def let_rec(expander: Expander, form: Form, scope: Scope) -> core.Core:
    pairs = expander.bindings(form.items[1])
    return recursive(expander, pairs, form.items[2:], scope)


def recursive(expander: Expander, pairs: list[tuple[str, Form]], body: tuple[Form, ...], scope: Scope) -> core.Core:
    """`let-rec`. Only values that are not lambdas can read a name before it is set."""
    inner = Scope([name for name, _ in pairs], scope)
    inner.checked = not all(is_lambda(value) for _, value in pairs)
    values: list[core.Core] = []
    for name, value in pairs:
        values.append(named(expander.expand(value, inner), name))
    inner.checked = False
    return core.LetRec(tuple(values), expander.body(body, inner))


def named(value: core.Core, name: str) -> core.Core:
    """A lambda goes by the name that it is bound to, in failures and in print."""
    return core.Lambda(value.clauses, name) if type(value) is core.Lambda else value


def is_lambda(form: Form) -> bool:
    head = form.items[0] if form.tag is Tag.LIST and form.items else form
    return head.tag is Tag.SYMBOL and head.value.name in ("lambda", "λ") and head.value.domain in (None, DOMAIN)


@syntax("label", "name form", "The value of the form, which may refer to itself by the name.", tier=3, macro=False)
def label(expander: Expander, form: Form, scope: Scope) -> core.Core:
    name = form.items[1]
    expander.symbol_name(name, "the name of a label")
    return recursive(expander, [(name.value.name, form.items[2])], (name,), scope)


@syntax(
    "lambda",
    "parameters body+",
    "A procedure. Parameters: `(a b)`, `(a . rest)`, `all`; or clauses `[(a) ...] [(a b) ...]` chosen by count.",
    tier=1,
    macro=False,
    aliases=("λ",),
)
def lambda_(expander: Expander, form: Form, scope: Scope) -> core.Core:
    return procedure(expander, form, form.items[1:], scope, "lambda")


def procedure(expander: Expander, form: Form, parts: tuple[Form, ...], scope: Scope, name: str) -> core.Lambda:
    """A lambda from its parameters and body, or from its clauses."""
    if parts[0].tag is not Tag.VECTOR:
        return core.Lambda((_clause(expander, form, parts, scope),), name)
    clauses: list[core.LambdaClause] = []
    for part in parts:
        if part.tag is not Tag.VECTOR or not part.items:
            expander.fail(part, "a clause of a lambda is [(parameters) body]")
        clause = _clause(expander, part, part.items, scope)
        if any(_covers(earlier, clause) for earlier in clauses):
            expander.fail(part, "this clause can never be chosen: an earlier one takes the same arguments")
        clauses.append(clause)
    return core.Lambda(tuple(clauses), name)


def _covers(earlier: core.LambdaClause, later: core.LambdaClause) -> bool:
    if earlier.rest:
        return later.count >= earlier.count
    return not later.rest and later.count == earlier.count


def _clause(expander: Expander, form: Form, parts: tuple[Form, ...], scope: Scope) -> core.LambdaClause:
    parameters, body = parts[0], parts[1:]
    if not body:
        expander.fail(form, "a lambda needs a body")
    if parameters.tag is Tag.SYMBOL:
        names, rest = [expander.symbol_name(parameters, "a parameter")], True
    elif parameters.tag is Tag.LIST:
        names = [expander.symbol_name(item, "a parameter") for item in parameters.items]
        rest = parameters.tail is not None
        if parameters.tail is not None:
            names.append(expander.symbol_name(parameters.tail, "a rest parameter"))
    else:
        expander.fail(parameters, "parameters are (a b), (a . rest) or one name for all of them")
    if len(set(names)) != len(names):
        expander.fail(parameters, "two parameters have the same name")
    return core.LambdaClause(len(names) - rest, rest, expander.body(body, Scope(names, scope)))
