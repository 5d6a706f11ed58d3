"""Several stores over one log in memory: every append of every node goes through one order and reaches all of them.

Tests hold a node back, cut it off, kill it, or lose the answer to one of its appends.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import msgspec

from argyll.store import (
    LogStatus,
    NoLeader,
    NoOtherNode,
    OutcomeUnknown,
    PeerStatus,
    StateMachine,
    Store,
    StoreClosed,
    StoreOptions,
)
from argyll.store.applied import AppliedIndex
from argyll.store.log import Command
from argyll.store.memory import MemoryLog
from argyll.store.state import State

TERM = 1


@dataclass
class Proposal:
    command: Command
    future: asyncio.Future[int]
    node: "SharedLogNode"


@dataclass
class SharedLog:
    """The order, and who takes part in it. The first connected node by name leads."""

    entries: list[Command] = field(default_factory=list[Command])
    nodes: dict[str, "SharedLogNode"] = field(default_factory=dict[str, "SharedLogNode"])
    members: tuple[str, ...] = ("n1", "n2", "n3")

    def open(self, node_id: str) -> Store:
        """The store of a node that starts, with nothing on its disk."""
        state = State(None, StoreOptions())
        node = SharedLogNode(self, node_id, state)
        store = Store(state, node, StoreOptions(), None)
        self.nodes[node_id] = node
        node.catch_up()
        return store

    def connected(self) -> list[str]:
        return sorted(node_id for node_id, node in self.nodes.items() if node.is_connected)

    @property
    def leader(self) -> str | None:
        connected = self.connected()
        return connected[0] if len(connected) * 2 > len(self.members) else None

    def commit(self, proposal: Proposal) -> None:
        self.entries.append(proposal.command._replace(context=None))
        proposal.node.own[len(self.entries)] = proposal
        for node in self.nodes.values():
            node.catch_up()


class SharedLogNode:
    """`ReplicatedLog` of one node."""

    def __init__(self, log: SharedLog, node_id: str, machine: StateMachine) -> None:
        self._log, self.node_id, self._machine = log, node_id, machine
        self._loop = asyncio.get_running_loop()
        self._applied = AppliedIndex(0)
        self._held: list[Proposal] = []
        self._due = False
        self.lost = asyncio.Event()
        """The answer to an append was lost."""
        self.own: dict[int, Proposal] = {}
        self.is_connected = True
        self.is_held = False
        """It applies nothing for now, though connected."""
        self.loses_answers = False
        """Its appends are committed when the test says so, after their makers were told that nobody knows."""

    def propose(self, command: bytes, *, command_id: bytes, context: object = None) -> asyncio.Future[int]:
        future: asyncio.Future[int] = self._loop.create_future()
        proposal = Proposal(Command(command_id, command, context), future, self)
        if self.loses_answers:
            self._held.append(proposal)
            self.lost.set()
            self._loop.call_soon(_refuse, future, OutcomeUnknown("nobody answered in time"))
        elif not self.is_connected or self._log.leader is None:
            self._loop.call_soon(_refuse, future, NoLeader(1, "cut off"))
        else:
            self._loop.call_soon(self._log.commit, proposal)
        return future

    def commit_lost(self) -> None:
        """Commit what was held back."""
        held, self._held = self._held, []
        self.loses_answers = False
        for proposal in held:
            self._log.commit(proposal)

    def catch_up(self) -> None:
        """Apply what is new, in a later turn."""
        if not self._due:
            self._due = True
            self._loop.call_soon(self._apply)

    def connect(self, connected: bool) -> None:
        self.is_connected = connected
        self.catch_up()

    def hold(self, held: bool) -> None:
        self.is_held = held
        self.catch_up()

    def _apply(self) -> None:
        self._due = False
        while self.is_connected and not self.is_held and self._applied.value < len(self._log.entries):
            index = self._applied.value + 1
            proposal = self.own.pop(index, None)
            command = self._log.entries[index - 1] if proposal is None else proposal.command
            (outcome,) = self._machine.apply(index, TERM, [command])
            self._applied.advance(index)
            if proposal is not None and not proposal.future.done():
                if isinstance(outcome, Exception):
                    proposal.future.set_exception(outcome)
                else:
                    proposal.future.set_result(outcome)

    async def read_barrier(self, timeout_ms: int) -> int:
        if not self.is_connected or self._log.leader is None:
            await asyncio.sleep(0.01)
            raise NoLeader(timeout_ms, "cut off")
        index = len(self._log.entries)
        await self._applied.wait(index, timeout_ms)
        return index

    async def wait_applied(self, index: int, timeout_ms: int) -> None:
        await self._applied.wait(index, timeout_ms)

    async def transfer_leadership(self, to: str | None = None) -> None:
        raise NoOtherNode

    def release(self, index: int) -> None:
        pass

    def status(self) -> LogStatus:
        peers = tuple(self._peer(node_id) for node_id in self._log.members if node_id != self.node_id)
        leader = self._log.leader if self.is_connected else None
        plain: Any = MemoryLog(self._machine).status()
        return msgspec.structs.replace(
            plain,
            role="leader" if leader == self.node_id else "follower",
            leader=leader,
            node_id=self.node_id,
            has_quorum=leader is not None,
            peers=peers,
        )

    def _peer(self, node_id: str) -> PeerStatus:
        other = self._log.nodes.get(node_id)
        connected = self.is_connected and other is not None and other.is_connected
        return PeerStatus(node_id, connected, None, None, None, receives_state=False)

    async def close(self) -> None:
        self.is_connected = False
        self._applied.fail(StoreClosed())


def _refuse(future: asyncio.Future[int], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
