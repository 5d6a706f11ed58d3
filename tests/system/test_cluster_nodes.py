"""Three real nodes: any of them takes writes, what one of them was doing another goes on with, and too few say so."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from argyll.engine.ownership import first_choice

from .cluster import Cluster, three_nodes, until
from .process import Argyll, Stub, response, value

pytestmark = pytest.mark.system

NODES = ("n1", "n2", "n3")
TAKE_OVER_S = 3.0


def step(stub: Stub, step_id: str, of: str = "sync", **attributes: str) -> dict[str, Any]:
    return {
        "id": step_id,
        "name": step_id,
        "type": of,
        "http": {"endpoint": f"{stub.url}/{step_id}", "timeout": 20_000},
        "attributes": {name: {"role": role} for name, role in attributes.items()},
    }


def owned_by(name: str) -> str:
    return next(f"f{n}" for n in range(1_000) if first_choice(NODES, f"f{n}") == name)


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with three_nodes(tmp_path) as running:
        yield running


async def test_any_node_takes_writes_and_shows_them_at_once(cluster: Cluster, stub: Stub):
    """execution.md 13.1/8"""
    stub.answers("/pay", {"y": 1})
    for n, node in enumerate(cluster.nodes.values()):
        await node.register(step(stub, f"s{n}", y="output"))
        assert (await node.call("GET", f"/engine/step/s{n}"))[0] == 200
    for node in cluster.nodes.values():
        _, catalog = await node.call("GET", "/engine/catalog?consistency=linearizable")
        assert set(catalog["steps"]) == {"s0", "s1", "s2"}


async def test_nodes_may_start_one_after_the_other(tmp_path: Path, stub: Stub):
    """execution.md 13.1/9"""
    async with aiohttp.ClientSession() as session:
        cluster = Cluster(tmp_path, session, NODES)
        try:
            await cluster.nodes["n1"].start()
            assert (await cluster.nodes["n1"].call("GET", "/ready"))[0] == 503
            await cluster.start("n2", "n3")
            leader = await cluster.leader()
            follower = next(node for name, node in cluster.nodes.items() if name != leader)
            await follower.register(step(stub, "late", y="output"))
            assert (await follower.call("GET", "/engine/step/late"))[0] == 200
        finally:
            await cluster.stop()


async def test_work_of_a_killed_node_is_taken_over_within_three_seconds(cluster: Cluster, stub: Stub):
    """execution.md 13.26/255"""
    leader = await cluster.leader()
    flow_id = owned_by(leader)
    other = next(node for name, node in cluster.nodes.items() if name != leader)
    await other.register(step(stub, "pay", y="output"))
    release = asyncio.Event()

    async def pay(heard: Any) -> Any:
        if len(stub.of("/pay")) == 1:
            await release.wait()
        return response({"y": 1})

    stub.on("/pay", pay)
    await other.start_flow(flow_id, "pay")
    await stub.called("/pay")
    await cluster.nodes[leader].kill()
    killed_s = time.monotonic()
    await stub.called("/pay", 2)
    assert time.monotonic() - killed_s < TAKE_OVER_S
    release.set()
    assert (await other.ended(flow_id))["status"] == "completed"
    tokens = {heard.token for heard in stub.of("/pay")}
    assert len(tokens) == 1


async def test_a_webhook_may_go_to_any_node_and_outlive_the_one_that_asked(cluster: Cluster, stub: Stub):
    leader = await cluster.leader()
    victim = next(name for name in NODES if name != leader)
    flow_id = owned_by(victim)
    node = cluster.nodes[leader]
    await node.register(step(stub, "ask", "async", y="output"))
    stub.answers("/ask", 202)
    await node.start_flow(flow_id, "ask")
    (heard, *_) = await stub.called("/ask")
    await cluster.nodes[victim].kill()
    status, _ = await node.call("POST", f"/webhook/{flow_id}/ask/{heard.token}", {"y": 5})
    assert status == 200
    assert value(await node.ended(flow_id), "y") == 5


async def test_too_few_nodes_are_503_and_nothing_is_lost(cluster: Cluster, stub: Stub):
    node = cluster.nodes["n1"]
    await node.register(step(stub, "pay", y="output"))
    stub.answers("/pay", {"y": 1})
    await cluster.nodes["n2"].kill()
    await cluster.nodes["n3"].kill()
    await until(node, "/ready", lambda status, _: status == 503)
    async with node.session.post(f"{node.url}/engine/flow", json={"id": "f", "goals": ["pay"]}) as answer:
        problem = await answer.json(content_type=None)
        assert (answer.status, "nothing was recorded" in problem["detail"]) == (503, True)
        assert int(answer.headers["Retry-After"]) >= 1
    assert (await node.call("GET", "/engine/step/pay"))[0] == 200
    assert (await node.call("GET", "/engine/step/pay?consistency=linearizable"))[0] == 503
    async with node.session.get(f"{node.url}/health") as answer:
        assert answer.headers["X-Argyll-Raft-State"] != "leader"
    await cluster.start("n2")
    await until(node, "/ready", lambda status, _: status == 200)
    await node.start_flow("f", "pay")
    assert (await node.ended("f"))["status"] == "completed"


async def test_a_stopped_leader_hands_over_first(cluster: Cluster, stub: Stub):
    leader = await cluster.leader()
    others = [node for name, node in cluster.nodes.items() if name != leader]
    stub.answers("/pay", {"y": 1})
    await others[0].register(step(stub, "pay", y="output"))
    stopping = asyncio.ensure_future(cluster.nodes[leader].stop())
    for n in range(20):
        await others[n % 2].start_flow(f"g{n}", "pay")
    for n in range(20):
        assert (await others[0].ended(f"g{n}"))["status"] == "completed"
    assert await stopping == 0
    _, log = await others[0].call("GET", "/engine/raft")
    assert log["presence"][leader] == "left"


async def test_leadership_goes_where_it_is_sent(cluster: Cluster):
    leader = await cluster.leader()
    to = next(name for name in NODES if name != leader)
    status, _ = await cluster.nodes[leader].call("POST", "/engine/raft/transfer", {"to": to})
    assert status == 200
    assert await cluster.leader() == to
    assert (await cluster.nodes[leader].call("POST", "/engine/raft/transfer", {}))[0] == 409


async def test_a_node_that_only_slept_comes_back_to_its_share(cluster: Cluster, stub: Stub):
    leader = await cluster.leader()
    sleeper = next(name for name in NODES if name != leader)
    cluster.signal(sleeper, signal.SIGSTOP)
    try:
        node = cluster.nodes[leader]
        await until(node, "/engine/raft", lambda _, log: log["presence"][sleeper] == "left")
    finally:
        cluster.signal(sleeper, signal.SIGCONT)
    await cluster.joined(*NODES)
    stub.answers("/pay", {"y": 1})
    await node.register(step(stub, "pay", y="output"))
    flow_id = owned_by(sleeper)
    await node.start_flow(flow_id, "pay")
    await node.ended(flow_id)
    events = await node.events(flow_id)
    assert [e["data"]["node_id"] for e in events if e["type"] == "work_started"] == [sleeper]


async def test_one_node_grows_to_three_and_loses_nothing(tmp_path: Path, stub: Stub):
    async with aiohttp.ClientSession() as session:
        cluster = Cluster(tmp_path, session, NODES)
        alone = Argyll(tmp_path / "n1", session, RAFT_NODE_ID="n1")
        stub.answers("/ask", 202)
        await alone.start()
        await alone.register(step(stub, "ask", "async", y="output"))
        await alone.start_flow("f", "ask")
        (heard, *_) = await stub.called("/ask")
        before = await alone.events("f")
        assert await alone.stop() == 0
        try:
            await cluster.start()
            await cluster.joined(*NODES)
            n3 = cluster.nodes["n3"]
            assert (await n3.call("GET", "/engine/flow/f/events?consistency=linearizable"))[1]["events"][
                : len(before)
            ] == before
            assert (await n3.call("POST", f"/webhook/f/ask/{heard.token}", {"y": 3}))[0] == 200
            assert value(await n3.ended("f"), "y") == 3
        finally:
            await cluster.stop()
        code = await (await alone.spawn()).wait()
        assert code != 0
        assert "belongs to a node of a cluster" in alone.log.read_text()
