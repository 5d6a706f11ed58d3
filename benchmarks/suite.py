"""One run of W1-W4: every target beside the others, measured in turns so that a slow minute of the machine hits all.

It starts no process of its own accord: targets and the step service are handed in, running.
"""

import itertools
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from argyll.model.json import decode
from benchmarks.load import ClosedLoop, EngineClient
from benchmarks.measure import cpu_s, latency, machine_busy_s, memory_mb
from benchmarks.processes import Child
from benchmarks.results import Measurement
from benchmarks.stepservice import ServiceStats
from benchmarks.wire import HttpPool
from benchmarks.workloads import Workload

WARM_UP_S: Final = 0.2


class Pace(msgspec.Struct, frozen=True):
    """How long: each target is measured `rounds` times for `round_s` seconds (times the workload's stretch)."""

    rounds: int
    round_s: float


class Target:
    """An engine under test. `workloads` names those it is worth measuring with."""

    def __init__(self, name: str, child: Child, workloads: frozenset[str]) -> None:
        self.name = name
        self.child = child
        self.workloads = workloads
        self.client = EngineClient(child.port)


class _Round(msgspec.Struct):
    """What one target did in one round; CPU in seconds by process."""

    latencies_s: list[float]
    duration_s: float
    cpu: dict[str, float]
    other_cores: float
    gap_p50_us: float
    failures: list[str]


class StepServiceClient:
    """The step service as the suite sees it."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self._pool = HttpPool(child.port)

    async def reset(self, delay_ms: int = 0) -> None:
        await self._pool.request("POST", f"/reset?delay_ms={delay_ms}")

    async def stats(self) -> ServiceStats:
        _, body = await self._pool.request("GET", "/stats")
        return msgspec.convert(decode(body), ServiceStats)


class Suite:
    """Measures workloads against targets; `report` is told of each measurement as it is done."""

    def __init__(self, service: StepServiceClient, pace: Pace, report: Callable[[Measurement], None]) -> None:
        self._service = service
        self._pace = pace
        self._report = report
        self._run_numbers = itertools.count()
        self._run_prefix = f"{time.time_ns():x}"

    async def measure(self, workload: Workload, in_flight: int, targets: Sequence[Target]) -> list[Measurement]:
        """All rounds of one workload at one load, the targets taking turns."""
        rounds: dict[str, list[_Round]] = {target.name: [] for target in targets}
        for target in targets:
            await self._loop(workload, target).run(in_flight, WARM_UP_S)
        for turn in range(self._pace.rounds):
            ordered = targets if turn % 2 == 0 else list(reversed(targets))
            for target in ordered:
                rounds[target.name].append(await self._round(workload, in_flight, target))
        measurements = [_merged(workload.name, in_flight, target, rounds[target.name]) for target in targets]
        for measurement in measurements:
            self._report(measurement)
        return measurements

    async def _round(self, workload: Workload, in_flight: int, target: Target) -> _Round:
        await self._service.reset()
        busy_before, before = machine_busy_s(), self._cpu(target)
        load = await self._loop(workload, target).run(in_flight, self._pace.round_s * workload.stretch)
        busy = machine_busy_s() - busy_before
        after = self._cpu(target)
        cpu = {process: after[process] - before[process] for process in after}
        others = max(0.0, busy - sum(cpu.values())) / load.duration_s
        gap_us = (await self._service.stats()).gap_p50_us
        return _Round(load.latencies_s, load.duration_s, cpu, others, gap_us, load.failures)

    def _loop(self, workload: Workload, target: Target) -> ClosedLoop:
        return ClosedLoop(target.client, workload.flow_body, f"{self._run_prefix}-{next(self._run_numbers)}")

    def _cpu(self, target: Target) -> dict[str, float]:
        return {
            "target": cpu_s(target.child.pid),
            "steps": cpu_s(self._service.child.pid),
            "client": time.process_time(),
        }


def _merged(workload: str, in_flight: int, target: Target, rounds: Sequence[_Round]) -> Measurement:
    latencies_s = [one for part in rounds for one in part.latencies_s]
    duration_s = sum(part.duration_s for part in rounds)
    flows = max(1, len(latencies_s))
    failures = [failure for part in rounds for failure in part.failures]
    return Measurement(
        workload=workload,
        in_flight=in_flight,
        target=target.name,
        flows_per_s=len(latencies_s) / duration_s,
        rounds_per_s=[len(part.latencies_s) / part.duration_s for part in rounds],
        latency=latency(latencies_s),
        cpu_us_per_flow={name: sum(part.cpu[name] for part in rounds) / flows * 1e6 for name in rounds[0].cpu},
        memory_mb=memory_mb(target.child.pid),
        step_gap_p50_us=max(part.gap_p50_us for part in rounds),
        other_cores=max(part.other_cores for part in rounds),
        failures=len(failures),
        first_failure=failures[0] if failures else "",
    )
