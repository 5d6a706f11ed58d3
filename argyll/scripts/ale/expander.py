"""Forms to core language: scopes, names, special forms. Macros live in `macros`; both register in one table of forms.

Names resolve lexically, then in the catalogue; a name that resolves nowhere is a compile error with the nearest name.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from argyll.scripts.ale import core
from argyll.scripts.ale.calls import arity_message
from argyll.scripts.ale.catalogue import ENTRIES, EXCLUDED, GLOBALS, HINTS, arity, describe
from argyll.scripts.ale.equality import freeze
from argyll.scripts.ale.reader import Form, Tag, syntax_error
from argyll.scripts.ale.run import Run
from argyll.scripts.ale.values import AleError, AleSet, Builtin, Cons, Key, Keyword, Pair, Symbol, SyntaxName, Value
from argyll.scripts.interface import CompileError

DOMAIN: Final = "ale"
"""The namespace of everything in the catalogue: `ale/if` is `if` even where a local is called so."""


class Scope:
    """The names of one frame. `parameters` are names that get a place only when they are first used."""

    def __init__(self, names: Sequence[str], outer: "Scope | None", parameters: Sequence[str] = ()) -> None:
        self.names = list(names)
        self.outer = outer
        self.parameters = frozenset(parameters)
        self.checked = False

    def find(self, name: str) -> int | None:
        """The index of a name in its frame."""
        if name in self.names:
            return self.names.index(name) + 2
        if name in self.parameters:
            self.names.append(name)
            return len(self.names) + 1
        return None

    def visible(self) -> Iterable[str]:
        yield from self.names
        yield from self.parameters
        if self.outer is not None:
            yield from self.outer.visible()


Expansion = Callable[["Expander", Form, Scope], core.Core]


@dataclass(frozen=True, slots=True)
class Syntax:
    """A special form or macro. A local of the same name hides a special form, never a macro."""

    name: str
    low: int
    high: int | None
    macro: bool
    expand: Expansion


FORMS: dict[str, Syntax] = {}


def syntax(
    name: str, parameters: str, doc: str, *, tier: int, macro: bool = True, aliases: tuple[str, ...] = ()
) -> Callable[[Expansion], Expansion]:
    """Define a form of the language."""

    def define(expand: Expansion) -> Expansion:
        low, high = arity(parameters)
        for each in (name, *aliases):
            describe(each, "form", parameters, doc, tier, None if each == name else name)
            FORMS[each] = Syntax(each, low, high, macro, expand)
        return expand

    return define


class Expander:
    """Expands the forms of one script."""

    def __init__(self, text: str, run: Run) -> None:
        self.text = text
        self.run = run
        self.fresh_names = 0

    def error(self, form: Form, message: str) -> CompileError:
        """A compile error at a form."""
        return syntax_error(self.text, form.offset, message)

    def fail(self, form: Form, message: str) -> NoReturn:
        raise self.error(form, message)

    def fresh(self) -> str:
        """A name no script can write."""
        self.fresh_names += 1
        return f" {self.fresh_names}"

    def expand(self, form: Form, scope: Scope) -> core.Core:
        """The core of one form."""
        match form.tag:
            case Tag.CONSTANT:
                return core.Const(form.value)
            case Tag.SYMBOL:
                return self.resolve(form, scope)
            case Tag.LIST:
                return self.list_form(form, scope)
            case Tag.VECTOR:
                return self.folded(core.VectorOf(self.expand_all(form.items, scope)))
            case Tag.OBJECT:
                keys, values = form.items[::2], form.items[1::2]
                return self.folded(
                    core.ObjectOf(self.expand_all(keys, scope), self.expand_all(values, scope), form.offset)
                )
            case Tag.SET:
                return core.SetOf(self.expand_all(form.items, scope), form.offset)
            case Tag.BYTES:
                return core.Call(core.Const(GLOBALS["bytes"]), self.expand_all(form.items, scope), form.offset)

    def expand_all(self, forms: Sequence[Form], scope: Scope) -> tuple[core.Core, ...]:
        return tuple([self.expand(form, scope) for form in forms])

    def body(self, forms: Sequence[Form], scope: Scope) -> core.Core:
        """A body: the value of its last form, null when it is empty."""
        items = self.expand_all(forms, scope)
        if not items:
            return core.Const(None)
        return items[0] if len(items) == 1 else core.Begin(items)

    def folded(self, form: core.VectorOf | core.ObjectOf) -> core.Core:
        """The constant that a literal of constants is."""
        if type(form) is core.VectorOf:
            constants = [item.value for item in form.items if type(item) is core.Const]
            return core.Const(constants) if len(constants) == len(form.items) else form
        assert type(form) is core.ObjectOf
        result: dict[Key, Value] = {}
        for key, value in zip(form.keys, form.values, strict=True):
            if type(key) is not core.Const or type(value) is not core.Const:
                return form
            if type(key.value) is not Keyword and type(key.value) is not str:
                return form
            result.setdefault(freeze(self.run, key.value), value.value)
        return core.Const(result)

    def resolve(self, form: Form, scope: Scope) -> core.Core:
        """What a symbol stands for."""
        symbol: Symbol = form.value
        if symbol.domain is not None:
            if symbol.domain == DOMAIN and (found := self.global_value(symbol.name)) is not None:
                return found
            self.fail(form, f"name not declared in namespace: {symbol.full}")
        depth = 0
        around: Scope | None = scope
        while around is not None:
            index = around.find(symbol.name)
            if index is not None:
                return core.Local(depth, index, symbol.name, form.offset, around.checked)
            around, depth = around.outer, depth + 1
        found = self.global_value(symbol.name)
        if found is not None:
            return found
        raise self.unresolved(form, symbol.name, scope)

    def global_value(self, name: str) -> core.Const | None:
        if name in GLOBALS:
            return core.Const(GLOBALS[name])
        if name in FORMS:
            return core.Const(SyntaxName(name, FORMS[name].macro))
        return None

    def unresolved(self, form: Form, name: str, scope: Scope) -> CompileError:
        """The error for a name that stands for nothing, with what may have been meant."""
        if name in EXCLUDED:
            return self.error(form, f"{name} is not available: {EXCLUDED[name]}")
        if name in HINTS:
            return self.error(form, f"name not declared in namespace: {name}; {HINTS[name]}")
        import difflib  # only here: it costs more to import than most scripts to compile

        near = difflib.get_close_matches(name, {*scope.visible(), *ENTRIES}, n=1)
        hint = f"; did you mean {near[0]}?" if near else "; it is neither an input nor part of the language"
        return self.error(form, f"name not declared in namespace: {name}{hint}")

    def is_local(self, name: str, scope: Scope | None) -> bool:
        while scope is not None:
            if name in scope.names or name in scope.parameters:
                return True
            scope = scope.outer
        return False

    def list_form(self, form: Form, scope: Scope) -> core.Core:
        """A call, a special form, a macro or a dotted literal."""
        if not form.items:
            return core.Const(None)
        if form.tail is not None:
            result = self.expand(form.tail, scope)
            for item in reversed(form.items):
                result = core.PairOf(self.expand(item, scope), result)
            return result
        head, arguments = form.items[0], form.items[1:]
        special = self.syntax_of(head, scope)
        if special is not None:
            if len(arguments) < special.low or (special.high is not None and len(arguments) > special.high):
                message = arity_message(special.low, special.high, len(arguments))
                self.fail(form, f"{message}: {ENTRIES[special.name].signature}")
            return special.expand(self, form, scope)
        function = self.expand(head, scope)
        if type(function) is core.Const and type(function.value) is Builtin:
            builtin = function.value
            if len(arguments) < builtin.low or (builtin.high is not None and len(arguments) > builtin.high):
                message = arity_message(builtin.low, builtin.high, len(arguments))
                self.fail(form, f"{message}: {ENTRIES[builtin.name].signature}")
        return core.Call(function, self.expand_all(arguments, scope), form.offset)

    def syntax_of(self, head: Form, scope: Scope) -> Syntax | None:
        if head.tag is not Tag.SYMBOL or head.value.domain not in (None, DOMAIN):
            return None
        special = FORMS.get(head.value.name)
        if special is None or special.macro or head.value.domain is not None:
            return special
        return None if self.is_local(special.name, scope) else special

    def symbol_name(self, form: Form, what: str) -> str:
        """The name a binding form gives. Raises `CompileError` for anything but a plain symbol."""
        name = form.name
        if name is None:
            self.fail(form, f"{what} must be a plain name")
        return name

    def binding(self, form: Form) -> tuple[str, Form]:
        """`[name value]`."""
        if form.tag is not Tag.VECTOR or len(form.items) != 2:
            self.fail(form, "a binding is [name value]; several are ([name value] [name value])")
        return self.symbol_name(form.items[0], "the name of a binding"), form.items[1]

    def bindings(self, form: Form, *, unique: bool = True) -> list[tuple[str, Form]]:
        """`[name value]` or `([name value] ...)`."""
        if form.tag is Tag.VECTOR:
            return [self.binding(form)]
        if form.tag is not Tag.LIST or form.tail is not None:
            self.fail(form, "a binding is [name value]; several are ([name value] [name value])")
        pairs = [self.binding(item) for item in form.items]
        names = [name for name, _ in pairs]
        if unique and len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            self.fail(form, f"{twice} is bound twice")
        return pairs

    def datum(self, form: Form) -> Value:
        """A form as data."""
        match form.tag:
            case Tag.CONSTANT | Tag.SYMBOL:
                return form.value
            case Tag.VECTOR:
                return [self.datum(item) for item in form.items]
            case Tag.LIST:
                result: Value = None if form.tail is None else self.datum(form.tail)
                for item in reversed(form.items):
                    value = self.datum(item)
                    result = Cons(value, result) if result is None or type(result) is Cons else Pair(value, result)
                return result
            case Tag.OBJECT:
                members: dict[Key, Value] = {}
                for key, value in zip(form.items[::2], form.items[1::2], strict=True):
                    members.setdefault(self.key(key), self.datum(value))
                return members
            case Tag.SET:
                return AleSet({self.key(item): self.datum(item) for item in form.items})
            case Tag.BYTES:
                values = [item.value for item in form.items if type(item.value) is int and 0 <= item.value <= 255]
                if len(values) != len(form.items):
                    self.fail(form, "a byte is an integer from 0 to 255")
                return bytes(values)

    def key(self, form: Form) -> Key:
        try:
            return freeze(self.run, self.datum(form))
        except AleError as error:
            self.fail(form, error.message)
