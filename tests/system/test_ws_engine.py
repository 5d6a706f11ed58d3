"""The WebSocket over a real engine: state and stream fit together while flows run."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from argyll.engine import Engine, EngineConfig
from argyll.model import json
from argyll.server import ServerConfig, serve

pytestmark = pytest.mark.system

ROUNDS = 50


def link(n: int) -> dict[str, Any]:
    """Step n of a chain: reads v<n>, writes v<n+1>."""
    return {
        "id": f"s{n}",
        "name": f"S{n}",
        "type": "script",
        "script": {"language": "ale", "script": f"{{:v{n + 1} (+ v{n} 1)}}"},
        "attributes": {f"v{n}": {"role": "required"}, f"v{n + 1}": {"role": "output"}},
    }


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    engine = await Engine.open(EngineConfig(data_dir=tmp_path, drain_s=0.5))
    server = await serve(engine, ServerConfig(port=0))
    async with aiohttp.ClientSession() as session:
        for n in range(5):
            async with session.post(f"{server.url}/engine/step", json=link(n)) as answer:
                assert answer.status == 201, await answer.text()
        yield server.url, session
    await server.close(drain_s=0.5)
    await engine.close()


async def start(url: str, session: aiohttp.ClientSession, flow_id: str) -> None:
    body = {"id": flow_id, "goals": ["s4"], "init": {"v0": 0}}
    async with session.post(f"{url}/engine/flow", json=body) as answer:
        assert answer.status == 201, await answer.text()


async def follow(url: str, session: aiohttp.ClientSession, **wish: Any) -> AsyncIterator[Any]:
    async with session.ws_connect(f"{url}/engine/ws") as socket:
        await socket.send_str(json.text({"type": "subscribe", "data": wish}))
        async for message in socket:
            yield json.decode(message.data)


async def test_state_and_events_are_one_history_without_a_gap_or_a_duplicate(
    api: tuple[str, aiohttp.ClientSession],
):
    url, session = api

    async def one(flow_id: str) -> None:
        starting = asyncio.create_task(start(url, session, flow_id))
        following: int | None = None
        path = ["flow", flow_id]
        async for heard in follow(url, session, sub_id="s", aggregate_ids=[path], include_state=True):
            if heard["type"] == "subscribed":
                following = heard["items"][0]["sequence"] if heard["items"] else 0
                if heard["items"] and "deactivated_at" in heard["items"][0]["data"]:
                    break
            else:
                assert heard["sequence"] == following
                following = heard["sequence"] + 1
                if heard["type"] == "flow_deactivated":
                    break
        await starting
        async with session.get(f"{url}/engine/flow/{flow_id}/events") as answer:
            assert (await answer.json())["count"] == following

    async with asyncio.timeout(30):
        for n in range(0, ROUNDS, 5):
            await asyncio.gather(*(one(f"f{n + i}") for i in range(5)))


async def test_a_prefix_subscription_hears_every_flow_once(api: tuple[str, aiohttp.ClientSession]):
    url, session = api
    ended: list[str] = []
    types = ["flow_completed"]
    async with asyncio.timeout(30):
        async for heard in follow(url, session, sub_id="s", aggregate_ids=[["flow"]], event_types=types):
            if heard["type"] == "subscribed":
                await asyncio.gather(*(start(url, session, f"p{n}") for n in range(ROUNDS)))
                continue
            assert heard["data"]["result"] == {"v5": 5}
            ended.append(heard["id"][1])
            if len(ended) == ROUNDS:
                break
    assert sorted(ended) == sorted(f"p{n}" for n in range(ROUNDS))


async def test_the_cluster_tells_the_health_of_a_new_step(api: tuple[str, aiohttp.ClientSession]):
    url, session = api
    async with asyncio.timeout(10):
        async for heard in follow(url, session, aggregate_id=["engine"]):
            if heard["type"] == "subscribed":
                assert set(heard["data"]) == {"steps", "attributes", "health", "last_updated"}
                async with session.post(f"{url}/engine/step", json=link(7)) as answer:
                    assert answer.status == 201
            elif heard["type"] == "step_health_changed" and heard["data"]["step_id"] == "s7":
                break
