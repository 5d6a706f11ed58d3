"""Numbers about latencies and processes: percentiles, and CPU time and memory of a process tree from `/proc`.

It reads, never waits and never starts anything. Where there is no `/proc` the process figures are 0.
"""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

PROC: Final = Path("/proc")
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


class Latency(msgspec.Struct, frozen=True):
    """Nearest-rank percentiles in milliseconds; all 0 when there was nothing to measure."""

    count: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


def percentile(ascending: Sequence[float], fraction: float) -> float:
    """The nearest-rank percentile: the least value that at least `fraction` of all values do not exceed. 0 for none."""
    if not ascending:
        return 0.0
    rank = math.ceil(fraction * len(ascending))
    return ascending[min(max(rank, 1), len(ascending)) - 1]


def latency(seconds: Sequence[float]) -> Latency:
    """The percentiles of durations given in seconds, in any order."""
    ascending = sorted(seconds)
    return Latency(
        count=len(ascending),
        p50_ms=percentile(ascending, 0.50) * 1000,
        p90_ms=percentile(ascending, 0.90) * 1000,
        p99_ms=percentile(ascending, 0.99) * 1000,
        max_ms=percentile(ascending, 1.0) * 1000,
    )


def process_tree(pid: int, proc: Path = PROC) -> list[int]:
    """The process and all its living descendants; empty when it is gone."""
    try:
        threads = list((proc / str(pid) / "task").iterdir())
        children = [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    except OSError:
        return []
    return [pid, *(descendant for child in children for descendant in process_tree(child, proc))]


def cpu_s(pid: int, proc: Path = PROC) -> float:
    """User and system CPU seconds of a process tree so far, with those of the children it has already reaped."""
    ticks = 0
    for member in process_tree(pid, proc):
        try:
            stat = (proc / str(member) / "stat").read_text()
        except OSError:
            continue
        # The second field is the command in parentheses and may itself hold blanks and parentheses.
        after_command = stat.rpartition(")")[2].split()
        ticks += sum(int(field) for field in after_command[11:15])
    return ticks / _TICKS_PER_S


def memory_mb(pid: int, proc: Path = PROC) -> float:
    """Proportional set size of a process tree in MB (shared pages counted once between their users)."""
    kilobytes = 0
    for member in process_tree(pid, proc):
        try:
            rollup = (proc / str(member) / "smaps_rollup").read_text()
        except OSError:
            continue
        kilobytes += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return kilobytes / 1024


def machine_busy_s(proc: Path = PROC) -> float:
    """CPU seconds all cores together have been busy since boot."""
    try:
        fields = (proc / "stat").read_text().partition("\n")[0].split()[1:9]
    except OSError:
        return 0.0
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(field) for field in fields)
    return (user + nice + system + irq + softirq + steal) / _TICKS_PER_S
