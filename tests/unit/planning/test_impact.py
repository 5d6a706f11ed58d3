"""What a change of the catalog does to plans: steps that join and leave, inputs that callers must give, lost providers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from argyll.model.catalog import Catalog
from argyll.model.step import Step
from argyll.planning import make_plan
from argyll.planning.impact import Impact, LostAttribute, PlanImpact, plan_impact
from argyll.planning.init import Init
from tests.unit.flow.harness import catalog, output, required, subflow, sync


def never(script: object, value: object) -> bool:
    raise AssertionError("no plan without init runs a match")


def impact(before: list[Step], after: list[Step], **options: object) -> Impact:
    return plan_impact(catalog(*before), catalog(*after), never, **options)


def step(step_id: str, needs: str = "", makes: str = "", version: str = "") -> Step:
    inputs = {name: required() for name in needs.split()}
    labels = {"labels": {"version": version}} if version else {}
    return sync(step_id, inputs | {name: output() for name in makes.split()}, **labels)


def only(found: Impact) -> PlanImpact:
    (plan,) = found.plans
    return plan


GOAL = step("goal", "price")
PRICE = step("price", "items", "price")


def test_equal_catalogs_change_no_plan() -> None:
    assert impact([GOAL, PRICE], [GOAL, PRICE]) == Impact()


def test_a_provider_that_joins_takes_an_input_from_the_caller() -> None:
    found = only(impact([GOAL], [GOAL, PRICE]))
    assert found == PlanImpact(
        "goal", "changed", added=("price",), newly_required=("items",), no_longer_required=("price",)
    )


def test_a_provider_that_leaves_makes_its_output_an_input_and_is_said_to_be_lost() -> None:
    found = impact([GOAL, PRICE], [GOAL])
    assert only(found) == PlanImpact(
        "goal", "changed", removed=("price",), newly_required=("price",), no_longer_required=("items",)
    )
    assert found.lost == (LostAttribute("price", ("price",), ("goal",)),)


def test_one_of_two_providers_that_leaves_loses_nothing() -> None:
    cart, rival = step("cart", "", "items"), step("rival", "", "price")
    found = impact([GOAL, PRICE, cart, rival], [GOAL, cart, rival], goals=["goal"])
    assert (found.lost, only(found)) == ((), PlanImpact("goal", "changed", removed=("cart", "price")))


def test_a_step_that_keeps_its_wiring_is_changed_within_the_plan() -> None:
    found = only(impact([GOAL, PRICE], [GOAL, step("price", "items", "price", version="2")]))
    assert found == PlanImpact("goal", "changed", changed=("price",))


def test_a_goal_that_a_change_cannot_reach_is_not_looked_at() -> None:
    other = step("other", "", "z")
    found = impact([GOAL, other], [GOAL, other, step("third", "", "q")])
    assert ([plan.goal for plan in found.plans], found.reached) == (["third"], 1)


def test_new_and_removed_goals_are_told_with_their_steps() -> None:
    new = only(impact([PRICE], [PRICE, GOAL], goals=["goal"]))
    gone = only(impact([PRICE, GOAL], [PRICE], goals=["goal"]))
    assert (new.fate, new.added, new.newly_required) == ("new", ("goal", "price"), ("items",))
    assert (gone.fate, gone.removed) == ("gone", ("goal", "price"))


def test_a_change_inside_a_child_flow_reaches_the_flow_step_that_runs_it() -> None:
    parent = subflow("parent", ["price"], {"items": required(), "price": output()})
    faster = step("price", "items", "price", version="2")
    found = {plan.goal: plan.changed for plan in impact([parent, PRICE], [parent, faster]).plans}
    assert found == {"parent": ("price",), "price": ("price",)}


def test_a_plan_that_cannot_be_made_any_more_is_broken_and_back_again_mended() -> None:
    parent = subflow("parent", ["price"], {"items": required()})
    hungry = step("price", "items rates", "price")
    broken = next(plan for plan in impact([parent, PRICE], [parent, hungry]).plans if plan.goal == "parent")
    mended = next(plan for plan in impact([parent, hungry], [parent, PRICE]).plans if plan.goal == "parent")
    assert (broken.fate, "rates" in broken.error) == ("broken", True)
    assert (mended.fate, mended.added) == ("mended", ("parent", "price"))


def test_goals_beyond_the_limit_are_counted_and_not_compared() -> None:
    before = [PRICE, *(step(f"goal-{number}", "price") for number in range(5))]
    found = impact(before, before[1:], limit=2)
    assert (found.examined, found.reached, [plan.goal for plan in found.plans]) == (2, 5, ["goal-0", "goal-1"])


def test_the_json_form_has_every_list() -> None:
    told = impact([GOAL, PRICE], [GOAL]).to_json()
    assert told["plans"][0]["added"] == []
    assert told["providers_lost"] == [{"attribute": "price", "providers": ["price"], "consumers": ["goal"]}]


NAMES = st.sets(st.sampled_from("abcd"), max_size=2).map(" ".join)
STEPS = st.dictionaries(st.sampled_from("vwxyz"), st.tuples(NAMES, NAMES), max_size=5)


def some_catalog(steps: dict[str, tuple[str, str]]) -> Catalog:
    made = (
        step(step_id, needs, " ".join(set(makes.split()) - set(needs.split())))
        for step_id, (needs, makes) in steps.items()
    )
    return catalog(*made)


@given(STEPS, STEPS)
def test_looking_only_at_reached_goals_misses_no_plan_that_changed(
    before: dict[str, tuple[str, str]], after: dict[str, tuple[str, str]]
) -> None:
    """The shortcut over reach gives what comparing every goal's plan would give."""
    old, new = some_catalog(before), some_catalog(after)
    goals = sorted(old.steps.keys() | new.steps.keys())
    found = {plan.goal for plan in plan_impact(old, new, never, goals=goals).plans}
    assert found == {goal for goal in goals if planned(old, goal) != planned(new, goal)}


def planned(of: Catalog, goal: str) -> object:
    if goal not in of.steps:
        return None
    plan = make_plan(of, [goal], Init({}), never, "preview")
    return plan.steps, plan.required
