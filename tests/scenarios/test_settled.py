"""One test for every defect and surprise of earlier work that this project has settled, named after its number.

What `docs/scenarios.md` says of each in words is here in the smallest history that used to go wrong. The tables behind them
are in the rooms' own tests.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from argyll.analysis import check_step
from argyll.analysis.wiring import check_against
from argyll.engine import Engine, EngineConfig, dispatch
from argyll.engine.caller import Failure
from argyll.engine.errors import InvalidStep
from argyll.flow import Advance, Reclaim, TellParent
from argyll.flow.retry import retry_delay_us
from argyll.model import json
from argyll.model.catalog import Health
from argyll.model.limits import MAX_WORK_ITEMS
from argyll.model.plan import plan_to_json
from argyll.model.step import WorkConfig
from argyll.planning import PlanError
from argyll.scripts import Scripts
from argyll.store import Overloaded, Store, StoreOptions
from tests.unit.engine.conftest import Node, Services, step
from tests.unit.flow.harness import (
    SILENT,
    World,
    async_,
    catalog,
    failing,
    fails,
    gives,
    meta,
    optional,
    output,
    required,
    script,
    scripted,
    subflow,
    sync,
    unavailable,
)

Values = dict[str, Any]

EACH = {"x": required(for_each=True), "y": output()}
ONCE = {"max_attempts": 1}
RETRIED = {"max_attempts": 3, "init_backoff": 1_000, "max_backoff": 1_000}


# Flows that used to hang or end twice


@pytest.mark.parametrize(
    ("spec", "answers", "statuses"),
    [
        # (a) a failed provider that nobody needs
        (optional(deadline=50), {"p": fails(), "q": gives()}, ("completed", "completed")),
        # (b) a provider that completes without the output
        (required(), {"p": gives(), "q": gives()}, ("failed", "failed")),
        # (c) `all` with a failed provider beside a value
        (required(collect="all"), {"p": fails(), "q": gives(y=1)}, ("failed", "failed")),
        # (d) `none` after a value appeared
        (required(collect="none"), {"p": gives(y=1), "q": gives()}, ("failed", "failed")),
        # (e) a match script that fails
        (required(match=script("bad")), {"p": gives(y=1), "q": gives(y=2)}, ("failed", "failed")),
    ],
)
def test_b2_no_provider_leaves_a_flow_hanging(spec: Values, answers: Values, statuses: tuple[str, str]) -> None:
    steps = sync("p", {"y": output()}), sync("q", {"y": output()}), sync("g", {"y": spec, "z": output()})
    flow = World(*steps, answers=answers, scripts={"bad": failing("no")}).start("g")

    assert (flow.step("g").status, flow.status, flow.ended) == (*statuses, True)


def test_b3_a_fan_out_over_nothing_or_no_longer_wanted_ends() -> None:
    asked = iter([True, False])
    world = World(
        sync("s", EACH, predicate="once", work=RETRIED),
        scripts={"once": lambda inputs: next(asked)},
        answers={"s": unavailable()},
    )
    nothing = World(sync("s", EACH)).start("s", {"x": [[]]})
    unwanted = world.start("s", {"x": [[1]]})
    world.wait_for_all()

    assert (nothing.status, nothing.values("y"), nothing.world.calls) == ("completed", [[]], [])
    assert (unwanted.status, unwanted.ended) == ("completed", True)


def test_b4_goals_that_init_gives_are_done_alone_and_beside_others() -> None:
    steps = sync("a", {"y": output()}), sync("b", {"z": output()}), sync("blocked", {"n": required(collect="none")})
    alone, beside = World(*steps).start("a", {"y": 1}), World(*steps).start("a b", {"y": 1})

    assert [(flow.status, flow.ended) for flow in (alone, beside)] == [("completed", True)] * 2
    with pytest.raises(Exception, match="blocked by init"):
        World(*steps).start("blocked", {"n": 1})


def test_b7_many_remembered_items_in_one_round_are_all_taken() -> None:
    world = World(sync("s", EACH, memoizable=True, work={"parallelism": 3}))
    world.memory = {("s", json.canonical({"x": n})): {"y": n} for n in range(3)}
    flow = world.start("s", {"x": [[0, 1, 2]]})

    assert (flow.status, world.calls) == ("completed", [])


def test_b8_a_renamed_input_fans_out() -> None:
    world = World(sync("s", {"x": required(for_each=True, mapping="inner")}))
    world.start("s", {"x": [[1, 2]]})

    assert [call.arguments for call in world.calls] == [{"inner": 1}, {"inner": 2}]


def test_b9_an_item_is_called_once_an_attempt_by_one_node() -> None:
    world = World(sync("s", {"y": output()}, work=RETRIED), answers={"s": SILENT})
    flow = world.start("s")
    for node_id in ("n2", "n3"):
        world.node_id = node_id
        flow.do(Advance())
        flow.do(Reclaim(lambda owner, token: owner != "n1"))
        world.run()
    flow.not_completed("s")
    for node_id in ("n1", "n2", "n3"):
        world.node_id = node_id
        world.wait(1_000)
        flow.do(Advance())
        world.run()

    assert [call.attempt for call in world.calls] == [1, 2]


def test_b10_nothing_that_waits_keeps_an_ended_flow_from_being_deactivated() -> None:
    steps = sync("s", EACH, work={"parallelism": 1}), async_("late", {"z": output()}), sync("again", work=RETRIED)
    world = World(*steps, answers={"s": fails(), "late": SILENT, "again": unavailable()})
    flow = world.start("again late s", {"x": [[1, 2, 3]]})
    assert (flow.status, flow.ended) == ("failed", False)

    flow.succeed("late", z=1)

    assert (flow.ended, flow.values("z")) == (True, [1])
    assert [item.status for item in flow.items("s")] == ["failed", "cancelled", "cancelled"]


def test_b11_a_deadline_that_passed_while_nobody_looked_counts() -> None:
    world = World(sync("p", {"y": output()}), sync("s", {"y": optional(deadline=50, default=7)}), answers={"p": SILENT})
    flow = world.start("s")
    world.now_us += 3_600_000_000
    world.crash()

    assert flow.step("s").inputs == {"y": 7}


def test_b12_a_childs_outcome_reaches_its_parent_exactly_once() -> None:
    world = World(sync("leaf", {"y": output()}), subflow("s", ["leaf"], {"y": output()}), answers={"leaf": SILENT})
    flow = world.start("s")
    world.deliver(world.calls[0], gives(y=5))
    assert isinstance(world.effects[0], TellParent)
    world.crash()
    world.crash()

    assert (flow.status, flow.count("work_succeeded"), flow.values("y")) == ("completed", 1, [5])


def test_b13_what_a_dead_node_was_doing_is_taken_over_from_state_alone() -> None:
    steps = sync("s", {"y": output()}), sync("w", work=RETRIED), sync("d", {"y": optional(deadline=9_000)})
    world = World(*steps, answers={"s": SILENT, "w": unavailable()})
    flow = world.start("s w d")
    world.node_id, world.answers["s"], world.answers["w"] = "n2", gives(y=1), gives()
    flow.reload()
    flow.do(Reclaim(lambda owner, token: owner == "n1"))
    world.run()
    world.wait_for_all()

    assert {item.node_id for step_id in ("s", "w") for item in flow.items(step_id)} == {"n2"}
    assert (flow.status, [call.token for call in world.calls_of("s")]) == ("completed", [world.calls[0].token] * 2)


@pytest.mark.parametrize("answers", [{"p": fails()}, {"p": gives(y=1)}, {"p": SILENT}])
def test_b14_every_flow_ends_once(answers: Values) -> None:
    steps = (
        sync("p", {"y": output()}),
        *(sync(f"g{n}", {"y": required(), "z": output()}, predicate="no") for n in range(3)),
        sync("h", {"z": required()}),
    )
    flow = World(*steps, scripts={"no": lambda inputs: False}, answers=answers).start("g0 g1 g2 h")
    if not flow.ended:
        flow.cancel()
        flow.fail("p")

    assert [flow.count(f"flow_{end}") for end in ("completed", "failed", "deactivated")].count(1) == 2
    assert flow.count("flow_completed") + flow.count("flow_failed") == flow.count("flow_deactivated") == 1


def test_b15_a_flow_steps_meta_inputs_are_passed_on() -> None:
    world = World(sync("leaf", {"who": required()}), subflow("s", ["leaf"], {"who": meta("flow_id")}))
    flow = world.start("s")

    assert (flow.status, world.calls[0].arguments) == ("completed", {"who": "f"})


@pytest.mark.parametrize("late", [False, True])
def test_b19_a_skipped_goal_ends_its_flow_the_same_way_at_any_time(late: bool) -> None:
    steps = sync("skipped", predicate="no"), sync("other", {"y": output()})
    world = World(*steps, scripts={"no": lambda inputs: False}, answers={"other": SILENT if late else gives(y=1)})
    flow = world.start("skipped other")
    if late:
        assert flow.status == "active"
        flow.succeed("other", y=1)

    assert (flow.status, flow.ended, flow.story[-1]) == ("completed", True, "flow_deactivated")


def test_b20_a_wake_up_is_set_by_whoever_looks() -> None:
    world = World(sync("p", {"y": output()}), sync("s", {"y": optional(deadline=50, default=7)}), answers={"p": SILENT})
    flow = world.start("s")
    asked_for = flow.wake_at
    world.node_id = "n2"
    flow.reload()
    flow.do(Advance())

    assert flow.wake_at == asked_for == world.now_us + 50_000


@pytest.mark.parametrize("retries", [7, 54, 100, 10**9])
def test_b21_backoff_saturates_at_its_cap(retries: int) -> None:
    work = WorkConfig(init_backoff_ms=1_000, max_backoff_ms=60_000, backoff_type="exponential")

    assert retry_delay_us(work, retries, lambda: 0.5) == 60_000_000


def test_b22_without_a_url_nothing_is_undone() -> None:
    world = World(sync("s", EACH, work={"parallelism": 2}), answers={"s": [gives(y=1), fails()]})
    flow = world.start("s", {"x": [[1, 2]]})

    assert (flow.ended, flow.count("comp_started"), world.undone) == (True, 0, [])


def test_b29_a_step_skipped_at_the_start_never_fails_it() -> None:
    steps = (
        sync("a", {"y": output()}, predicate="no"),
        sync("b", {"y": output()}),
        sync("g", {"y": required(), "o": optional()}),
        sync("c", {"o": output()}),
    )
    flow = World(*steps, scripts={"no": lambda inputs: False}, answers={"b": gives(y=1)}).start("g")

    assert (flow.status, flow.statuses["a"], flow.statuses["g"]) == ("completed", "skipped", "completed")


# Surprises


def test_s5_a_fan_out_of_one_is_a_list() -> None:
    flow = World(sync("s", EACH), answers={"s": gives(y=5)}).start("s", {"x": [["a"]]})

    assert flow.values("y") == [[{"x": "a", "y": 5}]]


@pytest.mark.parametrize(
    ("given", "bounds"),
    [
        ({"max_backoff": 500}, (500, 500)),
        ({"init_backoff": 120_000}, (120_000, 120_000)),
        ({"init_backoff": 10, "max_backoff": 20}, (10, 20)),
    ],
)
def test_s7_one_backoff_bound_moves_the_other(given: Values, bounds: tuple[int, int]) -> None:
    work = sync("s", work=given).work

    assert (work.init_backoff_ms, work.max_backoff_ms) == bounds


def test_s14_too_many_items_fail_the_step_that_expands() -> None:
    elements = list(range(MAX_WORK_ITEMS + 1))
    flow = World(sync("p", {"x": output()}), sync("s", EACH), answers={"p": gives(x=elements)}).start("s")

    assert flow.statuses == {"p": "completed", "s": "failed"}
    assert "too many work items" in flow.step("s").error


def test_s15_undoing_has_retries_of_its_own() -> None:
    world = World(
        sync("s", EACH, compensate="http://undo/", work=RETRIED | {"parallelism": 2}),
        answers={"s": lambda inputs: SILENT},
        undo={"s": [unavailable(), unavailable(), gives()]},
    )
    flow = world.start("s", {"x": [[1, 2]]})
    first, second = flow.tokens("s")
    for _ in range(2):
        flow.not_completed("s", first)
        world.wait(1_000)
    flow.succeed("s", first, y=1)
    flow.fail("s", second)
    world.wait_for_all()

    assert (flow.items("s")[0].status, len(world.undone)) == ("compensated", 3)


def test_s16_what_succeeds_after_its_step_failed_is_undone_too() -> None:
    world = World(
        sync("s", EACH, compensate="http://undo/", work={"parallelism": 2}),
        sync("other", {"z": output()}),
        answers={"s": SILENT, "other": SILENT},
    )
    flow = world.start("s other", {"x": [[1, 2]]})
    first, second = flow.tokens("s")
    flow.fail("s", first)
    flow.succeed("s", second, y=1)

    assert [item.status for item in flow.items("s")] == ["failed", "compensated"]


# Plans


def test_b16_what_a_child_will_be_given_is_unknown_to_its_gates() -> None:
    steps = (
        sync("router", {"kind": required(), "x": output()}),
        sync("leaf", {"kind": required(match=script("real")), "x": required(), "y": output()}),
        subflow("s", ["leaf"], {"kind": required(), "y": output()}),
    )
    world = World(*steps, scripts={"real": lambda value: value == "real"}, answers={"router": gives(x=1)})
    flow = world.start("s", {"kind": "real"})

    assert (flow.status, {call.step_id for call in world.calls}) == ("completed", {"router", "leaf"})


def test_b17_goal_order_never_changes_the_plan() -> None:
    steps = (
        sync("p1", {"seed": required(), "x": output()}),
        sync("p2", {"x": output()}),
        sync("c", {"x": required(), "y": output()}),
    )
    one, other = World(*steps).plan("c p1"), World(*steps).plan("p1 c")

    first, second = plan_to_json(one), plan_to_json(other)
    assert (first.pop("goals"), second.pop("goals")) == (("c", "p1"), ("p1", "c"))
    assert json.encode(first) == json.encode(second)


def test_b18_wanting_absence_can_be_satisfied() -> None:
    steps = sync("p", {"nobody": required(collect="none"), "y": output()}), sync("c", {"y": required()})
    flow = World(*steps, answers={"p": gives(y=1)}).start("c")

    assert (flow.status, flow.statuses) == ("completed", {"p": "completed", "c": "completed"})


def test_b26_the_check_for_circles_is_linear() -> None:
    """Thirty layers of three make 3**30 paths: only a check that looks at each step once ever ends."""
    layers = [
        sync(f"s{layer}-{n}", {f"x{layer}": output(), **({f"x{layer - 1}": required()} if layer else {})})
        for layer in range(30)
        for n in range(3)
    ]
    closing = sync("closing", {"x29": required(), "x0": output()})

    assert check_against(catalog(*layers), [sync("s0-0", {"x0": output()})]) == []
    (found,) = check_against(catalog(*layers), [closing])
    path = [hop.split("`")[1] for hop in found.text.partition(": ")[2].partition(";")[0].split(", ")]
    assert path == ["closing", *(f"s{layer}-0" for layer in range(29, 0, -1))], "whole, and the first of equal ones"


# Definitions


@pytest.mark.parametrize(
    "part",
    [
        {"predicate": {"language": "ale", "script": ""}},
        {"attributes": {"x": {"role": "required", "match": {"language": "ale", "script": " "}}}},
        {"attributes": {"x": {"role": "required", "mapping": {"script": {"language": "jpath", "script": ""}}}}},
        {"attributes": {"x": {"role": "output", "mapping": {"script": {"language": "lua", "script": "\n"}}}}},
    ],
)
def test_b5_empty_scripts_are_refused(part: Values) -> None:
    assert refusals(part) == ["ARG106"]


def test_b24_inner_names_never_collide() -> None:
    renamed = {"role": "required", "mapping": {"name": "a"}}

    assert refusals({"attributes": {"a": {"role": "required"}, "b": renamed}}) == ["ARG313"]


def test_b27_a_null_attribute_is_a_finding() -> None:
    http = {"endpoint": "http://h/{x}", "compensate": "http://h/{x}"}

    assert "ARG102" in refusals({"attributes": {"x": None}, "http": http})


def refusals(part: Values) -> list[str]:
    """The codes that keep a step from being registered."""
    value = {"id": "a", "name": "A", "type": "sync", "http": {"endpoint": "http://h/"}, "attributes": {}} | part
    return [found.code for found in check_step(value, native=False, scripts=Scripts())[1] if found.rejects]


# Nodes


async def test_b6_edges_follow_the_steps(node: Node) -> None:
    await node.register(step("a", gives=("x", "y")), step("b", gives=("y",)))
    await node.engine.update_step("a", step("a", gives=("x",)))
    await node.engine.unregister_step("b")

    assert node.engine.catalog.providers.get("y", set()) == set()
    assert set(node.engine.preview(["a"], {}).attributes) == {"x"}


@pytest.mark.parametrize(("language", "text"), [("ale", "(+ (:n outputs) n)"), ("lua", "return outputs.n + n")])
async def test_b23_ale_and_lua_output_mappings_see_the_outputs(node: Node, language: str, text: str) -> None:
    mapped = {"role": "output", "mapping": {"script": {"language": language, "script": text}}}
    await node.register(step("a", attributes={"y": mapped, "n": {"role": "output"}}))
    node.services.answers("a", {"n": 21})
    await node.start("f", "a")

    assert (await node.ended("f"))["attributes"]["y"][0]["value"] == 42


async def test_b25_a_flow_steps_health_is_worked_out_anew(node: Node) -> None:
    await node.register(step("goal"), step("outer", "flow", goals=["goal"]))
    seen: list[str] = []
    for status in ("healthy", "unhealthy", "healthy"):
        await node.engine._health.record({"goal": Health(status)})
        await node.engine._health.check(node.engine.catalog.steps)
        seen.append(node.engine.step_health("outer").status)  # pyright: ignore

    assert seen == ["healthy", "unhealthy", "healthy"]


async def test_b28_nothing_is_acted_on_before_the_node_is_wired(tmp_path: Path) -> None:
    """A flow that is committed while the node has not taken up its flows yet is run, and once."""
    store, services = await Store.in_memory(options=StoreOptions()), Services()
    engine = Engine(EngineConfig(data_dir=tmp_path, drain_s=0.0), store, services)
    await engine.register_step(step("a", gives=("y",)))
    await engine.start_flow("f", ["a"], {})
    assert not engine.ready
    await engine._recover()
    (call,) = await services.called("a")
    services.answer("a", {"y": 1})
    node = Node(engine, services)
    await node.ended("f")

    assert (engine.ready, services.calls) == (True, [call])
    await engine.close()


async def test_b30_a_fault_of_ours_is_never_blamed_on_the_item(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "RECORD_RETRY_FIRST_S", 0.001)
    append, refused = node.engine._store.append, []

    def refuse_twice(wanted: Any) -> Any:
        if wanted.aggregate == ("flow", "f") and len(refused) < 2 and node.services.calls:
            refused.append(wanted)
            future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            future.set_exception(Overloaded("max_in_flight_bytes", 1, 2))
            return future
        return append(wanted)

    await node.register(step("a", gives=("y",)))
    await node.start("f", "a")
    await node.services.called("a")
    monkeypatch.setattr(node.engine._store, "append", refuse_twice)
    node.services.answer("a", {"y": 1})
    state = await node.ended("f")

    assert (state["status"], len(refused), len(node.services.calls)) == ("completed", 2, 1)


async def test_b32_histories_are_whole(node: Node) -> None:
    await node.register(step("a"))
    for n in range(300):
        await node.engine.update_step("a", step("a") | {"name": f"A {n}"})

    assert [record.sequence for record in await node.engine.events(("catalog",))] == list(range(301))
    assert [record.sequence for record in await node.engine.events(("catalog",), 7, 2)] == [7, 8]


async def test_s4_a_scripts_error_leaves_its_health_alone(node: Node) -> None:
    await node.register(step("s", "script", script='(raise "no")'))
    await node.start("f", "s")

    assert (await node.ended("f"))["status"] == "failed"
    assert node.engine.step_health("s") == Health("healthy")


async def test_d2_undoing_carries_flow_step_and_token(node: Node) -> None:
    http = {"endpoint": "http://steps/s", "compensate": "http://steps/undo"}
    attributes = {"x": {"role": "required", "for_each": True}, "y": {"role": "output"}}
    await node.register(step("s", http=http, attributes=attributes))
    node.services.answers("s", {"y": 1}, Failure("no"), {})
    await node.start("f", "s", x=[1, 2])
    await node.ended("f")

    done, _, undone = node.services.calls
    assert undone.url == "http://steps/undo"
    assert undone.identity.headers() == done.identity.headers()
    assert undone.identity.headers() == {
        "Argyll-Flow-ID": "f",
        "Argyll-Step-ID": "s",
        "Argyll-Receipt-Token": done.identity.token,
    }


async def test_a_step_that_cannot_be_planned_never_starts(node: Node) -> None:
    """B27: and a faulty definition leaves nothing behind"""
    with pytest.raises(InvalidStep):
        await node.register(step("a", attributes={"x": None}))
    assert node.engine.catalog.steps == {}


def test_children_that_can_never_be_fed_are_refused_when_planned() -> None:
    """B15, decisions 17"""
    with pytest.raises(PlanError, match="x"):
        World(sync("leaf", {"x": required()}), subflow("s", ["leaf"])).plan("s")


def test_scripts_are_steps_too() -> None:
    """B3, B10: a script's items are closed like any other's"""
    world = World(scripted("s", "bad", EACH), scripts={"bad": failing("no")})
    flow = world.start("s", {"x": [[1, 2]]})
    assert ([item.status for item in flow.items("s")], flow.ended) == (["failed", "cancelled"], True)
