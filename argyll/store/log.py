"""The contract between the store and whatever replicates its commands: an embedded log, a cluster, memory.

A log orders opaque commands, makes them durable and hands them to one state machine in that order. It never looks
inside a command; the machine never knows how a command became durable.
"""

import asyncio
from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol, TypeAlias

import msgspec

Outcome: TypeAlias = "int | Exception"
"""What applying a command gave: the machine's answer, or the definite refusal its proposer gets."""


class Command(NamedTuple):
    """A command in log order. `context` is what this process proposed it with, None for one read from the log."""

    id: bytes
    body: bytes
    context: object


class StateMachine(Protocol):
    """What a log drives. Deterministic: no clock, no randomness, the same on every node."""

    @property
    def applied_index(self) -> int:
        """The last entry whose effects are durable here; a starting log replays what follows it."""
        ...

    def apply(self, index: int, term: int, commands: Sequence[Command]) -> list[Outcome]:
        """Apply one committed entry. An exception here means the machine is broken: the log stops for good."""
        ...


class PeerStatus(msgspec.Struct, frozen=True):
    """Another node as this one sees it. What only the leader knows is None elsewhere."""

    id: str
    is_connected: bool
    match_index: int | None
    """Its log is known to equal the leader's up to here."""
    lag: int | None
    """Entries it has not acknowledged."""
    last_contact_ms: int | None
    """Since it last answered the leader, or the leader was heard from here."""
    receives_state: bool
    """It was too far behind for the log and is being sent the whole state."""


class LogStatus(msgspec.Struct, frozen=True):
    """A log as operators see it. Sizes in bytes, times in microseconds."""

    role: Literal["leader", "follower", "candidate", "closed", "failed"]
    term: int
    leader: str | None
    first_index: int
    last_index: int
    commit_index: int
    applied_index: int
    segments: int
    bytes: int
    in_flight_appends: int
    in_flight_bytes: int
    fsync: str
    fsyncs: int
    fsync_last_us: int
    fsync_worst_us: int
    cut_bytes: int
    """Bytes of a torn, never acknowledged write cut off at the last start."""
    failure: str | None = None
    node_id: str | None = None
    """None for a log of one node."""
    has_quorum: bool = True
    """Whether this node sees enough others to commit."""
    may_vote: bool = True
    """False for a node with a new disk, until it has caught up."""
    peers: tuple[PeerStatus, ...] = ()


class ReplicatedLog(Protocol):
    """Every method is called on the event loop."""

    def propose(self, command: bytes, *, command_id: bytes, context: object = None) -> asyncio.Future[int]:
        """Order the command; the future gives the machine's outcome once it is durable and applied here.

        Commands proposed by one process are applied in the order proposed. Fails with `Overloaded`, `StoreClosed`,
        `StoreFailed`, `OutcomeUnknown` or the machine's own refusal. A second command with the same id is the
        machine's to recognise.
        """
        ...

    async def read_barrier(self, timeout_ms: int) -> int:
        """The index that a linearizable read has to wait for, already applied here."""
        ...

    async def wait_applied(self, index: int, timeout_ms: int) -> None:
        """Wait until this node has applied the entry. Raises `BarrierTimeout`."""
        ...

    async def transfer_leadership(self, to: str | None = None) -> None:
        """Hand leadership to another node. Raises `NoOtherNode`, `NotLeader`, `TransferFailed`."""
        ...

    def release(self, index: int) -> None:
        """The machine keeps everything up to this entry durably by itself; the log may forget it."""
        ...

    def status(self) -> LogStatus:
        """The log as operators see it."""
        ...

    async def close(self) -> None:
        """Finish what was proposed, refuse what comes, release the files. Safe to call twice."""
        ...
