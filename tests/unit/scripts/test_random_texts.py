"""Whatever is written, only `ScriptError` comes out; whatever runs, plain JSON comes out."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from argyll.scripts import Limits, ScriptError, Scripts
from argyll.scripts.ale import ENTRIES

SCRIPTS = Scripts()
LIMITS = Limits(steps=3_000, wall_ms=2_000)
FEW = settings(max_examples=150, deadline=None)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)

names = st.sampled_from([name for name, entry in ENTRIES.items() if entry.kind != "form"] + ["x", "y"])
atoms = (
    st.sampled_from(["0", "1", "-2", "1.5", "1/2", '"s"', ":k", "null", "true", "'sym", "[]", "{}", "(range)"]) | names
)
forms = st.sampled_from([name for name, entry in ENTRIES.items() if entry.kind == "form"])


def _nested(inner):
    several = st.lists(inner, max_size=3).map(" ".join)
    return (
        st.tuples(names | inner, several).map(lambda t: f"({t[0]} {t[1]})")
        | st.tuples(forms, several).map(lambda t: f"({t[0]} {t[1]})")
        | several.map(lambda items: f"[{items}]")
        | st.tuples(inner, inner).map(lambda t: f"{{:a {t[0]} {t[1]} 1}}")
        | st.tuples(inner, inner).map(lambda t: f"(let [x {t[0]}] {t[1]})")
        | inner.map(lambda body: f"(lambda (y) {body})")
    )


programs = st.recursive(atoms, _nested, max_leaves=10)
symbols = st.text(alphabet="()[]{}'`,@#|;:./\\\" \n\r\t+-0189abe?$*!<>=&", max_size=25)


def _only_script_errors(language, text, args):
    error = None
    try:
        compiled = SCRIPTS.compile(language, text, ["x"])
        json.dumps(compiled.outputs(args, LIMITS), allow_nan=False)
        json.dumps(compiled.map(args, args.get("x"), LIMITS), allow_nan=False)
        assert type(compiled.test(args, LIMITS)) is bool
    except ScriptError as raised:
        error = raised
    assert error is None or (str(error) and (error.line or 1) >= 1)


@FEW
@given(symbols | st.text(max_size=15), json_values)
def test_random_characters(text, value):
    for language in ("ale", "lua", "jpath"):
        _only_script_errors(language, text, {"x": value})


@settings(max_examples=250, deadline=None)
@given(programs, json_values)
def test_random_programs(text, value):
    _only_script_errors("ale", text, {"x": value})


pieces = [
    "$",
    "@",
    ".a",
    "..",
    "*",
    "[0]",
    "['a']",
    "[?",
    "]",
    "[1:2]",
    "==",
    "<",
    "!",
    "&&",
    "||",
    "(",
    ")",
    "1",
    "'a'",
    "null",
    "length(",
    "count(",
    "match(",
    "value(",
    ",",
]
queries = st.lists(st.sampled_from([*pieces, " "]), max_size=10).map("".join)


@FEW
@given(queries, json_values)
def test_random_queries(text, value):
    _only_script_errors("jpath", text, {"x": value})


@FEW
@given(json_values)
def test_json_goes_through_unchanged_in_value(value):
    got = SCRIPTS.compile("ale", "{:r x}", ["x"]).outputs({"x": value})["r"]
    assert got == _as_ale_answers(value)


def _as_ale_answers(value):
    if type(value) is int and not -(2**63) <= value < 2**63:
        return str(value)
    if isinstance(value, list):
        return [_as_ale_answers(item) for item in value]
    if isinstance(value, dict):
        return {key: _as_ale_answers(item) for key, item in value.items()}
    return value
