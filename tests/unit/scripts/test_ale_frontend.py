"""What an editor learns about an Ale text, finished or not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argyll.scripts import CompileError, Scripts
from argyll.scripts.ale import ENTRIES, frontend


def cursor(marked):
    """The text and the offset of `|` in it."""
    return marked.replace("|", "", 1), marked.index("|")


def test_every_name_has_a_kind_a_place_and_its_line_in_the_table():
    text = "(let [x (+ amount 1)]\n  (list x 'x :x later))"
    reading = frontend.read(text, ["amount"])
    assert [(name.text, name.kind) for name in reading.names] == [
        ("let", "form"), ("x", "local"), ("+", "function"), ("amount", "input"),
        ("list", "function"), ("x", "local"), ("later", "unknown"),
    ]  # fmt: skip
    assert all(text[name.start : name.end] == name.text for name in reading.names)
    assert reading.names[2].entry is ENTRIES["+"]
    assert reading.names[3].entry is None


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("(+ 1 2)", []),
        ("(foo (bar))", ["foo", "bar"]),
        ("(let [x 1] (+ x y)) (z)", ["y", "z"]),
        ("(+ 1 2))", [")"]),
        ("(+ 1 [2)", ["(+", "[2", ")"]),
        ("(if a)", ["(if"]),
        ("(list 08 1abc)", ["08", "1abc"]),
        ("'", ["'"]),
        ('(str "a)', ["(str", '"a']),
        ("{:a}", ["{:a"]),
        ("(lambda (x))", ["(lambda"]),
        ('\'#b["a" 300]', ["#b", '"a', "300"]),
        ("(define x 1)", ["define", "x"]),
        ("(cond [1 (foo)] [2])", ["[2"]),
    ],
)
def test_all_faults_are_told_with_their_places(text, faults):
    reading = frontend.read(text, ["a"])
    assert [text[fault.start : fault.end] for fault in reading.faults] == faults


@pytest.mark.parametrize(
    ("marked", "scope"),
    [
        ("|", ["amount"]),
        ("(let [x 1] (+ x |y))", ["x", "amount"]),
        ("(let [x |y] x)", ["amount"]),
        ("(lambda (a b) (let-rec [f (lambda (c) |d)] f))", ["c", "f", "a", "b", "amount"]),
        ("(let [x 1] (map (lambda (y) (+ |x", ["y", "x", "amount"]),
        ("(for ([a amount] [b |a]) b)", ["a", "amount"]),
        ("(let [amount 1] |amount)", ["amount"]),
        ("(if-let [found amount] |found 2)", ["found", "amount"]),
    ],
)
def test_the_scope_at_an_offset_is_innermost_first(marked, scope):
    text, offset = cursor(marked)
    assert list(frontend.read(text, ["amount"]).in_scope(offset)) == scope


@pytest.mark.parametrize(
    ("marked", "expected"),
    [
        ("(+ 1 |2)", ("+", 1)),
        ("(nth xs |", ("nth", 1)),
        ("(nth |", ("nth", 0)),
        ("(n|th xs 1)", ("nth", -1)),
        ("(map (lambda (x) (* x |2)) xs)", ("*", 1)),
        ("(if [|1] 2 3)", ("if", 0)),
        ("[1 |2]", None),
        ("|", None),
    ],
)
def test_the_call_around_an_offset(marked, expected):
    text, offset = cursor(marked)
    call = frontend.read(text, ["xs"]).call_at(offset)
    assert (call and (call.name, call.argument)) == expected
    assert call is None or call.entry is ENTRIES[call.name]


@pytest.mark.parametrize(
    ("marked", "first", "replaced"),
    [
        ("(let [total 1] (+ to|", ["total"], "to"),
        ("(let [total 1] (+ |))", ["total", "amount", "!="], ""),
        ("(am|ount)", ["amount"], "amount"),
        ("(fil|", ["filter"], "fil"),
        ("(let-rec [loop (lambda (n) (lo|))] 1)", ["loop", "local?"], "lo"),
        ("(:ke|", [], ""),
        ('(str "ke|"', [], ""),
        ("; ke|", [], ""),
        ("(+ 1|", [], ""),
        ("zzz|", [], ""),
    ],
)
def test_suggests_what_may_stand_at_the_cursor(marked, first, replaced):
    text, offset = cursor(marked)
    suggestions = frontend.complete(text, ["amount"], offset)
    assert [suggestion.text for suggestion in suggestions][: len(first)] == first
    assert bool(suggestions) == bool(first)
    assert all(text[suggestion.start : suggestion.end] == replaced for suggestion in suggestions)


def test_a_line_of_the_table_is_found_with_and_without_its_domain():
    assert frontend.entry("map") is frontend.entry("ale/map") is ENTRIES["map"]
    assert frontend.entry("nothing") is None


def test_an_unreadable_depth_is_one_fault():
    assert [fault.message for fault in frontend.read("(" * 1000).faults] == ["forms nest deeper than 200 levels"]


def test_failing_forms_within_failing_forms_take_no_longer_than_others():
    text = "(cond [1] [2 " * 60 + ")" * 60
    assert frontend.read(text).faults


def compiles(text):
    try:
        Scripts().compile("ale", f"{text}\n1", ["a"])  # a text of comments is a fault only of a script
    except CompileError:
        return False
    return True


texts = st.text(alphabet="()[]{}'`,@#|;:./\\\" \n01-abxlet+if", max_size=40)


@settings(max_examples=200, deadline=None)
@given(texts)
def test_any_text_is_understood_and_the_compiler_agrees(text):
    reading = frontend.read(f"{text}\n1", ["a"])
    assert bool(reading.faults) == (not compiles(text))
    for offset in range(0, len(text) + 1, 7):
        reading.call_at(offset)
        reading.in_scope(offset)
        frontend.complete(text, ["a"], offset)
