"""How whole flows run from start to deactivation (execution.md 13.1, 13.3, 13.5, 13.15, 13.26; decisions 16, 19, 20)."""

from __future__ import annotations

import pytest

from argyll.flow import GoalsBlocked, MissingInputs
from argyll.model.step import Step
from tests.unit.flow.harness import (
    SILENT,
    World,
    const,
    failing,
    fails,
    gives,
    optional,
    output,
    over_budget,
    required,
    scripted,
    sync,
    unavailable,
)

UNREACHABLE = "required input no longer available"


def link(step_id: str, needs: str = "", makes: str = "", **fields: object) -> Step:
    """A sync step that requires and produces the named attributes."""
    attributes = {**{name: required() for name in needs.split()}, **{name: output() for name in makes.split()}}
    return sync(step_id, attributes, **fields)


CHAIN = [link("a", makes="x"), link("b", "x", "y"), link("c", "y", "z")]
DIAMOND = [link("a", makes="x"), link("b", "x", "y"), link("c", "x", "z"), link("d", "y z", "w")]
VALUES = {"a": gives(x=1), "b": gives(y=2), "c": gives(z=3), "d": gives(w=4)}


def test_a_constant_is_not_overridden_by_init() -> None:
    """execution.md 13.1/1"""
    world = World(
        scripted("s", "echo", {"k": const("fixed"), "out": output()}), scripts={"echo": lambda a: {"out": a["k"]}}
    )
    flow = world.start("s", {"k": "other"})
    assert (flow.status, flow.values("out")) == ("completed", ["fixed"])


def test_a_chain_runs_once_in_order() -> None:
    """execution.md 13.1/2, 13.2/38"""
    world = World(*CHAIN, answers=VALUES)
    flow = world.start("c")
    assert [(call.step_id, call.arguments) for call in world.calls] == [("a", {}), ("b", {"x": 1}), ("c", {"y": 2})]
    assert (flow.status, flow.ended) == ("completed", True)
    assert [flow.values(name) for name in "xyz"] == [[1], [2], [3]]


def test_a_diamond_runs_every_step_once() -> None:
    """execution.md 13.1/3"""
    world = World(*DIAMOND, answers=VALUES)
    flow = world.start("d")
    assert sorted(call.step_id for call in world.calls) == ["a", "b", "c", "d"]
    assert (flow.status, flow.values("w")) == ("completed", [4])


def test_a_failing_arm_of_a_diamond_fails_what_needs_it() -> None:
    """execution.md 13.4/52, 13.1/4"""
    steps = [s if s.id != "b" else link("b", "x", "y", work={"max_retries": 1}) for s in DIAMOND]
    world = World(*steps, answers=VALUES | {"b": unavailable()})
    flow = world.start("d")
    world.wait_for_all()
    assert flow.statuses == {"a": "completed", "b": "failed", "c": "completed", "d": "failed"}
    assert (flow.status, flow.values("y"), flow.values("w")) == ("failed", [], [])
    assert not world.calls_of("d")
    assert flow.ended


def test_a_failed_provider_makes_its_consumer_unreachable() -> None:
    """execution.md 13.1/6, 9.4"""
    flow = World(link("q", makes="x"), link("g", "x"), answers={"q": fails("no")}).start("g")
    assert (flow.step("g").status, flow.step("g").error) == ("failed", UNREACHABLE)
    assert flow.step("g").unsatisfied == ["x"]
    assert flow.story[-5:] == ["work_failed:q", "step_failed:q", "step_failed:g", "flow_failed", "flow_deactivated"]
    assert flow.state.error == "step q failed: no"


def test_a_skipped_provider_makes_all_that_follows_unreachable() -> None:
    """execution.md 13.1/7"""
    steps = [
        link("p", "seed", "x", predicate="no"),
        link("m1", "x", "y"),
        link("m2", "x", "z"),
        link("g", "y z"),
    ]
    world = World(*steps, scripts={"no": lambda inputs: False})
    flow = world.start("g", {"seed": 1})
    assert flow.statuses == {"p": "skipped", "m1": "failed", "m2": "failed", "g": "failed"}
    assert (flow.status, world.calls) == ("failed", [])


def test_init_values_have_no_producer_and_outputs_have_one() -> None:
    """execution.md 13.1/10"""
    flow = World(link("s", "a b", "r"), answers={"s": gives(r=3)}).start("s", {"a": 1, "b": 2})
    assert [flow.state.attributes[name][0].step for name in "abr"] == ["", "", "s"]


@pytest.mark.parametrize("init", [{}, {"q": []}])
def test_a_flow_without_its_required_input_does_not_start(init: dict[str, object]) -> None:
    """execution.md 13.1/11, 13.3/45"""
    with pytest.raises(MissingInputs, match=r"required inputs not provided: \[a, q\]") as failure:
        World(link("s", "q a")).start("s", init)
    assert failure.value.names == ["a", "q"]


def test_only_what_the_goal_needs_runs() -> None:
    """execution.md 13.1/12"""
    others = [link(f"o{i}", makes=f"o{i}") for i in range(7)]
    world = World(*CHAIN, *others, answers=VALUES)
    flow = world.start("c")
    assert (len(flow.statuses), len(world.calls), len(flow.state.attributes)) == (3, 3, 3)


def test_a_script_between_services_needs_no_call() -> None:
    """execution.md 13.1/15"""
    steps = [link("a", makes="x"), scripted("s", "double", {"x": required(), "y": output()}), link("c", "y")]
    world = World(*steps, scripts={"double": lambda a: {"y": a["x"] * 2}}, answers={"a": gives(x=21)})
    flow = world.start("c")
    assert [(call.step_id, call.arguments) for call in world.calls] == [("a", {}), ("c", {"y": 42})]
    assert flow.status == "completed"


def test_two_goals_share_their_provider() -> None:
    """execution.md 13.1/16"""
    world = World(*DIAMOND, link("unrelated", makes="u"), answers=VALUES)
    flow = world.start("b c")
    assert (sorted(flow.statuses), len(world.calls)) == (["a", "b", "c"], 3)


def test_a_default_stands_in_when_nothing_provides_an_optional_input() -> None:
    """execution.md 13.1/17, 13.14/130"""
    world = World(link("a", makes="x"), sync("b", {"x": required(), "o": optional(default={"k": [1]})}), answers=VALUES)
    flow = world.start("b")
    assert (flow.status, world.calls_of("b")[0].arguments) == ("completed", {"x": 1, "o": {"k": [1]}})


def test_a_goal_that_its_predicate_skips_counts_as_done() -> None:
    """execution.md 13.1/18, 13.2/41, decisions 20"""
    world = World(link("p", makes="x"), link("g", "x", "y", predicate="no"), scripts={"no": lambda i: False})
    world.answers["p"] = gives(x=1)
    flow = world.start("g")
    assert (flow.step("g").status, flow.step("g").error) == ("skipped", "predicate returned false")
    assert flow.step("g").inputs == {"x": 1}
    assert (flow.status, flow.values("y"), flow.count("flow_completed")) == ("completed", [], 1)
    assert [call.step_id for call in world.calls] == ["p"]


def test_a_skipped_goal_does_not_end_the_flow_before_the_others() -> None:
    """decisions 20 (B19)"""
    steps = [link("skipped", "x", predicate="no"), link("slow", makes="y")]
    world = World(*steps, scripts={"no": lambda i: False}, answers={"slow": SILENT})
    flow = world.start("skipped slow", {"x": 1})
    assert flow.status == "active"
    flow.succeed("slow", y=1)
    assert (flow.status, flow.ended) == ("completed", True)


def test_a_script_error_fails_the_step_and_what_needs_it() -> None:
    """execution.md 13.1/25-26"""
    steps = [link("a", makes="x"), scripted("s", "boom", {"x": required(), "y": output()}), link("c", "y")]
    world = World(*steps, scripts={"boom": failing("division by zero")}, answers=VALUES)
    flow = world.start("c")
    assert flow.statuses == {"a": "completed", "s": "failed", "c": "failed"}
    assert (flow.step("s").error, flow.state.error) == ("division by zero", "step s failed: division by zero")
    assert [call.step_id for call in world.calls] == ["a"]


def test_a_flow_of_scripts_is_one_append() -> None:
    world = World(
        scripted("a", "one", {"x": output()}),
        scripted("b", "two", {"x": required(), "y": output()}),
        scripts={"one": lambda a: {"x": 1}, "two": lambda a: {"y": 2}},
    )
    flow = world.open("f", world.plan("b"), {})
    assert (flow.status, flow.ended, list(world.effects)) == ("completed", True, [])


def test_a_script_over_the_budget_of_a_command_runs_as_an_effect() -> None:
    world = World(scripted("a", "long", {"x": output()}), scripts={"long": over_budget}, answers={"a": gives(x=1)})
    flow = world.start("a")
    assert ([call.step_id for call in world.calls], flow.status) == (["a"], "completed")


def test_a_losing_provider_is_skipped() -> None:
    """execution.md 13.2/39, 9.4"""
    steps = [link("p1", makes="x"), link("hold", makes="h"), link("p2", "h", "x"), link("g", "x")]
    world = World(*steps, answers={"p1": gives(x=1), "hold": SILENT})
    flow = world.start("g")
    assert (flow.step("p2").status, flow.step("p2").error) == ("skipped", "outputs not needed")
    assert flow.step("p2").unsatisfied == []
    assert (flow.status, flow.ended) == ("completed", False)
    flow.succeed("hold", h=1)
    assert flow.ended


HELD = [link("hold", makes="h"), link("late", "h", "x")]


def test_a_provider_is_skipped_as_soon_as_its_reader_has_gone_on_without_it() -> None:
    """execution.md 8.7"""
    world = World(
        *HELD, sync("g", {"x": optional()}), link("other", makes="o"), answers={"hold": SILENT, "other": SILENT}
    )
    flow = world.start("g other")
    assert (flow.status, flow.step("g").status, flow.step("late").status) == ("active", "completed", "skipped")


def test_a_provider_is_skipped_as_soon_as_its_reader_has_a_value() -> None:
    """execution.md 5.8: although the reader still waits for something else"""
    world = World(*HELD, link("p", makes="x"), link("other", makes="o"), link("g", "x o"), answers={"p": gives(x=1)})
    world.answers |= {"hold": SILENT, "other": SILENT}
    flow = world.start("g")
    assert (flow.step("g").status, flow.step("late").status) == ("pending", "skipped")


def test_a_provider_is_skipped_as_soon_as_its_reader_is_lost() -> None:
    """execution.md 8.7"""
    steps = [*HELD, link("q", makes="y"), link("c", "x y", "z"), sync("g", {"z": optional(), "o": required()})]
    world = World(*steps, link("other", makes="o"), answers={"hold": SILENT, "other": SILENT, "q": fails()})
    flow = world.start("g")
    assert (flow.status, flow.step("c").status, flow.step("late").status) == ("active", "failed", "skipped")


def test_a_provider_that_nobody_can_use_any_more_is_skipped_even_when_the_flow_fails() -> None:
    """execution.md 13.2/40"""
    steps = [
        link("hold", makes="h"),
        link("a", "h", "x"),
        link("b", makes="x"),
        sync("g", {"x": required(collect="all")}),
    ]
    world = World(*steps, answers={"hold": SILENT, "b": gives()})
    flow = world.start("g")
    assert flow.statuses == {"hold": "active", "a": "skipped", "b": "completed", "g": "failed"}
    assert flow.status == "failed"


def test_a_started_step_shows_its_one_active_item() -> None:
    """execution.md 13.3/44"""
    flow = World(link("s", makes="x"), answers={"s": SILENT}).start("s")
    assert (flow.step("s").status, [w.status for w in flow.items("s")]) == ("active", ["active"])
    assert flow.story == ["flow_started", "step_started:s", "work_started:s"]
    assert (flow.items("s")[0].node_id, flow.items("s")[0].attempt) == ("n1", 1)


def test_the_events_of_one_good_step_come_in_order() -> None:
    """execution.md 9.4"""
    flow = World(link("s", makes="x"), answers={"s": gives(x=1)}).start("s")
    assert flow.story == [
        "flow_started",
        "step_started:s",
        "work_started:s",
        "work_succeeded:s",
        "attribute_set:s",
        "step_completed:s",
        "flow_completed",
        "flow_deactivated",
    ]


def test_a_step_gives_all_its_outputs_and_none_that_it_did_not_declare() -> None:
    """execution.md 13.4/55, 13.15/147, 13.15/149, S21"""
    flow = World(link("s", makes="x y z"), answers={"s": gives(x=1, y=None, extra=2)}).start("s")
    assert (flow.values("x"), flow.values("y")) == ([1], [None])
    assert set(flow.state.attributes) == {"x", "y"}
    assert flow.step("s").outputs == {"x": 1, "y": None}


def test_two_goals_with_the_same_output_keep_both_values() -> None:
    """execution.md 13.15/148, S19"""
    world = World(link("p", makes="x"), link("q", makes="x"), answers={"p": gives(x=1), "q": gives(x=2)})
    flow = world.start("p q")
    assert flow.values("x") == [1, 2]
    assert next(e for e in flow.events if e.event_type == "flow_completed").result == {"x": 2}


def test_an_output_is_renamed_or_converted() -> None:
    """execution.md 13.15/150"""
    outputs = {
        "x": output(mapping="inner"),
        "y": output(mapping={"script": {"language": "jpath", "script": "title"}}),
        "z": output(mapping={"script": {"language": "jpath", "script": "boom"}}),
    }
    world = World(
        sync("s", outputs),
        scripts={"title": lambda raw: raw["book"]["title"], "boom": failing("no match")},
        answers={"s": gives(inner=1, book={"title": "T"}, z=9)},
    )
    flow = world.start("s")
    assert (flow.values("x"), flow.values("y"), flow.values("z")) == ([1], ["T"], [])
    assert flow.step("s").outputs == {"x": 1, "y": "T"}


def test_duration_is_in_milliseconds() -> None:
    world = World(link("s", makes="x"), answers={"s": SILENT})
    flow = world.start("s")
    world.wait(1_500)
    flow.succeed("s", x=1)
    assert flow.step("s").duration_ms == 1_500


# What hung, crashed or doubled in the reference (execution.md 13.26)


def test_a_failed_optional_provider_does_not_fail_the_flow() -> None:
    """execution.md 13.26/241, decisions 20"""
    world = World(link("p", makes="x"), sync("g", {"x": optional(deadline=1_000)}), answers={"p": fails()})
    flow = world.start("g")
    assert (flow.statuses, flow.status, flow.ended) == ({"p": "failed", "g": "completed"}, "completed", True)
    assert world.now_ms == 0


def test_a_provider_that_fails_after_another_won_does_not_matter() -> None:
    """execution.md 13.26/242"""
    world = World(
        link("p1", makes="x"), link("p2", makes="x"), link("g", "x"), answers={"p1": gives(x=1), "p2": SILENT}
    )
    flow = world.start("g")
    assert (flow.status, flow.ended) == ("completed", False)
    flow.fail("p2")
    assert (flow.status, flow.ended, flow.step("p2").status) == ("completed", True, "failed")


def test_a_provider_that_leaves_out_its_only_output_fails_the_consumer() -> None:
    """execution.md 13.26/243 (B2b)"""
    flow = World(link("p", makes="x"), link("g", "x"), answers={"p": gives(y=1)}).start("g")
    assert (flow.statuses, flow.status) == ({"p": "completed", "g": "failed"}, "failed")
    assert flow.state.error == f"step g failed: {UNREACHABLE}"


def test_a_goal_that_init_satisfies_counts_as_completed() -> None:
    """execution.md 13.26/248, decisions 16 (B4)"""
    flow = World(*CHAIN).start("c", {"z": 1})
    assert flow.story == ["flow_started", "flow_completed", "flow_deactivated"]


def test_a_satisfied_goal_beside_a_running_one_waits_for_it() -> None:
    """execution.md 13.26/248 (B4)"""
    world = World(*CHAIN, link("other", makes="o"), answers=VALUES)
    flow = world.start("other c", {"o": 1})
    assert (flow.status, flow.ended, sorted(flow.statuses)) == ("completed", True, ["a", "b", "c"])


def test_a_blocked_goal_does_not_start() -> None:
    """decisions 16 (B4)"""
    with pytest.raises(GoalsBlocked, match="goals are blocked by init: g: veto") as failure:
        World(sync("g", {"veto": required(collect="none")})).start("g", {"veto": 1})
    assert failure.value.goals == {"g": ("veto",)}


def test_a_step_skipped_at_the_start_never_disturbs_it() -> None:
    """execution.md 13.26/259 (B29)"""
    steps = [
        link("p", "seed", "x", predicate="no"),
        sync("c", {"x": optional(default=0), "y": output()}),
        link("g", "y"),
    ]
    world = World(*steps, scripts={"no": lambda i: False}, answers={"c": gives(y=1)})
    flow = world.start("g", {"seed": 1})
    assert (flow.status, flow.statuses) == ("completed", {"p": "skipped", "c": "completed", "g": "completed"})


def test_a_flow_fails_only_once_however_many_goals_fail() -> None:
    """execution.md 13.26/260 (B14)"""
    steps = [link("p", makes="x"), link("g1", "x"), link("g2", "x"), scripted("g3", "boom")]
    flow = World(*steps, scripts={"boom": failing("no")}, answers={"p": fails()}).start("g1 g2 g3")
    assert (flow.count("flow_failed"), flow.count("flow_deactivated")) == (1, 1)


def test_nothing_is_called_for_a_flow_that_is_lost() -> None:
    """A goal that fails within the command leaves no work started in it for the others."""
    world = World(scripted("a", "boom"), link("b", makes="x"), scripts={"boom": failing("no")})
    flow = world.start("a b")
    assert (flow.status, flow.ended, world.calls) == ("failed", True, [])
    assert flow.step("b").status in ("pending", "failed")


def test_duplicate_goals_are_one() -> None:
    flow = World(link("s", makes="x"), answers={"s": gives(x=1)}).start(["s", "s"])
    assert (flow.status, flow.count("step_started")) == ("completed", 1)
