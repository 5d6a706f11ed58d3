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
