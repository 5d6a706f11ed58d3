"""What is remembered: by behaviour and inputs, and never more than there is room for."""

from typing import Any

import pytest

from argyll.engine.memo import Memo, definition_hash
from argyll.model.step import Step
from argyll.model.wire import step_from_json

BASE: dict[str, Any] = {
    "id": "s",
    "name": "S",
    "type": "sync",
    "memoizable": True,
    "http": {"endpoint": "http://a/"},
    "attributes": {"x": {"role": "required", "type": "number"}, "y": {"role": "output"}},
}


def step(**changes: Any) -> Step:
    return step_from_json(BASE | changes)


@pytest.mark.parametrize("change", [{"id": "t"}, {"name": "T"}, {"labels": {"team": "a"}}])
def test_who_a_step_is_does_not_count(change: dict[str, Any]):
    """execution.md 13.22/202, 13.23/219"""
    assert definition_hash(step(**change)) == definition_hash(step())


@pytest.mark.parametrize(
    "change",
    [
        {"http": {"endpoint": "http://b/"}},
        {"http": {"endpoint": "http://a/", "method": "PUT"}},
        {"http": None, "type": "script", "script": {"language": "ale", "script": "1"}},
        {"http": None, "type": "flow", "flow": {"goals": ["g"]}},
        {"attributes": {"x": {"role": "required"}, "y": {"role": "output"}}},
        {"predicate": {"language": "ale", "script": "true"}},
    ],
)
def test_how_a_step_behaves_counts(change: dict[str, Any]):
    """execution.md 13.22/202, 13.23/219"""
    changed = {name: value for name, value in (BASE | change).items() if value is not None}
    assert definition_hash(step_from_json(changed)) != definition_hash(step())


def test_outputs_are_recalled_for_equal_inputs_only():
    """execution.md 13.22/202, 13.23/220"""
    memo = Memo(8)
    memo.remember(step(), {"x": 1, "z": {"a": 1, "b": 2}}, {"y": 1})
    assert memo.recall(step(id="other"), {"z": {"b": 2, "a": 1}, "x": 1}) == {"y": 1}
    assert memo.recall(step(), {"x": 2, "z": {"a": 1, "b": 2}}) is None
    assert memo.recall(step(), {"x": "1", "z": {"a": 1, "b": 2}}) is None
    assert memo.recall(step(http={"endpoint": "http://b/"}), {"x": 1, "z": {"a": 1, "b": 2}}) is None


def test_the_first_outputs_stay():
    memo = Memo(8)
    memo.remember(step(), {}, {"y": 1})
    memo.remember(step(), {}, {"y": 2})
    assert memo.recall(step(), {}) == {"y": 1}


def test_the_least_recently_used_goes_first():
    memo = Memo(2)
    for x in (1, 2):
        memo.remember(step(), {"x": x}, {"y": x})
    assert memo.recall(step(), {"x": 1}) == {"y": 1}
    memo.remember(step(), {"x": 3}, {"y": 3})
    assert [memo.recall(step(), {"x": x}) for x in (1, 2, 3)] == [{"y": 1}, None, {"y": 3}]


def test_what_is_remembered_is_bounded_by_size_too() -> None:
    remembered = Step("s", "s", "script")
    memo = Memo(entries=1_000, max_bytes=2_500)
    for n in range(10):
        memo.remember(remembered, {"n": n}, {"text": "x" * 1_000})
    kept = [n for n in range(10) if memo.recall(remembered, {"n": n}) is not None]
    assert kept == [8, 9]
