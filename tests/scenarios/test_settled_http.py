"""Settled defects that show on the wire only: real nodes, real services (test names carry the number)."""

import asyncio
import io
from typing import Any

import pytest
from aiohttp import web

from argyll.model.times import from_rfc3339
from tests.system.process import Argyll, Heard, Stub, response, value
from tests.system.test_flows_http import step

pytestmark = pytest.mark.system

NAMES = ("Argyll-Flow-ID", "Argyll-Step-ID", "Argyll-Receipt-Token")


async def test_b1_identity_headers_go_on_every_call(argyll: Argyll, stub: Stub) -> None:
    """D1, D2; execution.md 13.16/152, 13.26/257: first call, retry, webhook call and undoing"""
    each = {"x": {"role": "required", "for_each": True}, "y": {"role": "output"}}
    undo = {"compensate": f"{stub.url}/undo"}
    parallel = {"parallelism": 2, "init_backoff": 5}
    await argyll.register(
        step(stub, "s", http=undo, attributes=each, work_config=parallel), step(stub, "w", "async", gives=("z",))
    )
    retried = asyncio.Event()

    async def answer(heard: Heard) -> web.Response:
        if heard.body["x"] == 2:
            await retried.wait()
            return response(422)
        if len([call for call in stub.of("/s") if call.body == {"x": 1}]) == 1:
            return response(503)
        retried.set()
        return response({"y": 1})

    stub.on("/s", answer)
    stub.answers("/undo", {})
    stub.answers("/w", 202)
    await argyll.start_flow("f", "s", x=[[1, 2]])
    assert (await argyll.ended("f"))["status"] == "failed"
    await argyll.start_flow("g", "w")
    (asked,) = await stub.called("/w")

    first, again = (identity(call) for call in stub.of("/s") if call.body == {"x": 1})
    (other,) = (identity(call) for call in stub.of("/s") if call.body == {"x": 2})
    assert (first[:2], other[:2]) == (("f", "s"), ("f", "s"))
    assert first == again != other
    assert [identity(call) for call in stub.of("/undo")] == [first]
    assert asked.headers["Argyll-Webhook-URL"] == f"{argyll.url}/webhook/g/w/{asked.token}"


def identity(call: Heard) -> tuple[str, ...]:
    return tuple(call.headers[name] for name in NAMES)


async def test_d1_calls_carry_flow_step_and_token(argyll: Argyll, stub: Stub) -> None:
    await argyll.register(step(stub, "get", gives=("y",), http={"method": "GET"}))
    stub.answers("/get", {"y": 1})
    await argyll.start_flow("f", "get")
    state = await argyll.ended("f")

    (call,) = stub.heard
    (token,) = state["executions"]["get"]["work_items"]
    assert (call.method, call.body) == ("GET", None)
    assert identity(call) == ("f", "get", token)


async def test_d19_a_broken_body_is_tried_again(argyll: Argyll, stub: Stub) -> None:
    await argyll.register(step(stub, "a", gives=("y",)))
    bodies = [b'{"y": 1', b'{"y": 2}']

    async def answer(heard: Heard) -> web.Response:
        return web.Response(body=bodies.pop(0), content_type="application/json")

    stub.on("/a", answer)
    await argyll.start_flow("f", "a")

    assert value(await argyll.ended("f"), "y") == 2
    assert len(stub.of("/a")) == 2


@pytest.mark.parametrize("status", [408, 425, 429])
async def test_s26_busy_services_are_tried_again_as_late_as_they_ask(argyll: Argyll, stub: Stub, status: int) -> None:
    work = {"init_backoff": 1, "max_backoff": 50}
    await argyll.register(step(stub, "a", gives=("y",), work_config=work))

    async def answer(heard: Heard) -> web.Response:
        busy = len(stub.of("/a")) == 1
        return web.Response(status=status, headers={"Retry-After": "3600"}) if busy else response({"y": 1})

    stub.on("/a", answer)
    await argyll.start_flow("f", "a")
    assert value(await argyll.ended("f"), "y") == 1

    types = {event["type"]: event for event in await argyll.events("f")}
    scheduled, failed = types["work_retry_scheduled"], types["work_not_completed"]
    waited_us = from_rfc3339(scheduled["data"]["next_retry_at"]) - from_rfc3339(failed["timestamp"])
    assert waited_us == 50_000, "the hour that it asked for, up to the cap"


async def test_b31_lists_are_never_null(argyll: Argyll, stub: Stub) -> None:
    assert (await argyll.call("GET", "/engine/step"))[1] == {"steps": [], "count": 0}
    assert (await argyll.call("GET", "/engine/catalog/events"))[1] == {"events": [], "count": 0}
    await argyll.register(step(stub, "a", gives=("y",)))

    _, plan = await argyll.call("POST", "/engine/plan", {"goals": ["a"]})

    assert (plan["required"], plan["attributes"]) == ([], {"y": {"providers": ["a"], "consumers": []}})


async def test_b33_bodies_answers_and_scripts_have_limits(argyll: Argyll, stub: Stub) -> None:
    endless = step(stub, "endless", "script", language="lua", script="while true do end", gives=("y",))
    await argyll.register(step(stub, "a", "async"), step(stub, "big", gives=("y",)), endless)
    stub.answers("/a", 202)
    stub.answers("/big", {"y": "x" * 9_000_000})
    await argyll.start_flow("f", "a")
    (call,) = await stub.called("/a")

    webhook = call.headers["Argyll-Webhook-URL"]
    for path, size in (
        (webhook, 1 << 20),
        (f"{argyll.url}/engine/plan", 1 << 20),
        (f"{argyll.url}/engine/step", 512 << 10),
    ):
        body = io.BytesIO(b'{"x":"' + b"x" * size + b'"}')
        async with argyll.session.post(path, data=body) as answer:
            assert answer.status == 413, path
    for goal, limit in (("big", "larger than"), ("endless", "limit")):
        await argyll.start_flow(goal, goal)
        assert limit in (await argyll.ended(goal))["error"]


async def test_an_origin_cannot_be_made_up(argyll: Argyll, stub: Stub) -> None:
    """execution.md 13.3/46, 13.4/53: metadata is no field of a start; an unknown flow is not found"""
    await argyll.register(step(stub, "a"))
    start: dict[str, Any] = {"id": "f", "goals": ["a"], "metadata": {"parent_flow_id": "g"}}
    status, problem = await argyll.call("POST", "/engine/flow", start)

    assert (status, problem["errors"][0]["path"]) == (400, "/metadata")
    for path in ("/engine/flow/f", "/engine/flow/f/status", "/engine/flow/f/events"):
        assert (await argyll.call("GET", path))[0] == 404
