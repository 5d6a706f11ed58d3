"""Nothing gets out of the Lua sandbox: every attempt runs in a child process, which must live and stay sound."""

import json
import subprocess
import sys

import pytest

RUNAWAYS = {
    "endless loop": "while true do end",
    "endless goto": "::again:: goto again",
    "endless repeat": "repeat until false",
    "endless numeric loop": "for i = 1, 2, 0 do end for i = 1, math.huge do end",
    "loop of pcalls": "while true do pcall(function() while true do end end) end",
    "loop of nested pcalls": "while true do pcall(pcall, pcall, error) end",
    "loop in an xpcall handler": "xpcall(function() while true do end end, function() while true do end end)",
    "handler that fails for ever": "local function f() error(xpcall(f, f)) end xpcall(f, f)",
    "handler that catches the budget": "while true do xpcall(function() while true do end end, pcall) end",
    "huge repeat": "return #string.rep('x', 1e9)",
    "huge repeat with separator": "return #string.rep('', 1e9, 'x')",
    "repeat of NaN": "while true do ('x'):rep(0 / 0) end",
    "doubling string": "local s = 'x' while true do s = s .. s end",
    "doubling string in pcall": "while true do pcall(function() local s = 'x' while true do s = s .. s end end) end",
    "joining long strings": "local s = ('x'):rep(1e6) while true do local t = s .. 'y' end",
    "numbers of long strings": "local s = ('1'):rep(1e6) while true do local t = s + 1 end",
    "tonumber of long strings": "local s = ('1'):rep(1e6) while true do tonumber(s) end",
    "comparing long strings": "local s, t = ('x'):rep(1e6), ('x'):rep(1e6) while true do local e = s .. 'y' == t end",
    "growing table": "local t = {} while true do t[#t + 1] = {} end",
    "growing closures": "local f = print while true do local g = f f = function() return g end end",
    "growing keys": "local t = {} for i = 1, math.huge do t[i .. 'k'] = i end",
    "format of long strings": "local s = ('%s'):rep(50) while true do s:format(table.unpack({}, 1, 50)) end",
    "format of a huge width": "return ('%1000000000d'):format(1)",
    "format of a huge precision": "return ('%.1000000000f'):format(1)",
    "slow search": "return ('a'):rep(5e5):find(('a'):rep(2e5) .. 'b')",
    "endless search loop": "while true do ('a'):rep(9000):find(('a'):rep(900) .. 'b') end",
    "upper case for ever": "local s = ('x'):rep(1e6) while true do s:upper() end",
    "bytes of a long string": "return select('#', ('x'):rep(1e6):byte(1, -1))",
    "runaway recursion": "local function f() return 1 + f() end return f()",
    "runaway mutual recursion": "local f, g function f() return 1 + g() end function g() return 1 + f() end return f()",
    "endless tail calls": "local function f() return f() end return f()",
    "runaway pcall recursion": "local function f() return pcall(f) end return f()",
    "runaway tostring": "return tostring(setmetatable({}, {__tostring = function(s) return tostring(s) end}))",
    "endless index": "return setmetatable({}, {__index = function(t, k) return t[k + 1] end})[1]",
    "index in a circle": "local t = {} setmetatable(t, {__index = t}) return t.x",
    "runaway newindex": "local t = setmetatable({}, {__newindex = function(t, k, v) t[k + 1] = v end}) t[1] = 1",
    "runaway comparison": "local m = {} m.__lt = function(a, b) return a < b end "
    "return setmetatable({}, m) < setmetatable({}, m)",
    "runaway concatenation": "local m = {} m.__concat = function(a, b) return a .. b end "
    "return setmetatable({}, m) .. ''",
    "endless iterator": "for _ in function() return 1 end do end",
    "endless pairs metamethod": "for _ in pairs(setmetatable({}, {__pairs = function() return next, {1} end})) do "
    "while true do end end",
    "lying comparison": "local t = {} for i = 1, 1e4 do t[i] = i end table.sort(t, function() return true end) "
    "while true do end",
    "sort that grows": "local t = {3, 2, 1} table.sort(t, function(a, b) t[#t + 1] = 1 while true do end end)",
    "huge unpack": "return select('#', table.unpack({}, 1, 1e8))",
    "unpack of a range that overflows": "return table.unpack({}, -2 ^ 31, 2 ^ 31 - 1)",
    "huge concat": "return #table.concat({}, 'x', 1, 1e9)",
    "slow inserts": "local t = {} for i = 1, 1e6 do table.insert(t, 1, i) end",
    "walks of an emptied table": "local t = {} for i = 1, 1e4 do t['k' .. i] = 1 end "
    "for i = 1, 1e4 do t['k' .. i] = nil end while true do next(t) end",
    "cyclic result": "local t = {} t.t = t return t",
    "deep result": "local t = {} for i = 1, 1e5 do t = {t} end return t",
    "wide result": "local t = {} for i = 1, 1e6 do t[i] = i end return t",
    "result that repeats a long text": "local s, t = ('x'):rep(1e6), {} for i = 1, 100 do t[i] = s end return t",
    "finaliser": "setmetatable({}, {__gc = function() while true do end end}) for i = 1, 1e5 do local x = {} end",
    "bytecode": "\x1bLua",
    "bytecode with a header": "\x1bLuaR\0\1\4\x08\4\x08\0",
}
"""Each ends as an error or a limit."""

HARMLESS = {
    "finaliser set afterwards": (
        "local m = {} setmetatable({}, m) m.__gc = function() while true do end end return 1",
        1,
    ),
    "empty repeat": ("return #(''):rep(2 ^ 31 - 1, '')", 0),
    "library through a string": ("return pcall(function() return getmetatable('').__index end)", False),
    "string metatable": ("return type(getmetatable(''))", "boolean"),
    "metatable of the globals": ("return type(getmetatable(_G))", "boolean"),
    "loading code": ("return load or loadstring or dofile or loadfile or string.dump or collectgarbage", None),
    "libraries of the host": ("return python or package or debug or require or io or os or coroutine or module", None),
    "globals through _ENV": ("return _ENV.load or _ENV._G.debug or _ENV.python or rawget(_ENV, 'io')", None),
    "globals through _G": ("return _G._G._G.os or rawget(_G, 'debug') or _G['python']", None),
    "globals by walking": ("local n = 0 for k in pairs(_G) do n = n + 1 end return n", 0),
    "own environment": ("local _ENV = {} return load", None),
    "environment of functions": ("return setfenv or getfenv or newproxy or gcinfo", None),
    "patterns": ("return string.match or string.gmatch or string.gsub", None),
    "attributes of functions": ("return pcall(function() return print.__class__ end)", False),
    "python through a function": ("return pcall(function() return tostring.__globals__ end)", False),
    "upvalues through pairs": ("return pcall(pairs, print)", False),
    "metatable of functions": ("return getmetatable(print)", None),
    "metatable of nil": ("return getmetatable(nil)", None),
    "rawset into strings": ("return pcall(rawset, 'x', 'y', 1)", False),
    "printing": ("print(('x'):rep(100)) return 1", 1),
    "addresses": ("return tostring({}) .. tostring(print) .. tostring(function() end)", "tablefunctionfunction"),
    "chance": ("return pcall(math.random)", False),
    "locale": ("return os == nil", True),
    "poisoned libraries": ("string.upper, table.insert, math.floor, _G.pairs = nil return 1", 1),
    "poisoned string library": ("getmetatable = nil string.rep = error return 1", 1),
    "error objects": ("return select(2, pcall(error, setmetatable({}, {__tostring = error})))", {}),
}
"""What each answers: nothing of the host."""

CHILD = """
import json, sys
from argyll.scripts import LimitExceeded, Limits, ScriptError, Scripts, configure_process
configure_process()
scripts = Scripts()
sound = scripts.compile("lua", "return string.upper('a') .. math.floor(1.5) .. tostring(x)")
for script in json.load(sys.stdin):
    try:
        outcome = ["value", scripts.compile("lua", script).outputs({}, Limits(steps=100_000, wall_ms=200))]
    except LimitExceeded as error:
        outcome = ["limit", error.limit]
    except ScriptError as error:
        outcome = ["error", error.message]
    assert sound.outputs({}) == {"result": "A1nil"}
    print(json.dumps(outcome), flush=True)
"""


@pytest.fixture(scope="module")
def outcomes():
    """How each attempt ended; the names of those that never did are missing."""
    attempts = RUNAWAYS | {name: script for name, (script, _) in HARMLESS.items()}
    child = subprocess.run(
        [sys.executable, "-c", CHILD],
        input=json.dumps(list(attempts.values())),
        capture_output=True,
        text=True,
        timeout=90,
    )
    ended = dict(zip(attempts, map(json.loads, child.stdout.splitlines()), strict=False))
    assert child.returncode == 0, f"died at {list(attempts)[len(ended)]!r}: {child.stderr[-500:]}"
    assert child.stderr == ""
    return ended


def test_there_are_many_attempts():
    assert len(RUNAWAYS) + len(HARMLESS) >= 60


@pytest.mark.parametrize("name", RUNAWAYS)
def test_a_runaway_is_stopped(outcomes, name):
    how, what = outcomes[name]
    assert how in ("limit", "error"), what


@pytest.mark.parametrize("name", HARMLESS)
def test_the_host_is_out_of_reach(outcomes, name):
    answer = HARMLESS[name][1]
    assert outcomes[name] == ["value", {} if answer == {} else {"result": answer}]
