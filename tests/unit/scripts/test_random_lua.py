"""Lua programs made from a grammar: whatever they do, only `ScriptError` comes out, and the next call is sound."""

import json
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from argyll.scripts import Limits, ScriptError, Scripts
from argyll.scripts.lua.catalogue import LUA_ENTRIES

SCRIPTS = Scripts()
LIMITS = Limits(steps=2_000, wall_ms=2_000, memory=2 * 1024 * 1024)
VARIABLES = st.sampled_from(["x", "y", "f", "t"])
LITERALS = st.sampled_from(
    ["nil", "true", "false", "0", "-1", "2.5", "1e308", "'a'", "'10'", "[[b]]", "{}", "{1, 2, 3}", "{a = 1}", "..."]
)
LIBRARY = st.sampled_from(list(LUA_ENTRIES))
BINARY = st.sampled_from(["+", "-", "*", "/", "%", "^", "..", "==", "~=", "<", "<=", "and", "or"])


def _several(strategy, most=3):
    return st.lists(strategy, max_size=most).map(", ".join)


def _larger(inner):
    return (
        st.tuples(inner, BINARY, inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})")
        | st.tuples(st.sampled_from(["not ", "-", "#"]), inner).map(lambda t: f"({t[0]}{t[1]})")
        | st.tuples(LIBRARY | VARIABLES, _several(inner)).map(lambda t: f"{t[0]}({t[1]})")
        | st.tuples(inner, inner).map(lambda t: f"({t[0]})[{t[1]}]")
        | _several(inner).map(lambda items: f"{{{items}}}")
        | inner.map(lambda body: f"function(...) return {body} end")
        | st.tuples(inner, inner).map(lambda t: f"setmetatable({{}}, {{__index = {t[0]}, __call = {t[1]}}})")
    )


EXPRESSIONS = st.recursive(VARIABLES | LITERALS | LIBRARY, _larger, max_leaves=6)


def _blocks(inner):
    return (
        st.tuples(EXPRESSIONS, inner).map(lambda t: f"if {t[0]} then {t[1]} end")
        | st.tuples(EXPRESSIONS, inner).map(lambda t: f"while {t[0]} do {t[1]} end")
        | st.tuples(EXPRESSIONS, inner).map(lambda t: f"for y = 1, {t[0]} do {t[1]} end")
        | st.tuples(EXPRESSIONS, inner).map(lambda t: f"for x, y in pairs({t[0]}) do {t[1]} end")
        | inner.map(lambda body: f"pcall(function() {body} end)")
        | inner.map(lambda body: f"f = function(x) {body} end")
        | st.lists(inner, min_size=1, max_size=3).map(" ".join)
    )


STATEMENTS = st.recursive(
    st.tuples(VARIABLES, EXPRESSIONS).map(lambda t: f"{t[0]} = {t[1]};")
    | st.tuples(VARIABLES, EXPRESSIONS).map(lambda t: f"local {t[0]} = {t[1]};")
    | EXPRESSIONS.map(lambda value: f"t = {{{value}}};"),
    _blocks,
    max_leaves=5,
)
PROGRAMS = st.tuples(STATEMENTS, EXPRESSIONS).map(lambda t: f"{t[0]} return {t[1]}")


@settings(max_examples=250, deadline=None)
@given(PROGRAMS, st.none() | st.integers() | st.text(max_size=3) | st.lists(st.integers(0, 9), max_size=3))
def test_random_programs(text, value):
    with suppress(ScriptError):
        result = SCRIPTS.compile("lua", text, ["x"]).outputs({"x": value}, LIMITS)
        json.dumps(result, allow_nan=False)
    assert SCRIPTS.compile("lua", "return math.max(1, #('ab'):rep(2))").outputs({}) == {"result": 4}
