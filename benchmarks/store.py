"""How fast the store is beside the raw disk: appends, the flow list, start-up. `python -m benchmarks.store`.

Prints tables; judges nothing. Figures of different runs compare only through the raw sync rate of the same run.
"""

import argparse
import asyncio
import gc
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal

import uvloop

from argyll.store import Append, FlowQuery, IndexUpdate, NewEvent, Store, StoreOptions
from argyll.store.wal import sync_data

EVENT: Final = [NewEvent("work_succeeded", b'{"flow_id":"f","outputs":{"value":"' + b"x" * 250 + b'"}}')]
APPENDS_PER_FLOW: Final = 12
IN_FLIGHT: Final = (1, 16, 64, 512, 2048)
LISTED_FLOWS: Final = 100_000
STATUSES: Final = ("active", "completed", "failed")
SYNC_BYTES: Final = 512

FsyncMode = Literal["inline", "thread"]


def percentile(sorted_values: Sequence[float], share: float) -> float:
    """The value below which `share` of the sorted values lie."""
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))]


def raw_syncs(directory: Path, seconds: float) -> list[float]:
    """Milliseconds per write and sync of a small block in a zeroed file, sorted: what the disk allows."""
    descriptor = os.open(directory / "raw", os.O_RDWR | os.O_CREAT)
    os.pwrite(descriptor, bytes(16 << 20), 0)
    os.fsync(descriptor)
    took: list[float] = []
    until = time.perf_counter() + seconds
    offset = 0
    while time.perf_counter() < until:
        started = time.perf_counter()
        os.pwrite(descriptor, b"x" * SYNC_BYTES, offset)
        sync_data(descriptor)
        took.append((time.perf_counter() - started) * 1000)
        offset = (offset + SYNC_BYTES) % (16 << 20)
    os.close(descriptor)
    return sorted(took)


class AppendLoad:
    """Flows of a dozen appends each, `in_flight` of them at a time, every append after the one before is acknowledged."""

    def __init__(self, store: Store, seconds: float) -> None:
        self._store = store
        self._until = time.perf_counter() + seconds
        self._flows = 0
        self._running = 0
        self._ended = asyncio.Event()
        self.took_ms: list[float] = []

    async def run(self, in_flight: int) -> None:
        """Drive the load until its time is up and every append is acknowledged."""
        self._running = in_flight
        for _ in range(in_flight):
            self._start_flow()
        await self._ended.wait()

    def _start_flow(self) -> None:
        self._flows += 1
        self._append(("flow", f"flow-{self._flows}"), 0)

    def _append(self, aggregate: tuple[str, str], sequence: int) -> None:
        index = None
        if sequence == 0:
            index = IndexUpdate("active")
        elif sequence == APPENDS_PER_FLOW - 1:
            index = IndexUpdate("completed")
        started = time.perf_counter()
        future = self._store.append(Append(aggregate, sequence, int(started * 1e6), EVENT, index))
        future.add_done_callback(lambda done: self._appended(aggregate, done.result(), started))

    def _appended(self, aggregate: tuple[str, str], sequence: int, started: float) -> None:
        now = time.perf_counter()
        self.took_ms.append((now - started) * 1000)
        if now >= self._until:
            self._running -= 1
            if not self._running:
                self._ended.set()
        elif sequence < APPENDS_PER_FLOW:
            self._append(aggregate, sequence)
        else:
            self._start_flow()


async def measure_appends(directory: Path, fsync: FsyncMode, in_flight: int, seconds: float) -> str:
    """One row of the table of appends."""
    store = await Store.open(directory, options=StoreOptions(fsync=fsync))
    gc.collect()
    gc.freeze()
    load = AppendLoad(store, seconds)
    started, cpu = time.perf_counter(), time.process_time()
    await load.run(in_flight)
    elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu
    status = store.status()
    await store.close()
    count = len(load.took_ms)
    took = sorted(load.took_ms)
    return (
        f"{fsync:7} {in_flight:9} {count / elapsed:12,.0f} {cpu / count * 1e6:9.1f} {status.fsyncs / elapsed:9,.0f}"
        f" {percentile(took, 0.5):8.2f} {percentile(took, 0.99):8.2f} {took[-1]:8.1f}"
    )


async def fill_list(store: Store, flows: int) -> None:
    """Flows over all statuses, a label with 10 values, one with 1,000, ids in a wide and 100 narrow prefixes."""
    for first in range(0, flows, 1000):
        futures: list[asyncio.Future[int]] = []
        for number in range(first, first + 1000):
            labels = {"team": str(number % 10), "order": str(number % 1000)}
            index = IndexUpdate(STATUSES[number % 3], labels)
            aggregate = ("flow", f"shop-{number % 100:02}-{number}")
            futures.append(store.append(Append(aggregate, 0, number, EVENT, index)))
        await asyncio.gather(*futures)
    store.active_flows()


def list_queries(store: Store, flows: int) -> dict[str, FlowQuery]:
    """The queries measured, by name."""
    deep = store.query_flows(FlowQuery(limit=1000, statuses=("completed",))).next_cursor
    return {
        "all": FlowQuery(limit=50),
        "newest first": FlowQuery(limit=50, sort="recent_desc"),
        "failed": FlowQuery(limit=50, statuses=("failed",)),
        "behind a cursor": FlowQuery(limit=50, cursor=deep),
        "label, 1 in 10": FlowQuery(limit=50, labels={"team": "3"}),
        "label, 1 in 1000": FlowQuery(limit=50, labels={"order": "333"}),
        "two labels": FlowQuery(limit=50, labels={"order": "333", "team": "3"}),
        "prefix of 1 in 100": FlowQuery(limit=50, id_prefix="shop-42-"),
        "prefix of all": FlowQuery(limit=50, id_prefix="shop-", sort="recent_desc"),
        "1000 rows": FlowQuery(limit=1000),
    }


def time_ms(action: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Median and slowest of some rounds."""
    took: list[float] = []
    for _ in range(rounds):
        started = time.perf_counter()
        action()
        took.append((time.perf_counter() - started) * 1000)
    took.sort()
    return took[len(took) // 2], took[-1]


async def measure_list(directory: Path, flows: int) -> None:
    """Print the table of list queries, and how long the store takes to open again."""
    store = await Store.open(directory, options=StoreOptions(fsync="inline"))
    started = time.perf_counter()
    await fill_list(store, flows)
    print(f"\n{flows:,} flows written with two labels each: {flows / (time.perf_counter() - started):,.0f}/s\n")
    print(f"{'list query':20} {'matches':>9} {'p50 ms':>8} {'max ms':>8}")
    for name, query in list_queries(store, flows).items():
        median, worst = time_ms(lambda query=query: store.query_flows(query), 20)
        print(f"{name:20} {store.query_flows(query).total:9,} {median:8.2f} {worst:8.2f}")
    median, worst = time_ms(store.active_flows, 5)
    print(f"{'active flows':20} {len(store.active_flows()):9,} {median:8.2f} {worst:8.2f}")
    await store.close()
    for file in directory.glob("state.db*"):
        file.unlink()
    started = time.perf_counter()
    store = await Store.open(directory)
    status = store.status()
    print(f"\nrebuilt from {status.last_index:,} log entries: {time.perf_counter() - started:.2f} s")
    await store.close()
    started = time.perf_counter()
    await (await Store.open(directory)).close()
    print(f"opened and closed again: {time.perf_counter() - started:.3f} s")


async def measure(seconds: float, flows: int) -> None:
    """Print every table."""
    with tempfile.TemporaryDirectory(prefix="argyll-store-") as name:
        directory = Path(name)
        raw = raw_syncs(directory, seconds)
        rate = len(raw) / seconds
        print(f"raw write + fdatasync of {SYNC_BYTES} B: {rate:,.0f}/s", end="")
        print(f", p50 {percentile(raw, 0.5):.2f} ms, p99 {percentile(raw, 0.99):.2f} ms, max {raw[-1]:.1f} ms\n")
        print(
            f"{'fsync':7} {'in flight':>9} {'appends/s':>12} {'us CPU':>9} {'fsyncs/s':>9} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8}"
        )
        modes: tuple[FsyncMode, ...] = ("inline", "thread")
        for fsync in modes:
            for in_flight in IN_FLIGHT:
                print(await measure_appends(directory / f"{fsync}-{in_flight}", fsync, in_flight, seconds), flush=True)
        await measure_list(directory / "list", flows)


def main() -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store", description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each measurement (default: 2)")
    parser.add_argument("--flows", type=int, default=LISTED_FLOWS, help=f"flows in the list (default: {LISTED_FLOWS})")
    arguments = parser.parse_args()
    uvloop.run(measure(arguments.seconds, arguments.flows))


if __name__ == "__main__":
    main()
