"""Every limit of a script has a name and cannot be caught from inside."""

import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from argyll.scripts import INLINE, CompileError, LimitExceeded, Limits, Scripts, configure_process
from argyll.scripts.ale.equality import MAX_VALUE_DEPTH
from argyll.scripts.ale.numbers import MAX_INTEGER_BITS, MAX_RATIO_BITS
from argyll.scripts.ale.reader import MAX_NESTING
from argyll.scripts.interface import MAX_SCRIPT_CHARS

SCRIPTS = Scripts()
PATIENT = Limits(wall_ms=60_000)
BRIEF = Limits(steps=50_000, wall_ms=60_000, size=20_000, text=20_000)
ENDLESS = "((lambda-rec loop (n) (loop (inc n))) 0)"
RUNAWAY = "((lambda-rec f (n) (+ 1 (f n))) 1)"


def doubled(levels):
    return f"((lambda-rec f (n x) (if (= n 0) x (f (dec n) [x x]))) {levels} [])"


def nested(levels):
    return f"((lambda-rec f (n x) (if (= n 0) x (f (dec n) [x]))) {levels} [])"


@pytest.mark.parametrize(
    ("language", "script", "limit"),
    [
        ("ale", ENDLESS, "steps"),
        ("ale", "(fold-left + (range))", "steps"),
        ("ale", "(filter not (map inc (range)))", "steps"),
        ("ale", "(drop 1e15 (range))", "steps"),
        ("ale", doubled(100), "steps"),
        ("ale", f"(eq {doubled(100)} {doubled(100)})", "steps"),
        ("ale", f"(set {doubled(100)})", "steps"),
        ("ale", RUNAWAY, "depth"),
        ("ale", "((lambda-rec f (n) (first (map f [n]))) 1)", "depth"),
        ("ale", "((lambda-rec f (n) (apply f [n])) 1)", "depth"),
        ("ale", "(first ((lambda-rec f (n) (lazy-seq (f n))) 1))", "depth"),
        ("ale", nested(MAX_VALUE_DEPTH + 1), "depth"),
        ("ale", f"(str {nested(MAX_VALUE_DEPTH + 1)})", "depth"),
        ("ale", "(seq->vector (range))", "size"),
        ("ale", "((lambda-rec f (s) (f (str s s))) \"x\")", "size"),
        ("ale", f"(str {doubled(40)})", "size"),
        ("ale", "(cartesian-product (range 200) (range 200))", "size"),
        ("ale", "((lambda-rec f (n) (f (* n n))) 3)", "size"),
        ("ale", "((lambda-rec f (n) (f (/ n 100000000000000000039))) 3)", "size"),
        ("ale", "(str (apply * (range 1 2000)))", "size"),
        ("lua", "while true do end", "steps"),
        ("lua", "local s = 'x' while true do s = s .. s end", "memory"),
        ("lua", "local t = {} t.t = t return t", "depth"),
    ],
)  # fmt: skip
def test_each_limit_is_named(language, script, limit):
    with pytest.raises(LimitExceeded) as caught:
        SCRIPTS.compile(language, script).outputs({}, BRIEF)
    assert caught.value.limit == limit
    assert f"{caught.value.limit} limit" in str(caught.value)


@pytest.mark.parametrize("body", [ENDLESS, RUNAWAY, "(seq->vector (range))"])
@pytest.mark.parametrize(
    "wrapped", ["(recover (thunk {}) (lambda (e) 1))", "(try {} (catch [e any?] 1))", "(try {} (finally 1))"]
)
def test_ale_cannot_catch_a_limit(body, wrapped):
    with pytest.raises(LimitExceeded):
        SCRIPTS.compile("ale", wrapped.replace("{}", body)).outputs({}, BRIEF)


@pytest.mark.parametrize(
    "script",
    [
        "local function f() return 1 + f() end return f()",
        "local function f() return 1 + f() end return pcall(f)",
        "return xpcall(function() return table.unpack({}, 1, 999999) end, print)",
        "while true do pcall(table.unpack, {}, 1, 1e7) end",
    ],
)
def test_lua_cannot_catch_the_end_of_its_stack(script):
    with pytest.raises(LimitExceeded) as caught:
        SCRIPTS.compile("lua", script).outputs({}, PATIENT)
    assert caught.value.limit in ("depth", "memory", "steps")


def test_steps_are_counted_the_same_every_time():
    script = SCRIPTS.compile("ale", "((lambda-rec f (n) (if (= n 0) :done (f (dec n)))) 1000)")
    needed = next(steps for steps in count(900) if _fits(script, steps))
    assert 1000 <= needed <= 1002
    assert not any(_fits(script, needed - 1) for _ in range(3))


def _fits(script, steps):
    try:
        script.outputs({}, Limits(steps=steps, wall_ms=60_000))
    except LimitExceeded:
        return False
    return True


@pytest.mark.parametrize(("language", "script"), [("ale", ENDLESS), ("lua", "while true do end")])
def test_time_is_read_from_the_clock_that_was_given(language, script):
    ticks = count()
    scripts = Scripts(clock=lambda: float(next(ticks)))
    with pytest.raises(LimitExceeded) as caught:
        scripts.compile(language, script).outputs({}, Limits(steps=10**9, wall_ms=3_000))
    assert caught.value.limit == "time"


def test_the_inline_budget_stops_what_the_full_one_finishes():
    script = SCRIPTS.compile("ale", "(fold-left + 0 (range 30000))")
    with pytest.raises(LimitExceeded) as caught:
        script.outputs({}, INLINE)
    assert caught.value.limit in ("steps", "time")
    assert script.outputs({}, PATIENT) == {"result": 449985000}


def test_sizes_are_limits_of_the_call():
    small = Limits(size=3, text=3)
    vector, text = SCRIPTS.compile("ale", "(seq->vector xs)", ["xs"]), SCRIPTS.compile("ale", "(str x)", ["x"])
    assert vector.outputs({"xs": [1, 2, 3]}, small) == {"result": [1, 2, 3]}
    assert text.outputs({"x": "abc"}, small) == {"result": "abc"}
    for script, args in ((vector, {"xs": [1, 2, 3, 4]}), (text, {"x": "abcd"})):
        with pytest.raises(LimitExceeded) as caught:
            script.outputs(args, small)
        assert caught.value.limit == "size"


def test_numbers_have_a_width():
    fits = f"(eq 0 (* 0 (fold-left * 1 (map (lambda (x) 2) (range {MAX_INTEGER_BITS - 2})))))"
    assert SCRIPTS.compile("ale", fits).test({}, PATIENT)
    wide = f"(/ 1 (fold-left * 1 (map (lambda (x) 2) (range {MAX_RATIO_BITS + 1}))))"
    with pytest.raises(LimitExceeded):
        SCRIPTS.compile("ale", f"(+ 1/3 {wide})").outputs({}, PATIENT)


@pytest.mark.parametrize("language", ["ale", "lua", "jpath"])
def test_long_texts_are_not_compiled(language):
    with pytest.raises(CompileError, match="characters"):
        SCRIPTS.compile(language, "$" + " " * MAX_SCRIPT_CHARS)


@pytest.mark.parametrize("opening", ["(", "[", "{", "#{", "'", "`"])
def test_forms_nest_only_so_deep(opening):
    with pytest.raises(CompileError, match="nest"):
        SCRIPTS.compile("ale", opening * (MAX_NESTING + 1))


def test_the_deepest_forms_that_are_read_are_compiled():
    script = "[" * (MAX_NESTING - 1) + "x" + "]" * (MAX_NESTING - 1)
    assert SCRIPTS.compile("ale", script, ["x"]).test({"x": 1})


def test_a_jpath_walk_is_counted():
    document = {"a": [[[[1] * 10] * 10] * 10] * 10}
    with pytest.raises(LimitExceeded) as caught:
        SCRIPTS.compile("jpath", "$..*..*..*").map({}, document, Limits(steps=100_000, wall_ms=60_000))
    assert caught.value.limit == "steps"


def test_configuring_a_process_only_ever_raises_its_recursion_limit(monkeypatch):
    limits = [1000]
    monkeypatch.setattr(sys, "getrecursionlimit", lambda: limits[-1])
    monkeypatch.setattr(sys, "setrecursionlimit", limits.append)
    configure_process(5000)
    configure_process(200)
    assert limits == [1000, 5000, 5000]


@pytest.mark.parametrize(
    ("language", "script"),
    [
        ("ale", "((lambda-rec f (n acc) (if (<= n 0) acc (f (dec n) (+ acc n)))) n 0)"),
        ("lua", "local sum = 0 for i = 1, n do sum = sum + i end return sum"),
    ],
)
def test_one_compiled_script_runs_in_many_threads_at_once(language, script):
    compiled = SCRIPTS.compile(language, script, ["n"])
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda n: compiled.outputs({"n": n}, PATIENT)["result"], range(200)))
    assert results == [n * (n + 1) // 2 for n in range(200)]
