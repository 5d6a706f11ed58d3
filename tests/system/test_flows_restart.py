"""A node that is killed and started again on its directory goes on where it was."""

import pytest

from argyll.model.json import JSON

from .process import Argyll, Stub, value
from .test_flows_http import QUICK, step

pytestmark = pytest.mark.system


async def restart(argyll: Argyll) -> None:
    await argyll.kill()
    await argyll.start()


async def gapless(argyll: Argyll, flow_id: str) -> list[JSON]:
    events = await argyll.events(flow_id)
    assert [event["sequence"] for event in events] == list(range(len(events)))
    return events


async def test_flows_that_were_retrying_complete(argyll: Argyll, stub: Stub):
    await argyll.register(step(stub, "a", gives=("y",), work_config={"max_retries": -1, **QUICK}))
    stub.answers("/a", 503)
    for n in range(3):
        await argyll.start_flow(f"f{n}", "a")
    await stub.called("/a", 9)
    await argyll.kill()
    tokens = {call.token for call in stub.of("/a")}
    stub.answers("/a", {"y": 1})
    await argyll.start()
    for n in range(3):
        state = await argyll.ended(f"f{n}")
        (work,) = state["executions"]["a"]["work_items"].values()
        assert (state["status"], work["retry_count"] >= 1) == ("completed", True)
        await gapless(argyll, f"f{n}")
    assert {call.token for call in stub.of("/a")} == tokens
    assert len(tokens) == 3


async def test_an_async_step_is_asked_again_and_either_webhook_counts(argyll: Argyll, stub: Stub):
    await argyll.register(step(stub, "pay", "async", gives=("y",)))
    stub.answers("/pay", 202)
    for flow_id in ("old", "new"):
        await argyll.start_flow(flow_id, "pay")
    await stub.called("/pay", 2)
    await restart(argyll)
    calls = await stub.called("/pay", 4)
    webhooks = {call.headers["Argyll-Flow-ID"]: call.headers["Argyll-Webhook-URL"] for call in calls[:2]}
    repeated = {call.headers["Argyll-Flow-ID"]: call.headers["Argyll-Webhook-URL"] for call in calls[2:]}
    assert webhooks == repeated
    for flow_id, webhook in webhooks.items():
        assert (await argyll.call("POST", webhook, {"y": flow_id}))[0] == 200
        assert value(await argyll.ended(flow_id), "y") == flow_id


async def test_a_deadline_goes_on_running(argyll: Argyll, stub: Stub):
    optional = {"role": "optional", "default": '"none"', "deadline": 2_000}
    await argyll.register(
        step(stub, "maker", "async", gives=("x",)),
        step(stub, "goal", gives=("y",), attributes={"x": optional}),
    )
    stub.answers("/maker", 202)
    stub.answers("/goal", {"y": 1})
    await argyll.start_flow("f", "goal")
    await stub.called("/maker")
    await restart(argyll)
    events = await argyll.until("f", "flow_completed")
    started = {e["data"]["step_id"]: e["timestamp"] for e in events if e["type"] == "step_started"}
    assert [call.body for call in stub.of("/goal")] == [{"x": "none"}]
    # Counted from the start of the flow, not of the node; and never early.
    assert started["goal"] - started["maker"] >= 2_000


async def test_children_and_fan_out_go_on(argyll: Argyll, stub: Stub):
    each = step(stub, "each", gives=("y",), attributes={"x": {"role": "required", "type": "array", "for_each": True}})
    gate = {"id": "gate", "name": "gate", "type": "flow", "flow": {"goals": ["each"]}}
    await argyll.register(each, gate | {"attributes": {"x": {"role": "required"}, "y": {"role": "output"}}})
    stub.answers("/each", {"y": 1}, {"y": 2}, "busy")
    await argyll.start_flow("f", "gate", x=[[1, 2, 3, 4]])
    await stub.called("/each", 4)
    await argyll.kill()
    stub.answers("/each", {"y": 3})
    await argyll.start()
    state = await argyll.ended("f")
    assert [entry["y"] for entry in value(state, "y")] == [1, 2, 3, 3]
    await gapless(argyll, "f")


async def test_what_was_over_stays_over(argyll: Argyll, stub: Stub):
    await argyll.register(step(stub, "a", gives=("y",)), step(stub, "b", gives=("y",)))
    stub.answers("/a", {"y": 1})
    stub.answers("/b", 422)
    for flow_id, goal in (("good", "a"), ("bad", "b")):
        await argyll.start_flow(flow_id, goal)
        await argyll.ended(flow_id)
    before = [await argyll.events(flow_id) for flow_id in ("good", "bad")]
    catalog = await argyll.call("GET", "/engine/catalog")
    await restart(argyll)
    assert [await argyll.events(flow_id) for flow_id in ("good", "bad")] == before
    assert await argyll.call("GET", "/engine/catalog") == catalog
    assert len(stub.heard) == 2
