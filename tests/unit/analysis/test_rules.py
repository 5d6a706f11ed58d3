"""What the fields of a step mean together: rules beyond their example in the table."""

from typing import Any

import pytest

from argyll.analysis import check_step
from argyll.analysis.diagnostics import Diagnostic
from argyll.scripts import Scripts

JSONObject = dict[str, Any]
OUT = {"role": "output"}


@pytest.fixture
def check(scripts: Scripts):
    def run(native: bool = True, **changes: Any) -> list[Diagnostic]:
        base: JSONObject = {"id": "a", "name": "A", "type": "sync", "http": {"endpoint": "http://h/p"}}
        value = {key: item for key, item in (base | changes).items() if item is not ...}
        return check_step(value, native=native, scripts=scripts)[1]

    return run


def codes(findings: list[Diagnostic]) -> list[str]:
    return [each.code for each in findings]


@pytest.mark.parametrize("step_id", ["a b", "A", "-a", "a-", "a:b", "é", "a/b", "-"])
def test_ids_that_would_be_rewritten_are_refused(check: Any, step_id: str):
    findings = check(id=step_id)
    assert codes(findings) == ["ARG201"]
    assert findings[0].rejects


@pytest.mark.parametrize("step_id", ["a", "a-b", "a_b.c+d", "0", ".", "..", "_"])
def test_ids_in_their_own_form_are_fine(check: Any, step_id: str):
    assert codes(check(id=step_id)) == []


@pytest.mark.parametrize(
    ("step_type", "block", "wrong"),
    [
        ("sync", {"http": {"endpoint": "http://h"}}, {"script": {"language": "ale", "script": "{}"}}),
        ("sync", {"http": {"endpoint": "http://h"}}, {"flow": {"goals": ["b"]}}),
        ("async", {"http": {"endpoint": "http://h"}}, {"script": {"language": "ale", "script": "{}"}}),
        ("async", {"http": {"endpoint": "http://h"}}, {"flow": {"goals": ["b"]}}),
        ("script", {"script": {"language": "ale", "script": "{}"}}, {"http": {"endpoint": "http://h"}}),
        ("script", {"script": {"language": "ale", "script": "{}"}}, {"flow": {"goals": ["b"]}}),
        ("flow", {"flow": {"goals": ["b"]}}, {"http": {"endpoint": "http://h"}}),
        ("flow", {"flow": {"goals": ["b"]}}, {"script": {"language": "ale", "script": "{}"}}),
    ],
)
def test_each_type_has_its_block_and_no_other(check: Any, step_type: str, block: JSONObject, wrong: JSONObject):
    """execution.md 13.23/207, 13.25/235"""
    bare: JSONObject = {"type": step_type, "http": ...}
    assert codes(check(**bare)) == ["ARG202"]
    assert codes(check(**(bare | block))) == []
    assert codes(check(**(bare | block | wrong))) == ["ARG203"]


def test_a_faulty_block_is_not_called_missing(check: Any):
    assert codes(check(http={"endpoint": 5})) == ["ARG103"]


@pytest.mark.parametrize(
    ("declared", "good", "bad"),
    [
        ("string", "x", 5),
        ("number", 5, True),
        ("number", 1.5, "x"),
        ("boolean", False, 0),
        ("object", {}, []),
        ("array", [], {}),
        ("null", None, "x"),
        ("any", {"a": 1}, ...),
    ],
)
def test_defaults_and_constants_fit_their_type(check: Any, declared: str, good: Any, bad: Any):
    """execution.md 13.23/209"""
    for role, key in (("optional", "default"), ("const", "value")):
        assert codes(check(attributes={"x": {"role": role, "type": declared, key: good}, "y": OUT})) == []
        if bad is not ...:
            assert codes(check(attributes={"x": {"role": role, "type": declared, key: bad}, "y": OUT})) == ["ARG304"]


@pytest.mark.parametrize(
    ("declared", "text", "expected"),
    [
        (None, '"x"', ["ARG303"]),
        (None, "5", ["ARG303"]),
        ("string", "5", []),
        ("string", "true", []),
        ("string", '"x"', ["ARG303"]),
        ("string", "[1]", ["ARG303"]),
        ("any", "null", ["ARG303"]),
        (None, "en-US", []),
        (None, "", []),
        ("number", "5", ["ARG304"]),
    ],
)
def test_json_text_in_yaml_is_noticed(check: Any, declared: str | None, text: str, expected: list[str]):
    spec: JSONObject = {"role": "optional", "default": text} | ({"type": declared} if declared else {})
    assert codes(check(attributes={"x": spec, "y": OUT})) == expected


def test_json_text_over_the_api_is_read(check: Any):
    """execution.md 13.23/209"""
    spec = {"role": "optional", "type": "string", "optional": {"default": '"en-US"'}}
    assert codes(check(native=False, attributes={"x": spec, "y": OUT})) == []
    spec = {"role": "optional", "type": "string", "optional": {"default": "5"}}
    findings = check(native=False, attributes={"x": spec, "y": OUT})
    assert codes(findings) == ["ARG304"]
    assert findings[0].json_pointer == "/attributes/x/optional/default"


@pytest.mark.parametrize("value", [..., ""])
def test_a_constant_over_the_api_needs_its_value(check: Any, value: Any):
    const = {} if value is ... else {"value": value}
    assert codes(check(native=False, attributes={"x": {"role": "const", "const": const}, "y": OUT})) == ["ARG308"]


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("http://h/{x}", []),
        ("http://h/{x}/{x}?a={x}", []),
        ("{x}/path", []),
        ("https://{x}.example/p", []),
        ("http://h/{o}", ["ARG401"]),
        ("http://h/{c}", ["ARG401"]),
        ("http://h/{out}", ["ARG401"]),
        ("http://h/{nope}", ["ARG401"]),
        ("http://h/{renamed}", ["ARG402"]),
        ("http://h/{inner}", []),
        ("http://h/{", ["ARG404"]),
        ("http://h/}", ["ARG404"]),
        ("http://h/{}", ["ARG404"]),
        ("http://h/{{x}}", ["ARG404"]),
        ("ftp://h/", ["ARG406"]),
        ("h/p", ["ARG406"]),
        ("http://", ["ARG406"]),
        ("http://h/a b", ["ARG406"]),
    ],
)
def test_endpoints(check: Any, endpoint: str, expected: list[str]):
    """execution.md 13.23/208"""
    attributes = {
        "x": {"role": "required"},
        "o": {"role": "optional"},
        "c": {"role": "const", "value": 1},
        "out": OUT,
        "renamed": {"role": "required", "mapping": {"name": "inner"}},
    }
    assert codes(check(http={"endpoint": endpoint}, attributes=attributes)) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://h/{x}", []),
        ("http://h/{o}", []),
        ("http://h/{out}", []),
        ("http://h/{c}", ["ARG402"]),
        ("http://h/{nope}", ["ARG402"]),
    ],
)
def test_compensation_may_use_inputs_and_outputs(check: Any, url: str, expected: list[str]):
    """execution.md 13.23/208"""
    attributes = {"x": {"role": "required"}, "o": {"role": "optional"}, "c": {"role": "const", "value": 1}, "out": OUT}
    assert codes(check(http={"endpoint": "http://h", "compensate": url}, attributes=attributes)) == expected


def test_a_placeholder_is_marked_inside_the_url(check: Any):
    findings = check(http={"endpoint": "http://h/{user}"}, attributes={"user_id": {"role": "required"}, "y": OUT})
    assert findings[0].within == (9, 15)
    assert findings[0].hint == "did you mean `user_id`?"


def test_what_a_get_does_not_send(check: Any):
    attributes = {
        "sent": {"role": "required"},
        "unsent": {"role": "required"},
        "absent": {"role": "required", "collect": "none"},
        "judged": {"role": "required"},
        "y": OUT,
    }
    findings = check(
        http={"endpoint": "http://h/{sent}", "method": "GET"},
        attributes=attributes,
        predicate={"language": "ale", "script": "judged"},
    )
    assert [(each.code, each.json_pointer) for each in findings] == [("ARG407", "/attributes/unsent")]


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"a": {"role": "required"}, "b": {"role": "required", "mapping": {"name": "a"}}}, ["ARG313"]),
        ({"a": {"role": "const", "value": 1}, "b": {"role": "required", "mapping": {"name": "a"}}}, ["ARG313"]),
        ({"a": {"role": "output"}, "b": {"role": "output", "mapping": {"name": "a"}}}, ["ARG313"]),
        ({"a": {"role": "output"}, "b": {"role": "required", "mapping": {"name": "a"}}}, []),
        (
            {"a": {"role": "required", "mapping": {"name": "b"}}, "b": {"role": "required", "mapping": {"name": "a"}}},
            [],
        ),
    ],
)
def test_inner_names_are_unique_on_each_side(check: Any, attributes: JSONObject, expected: list[str]):
    """execution.md 13.23/216"""
    assert codes(check(attributes=attributes)) == expected


def test_scripts_see_the_inner_names(check: Any):
    """execution.md 13.7/74"""
    attributes = {"x": {"role": "required", "mapping": {"name": "inner"}}, "y": OUT}
    assert codes(check(attributes=attributes, predicate={"language": "ale", "script": "inner"})) == []
    findings = check(attributes=attributes, predicate={"language": "ale", "script": "(and true\n  x)"})
    assert [(each.code, each.json_pointer) for each in findings] == [("ARG501", "/predicate/script")]
    assert findings[0].within == (12, 13)


@pytest.mark.parametrize(("script", "expected"), [("(= value 1)", []), ("(= x 1)", ["ARG501"])])
def test_a_match_sees_only_the_value(check: Any, script: str, expected: list[str]):
    spec = {"role": "required", "match": {"language": "ale", "script": script}}
    assert codes(check(attributes={"x": spec, "y": OUT})) == expected


def test_a_faulty_attribute_does_not_make_its_name_unknown(check: Any):
    findings = check(
        attributes={"x": {"role": "input"}, "y": OUT},
        http={"endpoint": "http://h/{x}"},
        predicate={"language": "ale", "script": "x"},
    )
    assert codes(findings) == ["ARG105"]


@pytest.mark.parametrize("setting", ["for_each", "match", "mapping"])
def test_nothing_acts_on_what_must_be_absent(check: Any, setting: str):
    script = {"language": "ale", "script": "true"}
    given = {"for_each": True, "match": script, "mapping": {"script": script}}[setting]
    findings = check(attributes={"x": {"role": "required", "collect": "none", setting: given}, "y": OUT})
    assert codes(findings) == ["ARG317"]
    assert not findings[0].rejects


def test_lint_alone_leaves_the_step_usable(scripts: Scripts):
    value = {"id": "a", "name": "A", "type": "sync", "http": {"endpoint": "http://h", "timeout": 0}, "memoizable": True}
    step, findings = check_step(value | {"work_config": {"max_retries": 0}}, native=True, scripts=scripts)
    assert step is not None
    assert codes(findings) == ["ARG109", "ARG107"]
    assert not any(each.rejects for each in findings)


@pytest.mark.parametrize(
    ("native", "declared", "written", "hint"),
    [
        (True, "number", "5", "write 5 without quotes"),
        (True, "number", "five", "change the value or the type"),
        (True, "string", 5, 'quote it: "5"'),
        (True, "object", [1], "change the value or the type"),
        (False, "string", "5", 'write JSON text with quotes: "\\"5\\""'),
    ],
)
def test_a_value_of_the_wrong_type_says_how_to_write_it(
    check: Any, native: bool, declared: str, written: Any, hint: str
):
    spec = {"role": "optional", "type": declared, "optional": {"default": written}}
    assert [each.hint for each in check(native=native, attributes={"x": spec, "y": OUT})] == [hint]
