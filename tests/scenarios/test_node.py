"""What one node does with its catalog and its flows, step by step of the catalogue (13.2 to 13.9, 13.22, 13.26)."""

import asyncio
import inspect
from pathlib import Path
from typing import Any

import pytest

from argyll.engine import Engine, EngineConfig
from argyll.engine.caller import Failure
from argyll.engine.errors import InvalidStep
from argyll.model import json
from argyll.model.catalog import Health
from argyll.model.events import FlowStarted, StepStarted
from argyll.store import FlowQuery, Store, StoreClosed, StoreOptions
from tests.unit.engine.conftest import Node, Open, Services, step


async def completed(node: Node, flow_id: str, *goals: str, **init: Any) -> Any:
    await node.start(flow_id, *goals, **init)
    return await node.ended(flow_id)


# The node itself


@pytest.mark.parametrize("missing", ["config", "store"])
def test_an_engine_cannot_be_made_without_what_it_needs(missing: str) -> None:
    """execution.md 13.2/30"""
    assert inspect.signature(Engine).parameters[missing].default is inspect.Parameter.empty


@pytest.mark.parametrize(
    ("faulty", "code"),
    [
        ({"type": "robot"}, "ARG104"),
        ({"type": "script"}, "ARG202"),
        ({"type": "flow"}, "ARG202"),
        ({"type": ""}, "ARG1"),
    ],
)
async def test_only_the_step_types_of_the_model_exist(node: Node, faulty: dict[str, Any], code: str) -> None:
    """execution.md 13.2/32, 13.10/102, 13.19/172"""
    with pytest.raises(InvalidStep) as raised:
        await node.register({"id": "a", "name": "a", "attributes": {}, **faulty})

    assert raised.value.errors[0]["code"].startswith(code)


async def test_a_node_may_be_closed_twice_and_reads_nothing_then(tmp_path: Path) -> None:
    """execution.md 13.2/33, 13.2/34"""
    store = await Store.in_memory(options=StoreOptions())
    engine = Engine(EngineConfig(data_dir=tmp_path, drain_s=0.0), store, Services())
    assert (engine.catalog.steps, engine.cluster.nodes) == ({}, {})

    await engine.close()
    await engine.close()

    with pytest.raises(StoreClosed):
        await engine.events(("catalog",))


async def test_a_node_without_flows_is_ready(open_node: Open) -> None:
    """execution.md 13.9/96"""
    node = await open_node()
    async with asyncio.timeout(10):
        while not node.engine.ready:
            await asyncio.wait(node.engine._background, return_when=asyncio.FIRST_COMPLETED)


async def test_registering_health_and_starting_are_heard(node: Node) -> None:
    """execution.md 13.2/37"""
    await node.register(step("s", "script", script="{:y 1}", gives=("y",)))
    await completed(node, "f", "s")

    heard = [(commit.aggregate[0], event.type) for commit in node.commits for event in commit.events]
    assert heard[:3] == [("catalog", "step_registered"), ("cluster", "step_health_changed"), ("flow", "flow_started")]


async def test_what_another_node_recorded_is_seen_under_its_name(tmp_path: Path) -> None:
    """execution.md 13.2/35-36: one log, two engines, one after the other"""
    store = await Store.in_memory(options=StoreOptions())
    first = Engine(EngineConfig(data_dir=tmp_path, node_id="n1"), store, Services())
    second = Engine(EngineConfig(data_dir=tmp_path, node_id="n2"), store, Services())
    await second._health.record({"a": Health("unhealthy", "down")})

    assert first.cluster.nodes["n2"].health["a"] == Health("unhealthy", "down")
    assert set(first.health_view()["nodes"]) == {"n1", "n2"}, "a node without records is shown all the same"
    await first.close()


# Starts and ends


async def test_a_goal_ends_its_flow(node: Node) -> None:
    """execution.md 13.5/57-58, 13.9/88-89, 13.4/56: with its outputs, or with its error"""
    await node.register(step("good", gives=("y", "z")), step("bad", gives=("y",)))
    node.services.answers("good", {"y": 1})
    node.services.answers("bad", Failure("no stock"))

    good, bad = await completed(node, "f", "good"), await completed(node, "g", "bad")

    assert (good["status"], good["created_at"] <= good["completed_at"] <= good["deactivated_at"]) == ("completed", True)
    assert list(good["attributes"]) == ["y"], "an output that was not given is absent"
    assert (bad["status"], "no stock" in bad["error"]) == ("failed", True)
    assert await node.engine.flow_view("nobody") is None


async def test_many_flows_start_at_the_same_time(node: Node) -> None:
    """execution.md 13.9/90"""
    await node.register(step("a", gives=("y",)))
    node.services.answers("a", {"y": 1})

    await asyncio.gather(*(node.start(f"f{n}", "a") for n in range(10)))

    assert [(await node.ended(f"f{n}"))["status"] for n in range(10)] == ["completed"] * 10


async def test_a_start_carries_init_labels_and_origin(node: Node) -> None:
    """execution.md 13.3/46, 13.3/49, 13.9/93, 13.22/206: the origin of a child is there whole, a caller's flow has none"""
    await node.register(step("inner", needs=("x",), gives=("y",)), step("outer", "flow", goals=["inner"], needs=("x",)))
    await node.engine.start_flow("f", ["outer"], {"x": [5]}, {"team": "kilts"})
    (call,) = await node.services.called("inner")

    (parent, *_), (child, *_) = await node.history("f"), await node.history(call.identity.flow_id)
    (token,) = next(e for e in await node.history("f") if isinstance(e, StepStarted)).work_items
    assert isinstance(parent, FlowStarted)
    assert (parent.init, parent.labels, parent.metadata) == ({"x": [5]}, {"team": "kilts"}, {})
    assert isinstance(child, FlowStarted)
    origin = {"parent_flow_id": "f", "parent_step_id": "outer", "parent_work_item_token": token}
    assert (child.flow_id, child.init, child.metadata, child.labels) == (f"f:outer:{token}", {"x": [5]}, origin, {})


async def test_starting_a_flow_that_has_ended_changes_nothing(node: Node) -> None:
    """execution.md 13.26/266"""
    await node.register(step("a", gives=("y",)))
    node.services.answers("a", {"y": 1})
    await completed(node, "f", "a")
    before = await node.types("f")

    await node.start("f", "a")

    assert (await node.types("f"), len(node.services.calls)) == (before, 1)


async def test_a_running_flow_keeps_its_predicate(node: Node) -> None:
    """execution.md 13.12/119"""
    guarded = step("b", needs=("y",), predicate={"language": "ale", "script": "true"})
    await node.register(step("a", gives=("y",)), guarded)
    await node.start("f", "b")
    await node.engine.update_step("b", guarded | {"predicate": {"language": "ale", "script": "false"}})

    node.services.answers("b", {})
    await node.services.called("a")
    node.services.answer("a", {"y": 1})

    assert (await node.ended("f"))["executions"]["b"]["status"] == "completed"


# Scripts and arrays


async def test_lua_computes_from_inputs_under_their_inner_names(node: Node) -> None:
    """execution.md 13.19/171, 13.19/175, 13.7/74"""
    attributes = {"n": {"role": "required", "mapping": {"name": "inner"}}, "y": {"role": "output"}}
    lua = step("s", "script", language="lua", script="return {y = inner * 2}", attributes=attributes)
    await node.register(lua)

    assert (await completed(node, "f", "s", n=21))["attributes"]["y"][0]["value"] == 42
    with pytest.raises(InvalidStep, match="n"):
        await node.engine.update_step("s", lua | {"script": {"language": "ale", "script": "{:y (* n 2)}"}})


@pytest.mark.parametrize("elements", [["a", "b"], [1, 2, 3], [[1], []], [{"k": 1}, None, True]])
async def test_elements_of_any_type_are_expanded_alike(node: Node, elements: list[Any]) -> None:
    """execution.md 13.18/164"""
    each = {"x": {"role": "required", "type": "array", "for_each": True}, "y": {"role": "output"}}
    await node.register(step("each", attributes=each, work_config={"parallelism": 9}))
    node.services.answers("each", {"y": 0})

    state = await completed(node, "f", "each", x=elements)

    assert [json.decode(call.body or b"")["x"] for call in node.services.calls] == elements
    assert state["attributes"]["y"][0]["value"] == [{"x": element, "y": 0} for element in elements]


@pytest.mark.parametrize(
    ("attribute", "code"),
    [
        ({"role": "required", "mapping": {"script": {"language": "jpath", "script": "$["}}}, "ARG503"),
        ({"role": "required", "mapping": {"script": {"language": "ale", "script": "(+ x"}}}, "ARG501"),
        ({"role": "required", "match": {"language": "lua", "script": "return ("}}, "ARG502"),
        ({"role": "required", "mapping": {}}, "ARG312"),
        ({"role": "output", "mapping": {}}, "ARG312"),
        ({"role": "required", "type": "string", "for_each": True}, "ARG302"),
        ({"role": "required", "type": "array", "for_each": True}, None),
        ({"role": "required", "type": "any", "for_each": True}, None),
        ({"role": "required", "for_each": True}, None),
        ({"role": "optional", "deadline": 0}, None),
        ({"role": "optional", "deadline": 31_536_000_000}, None),
        ({"role": "required", "mapping": {"script": {"language": "jpath", "script": "$.a"}, "name": "z"}}, None),
    ],
)
async def test_an_attribute_is_refused_at_registration(node: Node, attribute: dict[str, Any], code: str | None) -> None:
    """execution.md 13.7/72, 13.10/110, 13.23/212-214"""
    if code is None:
        await node.register(step("a", attributes={"x": attribute}))
        return
    with pytest.raises(InvalidStep) as refused:
        await node.register(step("a", attributes={"x": attribute}))
    assert [found["code"] for found in refused.value.errors] == [code]


# The flow list


async def test_labels_are_all_to_match(node: Node) -> None:
    """execution.md 13.8/79-82"""
    await node.register(step("a"))
    node.services.answers("a", {})
    for flow_id, labels in (("both", {"k": "1", "l": "2"}), ("one", {"k": "1"}), ("none", {})):
        await node.engine.start_flow(flow_id, ["a"], {}, labels)

    def found(**labels: str) -> list[str]:
        return sorted(row.id for row in node.engine.query_flows(FlowQuery(labels=labels)).flows)

    assert found() == ["both", "none", "one"]
    assert found(k="1") == ["both", "one"]
    assert found(k="1", l="2") == ["both"]
    assert found(k="1", l="3") == found(k="2") == found(m="1") == []


async def test_a_damaged_list_is_an_error_and_no_wrong_answer(open_node: Open, tmp_path: Path) -> None:
    """execution.md 13.8/78, 13.8/85: the list is in the state file, which is refused as a whole and rebuilt from the log"""
    node = await open_node()
    await node.register(step("a"))
    await node.engine.close()
    (tmp_path / "data" / "state.db").write_bytes(b"not a database" * 1_000)

    with pytest.raises(Exception, match="rebuilt from the log"):
        await open_node()
