"""Known defects of the library and of careless logs, put back one by one: the simulation has to notice each."""

from collections.abc import Callable

import pytest

from argyll.store.raft.follower import Follower
from argyll.store.raft.frames import Answer, Append, Chunk, Received
from argyll.store.raft.host import Host
from argyll.store.raft.journal import Journal
from argyll.store.raft.leader import Leader
from argyll.store.raft.node import RaftNode
from tests.unit.store.raft.disk import SimDisk

Patch = pytest.MonkeyPatch


def syncs_do_nothing(patch: Patch) -> None:
    """D1: what is acknowledged is in a cache."""
    init = SimDisk.__init__

    def lying(self: SimDisk, *args: object) -> None:
        init(self, *args)
        self.lies = True

    patch.setattr(SimDisk, "__init__", lying)


def acknowledges_before_syncing(patch: Patch) -> None:
    """D1 again: answers leave the node before its disk was asked."""
    begin = RaftNode.begin

    def hasty(self: RaftNode) -> object:
        batch = begin(self)
        outbox, self._outbox = self._outbox, []
        for peer, frame in outbox:
            self._send_frame(peer, frame)
        return batch

    patch.setattr(RaftNode, "begin", hasty)


def forgets_the_vote(patch: Patch) -> None:
    """D1 once more: term and vote live in memory."""

    def remember(self: Journal, term: int, votedForNodeId: str | None) -> None:  # noqa: N803
        self._term, self._vote = term, votedForNodeId

    patch.setattr(Journal, "setCurrentTerm", remember)


def log_is_told_before_the_state_is_there(patch: Patch) -> None:
    """D3: a crash between state and log leaves a log that begins behind the state."""
    finished = Follower._finished

    def hasty(self: Follower, arrival: object, chunk: Chunk, error: Exception | None) -> None:
        if self._arrival is arrival and not self._is_covered(chunk.last_index, chunk.last_term):
            self._journal.reset(chunk.last_index, chunk.last_term)
            self._journal.sync()
            machine = self._machine
            if machine.sim.chance.random() < 0.3:
                machine.sim.crash(machine.name, power=True)
                return
        finished(self, arrival, chunk, error)

    patch.setattr(Follower, "_finished", hasty)


def log_and_state_are_not_joined(patch: Patch) -> None:
    """D3 at the start: a log that does not reach the state is taken for its continuation."""
    join = RaftNode._join

    def careless(self: RaftNode, journal: Journal, machine: object) -> None:
        reset, journal.reset = journal.reset, lambda index, term: journal._reset(index, journal.last_term)
        try:
            join(self, journal, machine)
        finally:
            journal.reset = reset

    patch.setattr(RaftNode, "_join", careless)


def cuts_off_matching_entries(patch: Patch) -> None:
    """D4: whatever follows the message's predecessor goes, also entries that are the leader's."""

    def blunt(self: Follower, peer: str, message: Append) -> None:
        self._round = message.round
        journal, host = self._journal, self._host
        if message.prev_index < journal.base_index or journal.term_at(message.prev_index) != message.prev_term:
            self._hear(peer, host.commit_index)
            self._send(peer, Answer(message.round, False, host.commit_index + 1))
            return
        prev = (message.prev_index, message.prev_term)
        host.accept_entries(peer, host.term, message.commit, prev, message.entries)
        self._consider_standing()

    patch.setattr(Follower, "on_append", blunt)


def acknowledges_what_was_not_compared(patch: Patch) -> None:
    """D4, its other half: a heartbeat vouches for the whole log, and commits it."""

    def trusting(self: Follower, peer: str, message: Append) -> None:
        if not message.entries and self._journal.term_at(message.prev_index) == message.prev_term:
            last = self._journal.last_index
            self._round = message.round
            self._hear(peer, min(message.commit, last))
            self.answer(peer, last + 1)
            return
        on_append(self, peer, message)

    on_append = Follower.on_append
    patch.setattr(Follower, "on_append", trusting)


def pieces_of_a_state_commit(patch: Patch) -> None:
    """D5: a piece of a snapshot carries the leader's commit index to a log that was never compared."""
    on_chunk = Follower.on_chunk

    def committing(self: Follower, peer: str, chunk: Chunk) -> None:
        leader = self._machine.sim.nodes.get(peer)
        commit = leader.node.host.commit_index if leader else 0
        self._hear(peer, min(commit, self._journal.last_index))
        on_chunk(self, peer, chunk)

    patch.setattr(Follower, "on_chunk", committing)


def sends_states_early(patch: Patch) -> None:
    """No defect: a leader that sends its whole state to whoever refuses a message costs time and nothing else."""
    on_answer = Leader.on_answer

    def hasty(self: Leader, peer: str, answer: Answer) -> None:
        on_answer(self, peer, answer)
        if not answer.accepted and self.progress[peer].transfer is None:
            self.progress[peer].next_index = self._journal.base_index

    patch.setattr(Leader, "on_answer", hasty)


def takes_over_older_states(patch: Patch) -> None:
    """D6: a state is taken over also when the log has got further."""
    sends_states_early(patch)
    patch.setattr(Follower, "_is_covered", lambda self, index, term: False)


def believes_messages_of_other_terms(patch: Patch) -> None:
    """D7: what was said in a term that is over counts in this one."""
    handle = RaftNode._handle

    def believing(self: RaftNode, peer: str, received: Received) -> None:
        handle(self, peer, Received(max(received.term, self.host.term), received.message))

    patch.setattr(RaftNode, "_handle", believing)


def votes_whatever_was_lost(patch: Patch) -> None:
    """A node with a new disk votes as if it remembered."""
    patch.setattr(Journal, "may_vote", property(lambda self: True, lambda self, value: None))


def reads_without_asking(patch: Patch) -> None:
    """D8: whoever thinks it leads answers reads."""

    def read(self: object, done: Callable[[int | None], None]) -> None:
        done(self._host.commit_index)

    patch.setattr(Leader, "read", read)


def sends_again_too_early(patch: Patch) -> None:
    """D11: commands are sent again in a new term while the old one may still bring them."""

    def eager(self: RaftNode) -> None:
        self._applied_term = self.host.term
        move(self)

    move = RaftNode._move_proposals
    patch.setattr(RaftNode, "_move_proposals", eager)


def counts_own_copy_early(patch: Patch) -> None:
    """The leader commits entries that are not on its own disk, with the votes of too few others."""
    patch.setattr(Host, "matched", lambda self, peer, index: _match_last(self, peer))


def _match_last(host: Host, peer: str) -> None:
    host._SyncObj__raftMatchIndex[host._nodes[peer]] = host._SyncObj__raftLog.last_index


MUTATIONS: list[Callable[[Patch], None]] = [
    syncs_do_nothing,
    acknowledges_before_syncing,
    forgets_the_vote,
    log_is_told_before_the_state_is_there,
    log_and_state_are_not_joined,
    cuts_off_matching_entries,
    acknowledges_what_was_not_compared,
    pieces_of_a_state_commit,
    takes_over_older_states,
    believes_messages_of_other_terms,
    votes_whatever_was_lost,
    reads_without_asking,
    sends_again_too_early,
    counts_own_copy_early,
]
