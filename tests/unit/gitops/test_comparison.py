"""Two sets of steps side by side: fields that differ, the flows that hold what goes away, and how both are written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from msgspec import UNSET

from argyll.gitops.comparison import (
    Comparison,
    FieldChange,
    FlowUse,
    Side,
    catalog_of,
    compare,
    field_changes,
    flows_using,
    like_live,
)
from argyll.gitops.difftext import MARKDOWN_CHARS, MAX_NAMES, comparison_markdown, comparison_text
from argyll.model.step import DEFAULT_WORK, Step
from argyll.model.wire import step_from_json


def never(script: object, value: object) -> bool:
    raise AssertionError("no plan without init runs a match")


def step(step_id: str, *, timeout: int = 0, **attributes: str) -> Step:
    return step_from_json(
        {
            "id": step_id,
            "name": step_id,
            "type": "sync",
            "http": {"endpoint": "http://localhost/", "timeout": timeout},
            "attributes": {name: {"role": role} for name, role in attributes.items()},
        }
    )


PRICE = step("price", items="required", price="output")
PAY = step("pay", price="required", receipt="output")


def compared(before: Sequence[Step], after: Sequence[Step]) -> Comparison:
    places = {one.id: f"{one.id}.yaml:1" for one in after}
    return compare(Side("old", catalog_of(before)), Side("new", catalog_of(after), places), never)


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, [("/a", 1, 2)]),
        ({"a": 1}, {"a": True}, [("/a", 1, True)]),
        ({"a": None}, {}, [("/a", None, UNSET)]),
        ({}, {"a": {"b": 1}}, [("/a", UNSET, {"b": 1})]),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3, "c": 2}}, [("/a/b", 1, 3)]),
        ({"a": [1, 2]}, {"a": [1, 3]}, [("/a", [1, 2], [1, 3])]),
        ({"x/y": {"~": 1}}, {"x/y": {"~": 2}}, [("/x~1y/~0", 1, 2)]),
    ],
)
def test_fields_that_differ_are_named_by_pointer(before: Any, after: Any, changes: list[tuple[Any, ...]]) -> None:
    assert list(field_changes(before, after)) == [FieldChange(*change) for change in changes]


def test_steps_are_created_updated_deleted_or_unchanged() -> None:
    comparison = compared([PRICE, PAY, step("old")], [PRICE, step("pay", timeout=5, price="required"), step("new")])
    assert [(change.id, change.action, change.place) for change in comparison.steps] == [
        ("new", "create", "new.yaml:1"),
        ("old", "delete", ""),
        ("pay", "update", "pay.yaml:1"),
    ]
    assert (comparison.unchanged, comparison.removed) == (1, ["old"])


def test_engine_defaults_of_retries_are_no_difference() -> None:
    live = PRICE.with_work_defaults(DEFAULT_WORK)
    assert like_live(PRICE, live) == live
    assert like_live(PRICE, None) is PRICE


class Engine:
    """Active flows by id, with the steps of their plans."""

    def __init__(self, **plans: list[str]) -> None:
        self.plans, self.read = plans, 0

    async def flows(self, *, statuses: Sequence[str] | None = None) -> AsyncIterator[dict[str, Any]]:
        assert statuses == ["active"]
        for flow_id in self.plans:
            yield {"id": flow_id}

    async def flow(self, flow_id: str) -> dict[str, Any]:
        self.read += 1
        return {"id": flow_id, "plan": {"steps": {step_id: {} for step_id in self.plans[flow_id]}}}


async def test_active_flows_that_hold_a_step_that_goes_away_are_found() -> None:
    engine = Engine(f1=["price", "pay"], f2=["pay"], f3=["price"])
    assert await flows_using(engine, {"price", "gone"}) == FlowUse({"price": ("f1", "f3")})


async def test_no_flow_is_read_when_nothing_goes_away_and_never_more_than_the_limit() -> None:
    engine = Engine(f1=["price"], f2=["price"], f3=["price"])
    assert await flows_using(engine, set()) == FlowUse()
    assert engine.read == 0
    assert await flows_using(engine, {"price"}, limit=2) == FlowUse({"price": ("f1", "f2")}, complete=False)


def test_text_names_fields_plans_lost_attributes_and_flows() -> None:
    comparison = compared([PRICE, PAY], [step("pay", timeout=5, price="required", receipt="output")])
    assert comparison_text(comparison.with_flows(FlowUse({"price": ("f1",)}, complete=False))).splitlines() == [
        "old -> new",
        "  ~ update  pay  pay.yaml:1",
        "        http.timeout: (none) -> 5",
        "  - delete  price",
        "plans",
        "  pay has another plan",
        "      steps removed: price",
        "      steps changed: pay",
        "      callers must now give: price",
        "      callers need not give any more: items",
        "  lost: price was written by price; still read by pay",
        "  1 active flow holds price, which goes away, and keeps it to the end: f1",
        "  there are more active flows than were looked into",
        "0 to create, 1 to update, 1 to delete, 0 unchanged; 1 plan changes",
    ]


def test_equal_sides_say_so() -> None:
    assert comparison_text(compared([PRICE], [PRICE])) == "old -> new\n  nothing differs, 1 step"
    assert "Nothing differs (1 step)." in comparison_markdown(compared([PRICE], [PRICE]))


def test_long_lists_of_names_are_counted() -> None:
    many = [step(f"s{number:02}", **{f"in{number}": "required"}, shared="output") for number in range(MAX_NAMES + 3)]
    text = comparison_text(compared([*many, step("end", shared="required")], [step("end", shared="required")]))
    assert "s07 and 3 more; still read by end" in text


def test_markdown_has_a_row_for_each_plan_and_folds_the_steps() -> None:
    text = comparison_markdown(compared([PRICE, PAY], [PAY]))
    assert "| `pay` | has another plan | steps removed: price<br>callers must now give: price<br>" in text
    assert "```diff\n- delete price\n```" in text
    assert ":warning: nothing writes `price` any more" in text


def test_markdown_of_others_is_text_only() -> None:
    nasty = step("a", **{"x|<b>@all`": "output"})
    text = comparison_markdown(
        compared([nasty, step("b", **{"x|<b>@all`": "required"})], [step("b", **{"x|<b>@all`": "required"})])
    )
    row = next(line for line in text.splitlines() if line.startswith("| `b`"))
    assert "<b>" not in row.replace("\\<b\\>", "")
    assert "@all" not in row
    assert row.replace("\\|", "").count("|") == 4


def test_markdown_is_cut_before_a_forge_refuses_it_and_nothing_stays_open() -> None:
    many = [step(f"step-{number:04}-{'x' * 80}") for number in range(1000)]
    text = comparison_markdown(compared([], many))
    assert len(text) < MARKDOWN_CHARS + 200
    assert text.count("```") % 2 == 0
    assert text.count("<details>") == text.count("</details>")
    assert "cut here" in text


def test_json_tells_absent_from_null_and_leaves_flows_out_when_no_engine_was_asked() -> None:
    told = compared([PAY], [step("pay", timeout=7, price="required", receipt="output")]).to_json()
    assert told["steps"][0]["fields"] == [{"pointer": "/http/timeout", "after": 7}]
    assert "active_flows" not in told
    assert told["format_version"] == "1.0"
