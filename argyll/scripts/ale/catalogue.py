"""The one table of what Ale offers: procedures, constants and forms with their signatures and documentation.

Compiler, reference documentation, hover and completion all read it. The library modules fill it when they are imported.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from argyll.scripts.ale.values import Builtin, Value

Kind = Literal["function", "constant", "form"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One name. `parameters` reads like `sequence index default?`: `?` optional, `*` any number, `+` at least one."""

    name: str
    kind: Kind
    parameters: str
    doc: str
    tier: int
    alias_of: str | None = None

    @property
    def signature(self) -> str:
        if self.kind == "constant":
            return self.name
        return f"({self.name} {self.parameters})" if self.parameters else f"({self.name})"


ENTRIES: dict[str, Entry] = {}
"""Every name a script may use, in order of definition."""

GLOBALS: dict[str, Value] = {}
"""The values of functions and constants."""

Implementation = TypeVar("Implementation", bound=Callable[..., Value])


def arity(parameters: str) -> tuple[int, int | None]:
    """The least and the largest number of arguments (None: no bound) that a parameter list describes."""
    low, high = 0, 0
    for parameter in parameters.split():
        if parameter[-1] in "*+":
            return low + (parameter[-1] == "+"), None
        high += 1
        low += parameter[-1] != "?"
    return low, high


def describe(name: str, kind: Kind, parameters: str, doc: str, tier: int, alias_of: str | None = None) -> None:
    """Add a line to the table. Names are unique."""
    if name in ENTRIES:
        raise ValueError(f"{name} is already defined")
    ENTRIES[name] = Entry(name, kind, parameters, doc, tier, alias_of)


def procedure(name: str, parameters: str, function: Callable[..., Value], contextual: bool = False) -> Builtin:
    """A procedure value.

    `function` takes its arguments one by one, optional ones defaulting to MISSING, or as one list when `parameters` has
    no upper bound; `contextual` puts the run before them.
    """
    low, high = arity(parameters)
    return Builtin(name, function, low, high, variadic=high is None, contextual=contextual)


def builtin(
    name: str, parameters: str, doc: str, *, tier: int, aliases: tuple[str, ...] = (), contextual: bool = False
) -> Callable[[Implementation], Implementation]:
    """Define a procedure of the language; see `procedure` for how it is called."""

    def define(function: Implementation) -> Implementation:
        value = procedure(name, parameters, function, contextual)
        for each in (name, *aliases):
            describe(each, "function", parameters, doc, tier, None if each == name else name)
            GLOBALS[each] = value
        return function

    return define


def constant(name: str, value: Value, doc: str, *, tier: int) -> None:
    """Define a constant of the language."""
    describe(name, "constant", "", doc, tier)
    GLOBALS[name] = value


_CODE = "code is fixed when a step is registered"
_DEFINE = "a script cannot define names in its namespace; use let, let*, let-rec or letfn"
_SHARED = "a script shares nothing with other scripts"
_IO = "a script cannot read or write anything; return what you want to see"
_PURE = "a script must give the same result for the same inputs"
_CONCURRENT = "a script runs alone, from start to end"
_DELAY = "a script has no promises; use thunk or lazy-seq"

EXCLUDED: dict[str, str] = {
    **dict.fromkeys(("asm", "special", "eval", "read", "macroexpand", "macroexpand-1", "declared"), _CODE),
    **dict.fromkeys(("define", "define-lambda", "define-macro", "declare", "private"), _DEFINE),
    **dict.fromkeys(("import", "define-namespace"), _SHARED),
    **dict.fromkeys(
        ("print", "println", "pr", "prn", "*in*", "*out*", "*err*", "*env*", "*args*", "with-open", "open"), _IO
    ),
    **dict.fromkeys(("time", "current-time", "gensym"), _PURE),
    **dict.fromkeys(("chan", "go", "go!", "go-with-monitor", "spawn", "future", "generate"), _CONCURRENT),
    **dict.fromkeys(
        ("delay", "delay-force", "lazy", "force", "force!", "promise", "promise?", "resolved?", "promise-forced?"),
        _DELAY,
    ),
}
"""Names of the full language that scripts may not use, each with the reason."""

HINTS: dict[str, str] = {
    "max": "use (if (> a b) a b)",
    "min": "use (if (< a b) a b)",
    "abs": "use (if (< x 0) (- x) x)",
    "keys": "use (map first object)",
    "vals": "use (map cdr object)",
    "merge": "use (seq->object ...) or assoc*",
    "count": "use length",
    "size": "use length",
    "nil": "use null",
    "nil?": "use null?",
    "some?": "use !null?",
    "integer?": "use number?",
    "float?": "use number?",
    "pos?": "use (> x 0)",
    "neg?": "use (< x 0)",
    "not=": "use != for numbers, !eq for everything",
    "==": "use = for numbers, eq for everything",
    "do": "use begin",
    "fn": "use lambda",
    "defn": "use letfn or let-rec",
    "def": "use let",
    "set!": "values never change; use let",
    "error": "use raise",
    "throw": "use raise",
    "format": "use str",
    "join": "use (apply str parts)",
    "else": "use :else",
}
"""What to write instead of names that people try and that do not exist."""
