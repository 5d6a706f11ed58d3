"""The requests this project was founded on, literally, against a real node."""

import asyncio
from typing import Any

import pytest

from argyll.model import json

from .process import Argyll, Heard, Stub, response, value

pytestmark = pytest.mark.system

HELLO: dict[str, Any] = {
    "id": "hello-script",
    "name": "Hello Script",
    "type": "script",
    "script": {"language": "ale", "script": '{:greeting (str "Hello, " name "!")}'},
    "attributes": {
        "name": {"role": "required", "type": "string"},
        "greeting": {"role": "output", "type": "string"},
    },
}


async def test_hello(argyll: Argyll):
    assert (await argyll.call("POST", "/engine/step", HELLO))[0] == 201
    start = {"id": "hello-flow", "goals": ["hello-script"], "init": {"name": "Argyll"}}
    assert await argyll.call("POST", "/engine/flow", start) == (
        201,
        {"message": "Flow started", "flow_id": "hello-flow"},
    )
    status, state = await argyll.call("GET", "/engine/flow/hello-flow")
    assert (status, state["status"], value(state, "greeting")) == (200, "completed", "Hello, Argyll!")
    status, health = await argyll.call("GET", "/engine/health")
    assert status == 200
    assert health["nodes"]["argyll-1"]["health"]["hello-script"] == {"status": "healthy"}


async def test_a_flow_is_watched_over_the_short_subscription(argyll: Argyll):
    await argyll.register(HELLO)
    await argyll.start_flow("hello-flow", "hello-script", name="Argyll")
    async with asyncio.timeout(30), argyll.session.ws_connect(f"{argyll.url}/engine/ws") as socket:
        await socket.send_str(json.text({"type": "subscribe", "data": {"aggregate_id": ["flow", "hello-flow"]}}))
        first = json.decode((await socket.receive()).data)
        assert (first["type"], first["id"], first["data"]["status"]) == (
            "subscribed",
            ["flow", "hello-flow"],
            "completed",
        )
        assert first["sequence"] == len(await argyll.events("hello-flow"))


def lookup(stub: Stub) -> dict[str, Any]:
    return {
        "id": "lookup-customer",
        "name": "Look up customer",
        "type": "sync",
        "http": {"method": "GET", "endpoint": stub.url + "/customers/{customer_id}", "timeout": 5000},
        "attributes": {
            "customer_id": {"role": "required", "type": "string"},
            "customer": {"role": "output", "type": "object"},
        },
    }


def payment(stub: Stub) -> dict[str, Any]:
    return {
        "id": "process-payment",
        "name": "Process payment",
        "type": "async",
        "http": {"endpoint": f"{stub.url}/payments", "timeout": 5000},
        "attributes": {
            "customer": {"role": "required", "type": "object"},
            "total": {"role": "required", "type": "number"},
            "authorized": {"role": "required", "type": "boolean"},
            "payment_id": {"role": "output", "type": "string"},
        },
    }


DISCOUNT: dict[str, Any] = {
    "id": "calculate-discount",
    "name": "Calculate discount",
    "type": "script",
    "script": {
        "language": "ale",
        "script": '{:total (if (eq (:tier customer) "gold") (* price 0.9) price)}',
    },
    "attributes": {
        "customer": {"role": "required", "type": "object"},
        "price": {"role": "required", "type": "number"},
        "total": {"role": "output", "type": "number"},
    },
}

AUTHORIZE: list[dict[str, Any]] = [
    {
        "id": "check-user",
        "name": "Check user",
        "type": "script",
        "script": {"language": "ale", "script": '{:allowed (eq user_id "c-1")}'},
        "attributes": {"user_id": {"role": "required"}, "allowed": {"role": "output", "type": "boolean"}},
    },
    {
        "id": "authorize-user",
        "name": "Authorize user",
        "type": "flow",
        "flow": {"goals": ["check-user"]},
        "attributes": {
            "customer_id": {"role": "required", "type": "string", "mapping": {"name": "user_id"}},
            "authorized": {"role": "output", "type": "boolean", "mapping": {"name": "allowed"}},
        },
    },
]


async def test_an_order_from_lookup_to_payment(argyll: Argyll, stub: Stub):
    await argyll.register(lookup(stub), payment(stub), DISCOUNT, *AUTHORIZE)
    stub.answers("/customers/c-1", {"customer": {"id": "c-1", "tier": "gold"}})
    stub.answers("/payments", 202)
    _, plan = await argyll.call("POST", "/engine/plan", {"goals": ["process-payment"]})
    assert plan["required"] == ["customer_id", "price"]
    await argyll.start_flow("order-1", "process-payment", customer_id="c-1", price=1000)
    (call,) = await stub.called("/payments")
    assert call.body == {"customer": {"id": "c-1", "tier": "gold"}, "total": 900, "authorized": True}
    (looked_up,) = stub.of("/customers/c-1")
    assert (looked_up.method, looked_up.body) == ("GET", None)
    webhook = call.headers["Argyll-Webhook-URL"]
    assert webhook == f"{argyll.url}/webhook/order-1/process-payment/{call.token}"
    assert (await argyll.flow("order-1"))["status"] == "active"
    assert await argyll.call("POST", webhook, {"payment_id": "p-1"}) == (200, None)
    state = await argyll.ended("order-1")
    assert (state["status"], value(state, "payment_id"), value(state, "authorized")) == ("completed", "p-1", True)
    child = next(iter(state["executions"]["authorize-user"]["work_items"]))
    status, child_state = await argyll.call("GET", f"/engine/flow/order-1:authorize-user:{child}")
    assert (status, value(child_state, "allowed")) == (200, True)
    assert [row["id"] for row in (await argyll.call("GET", "/engine/flow"))[1]] == ["order-1"]


async def test_a_webhook_that_comes_before_the_call_has_ended_counts(argyll: Argyll, stub: Stub):
    await argyll.register(payment(stub))

    async def at_once(heard: Heard) -> Any:
        assert (await argyll.call("POST", heard.headers["Argyll-Webhook-URL"], {"payment_id": "p-9"}))[0] == 200
        return response(202)

    stub.on("/payments", at_once)
    await argyll.start_flow("f", "process-payment", customer={}, total=1, authorized=True)
    assert value(await argyll.ended("f"), "payment_id") == "p-9"
