"""The core language that forms expand to: every name resolved, every macro gone. The evaluator knows only this."""

from dataclasses import dataclass
from typing import TypeAlias

from argyll.scripts.ale.values import Value


@dataclass(frozen=True, slots=True)
class Const:
    value: Value


@dataclass(frozen=True, slots=True)
class Local:
    """A variable `depth` frames out. `checked` when it may be read before its `let-rec` has set it."""

    depth: int
    index: int
    name: str
    offset: int
    checked: bool = False


@dataclass(frozen=True, slots=True)
class If:
    test: "Core"
    then: "Core"
    other: "Core"


@dataclass(frozen=True, slots=True)
class And:
    items: "tuple[Core, ...]"


@dataclass(frozen=True, slots=True)
class Or:
    items: "tuple[Core, ...]"


@dataclass(frozen=True, slots=True)
class Begin:
    items: "tuple[Core, ...]"


@dataclass(frozen=True, slots=True)
class Let:
    """Values in the outer frame, body in a new one."""

    values: "tuple[Core, ...]"
    body: "Core"


@dataclass(frozen=True, slots=True)
class LetRec:
    """Values and body in one new frame."""

    values: "tuple[Core, ...]"
    body: "Core"


@dataclass(frozen=True, slots=True)
class LambdaClause:
    count: int
    rest: bool
    body: "Core"


@dataclass(frozen=True, slots=True)
class Lambda:
    clauses: tuple[LambdaClause, ...]
    name: str


@dataclass(frozen=True, slots=True)
class Call:
    function: "Core"
    arguments: "tuple[Core, ...]"
    offset: int


@dataclass(frozen=True, slots=True)
class VectorOf:
    items: "tuple[Core, ...]"


@dataclass(frozen=True, slots=True)
class ObjectOf:
    keys: "tuple[Core, ...]"
    values: "tuple[Core, ...]"
    offset: int


@dataclass(frozen=True, slots=True)
class SetOf:
    items: "tuple[Core, ...]"
    offset: int


@dataclass(frozen=True, slots=True)
class PairOf:
    car: "Core"
    cdr: "Core"


@dataclass(frozen=True, slots=True)
class Case:
    """The first branch with an equal candidate; a failure when there is none."""

    subject: "Core"
    branches: "tuple[tuple[tuple[Core, ...], Core], ...]"
    offset: int


@dataclass(frozen=True, slots=True)
class Try:
    """Each catch is two lambdas of the error value: whether it applies, and what it answers."""

    body: "Core"
    catches: "tuple[tuple[Core, Core], ...]"
    ensure: "Core | None"


Core: TypeAlias = (
    Const
    | Local
    | If
    | And
    | Or
    | Begin
    | Let
    | LetRec
    | Lambda
    | Call
    | VectorOf
    | ObjectOf
    | SetOf
    | PairOf
    | Case
    | Try
)


def size(form: Core) -> int:
    """The forms that one evaluation of this one can reach: all within it but the bodies of its lambdas."""
    total, waiting = 0, [form]
    while waiting:
        form = waiting.pop()
        total += 1
        waiting.extend(_parts(form))
    return total


def _parts(form: Core) -> "list[Core]":
    match form:
        case Const() | Local() | Lambda():
            return []
        case If():
            return [form.test, form.then, form.other]
        case And() | Or() | Begin() | VectorOf() | SetOf():
            return [*form.items]
        case Let() | LetRec():
            return [*form.values, form.body]
        case Call():
            return [form.function, *form.arguments]
        case ObjectOf():
            return [*form.keys, *form.values]
        case PairOf():
            return [form.car, form.cdr]
        case Case():
            branches = [part for candidates, body in form.branches for part in (*candidates, body)]
            return [form.subject, *branches]
        case Try():
            catches = [part for catch in form.catches for part in catch]
            return [form.body, *catches, *([] if form.ensure is None else [form.ensure])]
