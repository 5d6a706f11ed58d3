"""What one node does with one message: the rules that the simulation only meets by chance, and those it cannot see."""

import random
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path

import pytest

from argyll.store.errors import DamagedState, NotLeader, SafetyStop, UnreadableEntry
from argyll.store.log import Command, Outcome
from argyll.store.raft.frames import (
    Answer,
    Append,
    Beat,
    Chunk,
    ChunkAnswer,
    FrameReader,
    Hint,
    LogEntry,
    Message,
    Received,
    TimeoutNow,
    Vote,
    VoteRequest,
)
from argyll.store.raft.host import NO_OP
from argyll.store.raft.journal import Journal
from argyll.store.raft.node import RaftNode, encode_entry
from argyll.store.raft.options import RaftOptions
from argyll.store.wal import Wal
from tests.unit.store.raft.disk import SimDisk


class Now(Executor):
    def submit(self, fn: Callable[..., object], /, *args: object, **kwargs: object) -> Future[object]:
        future: Future[object] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class Incoming:
    def __init__(self, finished: list[Callable[[Exception | None], None]]) -> None:
        self.data = bytearray()
        self.finished = finished

    def write(self, offset: int, data: bytes) -> None:
        self.data += data

    def finish(self, done: Callable[[Exception | None], None]) -> None:
        self.finished.append(done)

    def close(self) -> None: ...


class Machine:
    def __init__(self) -> None:
        self.applied_index = self.applied_term = 0
        self.entries: list[int] = []
        self.finished: list[Callable[[Exception | None], None]] = []
        self.replaced: list[bytes] = []

    def apply(self, index: int, term: int, commands: list[Command]) -> list[Outcome]:
        self.entries.append(index)
        return [index] * len(commands)

    def take_snapshot(self, done: Callable[[object], None]) -> None: ...

    def receive_snapshot(self) -> Incoming:
        return Incoming(self.finished)

    def replace(self, incoming: Incoming) -> None:
        self.replaced.append(bytes(incoming.data))


class Bench:
    """Node `a` of `a`, `b`, `c`, fully connected, on a disk of its own."""

    def __init__(self, disk: SimDisk | None = None, machine: Machine | None = None, *, votes: bool = True) -> None:
        self.disk = disk or SimDisk(random.Random(1))
        self.machine = machine or Machine()
        wal = Wal(Path("/sim"), segment_bytes=4096, helper=Now(), files=self.disk)
        self.journal = Journal(wal, base_index=self.machine.applied_index, base_term=self.machine.applied_term)
        self.sent: list[tuple[str, Message]] = []
        self.failures: list[Exception] = []
        self.node = RaftNode(
            "a",
            ["b", "c"],
            self.journal,
            self.machine,
            RaftOptions(),
            chance=lambda: 0.5,
            session=b"session0",
            send=self._send,
            room=lambda _: True,
            fail=self.failures.append,
        )
        for peer in ("b", "c"):
            self.node.connected(peer, 0, 0)
        assert self.journal.may_vote
        self.journal.may_vote = votes

    def hear(self, term: int, *messages: Message, of: str = "b") -> list[Message]:
        """Take in messages of a node in `term`, finish the tick, give what was answered to it."""
        for message in messages:
            self.node.receive(of, Received(term, message))
        self.sent.clear()
        self.node.tick()
        return [message for peer, message in self.sent if peer == of]

    def lead(self, term: int) -> None:
        """Make the node leader of `term`."""
        self.hear(term - 1, Beat(1))
        self.hear(term - 1, TimeoutNow(term - 1))
        self.node.tick()
        self.hear(term, Vote(term, probe=False))
        assert self.node.host.is_leader
        assert self.node.host.term == term

    def _send(self, peer: str, frame: bytes) -> None:
        (received,) = FrameReader(1 << 20).feed(frame)
        self.sent.append((peer, received.message))


def entries(start: int, *terms: int) -> list[LogEntry]:
    return [(encode_entry([(bytes(16), b"x")]), index, term) for index, term in enumerate(terms, start)]


def test_a_matching_tail_stays_and_is_not_vouched_for() -> None:
    bench = Bench()
    bench.hear(1, Append(1, 0, 0, 0, entries(1, 1, 1, 1, 1)))

    answers = bench.hear(2, Append(2, 4, 0, 0, entries(1, 1, 1)))

    assert answers == [Answer(2, True, 3)]
    assert bench.journal.last_index == 4
    assert bench.node.host.commit_index == 2


def test_a_conflicting_tail_goes() -> None:
    bench = Bench()
    bench.hear(1, Append(1, 1, 0, 0, entries(1, 1, 1, 1)))

    answers = bench.hear(3, Append(2, 1, 1, 1, entries(2, 3)))

    assert answers == [Answer(2, True, 3)]
    assert [entry[2] for entry in bench.journal[1:]] == [1, 3]


def test_a_conflict_is_located_in_one_answer() -> None:
    bench = Bench()
    bench.hear(2, Append(1, 1, 0, 0, entries(1, 1, *[2] * 200)))

    answers = bench.hear(5, Append(9, 1, 150, 4, []))

    assert answers == [Answer(9, False, 2)]


def test_a_gap_is_answered_with_where_the_log_ends() -> None:
    bench = Bench()
    bench.hear(1, Append(1, 0, 0, 0, entries(1, 1, 1)))

    assert bench.hear(1, Append(2, 0, 50, 1, [])) == [Answer(2, False, 3)]


def test_what_is_committed_cannot_be_cut_off() -> None:
    bench = Bench()
    bench.hear(1, Append(1, 3, 0, 0, entries(1, 1, 1, 1)))

    with pytest.raises(SafetyStop, match="committed"):
        bench.journal.deleteEntriesFrom(2)


def test_two_leaders_in_one_term_stop_the_node() -> None:
    bench = Bench()
    bench.lead(2)

    with pytest.raises(SafetyStop, match="b also leads in term 2"):
        bench.hear(2, Beat(1))


def test_answers_of_an_older_term_do_not_count() -> None:
    bench = Bench()
    bench.lead(2)
    opened = bench.journal.last_index

    bench.hear(1, Answer(99, True, opened + 1))

    assert bench.node.host.match_of("b") == 0
    assert bench.node.host.commit_index < opened


def test_an_old_leader_is_told() -> None:
    bench = Bench()
    bench.hear(7, Beat(1))

    assert bench.hear(3, Append(1, 0, 0, 0, []), of="c") == [Hint()]
    assert bench.node.host.leader == "b"


def test_any_message_of_a_newer_term_ends_a_leadership() -> None:
    bench = Bench()
    bench.lead(2)

    bench.hear(9, Hint())

    assert not bench.node.host.is_leader
    assert bench.node.host.term == 9


def test_one_voter_counts_once() -> None:
    host = Bench().node.host

    for _ in range(3):
        host.receive_vote("b", 5)

    assert host._voters == {"b"}


def test_a_state_that_the_log_has_outgrown_is_not_taken_over() -> None:
    bench = Bench()
    bench.hear(1, Append(1, 3, 0, 0, entries(1, 1, 1, 1)))

    answers = bench.hear(1, Chunk(2, 1, 2, 1, 100, 0, b"x" * 100))

    assert answers == [ChunkAnswer(2, 1, 100)]
    assert bench.machine.finished == []


def test_a_state_that_the_log_reaches_leaves_the_log() -> None:
    bench = Bench()
    bench.hear(1, Append(1, 0, 0, 0, entries(1, 1, 1, 1)))

    answers = bench.hear(1, Chunk(2, 1, 2, 1, 100, 0, b"x" * 100))

    assert answers == [ChunkAnswer(2, 1, 100)]
    assert bench.journal.last_index == 3


def test_a_state_outgrown_while_it_was_checked_is_dropped() -> None:
    bench = Bench()
    bench.hear(1, Chunk(1, 1, 2, 1, 4, 0, b"data"))
    bench.hear(2, Append(1, 3, 0, 0, entries(1, 1, 1, 1)), of="c")

    bench.machine.finished[0](None)

    assert bench.machine.replaced == []
    assert bench.journal.last_index == 3


def test_a_state_arrives_in_pieces_and_the_log_begins_behind_it() -> None:
    bench = Bench()
    assert bench.hear(1, Chunk(1, 1, 7, 1, 6, 0, b"abc")) == [ChunkAnswer(1, 1, 3)]
    assert bench.hear(1, Chunk(2, 1, 7, 1, 6, 3, b"def")) == []

    bench.machine.finished[0](None)
    answers = bench.hear(1, Append(3, 8, 7, 1, entries(8, 1)))

    assert bench.machine.replaced == [b"abcdef"]
    assert answers == [ChunkAnswer(2, 1, 6), Answer(3, True, 9)]
    assert bench.node.host.applied_index == 8


def test_a_piece_of_the_middle_is_asked_for_from_the_start() -> None:
    bench = Bench()

    assert bench.hear(1, Chunk(1, 1, 7, 1, 6, 3, b"def")) == [ChunkAnswer(1, 1, 0)]


def test_a_vote_leaves_only_when_it_is_durable() -> None:
    bench = Bench()
    bench.node.receive("b", Received(3, VoteRequest(3, 0, 0, probe=False)))

    batch = bench.node.begin()
    assert batch is not None
    assert bench.sent == []
    bench.journal.write(batch)
    bench.node.finish(batch)

    assert ("b", Vote(3, probe=False)) in bench.sent
    assert Bench(bench.disk).journal.getVotedForNodeId() == "b"


def test_a_candidacy_leaves_only_when_its_own_vote_is_durable() -> None:
    bench = Bench()
    bench.hear(1, Beat(1))

    bench.hear(1, TimeoutNow(1))
    assert not [message for _, message in bench.sent if isinstance(message, VoteRequest)]
    bench.node.tick()

    assert [peer for peer, message in bench.sent if isinstance(message, VoteRequest)] == ["b", "c"]
    assert Bench(bench.disk).journal.getCurrentTerm() == 2


def test_a_healthy_leader_is_not_deposed_by_a_node_that_was_away() -> None:
    bench = Bench()
    bench.hear(1, Beat(1))

    assert bench.hear(1, VoteRequest(2, 50, 1, probe=True), of="c") == []
    bench.node.disconnected("b")
    assert bench.hear(1, VoteRequest(2, 50, 1, probe=True), of="c") == [Vote(2, probe=True)]


def test_a_node_with_a_new_disk_does_not_vote() -> None:
    bench = Bench(votes=False)
    bench.node.connected("b", 10, 1)
    bench.node.connected("c", 10, 1)

    assert bench.hear(2, VoteRequest(2, 10, 1, probe=False)) == []
    bench.hear(2, Append(1, 2, 0, 0, entries(1, 1, 2)))

    assert bench.journal.may_vote


def test_only_the_leader_hands_over() -> None:
    bench = Bench()
    bench.hear(1, Beat(1))
    outcomes: list[Exception | None] = []

    bench.node.hand_over("c", outcomes.append)

    assert isinstance(outcomes[0], NotLeader)
    assert outcomes[0].leader == "b"


def test_a_state_behind_the_log_refuses_to_start() -> None:
    bench = Bench()
    bench.hear(1, Append(1, 5, 0, 0, entries(1, 1, 1, 1, 1, 1)))
    bench.journal.compact(4, keep_bytes=1)
    bench.journal.sync()

    with pytest.raises(DamagedState, match="ends at entry 0, the log begins behind entry 4"):
        Bench(bench.disk)


def test_a_state_taken_over_before_a_crash_is_where_the_log_begins() -> None:
    bench = Bench()
    bench.hear(1, Append(1, 0, 0, 0, entries(1, 1, 1)))
    machine = Machine()
    machine.applied_index, machine.applied_term = 9, 3

    again = Bench(bench.disk, machine)

    assert (again.journal.base_index, again.journal.last_index, again.journal.last_term) == (9, 9, 3)


def test_committed_entries_are_applied_at_the_start() -> None:
    bench = Bench()
    bench.hear(1, Append(1, 2, 0, 0, [(NO_OP, 1, 1), *entries(2, 1, 1)]))
    bench.journal.onOneSecondTimer()
    bench.journal.sync()

    again = Bench(bench.disk)

    assert again.machine.entries == [1, 2]


def test_an_entry_of_a_newer_release_refuses_to_start() -> None:
    bench = Bench()
    bench.hear(1, Append(1, 0, 0, 0, [(b"\x20\x09\0\0\0?", 1, 1)]))
    bench.journal.setRaftCommitIndex(1)
    bench.journal.onOneSecondTimer()
    bench.journal.sync()

    with pytest.raises(UnreadableEntry, match="format 9"):
        Bench(bench.disk)
