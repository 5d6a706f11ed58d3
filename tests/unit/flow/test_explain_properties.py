"""What holds of the explanation of every flow, at every moment of every history."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from argyll.draw import story
from argyll.flow.explain import History, explain
from argyll.model.events import decode_payload
from argyll.model.flow import STEP_TERMINAL
from tests.unit.flow.campaign import Campaign
from tests.unit.flow.harness import Flow, World, gives, output, required, state_bytes, sync
from tests.unit.flow.test_explain import ask

QUICK = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(max_examples=3_000, deadline=None, suppress_health_check=list(HealthCheck))

ENDED_FOR = {
    "completed": {"started"},
    "skipped": {"match", "predicate", "not_needed"},
    "failed": {"unreachable", "work_failed", "script_failed", "too_many_items", "cancelled"},
}


def flows_of(seed: int, actions: int) -> Iterator[Flow]:
    """The flows of a random history, as they stand after some of it and at its end."""
    campaign = Campaign.by_chance(Random(seed))
    if not campaign.start():
        return
    campaign.disturb(actions)
    yield from list(campaign.world.flows.values())
    campaign.finish()
    yield from campaign.world.flows.values()


def check_overview(flow: Flow) -> None:
    answer = ask(flow)
    assert story(answer)
    assert bool(answer["waiting"]) != flow.ended, "an open flow waits for something, a closed one for nothing"
    assert not [wait for wait in answer["waiting"] if wait["kind"] == "engine"], "at rest the engine waits for others"
    for told in answer["steps"]:
        if told["status"] in STEP_TERMINAL:
            assert told["reason"]["code"] in ENDED_FOR[told["status"]]
        if told["reason"]["code"] == "waits" and answer["status"] == "active":
            assert told["reason"]["inputs"], f"{told['step']} is pending for a reason"
        if told["reason"]["code"] == "unreachable":
            assert told["reason"]["because"], f"{told['step']} was lost for a cause"
    if flow.status == "failed":
        assert answer["outcome"].get("because") or answer["outcome"]["code"] == "cancelled"


def check_steps(flow: Flow) -> None:
    """What a step is said to have received is what its event holds."""
    for step_id, execution in flow.state.executions.items():
        answer = ask(flow, step=step_id)
        assert story(answer)
        [told] = answer["steps"]
        if told["status"] not in ("active", "completed"):
            continue
        specs = flow.state.plan.steps[step_id].attributes
        for entry in told.get("inputs", ()):
            received = (execution.inputs or {}).get(entry.get("inner") or entry["name"], MISSING)
            if entry["role"] in ("required", "optional"):
                assert received == said(entry, specs[entry["name"]].default)


MISSING = object()


def said(entry: Any, default: Any) -> Any:
    """The value that the story of an input says the step received."""
    if entry["outcome"] == "default":
        return default
    if entry["outcome"] == "absent":
        return MISSING
    assert entry["used"], entry
    values = [used["value"]["value"] for used in entry["used"]]
    return values if entry["collect"] in ("some", "all") else values[0]


def check(seed: int, actions: int) -> None:
    for flow in flows_of(seed, actions):
        check_overview(flow)
        check_steps(flow)
        for name in flow.state.attributes:
            assert story(ask(flow, attribute=name))


@QUICK
@given(seed=st.integers(0, 2**64), actions=st.integers(0, 50))
def test_every_flow_is_explained(seed: int, actions: int) -> None:
    check(seed, actions)


@pytest.mark.nightly
@pytest.mark.timeout(3_600)
@LONG
@given(seed=st.integers(0, 2**64), actions=st.integers(0, 200))
def test_every_flow_is_explained_in_a_long_campaign(seed: int, actions: int) -> None:
    check(seed, actions)


@QUICK
@given(seed=st.integers(0, 2**64), actions=st.integers(0, 50), part=st.floats(0, 1))
def test_every_moment_is_explained_also_inside_an_append(seed: int, actions: int, part: float) -> None:
    for flow in flows_of(seed, actions):
        questions: tuple[dict[str, Any], ...] = ({}, {"step": next(iter(flow.state.executions), "")})
        events = 1 + int(part * (len(flow.log) - 1))
        for how in questions:
            answer = ask(flow, events=events, at_rest=False, **how)
            assert story(answer)
            assert answer["at"]["event"] == events - 1


def test_explaining_changes_nothing_of_what_was_read() -> None:
    flow = World(sync("s", {"x": required(), "y": output()}), answers={"s": gives(y=1)}).start("s", {"x": 1})
    history = History(step="s", attribute="y")
    for event_type, data, at_us in flow.log:
        history.add(decode_payload(event_type, data), at_us)

    assert explain(history) == explain(history)
    assert history.flow is not None
    assert state_bytes(history.flow) == state_bytes(flow.state)
