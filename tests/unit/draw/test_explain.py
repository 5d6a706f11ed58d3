"""A plan in words names goals, consumers, init and exclusions."""

from collections.abc import Callable

import pytest

from argyll.draw import explain_plan, reasons
from argyll.model.plan import Excluded, Plan

PlanOf = Callable[..., Plan]


def test_a_step_is_in_because_it_is_a_goal_or_because_somebody_needs_what_it_writes(plan_of: PlanOf):
    plan = plan_of({"a": set(), "b": {"a"}, "c": {"a", "b"}}, goals=("c", "b"))
    assert reasons(plan) == {
        "a": "writes a_out for b, c",
        "b": "goal; writes b_out for c",
        "c": "goal",
    }


def test_many_consumers_are_counted_not_listed(plan_of: PlanOf):
    plan = plan_of({"a": set()} | {f"c{n}": {"a"} for n in range(6)})
    assert reasons(plan)["a"] == "writes a_out for c0, c1 and 4 more"


def test_the_whole_plan_reads_from_top_to_bottom(plan_of: PlanOf):
    child = plan_of({"x": set(), "y": {"x"}}, goals=("y",))
    plan = plan_of({"a": set(), "b": {"a"}}, goals=("b",), required=("id", "items"), children={"a": child})
    assert "\n".join(explain_plan(plan, given={"id": 1})) == (
        "Plan for b: 2 steps\n"
        "\n"
        "○  a  sync  writes a_out for b\n"
        "│    ▸ ○  x  sync  writes x_out for y\n"
        "│    ▸ ○  y  sync  goal\n"
        "○  b  sync  goal\n"
        "\n"
        "init supplies: id\n"
        "init must also supply: items"
    )


@pytest.mark.parametrize(
    ("excluded", "line"),
    [
        (Excluded(satisfied={"s": ("a", "b")}), "  s: init already supplies a, b"),
        (Excluded(missing={"s": ("a",)}), "  s: nothing supplies a"),
        (Excluded(blocked={"s": ("a",)}), "  s: init supplies a, which the step wants to be absent"),
    ],
)
def test_what_was_left_out_says_why(plan_of: PlanOf, excluded: Excluded, line: str):
    lines = explain_plan(plan_of({}, goals=("g",), excluded=excluded))
    assert lines[-2:] == ["left out:", line]


def test_statuses_are_printed_as_words_beside_their_marks(plan_of: PlanOf):
    lines = explain_plan(plan_of({"a": set()}, goals=("a",)), {"a": "failed"})
    assert lines[2] == "✖  a  failed        sync  goal"
