"""Where a watcher stands: subscribe messages, resumption, duplicates and holes. No network."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argyll.client import WatchError, WatchEvent, WatchGap, WatchState
from argyll.client.positions import Positions

FLOW = ("flow", "f")


def event(sequence, sub_id="1", path=FLOW):
    return {
        "type": "step_started",
        "sub_id": sub_id,
        "id": list(path),
        "data": {},
        "timestamp": 1,
        "sequence": sequence,
    }


def subscribed(sub_id="1", items=()):
    return {"type": "subscribed", "sub_id": sub_id, "items": list(items)}


def state(sequence, path=FLOW):
    return {"id": list(path), "data": {"status": "active"}, "sequence": sequence}


def wanted(positions):
    return [message["data"] for message in positions.opening()]


def sequences(steps):
    return [change.sequence for step in steps for change in step.changes if isinstance(change, WatchEvent)]


def test_each_aggregate_has_a_subscription_of_its_own():
    positions = Positions([("catalog",), FLOW], event_types=["step_started"], include_state=True)
    assert wanted(positions) == [
        {"sub_id": "1", "aggregate_ids": [["catalog"]], "event_types": ["step_started"], "include_state": True},
        {"sub_id": "2", "aggregate_ids": [["flow", "f"]], "event_types": ["step_started"], "include_state": True},
    ]


def test_engine_means_catalog_and_cluster_and_nothing_means_everything():
    assert [w["aggregate_ids"] for w in wanted(Positions([("engine",)]))] == [[["catalog"]], [["cluster"]]]
    assert wanted(Positions([])) == [{"sub_id": "1"}]


def test_a_bare_string_is_not_read_letter_by_letter():
    with pytest.raises(TypeError, match="write it as a tuple"):
        Positions(["catalog"])


def test_after_a_break_events_are_asked_for_from_where_they_ended():
    positions = Positions([FLOW], include_state=True)
    first = positions.receive(subscribed(items=[state(3)]))
    assert first.changes == [WatchState(FLOW, {"status": "active"}, 3)]
    positions.receive(event(3))
    positions.disconnected()
    assert wanted(positions) == [{"sub_id": "1", "aggregate_ids": [["flow", "f"]], "from_sequence": 4}]


def test_what_was_seen_is_not_told_twice():
    positions = Positions([FLOW], from_sequence=0)
    steps = [positions.receive(event(n)) for n in (0, 1, 0, 1, 2)]
    assert sequences(steps) == [0, 1, 2]


def test_a_hole_is_asked_for_once_and_reported_if_it_stays():
    positions = Positions([FLOW], from_sequence=0)
    positions.receive(event(0))
    asked = positions.receive(event(5))
    assert asked.changes == []
    assert [reply["data"]["from_sequence"] for reply in asked.replies] == [1]
    positions.receive(subscribed())
    still = positions.receive(event(5))
    assert still.changes[0] == WatchGap(FLOW)
    assert sequences([still]) == [5]


def test_with_a_filter_on_types_holes_are_the_rule():
    positions = Positions([FLOW], from_sequence=0, event_types=["flow_completed"])
    assert sequences([positions.receive(event(9))]) == [9]


def test_an_aggregate_without_state_starts_at_its_first_event():
    positions = Positions([FLOW], include_state=True)
    positions.receive(subscribed(items=[]))
    positions.disconnected()
    assert wanted(positions)[0]["from_sequence"] == 0


def test_a_prefix_has_no_sequence_to_start_from():
    with pytest.raises(ValueError, match="has no history of its own"):
        Positions([("catalog",), ("flow",)], from_sequence=0)


@pytest.mark.parametrize("path", [("flow",), ()])
def test_a_prefix_cannot_be_resumed_and_says_so(path):
    positions = Positions([path])
    assert positions.receive(subscribed()).changes == []
    positions.receive(event(7, path=("flow", "any")))
    positions.disconnected()
    assert "from_sequence" not in wanted(positions)[0]
    assert positions.receive(subscribed()).changes == [WatchGap(path)]


def test_a_sequence_that_can_no_longer_be_read_falls_back_to_the_state():
    positions = Positions([FLOW], include_state=True)
    positions.receive(subscribed(items=[state(3)]))
    positions.disconnected()
    step = positions.receive({"type": "error", "sub_id": "1", "error": "sequence 3 is archived"})
    assert step.replies[0]["data"]["include_state"] is True
    with pytest.raises(WatchError, match="flow/f: the engine answered: no"):
        positions.receive({"type": "error", "sub_id": "1", "error": "no"})


@pytest.mark.parametrize(
    "message", [[], 7, {"type": "x", "sub_id": "1"}, {"type": "subscribed", "sub_id": "1", "items": [{}]}]
)
def test_a_message_outside_the_protocol_is_named(message):
    with pytest.raises(WatchError, match="the engine sent"):
        Positions([FLOW]).receive(message)


def test_messages_for_nobody_are_passed_over():
    positions = Positions([FLOW])
    assert positions.receive(event(1, sub_id="99")).changes == []
    assert positions.receive({"type": "unsubscribed", "sub_id": "1"}).changes == []


@given(st.lists(st.integers(0, 30), max_size=8), st.integers(1, 30))
def test_however_often_it_breaks_every_event_is_told_once_in_order(breaks, length):
    # An engine that replays from `from_sequence` on every subscription, and a line that drops after some events.
    positions = Positions([FLOW], from_sequence=0)
    told = []
    for survived in [*breaks, length]:
        start = wanted(positions)[0]["from_sequence"]
        steps = [positions.receive(subscribed())]
        # A careless engine repeats an event it sent before.
        steps += [positions.receive(event(n)) for n in range(max(0, start - 1), min(length, start + survived))]
        told += sequences(steps)
        positions.disconnected()
    assert told == list(range(length))
