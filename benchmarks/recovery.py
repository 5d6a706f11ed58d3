"""W5: kill -9 an engine with many flows in flight when half their calls are answered, restart it, wait for every flow.

The step service delays each answer, so that nearly every flow has a call in flight at the kill.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from benchmarks.load import EngineClient, UnexpectedAnswer
from benchmarks.processes import Child
from benchmarks.results import Recovery
from benchmarks.suite import StepServiceClient
from benchmarks.workloads import CHAIN_LENGTH, chain_flow, step_definitions

CALL_DELAY_MS: Final = 100
PROGRESS_POLL_S: Final = 0.02
RUN_LIMIT_S: Final = 60.0
"""How long the flows may take before the kill, and again after the restart."""
_ID_PREFIX: Final = "w5-"


class _FlowWatch:
    """Which flows have not ended yet; `all_ended` is set with the last."""

    def __init__(self, flow_ids: set[str]) -> None:
        self.open = set(flow_ids)
        self.all_ended = asyncio.Event()

    def ended(self, flow_id: str, completed: bool) -> None:
        self.close({flow_id})

    def close(self, flow_ids: set[str]) -> None:
        self.open -= flow_ids
        if not self.open:
            self.all_ended.set()


async def measure_recovery(start_engine: Callable[[], Child], service: StepServiceClient, flows: int) -> Recovery:
    """Run W5 with `flows` flows, at most 1,000 (one page of the flow query).

    `start_engine` starts the engine each time on the same port and data directory; it is ended before this returns.
    """
    watch = _FlowWatch({f"{_ID_PREFIX}{number}" for number in range(flows)})
    await service.reset(CALL_DELAY_MS)
    engine = start_engine()
    try:
        await engine.healthy()
        client = EngineClient(engine.port)
        await client.register(step_definitions(service.child.port))
        await client.subscribe(watch.ended)
        await _start_all(client, watch)
        await _half_answered(service, flows)
        engine.kill()
        at_kill = await service.stats()
        client.close()
        open_at_kill = len(watch.open)

        restarted_at = time.perf_counter()
        engine = start_engine()
        await engine.healthy()
        healthy_s = time.perf_counter() - restarted_at
        client = EngineClient(engine.port)
        await _all_ended(client, watch, flows)
        all_done_s = time.perf_counter() - restarted_at
        failed = await client.flows_with_status("failed", _ID_PREFIX, flows)
        client.close()
        after = await service.stats()
    finally:
        engine.kill()
        await service.reset()
    return Recovery(
        flows=flows,
        open_flows=open_at_kill,
        answers_before_kill=at_kill.answers,
        calls_in_service=at_kill.in_flight,
        healthy_s=healthy_s,
        all_done_s=all_done_s,
        failed_flows=len(failed),
        unfinished_flows=len(watch.open),
        repeated_calls=after.repeated_calls,
        repeated_tokens=after.repeated_tokens,
        unmade_calls=flows * CHAIN_LENGTH - after.distinct_calls,
    )


async def _start_all(client: EngineClient, watch: _FlowWatch) -> None:
    """Start every flow and wait until each start is acknowledged: only those must survive."""
    refused: list[str] = []
    answered = asyncio.Event()
    remaining = len(watch.open)

    def on_response(status: int, body: bytes) -> None:
        nonlocal remaining
        remaining -= 1
        if status != 201:
            refused.append(f"{status}: {body[:400].decode()}")
        if remaining == 0:
            answered.set()

    for flow_id in sorted(watch.open):
        client.start_flow(chain_flow(flow_id), on_response)
    await asyncio.wait_for(answered.wait(), RUN_LIMIT_S)
    if refused:
        raise UnexpectedAnswer(f"{len(refused)} flow starts were refused, the first with {refused[0]}")


async def _half_answered(service: StepServiceClient, flows: int) -> None:
    async with asyncio.timeout(RUN_LIMIT_S):
        while True:
            stats = await service.stats()
            if stats.answers * 2 >= flows * CHAIN_LENGTH:
                return
            await asyncio.sleep(PROGRESS_POLL_S)


async def _all_ended(client: EngineClient, watch: _FlowWatch, flows: int) -> None:
    """Subscribe first and ask then, so that a flow which ends in between is seen by one or the other."""
    await client.subscribe(watch.ended)
    watch.close(watch.open - await client.flows_with_status("active", _ID_PREFIX, flows))
    try:
        await asyncio.wait_for(watch.all_ended.wait(), RUN_LIMIT_S)
    except TimeoutError:
        return
