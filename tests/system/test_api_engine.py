"""The API over a real engine and a real store, with real step services (surface.md 13, the parts the API decides)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from argyll.engine import Engine, EngineConfig
from argyll.model import json
from argyll.server import RunningServer, ServerConfig, serve

pytestmark = pytest.mark.system

HELLO: dict[str, Any] = {
    "id": "hello",
    "name": "Hello",
    "type": "script",
    "script": {"language": "ale", "script": '{:greeting (str "hi " name)}'},
    "attributes": {"name": {"role": "required", "type": "string"}, "greeting": {"role": "output", "type": "string"}},
}


def pay(url: str) -> dict[str, Any]:
    return {
        "id": "pay",
        "name": "Pay",
        "type": "async",
        "http": {"endpoint": f"{url}/pay", "timeout": 5000},
        "attributes": {"receipt": {"role": "output"}},
    }


class Node:
    """An engine, its API and a client on it."""

    def __init__(self, server: RunningServer, session: aiohttp.ClientSession) -> None:
        self.url = server.url
        self.session = session

    async def call(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
        data = None if body is None else json.encode(body)
        async with self.session.request(method, self.url + path, data=data, **options) as answer:
            text = await answer.read()
            return answer.status, json.decode(text) if text else None

    async def wait_for(self, flow_id: str, event_type: str) -> list[Any]:
        """The flow's events up to the first of a type, as one subscription brings them."""
        async with asyncio.timeout(10), self.session.ws_connect(f"{self.url}/engine/ws") as socket:
            data = {"sub_id": "w", "aggregate_ids": [["flow", flow_id]], "from_sequence": 0}
            await socket.send_str(json.text({"type": "subscribe", "data": data}))
            events: list[Any] = []
            async for message in socket:
                heard = json.decode(message.data)
                if heard["type"] != "subscribed":
                    events.append(heard)
                if heard["type"] == event_type:
                    return events
        raise AssertionError(f"{flow_id}: no {event_type}")


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[Node]:
    engine = await Engine.open(EngineConfig(data_dir=directory, drain_s=0.5))
    server = await serve(engine, ServerConfig(port=0))
    engine.webhook_base = server.url
    try:
        async with aiohttp.ClientSession() as session:
            yield Node(server, session)
    finally:
        await server.close(drain_s=0.5)
        await engine.close()


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    async with running(tmp_path / "data") as started:
        yield started


@pytest.fixture
async def payments() -> AsyncIterator[tuple[str, asyncio.Queue[str]]]:
    """A service that takes asynchronous work and gives the webhook URLs to the test."""
    webhooks: asyncio.Queue[str] = asyncio.Queue()

    async def accept(request: web.Request) -> web.Response:
        webhooks.put_nowait(request.headers["Argyll-Webhook-URL"])
        return web.Response(status=202)

    app = web.Application()
    app.router.add_post("/pay", accept)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}", webhooks
    await runner.cleanup()


async def test_a_fresh_node_is_empty_and_says_so(node: Node):
    """execution.md 13.2/34, 13.24/226, 13.24/231, 13.24/233"""
    status, overview = await node.call("GET", "/engine")
    assert (status, overview["steps"], overview["attributes"]) == (200, {}, {})
    assert list(overview["health"]) == ["argyll-1"]
    assert await node.call("GET", "/engine/step") == (200, {"steps": [], "count": 0})
    assert await node.call("GET", "/engine/flow") == (200, [])
    assert await node.call("POST", "/engine/flow/query", {}) == (200, {"flows": [], "count": 0})
    for history in ("catalog", "cluster"):
        assert await node.call("GET", f"/engine/{history}/events") == (200, {"events": [], "count": 0})


async def test_the_life_of_a_step(node: Node):
    """execution.md 13.24/226, 13.24/233"""
    status, answer = await node.call("POST", "/engine/step", HELLO | {"id": "My Hello!"})
    assert (status, answer["step"]["id"], "work_config" in answer["step"]) == (201, "my-hello", False)
    assert (await node.call("POST", "/engine/step", HELLO | {"id": "my-hello"}))[0] == 201
    assert (await node.call("POST", "/engine/step", HELLO | {"id": "my-hello", "name": "Other"}))[0] == 409
    assert (await node.call("GET", "/engine/step/My-Hello"))[0] == 404
    status, shown = await node.call("GET", "/engine/step/my-hello")
    assert shown["work_config"]["backoff_type"] == "exponential"
    assert (await node.call("PUT", "/engine/step/MY-HELLO", HELLO | {"id": "My-Hello", "name": "New"}))[0] == 200
    assert (await node.call("PUT", "/engine/step/other", HELLO))[0] == 400
    assert (await node.call("PUT", "/engine/step/hello", HELLO))[0] == 404
    _, history = await node.call("GET", "/engine/catalog/events")
    assert [event["type"] for event in history["events"]] == ["step_registered", "step_updated"]
    assert (await node.call("GET", "/engine/health/my-hello"))[1] == {"status": "healthy"}
    assert (await node.call("DELETE", "/engine/step/my-hello"))[0] == 200
    assert (await node.call("DELETE", "/engine/step/my-hello"))[0] == 404


async def test_a_faulty_step_is_refused_with_every_finding(node: Node):
    """execution.md 13.24/226"""
    faulty = {"id": "x", "name": "", "type": "script", "attributes": {"a": {"role": "inptu"}}}
    status, problem = await node.call("POST", "/engine/step", faulty)
    assert (status, problem["status"]) == (400, 400)
    assert len(problem["errors"]) >= 2
    assert all({"path", "code", "message"} <= set(found) for found in problem["errors"])


async def test_a_catalog_is_applied_at_once_or_not_at_all(node: Node):
    status, answer = await node.call("POST", "/engine/catalog/apply", {"owner": "git", "steps": [HELLO]})
    assert (status, answer["applied"], answer["created"]) == (200, True, ["hello"])
    status, problem = await node.call(
        "POST", "/engine/catalog/apply", {"owner": "git", "steps": [HELLO, {"id": "bad", "type": "nope"}]}
    )
    assert (status, bool(problem["errors"])) == (400, True)
    assert (await node.call("GET", "/engine/step"))[1]["count"] == 1


async def test_a_flow_runs_and_is_read_in_every_way(node: Node):
    """execution.md 13.3/47, 13.8/77, 13.8/80, 13.24/227-228, 13.24/233"""
    await node.call("POST", "/engine/step", HELLO)
    start = {"id": "F 1!", "goals": ["hello"], "init": {"name": "Bob"}, "labels": {"k": "v"}}
    assert await node.call("POST", "/engine/flow", start) == (201, {"message": "Flow started", "flow_id": "f-1"})
    live = await node.wait_for("f-1", "flow_deactivated")
    _, stored = await node.call("GET", "/engine/flow/f-1/events")
    assert [e["sequence"] for e in stored["events"]] == list(range(stored["count"]))
    assert [(e["type"], e["data"]) for e in stored["events"]] == [(e["type"], e["data"]) for e in live]
    _, state = await node.call("GET", "/engine/flow/f-1")
    assert (state["status"], state["attributes"]["greeting"][0]["value"]) == ("completed", "hi Bob")
    assert await node.call("GET", "/engine/flow/f-1/status") == (200, {"id": "f-1", "status": "completed"})
    _, listed = await node.call("POST", "/engine/flow/query", {"labels": {"k": "v"}})
    assert [(row["id"], row["status"], row["labels"]) for row in listed["flows"]] == [("f-1", "completed", {"k": "v"})]


async def test_starting_again_is_idempotent_and_never_silently_different(node: Node):
    """execution.md 13.3/42-43, 13.9/90, 13.24/227"""
    await node.call("POST", "/engine/step", HELLO)
    start: dict[str, Any] = {"id": "f", "goals": ["hello"], "init": {"name": "Bob"}}
    answers = await asyncio.gather(*(node.call("POST", "/engine/flow", start) for _ in range(16)))
    assert {status for status, _ in answers} == {201}
    await node.wait_for("f", "flow_deactivated")
    _, history = await node.call("GET", "/engine/flow/f/events")
    assert [event["type"] for event in history["events"]].count("flow_started") == 1
    assert (await node.call("POST", "/engine/flow", start | {"init": {"name": "Eve"}}))[0] == 409


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"id": "@@"}, 400),
        ({"id": "x" * 257}, 400),
        ({"goals": []}, 400),
        ({"goals": ["hello"] * 65}, 400),
        ({"goals": ["nope"]}, 404),
        ({"init": {}}, 400),
        ({"init": {"name": []}}, 400),
        ({"init": {f"n{n}": 1 for n in range(129)}}, 400),
        ({"labels": {f"n{n}": "1" for n in range(33)}}, 400),
    ],
)
async def test_a_flow_that_cannot_start_leaves_nothing(node: Node, change: dict[str, Any], status: int):
    """execution.md 13.23/221-222, 13.24/227"""
    await node.call("POST", "/engine/step", HELLO)
    start: dict[str, Any] = {"id": "f", "goals": ["hello"], "init": {"name": "Bob"}}
    answered, problem = await node.call("POST", "/engine/flow", start | change)
    assert (answered, problem["status"]) == (status, status)
    assert (await node.call("GET", "/engine/flow/f"))[0] == 404


async def test_a_plan_names_what_init_must_supply(node: Node):
    """execution.md 13.23/222, 13.24/229"""
    await node.call("POST", "/engine/step", HELLO)
    status, plan = await node.call("POST", "/engine/plan", {"goals": ["hello"]})
    assert (status, plan["required"]) == (200, ["name"])
    assert (await node.call("POST", "/engine/plan", {"goals": ["nope"]}))[0] == 404
    assert (await node.call("POST", "/engine/plan", {"goals": []}))[0] == 400


async def test_a_webhook_completes_work_once(node: Node, payments: tuple[str, asyncio.Queue[str]]):
    """execution.md 13.24/230"""
    url, webhooks = payments
    await node.call("POST", "/engine/step", pay(url))
    await node.call("POST", "/engine/flow", {"id": "f", "goals": ["pay"]})
    webhook = (await webhooks.get()).removeprefix(node.url)
    assert (await node.call("POST", webhook + "x", {}))[0] == 400
    assert (await node.call("POST", webhook.replace("/pay/", "/other/"), {}))[0] == 400
    assert (await node.call("POST", webhook.replace("/f/", "/g/"), {}))[0] == 400
    assert await node.call("POST", webhook, {"receipt": "r-1"}) == (200, None)
    assert await node.call("POST", webhook, {"receipt": "r-2"}) == (200, None)
    events = await node.wait_for("f", "flow_deactivated")
    assert [e["data"]["result"] for e in events if e["type"] == "flow_completed"] == [{"receipt": "r-1"}]


async def test_a_webhook_with_a_problem_fails_work(node: Node, payments: tuple[str, asyncio.Queue[str]]):
    """execution.md 13.24/230"""
    url, webhooks = payments
    await node.call("POST", "/engine/step", pay(url))
    await node.call("POST", "/engine/flow", {"id": "f", "goals": ["pay"]})
    webhook = (await webhooks.get()).removeprefix(node.url)
    headers = {"Content-Type": "application/problem+json"}
    assert (await node.call("POST", webhook, {"detail": "card refused"}, headers=headers))[0] == 200
    events = await node.wait_for("f", "flow_failed")
    assert "card refused" in next(e["data"]["error"] for e in events if e["type"] == "work_failed")


async def test_cancelling_ends_a_flow_and_again_gives_up_what_still_runs(
    node: Node, payments: tuple[str, asyncio.Queue[str]]
):
    url, webhooks = payments
    await node.call("POST", "/engine/step", pay(url))
    await node.call("POST", "/engine/flow", {"id": "f", "goals": ["pay"]})
    await webhooks.get()
    assert (await node.call("POST", "/engine/flow/f/cancel"))[0] == 200
    assert (await node.call("GET", "/engine/flow/f"))[1]["status"] == "failed"
    assert (await node.call("GET", "/engine/flow/f/status"))[1]["status"] == "active"
    assert (await node.call("POST", "/engine/flow/f/cancel"))[0] == 200
    assert (await node.call("GET", "/engine/flow/f/status"))[1]["status"] == "failed"
    assert (await node.call("POST", "/engine/flow/f/cancel"))[0] == 409
    assert (await node.call("POST", "/engine/flow/g/cancel"))[0] == 404


async def test_pages_of_flows_hold_each_flow_once(node: Node):
    """execution.md 13.8/77, 13.8/79, 13.24/228"""
    await node.call("POST", "/engine/step", HELLO)
    for n in range(7):
        await node.call("POST", "/engine/flow", {"id": f"q-{n}", "goals": ["hello"], "init": {"name": "x"}})
        await node.wait_for(f"q-{n}", "flow_deactivated")
    seen: list[str] = []
    query: dict[str, Any] = {"id_prefix": "q-", "limit": 3}
    while True:
        _, page = await node.call("POST", "/engine/flow/query", query)
        assert page["total"] == 7
        seen += [row["id"] for row in page["flows"]]
        if not page.get("has_more"):
            break
        query["cursor"] = page["next_cursor"]
    assert seen == [f"q-{n}" for n in range(7)]
    assert (await node.call("POST", "/engine/flow/query", {"cursor": "@@"}))[0] == 400


async def test_what_was_answered_is_there_after_a_restart(tmp_path: Path):
    async with running(tmp_path) as node:
        await node.call("POST", "/engine/step", HELLO)
        await node.call("POST", "/engine/flow", {"id": "f", "goals": ["hello"], "init": {"name": "Bob"}})
        await node.wait_for("f", "flow_deactivated")
        before = [(await node.call("GET", path))[1] for path in ("/engine/flow/f", "/engine/catalog")]
    async with running(tmp_path) as node:
        after = [(await node.call("GET", path))[1] for path in ("/engine/flow/f", "/engine/catalog")]
        assert after == before
