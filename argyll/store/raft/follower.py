"""A follower's side of replication: which entries of a leader's message are new, what may count as verified and committed.

This is what stands between the wire and the library's own handling, which would cut off matching entries, acknowledge
and commit what was never compared, and throw away a log for an older snapshot.
"""

from collections.abc import Callable

from argyll.store.errors import SafetyStop, StoreFailed
from argyll.store.raft.frames import Answer, Append, Beat, Chunk, ChunkAnswer, Message
from argyll.store.raft.host import Host
from argyll.store.raft.journal import Journal
from argyll.store.raft.snapshots import Incoming, SnapshotMachine
from argyll.store.raft.standing import Standing


class _Arrival:
    """A state on its way in."""

    def __init__(self, key: tuple[str, int, int], incoming: Incoming) -> None:
        self.key = key
        """Sender, its term, number of the transfer."""
        self.incoming = incoming
        self.received = 0
        self.is_finishing = False


class Follower:
    """Handles what a leader of the present term says."""

    def __init__(
        self,
        host: Host,
        journal: Journal,
        standing: Standing,
        machine: SnapshotMachine,
        send: Callable[[str, Message], None],
        *,
        installed: Callable[[], None],
        fail: Callable[[Exception], None],
    ) -> None:
        """`installed` is called after the machine took over a state; `fail` with what makes going on impossible."""
        self._host = host
        self._journal = journal
        self._standing = standing
        self._machine = machine
        self._send = send
        self._installed = installed
        self._fail = fail
        self._round = 0
        self._arrival: _Arrival | None = None

    def on_beat(self, peer: str, beat: Beat) -> None:
        self._hear(peer, self._host.commit_index)
        self._send(peer, Answer(beat.round, True, 0))

    def on_append(self, peer: str, message: Append) -> None:
        """Make the log agree with the leader's as far as the message reaches, and say how far that is."""
        host, journal = self._host, self._journal
        self._round = message.round
        prev, prev_term, entries = message.prev_index, message.prev_term, message.entries
        commit = host.commit_index
        if prev < commit:
            # What is committed here is in the log of every later leader.
            if prev + len(entries) <= commit:
                self._hear(peer, commit)
                self._send(peer, Answer(message.round, True, commit + 1))
                return
            entries = entries[commit - prev :]
            prev, prev_term = commit, journal.term_at(commit)
        mine = journal.term_at(prev)
        if mine is None or mine != prev_term:
            self._hear(peer, commit)
            retry = journal.last_index + 1 if mine is None else max(commit + 1, journal.first_of_term(prev))
            self._send(peer, Answer(message.round, False, retry))
            return
        known = 0
        while known < len(entries) and journal.term_at(entries[known][1]) == entries[known][2]:
            known += 1
        verified = prev + known
        if known < len(entries):
            term = journal.term_at(verified)
            assert term is not None, "a verified entry is in the log"
            self._check_leader(peer)
            new = entries[known:]
            host.accept_entries(peer, host.term, min(message.commit, new[-1][1]), (verified, term), new)
        else:
            # The rest of the log is not compared yet: it stays, but neither this answer nor the commit index covers it.
            self._hear(peer, min(message.commit, verified))
            self.answer(peer, verified + 1)
        self._consider_standing()

    def answer(self, peer: str, next_index: int) -> None:
        """Acknowledge, to the message at hand, everything before `next_index`."""
        self._send(peer, Answer(self._round, True, next_index))

    def on_chunk(self, peer: str, chunk: Chunk) -> None:
        """Collect a state; take it over when it is whole and still ahead of what is here."""
        self._hear(peer, self._host.commit_index)
        if self._is_covered(chunk.last_index, chunk.last_term):
            self.abandon()
            self._send(peer, ChunkAnswer(chunk.round, chunk.transfer, chunk.size))
            return
        key = (peer, self._host.term, chunk.transfer)
        arrival = self._arrival
        if arrival is None or arrival.key != key:
            self.abandon()
            if chunk.offset:
                self._send(peer, ChunkAnswer(chunk.round, chunk.transfer, 0))
                return
            arrival = self._arrival = _Arrival(key, self._machine.receive_snapshot())
        if arrival.is_finishing:
            return
        if chunk.offset == arrival.received:
            arrival.incoming.write(chunk.offset, chunk.data)
            arrival.received += len(chunk.data)
        if arrival.received < chunk.size:
            self._send(peer, ChunkAnswer(chunk.round, chunk.transfer, arrival.received))
            return
        arrival.is_finishing = True
        arrival.incoming.finish(lambda error: self._finished(arrival, chunk, error))

    def abandon(self) -> None:
        """Drop a state that is still arriving."""
        arrival, self._arrival = self._arrival, None
        if arrival is not None:
            arrival.incoming.close()

    def _finished(self, arrival: _Arrival, chunk: Chunk, error: Exception | None) -> None:
        if self._arrival is not arrival:
            return
        if error is not None:
            self.abandon()
            self._fail(StoreFailed("receiving the state of another node", error))
            return
        if not self._is_covered(chunk.last_index, chunk.last_term):
            try:
                self._machine.replace(arrival.incoming)
            except StoreFailed as failure:
                self._fail(failure)
                return
            self._host.install(chunk.last_index, chunk.last_term)
            self._installed()
        self.abandon()
        if arrival.key[1] == self._host.term:
            self._send(arrival.key[0], ChunkAnswer(chunk.round, chunk.transfer, chunk.size))

    def _is_covered(self, index: int, term: int) -> bool:
        """Whether the log already leads there: taking that state over would only throw away what follows it."""
        return index <= self._host.commit_index or self._journal.term_at(index) == term

    def _hear(self, peer: str, commit: int) -> None:
        self._check_leader(peer)
        self._host.hear_leader(peer, self._host.term, commit)

    def _check_leader(self, peer: str) -> None:
        if self._host.is_leader:
            raise SafetyStop(f"{peer} also leads in term {self._host.term}")

    def _consider_standing(self) -> None:
        if not self._journal.may_vote and self._journal.term_at(self._host.commit_index) == self._host.term:
            self._standing.caught_up()
