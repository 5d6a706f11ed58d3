"""What a plan holds, what it demands of init, and why steps are left out (execution.md 3, 13.21; decisions 16-18)."""

from __future__ import annotations

import itertools

import pytest

from argyll.model import json
from argyll.model.limits import MAX_PLAN_DEPTH
from argyll.model.plan import Plan, plan_from_raw
from argyll.model.step import Step
from argyll.planning import (
    MAX_PLAN_STEPS,
    ChildInputUnreachable,
    CircularFlow,
    FlowTooDeep,
    NoGoals,
    Planner,
    PlanTooLarge,
    UnknownGoals,
)
from tests.unit.flow.harness import World, catalog, const, meta, optional, output, required, subflow, sync

SCRIPTS = {
    "is-email": lambda value: value == "email",
    "broken": lambda value: 1 / 0,
}


def plan(steps: list[Step], goals: str, init: dict[str, object] | None = None, mode: str = "strict") -> Plan:
    return World(*steps, scripts=SCRIPTS).plan(goals, init, mode)


def reads(step_id: str, name: str, out: str = "", **settings: object) -> Step:
    return sync(step_id, {name: required(**settings), **({out: output()} if out else {})})


def makes(step_id: str, *names: str, needs: str = "") -> Step:
    return sync(step_id, {**{name: required() for name in needs.split()}, **{name: output() for name in names}})


@pytest.mark.parametrize("mode", ["strict", "preview"])
def test_no_goal_cannot_be_planned(mode: str) -> None:
    """execution.md 13.21/180"""
    with pytest.raises(NoGoals):
        plan([makes("a", "x")], "", mode=mode)


def test_an_unknown_goal_is_named() -> None:
    """execution.md 13.21/180"""
    with pytest.raises(UnknownGoals, match=r"step not found: ghost, spook$") as failure:
        plan([makes("a", "x")], "a ghost spook ghost")
    assert failure.value.missing == ("ghost", "spook")


def test_a_goal_without_inputs_needs_nothing() -> None:
    """execution.md 13.21/181"""
    result = plan([makes("a", "x"), makes("other", "y")], "a")
    assert (list(result.steps), result.required) == (["a"], ())


@pytest.mark.parametrize(("init", "demanded"), [({"q": 1}, ()), ({}, ("q",)), ({"q": []}, ("q",))])
def test_init_must_supply_what_nothing_provides(init: dict[str, object], demanded: tuple[str, ...]) -> None:
    """execution.md 13.21/182"""
    assert plan([reads("a", "q")], "a", init).required == demanded


def test_a_provider_whose_outputs_init_supplies_is_left_out_as_satisfied() -> None:
    """execution.md 13.21/183"""
    result = plan([makes("p", "x"), reads("c", "x")], "c", {"x": 1})
    assert list(result.steps) == ["c"]
    assert result.excluded.satisfied == {"p": ("x",)}


def test_a_provider_that_init_covers_only_in_part_still_runs_for_the_rest() -> None:
    result = plan([makes("p", "x", "y"), sync("c", {"x": required(), "y": required()})], "c", {"x": 1})
    assert list(result.steps) == ["c", "p"]


def test_a_goal_that_wants_an_input_absent_is_blocked_by_init() -> None:
    """execution.md 13.21/184"""
    result = plan([reads("a", "veto", collect="none")], "a", {"veto": 1})
    assert (dict(result.steps), result.excluded.blocked) == ({}, {"a": ("veto",)})


def test_a_provider_blocked_by_init_leaves_its_consumer_lacking() -> None:
    """execution.md 13.21/185"""
    steps = [sync("p", {"veto": required(collect="none"), "x": output()}), reads("c", "x")]
    result = plan(steps, "c", {"veto": 1})
    assert (list(result.steps), result.required) == (["c"], ("x",))
    assert result.excluded.blocked == {"p": ("veto",)}


@pytest.mark.parametrize(
    ("collect", "included"), [("first", ["c"]), ("last", ["c", "p"]), ("some", ["c", "p"]), ("all", ["c", "p"])]
)
def test_init_prunes_providers_of_first_only(collect: str, included: list[str]) -> None:
    """execution.md 13.22/197, 13.21/186"""
    result = plan([makes("p", "x"), reads("c", "x", collect=collect)], "c", {"x": 1})
    assert (list(result.steps), result.required) == (included, ())


def test_an_input_that_is_to_be_absent_needs_no_provider() -> None:
    """execution.md 13.14/135, 13.21/187"""
    result = plan([reads("c", "x", collect="none")], "c")
    assert (list(result.steps), result.required) == (["c"], ())


def test_a_provider_with_an_input_that_is_to_be_absent_can_be_used() -> None:
    """decisions 17 (B18)"""
    result = plan([sync("p", {"veto": required(collect="none"), "x": output()}), reads("c", "x")], "c")
    assert (list(result.steps), result.required) == (["c", "p"], ())


@pytest.mark.parametrize("collect", ["last", "some", "all"])
def test_init_alone_is_enough_for_a_list(collect: str) -> None:
    """execution.md 13.21/188"""
    result = plan([reads("c", "x", collect=collect)], "c", {"x": [1, 2]})
    assert (list(result.steps), result.required) == (["c"], ())


CHAIN = [makes("a", "x"), makes("b", "y", needs="x"), makes("c", "z", needs="y")]
DIAMOND = [makes("a", "x"), makes("b", "y", needs="x"), makes("c", "z", needs="x"), makes("d", needs="y z")]


@pytest.mark.parametrize(
    ("steps", "goals", "included"),
    [
        (CHAIN, "c", "a b c"),
        (CHAIN, "b", "a b"),
        (DIAMOND, "d", "a b c d"),
        ([*DIAMOND, makes("unrelated", "u")], "b c", "a b c"),
    ],
)
def test_a_plan_is_the_union_of_the_paths_to_its_goals(steps: list[Step], goals: str, included: str) -> None:
    """execution.md 13.21/189"""
    assert list(plan(steps, goals).steps) == included.split()


def test_the_order_of_a_plan_puts_providers_first() -> None:
    assert plan(DIAMOND, "d").order == ("a", "b", "c", "d")


def test_a_goal_whose_outputs_are_given_leaves_nothing_to_run() -> None:
    """execution.md 13.21/190"""
    result = plan(CHAIN, "c", {"z": 1})
    assert (dict(result.steps), result.excluded.satisfied) == ({}, {"c": ("z",)})


def test_a_goal_without_outputs_is_never_satisfied_by_init() -> None:
    assert list(plan([reads("a", "x")], "a", {"x": 1}).steps) == ["a"]


def test_an_optional_input_brings_its_provider_and_demands_nothing() -> None:
    """execution.md 13.21/191"""
    consumer = sync("c", {"x": optional(), "y": optional(), "k": const(1), "m": meta("flow_id")})
    result = plan([makes("p", "x"), consumer], "c")
    assert (list(result.steps), result.required) == (["c", "p"], ())


def test_required_optional_and_const_inputs_mix() -> None:
    """execution.md 13.21/191"""
    consumer = sync("c", {"x": optional(), "y": required(), "k": const(1)})
    assert list(plan([makes("p", "x"), makes("q", "y"), consumer], "c").steps) == ["c", "p", "q"]


@pytest.mark.parametrize(
    ("init", "included", "missing"),
    [({"id": 1}, "by-id c free", {}), ({}, "c free", {"by-id": ("id",)})],
)
def test_a_provider_that_cannot_run_is_left_out_with_what_it_lacks(
    init: dict[str, object], included: str, missing: dict[str, tuple[str, ...]]
) -> None:
    """execution.md 13.21/192"""
    result = plan([makes("free", "x"), makes("by-id", "x", needs="id"), reads("c", "x")], "c", init)
    assert (" ".join(result.steps), result.excluded.missing) == (included, missing)
    assert result.required == ()


@pytest.mark.parametrize(
    ("mode", "included", "demanded"), [("preview", ["a", "b", "c"], ("seed",)), ("strict", ["c"], ("y",))]
)
def test_a_preview_walks_up_to_the_root_inputs(mode: str, included: list[str], demanded: tuple[str, ...]) -> None:
    """execution.md 13.21/193"""
    steps = [makes("a", "x", needs="seed"), makes("b", "y", needs="x"), reads("c", "y")]
    result = plan(steps, "c", mode=mode)
    assert (list(result.steps), result.required) == (included, demanded)


def test_a_preview_uses_the_providers_that_can_run_when_there_are_any() -> None:
    """execution.md 3.2.4"""
    result = plan([makes("free", "x"), makes("by-id", "x", needs="id"), reads("c", "x")], "c", mode="preview")
    assert (list(result.steps), result.required) == (["c", "free"], ())


def test_a_preview_does_not_walk_through_what_init_blocks() -> None:
    blocked = sync("p", {"veto": required(collect="none"), "lack": required(), "x": output()})
    result = plan([blocked, reads("c", "x")], "c", {"veto": 1}, mode="preview")
    assert (list(result.steps), result.required) == (["c"], ("x",))


def gated(**settings: object) -> Step:
    return sync("mail", {"kind": required(match="is-email", **settings), "text": required(), "sent": output()})


def test_behind_an_undecided_gate_other_inputs_are_not_demanded() -> None:
    """execution.md 13.21/194"""
    result = plan([makes("router", "kind"), gated()], "mail")
    assert (list(result.steps), result.required) == (["mail", "router"], ())


def test_behind_a_closed_gate_nothing_is_demanded() -> None:
    """execution.md 13.21/195"""
    result = plan([makes("writer", "text"), gated()], "mail", {"kind": "fax"})
    assert (list(result.steps), result.required) == (["mail"], ())


def test_a_value_that_does_not_match_leaves_the_router_in() -> None:
    """execution.md 13.21/196"""
    result = plan([makes("router", "kind"), makes("writer", "text"), gated()], "mail", {"kind": ["fax"]})
    assert (list(result.steps), result.required) == (["mail", "router", "writer"], ())


def test_behind_an_open_gate_other_inputs_are_demanded() -> None:
    result = plan([makes("router", "kind"), gated()], "mail", {"kind": "email"})
    assert result.required == ("text",)


def test_a_gate_that_nothing_can_feed_is_demanded_of_init() -> None:
    assert plan([gated()], "mail").required == ("kind",)


def test_a_match_that_fails_while_planning_decides_nothing() -> None:
    """execution.md 3.1"""
    result = plan([makes("w", "text"), sync("c", {"k": required(match="broken"), "text": required()})], "c", {"k": 1})
    assert (list(result.steps), result.required) == (["c", "w"], ())


def test_all_wants_every_provider() -> None:
    """execution.md 3.2.4"""
    steps = [makes("free", "x"), makes("by-id", "x", needs="id"), reads("c", "x", collect="all")]
    assert plan(steps, "c").required == ("x",)
    assert list(plan(steps, "c", {"id": 1}).steps) == ["by-id", "c", "free"]


# Goal order (decisions 16, B17)


ORDER_CASES = [
    ([reads("c", "x"), makes("p1", "x"), makes("p2", "x", needs="id")], "c p1 p2", {"id": 1}),
    ([reads("c", "x", collect="all"), makes("p1", "x"), makes("p2", "x", needs="id")], "c p1", {"x": 1}),
    ([reads("c", "x", out="y"), makes("p1", "x", needs="id"), reads("d", "y")], "c p1 d", {"id": 1, "x": 2}),
    (DIAMOND, "d b c", {"x": 1}),
    ([gated(), makes("router", "kind"), makes("writer", "text")], "mail writer router", {}),
]


@pytest.mark.parametrize(("steps", "goals", "init"), ORDER_CASES)
def test_goal_order_changes_nothing_but_the_goals(steps: list[Step], goals: str, init: dict[str, object]) -> None:
    """execution.md 13.26/263, decisions 16"""
    seen = {_without_goals(plan(steps, " ".join(order), init)) for order in itertools.permutations(goals.split())}
    assert len(seen) == 1


def _without_goals(result: Plan) -> bytes:
    value = json.decode(result.raw)
    del value["goals"]
    return json.encode(value)


def test_a_goal_that_cannot_run_yet_is_still_planned() -> None:
    """decisions 16: goals are part of the plan unless satisfied or blocked"""
    result = plan([makes("p1", "x"), makes("p2", "x", needs="id"), reads("c", "x")], "c p2")
    assert (list(result.steps), result.required) == (["c", "p1", "p2"], ("id",))


def test_a_goal_that_cannot_run_yet_still_counts_as_a_provider() -> None:
    """decisions 16: what it lacks is demanded, not what it will give"""
    result = plan([makes("p", "x", needs="id"), reads("c", "x")], "c p")
    assert (list(result.steps), result.required) == (["c", "p"], ("id",))


def test_a_satisfied_goal_that_another_goal_needs_runs() -> None:
    """execution.md 3.2.3.5: included when demanded as a provider"""
    result = plan([makes("p", "x"), reads("c", "x", collect="all")], "c p", {"x": 1})
    assert list(result.steps) == ["c", "p"]


def test_edges_name_only_what_runs_and_what_has_a_source() -> None:
    """execution.md 3.2.5"""
    steps = [makes("p", "x"), sync("c", {"x": required(), "y": required(), "z": optional(), "out": output()})]
    result = plan(steps, "c", {"y": 1})
    assert json.decode(json.encode(result.attributes)) == {
        "out": {"providers": ["c"], "consumers": []},
        "x": {"providers": ["p"], "consumers": ["c"]},
        "y": {"providers": [], "consumers": ["c"]},
    }


def test_a_plan_survives_its_text() -> None:
    steps = [
        makes("p", "x"),
        sync(
            "c",
            {"x": required(for_each=True), "k": const(None), "d": optional(default="", deadline=5), "v": output()},
            predicate="is-email",
            work={"max_attempts": 1, "parallelism": 3},
        ),
    ]
    result = plan(steps, "c")
    again = plan_from_raw(result.raw)
    assert (again.raw, again.steps) == (result.raw, result.steps)


# Child plans (execution.md 3.4, decisions 17)


def test_a_flow_step_carries_the_plan_of_its_child() -> None:
    """execution.md 13.12/120"""
    parent = subflow("outer", ["inner"], {"a": required(mapping="x"), "y": output()})
    result = plan([parent, makes("inner", "y", needs="x")], "outer", {"a": 1})
    assert list(result.children) == ["outer"]
    assert list(result.children["outer"].steps) == ["inner"]
    assert result.children["outer"].required == ()


def test_a_child_goal_that_does_not_exist_is_named_with_its_flow_step() -> None:
    """execution.md 13.5/61"""
    with pytest.raises(UnknownGoals, match=r"ghost .*'outer'"):
        plan([subflow("outer", ["ghost"])], "outer")


@pytest.mark.parametrize(
    ("attributes", "reachable"),
    [
        ({}, False),
        ({"x": required()}, True),
        ({"a": required(mapping="x")}, True),
        ({"x": required(mapping="other")}, False),
        ({"x": optional(default=1)}, True),
        ({"x": optional()}, True),
        ({"x": const(1)}, True),
        ({"x": meta("flow_id")}, True),
    ],
)
def test_a_child_input_that_can_never_come_is_refused(attributes: dict[str, object], reachable: bool) -> None:
    """decisions 17"""
    steps = [subflow("outer", ["inner"], attributes), reads("inner", "x")]
    if reachable:
        assert "outer" in plan(steps, "outer", {"x": 1, "a": 1}).children
        return
    with pytest.raises(ChildInputUnreachable, match="'outer' can never supply x") as failure:
        plan(steps, "outer")
    assert (failure.value.step_id, failure.value.names) == ("outer", ("x",))


def test_what_a_child_will_be_given_is_unknown_to_its_gates() -> None:
    """decisions 17 (B16)"""
    parent = subflow("outer", ["mail"], {"kind": required()})
    child = plan([parent, gated(), makes("writer", "text")], "outer", {"kind": "fax"}).children["outer"]
    assert list(child.steps) == ["mail", "writer"]


def test_a_constant_of_a_flow_step_is_known_to_its_child() -> None:
    parent = subflow("outer", ["mail"], {"kind": const("fax")})
    child = plan([parent, gated(), makes("writer", "text")], "outer").children["outer"]
    assert list(child.steps) == ["mail"]


def test_an_optional_input_without_default_is_not_promised_to_the_child() -> None:
    parent = subflow("outer", ["inner"], {"x": optional()})
    child = plan([parent, makes("p", "x"), reads("inner", "x")], "outer").children["outer"]
    assert list(child.steps) == ["inner", "p"]


def test_an_input_that_is_to_be_absent_is_not_promised_to_the_child() -> None:
    parent = subflow("outer", ["inner"], {"x": required(collect="none")})
    child = plan([parent, makes("p", "x"), reads("inner", "x")], "outer").children["outer"]
    assert list(child.steps) == ["inner", "p"]


def test_a_child_blocked_by_what_it_is_given_plans_no_goal() -> None:
    parent = subflow("outer", ["inner"], {"veto": required()})
    child = plan([parent, reads("inner", "veto", collect="none")], "outer", {"veto": 1}).children["outer"]
    assert child.excluded.blocked == {"inner": ("veto",)}


def test_a_flow_step_inside_its_own_child_is_refused_with_the_path() -> None:
    """execution.md 3.4, mixed cycle of 2.2"""
    steps = [subflow("outer", ["inner"], {"y": output()}), reads("inner", "y")]
    with pytest.raises(CircularFlow) as failure:
        plan(steps, "outer")
    assert failure.value.path == ("outer", "outer")


def test_a_longer_circle_of_flow_steps_shows_its_whole_path() -> None:
    steps = [subflow("a", ["b"]), subflow("b", ["c"]), subflow("c", ["b"])]
    with pytest.raises(CircularFlow, match="b -> c -> b"):
        plan(steps, "a")


def nested(depth: int) -> list[Step]:
    return [subflow(f"s{i}", [f"s{i + 1}"]) for i in range(depth)] + [makes(f"s{depth}", "x")]


def test_flow_steps_nest_up_to_a_limit() -> None:
    assert plan(nested(MAX_PLAN_DEPTH), "s0").steps
    with pytest.raises(FlowTooDeep, match=str(MAX_PLAN_DEPTH)):
        plan(nested(MAX_PLAN_DEPTH + 1), "s0")


def test_flow_steps_that_multiply_each_other_are_refused() -> None:
    """Every level names both steps of the next: the plan doubles with each, long before it is deep."""
    levels = 20
    steps = [subflow(f"{side}{i}", [f"l{i + 1}", f"r{i + 1}"]) for i in range(levels) for side in "lr"]
    steps += [makes(f"{side}{levels}", side) for side in "lr"]
    with pytest.raises(PlanTooLarge, match=str(MAX_PLAN_STEPS)):
        plan(steps, "l0")


# The planner's memory


def test_plans_are_remembered_by_goals_and_names_of_init() -> None:
    planner = Planner(catalog(*CHAIN), lambda script, value: True)
    first = planner.plan(["c"], {"x": [1]})
    assert planner.plan(["c"], {"x": [2], "y": []}) is first
    assert planner.plan(["c"], {}) is not first
    assert planner.plan(["c"], {"x": [1]}, "preview") is not first


def test_a_plan_that_looked_at_values_is_made_anew() -> None:
    planner = Planner(catalog(gated(), makes("writer", "text")), lambda script, value: value == "email")
    assert list(planner.plan(["mail"], {"kind": ["fax"]}).steps) == ["mail"]
    assert list(planner.plan(["mail"], {"kind": ["email"]}).steps) == ["mail", "writer"]


def test_a_changed_catalog_is_planned_anew() -> None:
    planner = Planner(catalog(*CHAIN), lambda script, value: True)
    before = planner.plan(["a"], {})
    planner.catalog_changed(catalog(makes("a", "other")))
    assert planner.plan(["a"], {}).raw != before.raw


def test_the_memory_of_plans_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("argyll.planning.cache.PLAN_CACHE_ENTRIES", 2)
    planner = Planner(catalog(*CHAIN), lambda script, value: True)
    first = planner.plan(["a"], {})
    assert planner.plan(["a"], {}) is first
    planner.plan(["b"], {})
    planner.plan(["c"], {})
    assert planner.plan(["a"], {}) is not first
