"""Steps know their inputs, outputs and inner names, and how their retries are filled in."""

import pytest

from argyll.model.shape import BLOCK_OF_TYPE, SETTINGS, STEP, settings_of
from argyll.model.step import DEFAULT_WORK, ROLES, STEP_TYPES, Attribute, Http, Mapping, Step, WorkConfig

STEP_WITH_ALL_ROLES = Step(
    id="a",
    name="A",
    type="sync",
    attributes={
        "z": Attribute("required", mapping=Mapping("inner")),
        "o": Attribute("optional"),
        "c": Attribute("const", value=1),
        "m": Attribute("meta", key="flow_id"),
        "out": Attribute("output", mapping=Mapping("result")),
    },
)


def test_inputs_outputs_and_arguments_ascend():
    assert list(STEP_WITH_ALL_ROLES.inputs) == ["o", "z"]
    assert list(STEP_WITH_ALL_ROLES.outputs) == ["out"]
    assert STEP_WITH_ALL_ROLES.argument_names == ("c", "inner", "m", "o")


@pytest.mark.parametrize(
    ("given", "limit"),
    [
        (WorkConfig(), 10),
        (WorkConfig(max_retries=3), 3),
        (WorkConfig(max_retries=-1), -1),
        (WorkConfig(max_attempts=1), 0),
        (WorkConfig(max_attempts=4), 3),
    ],
)
def test_attempts_are_retries_and_one(given: WorkConfig, limit: int):
    assert given.with_defaults(DEFAULT_WORK).retry_limit == limit


@pytest.mark.parametrize(
    ("init_ms", "max_ms", "expected"),
    [
        (0, 0, (1_000, 60_000)),
        (500, 0, (500, 60_000)),
        (120_000, 0, (120_000, 120_000)),
        (0, 500, (500, 500)),
        (0, 5_000, (1_000, 5_000)),
        (2_000, 3_000, (2_000, 3_000)),
    ],
)
def test_a_lone_backoff_bound_moves_the_other(init_ms: int, max_ms: int, expected: tuple[int, int]):
    """execution.md 13.23/217"""
    work = WorkConfig(init_backoff_ms=init_ms, max_backoff_ms=max_ms).with_defaults(DEFAULT_WORK)
    assert (work.init_backoff_ms, work.max_backoff_ms) == expected


def test_filling_in_twice_changes_nothing():
    """execution.md 13.23/217"""
    for given in (
        WorkConfig(),
        WorkConfig(max_attempts=2, jitter=True, parallelism=3),
        WorkConfig(backoff_type="fixed"),
    ):
        once = given.with_defaults(DEFAULT_WORK)
        assert once.with_defaults(DEFAULT_WORK) == once
        assert (once.jitter, once.parallelism) == (given.jitter, given.parallelism)


@pytest.mark.parametrize(
    ("step_type", "memoizable", "compensate", "expected"),
    [
        ("sync", False, "http://h/undo", True),
        ("async", False, "http://h/undo", True),
        ("sync", False, "", False),
        ("sync", True, "http://h/undo", False),
        ("script", False, "http://h/undo", False),
    ],
)
def test_what_can_be_compensated(step_type: str, memoizable: bool, compensate: str, expected: bool):
    http = Http("http://h", compensate=compensate)
    step = Step(id="a", name="A", type=step_type, http=http, memoizable=memoizable)  # type: ignore[arg-type]
    assert step.compensable is expected


def test_the_table_of_fields_knows_every_role_and_type():
    assert {role for field in SETTINGS.values() for role in field.roles} == set(ROLES)
    assert set(BLOCK_OF_TYPE) == set(STEP_TYPES)
    assert set(BLOCK_OF_TYPE.values()) <= set(STEP.fields)
    assert list(settings_of("const")) == ["value"]
    assert list(settings_of("output")) == ["mapping"]
