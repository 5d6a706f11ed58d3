"""How steps and flows end: fail-fast, late results, cancelling, compensation (execution.md 8; decisions 20, 23, 27, 31)."""

from __future__ import annotations

import pytest

from argyll.flow import (
    NEVER,
    Advance,
    Cancel,
    Compensated,
    CompensationFailed,
    CompensationNotCompleted,
    Fail,
    Succeed,
    UnknownStep,
    UnknownToken,
)
from argyll.model.step import Step
from tests.unit.flow.harness import (
    SILENT,
    UNDONE,
    Flow,
    World,
    async_,
    failing,
    fails,
    gives,
    optional,
    output,
    required,
    scripted,
    sync,
    unavailable,
)


def fan(parallelism: int = 2, *, compensate: str = "http://undo/", **fields: object) -> Step:
    attributes = {"item": required(for_each=True), "r": output()}
    work = {"parallelism": parallelism, **fields.pop("work", {})}  # type: ignore[dict-item]
    return sync("fan", attributes, compensate=compensate, work=work, **fields)


def fan_world(step: Step, *others: Step, **answers: object) -> World:
    return World(step, *others, answers={"fan": SILENT, **answers})  # type: ignore[dict-item]


def statuses(flow: Flow) -> list[str]:
    return [work.status for work in flow.items("fan")]


# Fail-fast and late results


def test_a_failed_item_fails_its_step_at_once_and_closes_what_waits() -> None:
    """execution.md 13.26/249, decisions 23 (B10)"""
    world = fan_world(fan(2, compensate=""))
    flow = world.start("fan", {"item": [[0, 1, 2, 3]]})
    events = flow.fail("fan", flow.tokens("fan")[1], "broken")
    assert statuses(flow) == ["active", "failed", "cancelled", "cancelled"]
    assert [e.event_type for e in events] == [
        "work_failed",
        "step_failed",
        "work_cancelled",
        "work_cancelled",
        "flow_failed",
    ]
    assert (flow.step("fan").error, flow.ended, len(world.calls)) == ("broken", False, 2)


def test_a_flow_is_deactivated_when_its_last_running_item_ends() -> None:
    """execution.md 13.26/249"""
    flow = fan_world(fan(2, compensate="")).start("fan", {"item": [[0, 1]]})
    first, second = flow.tokens("fan")
    flow.fail("fan", first)
    events = flow.succeed("fan", second, r=1)
    assert [e.event_type for e in events] == ["work_succeeded", "flow_deactivated"]


def test_a_goal_that_fails_while_another_step_waits_for_a_retry_ends_the_flow() -> None:
    """execution.md 13.26/250 (B10b)"""
    world = World(sync("g"), sync("other", {"x": output()}), answers={"g": SILENT, "other": unavailable()})
    flow = world.start("g other")
    flow.fail("g")
    assert (flow.status, flow.ended, flow.wake_at) == ("failed", True, NEVER)
    assert [work.status for work in flow.items("other")] == ["cancelled"]
    assert (flow.step("other").status, flow.step("other").error) == ("failed", "cancelled")


def test_a_late_success_is_recorded_with_its_outputs() -> None:
    """execution.md 9.4, 8.5"""
    world = World(sync("g"), sync("other", {"x": output()}), answers={"g": fails(), "other": SILENT})
    flow = world.start("other g")
    assert (flow.status, flow.ended) == ("failed", False)
    events = flow.succeed("other", x=1)
    assert [e.event_type for e in events] == ["work_succeeded", "attribute_set", "step_completed", "flow_deactivated"]
    assert flow.values("x") == [1]


def test_a_call_that_was_not_completed_is_not_retried_for_a_flow_that_has_ended() -> None:
    """decisions 23"""
    world = World(sync("g"), sync("other", {"x": output()}), answers={"g": fails(), "other": SILENT})
    flow = world.start("other g")
    events = flow.not_completed("other")
    assert [e.event_type for e in events] == ["work_not_completed", "work_cancelled", "step_failed", "flow_deactivated"]


def test_an_item_closed_while_it_waited_for_a_retry_takes_its_late_answer() -> None:
    """decisions 23: late results are always recorded"""
    world = World(
        sync("g"),
        async_("slow", {"x": output()}),
        async_("other", {"y": output()}),
        answers={"g": SILENT, "slow": SILENT},
    )
    world.answers["other"] = unavailable()
    flow = world.start("g slow other")
    flow.fail("g")
    [token] = flow.tokens("other")
    assert flow.item("other", token)[1].status == "cancelled"
    flow.succeed("other", token, y=1)
    assert flow.item("other", token)[1].outputs == {"y": 1}
    assert not flow.ended
    flow.succeed("slow", x=1)
    assert flow.ended


def test_an_item_that_was_never_called_takes_no_answer_after_it_was_closed() -> None:
    """decisions 23"""
    flow = fan_world(fan(2, compensate="")).start("fan", {"item": [[0, 1, 2]]})
    flow.fail("fan", flow.tokens("fan")[0])
    assert flow.do(Succeed("fan", flow.tokens("fan")[2], {"r": 1})) == []
    assert statuses(flow) == ["failed", "active", "cancelled"]


def test_nothing_is_appended_after_deactivation() -> None:
    flow = fan_world(fan(1, compensate="")).start("fan", {"item": [[0, 1]]})
    flow.fail("fan", flow.tokens("fan")[0])
    assert flow.ended
    for command in (Advance(), Cancel(), *(Succeed("fan", token, {}) for token in flow.tokens("fan"))):
        assert flow.do(command) == []


def test_work_of_a_step_that_nobody_needs_any_more_ends_with_the_flow() -> None:
    """decisions 20, 23"""
    world = fan_world(fan(1, compensate=""), sync("g", {"r": optional(default=0)}))
    flow = world.start("g", {"item": [[0, 1, 2]]})
    assert (flow.status, statuses(flow), flow.ended) == ("completed", ["active", "cancelled", "cancelled"], False)
    flow.succeed("fan", flow.tokens("fan")[0], r=1)
    assert (flow.step("fan").status, flow.ended, flow.values("r")) == ("failed", True, [])


def test_commands_about_what_is_not_there_are_refused() -> None:
    """execution.md 8.9, 13.24/230"""
    flow = World(sync("s")).start("s")
    with pytest.raises(UnknownStep, match="ghost"):
        flow.do(Succeed("ghost", "t0", {}))
    with pytest.raises(UnknownToken, match="t99"):
        flow.do(Fail("s", "t99", "no"))


def test_a_result_for_an_item_that_never_started_counts() -> None:
    """execution.md S22"""
    flow = fan_world(fan(1)).start("fan", {"item": [[0, 1]]})
    first, second = flow.tokens("fan")
    flow.succeed("fan", second, r="early")
    flow.succeed("fan", first, r="first")
    assert [e["r"] for e in flow.values("r")[0]] == ["first", "early"]
    assert flow.status == "completed"


# Cancelling


def test_cancelling_starts_nothing_more_and_lets_running_work_finish() -> None:
    """decisions 31"""
    world = fan_world(fan(1, compensate=""), sync("g", {"r": required()}))
    flow = world.start("g", {"item": [[0, 1]]})
    flow.cancel()
    assert (flow.status, flow.state.error, flow.ended) == ("failed", "cancelled", False)
    assert (statuses(flow), flow.step("g").status) == (["active", "cancelled"], "pending")
    flow.succeed("fan", flow.tokens("fan")[0], r=1)
    assert (flow.ended, flow.step("fan").status, len(world.calls)) == (True, "failed", 1)


def test_cancelling_undoes_what_a_step_had_done() -> None:
    """decisions 31: compensation runs as usual"""
    world = fan_world(fan(1))
    flow = world.start("fan", {"item": [[0, 1, 2]]})
    flow.succeed("fan", flow.tokens("fan")[0], r=0)
    flow.cancel()
    flow.succeed("fan", flow.tokens("fan")[1], r=1)
    assert statuses(flow) == ["compensated", "compensated", "cancelled"]
    assert flow.ended


def test_cancelling_again_gives_up_what_still_runs() -> None:
    """An answer that never comes does not keep a flow for ever."""
    flow = World(sync("s"), answers={"s": SILENT}).start("s")
    flow.cancel()
    assert not flow.ended
    flow.cancel()
    assert (flow.ended, flow.count("flow_failed"), flow.count("work_cancelled")) == (True, 1, 1)
    assert flow.cancel() == []


def test_cancelling_after_the_end_changes_nothing() -> None:
    assert World(sync("s")).start("s").cancel() == []


def test_cancelling_ends_the_waits() -> None:
    world = World(sync("p", {"x": output()}), sync("g", {"x": optional(deadline=500)}), answers={"p": SILENT})
    flow = world.start("g")
    flow.cancel()
    assert flow.wake_at == NEVER


# Compensation


def failed_after_one(world: World) -> Flow:
    """A fan-out over two elements whose first succeeded and whose second failed."""
    flow = world.start("fan", {"item": [["good", "bad"]]})
    good, bad = flow.tokens("fan")
    flow.succeed("fan", good, r=1)
    flow.fail("fan", bad, error="broken")
    return flow


def test_what_succeeded_is_undone_when_its_step_fails() -> None:
    """execution.md 13.16/152, 9.4"""
    world = fan_world(fan())
    flow = failed_after_one(world)
    assert flow.story[-6:] == [
        "work_failed:fan",
        "step_failed:fan",
        "comp_started:fan",
        "flow_failed",
        "comp_succeeded:fan",
        "flow_deactivated",
    ]
    assert [call.arguments for call in world.undone] == [{"input": {"item": "good"}, "output": {"r": 1}}]
    assert (statuses(flow), bool(flow.items("fan")[0].completed_at)) == (["compensated", "failed"], True)


def test_without_anything_that_succeeded_nothing_is_undone() -> None:
    """execution.md 13.16/153"""
    world = fan_world(fan(), fan=fails())
    flow = world.start("fan", {"item": [[1, 2]]})
    assert (world.undone, flow.ended) == ([], True)


@pytest.mark.parametrize(
    "step",
    [
        fan(compensate=""),
        fan(memoizable=True),
        scripted("fan", "run", {"item": required(for_each=True), "r": output()}, work={"parallelism": 2}),
    ],
)
def test_a_step_without_a_way_to_undo_is_not_compensated(step: Step) -> None:
    """execution.md 13.16/151, 13.26/258, decisions 27 (B22)"""
    world = fan_world(step)
    world.scripts["run"] = lambda a: {"r": 1} if a["item"] == "good" else failing("broken")()
    flow = world.start("fan", {"item": [["good", "bad"]]}) if step.type == "script" else failed_after_one(world)
    assert (flow.count("comp_started"), statuses(flow), flow.ended) == (0, ["succeeded", "failed"], True)


def test_a_completed_step_of_a_failed_flow_is_not_undone() -> None:
    """execution.md 8.11"""
    world = World(sync("a", {"x": output()}, compensate="http://undo/"), sync("g", {"x": required()}))
    world.answers = {"a": gives(x=1), "g": fails()}
    assert (world.start("g").ended, world.undone) == (True, [])


def test_an_item_that_succeeds_after_its_step_failed_is_undone_too() -> None:
    """decisions 27 (S16), execution.md 13.26/249"""
    world = fan_world(fan())
    flow = world.start("fan", {"item": [["late", "bad"]]})
    late, bad = flow.tokens("fan")
    flow.fail("fan", bad)
    assert not flow.ended
    flow.succeed("fan", late, r=1)
    assert (statuses(flow), flow.ended) == (["compensated", "failed"], True)


def test_undoing_is_retried_after_its_wait() -> None:
    """execution.md 13.16/154"""
    world = fan_world(fan())
    world.undo = {"fan": [unavailable("busy"), UNDONE]}
    flow = failed_after_one(world)
    assert (statuses(flow)[0], flow.items("fan")[0].comp_retry_count, flow.ended) == ("compensating", 1, False)
    assert flow.wake_at - world.now_us == 1_000_000
    world.wait_for_all()
    assert (statuses(flow)[0], [call.at_ms for call in world.undone], flow.ended) == ("compensated", [0, 1_000], True)


def test_undoing_ends_with_its_retries() -> None:
    """execution.md 13.16/155"""
    world = fan_world(fan(work={"max_retries": 1}))
    world.undo = {"fan": unavailable("busy")}
    flow = failed_after_one(world)
    world.wait_for_all()
    assert (len(world.undone), statuses(flow)[0], flow.items("fan")[0].error) == (2, "compensation_failed", "busy")
    assert flow.ended


def test_undoing_that_is_refused_ends_at_once() -> None:
    """execution.md 13.16/156"""
    world = fan_world(fan())
    world.undo = {"fan": fails("never")}
    flow = failed_after_one(world)
    assert (len(world.undone), flow.items("fan")[0].error, flow.ended) == (1, "never", True)


def test_undoing_has_a_retry_budget_of_its_own() -> None:
    """decisions 27 (S15)"""
    world = fan_world(fan(2, work={"max_retries": 2}))
    world.answers["fan"] = lambda a: SILENT
    world.undo = {"fan": [unavailable(), unavailable(), UNDONE]}
    flow = world.start("fan", {"item": [["good", "bad"]]})
    good, bad = flow.tokens("fan")
    for _ in range(2):
        flow.not_completed("fan", good)
        world.wait_for_all()
    flow.succeed("fan", good, r=1)
    flow.fail("fan", bad)
    world.wait_for_all()
    work = flow.items("fan")[0]
    assert (work.status, work.retry_count, work.comp_retry_count, len(world.undone)) == ("compensated", 2, 2, 3)


def test_reports_about_what_is_not_being_undone_change_nothing() -> None:
    """execution.md 13.16/158"""
    flow = failed_after_one(fan_world(fan()))
    for token in flow.tokens("fan"):
        for command in (
            Compensated("fan", token),
            CompensationFailed("fan", token, "no"),
            CompensationNotCompleted("fan", token, "no"),
        ):
            assert flow.do(command) == []
    with pytest.raises(UnknownToken):
        flow.do(Compensated("fan", "t99"))


def test_a_retry_after_holds_for_undoing_too() -> None:
    world = fan_world(fan())
    world.undo = {"fan": [unavailable(retry_after_ms=9_000), UNDONE]}
    failed_after_one(world)
    world.wait_for_all()
    assert [call.at_ms for call in world.undone] == [0, 9_000]
