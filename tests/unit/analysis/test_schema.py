"""The JSON Schemas say what the checker says, and do not drift."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from argyll.analysis import check_step, docs, schema
from argyll.analysis.generated import write_or_compare
from argyll.model.shape import HTTP, SETTINGS, STEP, WORK
from argyll.model.step import ATTRIBUTE_TYPES, COLLECTS, ROLES
from argyll.scripts import Scripts

STEPS = sorted((Path(__file__).parents[3] / "examples" / "steps").glob("*.yaml"))
VALIDATOR = Draft202012Validator(schema.step_schema())
SHAPE = {
    *(
        "ARG004",
        "ARG101",
        "ARG102",
        "ARG103",
        "ARG104",
        "ARG105",
        "ARG106",
        "ARG108",
        "ARG112",
        "ARG201",
        "ARG202",
        "ARG203",
    ),
    *("ARG301", "ARG305", "ARG306", "ARG308", "ARG311", "ARG312", "ARG504"),
}
"""What a schema can say."""

SCRIPT = st.fixed_dictionaries({"language": st.sampled_from(["ale", "jpath"]), "script": st.just("true")})
MAPPING = st.fixed_dictionaries({}, optional={"name": st.sampled_from(["m", ""]), "script": SCRIPT})
SETTING = {
    "collect": st.sampled_from(COLLECTS),
    "for_each": st.booleans(),
    "match": SCRIPT,
    "mapping": MAPPING,
    "default": st.sampled_from([None, 5, "x", []]),
    "deadline": st.sampled_from([0, 5, -1, 31_536_000_001]),
    "value": st.sampled_from([None, 5, "x"]),
    "key": st.sampled_from(["flow_id", ""]),
}


@st.composite
def attributes(draw: st.DrawFn) -> dict[str, Any]:
    role = draw(st.sampled_from(ROLES))
    own = {name: SETTING[name] for name, field in SETTINGS.items() if role in field.roles}
    spec: dict[str, Any] = {"role": role}
    if draw(st.booleans()):
        spec["type"] = draw(st.sampled_from([*ATTRIBUTE_TYPES, None]))
    spec |= draw(st.fixed_dictionaries({}, optional=own))
    if draw(st.integers(0, 3)) == 0:
        spec[role] = draw(st.fixed_dictionaries({}, optional=own))
    if draw(st.integers(0, 5)) == 0:
        name = draw(st.sampled_from(list(SETTING)))
        spec[name] = draw(SETTING[name])
    return spec


WORK_CONFIG = st.fixed_dictionaries(
    {},
    optional={
        "max_retries": st.integers(-1, 3),
        "max_attempts": st.integers(0, 3),
        "init_backoff": st.integers(-1, 2),
        "backoff_type": st.sampled_from(["fixed", "linear", ""]),
        "parallelism": st.integers(-1, 2),
        "jitter": st.booleans(),
    },
)
HTTP_BLOCK = st.fixed_dictionaries(
    {"endpoint": st.sampled_from(["http://h/p", ""])},
    optional={
        "method": st.sampled_from(["GET", "get"]),
        "timeout": st.integers(-1, 5),
        "health_check": st.just("http://h"),
    },
)
STEP_VALUES = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["a", "a-b", "A", "-a", ""]),
        "name": st.sampled_from(["A", " "]),
        "type": st.sampled_from(["sync", "async", "script", "flow", "snyc"]),
    },
    optional={
        "attributes": st.dictionaries(st.sampled_from(["x", "y", ""]), attributes(), max_size=2),
        "http": HTTP_BLOCK,
        "script": SCRIPT,
        "flow": st.fixed_dictionaries({"goals": st.lists(st.sampled_from(["b", ""]), max_size=2)}),
        "predicate": SCRIPT,
        "work_config": WORK_CONFIG,
        "labels": st.dictionaries(st.just("team"), st.sampled_from(["x", 5])),
        "memoizable": st.booleans(),
    },
)
JUNK = st.sampled_from([None, True, 7, "junk", "", [], {}, ["a"], {"role": "output"}])
KEYS = st.sampled_from([*STEP.fields, *HTTP.fields, *WORK.fields, *SETTINGS, *ROLES, "junk"])


def containers(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [found for item in value for found in containers(item)]
    if not isinstance(value, dict):
        return []
    return [value, *(found for item in value.values() for found in containers(item))]


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    value = copy.deepcopy(draw(STEP_VALUES))
    for _ in range(draw(st.integers(0, 2))):
        owner = draw(st.sampled_from(containers(value)))
        if owner and draw(st.booleans()):
            key = draw(st.sampled_from(sorted(owner)))
            if draw(st.booleans()):
                del owner[key]
            else:
                owner[key] = copy.deepcopy(draw(JUNK))
        else:
            owner[draw(KEYS)] = copy.deepcopy(draw(JUNK))
    return value


@given(mutated())
@settings(max_examples=400, deadline=None)
def test_schema_and_checker_agree(value: Any):
    findings = check_step(value, native=True, scripts=Scripts())[1]
    by_checker = [each for each in findings if each.code in SHAPE]
    by_schema = [error.message for error in VALIDATOR.iter_errors(value)]
    assert bool(by_checker) == bool(by_schema), (by_checker, by_schema)


def test_the_schemas_are_valid_and_describe_every_field():
    for made in (schema.step_schema(), schema.project_schema()):
        Draft202012Validator.check_schema(made)
        for properties in (
            found["properties"] for found in containers(made) if isinstance(found.get("properties"), dict)
        ):
            for name, field in properties.items():
                assert (
                    field is False
                    or "$ref" in field
                    or "description" in field
                    or set(field) <= {"enum", "const", "required"}
                ), name


@pytest.mark.parametrize("path", STEPS, ids=lambda path: path.stem)
def test_the_examples_are_valid(path: Path):
    for value in yaml.safe_load_all(path.read_text("utf-8")):
        assert list(VALIDATOR.iter_errors(value)) == []


def test_the_project_schema_knows_the_rules():
    validator = Draft202012Validator(schema.project_schema())
    assert validator.is_valid({"check": {"rules": {"ARG601": "off"}}, "paths": ["steps"]})
    assert not validator.is_valid({"check": {"rules": {"ARG101": "off"}}})
    assert not validator.is_valid({"checks": {}})


def test_what_is_checked_in_is_up_to_date():
    assert schema.main(["--check"]) == 0
    assert docs.main(["--check"]) == 0


def test_drift_is_an_error_until_it_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    files = {Path("sub/file.json"): json.dumps({"a": 1})}
    assert write_or_compare(files, ["--check"], "make it", root=tmp_path) == 1
    assert "run `make it`" in capsys.readouterr().err
    assert write_or_compare(files, [], "make it", root=tmp_path) == 0
    assert write_or_compare(files, ["--check"], "make it", root=tmp_path) == 0
    assert write_or_compare(files, ["--chekc"], "make it", root=tmp_path) == 64
