"""The floor engine end to end, in this process, driven by the benchmark's own client."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from argyll.model.json import decode, encode
from benchmarks.floor import serve
from benchmarks.floor_machine import Step, make_plan
from benchmarks.load import ClosedLoop, EngineClient, UnexpectedAnswer
from benchmarks.processes import free_port
from benchmarks.stepservice import StepConnection, StepService
from benchmarks.wire import LOOPBACK
from benchmarks.workloads import WORKLOADS, chain_flow, fan_flow, script_flow, step_definitions


def catalog() -> dict[str, Step]:
    steps = [msgspec.json.decode(encode(definition), type=Step) for definition in step_definitions(1)]
    return {step.id: step for step in steps}


def test_a_plan_is_the_backward_closure_of_its_goals():
    plan = make_plan(catalog(), ["w2-3"], {"x0", "fid"})
    assert sorted(plan.steps) == ["w2-1", "w2-2", "w2-3"]
    assert plan.consumers["x1"] == ["w2-2"]


def test_a_plan_stops_at_what_is_given():
    assert sorted(make_plan(catalog(), ["w2-3"], {"x2", "fid"}).steps) == ["w2-3"]


@asynccontextmanager
async def floor(log_file: Path, edge: str, step_client: str) -> AsyncIterator[tuple[EngineClient, StepService]]:
    loop = asyncio.get_running_loop()
    service = StepService(loop.time)
    step_server = await loop.create_server(lambda: StepConnection(service), LOOPBACK, 0)
    step_port = step_server.sockets[0].getsockname()[1]
    port = free_port()
    serving = loop.create_task(serve(port, step_port, log_file, edge, step_client))
    client = EngineClient(port)
    async with asyncio.timeout(10):
        while (await client.pool.request("GET", "/health"))[0] != 200:
            assert not serving.done()
    await client.register(step_definitions(step_port))
    yield client, service
    client.close()
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    step_server.close()


@pytest.mark.parametrize(("edge", "step_client"), [("raw", "raw"), ("aiohttp", "raw"), ("raw", "aiohttp")])
@pytest.mark.parametrize(
    ("flow_body", "calls_per_flow"), [(script_flow, 0), (chain_flow, 5), (fan_flow, 101)], ids=["w1", "w2", "w3"]
)
async def test_every_variant_completes_every_flow(
    tmp_path: Path, edge: str, step_client: str, flow_body: Callable[[str], bytes], calls_per_flow: int
):
    async with floor(tmp_path / "log", edge, step_client) as (client, service):
        load = await ClosedLoop(client, flow_body, "t").run(in_flight=3, duration_s=0.0)
        stats = service.ledger.stats()
    assert load.failures == []
    assert len(load.latencies_s) == 3
    assert (stats.calls, stats.repeated_calls) == (3 * calls_per_flow, 0)


async def test_the_log_holds_the_events_of_a_flow_in_order(tmp_path: Path):
    async with floor(tmp_path / "log", "raw", "raw") as (client, _):
        await ClosedLoop(client, script_flow, "t").run(in_flight=1, duration_s=0.0)
    content = (tmp_path / "log").read_bytes()
    events: list[tuple[str, int]] = []
    while content:
        size = int.from_bytes(content[:4], "little")
        payload, content = content[8 : 8 + size].decode(), content[8 + size :]
        events += [(event["type"], event["sequence"]) for event in decode(f"[{payload.replace('}{', '},{')}]")]
    types = (
        "flow_started", "step_started", "work_started", "work_succeeded",
        "attribute_set", "step_completed", "flow_completed", "flow_deactivated",
    )  # fmt: skip
    assert events == [(event_type, sequence) for sequence, event_type in enumerate(types)]


async def test_flows_that_are_refused_count_as_failures_and_stop_the_run_early(tmp_path: Path):
    async with floor(tmp_path / "log", "raw", "raw") as (client, _):
        load = await ClosedLoop(client, lambda flow_id: script_flow("always-the-same"), "t").run(4, duration_s=60.0)
    assert len(load.failures) >= 100
    assert load.duration_s < 60.0
    assert "409" in load.failures[0]


async def test_a_subscription_that_is_not_upgraded_is_an_unexpected_answer():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: StepConnection(StepService(loop.time)), LOOPBACK, 0)
    client = EngineClient(server.sockets[0].getsockname()[1])
    with pytest.raises(UnexpectedAnswer, match="upgrade was answered"):
        await client.subscribe(lambda flow_id, completed: None)
    client.close()
    server.close()


@pytest.mark.parametrize("name", list(WORKLOADS))
def test_every_workload_starts_a_known_goal_with_its_flow_id(name: str):
    body = decode(WORKLOADS[name].flow_body("flow-1"))
    assert body["id"] == "flow-1"
    assert set(body["goals"]) <= set(catalog())
    assert all(isinstance(values, list) for values in body["init"].values())
