"""Clusters inside one process, over loopback, for tests."""

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path

from argyll.store import LogStatus, ReplicatedLog, Store, StoreOptions
from argyll.store.log import Command, Outcome, StateMachine
from argyll.store.raft import ClusterConfig, PySyncObjLog, RaftOptions, TlsContexts

SMALL = 64 << 10
PATIENCE_MS = 20_000
QUICK = RaftOptions(heartbeat_ms=20, election_min_ms=150, election_max_ms=300, leader_silence_ms=600, tick_ms=5)


def free_addresses(names: Sequence[str]) -> dict[str, str]:
    """An address on loopback for each name; they are free now."""
    sockets = [socket.socket() for _ in names]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    addresses = {name: f"127.0.0.1:{each.getsockname()[1]}" for name, each in zip(names, sockets, strict=True)}
    for each in sockets:
        each.close()
    return addresses


class FileLess:
    """A state machine without a file, where no state is ever sent."""

    def __init__(self, machine: StateMachine) -> None:
        self._machine = machine

    @property
    def applied_index(self) -> int:
        return self._machine.applied_index

    applied_term = 0

    def apply(self, index: int, term: int, commands: Sequence[Command]) -> list[Outcome]:
        return self._machine.apply(index, term, commands)

    def flush(self) -> None: ...

    def export(self, file: Path) -> tuple[int, int]:
        raise NotImplementedError

    check = export

    def take_over(self, file: Path) -> None:
        raise NotImplementedError


class Silent:
    """A state machine of a node nobody looks at."""

    applied_index = 0

    def apply(self, index: int, term: int, commands: Sequence[Command]) -> list[Outcome]:
        return [index] * len(commands)


class ClusterLog:
    """One node's log, with two more nodes that live and end with it."""

    def __init__(self, log: PySyncObjLog, others: list[PySyncObjLog]) -> None:
        self._log = log
        self._others = others

    def __getattr__(self, name: str) -> object:
        return getattr(self._log, name)

    async def close(self) -> None:
        await self._log.close()
        await asyncio.gather(*[other.close() for other in self._others])


async def open_log(path: Path, machine: StateMachine, *, leads: bool, fsync: str) -> ReplicatedLog:
    """The log of one node of three, the leader or a follower; everything committed is applied."""
    members = free_addresses(["n1", "n2", "n3"])
    path.mkdir(exist_ok=True)
    options = StoreOptions(fsync=fsync, segment_bytes=SMALL)
    machines = [machine, Silent(), Silent()]
    logs = [
        await PySyncObjLog.open(
            path / name, FileLess(each), options, ClusterConfig(node_id=name, members=members, raft=QUICK)
        )
        for name, each in zip(members, machines, strict=True)
    ]
    await asyncio.gather(*[log.read_barrier(PATIENCE_MS) for log in logs])
    leader = next(log for log in logs if log.status().role == "leader")
    if leads != (leader is logs[0]):
        await leader.transfer_leadership("n1" if leads else "n2")
    await asyncio.gather(*[log.read_barrier(PATIENCE_MS) for log in logs])
    return ClusterLog(logs[0], logs[1:])


class StoreCluster:
    """Stores of several nodes; each can be closed and opened again."""

    def __init__(
        self,
        path: Path,
        *,
        nodes: int = 3,
        raft: RaftOptions = QUICK,
        options: StoreOptions | None = None,
        tls: dict[str, TlsContexts] | None = None,
    ) -> None:
        self.path = path
        self.options = options or StoreOptions(fsync="inline", segment_bytes=SMALL)
        self.raft = raft
        self.tls = tls or {}
        self.members = free_addresses([f"n{number}" for number in range(1, nodes + 1)])
        self.stores: dict[str, Store] = {}

    async def __aenter__(self) -> "StoreCluster":
        await asyncio.gather(*[self.open(name) for name in self.members])
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*[self.close(name) for name in list(self.stores)])

    async def open(self, name: str) -> Store:
        cluster = ClusterConfig(node_id=name, members=self.members, raft=self.raft, tls=self.tls.get(name))
        store = await Store.open_cluster(self.path / name, cluster=cluster, options=self.options)
        self.stores[name] = store
        return store

    async def close(self, name: str) -> None:
        await self.stores.pop(name).close()

    async def leader(self) -> str:
        """The node that leads, once all open nodes know it and have applied what it committed."""
        await asyncio.gather(*[store.read_barrier(PATIENCE_MS) for store in self.stores.values()])
        return next(name for name, store in self.stores.items() if store.status().role == "leader")

    async def settle(self) -> dict[str, LogStatus]:
        """Wait until all open nodes have applied the same; gives their status."""
        index = max([await store.read_barrier(PATIENCE_MS) for store in self.stores.values()])
        await asyncio.gather(*[store.wait_applied(index, PATIENCE_MS) for store in self.stores.values()])
        return {name: store.status() for name, store in self.stores.items()}
