"""What every script language gives the rest of the house: a compiled script, its limits and its errors.

The interface knows no language and evaluates nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from argyll.model.json import JSON

Language = Literal["ale", "lua", "jpath"]
LANGUAGES: tuple[Language, ...] = ("ale", "lua", "jpath")

LimitName = Literal["steps", "time", "depth", "size", "memory"]

Clock: TypeAlias = Callable[[], float]
"""A monotonic clock in seconds."""

DEFAULT_STEPS = 1_000_000
DEFAULT_WALL_MS = 250
DEFAULT_DEPTH = 10_500
DEFAULT_SIZE = 100_000
DEFAULT_TEXT = 1_048_576
DEFAULT_OUTPUT = 4_194_304
DEFAULT_MEMORY = 16 * 1024 * 1024

INLINE_STEPS = 20_000
INLINE_WALL_MS = 4
INLINE_MEMORY = 1024 * 1024

MAX_SCRIPT_CHARS = 262_144
"""Longest script text that is compiled."""


@dataclass(frozen=True, slots=True)
class CallSite:
    """A call around the place of a failure: the procedure, and where it was called."""

    name: str
    line: int | None
    column: int | None

    def __str__(self) -> str:
        return self.name if self.line is None else f"{self.name} (called at line {self.line}, column {self.column})"


class ScriptError(Exception):
    """A script cannot be compiled or run. `line` and `column` are 1-based places in its text, None when unknown."""

    def __init__(self, message: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message, line, column)
        self.message = message
        self.line = line
        self.column = column

    def __str__(self) -> str:
        if self.line is None:
            return self.message
        if self.column is None:
            return f"line {self.line}: {self.message}"
        return f"line {self.line}, column {self.column}: {self.message}"


class CompileError(ScriptError):
    """The text is not a script of its language, or names something that does not exist."""


class RunError(ScriptError):
    """The script failed on these arguments; it would fail again.

    `calls` are the calls around the place, innermost first (Ale only); of many, the innermost, and `deeper` counts the
    others.
    """

    def __init__(
        self,
        message: str,
        line: int | None = None,
        column: int | None = None,
        calls: tuple[CallSite, ...] = (),
        deeper: int = 0,
    ) -> None:
        super().__init__(message, line, column)
        self.args = (message, line, column, calls, deeper)
        self.calls = calls
        self.deeper = deeper

    def __str__(self) -> str:
        around = [f"in {call}" for call in self.calls]
        if self.deeper:
            around.append(f"and {self.deeper:,} calls more")
        return "; ".join([super().__str__(), *around])


class LimitExceeded(RunError):
    """The script used up one of its limits. Scripts cannot catch this themselves."""

    def __init__(self, limit: LimitName, message: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(message, line, column)
        self.args = (limit, message, line, column)
        self.limit: LimitName = limit


@dataclass(frozen=True, slots=True)
class Limits:
    """What one evaluation may use. Every field has a default above; exceeding one raises `LimitExceeded`.

    A *step* is one procedure call or one turn of a built-in loop (Ale), one visited node (jpath), or
    `lua.INSTRUCTIONS_PER_STEP` virtual machine instructions (Lua).
    """

    steps: int = DEFAULT_STEPS
    """Counted deterministically: the same script on the same arguments uses the same number (Lua: to within 100)."""
    wall_ms: int = DEFAULT_WALL_MS
    """Checked every few hundred steps, so a script may overrun it by a few milliseconds."""
    depth: int = DEFAULT_DEPTH
    """Nested calls that are not tail calls (Ale; Lua has its own, larger). See `configure_process`."""
    size: int = DEFAULT_SIZE
    """Elements of one collection."""
    text: int = DEFAULT_TEXT
    """Characters of one string."""
    output: int = DEFAULT_OUTPUT
    """Characters of one result: of all its strings and names together, each as often as it occurs."""
    memory: int = DEFAULT_MEMORY
    """Bytes a Lua script may allocate beyond its inputs."""


DEFAULT_LIMITS = Limits()

INLINE = Limits(steps=INLINE_STEPS, wall_ms=INLINE_WALL_MS, memory=INLINE_MEMORY)
"""The small budget for the event loop; on `LimitExceeded` the caller runs again elsewhere with full limits."""


class Compiled(Protocol):
    """A compiled script. Pure, re-entrant, usable from any thread; what it returns is plain JSON.

    Ale and Lua answer fresh values; a jpath answer shares structure with its document, so treat it as immutable.

    Arguments are bound by name; names that are declared but absent from `args` are null, others are ignored.
    Every method raises `RunError` when the script fails and `LimitExceeded` when it uses up a limit.
    """

    @property
    def language(self) -> Language: ...

    @property
    def names(self) -> tuple[str, ...]:
        """The declared parameter names, sorted."""
        ...

    def outputs(self, args: Mapping[str, JSON], limits: Limits = DEFAULT_LIMITS) -> dict[str, JSON]:
        """Run as a script step: an object result is the outputs, any other value `v` is `{"result": v}`."""
        ...

    def test(self, args: Mapping[str, JSON], limits: Limits = DEFAULT_LIMITS) -> bool:
        """Run as a predicate. For jpath the document is the object of the arguments; true when a node matches."""
        ...

    def test_value(self, value: JSON, limits: Limits = DEFAULT_LIMITS) -> bool:
        """Run as a match: the single parameter `value` (Ale, Lua), or the document itself (jpath)."""
        ...

    def map(self, args: Mapping[str, JSON], document: JSON, limits: Limits = DEFAULT_LIMITS) -> JSON:
        """Run as a mapping: Ale and Lua see `args`, jpath sees `document`. Raises `RunError` when there is no value."""
        ...


def as_outputs(result: JSON) -> dict[str, JSON]:
    """The outputs of a script step from its converted result."""
    if type(result) is dict:
        return result
    return {"result": result}


def as_mapped(outputs: dict[str, JSON]) -> JSON:
    """The value of a mapping from the outputs of its script: nothing is null, `value` wins, one member stands alone."""
    if not outputs:
        return None
    if "value" in outputs:
        return outputs["value"]
    if len(outputs) == 1:
        return next(iter(outputs.values()))
    return outputs
