"""Flows of five steps over HTTP while nodes die and sleep at random: all complete, all nodes tell the same history, and
nothing whose result was committed is called again."""

import asyncio
import itertools
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from .cluster import Cluster, three_nodes
from .process import Argyll, Heard, Stub, response, stub_services

pytestmark = [pytest.mark.system, pytest.mark.faults]

NODES = ("n1", "n2", "n3")
STEPS = 5
CLIENTS = 8


def step(stub: Stub, n: int) -> dict[str, Any]:
    """Step n of W2: a chain over HTTP. The third answers by webhook."""
    return {
        "id": f"w2-{n}",
        "name": f"W2 {n}",
        "type": "async" if n == 3 else "sync",
        "http": {"endpoint": f"{stub.url}/w2-{n}", "timeout": 5_000},
        "work_config": {"max_retries": -1, "init_backoff": 20, "max_backoff": 100},
        "attributes": {f"x{n - 1}": {"role": "required"}, f"x{n}": {"role": "output"}},
    }


class Load:
    """Clients that start flows one after the other on whichever node answers, and remember what was acknowledged."""

    def __init__(self, cluster: Cluster, stub: Stub, chance: random.Random) -> None:
        self._cluster, self._chance = cluster, chance
        self.acknowledged: list[str] = []
        self.calls: Counter[str] = Counter()
        self._reports: set[asyncio.Task[None]] = set()
        for n in range(1, STEPS + 1):
            stub.on(f"/w2-{n}", self._accept if n == 3 else self._serve)

    async def run(self, flows: int, harassing: asyncio.Future[None]) -> None:
        """Start so many flows at least, and more for as long as somebody harasses the nodes."""
        numbers = itertools.count()

        async def client() -> None:
            while len(self.acknowledged) < flows or not harassing.done():
                flow_id = f"f{next(numbers)}"
                await self._somewhere("/engine/flow", {"id": flow_id, "goals": [f"w2-{STEPS}"], "init": {"x0": 1}})
                self.acknowledged.append(flow_id)
                await asyncio.sleep(self._chance.uniform(0, 0.2))

        await asyncio.gather(*(client() for _ in range(CLIENTS)))

    async def _serve(self, heard: Heard) -> Any:
        self.calls[heard.token] += 1
        await asyncio.sleep(self._chance.random() / 50)
        return response({f"x{heard.path[-1]}": heard.token})

    async def _accept(self, heard: Heard) -> Any:
        self.calls[heard.token] += 1
        path = "/" + heard.headers["Argyll-Webhook-URL"].split("/", 3)[3]
        task = asyncio.ensure_future(self._somewhere(path, {"x3": heard.token}))
        self._reports.add(task)
        task.add_done_callback(self._reports.discard)
        return response(202)

    async def _somewhere(self, path: str, body: Any) -> None:
        """Send until some node acknowledges, as a client behind a load balancer does."""
        while True:
            node = self._cluster.nodes[self._chance.choice(NODES)]
            try:
                async with asyncio.timeout(15):
                    status, _ = await node.call("POST", path, body)
                if status in (200, 201):
                    return
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(0.02)


async def harass(cluster: Cluster, chance: random.Random, rounds: int) -> None:
    """Kill a node and start it again, or put one to sleep; one at a time, so that a majority is always awake."""
    for _ in range(rounds):
        name = chance.choice(NODES)
        if chance.random() < 0.7:
            await cluster.nodes[name].kill()
            await asyncio.sleep(chance.uniform(0, 2.0))  # dead for long enough to be missed, or not
        else:
            cluster.signal(name, signal.SIGSTOP)
            await asyncio.sleep(chance.uniform(0.2, 2.5))
            cluster.signal(name, signal.SIGCONT)
            continue
        await cluster.start(name)
        await asyncio.sleep(chance.uniform(0, 0.5))


async def history(node: Argyll, flow_id: str) -> list[Any]:
    _, answer = await node.call("GET", f"/engine/flow/{flow_id}/events?consistency=linearizable")
    return answer["events"]


async def check(cluster: Cluster, load: Load, flow_id: str) -> int:
    """One flow's history on all nodes; gives how many of its items were claimed more than once."""
    histories = [await history(node, flow_id) for node in cluster.nodes.values()]
    assert histories[0] == histories[1] == histories[2]
    events = histories[0]
    assert [event["sequence"] for event in events] == list(range(len(events)))
    types = Counter(event["type"] for event in events)
    assert types["flow_completed"] == types["flow_deactivated"] == 1
    assert types["work_succeeded"] == types["step_completed"] == STEPS
    claims: Counter[str] = Counter()
    settled: set[str] = set()
    for event in events:
        token = event["data"].get("token")
        if event["type"] == "work_started":
            assert token not in settled, f"{flow_id}: {token} was claimed after its result was committed"
            claims[token] += 1
        elif event["type"] == "work_succeeded":
            settled.add(token)
    for token, claimed in claims.items():
        assert load.calls[token] <= claimed, (
            f"{flow_id}: {token} was called {load.calls[token]} times for {claimed} claims"
        )
    return sum(1 for claimed in claims.values() if claimed > 1)


async def campaign(directory: Path, seed: int, flows: int, rounds: int) -> None:
    chance = random.Random(seed)
    async with stub_services() as stub, three_nodes(directory) as cluster:
        await cluster.nodes["n1"].register(*(step(stub, n) for n in range(1, STEPS + 1)))
        load = Load(cluster, stub, chance)
        harassing = asyncio.ensure_future(harass(cluster, chance, rounds))
        await load.run(flows, harassing)
        await harassing
        await cluster.joined(*NODES)
        for flow_id in load.acknowledged:
            await cluster.nodes["n1"].ended(flow_id)
        taken_over = [await check(cluster, load, flow_id) for flow_id in load.acknowledged]
        assert sum(taken_over) > 0, "no node died with work under way: the campaign showed nothing"


@pytest.mark.timeout(240)
async def test_flows_complete_while_nodes_die(tmp_path: Path):
    await campaign(tmp_path, seed=5, flows=150, rounds=6)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(10))
async def test_a_thousand_flows_complete_while_nodes_die(tmp_path: Path, seed: int):
    await campaign(tmp_path, seed, flows=1_000, rounds=40)
