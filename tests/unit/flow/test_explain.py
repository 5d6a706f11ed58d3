"""Why steps and flows ended as they did, from the events alone: codes, causes, inputs, attempts, origins."""

from __future__ import annotations

from typing import Any

import pytest

from argyll.flow.explain import History, NothingHappened, UnknownAttribute, UnknownStep, explain
from argyll.flow.explain import answer as limits
from argyll.model import json
from argyll.model.events import decode_payload
from tests.unit.flow.harness import (
    SILENT,
    Flow,
    World,
    async_,
    const,
    failing,
    fails,
    gives,
    meta,
    optional,
    output,
    required,
    scripted,
    sync,
    unavailable,
)


def ask(flow: Flow, *, step: str = "", attribute: str = "", events: int | None = None, **how: Any) -> Any:
    """The explanation as JSON, of the first `events` events."""
    history = History(step, attribute)
    for event_type, data, at_us in flow.log[:events]:
        history.add(decode_payload(event_type, data), at_us)
    return json.decode(json.encode(explain(history, **how)))


def step_of(flow: Flow, step: str) -> Any:
    return ask(flow, step=step)["steps"][0]


def reason_of(flow: Flow, step: str) -> Any:
    return step_of(flow, step)["reason"]


def input_of(flow: Flow, step: str, name: str) -> Any:
    return next(entry for entry in step_of(flow, step)["inputs"] if entry["name"] == name)


BANK = (
    sync("order", {"order": output()}),
    sync("pay", {"order": required(), "payment": output()}, work={"max_attempts": 3, "init_backoff": 100}),
    sync("ship", {"payment": required(), "parcel": output()}),
)


def bank_is_busy() -> Flow:
    busy = unavailable("503 bank busy")
    world = World(*BANK, answers={"order": gives(order=7), "pay": [busy, busy, fails("card declined")]})
    flow = world.start("ship")
    world.wait_for_all()
    return flow


# Reasons


def test_a_lost_goal_leads_back_to_the_step_that_began_it_with_every_attempt():
    answer = ask(bank_is_busy())

    because = answer["outcome"]["because"]
    assert (answer["outcome"]["code"], answer["outcome"]["error"]) == ("goal_failed", "step pay failed: card declined")
    assert [(c["reader"], c["input"], c["step"], c["code"]) for c in because] == [
        ("", "", "ship", "unreachable"),
        ("ship", "payment", "pay", "work_failed"),
    ]
    attempts = because[1]["item"]["attempts"]
    assert [(a["number"], a["outcome"], a.get("error")) for a in attempts] == [
        (1, "not_completed", "503 bank busy"),
        (2, "not_completed", "503 bank busy"),
        (3, "failed", "card declined"),
    ]
    assert [a.get("retry_at", {}).get("after_ms") for a in attempts] == [100, 300, None]
    assert because[1]["item"]["max_attempts"] == 3


def test_every_moment_names_the_event_that_is_its_evidence():
    flow = bank_is_busy()
    step = step_of(flow, "pay")

    for moment, event in (
        (step["decided"], "step_started"),
        (step["ended"], "step_failed"),
        (step["items"]["listed"][0]["attempts"][1]["started"], "work_started"),
        (ask(flow)["outcome"]["at"], "flow_failed"),
        (ask(flow)["closed"], "flow_deactivated"),
    ):
        assert flow.events[moment["event"]].event_type == event


def test_an_unreachable_step_names_the_inputs_that_could_not_come():
    reason = reason_of(bank_is_busy(), "ship")

    assert reason["code"] == "unreachable"
    assert [(i["name"], i["collect"], i["providers"]) for i in reason["inputs"]] == [
        ("payment", "first", [{"step": "pay", "status": "failed"}])
    ]


REASONS: dict[str, tuple[World, str, str, Any]] = {
    "predicate": (
        World(scripted("s", "run", {"x": required(), "y": output()}, predicate="no"), scripts={"no": lambda _: False}),
        "s",
        "predicate",
        {"source": "predicate", "script": "no", "received": {"x": {"value": 1}}},
    ),
    "predicate that fails": (
        World(scripted("s", "run", {"x": required()}, predicate="bad"), scripts={"bad": failing("boom")}),
        "s",
        "script_failed",
        {"source": "predicate", "error": "predicate evaluation failed: boom"},
    ),
    "match that fails": (
        World(sync("s", {"x": required(match="bad")}), scripts={"bad": failing("boom")}),
        "s",
        "script_failed",
        {"source": "match", "error": "match evaluation failed: boom"},
    ),
    "too many items": (
        World(sync("s", {"x": required(), "many": required(for_each=True)})),
        "s",
        "too_many_items",
        {},
    ),
    "work": (World(sync("s", {"x": required()}), answers={"s": fails("no")}), "s", "work_failed", {"error": "no"}),
    "started": (World(sync("s", {"x": required()})), "s", "started", {}),
}


@pytest.mark.parametrize("case", REASONS)
def test_the_reason_of_a_step(case: str):
    world, goal, code, facts = REASONS[case]
    flow = world.start(goal, {"x": 1, "many": [list(range(10_001))]})

    reason = reason_of(flow, "s")

    assert reason["code"] == code
    assert {name: reason[name] for name in facts} == facts


def test_a_match_that_turned_a_step_down_shows_what_it_refused():
    world = World(
        sync("a", {"tier": output()}),
        sync("gold", {"tier": required(match="is gold"), "x": output()}),
        answers={"a": gives(tier="tin")},
        scripts={"is gold": lambda value: value == "gold"},
    )
    flow = world.start("gold")

    answer = ask(flow)
    [entry] = reason_of(flow, "gold")["inputs"]
    assert (answer["outcome"]["code"], answer["outcome"]["goals"][0]["reason"]) == ("goals_pruned", "match")
    assert (entry["name"], entry["script"]) == ("tier", "is gold")
    assert [(c["value"], c["step"]) for c in entry["candidates"]] == [({"value": "tin"}, "a")]


def test_an_unwanted_value_is_the_cause_of_a_step_that_wanted_none():
    world = World(
        sync("a", {"fraud": output()}),
        sync("ship", {"fraud": required(collect="none"), "parcel": output()}),
        answers={"a": gives(fraud=True)},
    )
    flow = world.start("ship")

    [cause] = reason_of(flow, "ship")["because"]
    assert (cause["step"], cause["input"], cause["code"]) == ("a", "fraud", "gave_value")


def test_a_provider_that_completed_without_the_value_is_the_cause():
    world = World(sync("a", {"x": output()}), sync("b", {"x": required(), "y": output()}), answers={"a": gives()})
    flow = world.start("b")

    [cause] = reason_of(flow, "b")["because"]
    assert (cause["step"], cause["status"], cause["code"]) == ("a", "completed", "gave_nothing")


def test_a_chain_of_causes_is_followed_once_however_it_branches():
    world = World(
        sync("base", {"b": output()}),
        sync("root", {"b": required(), "r": output()}),
        sync("left", {"r": required(), "l": output()}),
        sync("right", {"r": required(), "q": output()}),
        sync("end", {"l": required(), "q": required()}),
        answers={"base": fails("dead")},
    )
    flow = world.start("end")

    causes = [(c["reader"], c["step"]) for c in reason_of(flow, "end")["because"]]
    assert causes == [("end", "left"), ("end", "right"), ("left", "root"), ("root", "base"), ("right", "root")]
    nearest = next(s for s in ask(flow)["steps"] if s["step"] == "end")["reason"]["because"]
    assert [(c["reader"], c["step"]) for c in nearest] == [("end", "left"), ("end", "right")]


def test_a_provider_that_ended_after_the_decision_is_no_cause_of_it():
    world = World(
        sync("early", {"x": output()}),
        sync("late", {"x": output()}),
        sync("b", {"x": required(collect="all"), "y": output()}),
        sync("other", {"o": output()}),
        answers={"early": fails("no"), "late": SILENT, "other": SILENT},
    )
    flow = world.start("b other")
    flow.fail("late")

    reason = reason_of(flow, "b")
    assert [cause["step"] for cause in reason["because"]] == ["early"]
    assert reason["inputs"][0]["providers"] == [
        {"step": "early", "status": "failed"},
        {"step": "late", "status": "active"},
    ]


@pytest.mark.parametrize(("values", "causes"), [([4], [""]), ([3, 4], [])])
def test_which_of_several_values_a_match_accepted_is_not_guessed(values: list[int], causes: list[str]):
    world = World(
        sync("s", {"x": required(collect="none", match="even"), "y": output()}),
        scripts={"even": lambda value: value % 2 == 0},
    )
    plan = world.plan("s")
    flow = world.open("f", plan, {"x": values})

    assert reason_of(flow, "s")["code"] == "match"
    assert [cause.get("step", "") for cause in reason_of(flow, "s").get("because", [])] == causes


def test_a_value_that_came_after_the_decision_is_no_cause_of_it():
    world = World(
        sync("early", {"x": output()}),
        sync("late", {"x": output()}),
        sync("s", {"x": required(collect="none", match="even"), "y": output()}),
        sync("all", {"x": required(collect="all"), "z": output()}),
        answers={"early": gives(x=4), "late": SILENT},
        scripts={"even": lambda value: value % 2 == 0},
    )
    flow = world.start("s all")
    flow.succeed("late", x=6)

    assert [cause["step"] for cause in reason_of(flow, "s")["because"]] == ["early"]


def test_work_whose_service_says_cancelled_failed_all_the_same():
    flow = World(sync("s", {"y": output()}), answers={"s": fails("cancelled")}).start("s")

    assert reason_of(flow, "s")["code"] == "work_failed"


def test_work_that_is_given_up_ended_with_a_call_that_gave_no_answer():
    step = sync("s", {"y": output()}, work={"max_attempts": 1})
    flow = World(step, answers={"s": unavailable("busy")}).start("s")

    [attempt] = reason_of(flow, "s")["item"]["attempts"]
    assert (attempt["outcome"], attempt["error"]) == ("not_completed", "busy")


def test_a_step_that_nobody_needs_says_what_became_of_its_readers():
    world = World(
        sync("a", {"x": output()}),
        sync("slow", {"y": output()}),
        sync("b", {"y": required(), "x": output()}),
        sync("end", {"x": required()}),
        answers={"a": gives(x=1), "slow": SILENT},
    )
    flow = world.start("end")

    reason = reason_of(flow, "b")
    assert reason["code"] == "not_needed"
    assert [(r["output"], r["step"], r["why"]) for r in reason["readers"]] == [("x", "end", "has_value")]


def test_steps_left_out_of_the_plan_say_why():
    world = World(
        sync("given", {"x": output()}),
        sync("lacking", {"nobody": required(), "y": output()}),
        sync("unwanted", {"x": required(collect="none"), "y": output()}),
        sync("end", {"x": required(), "y": optional()}),
    )
    flow = world.start("end", {"x": 1})

    left = {
        s["step"]: (s["reason"]["code"], s["reason"]["names"]) for s in ask(flow)["steps"] if s["status"] == "left_out"
    }
    assert left == {"given": ("satisfied", ["x"]), "lacking": ("missing", ["nobody"]), "unwanted": ("blocked", ["x"])}
    assert reason_of(flow, "lacking")["code"] == "missing"


def test_a_cancelled_flow_says_so_and_its_steps_never_started():
    world = World(*BANK, answers={"order": SILENT})
    flow = world.start("ship")
    flow.cancel()

    answer = ask(flow)
    assert answer["outcome"]["code"] == "cancelled"
    assert {s["step"]: s["reason"]["code"] for s in answer["steps"]} == {
        "order": "started",
        "pay": "flow_ended",
        "ship": "flow_ended",
    }


def test_goals_that_are_done_say_how():
    world = World(
        sync("a", {"x": output()}),
        scripted("b", "run", {"y": output()}, predicate="no"),
        answers={"a": gives(x=1)},
        scripts={"no": lambda _: False},
    )
    flow = world.start("a b")

    outcome = ask(flow)["outcome"]
    assert outcome["code"] == "goals_done"
    assert outcome["goals"] == [
        {"goal": "a", "status": "completed"},
        {"goal": "b", "status": "skipped", "reason": "predicate"},
    ]


# Inputs, as they were when the step was decided


@pytest.mark.parametrize(
    ("spec", "provider", "outcome", "why"),
    [
        (optional(default=5), SILENT, "default", "not_waited"),
        (optional(), SILENT, "absent", "not_waited"),
        (optional(default=5, deadline=50), SILENT, "default", "deadline_passed"),
        (optional(default=5, deadline=500), gives(), "default", "providers_ended"),
        (optional(default=5, deadline=500), gives(n=1), "value", None),
    ],
)
def test_an_optional_input_says_why_it_went_without(spec: Any, provider: Any, outcome: str, why: str | None):
    world = World(
        sync("a", {"n": output()}), sync("b", {"x": required(), "n": spec, "y": output()}), answers={"a": SILENT}
    )
    flow = world.start("b", {"x": 1})
    if flow.step("a").status == "active" and provider is not SILENT:
        flow.succeed("a", **provider.outputs)
    world.wait(100)

    entry = input_of(flow, "b", "n")
    assert (entry["outcome"], entry.get("why")) == (outcome, why)


def test_an_optional_input_that_came_after_its_time_was_late():
    world = World(
        sync("p", {"x": output()}),
        sync("q", {"x": output()}),
        sync("a", {"n": output()}),
        sync("b", {"x": required(collect="last"), "n": optional(), "y": output()}),
        answers={"p": gives(x=1), "q": SILENT, "a": SILENT},
    )
    flow = world.start("b")
    world.wait(50)
    flow.succeed("a", n=1)
    flow.succeed("q")

    entry = input_of(flow, "b", "n")
    assert (entry["verdict"], entry["outcome"], entry["why"]) == ("fulfilled", "absent", "late")


def test_an_input_that_is_wanted_absent_went_without_nothing():
    world = World(
        sync("a", {"n": output()}),
        sync("b", {"n": optional(collect="none"), "y": output()}),
        answers={"a": SILENT},
    )
    entry = input_of(world.start("b"), "b", "n")
    assert (entry["outcome"], entry.get("why")) == ("absent", None)


def test_a_gate_is_known_to_have_opened_when_another_input_was_lost():
    world = World(
        sync("a", {"n": output()}),
        sync("b", {"x": required(match="even"), "n": required(), "y": output()}),
        answers={"a": fails("no")},
        scripts={"even": lambda value: value % 2 == 0},
    )
    flow = world.start("b", {"x": [3, 4]})

    assert input_of(flow, "b", "x")["match"] == "matched"


def test_an_optional_input_without_any_provider_says_so():
    flow = World(sync("b", {"n": optional(default=5), "y": output()})).start("b")
    assert (input_of(flow, "b", "n")["outcome"], input_of(flow, "b", "n")["why"]) == ("default", "no_provider")


def test_inputs_are_told_as_they_were_at_the_decision_not_as_they_are_now():
    world = World(
        sync("fast", {"x": output()}),
        sync("slow", {"x": output()}),
        sync("b", {"x": required(), "y": output()}),
        sync("all", {"x": required(collect="all"), "z": output()}),
        answers={"fast": gives(x=1), "slow": SILENT},
    )
    flow = world.start("b all")
    flow.succeed("slow", x=2)

    entry = input_of(flow, "b", "x")
    assert [c["step"] for c in entry["candidates"]] == ["fast"]
    assert entry["providers"] == [
        {"step": "fast", "status": "completed", "gave": True},
        {"step": "slow", "status": "active"},
    ]
    assert [c["step"] for c in input_of(flow, "all", "x")["candidates"]] == ["fast", "slow"]


def test_the_value_that_a_match_chose_is_found_in_what_the_step_received():
    world = World(sync("b", {"x": required(match="big"), "y": output()}), scripts={"big": lambda value: value > 5})
    flow = world.start("b", {"x": [1, 9, 10]})

    entry = input_of(flow, "b", "x")
    assert (entry["match"], entry["received"], [u["index"] for u in entry["used"]]) == ("matched", {"value": 9}, [1])


def test_constants_meta_values_and_inner_names_are_told():
    world = World(
        sync("b", {"c": const(3), "m": meta("flow_id"), "x": required(mapping="inner"), "y": output()}),
    )
    flow = world.start("b", {"x": "v"})

    inputs = {entry["name"]: entry for entry in step_of(flow, "b")["inputs"]}
    assert inputs["c"]["received"] == {"value": 3}
    assert inputs["m"]["role"] == "meta"
    assert (inputs["x"]["inner"], inputs["x"]["received"]) == ("inner", {"value": "v"})


# Items


def fan_out(count: int, **fields: Any) -> Any:
    return sync("many", {"xs": required(for_each=True), "y": output()}, **fields)


def test_items_that_never_ran_say_that_their_step_had_failed():
    world = World(fan_out(3, work={"parallelism": 1}), answers={"many": [gives(y=1), fails("bad")]})
    flow = world.start("many", {"xs": [[1, 2, 3]]})

    items = step_of(flow, "many")["items"]
    assert (items["total"], items["by_status"]) == (3, {"succeeded": 1, "failed": 1, "cancelled": 1})
    assert [(i["index"], i["status"], i.get("why")) for i in items["listed"]] == [
        (1, "failed", None),
        (0, "succeeded", None),
        (2, "cancelled", "step_failed"),
    ]
    assert reason_of(flow, "many")["item"]["inputs"] == {"xs": {"value": 2}}


def test_many_items_are_counted_and_those_that_say_most_are_listed():
    world = World(fan_out(30, work={"parallelism": 50}), answers={"many": SILENT})
    flow = world.start("many", {"xs": [list(range(30))]})
    flow.fail("many", flow.tokens("many")[29])

    items = step_of(flow, "many")["items"]
    assert [i["index"] for i in items["listed"]] == [29, *range(9)]
    assert items["more"] == 20
    assert "listed" not in ask(flow)["steps"][0]["items"]


def test_only_the_latest_attempts_are_listed():
    step = sync("s", {"y": output()}, work={"max_attempts": 15, "init_backoff": 1, "max_backoff": 1})
    world = World(step, answers={"s": unavailable()})
    flow = world.start("s")
    world.wait_for_all()

    [item] = step_of(flow, "s")["items"]["listed"]
    assert [a["number"] for a in item["attempts"]] == list(range(6, 16))
    assert item["earlier_attempts"] == 5


def test_a_call_made_anew_because_its_node_was_gone_costs_no_retry():
    world = World(sync("s", {"y": output()}, work={"max_attempts": 2}), answers={"s": SILENT})
    flow = world.start("s")
    world.crash()

    [item] = step_of(flow, "s")["items"]["listed"]
    assert [a["outcome"] for a in item["attempts"]] == ["taken_over", "running"]
    assert item["max_attempts"] == 3


def test_remembered_outputs_are_told_from_called_ones():
    world = World(sync("s", {"y": output()}, memoizable=True))
    world.memory["s", json.canonical({})] = {"y": 1}
    flow = world.start("s")

    [item] = step_of(flow, "s")["items"]["listed"]
    assert (item["why"], item.get("attempts")) == ("remembered", None)


def test_undone_work_says_why_and_how_often_it_was_tried():
    step = fan_out(2, compensate="http://undo/", work={"parallelism": 1, "init_backoff": 100})
    world = World(step, answers={"many": [gives(y=1), fails("bad")]}, undo={"many": [unavailable("busy"), gives()]})
    flow = world.start("many", {"xs": [[1, 2]]})
    world.wait_for_all()

    undone = next(i for i in step_of(flow, "many")["items"]["listed"] if i["index"] == 0)
    assert (undone["status"], undone["undo_why"]) == ("compensated", "step_failed")
    assert [(a["outcome"], a.get("error")) for a in undone["undo"]] == [("not_completed", "busy"), ("succeeded", None)]


def test_work_that_succeeds_after_its_step_failed_is_undone_for_that():
    step = fan_out(2, compensate="http://undo/", work={"parallelism": 2})
    world = World(step, answers={"many": SILENT})
    flow = world.start("many", {"xs": [[1, 2]]})
    first, second = flow.tokens("many")
    flow.fail("many", first)
    flow.succeed("many", second, y=1)

    undone = next(i for i in step_of(flow, "many")["items"]["listed"] if i["index"] == 1)
    assert undone["undo_why"] == "late_result"


# Origins


def test_a_value_is_traced_through_steps_and_renames_down_to_init():
    world = World(
        sync("lookup", {"customer": required(mapping="id"), "tier": output(mapping="level")}),
        sync("price", {"tier": required(), "items": required(), "coupon": optional(default="none"), "total": output()}),
        answers={"lookup": gives(level="gold"), "price": gives(total=42)},
    )
    flow = world.start("price", {"customer": "c-1", "items": [[1, 2]]})

    [value] = ask(flow, attribute="total")["attributes"][0]["values"]
    origins = {origin["name"]: origin for origin in value["origins"]}
    assert (value["step"], value["value"], value["item"]["status"]) == ("price", {"value": 42}, "succeeded")
    assert (origins["coupon"]["outcome"], origins["coupon"]["why"]) == ("default", "no_provider")
    assert origins["items"]["values"][0].get("step") is None, "from init"
    [tier] = origins["tier"]["values"]
    assert (tier["step"], tier["inner"]) == ("lookup", "level")
    assert (tier["origins"][0]["inner"], tier["origins"][0]["values"][0]["value"]) == ("id", {"value": "c-1"})


def test_a_value_that_many_ways_lead_to_is_traced_once():
    world = World(
        sync("a", {"x": output()}),
        sync("b", {"x": required(), "y": output()}),
        sync("c", {"x": required(), "y": required(), "z": output()}),
        answers={"a": gives(x=1), "b": gives(y=2), "c": gives(z=3)},
    )
    flow = world.start("c")

    [z] = ask(flow, attribute="z")["attributes"][0]["values"]
    by_x, by_y = (origin["values"][0] for origin in z["origins"])
    assert by_x.get("seen") is None
    assert by_y["origins"][0]["values"][0]["seen"] is True


def test_a_long_way_back_is_cut_and_says_so():
    count = limits.MAX_ORIGINS_DEPTH + 5
    steps = [sync(f"s{n}", {**({f"x{n - 1}": required()} if n else {}), f"x{n}": output()}) for n in range(count)]
    flow = World(*steps, answers={f"s{n}": gives(**{f"x{n}": n}) for n in range(count)}).start(f"s{count - 1}")

    [value] = ask(flow, attribute=f"x{count - 1}")["attributes"][0]["values"]
    depth = 0
    while value.get("origins"):
        [value], depth = value["origins"][0]["values"], depth + 1
    assert (depth, value["untraced"]) == (limits.MAX_ORIGINS_DEPTH, True)


def test_a_wide_way_back_is_cut_too():
    count = limits.MAX_ORIGINS_LISTED + 5
    steps = [sync(f"s{n:03}", {f"x{n:03}": output()}) for n in range(count)]
    end = sync("end", {"z": output()} | {f"x{n:03}": required() for n in range(count)})
    flow = World(
        *steps, end, answers={f"s{n:03}": gives(**{f"x{n:03}": n}) for n in range(count)} | {"end": gives(z=1)}
    )

    [value] = ask(flow.start("end"), attribute="z")["attributes"][0]["values"]
    untraced = [origin for origin in value["origins"] if origin["values"][0].get("untraced")]
    assert len(untraced) == 6, "z itself is traced too"


def test_an_attribute_without_a_value_says_why():
    told = ask(bank_is_busy(), attribute="parcel")["attributes"][0]

    assert "values" not in told
    assert [(c["step"], c["code"]) for c in told["because"]] == [("ship", "unreachable"), ("pay", "work_failed")]


def test_large_values_and_long_errors_are_cut():
    long = "x" * (limits.MAX_VALUE_BYTES + 1)
    world = World(sync("s", {"x": required()}), answers={"s": fails("e" * (limits.MAX_ERROR_CHARS + 1))})
    flow = world.start("s", {"x": long})

    [value] = ask(flow, attribute="x")["attributes"][0]["values"]
    assert (len(value["value"]["preview"]), value["value"]["bytes"]) == (limits.MAX_VALUE_BYTES, len(long) + 2)
    assert len(reason_of(flow, "s")["error"]) == limits.MAX_ERROR_CHARS


def test_many_candidates_are_counted():
    flow = World(sync("s", {"x": required(collect="some")})).start("s", {"x": list(range(25))})

    entry = input_of(flow, "s", "x")
    assert (len(entry["candidates"]), entry["more_candidates"]) == (limits.MAX_VALUES_LISTED, 15)
    assert ask(flow, attribute="x")["attributes"][0]["more_values"] == 15


# The question


def test_an_earlier_moment_is_explained_as_things_stood_then():
    flow = bank_is_busy()
    first_call = flow.story.index("work_started:pay")

    answer = ask(flow, events=first_call + 1, at_rest=False)
    assert (answer["status"], answer["at"]["event"]) == ("active", first_call)
    assert [(w["kind"], w["step"]) for w in answer["waiting"]] == [("answer", "pay")]


def test_tokens_can_be_kept_back():
    world = World(async_("s", {"y": output()}), answers={"s": SILENT})
    flow = world.start("s")
    [token] = flow.tokens("s")

    assert token in json.text(ask(flow, step="s"))
    assert f'"{token}"' not in json.text(ask(flow, step="s", show_tokens=False))


def test_what_the_flow_does_not_have_cannot_be_asked_about():
    flow = bank_is_busy()
    with pytest.raises(UnknownStep):
        ask(flow, step="nobody")
    with pytest.raises(UnknownAttribute):
        ask(flow, attribute="nothing")
    with pytest.raises(NothingHappened):
        explain(History())
