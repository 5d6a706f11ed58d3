"""What a flow needs after a crash, and what its events mean to whoever folds them (execution.md 9.3, 10; decisions 24-26)."""

from __future__ import annotations

import pytest
from msgspec.structs import fields

from argyll.flow import Advance, Call, Compensate, Fail, Reclaim, apply, effects_of
from argyll.model import events as ev
from argyll.model.events import PAYLOADS, Payload, StepPayload, WorkPayload
from argyll.model.step import Step
from tests.unit.flow.harness import (
    SILENT,
    UNDONE,
    World,
    async_,
    derived,
    fails,
    gives,
    optional,
    output,
    over_budget,
    required,
    scripted,
    state_bytes,
    sync,
    unavailable,
)


def fan(**fields: object) -> Step:
    return sync("fan", {"item": required(for_each=True), "r": output()}, work={"parallelism": 2}, **fields)


def everything(node_id: str, token: str) -> bool:
    return True


def test_an_orphaned_call_is_made_again_with_its_token() -> None:
    """execution.md 13.11/118, 13.22/199, 13.1/19-22, 13.26/255, decisions 24"""
    world = World(sync("s", {"x": output()}), answers={"s": [SILENT, gives(x=1)]})
    flow = world.start("s")
    world.crash()
    assert [(call.token, call.attempt) for call in world.calls] == [("t0", 1), ("t0", 2)]
    assert (flow.status, flow.items("s")[0].retry_count) == ("completed", 0)


def test_a_call_whose_owner_lives_is_left_alone() -> None:
    """execution.md 13.26/253 (B9)"""
    world = World(sync("s"), answers={"s": SILENT})
    flow = world.start("s")
    asked: list[tuple[str, str]] = []
    assert flow.do(Reclaim(lambda node, token: bool(asked.append((node, token))))) == []
    assert asked == [("n1", "t0")]


def test_a_reclaimed_item_belongs_to_the_node_that_took_it() -> None:
    world = World(sync("s"), answers={"s": SILENT})
    flow = world.start("s")
    world.node_id = "n2"
    flow.do(Reclaim(lambda node, token: node == "n1"))
    assert (flow.items("s")[0].node_id, flow.items("s")[0].attempt) == ("n2", 2)
    assert list(world.effects) == [Call("f", "s", "t0", 2)]
    assert flow.do(Reclaim(lambda node, token: node == "n1")) == []


def test_the_late_report_of_the_lost_owner_does_not_use_up_a_retry() -> None:
    world = World(sync("s"), answers={"s": SILENT})
    flow = world.start("s")
    [lost] = world.calls
    flow.do(Reclaim(everything))
    world.deliver(lost, unavailable())
    assert (flow.items("s")[0].status, flow.items("s")[0].retry_count) == ("active", 0)


def test_work_of_an_ended_flow_is_closed_without_another_call() -> None:
    """execution.md 10.1.3 (B10c)"""
    world = World(sync("g"), sync("other", {"x": output()}), answers={"g": fails(), "other": SILENT})
    flow = world.start("other g")
    assert (flow.status, flow.ended) == ("failed", False)
    calls = len(world.calls)
    world.crash()
    assert (flow.ended, len(world.calls), flow.step("other").status) == (True, calls, "failed")


@pytest.mark.parametrize("step", [async_("s"), scripted("s", "long")])
def test_async_and_long_scripts_are_called_again(step: Step) -> None:
    """execution.md 13.9/91"""
    world = World(step, scripts={"long": over_budget}, answers={"s": SILENT})
    flow = world.start("s")
    world.crash()
    assert (flow.count("work_started"), len(world.calls)) == (2, 2)


def test_undoing_is_resumed() -> None:
    """execution.md 13.16/157"""
    world = World(
        fan(compensate="http://undo/"), answers={"fan": [gives(r=1), fails()]}, undo={"fan": [SILENT, UNDONE]}
    )
    flow = world.start("fan", {"item": [[1, 2]]})
    assert (flow.items("fan")[0].status, flow.items("fan")[0].node_id) == ("compensating", "n1")
    world.node_id = "n2"
    world.crash()
    assert flow.items("fan")[0].node_id == "n2"
    assert (flow.items("fan")[0].status, len(world.undone), flow.ended) == ("compensated", 2, True)


def test_undoing_that_waits_is_not_reclaimed_before_its_time() -> None:
    """execution.md 13.11/118"""
    world = World(
        fan(compensate="http://undo/"), answers={"fan": [gives(r=1), fails()]}, undo={"fan": [unavailable(), UNDONE]}
    )
    flow = world.start("fan", {"item": [[1, 2]]})
    world.crash()
    assert (len(world.undone), flow.wake_at - world.now_us) == (1, 1_000_000)
    world.wait(1_000)
    assert flow.ended


@pytest.mark.parametrize("down_ms", [0, 999, 1_000, 60_000])
def test_a_retry_is_kept_through_a_restart(down_ms: int) -> None:
    """execution.md 13.9/97, decisions 26"""
    world = World(sync("s"), answers={"s": [unavailable(), gives()]})
    flow = world.start("s")
    world.now_us += down_ms * 1_000
    world.crash()
    assert flow.status == ("completed" if down_ms >= 1_000 else "active")
    world.wait_for_all()
    assert (flow.status, world.calls[-1].at_ms) == ("completed", max(down_ms, 1_000))


def test_nothing_of_a_deactivated_flow_is_recovered() -> None:
    """execution.md 13.9/100"""
    world = World(sync("s"))
    flow = world.start("s")
    before = list(flow.story)
    world.crash()
    assert (flow.story, len(world.calls)) == (before, 1)


def test_looking_again_changes_nothing() -> None:
    """A second look at a standstill finds nothing to do, and asks to be woken at the same time."""
    world = World(
        sync("p", {"x": output()}),
        sync("g", {"x": optional(deadline=500)}),
        sync("r"),
        answers={"p": SILENT, "r": unavailable()},
    )
    flow = world.start("g r")
    wake_at = flow.wake_at
    for _ in range(3):
        assert flow.do(Advance()) == []
        assert flow.wake_at == wake_at


# Effects


def test_an_item_that_ended_within_the_command_needs_no_call() -> None:
    world = World(scripted("s", "one", {"x": output()}), scripts={"one": lambda a: {"x": 1}})
    flow = world.open("f", world.plan("s"), {})
    assert list(effects_of(flow.state, flow.events)) == []


def test_compensation_is_an_effect_of_its_start() -> None:
    world = World(fan(compensate="http://undo/"), answers={"fan": SILENT})
    flow = world.start("fan", {"item": [[1, 2]]})
    first, second = flow.tokens("fan")
    flow.succeed("fan", first, r=1)
    flow.do(Fail("fan", second, "no"))
    assert list(world.effects) == [Compensate("f", "fan", first)]


# Folding events


def busy_world() -> World:
    """A flow with a bit of everything in its history."""
    world = World(
        fan(compensate="http://undo/"),
        sync("flaky", {"x": output()}),
        sync("late", {"x": required(), "o": optional(deadline=10_000)}),
        sync("slow", {"o": output()}),
        sync("g", {"r": required()}),
        answers={"fan": [gives(r=1), unavailable(), fails()], "flaky": [unavailable(), gives(x=None)], "slow": SILENT},
        undo={"fan": [unavailable(), UNDONE]},
    )
    flow = world.start("late g", {"item": [[1, 2, 3]]})
    world.wait_for_all()
    flow.succeed("slow", o=1)
    world.wait_for_all()
    assert flow.ended
    return world


def test_a_replay_gives_the_same_state_at_every_event() -> None:
    """execution.md 13.9/99"""
    flow = busy_world().flows["f"]
    assert state_bytes(flow.replayed()) == state_bytes(flow.state)
    assert derived(flow.replayed()) == derived(flow.state)
    assert flow.state.sequence == len(flow.log)


def test_events_before_the_start_are_ignored() -> None:
    assert apply(None, ev.FlowCompleted("f", {}), 1) is None
    assert apply(None, None, 1) is None


def test_an_event_of_an_unknown_type_only_counts() -> None:
    flow = busy_world().flows["f"]
    before, sequence = state_bytes(flow.state), flow.state.sequence
    state = apply(flow.state, None, 99)
    assert state is flow.state
    assert (state_bytes(state), state.sequence) == (before, sequence + 1)


def _about(payload: type[Payload], step_id: str, token: str) -> Payload:
    """An event of a type about some step and item, with whatever else it needs."""
    values: dict[str, object] = {
        "step_id": step_id,
        "token": token,
        "inputs": {},
        "outputs": {},
        "work_items": {},
        "next_retry_at": "2027-01-01T00:00:00Z",
        "retry_count": 1,
        "duration": 1,
    }
    return payload(**{field.name: values.get(field.name, "text") for field in fields(payload) if field.required})


STEP_EVENTS = [payload for payload in PAYLOADS.values() if issubclass(payload, StepPayload)]


@pytest.mark.parametrize("payload", STEP_EVENTS, ids=lambda p: p.event_type)
def test_an_event_about_an_unknown_step_changes_no_step(payload: type[Payload]) -> None:
    """execution.md 9.3, 13.23/225: every applier is total"""
    flow = busy_world().flows["f"]
    steps = {step_id: str(execution) for step_id, execution in flow.state.executions.items()}
    apply(flow.state, _about(payload, "ghost", "t0"), 99)
    assert {step_id: str(execution) for step_id, execution in flow.state.executions.items()} == steps


@pytest.mark.parametrize("payload", [p for p in STEP_EVENTS if issubclass(p, WorkPayload)], ids=lambda p: p.event_type)
def test_an_event_about_an_unknown_item_changes_nothing(payload: type[Payload]) -> None:
    """execution.md 9.3"""
    flow = busy_world().flows["f"]
    before = (state_bytes(flow.state), flow.state.unsettled)
    apply(flow.state, _about(payload, "fan", "ghost"), 99)
    assert (state_bytes(flow.state), flow.state.unsettled) == before


def test_a_small_budget_spreads_the_same_work_over_more_commands() -> None:
    """What would not fit into one append is claimed piece by piece, with the same end."""
    steps = [sync(f"s{n}", {f"x{n}": output()}) for n in range(5)]
    goal = sync("g", {f"x{n}": required() for n in range(5)})
    answers = {f"s{n}": gives(**{f"x{n}": n}) for n in range(5)}
    whole, pieces = World(*steps, goal, answers=answers), World(*steps, goal, answers=answers)
    pieces.budget = 1
    one, many = whole.start("g"), pieces.start("g")
    pieces.wait_for_all()
    assert many.ended
    assert (one.status, one.statuses) == (many.status, many.statuses)
    assert sorted(call.step_id for call in whole.calls) == sorted(call.step_id for call in pieces.calls)
