"""Killed at random moments under load, a node loses nothing that it acknowledged and repeats only what was in flight."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.system.process import Argyll, Stub, response, stub_services

pytestmark = pytest.mark.faults

ROUNDS = 6
CLIENTS = 12
STEPS = 3


def step(stub: Stub, n: int) -> dict[str, Any]:
    """Step n of a chain over HTTP; the second answers by webhook."""
    return {
        "id": f"s{n}",
        "name": f"S{n}",
        "type": "async" if n == 1 else "sync",
        "http": {"endpoint": f"{stub.url}/s{n}", "timeout": 10_000},
        "work_config": {"max_retries": -1, "init_backoff": 20, "max_backoff": 100},
        "attributes": {f"x{n}": {"role": "required"}, f"x{n + 1}": {"role": "output"}},
    }


class Load:
    """Clients that start flows one after the other, and remember what was acknowledged."""

    def __init__(self, argyll: Argyll, stub: Stub) -> None:
        self.argyll, self.stub = argyll, stub
        self.acknowledged: list[str] = []
        self.began: Counter[str] = Counter()
        self._numbers = iter(range(1 << 30))
        self._webhooks: set[asyncio.Task[None]] = set()
        for n in range(STEPS):
            stub.on(f"/s{n}", self._serve_webhook if n == 1 else self._serve)

    async def _serve(self, heard: Any) -> Any:
        self.began[heard.token] += 1
        await asyncio.sleep(random.random() / 100)
        return response({f"x{int(heard.path[2:]) + 1}": heard.token})

    async def _serve_webhook(self, heard: Any) -> Any:
        self.began[heard.token] += 1
        task = asyncio.ensure_future(self._report(heard.headers["Argyll-Webhook-URL"], heard.token))
        self._webhooks.add(task)
        task.add_done_callback(self._webhooks.discard)
        return response(202)

    async def _report(self, webhook: str, token: str) -> None:
        """Report until it is acknowledged, as a service has to."""
        while True:
            try:
                if (await self.argyll.call("POST", webhook, {"x2": token}))[0] == 200:
                    return
            except (aiohttp.ClientError, OSError):
                await asyncio.sleep(0.02)

    async def run_until_killed(self, acknowledgements: int) -> None:
        """Start flows; kill the node once that many more were acknowledged."""
        enough = asyncio.Event()
        wanted = len(self.acknowledged) + acknowledgements

        async def client() -> None:
            while True:
                flow_id = f"f{next(self._numbers)}"
                body = {"id": flow_id, "goals": [f"s{STEPS - 1}"], "init": {"x0": 0}}
                try:
                    status, _ = await self.argyll.call("POST", "/engine/flow", body)
                except (aiohttp.ClientError, OSError):
                    return
                assert status == 201
                self.acknowledged.append(flow_id)
                if len(self.acknowledged) >= wanted:
                    enough.set()

        clients = [asyncio.ensure_future(client()) for _ in range(CLIENTS)]
        await enough.wait()
        await self.argyll.kill()
        await asyncio.gather(*clients)

    async def close(self) -> None:
        for task in self._webhooks:
            task.cancel()


@pytest.fixture
async def load(tmp_path: Path) -> AsyncIterator[Load]:
    async with stub_services() as stub, aiohttp.ClientSession() as session:
        argyll = Argyll(tmp_path / "data", session)
        made = Load(argyll, stub)
        yield made
        await made.close()
        await argyll.kill()


async def history(argyll: Argyll, flow_id: str) -> list[Any]:
    events = await argyll.events(flow_id)
    assert [event["sequence"] for event in events] == list(range(len(events)))
    return events


@pytest.mark.timeout(180)
async def test_a_node_that_is_killed_again_and_again(load: Load):
    argyll, seed = load.argyll, random.Random(11)
    await argyll.start()
    await argyll.register(*(step(load.stub, n) for n in range(STEPS)))
    starts = 1
    for _ in range(ROUNDS):
        await load.run_until_killed(seed.randrange(1, 120))
        await argyll.start()
        starts += 1
    assert len(set(load.acknowledged)) == len(load.acknowledged) > ROUNDS
    claims: Counter[str] = Counter()
    for flow_id in load.acknowledged:
        assert (await argyll.ended(flow_id))["status"] == "completed"
        events = await history(argyll, flow_id)
        kinds = Counter(event["type"] for event in events)
        # Every result was committed once, and each end once.
        assert kinds["work_succeeded"] == kinds["step_completed"] == kinds["attribute_set"] == STEPS
        assert kinds["flow_started"] == kinds["flow_completed"] == kinds["flow_deactivated"] == 1
        claims.update(claimed_before_success(events))
    # No call without a claim, and one claim of an item at most in each life of the node.
    assert all(load.began[token] <= times <= ROUNDS + 1 for token, times in claims.items())
    assert sum(times > 1 for times in claims.values()) < len(claims) / 2


def claimed_before_success(events: list[Any]) -> Counter[str]:
    """Claims by token; none may come after the item's result."""
    claims: Counter[str] = Counter()
    succeeded: set[str] = set()
    for event in events:
        if event["type"] == "work_started":
            assert event["data"]["token"] not in succeeded
            claims[event["data"]["token"]] += 1
            assert event["data"]["attempt"] == claims[event["data"]["token"]]
        elif event["type"] == "work_succeeded":
            succeeded.add(event["data"]["token"])
    return claims
