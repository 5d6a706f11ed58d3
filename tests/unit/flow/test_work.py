"""Work items: expansion, parallelism, aggregation, memory, claims (execution.md 6, 7; decisions 21, 22, 24)."""

from __future__ import annotations

import pytest

from argyll.flow import NEVER
from argyll.model import json
from argyll.model.limits import MAX_WORK_ITEMS
from argyll.model.step import Step
from tests.unit.flow.harness import (
    SILENT,
    World,
    failing,
    fails,
    gives,
    optional,
    output,
    required,
    script,
    scripted,
    sync,
    unavailable,
)


def fan(parallelism: int = 1, outputs: str = "r", **fields: object) -> Step:
    attributes = {"item": required(for_each=True), **{name: output() for name in outputs.split()}}
    return sync("fan", attributes, work={"parallelism": parallelism}, **fields)


def echo(arguments: dict[str, object]) -> object:
    return gives(r=arguments["item"])


def test_each_element_is_called_with_and_answers_come_as_a_list() -> None:
    """execution.md 13.1/23, 13.18/163"""
    world = World(fan(), answers={"fan": echo})
    flow = world.start("fan", {"item": [["a", "b", "c"]]})
    assert [call.arguments for call in world.calls] == [{"item": "a"}, {"item": "b"}, {"item": "c"}]
    assert flow.values("r") == [[{"item": v, "r": v} for v in "abc"]]
    assert flow.status == "completed"


def test_the_elements_of_a_provider_are_iterated() -> None:
    """execution.md 13.1/5"""
    world = World(sync("p", {"item": output()}), fan(), answers={"p": gives(item=[1, 2, 3]), "fan": fails("bad item")})
    flow = world.start("fan")
    assert (flow.status, flow.step("fan").status, flow.step("fan").error) == ("failed", "failed", "bad item")
    assert len(world.calls_of("fan")) == 1
    assert flow.ended


def test_products_run_through_the_last_name_first() -> None:
    """execution.md 6.1, 6.2"""
    step = sync("s", {"b": required(for_each=True), "a": required(for_each=True), "k": required(), "r": output()})
    world = World(step, answers={"s": lambda a: gives(r=f"{a['a']}{a['b']}")})
    flow = world.start("s", {"a": [[1, 2]], "b": [["x", "y"]], "k": [[0]]})
    assert [(c.arguments["a"], c.arguments["b"], c.arguments["k"]) for c in world.calls] == [
        (1, "x", [0]),
        (1, "y", [0]),
        (2, "x", [0]),
        (2, "y", [0]),
    ]
    assert [entry["r"] for entry in flow.values("r")[0]] == ["1x", "1y", "2x", "2y"]


@pytest.mark.parametrize("item", [[["only"]], ["only"]])
def test_a_fan_out_of_one_still_yields_a_list(item: list[object]) -> None:
    """decisions 21 (S5); a value that is no array passes whole"""
    flow = World(fan(), answers={"fan": gives(r=1)}).start("fan", {"item": item})
    [entries] = flow.values("r")
    assert [entry["r"] for entry in entries] == [1]


def test_an_empty_array_completes_at_once_with_empty_lists() -> None:
    """execution.md 13.26/247, decisions 21 (B3)"""
    world = World(fan(outputs="r q"), sync("g", {"r": required(), "q": required()}))
    flow = world.start("g", {"item": [[]]})
    assert ([call.step_id for call in world.calls], world.calls[0].arguments) == (["g"], {"r": [], "q": []})
    assert (flow.status, flow.step("fan").status, flow.items("fan")) == ("completed", "completed", [])


def test_one_empty_array_empties_the_product() -> None:
    step = sync("s", {"a": required(for_each=True), "b": required(for_each=True), "r": output()})
    flow = World(step).start("s", {"a": [list(range(200))], "b": [[]]})
    assert (flow.status, flow.values("r")) == ("completed", [[]])


def test_a_renamed_input_expands_under_its_inner_name() -> None:
    """execution.md 13.26/262 (B8)"""
    step = sync("s", {"items": required(for_each=True, mapping="item"), "r": output()})
    world = World(step, answers={"s": lambda a: gives(r=a["item"])})
    flow = world.start("s", {"items": [[1, 2]]})
    assert [call.arguments for call in world.calls] == [{"item": 1}, {"item": 2}]
    assert flow.values("r") == [[{"item": 1, "r": 1}, {"item": 2, "r": 2}]]


def test_the_collected_list_is_what_is_iterated() -> None:
    """execution.md 6.1"""
    step = sync("s", {"x": required(collect="all", for_each=True)})
    world = World(
        sync("p", {"x": output()}), sync("q", {"x": output()}), step, answers={"p": gives(x=1), "q": gives(x=2)}
    )
    world.start("s")
    assert [call.arguments for call in world.calls_of("s")] == [{"x": 1}, {"x": 2}]


def test_an_optional_array_that_is_absent_makes_one_item() -> None:
    world = World(sync("s", {"x": optional(for_each=True), "r": output()}), answers={"s": gives(r=1)})
    flow = world.start("s")
    assert ([c.arguments for c in world.calls], flow.values("r")) == ([{}], [[{"r": 1}]])


def test_items_that_leave_an_output_out_are_not_in_its_list() -> None:
    """execution.md 6.4"""
    world = World(fan(outputs="r q"), answers={"fan": [gives(r=1), gives(r=2, q=2)]})
    flow = world.start("fan", {"item": [[1, 2]]})
    assert flow.values("q") == [[{"item": 2, "q": 2}]]


def test_an_output_mapping_sees_the_aggregate() -> None:
    """execution.md 6.4, 13.18/165"""
    attributes = {"item": required(for_each=True), "books": output(mapping={"script": script("books")})}
    world = World(sync("s", attributes), scripts={"books": lambda raw: [entry["b"] for entry in raw["b"]]})
    world.answers["s"] = lambda a: gives(b=a["item"])
    assert world.start("s", {"item": [[1, 2]]}).values("books") == [[1, 2]]


def test_an_answer_wins_over_the_element_of_the_same_name() -> None:
    """execution.md 6.4"""
    step = sync("s", {"item": required(for_each=True), "r": output(mapping="item")})
    flow = World(step, answers={"s": gives(item="answer")}).start("s", {"item": [[1]]})
    assert flow.values("r") == [[{"item": "answer"}]]


@pytest.mark.parametrize(("size", "fits"), [(MAX_WORK_ITEMS, True), (MAX_WORK_ITEMS + 1, False)])
def test_too_many_items_fail_the_step_that_expands(size: int, fits: bool) -> None:
    """decisions 22 (S14)"""
    world = World(sync("p", {"item": output()}), fan(), answers={"p": gives(item=[0] * size), "fan": SILENT})
    flow = world.start("fan")
    assert flow.step("p").status == "completed"
    if fits:
        assert (flow.step("fan").status, len(flow.items("fan"))) == ("active", size)
        return
    assert flow.step("fan").error == f"too many work items: {size} (item: {size}), at most {MAX_WORK_ITEMS} a step"
    assert (flow.status, flow.ended) == ("failed", True)


def test_a_product_that_is_too_large_starts_and_fails() -> None:
    """execution.md 13.18/166, decisions 50"""
    step = sync("s", {"a": required(for_each=True), "b": required(for_each=True)})
    flow = World(step).start("s", {"a": [list(range(101))], "b": [list(range(101))]})
    assert (flow.status, flow.step("s").error) == (
        "failed",
        f"too many work items: 10201 (a: 101 x b: 101), at most {MAX_WORK_ITEMS} a step",
    )


@pytest.mark.parametrize(("parallelism", "active"), [(0, 1), (1, 1), (2, 2), (9, 3)])
def test_parallelism_bounds_what_is_active(parallelism: int, active: int) -> None:
    """execution.md 6.2, 13.22/201"""
    flow = World(fan(parallelism), answers={"fan": SILENT}).start("fan", {"item": [[1, 2, 3]]})
    assert [work.status for work in flow.items("fan")].count("active") == active == flow.step("fan").active


def test_a_finished_item_makes_room_for_the_next_in_order() -> None:
    """execution.md 13.19/173"""
    world = World(fan(2), answers={"fan": SILENT})
    flow = world.start("fan", {"item": [[0, 1, 2, 3]]})
    tokens = flow.tokens("fan")
    flow.succeed("fan", tokens[1], r=1)
    assert [work.status for work in flow.items("fan")] == ["active", "succeeded", "active", "pending"]
    for token in (tokens[0], tokens[2], tokens[3]):
        flow.succeed("fan", token, r=0)
    assert (flow.status, [e["item"] for e in flow.values("r")[0]]) == ("completed", [0, 1, 2, 3])


def test_a_large_fan_out_ends() -> None:
    world = World(fan(50), answers={"fan": echo})
    flow = world.start("fan", {"item": [list(range(1_000))]})
    assert (flow.status, [e["r"] for e in flow.values("r")[0]]) == ("completed", list(range(1_000)))


def test_items_waiting_for_a_retry_leave_their_slot() -> None:
    """execution.md 6.2, 13.17/160"""
    world = World(fan(), answers={"fan": [unavailable(), unavailable(), gives(r=1)]})
    flow = world.start("fan", {"item": [[1, 2]]})
    assert [work.retry_count for work in flow.items("fan")] == [1, 1]
    assert flow.count("work_retry_scheduled") == 2
    world.wait_for_all()
    assert (flow.status, [work.status for work in flow.items("fan")]) == ("completed", ["succeeded"] * 2)


# Memory


def remember(world: World, step_id: str, inputs: object, outputs: dict[str, object]) -> None:
    world.memory[step_id, json.canonical(inputs)] = outputs


def test_remembered_outputs_need_no_call() -> None:
    """execution.md 13.1/13-14, 13.19/167"""
    world = World(sync("s", {"x": required(), "r": output()}, memoizable=True), answers={"s": gives(r="fresh")})
    remember(world, "s", {"x": 1}, {"r": "old"})
    assert (world.start("s", {"x": 1}).values("r"), world.calls) == (["old"], [])
    assert world.start("s", {"x": 2}, flow_id="other").values("r") == ["fresh"]


def test_a_remembered_result_follows_no_work_started() -> None:
    """execution.md 7.6"""
    world = World(sync("s", {"r": output()}, memoizable=True))
    remember(world, "s", {}, {})
    flow = world.start("s")
    assert flow.story[1:4] == ["step_started:s", "work_succeeded:s", "step_completed:s"]


def test_a_fully_remembered_fan_out_completes_without_calls() -> None:
    """execution.md 13.26/264 (B7)"""
    world = World(fan(3, memoizable=True))
    for item in range(10):
        remember(world, "fan", {"item": item}, {"r": item})
    flow = world.start("fan", {"item": [list(range(10))]})
    assert (flow.status, world.calls, len(flow.values("r")[0])) == ("completed", [], 10)


def test_what_is_not_memoizable_is_not_remembered() -> None:
    world = World(sync("s", {"r": output()}), answers={"s": gives(r="fresh")})
    remember(world, "s", {}, {"r": "old"})
    assert world.start("s").values("r") == ["fresh"]


# Claims: where this node may not run the work


def test_work_that_may_not_be_claimed_is_looked_at_again() -> None:
    """execution.md 13.19/170, 13.26/254, decisions 24, 28"""
    world = World(sync("s", {"r": output()}), answers={"s": gives(r=1)})
    world.may_claim = lambda step: "wait"
    flow = world.start("s")
    assert (flow.step("s").status, flow.items("s")[0].status) == ("active", "pending")
    assert (flow.wake_at - world.now_us, flow.story[-1]) == (1_000_000, "step_started:s")
    world.wait(10_000)
    assert not world.calls
    world.may_claim = lambda step: "yes"
    world.wait(1_000)
    assert (flow.status, len(world.calls)) == ("completed", 1)


def test_a_deferral_is_announced_when_the_node_says_so() -> None:
    """decisions 24"""
    words = iter(["announce", "wait", "wait"])
    world = World(fan(3), answers={"fan": SILENT})
    world.may_claim = lambda step: next(words, "wait")
    flow = world.start("fan", {"item": [[1, 2, 3]]})
    world.wait(5_000)
    assert flow.count("dispatch_deferred") == 1
    assert not world.calls


# The predicate, once more before a retry


@pytest.mark.parametrize(
    ("verdicts", "step_status", "calls"),
    [([True, True], "completed", 2), ([True, False], "completed", 1)],
)
def test_the_predicate_is_asked_again_before_a_retry(verdicts: list[bool], step_status: str, calls: int) -> None:
    """decisions 21"""
    answers = iter(verdicts)
    world = World(
        sync("s", {"x": required(), "r": output()}, predicate="wanted"),
        scripts={"wanted": lambda inputs: inputs == {"x": 1} and next(answers)},
        answers={"s": [unavailable(), gives(r=1)]},
    )
    flow = world.start("s", {"x": 1})
    world.wait_for_all()
    assert (flow.step("s").status, flow.status, flow.ended, len(world.calls)) == (step_status, "completed", True, calls)
    assert flow.values("r") == ([1] if calls == 2 else [])


def test_a_retry_that_is_no_longer_wanted_leaves_the_others_alone() -> None:
    """decisions 21: false skips the item, not the step"""
    wanted = [True]
    world = World(
        fan(2, predicate="wanted"),
        scripts={"wanted": lambda inputs: wanted[0]},
        answers={"fan": lambda a: unavailable() if a["item"] == 1 else gives(r=a["item"])},
    )
    flow = world.start("fan", {"item": [[1, 2]]})
    wanted[0] = False
    world.wait_for_all()
    assert [work.status for work in flow.items("fan")] == ["cancelled", "succeeded"]
    assert flow.items("fan")[0].error == "predicate returned false"
    assert (flow.status, flow.values("r")) == ("completed", [[{"item": 2, "r": 2}]])


def test_a_predicate_that_fails_before_a_retry_fails_the_item() -> None:
    """execution.md 13.19/174 (B14)"""
    world = World(
        sync("s", {"r": output()}, predicate="p"), scripts={"p": lambda i: True}, answers={"s": unavailable()}
    )
    flow = world.start("s")
    world.scripts["p"] = failing("gone")
    world.wait_for_all()
    assert (flow.step("s").error, flow.count("step_failed"), flow.count("flow_failed"), flow.ended) == (
        "predicate evaluation failed: gone",
        1,
        1,
        True,
    )


def test_a_script_that_fails_among_items_stops_the_rest() -> None:
    """execution.md S27: scripts never retry"""
    seen: list[object] = []

    def run(arguments: dict[str, object]) -> object:
        seen.append(arguments["item"])
        return failing("two")() if arguments["item"] == 2 else {}

    world = World(scripted("s", "run", {"item": required(for_each=True), "r": output()}), scripts={"run": run})
    flow = world.start("s", {"item": [[1, 2, 3]]})
    assert (seen, flow.step("s").error) == ([1, 2], "two")
    assert [work.status for work in flow.items("s")] == ["succeeded", "failed", "cancelled"]
    assert (flow.ended, flow.wake_at) == (True, NEVER)
