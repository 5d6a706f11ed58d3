"""A leader's side of replication: how far each follower is, what to send it next, which reads are confirmed.

Every message carries a number that comes back in its answer, so that an answer also proves that the follower took this
node for the leader after a read was asked for.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from argyll.store.raft.frames import Answer, Append, Beat, Chunk, ChunkAnswer, Message
from argyll.store.raft.host import Host
from argyll.store.raft.journal import Journal
from argyll.store.raft.options import RaftOptions
from argyll.store.raft.snapshots import Snapshot, SnapshotMachine

PROBE_BYTES = 64 << 10
"""Entries sent along while it is not known where the follower's log ends."""
MAX_MESSAGE_ENTRIES = 4_096
MESSAGES_PER_TURN = 8
"""To one follower, between two looks at the network."""


class _Transfer:
    """A whole state on its way to one follower."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.snapshot: Snapshot | None = None
        self.sent = 0
        self.acknowledged = 0
        self.is_over = False


class Progress:
    """What the leader knows of one follower."""

    def __init__(self, next_index: int) -> None:
        self.next_index = next_index
        self.is_probing = True
        """It is not known where its log joins ours: one message at a time."""
        self.awaits_probe = False
        self.probe_round = 0
        self.round = 0
        """The newest message it answered."""
        self.told_commit = 0
        self.in_flight: deque[tuple[int, int]] = deque()
        """(last index, bytes) of messages not acknowledged."""
        self.in_flight_bytes = 0
        self.transfer: _Transfer | None = None

    def probe(self, next_index: int, round_: int) -> None:
        """Start anew at `next_index`; answers to messages up to `round_` say nothing any more."""
        self.next_index = next_index
        self.is_probing, self.awaits_probe = True, False
        self.probe_round = round_ + 1
        self.in_flight.clear()
        self.in_flight_bytes = 0

    def acknowledged(self, index: int) -> None:
        """Its log equals ours up to `index`."""
        self.is_probing = self.awaits_probe = False
        self.next_index = max(self.next_index, index + 1)
        while self.in_flight and self.in_flight[0][0] <= index:
            self.in_flight_bytes -= self.in_flight.popleft()[1]


class _Read(NamedTuple):
    round: int
    read_index: int
    done: Callable[[int | None], None]


class Leader:
    """Replication from this node; idle unless it leads."""

    def __init__(
        self,
        host: Host,
        journal: Journal,
        machine: SnapshotMachine,
        others: list[str],
        options: RaftOptions,
        send: Callable[[str, Message], None],
        room: Callable[[str], bool],
    ) -> None:
        """`room` tells whether a peer's connection takes more bulk."""
        self._host = host
        self._journal = journal
        self._machine = machine
        self._others = others
        self._options = options
        self._send = send
        self._room = room
        self._round = 0
        self._term = 0
        self._opened_at = 0
        self._transfers = 0
        self._reads: deque[_Read] = deque()
        self._waiting_reads: list[Callable[[int | None], None]] = []
        self.progress: dict[str, Progress] = {}

    @property
    def is_open(self) -> bool:
        """Whether everything of older terms is decided: the leader's first own entry is committed."""
        return self._host.is_leader and self._host.commit_index >= self._opened_at

    @property
    def pinned_index(self) -> int | None:
        """Followers that receive a state need the log from behind here on."""
        transfers = [progress.transfer for progress in self.progress.values() if progress.transfer is not None]
        return min((each.snapshot.index for each in transfers if each.snapshot is not None), default=None)

    def begin(self) -> None:
        """This node leads from now on; its opening entry is the log's last."""
        self.end()
        self._term = self._host.term
        self._opened_at = self._journal.last_index
        self.progress = {peer: Progress(self._opened_at) for peer in self._others}

    def end(self) -> None:
        """Forget a leadership that is over."""
        for progress in self.progress.values():
            self._cancel(progress)
        self.progress = {}
        reads, self._reads = self._reads, deque()
        waiting, self._waiting_reads = self._waiting_reads, []
        for read in reads:
            read.done(None)
        for done in waiting:
            done(None)

    def reconnected(self, peer: str) -> None:
        """Nothing is known to be under way to the peer any more."""
        progress = self.progress.get(peer)
        if progress is not None:
            self._cancel(progress)
            progress.probe(
                self._host.match_of(peer) + 1 if self._host.match_of(peer) else progress.next_index, self._round
            )

    def read(self, done: Callable[[int | None], None]) -> None:
        """Give the index a linearizable read has to wait for, once a majority confirmed that this node leads; None if not."""
        self._waiting_reads.append(done)

    def on_answer(self, peer: str, answer: Answer) -> None:
        """A follower says how far its log agrees, or where to try again."""
        progress = self.progress[peer]
        self._confirmed(peer, progress, answer.round)
        if answer.accepted and answer.next_index:
            index = min(answer.next_index - 1, self._journal.last_index)
            self._host.matched(peer, index)
            if progress.transfer is None:
                progress.acknowledged(index)
        elif not answer.accepted and progress.transfer is None and answer.round >= progress.probe_round:
            floor = self._host.match_of(peer) + 1
            progress.probe(max(floor, min(answer.next_index, self._journal.last_index + 1)), self._round)

    def on_chunk_answer(self, peer: str, answer: ChunkAnswer) -> None:
        """A follower says which byte of the state it wants next."""
        progress = self.progress[peer]
        self._confirmed(peer, progress, answer.round)
        transfer = progress.transfer
        if transfer is None or transfer.snapshot is None or transfer.number != answer.transfer:
            return
        snapshot = transfer.snapshot
        if answer.offset >= snapshot.size:
            index = snapshot.index
            self._cancel(progress)
            self._host.matched(peer, index)
            progress.probe(index + 1, self._round)
        elif answer.offset < transfer.acknowledged:
            # It has begun anew.
            transfer.sent = transfer.acknowledged = answer.offset
        else:
            transfer.acknowledged = answer.offset

    def replicate(self, *, beat: bool) -> None:
        """Send every follower what it lacks; with `beat`, send everyone at least something."""
        if self._waiting_reads and self.is_open:
            # Answers to whatever is sent from now on confirm them.
            index = self._host.commit_index
            self._reads.extend(_Read(self._round + 1, index, done) for done in self._waiting_reads)
            self._waiting_reads.clear()
            beat = True
        for peer, progress in self.progress.items():
            if self._host.is_connected(peer):
                self._send_to(peer, progress, beat=beat)
        self._finish_reads()

    def _send_to(self, peer: str, progress: Progress, *, beat: bool) -> None:
        journal, host = self._journal, self._host
        if progress.transfer is not None or progress.next_index <= journal.base_index:
            self._send_state(peer, progress, beat=beat)
            return
        if progress.is_probing:
            if beat or not progress.awaits_probe:
                self._append(peer, progress, PROBE_BYTES, advance=False)
                progress.awaits_probe = True
            return
        turns = 0
        while progress.next_index <= journal.last_index and turns < MESSAGES_PER_TURN:
            if progress.in_flight_bytes >= self._options.window_bytes or not self._room(peer):
                break
            self._append(peer, progress, self._options.message_bytes, advance=True)
            turns += 1
        if not turns and (beat or progress.told_commit != host.commit_index):
            self._append(peer, progress, 0, advance=False)

    def _append(self, peer: str, progress: Progress, max_bytes: int, *, advance: bool) -> None:
        journal = self._journal
        prev = progress.next_index - 1
        term = journal.term_at(prev)
        assert term is not None, f"entry {prev} is neither in the log nor its base"
        entries = journal.read(prev + 1, max_bytes=max_bytes, max_entries=MAX_MESSAGE_ENTRIES) if max_bytes else []
        if advance and entries:
            size = sum(len(entry[0]) for entry in entries)
            progress.in_flight.append((entries[-1][1], size))
            progress.in_flight_bytes += size
            progress.next_index = entries[-1][1] + 1
        self._round += 1
        progress.told_commit = self._host.commit_index
        self._send(peer, Append(self._round, progress.told_commit, prev, term, entries))

    def _send_state(self, peer: str, progress: Progress, *, beat: bool) -> None:
        transfer = progress.transfer
        if transfer is None:
            self._transfers += 1
            transfer = progress.transfer = _Transfer(self._transfers)
            self._machine.take_snapshot(partial(self._snapshot_taken, peer, transfer))
        snapshot = transfer.snapshot
        sent = False
        if snapshot is not None:
            limit = transfer.acknowledged + self._options.chunk_bytes * self._options.chunk_window
            while transfer.sent < min(snapshot.size, limit) and self._room(peer):
                data = snapshot.read(transfer.sent, self._options.chunk_bytes)
                self._round += 1
                index, term, size = snapshot.index, snapshot.term, snapshot.size
                self._send(peer, Chunk(self._round, transfer.number, index, term, size, transfer.sent, data))
                transfer.sent += len(data)
                sent = True
        if beat and not sent:
            self._round += 1
            self._send(peer, Beat(self._round))

    def _snapshot_taken(self, peer: str, transfer: _Transfer, snapshot: Snapshot | Exception) -> None:
        progress = self.progress.get(peer)
        if isinstance(snapshot, Exception):
            if progress is not None and progress.transfer is transfer:
                progress.transfer = None
            return
        if transfer.is_over:
            snapshot.close()
        else:
            transfer.snapshot = snapshot

    def _cancel(self, progress: Progress) -> None:
        transfer, progress.transfer = progress.transfer, None
        if transfer is not None:
            transfer.is_over = True
            if transfer.snapshot is not None:
                transfer.snapshot.close()

    def _confirmed(self, peer: str, progress: Progress, round_: int) -> None:
        self._host.answered(peer)
        progress.round = max(progress.round, round_)
        self._finish_reads()

    def _finish_reads(self) -> None:
        if not self._reads:
            return
        rounds = sorted((progress.round for progress in self.progress.values()), reverse=True)
        needed = self._host.quorum - 1
        confirmed = rounds[needed - 1] if needed else self._round + 1
        while self._reads and self._reads[0].round <= confirmed:
            read = self._reads.popleft()
            read.done(read.read_index)
