"""A compiled Lua script behind the interface of scripts."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from argyll.model.json import JSON
from argyll.scripts.interface import (
    DEFAULT_LIMITS,
    Clock,
    CompileError,
    Language,
    LimitExceeded,
    Limits,
    RunError,
    as_mapped,
    as_outputs,
)
from argyll.scripts.lua.catalogue import LUA_KEYWORDS
from argyll.scripts.lua.convert import outbound
from argyll.scripts.lua.sandbox import Pool, Runtime

MAX_PARAMETERS: Final = 150
"""Lua allows 200 locals in a function; the rest is for the script."""

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = frozenset((*LUA_KEYWORDS, "_ENV"))
_POOL: Final = Pool()


def is_parameter_name(name: str) -> bool:
    """Whether a script can have a parameter of this name."""
    return _IDENTIFIER.fullmatch(name) is not None and name not in _RESERVED


def compile_lua(text: str, names: Sequence[str], clock: Clock) -> "LuaProgram":
    """Compile a script against its parameter names. Raises `CompileError`."""
    for name in names:
        if not is_parameter_name(name):
            raise CompileError(f"a Lua script cannot have an input named {name!r}; give it another with mapping.name")
    if len(names) > MAX_PARAMETERS:
        raise CompileError(f"a Lua script takes at most {MAX_PARAMETERS} inputs, this one has {len(names)}")
    # On the first line of the script, so that line numbers stay true.
    source = f"local {', '.join(names)} = ... {text}" if names else text
    runtime = _POOL.take()
    try:
        runtime.chunk(source)
    finally:
        _POOL.give(runtime)
    return LuaProgram(tuple(names), source, clock)


class LuaProgram:
    """Each run borrows a runtime, in which the script is compiled at most once."""

    __slots__ = ("_clock", "_source", "names")

    language: Language = "lua"

    def __init__(self, names: tuple[str, ...], source: str, clock: Clock) -> None:
        self.names = names
        self._source = source
        self._clock = clock

    def outputs(self, args: Mapping[str, JSON], limits: Limits = DEFAULT_LIMITS) -> dict[str, JSON]:
        return as_outputs(self._run(args, limits, truth=False))

    def test(self, args: Mapping[str, JSON], limits: Limits = DEFAULT_LIMITS) -> bool:
        return self._run(args, limits, truth=True)

    def test_value(self, value: JSON, limits: Limits = DEFAULT_LIMITS) -> bool:
        return self._run({"value": value}, limits, truth=True)

    def map(self, args: Mapping[str, JSON], document: JSON, limits: Limits = DEFAULT_LIMITS) -> JSON:
        return as_mapped(as_outputs(self._run(args, limits, truth=False)))

    def _run(self, args: Mapping[str, JSON], limits: Limits, truth: bool) -> JSON:
        runtime = _POOL.take()
        try:
            result = self._call(runtime, [args.get(name) for name in self.names], limits, truth)
        except LimitExceeded:
            raise  # the runtime may be in the middle of anything: drop it
        except RunError:
            _POOL.give(runtime)
            raise
        _POOL.give(runtime)
        return result

    def _call(self, runtime: Runtime, arguments: list[Any], limits: Limits, truth: bool) -> JSON:
        try:
            value = runtime.call(self._source, arguments, limits, self._clock)
            if truth:
                return value is not None and value is not False
            return outbound(value, limits)
        except UnicodeDecodeError:
            raise RunError("the result is not UTF-8 text") from None
        except RecursionError:
            raise RunError("the values nest too deeply for Lua") from None
