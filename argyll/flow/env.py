"""What the flow machine is given from outside: the moment, the node, tokens, scripts, memory and who may claim work.

Everything that is not a function of state and command enters here, so that the machine stays pure.
"""

from collections.abc import Callable
from typing import Literal, Protocol

from msgspec import Struct

from argyll.model.json import JSON
from argyll.model.step import Attribute, Script, Step

Values = dict[str, JSON]
Claim = Literal["yes", "wait", "announce"]


UNLIMITED = 1 << 62


class ScriptFailed(Exception):
    """A script ended with an error; `str()` is its text."""


class OverBudget(Exception):
    """A script step needs more than the budget of a command; the item stays active and runs as an effect."""


class Evaluator(Protocol):
    """Runs the scripts of definitions. All raise `ScriptFailed`; only `run` raises `OverBudget`.

    An evaluation other than `run` that needs more than the budget of a command aborts the command with an exception of
    the evaluator's own, which the machine never sees; the command runs again when the answer is known.
    """

    def matches(self, script: Script, value: JSON) -> bool: ...

    def predicate(self, step: Step, inputs: Values) -> bool: ...

    def map_input(self, step: Step, inner: str, script: Script, value: JSON) -> JSON: ...

    def map_output(self, step: Step, name: str, spec: Attribute, outputs: Values) -> JSON: ...

    def run(self, step: Step, arguments: Values) -> Values: ...


class Env(Struct, frozen=True):
    """One command's surroundings."""

    now_us: int
    node_id: str
    evaluator: Evaluator
    new_token: Callable[[], str]
    """A fresh receipt token, unguessable and unique."""
    may_claim: Callable[[Step], Claim]
    """Whether this node may claim work of a step now: `wait` and `announce` say no, the latter once a change."""
    recall: Callable[[Step, Values], Values | None]
    """Remembered outputs of a memoizable step for these inputs, if any."""
    random: Callable[[], float]
    """A number in [0, 1) for jitter."""
    budget: int = UNLIMITED
    """How many steps and items the command may start; what is left over is started by the next. Commands whose events
    would not fit into one append run again with a small one."""
    claim_recheck_us: int = 1_000_000
    """How soon a flow looks again at work that this node may not claim yet."""
