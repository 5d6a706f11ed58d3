"""Flow steps and their child flows (execution.md 7.2, 8.10, 13.5; decisions 17, 25)."""

from __future__ import annotations

from argyll.flow import Reclaim, Succeed, TellParent, waiting_children
from tests.unit.flow.harness import (
    SILENT,
    World,
    failing,
    fails,
    gives,
    meta,
    output,
    required,
    scripted,
    subflow,
    sync,
)


def shop(**answers: object) -> World:
    """`outer` runs `inner` in a child flow."""
    return World(
        subflow("outer", ["inner"], {"x": required(), "y": output()}),
        sync("inner", {"x": required(), "y": output()}),
        sync("after", {"y": required()}),
        answers=answers,  # type: ignore[arg-type]
    )


def test_a_child_runs_under_the_id_of_its_item_and_gives_its_outputs() -> None:
    """execution.md 13.5/59"""
    world = shop(inner=gives(y=2))
    flow = world.start("outer", {"x": 1})
    [token] = flow.tokens("outer")
    child = world.flows[f"f:outer:{token}"]
    assert (flow.status, child.status, flow.values("y")) == ("completed", "completed", [2])
    assert child.state.parent == ("f", "outer", token)
    assert world.calls[0].arguments == {"x": 1}
    assert flow.items("outer")[0].outputs == {"x": 1, "y": 2}


def test_a_failed_child_fails_its_item_with_its_error() -> None:
    """execution.md 13.5/60"""
    world = shop(inner=fails("no stock"))
    flow = world.start("outer", {"x": 1})
    assert (flow.status, flow.ended) == ("failed", True)
    assert flow.state.error == "step outer failed: step inner failed: no stock"


def test_a_script_error_in_a_child_reaches_the_parent() -> None:
    """execution.md 13.5/60"""
    world = World(subflow("outer", ["inner"]), scripted("inner", "boom"), scripts={"boom": failing("boom")})
    assert world.start("outer").status == "failed"


def test_names_are_mapped_into_the_child_and_back() -> None:
    """execution.md 13.5/62"""
    attributes = {"x": required(mapping="inner-x"), "y": output(mapping="inner-y")}
    world = World(
        subflow("outer", ["inner"], attributes),
        sync("inner", {"inner-x": required(), "inner-y": output()}),
        answers={"inner": lambda a: gives(**{"inner-y": a["inner-x"] * 2})},
    )
    assert world.start("outer", {"x": 21}).values("y") == [42]


def test_a_mapped_output_that_the_child_lacks_fails_the_item() -> None:
    """execution.md 13.5/63, S31"""
    world = World(subflow("outer", ["inner"], {"y": output(mapping="z")}), sync("inner", {"y": output()}))
    flow = world.start("outer")
    assert (flow.status, flow.step("outer").error) == ("failed", "flow output missing: z")


def test_an_unmapped_output_that_the_child_lacks_is_absent() -> None:
    """execution.md S31"""
    world = World(subflow("outer", ["inner"], {"other": output()}), sync("inner", {"y": output()}))
    flow = world.start("outer")
    assert (flow.status, flow.values("other")) == ("completed", [])


def test_an_output_that_is_only_converted_may_be_absent_from_the_child() -> None:
    converted = output(mapping={"script": {"language": "jpath", "script": "add-up"}})
    world = World(
        subflow("outer", ["inner"], {"total": converted}),
        sync("inner", {"y": output()}),
        scripts={"add-up": lambda raw: sum(raw.values())},
        answers={"inner": gives(y=2)},
    )
    assert world.start("outer").values("total") == [2]


def test_items_with_children_are_never_reclaimed() -> None:
    """Their owner is the child flow, not a node."""
    flow = shop(inner=SILENT).start("outer", {"x": 1})
    assert flow.do(Reclaim(lambda node, token: True)) == []


def test_the_first_value_of_a_childs_attribute_is_its_output() -> None:
    """execution.md S19"""
    world = World(
        subflow("outer", ["p", "q"], {"y": output()}),
        sync("p", {"y": output()}),
        sync("q", {"y": output()}),
        answers={"p": gives(y=1), "q": gives(y=2)},
    )
    assert world.start("outer").values("y") == [1]


def test_a_meta_input_reaches_the_child() -> None:
    """execution.md 13.26/265, decisions 25 (B15)"""
    world = World(subflow("outer", ["inner"], {"who": meta("flow_id")}), sync("inner", {"who": required()}))
    world.start("outer", flow_id="parent")
    assert world.calls[0].arguments == {"who": "parent"}


def test_a_childs_calls_can_ask_for_the_parent() -> None:
    """execution.md 7.4; execution.md 13.3/49"""
    world = World(subflow("outer", ["inner"]), sync("inner", {"parent": meta("parent_flow_id")}))
    world.start("outer", flow_id="parent")
    assert world.calls[0].arguments == {"parent": "parent"}


def test_every_element_of_a_fan_out_has_a_child_of_its_own() -> None:
    step = subflow("outer", ["inner"], {"x": required(for_each=True), "y": output()}, work={"parallelism": 2})
    world = World(step, sync("inner", {"x": required(), "y": output()}), answers={"inner": lambda a: gives(y=-a["x"])})
    flow = world.start("outer", {"x": [[1, 2, 3]]})
    assert [entry["y"] for entry in flow.values("y")[0]] == [-1, -2, -3]
    assert len(world.flows) == 4


def test_a_child_that_fails_fast_with_a_waiting_sibling_still_tells_its_parent() -> None:
    """execution.md 13.26/251 (B10b)"""
    world = World(
        subflow("outer", ["fan"], {"items": required()}),
        sync("fan", {"items": required(for_each=True)}),
        answers={"fan": fails()},
    )
    flow = world.start("outer", {"items": [[1, 2, 3]]})
    assert (flow.status, flow.ended) == ("failed", True)


def test_a_parent_hears_when_the_child_is_deactivated_not_before() -> None:
    """execution.md 8.10"""
    world = World(
        subflow("outer", ["g", "slow"], {"y": output()}),
        sync("g", {"y": output()}),
        sync("slow"),
        answers={"g": fails(), "slow": SILENT},
    )
    flow = world.start("outer")
    child = next(f for f in world.flows.values() if f is not flow)
    assert (child.status, flow.status) == ("failed", "active")
    child.succeed("slow")
    assert flow.status == "failed"


def test_the_outcome_of_a_child_counts_once() -> None:
    """decisions 25 (B12); execution.md 13.3/50"""
    world = shop(inner=gives(y=2))
    flow = world.start("outer", {"x": 1})
    [token] = flow.tokens("outer")
    before = len(flow.events)
    world.perform(TellParent(f"f:outer:{token}"))
    assert flow.do(Succeed("outer", token, {"y": 3})) == []
    assert (len(flow.events), flow.values("y")) == (before, [2])


def test_a_word_that_was_lost_is_delivered_after_a_restart() -> None:
    """execution.md 13.26/252, decisions 25 (B12)"""
    world = shop(inner=SILENT)
    flow = world.start("outer after", {"x": 1})
    child = next(f for f in world.flows.values() if f is not flow)
    child.do(Succeed("inner", child.open_token("inner"), {"y": 2}))
    world.effects.clear()
    assert (child.ended, flow.status) == (True, "active")
    world.crash()
    assert (flow.status, world.calls_of("after")[0].arguments) == ("completed", {"y": 2})


def test_a_word_that_was_lost_is_delivered_although_the_step_has_failed() -> None:
    """decisions 25: a parent with a failed flow step waits for its other children"""
    step = subflow("outer", ["inner"], {"x": required(for_each=True)}, work={"parallelism": 2})
    world = World(step, sync("inner", {"x": required()}), answers={"inner": SILENT})
    flow = world.start("outer", {"x": [[1, 2]]})
    first, second = [world.flows[f"f:outer:{token}"] for token in flow.tokens("outer")]
    first.fail("inner")
    assert (flow.step("outer").status, flow.ended) == ("failed", False)
    second.do(Succeed("inner", second.open_token("inner"), {}))
    world.effects.clear()
    world.crash()
    assert flow.ended


def test_a_child_that_was_never_started_is_started_after_a_restart() -> None:
    world = shop(inner=gives(y=2))
    flow = world.open("f", world.plan("outer", {"x": 1}), {"x": [1]})
    world.effects.clear()
    assert len(list(waiting_children(flow.state))) == 1
    world.crash()
    assert flow.status == "completed"


def test_children_may_have_children() -> None:
    world = World(
        subflow("a", ["b"], {"y": output()}),
        subflow("b", ["c"], {"y": output()}),
        sync("c", {"y": output()}),
        answers={"c": gives(y=1)},
    )
    flow = world.start("a")
    assert (flow.values("y"), len(world.flows)) == ([1], 3)


def test_a_child_keeps_the_plan_it_was_given() -> None:
    """execution.md 13.3/48, S34"""
    world = shop(inner=gives(y=2))
    plan = world.plan("outer", {"x": 1})
    world.catalog.put(sync("inner", {"x": required(), "more": required(), "y": output()}))
    world.planner.catalog_changed(world.catalog)
    flow = world.open("f", plan, {"x": [1]})
    world.run()
    assert (flow.status, flow.values("y")) == ("completed", [2])
