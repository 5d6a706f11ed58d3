"""Lua 5.2 in a sandbox: no I/O, no Python, no state between calls, budgets for instructions, time and memory."""

from argyll.scripts.lua.program import compile_lua

__all__ = ["compile_lua"]
