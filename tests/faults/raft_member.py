"""A node of a cluster as a process of its own, with clients in it that write down all they do. Run by the fault tests.

Usage: raft_member.py <directory> <node id> <members as JSON> <history file>. SIGTERM ends the clients; end of input the node.
"""

import asyncio
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from argyll.store import Append, Conflict, NewEvent, NoLeader, OutcomeUnknown, Store, StoreError, StoreOptions
from argyll.store.raft import ClusterConfig, RaftOptions

AGGREGATES = [("flow", f"shared-{number}") for number in range(4)]
CLIENTS = 6
RAFT = RaftOptions(election_min_ms=400, election_max_ms=800, proposal_timeout_ms=3_000, retained_log_bytes=64 << 10)
OPTIONS = StoreOptions(
    segment_bytes=64 << 10, checkpoint_bytes=64 << 10, flush_appends=32, flush_delay_ms=5, max_in_flight_appends=1_000
)


class Clients:
    """Appends and reads at random, each written down before it is sent and after it is answered."""

    def __init__(self, store: Store, history: int, seed: int) -> None:
        self.store = store
        self.history = history
        self.chance = random.Random(seed)
        self.number = 0
        self.ended = asyncio.Event()

    def note(self, **fields: object) -> None:
        os.write(self.history, json.dumps({"s": time.monotonic(), **fields}).encode() + b"\n")

    async def run(self) -> None:
        while not self.ended.is_set():
            aggregate = self.chance.choice(AGGREGATES)
            self.number += 1
            name = f"{os.getpid()}-{self.number}"
            if self.chance.random() < 0.3:
                await self.read(name, aggregate)
            else:
                await self.append(name, aggregate)

    async def read(self, name: str, aggregate: tuple[str, str]) -> None:
        self.note(call=name, read=aggregate[1])
        try:
            await self.store.read_barrier(2_000)
            self.note(back=name, found=self.store.next_sequence(aggregate))
        except StoreError:
            self.note(back=name, failed=True)

    async def append(self, name: str, aggregate: tuple[str, str]) -> None:
        expected = self.store.next_sequence(aggregate)
        self.note(call=name, append=aggregate[1], expected=expected)
        try:
            event = NewEvent("e", json.dumps({"name": name}).encode())
            await self.store.append(Append(aggregate, expected, 0, [event]))
        except (Conflict, NoLeader):
            self.note(back=name, failed=True)
        except OutcomeUnknown:
            self.note(back=name, unknown=True)
        else:
            self.note(back=name, role=self.store.status().role)


async def run(directory: str, node_id: str, members: str, history_file: str) -> None:
    history = os.open(history_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    cluster = ClusterConfig(node_id=node_id, members=json.loads(members), raft=RAFT)
    store = await Store.open_cluster(Path(directory), cluster=cluster, options=OPTIONS)
    clients = Clients(store, history, os.getpid())
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, clients.ended.set)
    await asyncio.gather(*[clients.run() for _ in range(CLIENTS)])
    while True:
        try:
            await store.read_barrier(1_000)
            break
        except NoLeader:
            continue
    clients.note(done=node_id)
    await loop.run_in_executor(None, sys.stdin.read)
    await store.close()


if __name__ == "__main__":
    asyncio.run(run(*sys.argv[1:]))
