"""One node of the cluster without its sockets, threads and clocks: messages in, messages out, in the order of durability.

`begin` takes in what arrived and gives the records to make durable; when they are, `finish` commits, applies, takes in
proposals and lets messages leave. Nothing acknowledges or votes before its records are on disk. Single-threaded.
"""

import math
from collections import deque
from collections.abc import Callable
from struct import Struct
from struct import error as struct_error
from typing import Literal

from argyll.store.commands import decode_commands, encode_commands
from argyll.store.errors import DamagedState, NotLeader, TransferFailed, UnreadableEntry
from argyll.store.log import Command, PeerStatus
from argyll.store.raft.follower import Follower
from argyll.store.raft.frames import (
    Answer,
    Append,
    Beat,
    Chunk,
    ChunkAnswer,
    Forward,
    Hint,
    Message,
    Ping,
    ReadIndex,
    ReadRequest,
    Received,
    TimeoutNow,
    Vote,
    VoteRequest,
    encode,
)
from argyll.store.raft.host import NO_OP, Host, now_s
from argyll.store.raft.journal import Batch, Journal
from argyll.store.raft.leader import Leader
from argyll.store.raft.options import RaftOptions
from argyll.store.raft.proposals import Intake, Proposal, Proposals
from argyll.store.raft.snapshots import SnapshotMachine
from argyll.store.raft.standing import Standing

_ENTRY = Struct("<BBHB")
"""Kind, format, group, namespace: one group and one namespace so far."""
_ENTRY_KIND, _ENTRY_FORMAT, _GROUP, _NAMESPACE = 0x20, 1, 0, 0
PINNED_FACTOR = 4
"""A follower that receives a state keeps the log from being cut, up to so many times `retained_log_bytes`."""
_STALE_ANSWERED = (Append, Beat, Chunk, VoteRequest)
"""What only a node that missed an election sends: it is told."""


def encode_entry(commands: list[tuple[bytes, bytes]]) -> bytes:
    """Commands (id, body) as an entry of the replicated log."""
    header = _ENTRY.pack(_ENTRY_KIND, _ENTRY_FORMAT, _GROUP, _NAMESPACE)
    return header + encode_commands([Command(command_id, body, None) for command_id, body in commands])


def decode_entry(payload: bytes) -> list[Command]:
    """The commands of an entry; none in one that opens a term. Raises ValueError for what this release cannot read."""
    if payload == NO_OP:
        return []
    try:
        kind, version, group, _ = _ENTRY.unpack_from(payload)
        if (kind, version, group) != (_ENTRY_KIND, _ENTRY_FORMAT, _GROUP):
            raise ValueError(f"entry of kind {kind}, format {version}, group {group}: run the newer release")
        return decode_commands(payload[_ENTRY.size :])
    except struct_error as error:
        raise ValueError(f"not an entry: {error}") from error


class _Handover:
    """Leadership on its way to another node."""

    def __init__(self, to: str, deadline_s: float, done: Callable[[Exception | None], None]) -> None:
        self.to = to
        self.deadline_s = deadline_s
        self.done = done
        self.is_asked = False


class RaftNode:
    """A node. `send` takes whole frames and never fails; `room` tells whether a peer's connection takes bulk."""

    def __init__(
        self,
        node_id: str,
        others: list[str],
        journal: Journal,
        machine: SnapshotMachine,
        options: RaftOptions,
        *,
        chance: Callable[[], float],
        session: bytes,
        send: Callable[[str, bytes], None],
        room: Callable[[str], bool],
        fail: Callable[[Exception], None],
    ) -> None:
        """Bring the machine up to what the journal knows as committed. Raises `DamagedState`, `UnreadableEntry`.

        `session`: eight bytes that no other start shares; `fail` is told, at any time, what makes going on impossible.
        """
        self.node_id = node_id
        self._others = others
        self._journal = journal
        self._machine = machine
        self._options = options
        self._send_frame = send
        self._inbox: deque[tuple[str, Received]] = deque()
        self._outbox: list[tuple[str, bytes]] = []
        self._join(journal, machine)
        self.host = Host(node_id, others, journal, self, options, chance)
        self._standing = Standing(journal, others)
        self._leader = Leader(self.host, journal, machine, others, options, self.send, room)
        self._follower = Follower(
            self.host, journal, self._standing, machine, self.send, installed=self._installed, fail=fail
        )
        self._room = room
        self._proposals = Proposals(session, options.proposal_timeout_ms)
        self._intake = Intake()
        self._handover: _Handover | None = None
        self._reads_waiting: list[Callable[[int], None]] = []
        self._reads_asked: list[Callable[[int], None]] = []
        # Not from 0: the leader may still be about to answer this node's last life.
        self._read_number = int.from_bytes(session) >> 1
        self._read_target: tuple[str | None, int] = (None, 0)
        self._led = False
        self.on_applied: Callable[[int], None] | None = None
        """Told the index of every entry applied."""
        self.is_dirty = False
        """Whether something new waits for the next tick."""

    def connected(self, peer: str, last_index: int, term: int) -> None:
        """A new connection to `peer`, whose log ends at `last_index` in `term`, is in place of any older one."""
        self._standing.seen(peer, has_history=bool(last_index or term))
        self.host.connected(peer)
        self.host.lost(peer, last_index)
        self._leader.reconnected(peer)
        self._rewind(peer)
        self.is_dirty = True

    def disconnected(self, peer: str) -> None:
        """The connection is lost."""
        self.host.disconnected(peer)
        self._leader.reconnected(peer)
        self._rewind(peer)
        if self.host.leader == peer:
            self.host.lose_leader()

    def receive(self, peer: str, received: Received) -> None:
        """A message from `peer`, to be looked at in the next tick."""
        self._inbox.append((peer, received))
        self.is_dirty = True

    def propose(self, proposal: Proposal) -> None:
        """Order a command."""
        self._proposals.add(proposal)
        self.is_dirty = True

    def read(self, done: Callable[[int], None]) -> None:
        """Give the index that a linearizable read has to wait for here; not called while there is no leader."""
        self._reads_waiting.append(done)
        self.is_dirty = True

    def hand_over(self, to: str, done: Callable[[Exception | None], None]) -> None:
        """Let `to` lead. New commands wait meanwhile."""
        if not self.host.is_leader:
            done(NotLeader(self.host.leader))
            return
        if self._handover is not None:
            done(TransferFailed(to, f"it is being handed to {self._handover.to}"))
            return
        self._handover = _Handover(to, now_s() + self._options.transfer_timeout_ms / 1000, done)
        self.is_dirty = True

    def tick(self) -> None:
        """`begin`, make durable, `finish`. Raises OSError when the disk refuses."""
        batch = self.begin()
        if batch is not None:
            self._journal.write(batch)
        self.finish(batch)

    def begin(self) -> Batch | None:
        """Take in what arrived; gives what has to be durable before `finish`."""
        self.is_dirty = False
        while self._inbox:
            peer, received = self._inbox.popleft()
            self._handle(peer, received)
        return self._journal.take()

    def finish(self, batch: Batch | None) -> None:
        """Commit, apply, take in commands, let messages leave; `batch` is durable now."""
        if batch is not None:
            self._journal.written(batch)
        host = self.host
        host.tick()
        if self._led and not host.is_leader:
            self._led = False
            self._intake.clear()
            self._leader.end()
        self._proposals.expire(now_s(), self.quorum_in_words())
        self._move_proposals()
        self._drive_handover()
        if host.is_leader:
            self._fill_entries()
            self._leader.replicate(beat=False)
        self._drive_reads()
        self._flush()
        if self._journal.is_dirty or host.commit_index > host.applied_index:
            self.is_dirty = True

    def stop(self, error: Exception) -> None:
        """Fail whatever waits; the node is not driven any more."""
        self._proposals.fail(error)
        self._leader.end()
        self._follower.abandon()
        handover, self._handover = self._handover, None
        if handover is not None:
            handover.done(error)

    def release(self, index: int) -> None:
        """The machine keeps everything up to `index` durably."""
        index = min(index, self.host.applied_index)
        pinned, kept_bytes = self._leader.pinned_index, self._options.retained_log_bytes
        if pinned is not None and self._journal.size_bytes < PINNED_FACTOR * kept_bytes:
            index = min(index, pinned)
        self._journal.compact(index, keep_bytes=kept_bytes)

    @property
    def role(self) -> Literal["leader", "follower", "candidate"]:
        if self.host.is_leader:
            return "leader"
        return "candidate" if self.host.is_candidate else "follower"

    @property
    def waiting(self) -> int:
        """Commands of this node not applied yet."""
        return len(self._proposals)

    @property
    def unanswered(self) -> int:
        """Those of them whose maker still waits."""
        return self._proposals.unanswered

    @property
    def waiting_bytes(self) -> int:
        return self._proposals.bytes

    @property
    def best_follower(self) -> str | None:
        """The connected follower that is furthest, when this node leads."""
        connected = [peer for peer in self._others if self.host.is_connected(peer)]
        return max(connected, key=lambda peer: (self.host.match_of(peer), peer), default=None)

    def quorum_in_words(self) -> str:
        """What is known of the cluster, for messages to people."""
        return f"{self.host.connected_count + 1} of {len(self._others) + 1} nodes connected, {self.host.quorum} needed"

    def peers(self) -> tuple[PeerStatus, ...]:
        """The other nodes as seen from here; how far they are is known to the leader only."""
        leads, last = self.host.is_leader, self._journal.last_index
        found: list[PeerStatus] = []
        for peer in self._others:
            answered_s = self.host.answered_s(peer)
            if not leads and peer == self.host.leader:
                answered_s = self.host.heard_leader_s
            contact_ms: int | None = None
            if answered_s is not None and math.isfinite(answered_s):
                contact_ms = max(0, round((now_s() - answered_s) * 1000))
            match = self.host.match_of(peer) if leads else None
            progress = self._leader.progress.get(peer)
            found.append(
                PeerStatus(
                    id=peer,
                    is_connected=self.host.is_connected(peer),
                    match_index=match,
                    lag=None if match is None else last - match,
                    last_contact_ms=contact_ms,
                    receives_state=progress is not None and progress.transfer is not None,
                )
            )
        return tuple(found)

    def send(self, peer: str, message: Message) -> None:
        """Queue a message; it leaves at the end of the tick, with the term of now."""
        if self.host.is_connected(peer):
            self._outbox.append((peer, encode(message, self.host.term)))

    def answer_append(self, peer: str, next_index: int) -> None:
        """See `Replica.answer_append`."""
        self._follower.answer(peer, next_index)

    def apply(self, index: int, term: int, payload: bytes) -> None:
        """See `Replica.apply`."""
        pending: list[Proposal | None] = []
        commands: list[Command] = []
        for command in decode_entry(payload):
            proposal = self._proposals.get(command.id)
            pending.append(proposal)
            commands.append(command if proposal is None else command._replace(context=proposal.context))
        outcomes = self._machine.apply(index, term, commands)
        self._applied_term = term
        if self.on_applied is not None:
            self.on_applied(index)
        for proposal, outcome in zip(pending, outcomes, strict=True):
            if proposal is not None:
                self._proposals.applied(proposal, outcome)

    def replicate(self) -> None:
        """See `Replica.replicate`."""
        self._leader.replicate(beat=True)

    def became_leader(self) -> None:
        """See `Replica.became_leader`."""
        self._led = True
        self._intake.clear()
        self._leader.begin()

    def _join(self, journal: Journal, machine: SnapshotMachine) -> None:
        """Make log and state meet, whatever was interrupted between them, and apply what is known to be committed."""
        index, term = machine.applied_index, machine.applied_term
        if index < journal.base_index:
            found = f"it ends at entry {index}, the log begins behind entry {journal.base_index}"
            raise DamagedState(journal.wal.directory.parent / "state.db", found)
        known = journal.term_at(index)
        if known is None or (term and known != term):
            # A state was taken over and the log not yet told.
            journal.reset(index, term)
        journal.setRaftCommitIndex(index)
        self._applied_term = journal.term_at(index) or 0
        for payload, entry_index, entry_term in journal[index - journal.base_index + 1 :]:
            if entry_index > journal.getRaftCommitIndex():
                break
            try:
                machine.apply(entry_index, entry_term, decode_entry(payload))
            except ValueError as error:
                raise UnreadableEntry(journal.wal.directory, entry_index, str(error)) from error
            self._applied_term = entry_term

    def _handle(self, peer: str, received: Received) -> None:
        term, message = received
        host = self.host
        if term > host.term:
            host.learn_term(term)
        elif term < host.term:
            if isinstance(message, _STALE_ANSWERED):
                self.send(peer, Hint())
            return
        match message:
            case Append():
                self._follower.on_append(peer, message)
            case Answer():
                if host.is_leader:
                    self._leader.on_answer(peer, message)
            case Beat():
                self._follower.on_beat(peer, message)
            case Chunk():
                self._follower.on_chunk(peer, message)
            case ChunkAnswer():
                if host.is_leader:
                    self._leader.on_chunk_answer(peer, message)
            case Forward():
                if host.is_leader and message.term == host.term:
                    self._intake.accept(peer, message)
            case VoteRequest() | Vote() | TimeoutNow():
                self._handle_election(peer, message)
            case ReadRequest() | ReadIndex():
                self._handle_read(peer, message)
            case _:
                assert isinstance(message, Hint | Ping), f"{type(message).__name__} is not for nodes"

    def _handle_election(self, peer: str, message: VoteRequest | Vote | TimeoutNow) -> None:
        host = self.host
        match message:
            case VoteRequest(probe=True):
                if self._standing.may_vote_for(peer) and host.would_vote(message):
                    self.send(peer, Vote(message.term, probe=True))
            case VoteRequest():
                if self._standing.may_vote_for(peer):
                    host.request_vote(peer, message)
            case Vote(probe=True):
                host.receive_probe_vote(peer, message.term)
            case Vote():
                host.receive_vote(peer, message.term)
            case TimeoutNow():
                if self._journal.may_vote:
                    host.stand_now(peer, message.term)

    def _handle_read(self, peer: str, message: ReadRequest | ReadIndex) -> None:
        if isinstance(message, ReadRequest):
            if self.host.is_leader:
                number = message.number
                self._leader.read(lambda index: None if index is None else self.send(peer, ReadIndex(number, index)))
        elif message.number == self._read_number:
            asked, self._reads_asked = self._reads_asked, []
            for done in asked:
                done(message.read_index)

    def _move_proposals(self) -> None:
        """Send the leader what it has not got; only once nothing of an older term can come any more."""
        host, proposals = self.host, self._proposals
        leader = host.leader
        if leader is None or self._applied_term != host.term or self._handover is not None:
            return
        if proposals.term != host.term:
            proposals.open(host.term)
        while proposals.has_unsent:
            if leader != self.node_id and not (host.is_connected(leader) and self._room(leader)):
                return
            forward = proposals.take_unsent(self._options.max_entry_commands, self._options.max_entry_bytes)
            assert forward is not None, "there was something to send"
            if leader == self.node_id:
                self._intake.accept(self.node_id, forward)
            else:
                self.send(leader, forward)

    def _fill_entries(self) -> None:
        options = self._options
        if self._handover is not None:
            # What is not in an entry then, its node sends again to the next leader.
            return
        while self._intake and self._journal.last_index - self.host.commit_index < options.max_open_entries:
            commands = self._intake.take(options.max_entry_commands, options.max_entry_bytes)
            self.host.add_entry(encode_entry(commands))

    def _drive_reads(self) -> None:
        """Ask for read indexes: one question for all that came up since the last was answered."""
        host = self.host
        leader = host.leader
        if self._read_target != (leader, host.term):
            self._ask_again()
        if not self._reads_waiting or self._reads_asked or leader is None:
            return
        if leader != self.node_id and not host.is_connected(leader):
            return
        self._reads_asked, self._reads_waiting = self._reads_waiting, []
        self._read_number += 1
        self._read_target = (leader, host.term)
        if leader == self.node_id:
            number = self._read_number
            self._leader.read(lambda index: self._own_read(number, index))
            self._leader.replicate(beat=False)
        else:
            self.send(leader, ReadRequest(self._read_number))

    def _own_read(self, number: int, index: int | None) -> None:
        if number != self._read_number:
            return
        asked, self._reads_asked = self._reads_asked, []
        if index is None:
            self._reads_waiting = asked + self._reads_waiting
            return
        for done in asked:
            done(index)

    def _rewind(self, peer: str) -> None:
        """Whatever was on its way to the peer may be lost."""
        if peer == self.host.leader:
            self._proposals.rewind()
            self._ask_again()

    def _ask_again(self) -> None:
        self._reads_waiting = self._reads_asked + self._reads_waiting
        self._reads_asked = []

    def _drive_handover(self) -> None:
        handover, host = self._handover, self.host
        if handover is None:
            return
        if not host.is_leader:
            self._handover = None
            handover.done(None)
        elif now_s() >= handover.deadline_s:
            self._handover = None
            handover.done(TransferFailed(handover.to, "it did not catch up and win an election in time"))
        elif not handover.is_asked and host.match_of(handover.to) == self._journal.last_index == host.commit_index:
            handover.is_asked = True
            self.send(handover.to, TimeoutNow(host.term))

    def _installed(self) -> None:
        self._applied_term = self._journal.last_term
        self._proposals.lose_sight()
        self.is_dirty = True
        if self.on_applied is not None:
            self.on_applied(self.host.applied_index)

    def _flush(self) -> None:
        """Let messages leave, unless a vote of this very tick is not durable yet: then they leave after the next."""
        if not self._journal.has_durable_vote:
            return
        outbox, self._outbox = self._outbox, []
        for peer, frame in outbox:
            self._send_frame(peer, frame)
