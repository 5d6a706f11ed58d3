"""What a flow waits for, and what would end the wait."""

from __future__ import annotations

from typing import Any

import pytest

from argyll.flow.explain import answer as limits
from tests.unit.flow.harness import (
    SILENT,
    Flow,
    World,
    async_,
    fails,
    gives,
    optional,
    output,
    over_budget,
    required,
    scripted,
    subflow,
    sync,
    unavailable,
)
from tests.unit.flow.test_explain import ask, input_of, step_of


def waits_of(flow: Flow, **how: Any) -> list[Any]:
    return ask(flow, **how)["waiting"]


def test_a_sync_call_waits_for_the_answer_of_its_service():
    step = sync("s", {"y": output()}, work={"max_attempts": 3})
    flow = World(step, answers={"s": SILENT}).start("s")

    [wait] = waits_of(flow)
    assert (wait["kind"], wait["step"], wait["endpoint"], wait["count"]) == ("answer", "s", "http://s/", 1)
    assert (wait["items"][0]["attempt"], wait["items"][0]["max_attempts"]) == (1, 3)
    assert flow.events[wait["since"]["event"]].event_type == "work_started"


def test_an_async_step_waits_for_the_webhook_of_a_token():
    world = World(async_("s", {"y": output()}), answers={"s": SILENT})
    flow = world.start("s")

    [wait] = waits_of(flow)
    assert (wait["kind"], wait["items"][0]["token"]) == ("webhook", flow.tokens("s")[0])


def test_a_script_beyond_its_budget_waits_for_a_worker():
    world = World(scripted("s", "long", {"y": output()}), scripts={"long": over_budget}, answers={"s": SILENT})

    assert [w["kind"] for w in waits_of(world.start("s"))] == ["script"]


def test_a_flow_step_waits_for_its_child_and_names_it():
    world = World(sync("leaf", {"y": output()}), subflow("sub", ["leaf"], {"y": output()}), answers={"leaf": SILENT})
    flow = world.start("sub")

    [wait] = waits_of(flow)
    child = wait["items"][0]["child"]
    assert wait["kind"] == "child"
    assert ask(world.flows[child])["parent"] == "f"


def test_a_retry_is_due_at_a_moment_and_says_what_went_wrong():
    step = sync("s", {"y": output()}, work={"max_attempts": 5, "init_backoff": 200})
    world = World(step, answers={"s": unavailable("503")})
    flow = world.start("s")

    [wait] = waits_of(flow)
    assert (wait["kind"], wait["due"]["after_ms"], wait["items"][0]["error"]) == ("retry", 200, "503")
    assert "event" not in wait["due"]

    world.wait(250)
    [wait] = waits_of(flow)
    assert (wait["due"]["after_ms"], wait["since"]["after_ms"]) == (600, 200)


def test_items_beyond_the_parallelism_wait_for_a_place_behind_those_that_run():
    step = sync("s", {"xs": required(for_each=True), "y": output()}, work={"parallelism": 2})
    flow = World(step, answers={"s": SILENT}).start("s", {"xs": [list(range(30))]})

    waits = {wait["kind"]: wait for wait in waits_of(flow)}
    assert {kind: wait["count"] for kind, wait in waits.items()} == {"answer": 2, "slot": 28}
    assert len(waits["slot"]["items"]) == limits.MAX_ITEMS_LISTED


@pytest.mark.parametrize(("claim", "kind"), [("announce", "health"), ("wait", "claim")])
def test_work_that_no_node_takes_waits_for_health_or_for_a_node(claim: str, kind: str):
    world = World(sync("s", {"y": output()}))
    world.may_claim = lambda step: claim
    flow = world.start("s")

    [wait] = waits_of(flow)
    assert wait["kind"] == kind
    assert flow.events[wait["since"]["event"]].event_type == (
        "dispatch_deferred" if kind == "health" else "step_started"
    )
    assert ("deferred" in step_of(flow, "s")) == (kind == "health")


def test_a_deferral_is_over_once_the_work_was_claimed():
    step = sync("s", {"y": output()}, work={"max_attempts": 5, "init_backoff": 10_000})
    world = World(step, answers={"s": unavailable()})
    world.may_claim = lambda step: "announce"
    flow = world.start("s")
    world.may_claim = lambda step: "yes"
    world.wait(2_000)

    assert [w["kind"] for w in waits_of(flow)] == ["retry"]


def test_a_free_place_is_not_waited_for_when_it_is_health_that_lacks():
    step = sync("s", {"xs": required(for_each=True), "y": output()}, work={"parallelism": 3})
    world = World(step, answers={"s": SILENT})
    claims = iter(["yes"])
    world.may_claim = lambda step: next(claims, "announce")
    flow = world.start("s", {"xs": [[1, 2]]})

    assert [w["kind"] for w in waits_of(flow)] == ["answer", "health"]


def test_an_earlier_deferral_is_no_reason_any_more():
    step = sync("s", {"xs": required(for_each=True), "y": output()}, work={"parallelism": 2})
    world = World(step, answers={"s": SILENT})
    world.may_claim = lambda step: "announce"
    flow = world.start("s", {"xs": [[1, 2]]})
    claims = iter(["yes"])
    world.may_claim = lambda step: next(claims, "wait")
    world.wait(2_000)

    assert [w["kind"] for w in waits_of(flow)] == ["answer", "claim"]


def test_a_step_that_runs_waits_for_nobody_upstream():
    world = World(
        sync("slow", {"n": output()}),
        sync("s", {"n": optional(), "y": output()}),
        sync("end", {"n": required(), "y": required()}),
        answers={"slow": SILENT, "s": SILENT},
    )
    flow = world.start("end")

    assert [w["step"] for w in waits_of(flow, step="s")] == ["s"]
    assert sorted(w["step"] for w in waits_of(flow, step="end")) == ["s", "slow"]


def test_a_deadline_holds_a_step_back_until_a_moment():
    world = World(
        sync("slow", {"n": output()}),
        sync("s", {"x": required(), "n": optional(deadline=500), "y": output()}),
        answers={"slow": SILENT},
    )
    flow = world.start("s", {"x": 1})

    waits = {wait["kind"]: wait for wait in waits_of(flow)}
    assert waits.keys() == {"answer", "deadline"}
    assert (waits["deadline"]["step"], waits["deadline"]["input"]) == ("s", "n")
    assert waits["deadline"]["due"]["after_ms"] == 500
    assert input_of(flow, "s", "n")["until"]["after_ms"] == 500


def test_compensation_is_waited_for_though_the_flow_has_ended():
    step = sync(
        "s",
        {"xs": required(for_each=True), "y": output()},
        compensate="http://undo/",
        work={"parallelism": 1, "init_backoff": 300},
    )
    world = World(step, answers={"s": [gives(y=1), fails("no")]}, undo={"s": [SILENT]})
    flow = world.start("s", {"xs": [[1, 2]]})

    [wait] = waits_of(flow)
    assert (ask(flow)["status"], wait["kind"], wait["endpoint"]) == ("failed", "undo", "http://undo/")

    world.undo["s"] = unavailable("busy")
    world.crash()
    [wait] = waits_of(flow)
    assert (wait["kind"], wait["due"]["after_ms"], wait["items"][0]["error"]) == ("undo_retry", 300, "busy")


def test_a_closed_flow_waits_for_nothing():
    flow = World(sync("s", {"y": output()})).start("s")

    assert ask(flow)["waiting"] == []
    assert "closed" in ask(flow)


def test_inside_an_append_the_engine_itself_is_waited_for():
    flow = World(sync("s", {"y": output()})).start("s")

    [wait] = waits_of(flow, events=1, at_rest=False)
    assert (wait["kind"], wait["since"]["event"]) == ("engine", 0)


def chain() -> Flow:
    world = World(
        async_("first", {"a": output()}),
        sync("second", {"a": required(), "b": output()}),
        sync("third", {"b": required(), "c": output()}),
        sync("other", {"o": output()}),
        answers={"first": SILENT, "other": SILENT},
    )
    return world.start("third other")


def test_a_pending_step_waits_for_its_input_and_the_answer_leads_to_what_is_waited_for_outside():
    answer = ask(chain(), step="third")

    [entry] = answer["steps"][0]["reason"]["inputs"]
    assert (entry["name"], entry["verdict"], entry["outcome"]) == ("b", "possible", "waits")
    assert entry["providers"] == [{"step": "second", "status": "pending"}]
    assert [(w["kind"], w["step"]) for w in answer["waiting"]] == [("webhook", "first")]


def test_an_attribute_that_has_no_value_yet_leads_there_too():
    assert [w["step"] for w in waits_of(chain(), attribute="c")] == ["first"]


@pytest.mark.parametrize(
    ("collect", "given", "verdict", "match"),
    [
        ("first", [3], "undecided", "unknown"),
        ("last", [3], "undecided", "unknown"),
        ("some", [4], "undecided", "unknown"),
        ("all", [4], "possible", "unknown"),
        ("none", [3], "possible", "unknown"),
        ("first", [], "possible", "unknown"),
    ],
)
def test_a_gate_says_what_can_be_known_without_running_its_match(
    collect: str, given: list[int], verdict: str, match: str
):
    world = World(
        sync("slow", {"x": output()}),
        sync("s", {"x": required(collect=collect, match="even"), "y": output()}),
        answers={"slow": SILENT},
        scripts={"even": lambda value: value % 2 == 0},
    )
    plan = world.plan("s", {})
    flow = world.open("f", plan, {"x": given})
    world.run()

    entry = input_of(flow, "s", "x")
    assert step_of(flow, "s")["status"] == "pending"
    assert (entry["verdict"], entry["match"]) == (verdict, match)


def test_a_gate_with_nothing_more_to_come_must_have_opened():
    world = World(
        sync("slow", {"n": output()}),
        sync("s", {"x": required(match="even"), "n": required(), "y": output()}),
        answers={"slow": SILENT},
        scripts={"even": lambda value: value % 2 == 0},
    )
    flow = world.start("s", {"x": 4})

    entry = input_of(flow, "s", "x")
    assert (entry["match"], entry["verdict"]) == ("matched", "fulfilled")


def test_an_open_gate_counts_as_fulfilled_though_nobody_knows_by_which_value():
    world = World(
        sync("slow", {"n": output()}),
        sync("s", {"x": required(match="even"), "n": required(), "y": output()}),
        answers={"slow": SILENT},
        scripts={"even": lambda value: value % 2 == 0},
    )
    flow = world.start("s", {"x": [3, 4]})

    entry = input_of(flow, "s", "x")
    assert (entry["match"], entry["verdict"], "since" in entry) == ("matched", "fulfilled", False)
    assert [held["name"] for held in step_of(flow, "s")["reason"]["inputs"]] == ["n"]
