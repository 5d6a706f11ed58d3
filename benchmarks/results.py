"""What a run of the benchmark leaves behind: plain records, and the goals they are held to.

Absolute figures move with the machine, so most goals stand twice: as a figure and as a share of the floor of the same run.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from benchmarks.measure import Latency

ENGINE: Final = "engine"
ENGINE_AIOHTTP_STEP: Final = "engine aiohttp step"
FLOOR_AIOHTTP_STEP: Final = "floor aiohttp step"
FLOOR: Final = "floor"


class Measurement(msgspec.Struct, frozen=True):
    """One workload at one number of flows in flight against one target, all rounds together.

    `cpu_us_per_flow` is by process: the target, the step service and the client. `step_gap_p50_us` is the median time from
    a step's answer to the flow's next call (0 without calls). `other_cores` is what other programs took of the machine.
    """

    workload: str
    in_flight: int
    target: str
    flows_per_s: float
    rounds_per_s: list[float]
    latency: Latency
    cpu_us_per_flow: dict[str, float]
    memory_mb: float
    step_gap_p50_us: float
    other_cores: float
    failures: int
    first_failure: str = ""


class Recovery(msgspec.Struct, frozen=True):
    """A kill -9 under load: times count from the restart. `open_flows` had not ended at the kill, each with at most one
    call in flight; `unmade_calls` are those that no step ever saw (0 unless flows were lost)."""

    flows: int
    open_flows: int
    answers_before_kill: int
    calls_in_service: int
    healthy_s: float
    all_done_s: float
    failed_flows: int
    unfinished_flows: int
    repeated_calls: int
    repeated_tokens: int
    unmade_calls: int


class Results(msgspec.Struct):
    """Everything of one run. `profiled` figures are slower than real ones and are not judged."""

    started_at: str
    machine: str
    profiled: bool = False
    idle_memory_mb: dict[str, float] = {}
    measurements: list[Measurement] = []
    recovery: Recovery | None = None

    def find(self, workload: str, in_flight: int, target: str) -> Measurement | None:
        for one in self.measurements:
            if (one.workload, one.in_flight, one.target) == (workload, in_flight, target):
                return one
        return None

    def share_of_floor(self, one: Measurement) -> float | None:
        """Its rate as a share of the raw floor's at the same load; None when the floor was not measured."""
        floor = self.find(one.workload, one.in_flight, FLOOR)
        return one.flows_per_s / floor.flows_per_s if floor is not None and floor.flows_per_s else None


class Goal(msgspec.Struct, frozen=True):
    """`read` gives the measured value, or None when this run did not measure it."""

    subject: str
    unit: str
    limit: float
    at_least: bool
    read: Callable[[Results], float | None]


class Verdict(msgspec.Struct, frozen=True):
    subject: str
    wanted: str
    measured: str
    met: bool


def _measured(
    workload: str, in_flight: int, value: Callable[[Measurement], float]
) -> Callable[[Results], float | None]:
    def read(results: Results) -> float | None:
        one = results.find(workload, in_flight, ENGINE)
        return None if one is None else value(one)

    return read


def _share(workload: str, in_flight: int) -> Callable[[Results], float | None]:
    def read(results: Results) -> float | None:
        one = results.find(workload, in_flight, ENGINE)
        return None if one is None else results.share_of_floor(one)

    return read


def _aiohttp_step(workload: str, in_flight: int, of_floor: bool) -> Callable[[Results], float | None]:
    """The engine's rate with aiohttp as the step client, or its share of the floor with the same client."""

    def read(results: Results) -> float | None:
        one = results.find(workload, in_flight, ENGINE_AIOHTTP_STEP)
        floor = results.find(workload, in_flight, FLOOR_AIOHTTP_STEP)
        if one is None or (of_floor and (floor is None or not floor.flows_per_s)):
            return None
        return one.flows_per_s / floor.flows_per_s if of_floor and floor is not None else one.flows_per_s

    return read


def _recovered(value: Callable[[Recovery], float]) -> Callable[[Results], float | None]:
    return lambda results: None if results.recovery is None else value(results.recovery)


def _rate(one: Measurement) -> float:
    return one.flows_per_s


GOALS: Final = (
    Goal("W1, 1 in flight: p50", " ms", 2.0, False, _measured("w1", 1, lambda one: one.latency.p50_ms)),
    Goal("W1, 64 in flight", "/s", 5000, True, _measured("w1", 64, _rate)),
    Goal("W1, 64 in flight: share of the floor", "", 0.35, True, _share("w1", 64)),
    Goal("W2, 64 in flight", "/s", 1400, True, _measured("w2", 64, _rate)),
    Goal("W2, 64 in flight: share of the floor", "", 0.34, True, _share("w2", 64)),
    Goal("W2, 64 in flight, both with aiohttp", "/s", 1000, True, _aiohttp_step("w2", 64, of_floor=False)),
    Goal("W2, 64 in flight, both with aiohttp: share", "", 0.6, True, _aiohttp_step("w2", 64, of_floor=True)),
    Goal("W3, 1 in flight", "/s", 60, True, _measured("w3", 1, _rate)),
    Goal("W3, 1 in flight: share of the floor", "", 0.55, True, _share("w3", 1)),
    Goal("W4", "/s", 1400, True, _measured("w4", 1000, _rate)),
    Goal("W4: share of the floor", "", 0.34, True, _share("w4", 1000)),
    Goal("W4: p99", " ms", 1500, False, _measured("w4", 1000, lambda one: one.latency.p99_ms)),
    Goal("W5: restart to all done", " s", 3.0, False, _recovered(lambda one: one.all_done_s)),
    Goal(
        "W5: calls made twice, less the calls in flight",
        "",
        0,
        False,
        _recovered(lambda one: max(0, one.repeated_calls - one.open_flows)),
    ),
    Goal("W5: flows failed or lost", "", 0, False, _recovered(lambda one: one.failed_flows + one.unfinished_flows)),
    Goal("Memory, idle", " MB", 80, False, lambda results: results.idle_memory_mb.get(ENGINE)),
)


def verdicts(results: Results) -> list[Verdict]:
    """Each goal that this run measured, met or missed; none for a profiled run."""
    if results.profiled:
        return []
    judged: list[Verdict] = []
    for goal in GOALS:
        value = goal.read(results)
        if value is not None:
            met = value >= goal.limit if goal.at_least else value <= goal.limit
            wanted = f"{'at least' if goal.at_least else 'at most'} {goal.limit:,g}{goal.unit}"
            judged.append(Verdict(goal.subject, wanted, f"{_three_digits(value)}{goal.unit}", met))
    return judged


def _three_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
