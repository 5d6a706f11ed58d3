"""Revisions and sources over HTTP on a real engine and a real store, with the clients and the command."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from argyll.client import ApprovalNeeded, AsyncClient, Conflict, NotFound, StepOwned, Stopped
from argyll.client.service import StepService
from argyll.engine import Engine, EngineConfig
from argyll.model.revision import apply_id
from argyll.server import RunningServer, ServerConfig, serve

pytestmark = pytest.mark.system


def step(step_id: str, name: str = "", **attributes: str) -> dict[str, Any]:
    made = {attribute: {"role": role} for attribute, role in attributes.items()}
    http = {"endpoint": f"http://127.0.0.1:9/{step_id}"}
    return {"id": step_id, "name": name or step_id, "type": "sync", "http": http, "attributes": made}


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[RunningServer]:
    engine = await Engine.open(EngineConfig(data_dir=directory, drain_s=0.5))
    server = await serve(engine, ServerConfig(port=0))
    try:
        yield server
    finally:
        await server.close(drain_s=0.5)
        await engine.close()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RunningServer]:
    async with running(tmp_path / "data") as one:
        yield one


@pytest.fixture
async def client(server: RunningServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.url) as one:
        yield one


async def revision(client: AsyncClient, name: str, *steps: Any, deletes: Any = (), **options: Any) -> dict[str, Any]:
    index = await client.catalog_index()
    mark = index["sources"].get("pay", {"revision": None, "sequence": -1})
    touched = [one["id"] for one in steps] + list(deletes)
    return {
        "source": "pay", "revision": name, "previous": mark["revision"],
        "apply_id": apply_id("pay", name, mark["revision"] or "", json.dumps([steps, deletes]), mark["sequence"]),
        "steps": [{"step": one} for one in steps], "deletes": list(deletes),
        "preconditions": {step_id: index["steps"].get(step_id, {}).get("live_hash") for step_id in touched},
    } | options  # fmt: skip


async def argyll(server: RunningServer, *arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "argyll", *arguments, "--engine", server.url,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_a_revision_travels_whole_or_not_at_all(client: AsyncClient):
    request = await revision(client, "c1", step("b", y="required"), step("a", y="output"))
    first = await client.apply_revision(request)
    assert (first["created"], (await client.apply_revision(request))["duplicate"]) == (["a", "b"], True)
    assert (await client.apply_outcome(request["apply_id"]))["state"] == "committed"
    assert [event["type"] async for event in client.catalog_events()] == [
        "step_registered", "step_registered", "source_synced",
    ]  # fmt: skip
    with pytest.raises(Conflict, match="previous null"):
        await client.apply_revision(request | {"apply_id": "other", "previous": None})
    with pytest.raises(NotFound):
        await client.apply_outcome("unknown")


async def test_two_agents_with_the_same_fifty_commits_leave_fifty_revisions(client: AsyncClient):
    """gitops scenario 36"""

    async def agent() -> None:
        for number in range(50):
            while True:
                request = await revision(client, f"c{number}", step("a", f"name {number}"))
                applied = request["previous"]
                if applied is not None and int(applied[1:]) >= number:
                    break
                try:
                    await client.apply_revision(request)
                except Conflict:
                    continue
                break

    await asyncio.gather(agent(), agent())
    synced = [event["data"]["revision"] async for event in client.catalog_events() if event["type"] == "source_synced"]
    assert synced == [f"c{number}" for number in range(50)]


async def test_the_index_is_sent_once_for_each_state(server: RunningServer, client: AsyncClient):
    await client.apply_revision(await revision(client, "c1", step("a")))
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{server.url}/engine/catalog/index") as answer:
            tag = answer.headers["ETag"]
        for known, status in ((tag, 304), (f'W/"x", {tag}', 304), ('"c0"', 200)):
            headers = {"If-None-Match": known}
            async with session.get(f"{server.url}/engine/catalog/index", headers=headers) as answer:
                assert (answer.status, answer.headers["ETag"]) == (status, tag)


async def test_parts_may_come_compressed_and_before_the_commit(server: RunningServer, client: AsyncClient):
    request = await revision(client, "c1", *(step(f"s{n}") for n in range(50)))
    name = await client.stage(request["apply_id"], 0, request["steps"][:25])
    async with aiohttp.ClientSession() as session:
        url = f"{server.url}/engine/catalog/staging/{request['apply_id']}/1"
        async with session.put(url, json=request["steps"][25:], compress="deflate") as answer:
            second = (await answer.json())["chunk"]
        async with session.put(f"{url}x", json=[]) as answer:
            assert answer.status == 400
    answer = await client.apply_revision(request | {"steps": [], "chunks": [name, second]})
    assert len(answer["created"]) == 50


async def test_people_stop_agree_and_go_back_by_the_command(server: RunningServer, client: AsyncClient, tmp_path: Path):
    """gitops scenarios 9, 31"""
    file = tmp_path / "pay.yaml"
    file.write_text("apiVersion: argyll/v1\nkind: Source\nid: pay\ndir: /srv/steps\nprune: {floor: 0}\n")
    assert (await argyll(server, "source", "apply", str(file)))[0] == 0
    await client.apply_revision(await revision(client, "c1", step("a"), step("b")))
    with pytest.raises(ApprovalNeeded) as raised:
        await client.apply_revision(await revision(client, "c2", deletes=["b"]))
    digest = raised.value.plan_digest
    blocked = {"type": "blocked", "revision": "c2", "code": "B001", "message": "1 of 2", "plan_digest": digest}
    assert await client.report_source("pay", blocked)
    code, out, _ = await argyll(server, "source", "status", "pay")
    assert (code, f"--plan {digest}" in out) == (8, True)
    waiting = asyncio.create_task(argyll(server, "source", "wait", "pay", "--revision", "c3"))
    assert (await argyll(server, "source", "wait", "pay", "--revision", "c2"))[0] == 4
    assert (await argyll(server, "source", "approve", "pay", "--plan", digest))[0] == 0
    await client.apply_revision(await revision(client, "c2", deletes=["b"], prune_ack=digest))
    await client.apply_revision(await revision(client, "c3", step("a", "Third")))
    assert (await waiting)[0] == 0
    code, out, _ = await argyll(server, "source", "rollback", "pay", "--to", "c1")
    assert (code, "back at c1" in out) == (0, True)
    assert {one["id"]: one["name"] for one in await client.steps()} == {"a": "a", "b": "b"}
    with pytest.raises(Stopped):
        await client.apply_revision(await revision(client, "c3", step("a", "Third")))
    code, out, _ = await argyll(server, "source", "history", "pay", "-o", "json")
    assert [one["revision"] for one in json.loads(out)["applies"]] == ["c1", "c3", "c2", "c1"]
    assert (await argyll(server, "source", "wait", "pay", "--revision", "c9", "--timeout", "0.1"))[0] == 7


@pytest.mark.parametrize("policy", ["reject", "ignore"])
async def test_a_service_starts_whoever_owns_its_steps(client: AsyncClient, policy: str):
    """gitops scenario 26"""
    service = StepService("shop")

    @service.step(outputs={"greeting": str})
    def greet(name: str) -> dict[str, str]:
        return {"greeting": f"Hello, {name}"}

    @service.step(outputs={"total": int})
    def price(sku: str) -> dict[str, int]:
        return {"total": 1}

    await client.configure_source("pay", {"dir": "/srv", "foreign_writes": policy})
    await client.apply_revision(await revision(client, "c1", step("greet", greeting="output")))
    await service.start(port=0)
    try:
        assert await service.register(client) == {"greet": "pay"}
        assert await service.register(client) == {"greet": "pay"}
    finally:
        await service.stop()
    assert (await client.step("greet"))["http"]["endpoint"] == "http://127.0.0.1:9/greet"
    assert (await client.step("price"))["http"]["endpoint"].startswith(service.base_url)
    if policy == "reject":
        with pytest.raises(StepOwned):
            await client.unregister("greet")
    await client.unregister("greet", override="fire")
    assert (await client.source("pay"))["drifted"] == ["greet"]


async def test_a_source_can_be_watched(client: AsyncClient):
    await client.configure_source("pay", {"dir": "/srv"})
    seen: list[Any] = []
    watching = client.watch(("source", "pay"), include_state=True)
    async with asyncio.timeout(10):
        async for change in watching:
            seen.append(change)
            if len(seen) == 1:
                await client.decide_source("pay", "refresh")
            else:
                break
    await watching.aclose()
    assert (seen[0].data["id"], seen[1].type) == ("pay", "source_refresh_requested")


async def test_everything_is_there_after_a_restart(tmp_path: Path):
    async with running(tmp_path / "data") as server, AsyncClient(server.url) as client:
        await client.configure_source("pay", {"dir": "/srv"})
        await client.apply_revision(await revision(client, "c1", step("a")))
        before = await client.source("pay"), await client.catalog_index()
    async with running(tmp_path / "data") as server, AsyncClient(server.url) as client:
        assert (await client.source("pay"), await client.catalog_index()) == before
