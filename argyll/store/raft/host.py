# ruff: noqa: N802, N803 - the capitals are the library's
"""PySyncObj, the part of it that is used: terms, votes, elections, the commit rule, a follower's log.

The only module that touches the library. Every member below whose name begins with `_SyncObj__`, and every method it
overrides, relies on the source of exactly one release (`RELEASE`); a test holds that source. The library's own disk,
wire, replication, snapshots and command queue are never used.
"""

import logging
import zlib
from collections.abc import Callable
from typing import Protocol

import pysyncobj.syncobj as library
from pysyncobj.config import SyncObjConf
from pysyncobj.node import Node
from pysyncobj.syncobj import SyncObj
from pysyncobj.transport import Transport

from argyll.store.raft.frames import LogEntry, Message, TimeoutNow, Vote, VoteRequest
from argyll.store.raft.journal import Journal
from argyll.store.raft.options import RaftOptions

# What it logs as errors is either impossible here or handled here.
logging.getLogger("pysyncobj").addHandler(logging.NullHandler())

RELEASE = "0.3.17"
"""The only release of the library that this was proven with."""
NO_OP = b"\x01"
"""The payload with which a leader opens its term."""
APPLY_SLICE = 64
"""Entries applied between two looks at the network."""
_FOLLOWER, _CANDIDATE, _LEADER = 0, 1, 2
_NEVER = float("inf")


def check_release() -> None:
    """Raise RuntimeError unless the installed library is the one this was proven with."""
    if library.VERSION != RELEASE:
        raise RuntimeError(
            f"pysyncobj {library.VERSION} is installed; the cluster's log is proven with {RELEASE} alone and does not run on "
            f"another: pip install pysyncobj=={RELEASE}"
        )


def now_s() -> float:
    """The library's clock, monotonic; the one clock of this package."""
    return library.monotonicTime()


class Replica(Protocol):
    """What the library is given to work with: the rest of the node."""

    def send(self, peer: str, message: Message) -> None: ...

    def answer_append(self, peer: str, next_index: int) -> None:
        """The follower's log now ends before `next_index`, as the leader's."""
        ...

    def apply(self, index: int, term: int, payload: bytes) -> None: ...

    def replicate(self) -> None:
        """Time to send to followers: new entries, or a beat."""
        ...

    def became_leader(self) -> None: ...


class _Peer(Node):
    """A node whose place in a set is the same in every process, so that a simulation can be run again."""

    def __hash__(self) -> int:
        return zlib.crc32(self.id.encode())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Node) and self.id == other.id


class _Outlet(Transport):
    """The library's messages, translated."""

    def __init__(self, replica: Replica) -> None:
        super().__init__(None, None, [])
        self._replica = replica

    def send(self, node: Node, message: dict[str, object]) -> bool:
        match message:
            case {"type": "request_vote", "term": int(term), "last_log_index": int(index), "last_log_term": int(last)}:
                self._replica.send(node.id, VoteRequest(term, index, last, probe=False))
            case {"type": "response_vote", "term": int(term)}:
                self._replica.send(node.id, Vote(term, probe=False))
            case {"type": "next_node_idx", "next_node_idx": int(next_index), "success": True}:
                self._replica.answer_append(node.id, next_index)
            case {"type": "timeout_now", "term": int(term)}:
                self._replica.send(node.id, TimeoutNow(term))
            case _:
                raise AssertionError(f"the library wants to send {message.get('type')}, which nobody here expects")
        return True


class _NoPoller:
    def poll(self, timeToWait: float) -> None: ...


class Host(SyncObj):
    """One node's term, vote, role and commit index.

    It is driven by `deliver` and `tick` and answers through its `Replica`. Node ids are strings.
    """

    _poller: _NoPoller
    _SyncObj__raftLog: Journal
    _SyncObj__raftState: int
    _SyncObj__raftCurrentTerm: int
    _SyncObj__votedForNodeId: str | None
    _SyncObj__raftCommitIndex: int
    _SyncObj__raftLastApplied: int
    _SyncObj__raftLeader: Node | None
    _SyncObj__raftElectionDeadline: float
    _SyncObj__transferInProgress: bool
    _SyncObj__raftMatchIndex: dict[Node, int]
    _SyncObj__lastResponseTime: dict[Node, float]
    _SyncObj__connectedNodes: set[Node]
    _SyncObj__newAppendEntriesTime: float
    _SyncObj__onMessageReceived: Callable[[Node, dict[str, object]], None]
    _SyncObj__setState: Callable[[int], None]

    def __init__(
        self,
        node_id: str,
        others: list[str],
        journal: Journal,
        replica: Replica,
        options: RaftOptions,
        chance: Callable[[], float],
    ) -> None:
        """`chance` gives numbers from 0 to 1. Everything up to the journal's commit index counts as applied."""
        self._replica = replica
        self._options = options
        self._chance = chance
        self._nodes = {other: _Peer(other) for other in others}
        self._probe_term = 0
        self._probe_votes: set[str] = set()
        self._votes_term = 0
        self._voters: set[str] = set()
        self.heard_leader_s = -_NEVER
        """When a leader of the current term last spoke."""
        conf = SyncObjConf(
            autoTick=False,
            commandsWaitLeader=False,
            appendEntriesUseBatch=True,
            appendEntriesPeriod=options.heartbeat_ms / 1000,
            raftMinTimeout=options.election_min_ms / 1000,
            raftMaxTimeout=options.election_max_ms / 1000,
            leaderFallbackTimeout=options.leader_silence_ms / 1000,
            pollerType="select",
        )
        outlet = _Outlet(replica)
        super().__init__(_Peer(node_id), list(self._nodes.values()), conf, transport=outlet)
        self._poller = _NoPoller()
        self._SyncObj__raftLog = journal
        self._SyncObj__raftCurrentTerm = max(journal.getCurrentTerm(), journal.last_term)
        self._SyncObj__votedForNodeId = journal.getVotedForNodeId()
        self._SyncObj__raftCommitIndex = self._SyncObj__raftLastApplied = journal.getRaftCommitIndex()

    @property
    def term(self) -> int:
        return self._SyncObj__raftCurrentTerm

    @property
    def is_leader(self) -> bool:
        return self._SyncObj__raftState == _LEADER

    @property
    def is_candidate(self) -> bool:
        return self._SyncObj__raftState == _CANDIDATE

    @property
    def leader(self) -> str | None:
        """The leader of the current term as far as this node knows."""
        leader = self._SyncObj__raftLeader
        return None if leader is None else leader.id

    @property
    def commit_index(self) -> int:
        return self._SyncObj__raftCommitIndex

    @property
    def applied_index(self) -> int:
        return self._SyncObj__raftLastApplied

    @property
    def connected_count(self) -> int:
        return len(self._SyncObj__connectedNodes)

    @property
    def quorum(self) -> int:
        return (len(self._nodes) + 1) // 2 + 1

    def is_connected(self, peer: str) -> bool:
        return self._nodes[peer] in self._SyncObj__connectedNodes

    def connected(self, peer: str) -> None:
        self._SyncObj__connectedNodes.add(self._nodes[peer])

    def disconnected(self, peer: str) -> None:
        self._SyncObj__connectedNodes.discard(self._nodes[peer])

    def tick(self) -> None:
        """Elections, the commit index, applying, stepping down when no quorum answers."""
        self.doTick(0.0)

    def add_entry(self, payload: bytes) -> int:
        """Append an entry of this term to the leader's log; gives its index."""
        journal = self._SyncObj__raftLog
        index = journal.last_index + 1
        journal.add(payload, index, self.term)
        return index

    def matched(self, peer: str, index: int) -> None:
        """The peer's log is known to equal ours up to `index`."""
        node = self._nodes[peer]
        self._SyncObj__raftMatchIndex[node] = max(self._SyncObj__raftMatchIndex[node], index)

    def lost(self, peer: str, last_index: int) -> None:
        """The peer's log ends at `last_index`, whatever it acknowledged before it lost its disk."""
        node = self._nodes[peer]
        match = self._SyncObj__raftMatchIndex
        if node in match:
            match[node] = min(match[node], last_index)

    def match_of(self, peer: str) -> int:
        return self._SyncObj__raftMatchIndex.get(self._nodes[peer], 0)

    def answered(self, peer: str) -> None:
        """The peer takes us for the leader of this term, just now."""
        self._SyncObj__lastResponseTime[self._nodes[peer]] = now_s()

    def answered_s(self, peer: str) -> float | None:
        """When the peer last did."""
        return self._SyncObj__lastResponseTime.get(self._nodes[peer]) if self.is_leader else None

    def hear_leader(self, peer: str, term: int, commit: int) -> None:
        """A leader of `term`, not older than ours, lives; everything up to `commit` that we have is committed."""
        self.heard_leader_s = now_s()
        message: dict[str, object] = {"type": "append_entries", "term": term, "commit_index": commit}
        self._SyncObj__onMessageReceived(self._nodes[peer], message)

    def accept_entries(self, peer: str, term: int, commit: int, prev: tuple[int, int], entries: list[LogEntry]) -> None:
        """Append entries whose predecessor `prev` (index, term) is in our log, instead of whatever follows it there."""
        self.heard_leader_s = now_s()
        message: dict[str, object] = {
            "type": "append_entries",
            "term": term,
            "commit_index": commit,
            "entries": entries,
            "prevLogIdx": prev[0],
            "prevLogTerm": prev[1],
        }
        self._SyncObj__onMessageReceived(self._nodes[peer], message)

    def install(self, index: int, term: int) -> None:
        """The machine has taken over a state: the log begins behind it."""
        self._SyncObj__raftLog.reset(index, term)
        self._SyncObj__raftCommitIndex = self._SyncObj__raftLastApplied = index

    def learn_term(self, term: int) -> None:
        """Somebody has a newer term: whatever we were in ours, we are a follower in it."""
        self._SyncObj__raftCurrentTerm = term
        self._SyncObj__votedForNodeId = None
        self._SyncObj__raftLog.setCurrentTerm(term, None)
        self._SyncObj__setState(_FOLLOWER)
        self._SyncObj__raftLeader = None
        self._SyncObj__transferInProgress = False

    def request_vote(self, peer: str, request: VoteRequest) -> None:
        """A candidate asks for the vote of this term."""
        message: dict[str, object] = {
            "type": "request_vote",
            "term": request.term,
            "last_log_index": request.last_index,
            "last_log_term": request.last_term,
        }
        self._SyncObj__onMessageReceived(self._nodes[peer], message)

    def receive_vote(self, peer: str, term: int) -> None:
        """A voter of this term gave us its vote; the library counts votes, not voters."""
        if self._votes_term != term:
            self._votes_term, self._voters = term, set()
        if peer in self._voters:
            return
        self._voters.add(peer)
        self._SyncObj__onMessageReceived(self._nodes[peer], {"type": "response_vote", "term": term})

    def stand_now(self, peer: str, term: int) -> None:
        """The leader hands over to us."""
        self._SyncObj__onMessageReceived(self._nodes[peer], {"type": "timeout_now", "term": term})

    def lose_leader(self) -> None:
        """The connection to the leader broke: find out soon whether it is gone, not after a whole time-out."""
        self.heard_leader_s = -_NEVER
        spread_s = self._options.fast_election_ms / 1000
        self._SyncObj__raftElectionDeadline = min(
            self._SyncObj__raftElectionDeadline, now_s() + self._chance() * spread_s
        )

    def would_vote(self, request: VoteRequest) -> bool:
        """Whether a candidate that asks first would get the vote: no leader in sight, and its log is not behind ours."""
        if self.is_leader or now_s() - self.heard_leader_s < self._options.election_min_ms / 1000:
            return False
        journal = self._SyncObj__raftLog
        theirs, ours = (request.last_term, request.last_index), (journal.last_term, journal.last_index)
        return request.term > self.term and theirs >= ours

    def receive_probe_vote(self, peer: str, term: int) -> None:
        """A node would vote for us in `term`; with a majority of them, stand for election."""
        if term != self._probe_term or term != self.term + 1 or self.is_leader:
            return
        self._probe_votes.add(peer)
        if len(self._probe_votes) + 1 >= self.quorum:
            self._SyncObj__raftElectionDeadline = 0

    def _onTick(self, timeToWait: float = 0.0) -> None:
        """Ask around before standing for election, so that a node that was away does not depose a healthy leader."""
        due = not self.is_leader and self._SyncObj__raftElectionDeadline < now_s()
        if due and not self._SyncObj__transferInProgress:
            if not self._SyncObj__raftLog.may_vote:
                self._postpone_election()
            elif self._nodes and self._SyncObj__connectedNodes and not self._has_probe_majority():
                self._probe()
        super()._onTick(timeToWait)

    def _has_probe_majority(self) -> bool:
        return self._probe_term == self.term + 1 and len(self._probe_votes) + 1 >= self.quorum

    def _postpone_election(self) -> None:
        self._SyncObj__raftElectionDeadline = now_s() + self._SyncObj__generateRaftTimeout()

    def _probe(self) -> None:
        self._postpone_election()
        journal = self._SyncObj__raftLog
        self._probe_term = self.term + 1
        self._probe_votes = set()
        for peer in self._nodes:
            self._replica.send(peer, VoteRequest(self._probe_term, journal.last_index, journal.last_term, probe=True))

    def _SyncObj__generateRaftTimeout(self) -> float:
        low, high = self._options.election_min_ms / 1000, self._options.election_max_ms / 1000
        return low + (high - low) * self._chance()

    def _SyncObj__getEntries(
        self, fromIDx: int | None, count: int | None = None, maxSizeBytes: int | None = None
    ) -> list[LogEntry]:
        """Never the whole tail, whoever asks."""
        journal = self._SyncObj__raftLog
        if fromIDx is None or fromIDx < journal.base_index:
            return []
        position = fromIDx - journal.base_index
        return journal[position : position + min(count or 2, APPLY_SLICE)]

    def _SyncObj__onBecomeLeader(self) -> None:
        super()._SyncObj__onBecomeLeader()  # pyright: ignore[reportAttributeAccessIssue,reportUnknownMemberType]
        self._probe_votes = set()
        self._replica.became_leader()
        if not self._nodes:
            # The library counts a lone node's own copy at once.
            self._SyncObj__raftLog.sync()

    def _SyncObj__sendAppendEntries(self) -> None:
        self._SyncObj__newAppendEntriesTime = now_s() + self._options.heartbeat_ms / 1000
        self._replica.replicate()

    def _SyncObj__doApplyCommand(self, command: bytes) -> None:
        index = self._SyncObj__raftLastApplied + 1
        term = self._SyncObj__raftLog.term_at(index)
        assert term is not None, f"entry {index} is committed and not in the log"
        self._replica.apply(index, term, command)

    def _SyncObj__tryLogCompaction(self) -> None:
        """The machine says what the log may forget."""

    def _checkCommandsToApply(self) -> None:
        """Commands come through `add_entry`."""
