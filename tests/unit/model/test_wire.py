"""Steps as JSON: both spellings are read, each is written, and nothing is lost on the way."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from argyll.model import json
from argyll.model.step import (
    ATTRIBUTE_TYPES,
    BACKOFF_TYPES,
    COLLECTS,
    LANGUAGES,
    METHODS,
    Attribute,
    Http,
    Mapping,
    Script,
    Step,
    WorkConfig,
)
from argyll.model.wire import Malformed, canonical_step, step_from_json, step_to_flat, step_to_json, steps_from_json

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(TEXTS, children, max_size=3),
    max_leaves=6,
)
SCRIPTS = st.builds(Script, st.sampled_from(LANGUAGES), NAMES).filter(
    lambda script: script.language != "jpath" or script.script == script.script.strip()
)
MAPPINGS = st.builds(Mapping, NAMES, st.none() | SCRIPTS) | st.builds(Mapping, st.just(""), SCRIPTS)
TYPES = st.none() | st.sampled_from(ATTRIBUTE_TYPES)
MAYBE_MAPPING = st.none() | MAPPINGS
COLLECT = st.sampled_from(COLLECTS)

ATTRIBUTES = st.one_of(
    st.builds(
        Attribute,
        st.just("required"),
        TYPES,
        collect=COLLECT,
        for_each=st.booleans(),
        match=st.none() | SCRIPTS,
        mapping=MAYBE_MAPPING,
    ),
    st.builds(
        Attribute,
        st.just("optional"),
        TYPES,
        collect=COLLECT,
        for_each=st.booleans(),
        mapping=MAYBE_MAPPING,
        default=st.just(UNSET) | JSON_VALUES,
        deadline_ms=st.integers(0, 1000),
    ),
    st.builds(Attribute, st.just("const"), TYPES, value=JSON_VALUES),
    st.builds(Attribute, st.just("meta"), TYPES, key=NAMES),
    st.builds(Attribute, st.just("output"), TYPES, mapping=MAYBE_MAPPING),
)
WORKS = st.builds(
    WorkConfig,
    max_retries=st.integers(-1, 5),
    max_attempts=st.integers(0, 5),
    init_backoff_ms=st.integers(0, 5000),
    max_backoff_ms=st.integers(0, 5000),
    backoff_type=st.sampled_from(["", *BACKOFF_TYPES]),
    parallelism=st.integers(0, 5),
    jitter=st.booleans(),
)
HTTPS = st.builds(Http, NAMES, st.sampled_from(METHODS), st.integers(-1, 5000), TEXTS, TEXTS)
STEPS = st.builds(
    Step,
    id=NAMES,
    name=NAMES,
    type=st.sampled_from(["sync", "async", "script", "flow"]),
    attributes=st.dictionaries(NAMES, ATTRIBUTES, max_size=4),
    http=st.none() | HTTPS,
    script=st.none() | SCRIPTS,
    flow_goals=st.lists(NAMES, max_size=3).map(tuple),
    predicate=st.none() | SCRIPTS,
    work=WORKS,
    labels=st.dictionaries(NAMES, TEXTS, max_size=3),
    memoizable=st.booleans(),
)


def through_text(value: Any) -> Any:
    return json.decode(json.encode(value))


@given(STEPS)
@settings(max_examples=150, deadline=None)
def test_the_nested_spelling_loses_nothing(step: Step):
    assert step_from_json(through_text(step_to_json(step))) == step


@given(STEPS)
@settings(max_examples=150, deadline=None)
def test_the_flat_spelling_loses_nothing(step: Step):
    assert step_from_json(through_text(step_to_flat(step)), native=True) == step


@given(STEPS)
@settings(max_examples=100, deadline=None)
def test_canonical_bytes_do_not_depend_on_the_spelling(step: Step):
    """execution.md 13.23/218"""
    flat = step_from_json(through_text(step_to_flat(step)), native=True)
    nested = step_from_json(through_text(step_to_json(step)))
    assert canonical_step(flat) == canonical_step(nested) == canonical_step(step)


def written(**changes: Any) -> dict[str, Any]:
    return {"id": "a", "name": "A", "type": "sync", "http": {"endpoint": "http://h"}} | changes


def attribute(spec: dict[str, Any], *, native: bool) -> Attribute:
    return step_from_json(written(attributes={"x": spec}), native=native).attributes["x"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (written(), written(attributes={})),
        (written(), written(attributes=None, labels=None, predicate=None, script=None, flow=None, work_config=None)),
        (written(), written(labels={}, work_config={}, memoizable=False)),
        (written(), written(http={"endpoint": "http://h", "method": "POST", "timeout": 0})),
        (written(), written(http={"endpoint": "http://h", "method": ""})),
        (written(labels={"a": "1", "b": "2"}), written(labels={"b": "2", "a": "1"})),
        (
            written(attributes={"x": {"role": "output"}, "y": {"role": "required"}}),
            written(attributes={"y": {"role": "required", "required": {}}, "x": {"role": "output", "type": ""}}),
        ),
        (
            written(attributes={"x": {"role": "required", "collect": "first", "for_each": False}}),
            written(attributes={"x": {"role": "required"}}),
        ),
    ],
)
def test_what_means_the_same_is_equal(one: Any, other: Any):
    """execution.md 13.23/218"""
    assert canonical_step(step_from_json(one)) == canonical_step(step_from_json(other))


@pytest.mark.parametrize(
    "changed",
    [
        written(name="B"),
        written(type="async"),
        written(memoizable=True),
        written(http={"endpoint": "http://h", "method": "GET"}),
        written(attributes={"x": {"role": "const", "value": 1}}),
        written(labels={"a": "1"}),
    ],
)
def test_what_differs_is_not_equal(changed: Any):
    """execution.md 13.23/218"""
    assert canonical_step(step_from_json(changed)) != canonical_step(step_from_json(written()))


@pytest.mark.parametrize("values", [(1, 1.0), (1, True), (0, False), (None, "null"), ([], {})])
def test_constants_of_different_types_are_different_definitions(values: tuple[Any, Any]):
    one, other = (
        step_from_json(written(attributes={"x": {"role": "const", "value": value}}), native=True) for value in values
    )
    assert canonical_step(one) != canonical_step(other)


@pytest.mark.parametrize(
    ("text", "value"),
    [('"en-US"', "en-US"), ("5", 5), ("null", None), ("[1]", [1]), ("", UNSET), (5, 5), (None, None), ([1], [1])],
)
def test_over_the_api_a_text_is_json_text(text: Any, value: Any):
    assert attribute({"role": "optional", "optional": {"default": text}}, native=False).default == value
    assert attribute({"role": "const", "value": text}, native=False).value == value


@pytest.mark.parametrize("value", ["en-US", "5", "", None, 5])
def test_in_yaml_a_value_means_itself(value: Any):
    assert attribute({"role": "optional", "default": value}, native=True).default == value


def test_the_type_null_is_a_name_in_yaml():
    assert attribute({"role": "output", "type": None}, native=True).type == "null"
    assert attribute({"role": "output", "type": "null"}, native=False).type == "null"
    assert attribute({"role": "output", "type": None}, native=False).type is None
    assert attribute({"role": "output"}, native=True).type is None


def test_the_api_always_shows_the_timeout_and_people_only_a_given_one():
    step = step_from_json(written())
    assert step_to_json(step)["http"] == {"endpoint": "http://h", "timeout": 0}
    assert step_to_flat(step)["http"] == {"endpoint": "http://h"}


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        written(attributes={"x": None}),
        written(attributes={"x": {}}),
        written(attributes=[1]),
        written(attributes={"x": {"role": "optional", "default": "en-US"}}),
        written(flow={"goals": 5}),
        written(http={"method": "GET"}),
    ],
)
def test_what_is_no_step_is_malformed(value: Any):
    with pytest.raises(Malformed):
        step_from_json(value)


def test_several_steps_are_read_by_id():
    step = step_from_json(written())
    assert steps_from_json({"a": step_to_json(step)}) == {"a": step}
