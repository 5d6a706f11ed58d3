"""Compiles scripts once: one least-recently-used cache per language. Languages are imported when first used."""

import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeAlias

from argyll.scripts.interface import LANGUAGES, MAX_SCRIPT_CHARS, Clock, Compiled, CompileError, Language

ALE_CACHE_SIZE = 4096
LUA_CACHE_SIZE = 4096
JPATH_CACHE_SIZE = 10_240

Compiler: TypeAlias = Callable[[str, tuple[str, ...], Clock], Compiled]


def _ale() -> Compiler:
    from argyll.scripts.ale import compile_ale

    return compile_ale


def _lua() -> Compiler:
    from argyll.scripts.lua import compile_lua

    return compile_lua


def _jpath() -> Compiler:
    from argyll.scripts.jpath import compile_jpath

    return compile_jpath


_LANGUAGES: dict[Language, tuple[Callable[[], Compiler], int]] = {
    "ale": (_ale, ALE_CACHE_SIZE),
    "lua": (_lua, LUA_CACHE_SIZE),
    "jpath": (_jpath, JPATH_CACHE_SIZE),
}


class Scripts:
    """The scripts of a process. The same language, text and names give the same object while it is cached.

    Failures are not cached. Safe to use from several threads.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._caches: dict[str, Callable[[str, tuple[str, ...]], Compiled]] = {}

    def compile(self, language: str, text: str, names: Sequence[str] = ()) -> Compiled:
        """The compiled script. `names` are its parameters, in any order; jpath ignores them.

        Raises `CompileError` for an unknown language, an empty or oversized text, and everything wrong with the text.
        """
        if not text.strip():
            raise CompileError("the script is empty; write one or remove it")
        if len(text) > MAX_SCRIPT_CHARS:
            raise CompileError(f"the script has {len(text):,} characters; at most {MAX_SCRIPT_CHARS:,} are compiled")
        cached = self._caches.get(language) or self._cache(language)
        return cached(text, tuple(sorted(set(names))))

    def _cache(self, language: str) -> Callable[[str, tuple[str, ...]], Compiled]:
        for known in LANGUAGES:
            if known == language:
                load, size = _LANGUAGES[known]
                break
        else:
            raise CompileError(f"unknown script language {language!r}; use {', '.join(LANGUAGES)}")
        compiler, clock = load(), self._clock

        @lru_cache(maxsize=size)
        def compiled(text: str, names: tuple[str, ...]) -> Compiled:
            return compiler(text, names, clock)

        return self._caches.setdefault(language, compiled)
