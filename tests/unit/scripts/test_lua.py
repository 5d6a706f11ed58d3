"""What Lua scripts mean, how values cross, and that nothing stays between calls."""

import json

import pytest

from argyll.scripts import CompileError, LimitExceeded, Limits, RunError, Scripts

PATIENT = Limits(wall_ms=20_000)
SCRIPTS = Scripts()


def outputs(script, **args):
    return SCRIPTS.compile("lua", script, list(args)).outputs(args, PATIENT)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("return {1, 2}", {"result": [1, 2]}),
        ("return {1, nil, 3}", {"result": [1, None, 3]}),
        ("return {[5] = 1}", {"5": 1}),
        ("return {1, x = 2}", {"1": 1, "x": 2}),
        ("return {}", {}),
        ("return {r = {}}", {"r": {}}),
        ("return {b = 1, a = 2}", {"a": 2, "b": 1}),
        ("return {[1.5] = 1}", {"1.5": 1}),
        ("return function() end", {"result": None}),
        ("return 2 ^ 53", {"result": 2**53}),
        ("return 2 ^ 70", {"result": 2.0**70}),
        ("return 7 / 2", {"result": 3.5}),
        ("return 1, 2", {"result": 1}),
        ("local y = 1", {"result": None}),
        ("x = 5 return x", {"result": 5}),
        ("return _G.x == nil and _G == _G", {"result": True}),
        ("return ('x'):rep(3, '-')", {"result": "x-x-x"}),
        ("return ('a.b'):find('.')", {"result": 2}),
        ("return ('aXb'):lower():upper():reverse():sub(1, 2)", {"result": "BX"}),
        ("return string.format('%5.1f|%s|%s', 1.25, {}, true)", {"result": "  1.2|table|true"}),
        ("return tostring(print)", {"result": "function"}),
        ("return table.concat({1, 2, 3}, ',')", {"result": "1,2,3"}),
        ("local t = {3, 1, 2} table.sort(t, function(a, b) return a > b end) return t", {"result": [3, 2, 1]}),
        ("local t = {1, 3} table.insert(t, 2, 2) table.remove(t, 1) return t", {"result": [2, 3]}),
        ("return select('#', table.unpack({1, 2, 3}))", {"result": 3}),
        ("return bit32.band(6, 3) + math.floor(2.7)", {"result": 4}),
        ("return pcall(error, 'x')", {"result": False}),
        ("return select(2, xpcall(function() error('x', 0) end, function(m) return m .. '!' end))", {"result": "x!"}),
        ("return setmetatable({}, {__tostring = function() return 'me' end}) .. ''", None),
        ("goto done ::done:: return 1", {"result": 1}),
    ],
)
def test_results(script, expected):
    if expected is None:
        with pytest.raises(RunError):
            outputs(script)
    else:
        got = outputs(script)
        assert got == expected
        assert json.dumps(got) == json.dumps(expected)


@pytest.mark.parametrize(
    ("value", "script", "expected"),
    [
        (2**70, "return x > 2 ^ 69", True),
        ([1, None, 3], "return #x >= 1 and x[2] == nil and x[3] == 3", True),
        ({"a": None, "b": [True]}, "return x.a == nil and x.b[1]", True),
        ("é", "return #x", 2),
        ("y" * 100_000, "return #x", 100_000),
        (None, "return x == nil", True),
    ],
)
def test_arguments(value, script, expected):
    assert outputs(script, x=value) == {"result": expected}


@pytest.mark.parametrize(
    ("script", "line", "words"),
    [
        ("local y = 1\nerror('boom')", 2, "boom"),
        ("return x.y", 1, "attempt to index"),
        ("error({code = 1})", None, "table"),
        ("error()", None, "nil"),
        ("error('plain', 0)", None, "plain"),
        ("local x = math.random() return x", 1, "same result"),
        ("return 0/0", None, "NaN"),
        ("return '\\255'", None, "UTF-8"),
        ("return {[{}] = 1}", None, "name of an output"),
    ],
)
def test_failures_say_where_and_why(script, line, words):
    with pytest.raises(RunError) as caught:
        outputs(script, x=None)
    assert words in caught.value.message
    assert caught.value.line == line


@pytest.mark.parametrize(
    ("script", "line"), [("x = = 1", 1), ("return 1\n+", 2), ("\x1bLua", 1), ("# a shell line", 1)]
)
def test_syntax_errors_have_a_line(script, line):
    with pytest.raises(CompileError) as caught:
        SCRIPTS.compile("lua", script, ["a", "b"])
    assert caught.value.line == line
    assert "script:" not in caught.value.message


@pytest.mark.parametrize("name", ["order-id", "a.b", "é", "end", "1a", "_ENV", "", "a b"])
def test_refuses_parameter_names_lua_cannot_say(name):
    with pytest.raises(CompileError, match=r"mapping\.name"):
        SCRIPTS.compile("lua", "return 1", [name])


def test_a_parameter_may_hide_a_library():
    assert outputs("return string .. type", string="a", type="b") == {"result": "ab"}


def test_a_lone_surrogate_is_an_error_not_a_crash():
    for value in ("\ud800", ["\ud800"], "\ud800" * 10_000):
        with pytest.raises(RunError, match="surrogate"):
            outputs("return x", x=value)
    with pytest.raises(CompileError, match="surrogate"):
        SCRIPTS.compile("lua", "return '\ud800'")


def test_nothing_stays_between_calls():
    for spoil in ("leak = 1", "string.upper = nil", "_G.math = nil", "string.format('%s', 1) table.x = 1"):
        outputs(spoil)
    script = "return {tostring(leak), tostring(table.x), string.upper('a'), math.floor(1.5)}"
    assert outputs(script) == {"result": ["nil", "nil", "A", 1]}


def test_a_limit_does_not_spoil_the_next_call():
    for _ in range(3):
        with pytest.raises(LimitExceeded):
            SCRIPTS.compile("lua", "while true do end").outputs({}, Limits(steps=1000, wall_ms=20_000))
        assert outputs("local n = 0 for i = 1, 1000 do n = n + 1 end return n") == {"result": 1000}
