"""One sandboxed Lua 5.2 runtime, and a pool of them. A runtime serves one call at a time and keeps nothing of it.

The memory limit is on only while a script runs: Lua aborts the process when an allocation fails outside a
protected call.
"""

from collections.abc import Callable
from typing import Any, Final, NoReturn

from lupa import lua52

from argyll.scripts.interface import Clock, CompileError, LimitExceeded, LimitName, Limits, RunError
from argyll.scripts.lua.boot import BOOT, HEAVY_BYTES
from argyll.scripts.lua.convert import LuaValue, inbound
from argyll.scripts.meter import exceeded

INSTRUCTIONS_PER_STEP: Final = 10
"""Virtual machine instructions that count as one step of `Limits.steps`."""

STEPS_PER_INPUT: Final = 2
"""What handing one value over to Lua costs in steps."""

MAX_CHUNKS: Final = 512
"""Compiled scripts one runtime keeps."""

MAX_IDLE_RUNTIMES: Final = 8
MAX_IDLE_BYTES: Final = 32 * 1024 * 1024
"""A runtime that holds more after a call is dropped."""

MIN_MEMORY: Final = 1024 * 1024
"""The least memory a run gets, so that calling it cannot fail outside Lua's protection."""

SHORT_TEXT: Final = 4096
"""Longer strings are handed over before the memory limit is set."""


def _no_attributes(_owner: object, _name: object, _setting: bool) -> NoReturn:
    raise AttributeError("Python is not available to scripts")


class Runtime:
    """A Lua state with the sandbox installed."""

    def __init__(self) -> None:
        new_state: Any = lua52.LuaRuntime  # its stub is that of an older version
        self._lua: Any = new_state(
            register_eval=False,
            register_builtins=False,
            attribute_filter=_no_attributes,
            unpack_returned_tuples=False,
            max_memory=2**62,
        )
        if self._lua.lua_version != (5, 2):
            raise RuntimeError(f"Lua 5.2 is needed, lupa gave {self._lua.lua_version}")
        self._lua.set_max_memory(0)
        self._prepare, self._run = self._lua.execute(BOOT)
        self._chunks: dict[str, Any] = {}

    def chunk(self, source: str) -> Any:
        """The compiled chunk of a source. Raises `CompileError`."""
        found = self._chunks.get(source)
        if found is not None:
            return found
        try:
            prepared = self._prepare(source)
        except UnicodeEncodeError:
            raise CompileError("the script holds half a surrogate pair, which is no text") from None
        chunk, message = prepared if isinstance(prepared, tuple) else (prepared, None)
        if chunk is None:
            text, line = split_place(str(message))
            raise CompileError(text, line)
        if len(self._chunks) >= MAX_CHUNKS:
            del self._chunks[next(iter(self._chunks))]
        self._chunks[source] = chunk
        return chunk

    def call(self, source: str, arguments: list[Any], limits: Limits, clock: Clock) -> LuaValue:
        """Run a chunk; its first result, still a Lua value. Raises `RunError`."""
        chunk = self.chunk(source)
        lua = self._lua
        heavy_kilobytes = (lua.get_memory_used() + HEAVY_BYTES) / 1024
        given, packed = self._arguments(arguments, limits)
        deadline = clock() + limits.wall_ms / 1000
        lua.set_max_memory(lua.get_memory_used() + max(limits.memory, MIN_MEMORY))
        try:
            budget = limits.steps * INSTRUCTIONS_PER_STEP
            outcome = self._run(chunk, budget, deadline, clock, heavy_kilobytes, packed, *given)
        except lua52.LuaError as error:
            # Outside of the script's protected call: a limit met between its end and the end of counting.
            message = str(error).partition("\nstack traceback:")[0]
            raise _limit_error(message, limits) if message in _ALLOWED else _run_error(message) from None
        except UnicodeEncodeError:
            raise _not_text() from None
        finally:
            lua.set_max_memory(0)
        ok, value, limit = outcome
        if limit is not None:
            raise _limit_error(limit, limits)
        if not ok:
            raise _run_error("the script raised nil" if value is None else str(value))
        return value

    def _arguments(self, arguments: list[Any], limits: Limits) -> tuple[list[LuaValue], LuaValue]:
        table_from: Callable[..., LuaValue] = self._lua.table_from
        given: list[LuaValue] = []
        long = False
        nodes = limits.steps // STEPS_PER_INPUT
        try:
            for argument in arguments:
                value, nodes = inbound(argument, table_from, nodes)
                if nodes < 0:
                    raise exceeded("steps", f"{limits.steps:,} steps, {STEPS_PER_INPUT} for each value of an input")
                given.append(value)
                long = long or (type(value) is str and len(value) > SHORT_TEXT)
            if not long:
                return given, None
            packed = table_from({index: value for index, value in enumerate(given, 1) if value is not None})
            packed["n"] = len(given)
            return [], packed
        except UnicodeEncodeError:
            raise _not_text() from None

    @property
    def memory_used(self) -> int:
        """Bytes, garbage included."""
        return int(self._lua.get_memory_used())


def _not_text() -> RunError:
    return RunError("an input holds half a surrogate pair, which Lua cannot take")


def split_place(message: str) -> tuple[str, int | None]:
    """A Lua message without its `script:3: ` and the line that says."""
    prefix, _, rest = message.partition(": ")
    name, _, line = prefix.partition(":")
    return (rest, int(line)) if name == "script" and line.isdigit() else (message, None)


def _run_error(message: str) -> RunError:
    return RunError(*split_place(message))


_ALLOWED: Final[dict[str, tuple[LimitName, str]]] = {
    "steps": ("steps", f"{{limits.steps:,}} steps of {INSTRUCTIONS_PER_STEP} instructions"),
    "time": ("time", "{limits.wall_ms:,} ms"),
    "memory": ("memory", "{limits.memory:,} bytes"),
    "depth": ("depth", "Lua's own stack"),
}
"""By what the boot code calls a limit: its name here, and what was allowed."""


def _limit_error(limit: str, limits: Limits) -> LimitExceeded:
    name, allowed = _ALLOWED[limit]
    return exceeded(name, allowed.format(limits=limits))


class Pool:
    """Idle runtimes. A runtime is lent to one caller at a time; one that met a limit does not come back."""

    def __init__(self) -> None:
        self._idle: list[Runtime] = []

    def take(self) -> Runtime:
        try:
            return self._idle.pop()
        except IndexError:
            return Runtime()

    def give(self, runtime: Runtime) -> None:
        if len(self._idle) < MAX_IDLE_RUNTIMES and runtime.memory_used <= MAX_IDLE_BYTES:
            self._idle.append(runtime)
