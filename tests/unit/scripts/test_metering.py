"""What takes long costs steps: no single operation runs long between two looks at the budget.

Measured in steps, not in time: each case says how many steps its one operation must cost at least.
"""

import pytest

from argyll.scripts import INLINE, LimitExceeded, Limits, Scripts
from argyll.scripts.ale.evaluator import LONG_BODY
from argyll.scripts.lua.convert import STEPS_PER_OUTPUT
from argyll.scripts.lua.sandbox import STEPS_PER_INPUT

SCRIPTS = Scripts()
LARGE = {
    "text": "x" * 1_000_000,
    "twin": "x" * 999_999 + "x",
    "numbers": [float(n) for n in range(50_000)],
    "members": {f"k{n}": n for n in range(50_000)},
}


def fits(script, steps, **args):
    """Whether a run takes no more than so many steps."""
    try:
        SCRIPTS.compile("ale", script, list(args)).test(args, Limits(steps=steps, wall_ms=60_000))
    except LimitExceeded as error:
        if error.limit != "steps":
            raise
        return False
    return True


def steps_used(script):
    """How many steps a run takes, by halving."""
    low, high = 0, 16_384
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(script, middle) else (middle, high)
    return high


@pytest.mark.parametrize(
    ("script", "name", "least"),
    [
        ("(eq a (append (a 1) \"x\"))", "text", 15_000),
        ("(eq (a 1) (a 1))", "text", 900),
        ("(str [a])", "text", 15_000),
        ("(append a \"y\")", "text", 15_000),
        ("(rest a)", "text", 15_000),
        ("(reverse a)", "text", 15_000),
        ("(sym a)", "text", 15_000),
        ("(index-of a \"y\")", "text", 1_000_000),
        ("(first (map identity a))", "text", 250_000),
        ("a", "numbers", 25_000),
        ("(reverse a)", "numbers", 25_700),
        ("(append a 1)", "numbers", 25_700),
        ("(cons 1 a)", "numbers", 25_700),
        ("(set a)", "numbers", 75_000),
        ("(eq a a)", "numbers", 75_000),
        ("(first (partition 20000 1 a))", "numbers", 45_000),
        ("(apply + a)", "numbers", 75_000),
        ("(assoc a (:k . 1))", "members", 31_000),
        ("(dissoc a :k1)", "members", 31_000),
        ("(rest a)", "members", 31_000),
        ("(seq->vector a)", "members", 75_000),
    ],
)  # fmt: skip
def test_large_values_cost_steps_by_their_size(script, name, least):
    assert not fits(script, least - 1, a=LARGE[name])


def power(bits):
    return f"(fold-left * 1 (take {bits // 50} (map (lambda (_) {2**50}) (range))))"


WIDE = f"(let ([n {power(32_000)}] [m {power(16_000)}] [k {power(4_000)}]) "


@pytest.fixture(scope="module")
def steps_to_make_wide_numbers():
    return steps_used(f"{WIDE} 1)")


@pytest.mark.parametrize(
    ("operation", "least"),
    [
        ("(* n n)", 800),
        ("(mod n m)", 400),
        ("(/ n m)", 400),
        ("(+ n m)", 7),
        ("(< 1/3 (/ 1 k))", 20),
        ("(+ 1/3 (/ 1 k))", 40),
    ],
)
def test_wide_numbers_cost_steps_by_their_width(steps_to_make_wide_numbers, operation, least):
    assert not fits(f"{WIDE} {operation})", steps_to_make_wide_numbers + least - 1)


def test_a_long_body_costs_steps_by_its_length():
    def loop(forms):
        return f"((lambda-rec f (n) {'n ' * forms} (if (= n 0) n (f (dec n)))) 100)"

    assert steps_used(loop(1)) == 101
    assert not fits(loop(LONG_BODY + 400), 101 * 100)


@pytest.mark.parametrize(
    ("query", "least"),
    [
        ("$.members.*", 50_000),
        ("$.members[?@ == -1]", 50_000),
        ("$.text == $.twin", 900),
        ("$.text <= $.twin", 900),
        ("search($.text, '(a?){500}b')", 400_000),
        ("search($.text, 'y')", 900),
        ("$..*", 100_000),
    ],
)
def test_jpath_pays_for_what_it_looks_at(query, least):
    compiled = SCRIPTS.compile("jpath", query)
    with pytest.raises(LimitExceeded):
        compiled.test_value(LARGE, Limits(steps=least, wall_ms=60_000))


@pytest.mark.parametrize("script", ["(map (lambda (_) text) (range 5))", "{:a text :b text :c [text text text]}"])
def test_a_result_is_limited_as_a_whole(script):
    text = "x" * 1_000_000
    with pytest.raises(LimitExceeded, match="characters in one result"):
        SCRIPTS.compile("ale", script, ["text"]).outputs({"text": text})
    with pytest.raises(LimitExceeded, match="characters in one result"):
        SCRIPTS.compile("lua", "return {text, text, text, text, text}", ["text"]).outputs({"text": text})
    with pytest.raises(LimitExceeded, match="characters in one result"):
        SCRIPTS.compile("jpath", "$[0,0,0,0,0]").map({}, [text])


def test_a_deep_document_cannot_be_multiplied_by_jpath():
    document = ["x" * 100_000]
    for _ in range(60):
        document = [document]
    with pytest.raises(LimitExceeded, match="characters in one result"):
        SCRIPTS.compile("jpath", "$..*").map({}, document)


def test_lua_pays_for_the_values_that_cross():
    args = {"xs": list(range(1_000))}
    script = SCRIPTS.compile("lua", "return #xs", ["xs"])
    assert script.outputs(args, Limits(steps=1_100 * STEPS_PER_INPUT)) == {"result": 1_000}
    with pytest.raises(LimitExceeded, match="for each value of an input"):
        script.outputs(args, Limits(steps=900 * STEPS_PER_INPUT))
    made = SCRIPTS.compile("lua", "local t = {} for i = 1, 1000 do t[i] = i end return t")
    assert len(made.outputs({}, Limits(steps=1_100 * STEPS_PER_OUTPUT))["result"]) == 1_000
    with pytest.raises(LimitExceeded, match="for each value of a result"):
        made.outputs({}, Limits(steps=900 * STEPS_PER_OUTPUT))


@pytest.mark.parametrize(
    "script",
    [
        "local s = 'x' for i = 1, 22 do s = s .. s end while true do local t = s .. 'y' end",
        "local s = '1' for i = 1, 22 do s = s .. s end while true do local t = s + 1 end",
    ],
)
def test_lua_looks_at_the_clock_often_while_it_holds_much(script):
    """Between two looks at the clock there are few instructions, so each of them may join or read megabytes."""
    looks = []

    def clock():
        looks.append(None)
        return len(looks) / 1000

    with pytest.raises(LimitExceeded) as caught:
        Scripts(clock).compile("lua", script).outputs({}, Limits(wall_ms=5))
    assert caught.value.limit == "time"


@pytest.mark.parametrize("name", ["numbers", "members"])
@pytest.mark.parametrize(("language", "script"), [("ale", "a"), ("lua", "return a")])
def test_large_documents_leave_the_small_budget_at_once(language, script, name):
    with pytest.raises(LimitExceeded):
        SCRIPTS.compile(language, script, ["a"]).outputs({"a": LARGE[name]}, INLINE)


def test_a_message_is_cut():
    from argyll.scripts import RunError
    from argyll.scripts.ale.program import MAX_MESSAGE

    with pytest.raises(RunError) as caught:
        SCRIPTS.compile("ale", "(raise a)", ["a"]).outputs({"a": "x" * 100_000})
    assert len(caught.value.message) == MAX_MESSAGE + 3
