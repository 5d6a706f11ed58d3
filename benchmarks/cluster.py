"""How fast three nodes commit beside the raw disk and beside one node. `python -m benchmarks.cluster`.

All three are processes of this machine and share its disk and cores; the load runs inside one of them, the leader and then
a follower. Prints a table; judges nothing. Figures of different runs compare only through the raw sync rate of the same run.
"""

import argparse
import asyncio
import gc
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import uvloop

from argyll.store import Store, StoreOptions
from argyll.store.raft import ClusterConfig, RaftOptions
from benchmarks.store import AppendLoad, percentile, raw_syncs

IN_FLIGHT: Final = (1, 64, 512)
NODES: Final = ("n1", "n2", "n3")
EAGER: Final = RaftOptions(election_min_ms=350, election_max_ms=500)
PATIENT: Final = RaftOptions(election_min_ms=2_500, election_max_ms=3_000)
USUAL: Final = RaftOptions()
START_MS: Final = 30_000
KILL_AFTER_S: Final = 0.5
FAILOVERS: Final = 5


def free_members() -> dict[str, str]:
    """An address of this machine for each node."""
    sockets = [socket.socket() for _ in NODES]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    members = {name: f"127.0.0.1:{each.getsockname()[1]}" for name, each in zip(NODES, sockets, strict=True)}
    for each in sockets:
        each.close()
    return members


async def open_node(directory: Path, node_id: str, members: dict[str, str], leader: str) -> Store:
    """One node's store; `leader` is the node that will win the election, or nobody in particular."""
    raft = USUAL if not leader else EAGER if node_id == leader else PATIENT
    cluster = ClusterConfig(node_id=node_id, members=members, raft=raft)
    return await Store.open_cluster(directory / node_id, cluster=cluster, options=StoreOptions())


async def be_a_node(directory: Path, node_id: str, members: dict[str, str], leader: str) -> None:
    """A node that only takes part, until it is told to end."""
    store = await open_node(directory, node_id, members, leader)
    gc.freeze()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    await store.close()


def start_others(
    stack: ExitStack, directory: Path, members: dict[str, str], leader: str
) -> dict[str, subprocess.Popen[bytes]]:
    """Processes for all nodes but the first; they end with the stack."""
    processes: dict[str, subprocess.Popen[bytes]] = {}
    for node_id in NODES[1:]:
        arguments = ["--node", json.dumps([str(directory), node_id, members, leader])]
        process = processes[node_id] = subprocess.Popen([sys.executable, "-m", "benchmarks.cluster", *arguments])
        stack.callback(process.wait)
        stack.callback(process.terminate)
    return processes


async def measure_load(directory: Path, leader: str, in_flight: int, seconds: float) -> str:
    """One row: the load runs in the first node."""
    members = free_members()
    with ExitStack() as stack:
        start_others(stack, directory, members, leader)
        store = await open_node(directory, NODES[0], members, leader)
        await store.read_barrier(START_MS)
        gc.collect()
        gc.freeze()
        load = AppendLoad(store, seconds)
        started = time.perf_counter()
        await load.run(in_flight)
        elapsed = time.perf_counter() - started
        status = store.status()
        await store.close()
    took = sorted(load.took_ms)
    return (
        f"{status.role:9} {in_flight:9} {len(took) / elapsed:12,.0f} {status.fsyncs / elapsed:9,.0f}"
        f" {percentile(took, 0.5):8.2f} {percentile(took, 0.99):8.2f} {took[-1]:8.1f}"
    )


async def measure_failover(directory: Path) -> float:
    """Milliseconds that one append after another is held up when the leader is killed."""
    members = free_members()
    with ExitStack() as stack:
        processes = start_others(stack, directory, members, "")
        store = await open_node(directory, NODES[0], members, "")
        await store.read_barrier(START_MS)
        if store.status().role == "leader":
            await store.transfer_leadership()
            await store.read_barrier(START_MS)
        load = AppendLoad(store, KILL_AFTER_S * 4)
        running = asyncio.create_task(load.run(1))
        await asyncio.sleep(KILL_AFTER_S)
        leader = store.status().leader
        assert leader is not None, "it led a moment ago"
        processes[leader].kill()
        await running
        await store.close()
    return max(load.took_ms)


async def measure(seconds: float) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory(prefix="argyll-cluster-") as name:
        directory = Path(name)
        raw = raw_syncs(directory, seconds)
        print(f"raw write + fdatasync: {len(raw) / seconds:,.0f}/s, p50 {percentile(raw, 0.5):.2f} ms\n")
        print(
            f"{'through':9} {'in flight':>9} {'appends/s':>12} {'fsyncs/s':>9} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8}"
        )
        for leader in NODES[:2]:
            for in_flight in IN_FLIGHT:
                row = await measure_load(directory / f"{leader}-{in_flight}", leader, in_flight, seconds)
                print(row, flush=True)
        gaps = [await measure_failover(directory / f"kill-{number}") for number in range(FAILOVERS)]
        print(f"\nheld up by a killed leader: {', '.join(f'{gap:,.0f}' for gap in gaps)} ms")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="time per row")
    parser.add_argument("--node", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.node is None:
        uvloop.run(measure(options.seconds))
        return
    directory, node_id, members, leader = json.loads(options.node)
    uvloop.run(be_a_node(Path(directory), node_id, members, leader))


if __name__ == "__main__":
    main()
