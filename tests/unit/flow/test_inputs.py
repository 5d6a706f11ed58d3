"""When inputs are fulfilled and with what: collect policies, deadlines, gates, mappings, predicates (execution.md 5)."""

from __future__ import annotations

import itertools

import pytest

from argyll.flow import NEVER
from argyll.model.match import combine, match_verdict
from argyll.model.step import Step
from tests.unit.flow.harness import (
    SILENT,
    Flow,
    World,
    const,
    failing,
    fails,
    gives,
    meta,
    optional,
    output,
    required,
    script,
    scripted,
    sync,
)

UNREACHABLE = "required input no longer available"
PRUNED = "required match did not match"


def makes(step_id: str, *names: str, **fields: object) -> Step:
    return sync(step_id, {name: output() for name in names}, **fields)


# One required input with two providers: every policy against everything that two providers can do

FATES = ("value", "nothing", "fails", "silent")


def expected(collect: str, p: str, q: str) -> tuple[str, object]:
    """(status of the consumer, the value it is called with) by execution.md 5.2 and 5.10, said once more."""
    values = [name for name, fate in (("p", p), ("q", q)) if fate == "value"]
    settled = "silent" not in (p, q)
    short = "nothing" in (p, q) or "fails" in (p, q)
    if collect == "first":
        return ("completed", values[0]) if values else ("failed" if settled else "pending", None)
    if collect == "none":
        return ("failed", None) if values else ("completed" if settled else "pending", None)
    if collect == "all" and short:
        return "failed", None
    if not settled:
        return "pending", None
    if not values:
        return "failed", None
    return "completed", values[-1] if collect == "last" else values


@pytest.mark.parametrize("collect", ["first", "last", "some", "all", "none"])
@pytest.mark.parametrize(("p", "q"), list(itertools.product(FATES, FATES)))
def test_a_required_input_by_its_policy_and_the_fate_of_its_providers(collect: str, p: str, q: str) -> None:
    """execution.md 5.2, 13.14/131-133, 13.26/243-245; execution.md 13.4/51, 13.14/135, 13.22/197"""
    answers = {
        "value": gives,
        "nothing": lambda **_: gives(),
        "fails": lambda **_: fails(),
        "silent": lambda **_: SILENT,
    }
    world = World(
        makes("p", "x"),
        makes("q", "x"),
        sync("g", {"x": required(collect=collect)}),
        answers={"p": answers[p](x="p"), "q": answers[q](x="q")},
    )
    flow = world.start("g")
    status, value = expected(collect, p, q)
    assert flow.step("g").status == status
    if status == "completed":
        assert world.calls_of("g")[0].arguments == ({} if collect == "none" else {"x": value})
    if status == "failed":
        assert (flow.step("g").error, flow.step("g").unsatisfied) == (UNREACHABLE, ["x"])
    assert flow.status == {"completed": "completed", "failed": "failed", "pending": "active"}[status]


@pytest.mark.parametrize(("collect", "value"), [("first", 1), ("last", 2), ("some", [1, 2]), ("all", [1, 2])])
def test_init_values_count_for_every_policy(collect: str, value: object) -> None:
    """execution.md 13.14/131, 13.14/136, 5.1"""
    world = World(sync("g", {"x": required(collect=collect)}))
    world.start("g", {"x": [1, 2]})
    assert world.calls[0].arguments == {"x": value}


@pytest.mark.parametrize(("collect", "value"), [("last", 2), ("some", [1, 2]), ("all", [1, 2])])
def test_init_values_come_before_those_of_providers(collect: str, value: object) -> None:
    """execution.md 5.1"""
    world = World(makes("p", "x", "other"), sync("g", {"x": required(collect=collect)}), answers={"p": gives(x=2)})
    world.start("g", {"x": 1})
    assert world.calls_of("g")[0].arguments == {"x": value}


def test_null_is_a_value() -> None:
    """execution.md 5.2, 13.14/137"""
    world = World(
        makes("p", "x"),
        sync("g", {"x": required(), "k": const(None), "d": optional(default=None)}),
        answers={"p": gives(x=None)},
    )
    world.start("g")
    assert world.calls_of("g")[0].arguments == {"x": None, "k": None, "d": None}


def test_a_meta_input_reaches_the_call_and_not_the_recorded_inputs() -> None:
    """execution.md 7.4, 5.9"""
    attributes = {"x": required(), "flow": meta("flow_id"), "id": meta("receipt_token"), "unknown": meta("nope")}
    world = World(sync("g", attributes))
    flow = world.start("g", {"x": 1})
    assert world.calls[0].arguments == {"x": 1, "flow": "f", "id": "t0"}
    assert flow.step("g").inputs == {"x": 1}


# Optional inputs and their deadlines


def waits_for(deadline: int = 0, collect: str = "first", **settings: object) -> Step:
    return sync("g", {"x": optional(collect=collect, deadline=deadline, **settings)})


def test_a_deadline_ends_the_wait_with_the_default() -> None:
    """execution.md 13.13/121"""
    world = World(makes("p", "x"), waits_for(50, default="d"), answers={"p": SILENT})
    flow = world.start("g")
    assert (flow.step("g").status, flow.wake_at - world.now_us) == ("pending", 50_000)
    world.wait(49)
    assert not world.calls_of("g")
    world.wait(1)
    assert [(c.at_ms, c.arguments) for c in world.calls_of("g")] == [(50, {"x": "d"})]
    assert (flow.status, flow.ended) == ("completed", False)
    flow.succeed("p", x=1)
    assert flow.ended


@pytest.mark.parametrize(("settings", "arguments"), [({"default": 7}, {"x": 7}), ({}, {})])
def test_without_a_deadline_an_optional_input_never_waits(settings: dict[str, object], arguments: object) -> None:
    """execution.md 13.13/122, S2"""
    world = World(makes("p", "x"), waits_for(**settings), answers={"p": SILENT})
    world.start("g")
    assert [c.arguments for c in world.calls_of("g")] == [arguments]


def test_without_a_provider_a_deadline_is_not_waited_for() -> None:
    """execution.md 13.13/122"""
    world = World(waits_for(60_000, default=7))
    flow = world.start("g")
    assert (flow.status, world.calls[0].arguments, flow.wake_at) == ("completed", {"x": 7}, NEVER)


def test_a_provider_that_ends_without_a_value_ends_the_wait() -> None:
    """execution.md 5.4.2"""
    world = World(makes("p", "x"), waits_for(60_000, default=7), answers={"p": fails()})
    world.start("g")
    assert [(c.at_ms, c.arguments) for c in world.calls_of("g")] == [(0, {"x": 7})]


def test_a_default_is_local_to_the_step_that_gave_up() -> None:
    """execution.md 13.13/123"""
    fast, strict = sync("fast", {"x": optional(deadline=50, default="d")}), sync("strict", {"x": required()})
    world = World(makes("p", "x"), fast, strict, answers={"p": SILENT})
    flow = world.start("fast strict")
    world.wait(60)
    assert (world.calls_of("fast")[0].arguments, flow.values("x")) == ({"x": "d"}, [])
    assert flow.step("strict").status == "pending"
    flow.succeed("p", x=1)
    assert (world.calls_of("strict")[0].arguments, flow.status) == ({"x": 1}, "completed")


def test_the_deadline_runs_from_when_the_required_inputs_are_there() -> None:
    """execution.md 13.13/124, S35"""
    consumer = sync("g", {"r": required(), "o": optional(deadline=50, default="d")})
    world = World(makes("pr", "r"), makes("po", "o"), consumer, answers={"pr": SILENT, "po": SILENT})
    flow = world.start("g")
    world.wait(500)
    flow.succeed("po", o="early")
    world.wait(500)
    assert not world.calls_of("g")
    flow.succeed("pr", r=1)
    assert world.calls_of("g")[0].arguments == {"r": 1, "o": "early"}


@pytest.mark.parametrize("collect", ["first", "last", "all"])
def test_a_value_that_comes_at_the_very_moment_is_in_time(collect: str) -> None:
    """execution.md 5.4.1"""
    consumer = sync("g", {"r": required(), "o": optional(collect=collect, default="d")})
    world = World(makes("pr", "r"), makes("po", "o"), consumer, answers={"pr": SILENT, "po": SILENT})
    flow = world.start("g")
    world.wait(100)
    flow.succeed("po", o=1)
    flow.succeed("pr", r=1)
    assert world.calls_of("g")[0].arguments == {"r": 1, "o": [1] if collect == "all" else 1}


def test_the_longest_of_several_deadlines_is_waited_for() -> None:
    """execution.md 13.13/125"""
    consumer = sync("g", {"a": optional(deadline=50, default="A"), "b": optional(deadline=120, default="B")})
    world = World(makes("pa", "a"), makes("pb", "b"), consumer, answers={"pa": SILENT, "pb": SILENT})
    world.start("g")
    world.wait(80)
    assert not world.calls_of("g")
    world.wait(40)
    assert world.calls_of("g")[0].arguments == {"a": "A", "b": "B"}


def test_a_value_after_its_own_deadline_is_not_used_although_another_is_still_waited_for() -> None:
    """execution.md 5.4.1: late values are ignored even though they are there"""
    consumer = sync("g", {"a": optional(deadline=50, default="A"), "b": optional(deadline=120, default="B")})
    world = World(makes("pa", "a"), makes("pb", "b"), consumer, answers={"pa": SILENT, "pb": SILENT})
    flow = world.start("g")
    world.wait(80)
    flow.succeed("pa", a="late")
    flow.succeed("pb", b="in time")
    assert world.calls_of("g")[0].arguments == {"a": "A", "b": "in time"}


def test_a_deadline_runs_although_the_provider_has_not_started() -> None:
    """execution.md 13.13/126"""
    chain = [makes("gate", "seed"), sync("p", {"seed": required(), "x": output()})]
    world = World(*chain, waits_for(50, default="d"), answers={"gate": SILENT})
    flow = world.start("g")
    world.wait(50)
    assert world.calls_of("g")[0].arguments == {"x": "d"}
    assert (flow.status, flow.step("p").status) == ("completed", "skipped")


def test_the_required_value_is_used_with_the_fallback_of_the_optional_one() -> None:
    """execution.md 13.13/127"""
    consumer = sync("g", {"r": required(), "o": optional(deadline=50, default="d")})
    world = World(makes("pr", "r"), makes("po", "o"), consumer, answers={"pr": gives(r=1), "po": SILENT})
    world.start("g")
    world.wait(50)
    assert world.calls_of("g")[0].arguments == {"r": 1, "o": "d"}


@pytest.mark.parametrize(("collect", "value"), [("last", 1), ("some", [1]), ("all", "d"), ("first", 1), ("none", "d")])
def test_at_the_deadline_last_and_some_use_what_is_there(collect: str, value: object) -> None:
    """execution.md 13.13/128-129, 5.4.3"""
    world = World(
        makes("p", "x"), makes("q", "x"), waits_for(50, collect, default="d"), answers={"p": gives(x=1), "q": SILENT}
    )
    flow = world.start("g")
    world.wait(50)
    assert world.calls_of("g")[0].arguments == {"x": value}
    assert flow.status == "completed"


@pytest.mark.parametrize("collect", ["all", "none"])
def test_an_optional_input_that_can_no_longer_be_had_is_not_waited_for(collect: str) -> None:
    """decisions 19: nothing waits for what cannot come"""
    world = World(
        makes("p", "x"),
        makes("q", "x"),
        waits_for(60_000, collect, default="d"),
        answers={"p": fails() if collect == "all" else gives(x=1), "q": SILENT},
    )
    world.start("g")
    assert [(c.at_ms, c.arguments) for c in world.calls_of("g")] == [(0, {"x": "d"})]


def test_an_optional_none_gives_its_default_when_nothing_came() -> None:
    """execution.md 13.14/134"""
    world = World(makes("p", "x"), waits_for(1_000, "none", default="d"), answers={"p": gives()})
    world.start("g")
    assert world.calls_of("g")[0].arguments == {"x": "d"}


@pytest.mark.parametrize("gap_ms", [1, 49, 50, 51, 10_000_000])
def test_an_elapsed_deadline_is_honoured_whenever_somebody_looks(gap_ms: int) -> None:
    """execution.md 13.26/256, decisions 26 (B11)"""
    world = World(makes("p", "x"), waits_for(50, default="d"), answers={"p": SILENT})
    flow = world.start("g")
    world.now_us += gap_ms * 1000
    world.crash()
    assert flow.step("g").status == ("completed" if gap_ms >= 50 else "pending")


# Match gates


def gated(text: str = "big", **settings: object) -> Step:
    return sync("g", {"x": required(match=text, **settings), "y": required()})


BIG = {"big": lambda value: value > 10}


def test_the_table_of_match_verdicts() -> None:
    """execution.md 3.3, 13.22/198"""
    table = {
        # (collect, any, all, settled, contributed): verdict
        ("first", True, False, False, False): "matched",
        ("first", False, True, False, False): "unknown",
        ("first", False, False, True, True): "unmatched",
        ("some", True, False, False, False): "matched",
        ("some", False, False, True, False): "unmatched",
        ("last", True, True, False, False): "unknown",
        ("last", True, False, True, False): "matched",
        ("last", False, False, True, True): "unmatched",
        ("all", True, False, False, False): "unmatched",
        ("all", True, True, False, False): "unknown",
        ("all", True, True, True, True): "matched",
        ("all", True, True, True, False): "unmatched",
        ("all", False, True, True, True): "unmatched",
        ("none", True, True, False, False): "unmatched",
        ("none", False, True, False, False): "unknown",
        ("none", False, False, True, False): "matched",
    }
    for (collect, some, every, settled, contributed), verdict in table.items():
        facts = {"any_match": some, "all_match": every, "settled": settled, "contributed": contributed}
        assert match_verdict(collect, **facts) == verdict, (collect, facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("verdicts", "gate"),
    [
        ([], "matched"),
        (["matched", "matched"], "matched"),
        (["matched", "unknown"], "unknown"),
        (["unknown", "unmatched", "matched"], "unmatched"),
    ],
)
def test_gates_combine(verdicts: list[str], gate: str) -> None:
    """execution.md 13.22/198"""
    assert combine(verdicts) == gate  # type: ignore[arg-type]


def test_a_closed_gate_skips_with_the_other_inputs_recorded() -> None:
    """execution.md 13.14/146, S17"""
    flow = World(gated(), scripts=BIG).start("g", {"x": 5, "y": "other"})
    step = flow.step("g")
    assert (step.status, step.error, step.unsatisfied, step.inputs) == ("skipped", PRUNED, ["x"], {"y": "other"})
    assert (flow.status, flow.state.error, flow.ended) == ("failed", "flow failed", True)


def test_a_closed_gate_skips_although_other_inputs_are_missing() -> None:
    """execution.md S17"""
    world = World(makes("py", "y"), gated(), scripts=BIG, answers={"py": SILENT})
    flow = world.start("g", {"x": 5})
    assert flow.step("g").status == "skipped"
    assert flow.status == "failed"


@pytest.mark.parametrize(("route", "called"), [("email", ["email"]), ("postal", ["address", "postal"])])
def test_a_router_runs_only_the_way_it_chose(route: str, called: list[str]) -> None:
    """execution.md 13.14/142"""
    world = World(
        scripted("router", "route", {"want": required(), "kind": output()}),
        sync("email", {"kind": required(match="is-email"), "sent": output()}),
        sync("address", {"kind": required(match="is-postal"), "to": output()}),
        sync("postal", {"kind": required(match="is-postal"), "to": required(), "sent": output()}),
        scripts={
            "route": lambda a: {"kind": a["want"]},
            "is-email": lambda v: v == "email",
            "is-postal": lambda v: v == "postal",
        },
        answers={"email": gives(sent=1), "postal": gives(sent=1), "address": gives(to="home")},
    )
    flow = world.start("email postal", {"want": route})
    assert sorted(call.step_id for call in world.calls) == called
    assert flow.status == "completed"


def two(**settings: object) -> list[Step]:
    return [makes("p", "x"), makes("q", "x"), sync("g", {"x": required(match="big", **settings)})]


def test_some_receives_only_what_matches() -> None:
    """execution.md 13.14/143"""
    world = World(*two(collect="some"), scripts=BIG, answers={"p": gives(x=5), "q": gives(x=50)})
    world.start("g")
    assert world.calls_of("g")[0].arguments == {"x": [50]}


def test_first_waits_for_the_value_that_matches() -> None:
    """execution.md 13.14/144"""
    world = World(*two(), scripts=BIG, answers={"p": gives(x=5), "q": SILENT})
    flow = world.start("g")
    assert flow.step("g").status == "pending"
    flow.succeed("q", x=50)
    assert (world.calls_of("g")[0].arguments, flow.status) == ({"x": 50}, "completed")


def test_first_is_pruned_only_when_nothing_more_can_come() -> None:
    """execution.md S17"""
    world = World(*two(), scripts=BIG, answers={"p": gives(x=5), "q": SILENT})
    flow = world.start("g")
    flow.fail("q")
    assert (flow.step("g").status, flow.step("g").error, flow.state.error) == (
        "skipped",
        PRUNED,
        "step q failed: refused",
    )


def test_all_is_pruned_by_one_that_does_not_match() -> None:
    """execution.md 13.14/145"""
    world = World(*two(collect="all"), scripts=BIG, answers={"p": gives(x=5), "q": gives(x=50)})
    flow = world.start("g")
    assert (flow.step("g").status, flow.step("g").unsatisfied, flow.status) == ("skipped", ["x"], "failed")
    assert (flow.step("g").inputs, world.calls_of("g")) == ({}, [])


def test_none_with_a_match_runs_when_nothing_matched() -> None:
    world = World(*two(collect="none"), scripts=BIG, answers={"p": gives(x=5), "q": fails()})
    flow = world.start("g")
    assert (world.calls_of("g")[0].arguments, flow.status) == ({}, "completed")


def test_a_match_that_fails_fails_the_step() -> None:
    """execution.md 13.26/246 (B2e)"""
    world = World(makes("p", "x"), sync("g", {"x": required(match="boom"), "y": required()}), answers={"p": gives(x=5)})
    world.scripts["boom"] = failing("no such field")
    flow = world.start("g", {"y": 1})
    assert flow.step("g").error == "match evaluation failed: no such field"
    assert (flow.status, flow.ended, flow.step("g").inputs) == ("failed", True, {})


def test_one_pruned_goal_does_not_fail_the_other() -> None:
    """execution.md 8.8, decisions 20"""
    world = World(gated(), makes("h", "z"), scripts=BIG)
    flow = world.start("g h", {"x": 5, "y": 1})
    assert (flow.statuses, flow.status) == ({"g": "skipped", "h": "completed"}, "completed")


def test_an_undecided_gate_is_waited_for_before_an_impossible_input_counts() -> None:
    world = World(
        makes("router", "x"), makes("py", "y"), gated(), scripts=BIG, answers={"router": SILENT, "py": fails()}
    )
    flow = world.start("g")
    assert flow.step("g").status == "pending"
    flow.succeed("router", x=5)
    assert flow.step("g").status == "skipped"


def test_a_gate_that_opens_before_an_impossible_input_ends_as_unreachable() -> None:
    """execution.md S18"""
    world = World(
        makes("router", "x"), makes("py", "y"), gated(), scripts=BIG, answers={"router": SILENT, "py": fails()}
    )
    flow = world.start("g")
    flow.succeed("router", x=50)
    assert (flow.step("g").status, flow.step("g").unsatisfied, flow.ended) == ("failed", ["y"], True)


def test_an_input_behind_an_opening_gate_that_nothing_provides_ends_the_flow() -> None:
    """execution.md S18"""
    world = World(makes("router", "x"), gated(), scripts=BIG, answers={"router": gives(x=50)})
    flow = world.start("g")
    assert (flow.step("g").status, flow.status, flow.ended) == ("failed", "failed", True)


def test_a_match_runs_once_a_candidate_and_command() -> None:
    seen: list[object] = []
    world = World(*two(collect="some"), scripts={"big": lambda v: seen.append(v) or True}, answers={"p": gives(x=1)})
    world.answers["q"] = SILENT
    flow = world.start("g")
    seen.clear()
    flow.succeed("q", x=2)
    assert seen == [1, 2]


# Mappings and predicates


def mapped(text: str, **mapping: object) -> Step:
    return sync("g", {"x": required(mapping={"script": script(text), **mapping})})


@pytest.mark.parametrize(
    ("step", "arguments"),
    [
        (mapped("double"), {"x": 42}),
        (mapped("double", name="inner"), {"inner": 42}),
        (mapped("boom"), {"x": 21}),
        (sync("g", {"x": required(mapping="inner")}), {"inner": 21}),
    ],
)
def test_inputs_are_renamed_and_converted(step: Step, arguments: object) -> None:
    """execution.md 13.14/138, 13.7/76"""
    world = World(step, scripts={"double": lambda v: v * 2, "boom": failing("no")})
    flow = world.start("g", {"x": 21})
    assert world.calls[0].arguments == arguments == flow.step("g").inputs


def test_a_default_is_converted_too() -> None:
    """execution.md 5.9"""
    world = World(
        sync("g", {"x": optional(default=1, mapping={"script": script("double")})}), scripts={"double": lambda v: v * 2}
    )
    world.start("g")
    assert world.calls[0].arguments == {"x": 2}


def predicated(text: str) -> Flow:
    world = World(
        sync("g", {"x": required(mapping="inner")}, predicate=text),
        scripts={"yes": lambda i: i == {"inner": 1}, "no": lambda i: False, "boom": failing("bad\nvery bad")},
    )
    flow = world.start("g", {"x": 1})
    assert len(world.calls) == (1 if text == "yes" else 0)
    return flow


def test_a_true_predicate_on_the_inner_names_lets_the_step_run() -> None:
    """execution.md 13.14/140-141"""
    assert predicated("yes").step("g").status == "completed"


def test_a_false_predicate_skips() -> None:
    """execution.md 13.14/140"""
    assert predicated("no").step("g").error == "predicate returned false"


def test_a_failing_predicate_fails_the_step_with_its_inputs() -> None:
    """execution.md 13.14/139, 13.19/174"""
    flow = predicated("boom")
    assert (flow.step("g").status, flow.status, flow.ended) == ("failed", "failed", True)
    assert flow.step("g").error.startswith("predicate evaluation failed: bad")
    assert (flow.step("g").inputs, flow.count("step_failed")) == ({"inner": 1}, 1)
