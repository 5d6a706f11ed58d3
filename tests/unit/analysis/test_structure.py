"""The shape of a step: every finding of every field, in both spellings, over YAML and over the API."""

from typing import Any

import pytest

from argyll.analysis import check_step
from argyll.analysis.structure import check_structure, describe
from argyll.model.step import Step
from argyll.scripts import Scripts

JSONObject = dict[str, Any]


def step(**changes: Any) -> JSONObject:
    base: JSONObject = {"id": "a", "name": "A", "type": "sync", "http": {"endpoint": "http://h/p"}}
    return {key: value for key, value in (base | changes).items() if value is not ...}


def attribute(**spec: Any) -> JSONObject:
    return step(attributes={"x": spec})


def found(value: Any, *, native: bool = True) -> list[tuple[str, str]]:
    return [(each.code, each.json_pointer) for each in check_structure(value, native=native)]


@pytest.mark.parametrize("value", [None, [], "id: a", 5, True])
def test_a_step_is_a_mapping(value: Any):
    assert found(value) == [("ARG004", "")]


@pytest.mark.parametrize(
    ("value", "code", "pointer"),
    [
        (step(id=...), "ARG102", ""),
        (step(name=...), "ARG102", ""),
        (step(type=...), "ARG102", ""),
        (step(id=""), "ARG106", "/id"),
        (step(name="  "), "ARG106", "/name"),
        (step(id=5), "ARG103", "/id"),
        (step(type="http"), "ARG104", "/type"),
        (step(type="Sync"), "ARG104", "/type"),
        (step(type=None), "ARG103", "/type"),
        (step(Name="A"), "ARG101", "/Name"),
        (step(endpoint="http://h"), "ARG101", "/endpoint"),
        (step(memoizable="yes"), "ARG103", "/memoizable"),
        (step(memoizable=1), "ARG103", "/memoizable"),
        (step(http=None), "ARG103", "/http"),
        (step(http="http://h"), "ARG103", "/http"),
        (step(http={}), "ARG102", "/http"),
        (step(http={"endpoint": ""}), "ARG106", "/http/endpoint"),
        (step(http={"endpoint": {"base": None}}), "ARG103", "/http/endpoint"),
        (step(http={"endpoint": "http://h", "method": "get"}), "ARG105", "/http/method"),
        (step(http={"endpoint": "http://h", "timeout": "5000"}), "ARG103", "/http/timeout"),
        (step(http={"endpoint": "http://h", "timeout": 5.0}), "ARG103", "/http/timeout"),
        (step(http={"endpoint": "http://h", "timeout": True}), "ARG103", "/http/timeout"),
        (step(flow={"goals": []}), "ARG106", "/flow/goals"),
        (step(flow={"goals": "a"}), "ARG103", "/flow/goals"),
        (step(flow={"goals": ["a", 5]}), "ARG103", "/flow/goals/1"),
        (step(flow={"goals": ["a", " "]}), "ARG106", "/flow/goals/1"),
        (step(flow={}), "ARG102", "/flow"),
        (step(script={"language": "jpath", "script": "$"}), "ARG504", "/script/language"),
        (step(script={"language": "python", "script": "x"}), "ARG105", "/script/language"),
        (step(script={"script": "x"}), "ARG102", "/script"),
        (step(script={"language": "ale", "script": ""}), "ARG106", "/script/script"),
        (step(predicate={"language": "ale"}), "ARG102", "/predicate"),
        (step(work_config={"parallelism": -1}), "ARG108", "/work_config/parallelism"),
        (step(work_config={"init_backoff": -1}), "ARG108", "/work_config/init_backoff"),
        (step(work_config={"max_attempts": 0}), "ARG108", "/work_config/max_attempts"),
        (step(work_config={"backoff_type": "exp"}), "ARG105", "/work_config/backoff_type"),
        (step(work_config={"max_retries": 3, "max_attempts": 4}), "ARG112", "/work_config/max_retries"),
        (step(work_config={"jitter": "true"}), "ARG103", "/work_config/jitter"),
        (step(labels={"team": 5}), "ARG103", "/labels/team"),
        (step(labels={"team": None}), "ARG103", "/labels/team"),
        (step(labels=["team"]), "ARG103", "/labels"),
        (step(attributes=[]), "ARG103", "/attributes"),
        (step(attributes={"x": None}), "ARG102", "/attributes/x"),
        (step(attributes={"x": "required"}), "ARG103", "/attributes/x"),
        (step(attributes={" ": {"role": "output"}}), "ARG106", "/attributes/ "),
        (step(attributes={"a/b~c": {"role": "in"}}), "ARG105", "/attributes/a~1b~0c/role"),
        (attribute(), "ARG102", "/attributes/x"),
        (attribute(role="input"), "ARG105", "/attributes/x/role"),
        (attribute(role="output", type="str"), "ARG105", "/attributes/x/type"),
        (attribute(role="output", type=["string"]), "ARG103", "/attributes/x/type"),
        (attribute(role="required", collect="any"), "ARG105", "/attributes/x/collect"),
        (attribute(role="required", required={"collect": "any"}), "ARG105", "/attributes/x/required/collect"),
        (attribute(role="required", optional={}), "ARG301", "/attributes/x/optional"),
        (attribute(role="required", default=5), "ARG301", "/attributes/x/default"),
        (attribute(role="optional", match={"language": "ale", "script": "true"}), "ARG301", "/attributes/x/match"),
        (attribute(role="required", required={"deadline": 5}), "ARG306", "/attributes/x/required/deadline"),
        (attribute(role="meta", key="flow_id", mapping={"name": "y"}), "ARG311", "/attributes/x/mapping"),
        (attribute(role="output", for_each=True), "ARG301", "/attributes/x/for_each"),
        (attribute(role="optional", deadline=31_536_000_001), "ARG305", "/attributes/x/deadline"),
        (attribute(role="optional", deadline=-1), "ARG305", "/attributes/x/deadline"),
        (attribute(role="required", mapping={"nam": "y"}), "ARG101", "/attributes/x/mapping/nam"),
        (
            attribute(role="required", mapping={"script": {"language": "ale", "script": " "}}),
            "ARG106",
            "/attributes/x/mapping/script/script",
        ),
        (
            attribute(role="required", for_each=True, required={"for_each": True}),
            "ARG112",
            "/attributes/x/required/for_each",
        ),
        (attribute(role="required", requird={}), "ARG101", "/attributes/x/requird"),
        (attribute(role="meta", key=""), "ARG106", "/attributes/x/key"),
    ],
)
def test_a_fault_is_one_finding(value: Any, code: str, pointer: str):
    """execution.md 13.10/102, 13.10/110, 13.23/207-208, 13.23/210-211, 13.23/214-215, 13.23/217"""
    assert found(value) == [(code, pointer)]


def test_all_faults_are_found_at_once():
    value = step(id=..., type="snyc", http={"endpoint": 5, "timeut": 1}, attributes={"x": None, "y": {"role": "out"}})
    assert {code for code, _ in found(value)} == {"ARG101", "ARG102", "ARG103", "ARG104", "ARG105"}


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (step(atributes={}), "did you mean `attributes`?"),
        (step(retries=3), "`max_retries` belongs under `work_config`"),
        (step(endpoint="x"), "`endpoint` belongs under `http`"),
        (step(max_retries=3), "`max_retries` belongs under `work_config`"),
        (step(goals=["x"]), "`goals` belongs under `flow`"),
        (attribute(role="input"), "did you mean `required`?"),
        (attribute(role="outptu"), "did you mean `output`?"),
        (attribute(role="output", type="integer"), "did you mean `number`?"),
        (step(http={"url": "x", "endpoint": "http://h"}), "did you mean `endpoint`?"),
        (step(http={"endpoint": "http://h", "method": "post"}), "did you mean `POST`?"),
        (step(http={"endpoint": "http://h", "timeout": "5000"}), "write 5000 without quotes"),
        (step(labels={"version": 2}), 'quote it: "2"'),
        (step(labels={"version": True}), 'quote it: "true"'),
        (step(flow={"goals": "ship"}), "write `goals: [ship]`"),
    ],
)
def test_hints_name_the_mend(value: Any, hint: str):
    assert [each.hint for each in check_structure(value, native=True)] == [hint]


@pytest.mark.parametrize("key", ["attributes", "script", "flow", "predicate", "work_config", "labels"])
def test_over_the_api_a_null_block_is_absent(key: str):
    assert found(step(**{key: None}), native=False) == []
    assert found(step(**{key: None}), native=True) != []


def test_over_the_api_an_empty_optional_text_is_absent(scripts: Scripts):
    value = step(
        http={"endpoint": "http://h", "method": "", "health_check": "", "compensate": "", "timeout": 0},
        work_config={"backoff_type": ""},
        attributes={"x": {"role": "required", "type": "", "required": {"collect": "", "mapping": None}}},
    )
    read, findings = check_step(value, native=False, scripts=scripts)
    assert findings == []
    assert isinstance(read, Step)
    assert read.attributes["x"].type is None
    assert read.http is not None
    assert read.http.method == "POST"


def test_null_is_the_name_of_a_type_in_yaml(scripts: Scripts):
    read, findings = check_step(attribute(role="output", type=None), native=True, scripts=scripts)
    assert read is not None
    assert not [each for each in findings if each.rejects]
    assert read.attributes["x"].type == "null"


@pytest.mark.parametrize("text", ["en-US", "{", "'a'", " "])
def test_over_the_api_constants_are_json_text(text: str):
    assert found(attribute(role="optional", optional={"default": text}), native=False) == [
        ("ARG304", "/attributes/x/optional/default")
    ]
    assert found(attribute(role="optional", default=text), native=True) == []


def test_both_spellings_are_one_step(scripts: Scripts):
    match = {"language": "ale", "script": "value"}
    settings = {"for_each": True, "collect": "last", "match": match, "mapping": {"name": "y"}}
    flat, _ = check_step(attribute(role="required", **settings), native=True, scripts=scripts)
    nested, _ = check_step(attribute(role="required", required=settings), native=True, scripts=scripts)
    mixed, _ = check_step(
        attribute(
            role="required", for_each=True, required={"collect": "last", "match": match, "mapping": {"name": "y"}}
        ),
        native=True,
        scripts=scripts,
    )
    assert flat is not None
    assert flat == nested == mixed


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null"),
        (True, "the boolean `true`"),
        (5, "the number 5"),
        ("x", 'the text "x"'),
        ("x" * 41, "text"),
        ([], "a list"),
        ({}, "a mapping"),
    ],
)
def test_messages_say_what_was_found(value: Any, words: str):
    assert describe(value) == words


def test_a_quoted_boolean_is_unquoted():
    assert [each.hint for each in check_structure(step(memoizable="true"), native=True)] == [
        "write `true` or `false` without quotes"
    ]
