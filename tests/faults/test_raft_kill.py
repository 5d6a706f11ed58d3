"""Real processes of a cluster, killed and stopped under load: nothing acknowledged is lost, nothing happens out of order."""

import asyncio
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.linearizability import NEVER, Operation, Read, first_anomaly
from tests.faults.raft_member import AGGREGATES, OPTIONS, RAFT
from tests.unit.store.raft.members import StoreCluster, free_addresses

MEMBER = Path(__file__).with_name("raft_member.py")
ENOUGH_ANSWERS = 150
"""Acknowledged appends between two faults."""
PATIENCE_S = 60


@pytest.mark.parametrize(
    ("appends", "reads", "anomaly"),
    [
        ([(0, 1), (2, 3)], [(1, 2, 1), (4, 5, 2)], None),
        ([(0, 1), (2, 3)], [(4, 5, 1)], "append 1 returned at"),
        ([(0, 1)], [(0.5, 0.6, 0), (0.5, 0.6, 1)], None),
        ([(0, NEVER)], [(1, 2, 0), (3, 4, 1)], None),
        ([(0, NEVER)], [(1, 2, 1), (3, 4, 0)], "found 1 events, more were there"),
        ([(5, 6), (0, 1)], [], "append 1 returned at"),
        ([(0, 1)], [(2, 3, 2)], r"reads found \[2\]"),
        ([(3, 4)], [(0, 1, 1)], "found 1 events"),
    ],
)
def test_the_checker_tells_what_could_not_have_happened(
    appends: list[tuple[float, float]], reads: list[tuple[float, float, int]], anomaly: str | None
) -> None:
    found = first_anomaly([Operation(*each) for each in appends], [Read(*each) for each in reads])

    assert (found is None) if anomaly is None else re.search(anomaly, found or "nothing")


class Processes:
    """Three nodes, each a process with clients; they write their histories to one file per life."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.members = free_addresses(["n1", "n2", "n3"])
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.histories: list[tuple[str, Path]] = []

    def start(self, name: str) -> None:
        history = self.path / f"history-{len(self.histories)}-{name}"
        history.touch()
        self.histories.append((name, history))
        arguments = [str(self.path / name), name, json.dumps(self.members), str(history)]
        root = str(Path(__file__).resolve().parents[2])
        self.running[name] = subprocess.Popen(
            [sys.executable, str(MEMBER), *arguments], stdin=subprocess.PIPE, env=os.environ | {"PYTHONPATH": root}
        )

    def kill(self, name: str) -> None:
        process = self.running.pop(name)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdin is not None
        process.stdin.close()

    def lines(self) -> Iterator[tuple[str, dict[str, object]]]:
        for name, history in self.histories:
            for line in history.read_bytes().splitlines(keepends=True):
                if line.endswith(b"\n"):
                    yield name, json.loads(line)

    def acknowledged(self) -> int:
        return sum("role" in line for _, line in self.lines())

    def leader(self) -> str:
        """The node that last said it leads."""
        claims = [(float(str(line["s"])), name) for name, line in self.lines() if line.get("role") == "leader"]
        return max(claims)[1]

    def wait(self, condition: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE_S
        while not condition():
            assert all(process.poll() is None for process in self.running.values()), "a node ended by itself"
            assert time.monotonic() < until, "the cluster does not get on"
            time.sleep(0.05)

    def progress(self) -> None:
        target = self.acknowledged() + ENOUGH_ANSWERS
        self.wait(lambda: self.acknowledged() >= target)

    def finish(self) -> None:
        for process in self.running.values():
            process.terminate()
        self.wait(lambda: sum("done" in line for _, line in self.lines()) >= len(self.running))
        for process in self.running.values():
            assert process.stdin is not None
            process.stdin.close()
        for process in self.running.values():
            assert process.wait(PATIENCE_S) == 0
        self.running.clear()

    def abandon(self) -> None:
        for name in list(self.running):
            self.kill(name)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    started = Processes(tmp_path)
    for name in started.members:
        started.start(name)
    yield started
    started.abandon()


async def final_histories(processes: Processes) -> dict[str, list[str]]:
    """The names of the appends of each aggregate, in order; the same on all nodes."""
    cluster = StoreCluster(processes.path, raft=RAFT, options=OPTIONS)
    cluster.members = processes.members
    async with cluster:
        await cluster.settle()
        stores = list(cluster.stores.values())
        for aggregate in AGGREGATES:
            first, *others = [store.read_events(aggregate) for store in stores]
            assert all(other == first for other in others), f"{aggregate} differs between the nodes"
        return {
            aggregate[1]: [json.loads(record.data)["name"] for record in stores[0].read_events(aggregate)]
            for aggregate in AGGREGATES
        }


def check_history(processes: Processes, final: dict[str, list[str]]) -> int:
    """Everything acknowledged is there, nothing refused is, and it all could have happened in that order."""
    calls = {str(line["call"]): line for _, line in processes.lines() if "call" in line}
    backs = {str(line["back"]): line for _, line in processes.lines() if "back" in line}
    places = {name: (aggregate, place) for aggregate, names in final.items() for place, name in enumerate(names)}
    assert len(places) == sum(len(names) for names in final.values()), "an append is there twice"
    acknowledged = 0
    reads: dict[str, list[Read]] = {aggregate: [] for aggregate in final}
    for name, call in calls.items():
        back = backs.get(name, {})
        if "role" in back:
            acknowledged += 1
            assert places.get(name) == (call["append"], call["expected"]), f"acknowledged append {name} is not there"
        elif "failed" in back:
            assert name not in places, f"append {name} was refused and is there"
        elif "found" in back:
            reads[str(call["read"])].append(Read(number(call["s"]), number(back["s"]), int(number(back["found"]))))
    for aggregate, names in final.items():
        appends = [
            Operation(number(calls[name]["s"]), number(backs[name]["s"]) if "role" in backs.get(name, {}) else NEVER)
            for name in names
        ]
        assert first_anomaly(appends, reads[aggregate]) is None
    assert sum(map(len, reads.values())) > 0
    return acknowledged


def number(value: object) -> float:
    assert isinstance(value, int | float)
    return value


def kill_one(processes: Processes, chance: random.Random) -> None:
    name = processes.leader() if chance.random() < 0.5 else chance.choice(sorted(processes.members))
    processes.kill(name)
    if chance.random() < 0.5:
        processes.progress()
    processes.start(name)


def kill_all(processes: Processes, chance: random.Random) -> None:
    for name in list(processes.running):
        processes.kill(name)
    for name in chance.sample(sorted(processes.members), 3):
        processes.start(name)


def stop_the_leader(processes: Processes, chance: random.Random) -> None:
    stopped = processes.running[processes.leader()]
    os.kill(stopped.pid, signal.SIGSTOP)
    try:
        processes.progress()
    finally:
        os.kill(stopped.pid, signal.SIGCONT)


def run_rounds(processes: Processes, rounds: int, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(rounds):
        processes.progress()
        chance.choice([kill_one, kill_one, kill_one, stop_the_leader, kill_all])(processes, chance)
    processes.progress()
    processes.finish()
    final = asyncio.run(final_histories(processes))
    assert check_history(processes, final) >= ENOUGH_ANSWERS * rounds


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_and_stopped_nodes_lose_nothing(processes: Processes, seed: int) -> None:
    run_rounds(processes, rounds=6, seed=seed)


@pytest.mark.nightly
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("seed", range(100, 110))
def test_nodes_killed_and_stopped_for_long_lose_nothing(processes: Processes, seed: int) -> None:
    run_rounds(processes, rounds=40, seed=seed)
