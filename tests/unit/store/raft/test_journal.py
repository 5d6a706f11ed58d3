"""The Raft log on disk: what was synced is there after any crash, in its last form; damage is not taken for a log."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argyll.store.errors import DamagedLog, SafetyStop
from argyll.store.raft.journal import Journal
from argyll.store.wal import Wal
from tests.unit.store.raft.disk import SimDisk
from tests.unit.store.raft.test_node import Now


def open_journal(disk: SimDisk, *, segment_bytes: int = 1024) -> Journal:
    wal = Wal(Path("/sim"), segment_bytes=segment_bytes, helper=Now(), files=disk)
    return Journal(wal, base_index=0, base_term=0)


def contents(journal: Journal) -> tuple[object, ...]:
    return (journal[:], journal.getCurrentTerm(), journal.getVotedForNodeId(), journal.may_vote)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 5), st.integers(0, 200)),
        st.tuples(st.just("cut"), st.integers(0, 9), st.just(0)),
        st.tuples(st.just("vote"), st.integers(0, 99), st.sampled_from([0, 1, 2])),
        st.tuples(st.just("commit"), st.integers(0, 9), st.just(0)),
        st.tuples(st.just("compact"), st.integers(0, 9), st.integers(0, 300)),
        st.tuples(st.just("reset"), st.integers(0, 50), st.integers(1, 9)),
        st.tuples(st.just("sync"), st.just(0), st.just(0)),
    ),
    max_size=80,
)


def step(journal: Journal, kind: str, number: int, other: int) -> None:
    last = journal.last_index
    if kind == "add":
        for _ in range(number):
            journal.add(bytes([number]) * other, journal.last_index + 1, max(journal.last_term, number))
    elif kind == "cut":
        first = max(journal.getRaftCommitIndex(), journal.base_index) + 1 + number
        if first <= last:
            journal.deleteEntriesFrom(first - journal.base_index)
    elif kind == "vote":
        journal.setCurrentTerm(number, [None, "n1", "n2"][other])
    elif kind == "commit":
        journal.setRaftCommitIndex(min(journal.getRaftCommitIndex() + number, last))
    elif kind == "compact":
        journal.compact(journal.getRaftCommitIndex(), keep_bytes=other)
    elif kind == "reset":
        journal.reset(journal.getRaftCommitIndex() + number, other)
    else:
        journal.sync()


@given(STEPS, st.booleans(), st.integers(0, 1 << 30))
def test_what_was_synced_survives_a_crash(steps: list[tuple[str, int, int]], power: bool, seed: int) -> None:
    disk = SimDisk(random.Random(seed))
    journal = open_journal(disk)
    journal.sync()
    for each in steps:
        step(journal, *each)
    journal.sync()
    expected = contents(journal)

    disk.crash(power=power)
    again = open_journal(disk)

    assert contents(again) == expected
    assert not again.is_new
    again.sync()
    again.add(b"more", again.last_index + 1, 99)
    again.sync()
    disk.crash(power=power)
    assert open_journal(disk).last_term == 99


def test_a_compacted_log_gives_its_space_back() -> None:
    disk = SimDisk(random.Random(1))
    journal = open_journal(disk)
    for index in range(1, 400):
        journal.add(b"x" * 50, index, 1)
        journal.setRaftCommitIndex(index)
        journal.compact(index - 1, keep_bytes=200)
        journal.sync()

    assert journal.wal.segment_count <= 4
    assert journal.size_bytes <= 300
    assert open_journal(disk)[:] == journal[:]


def test_entries_are_kept_for_those_who_lag() -> None:
    journal = open_journal(SimDisk(random.Random(1)))
    for index in range(1, 101):
        journal.add(b"x" * 10, index, 1)
    journal.setRaftCommitIndex(100)

    journal.compact(100, keep_bytes=205)

    assert (journal.first_index, journal.last_index) == (80, 100)


def test_reading_keeps_to_its_limits_but_gives_something() -> None:
    journal = open_journal(SimDisk(random.Random(1)))
    for index in range(1, 11):
        journal.add(b"x" * 100, index, 1)

    assert [entry[1] for entry in journal.read(3, max_bytes=250, max_entries=9)] == [3, 4]
    assert [entry[1] for entry in journal.read(3, max_bytes=1, max_entries=9)] == [3]
    assert [entry[1] for entry in journal.read(9, max_bytes=10_000, max_entries=9)] == [9, 10]
    assert journal.read(11, max_bytes=1, max_entries=1) == []
    assert journal.read(0, max_bytes=1, max_entries=1) == []


def test_the_library_cannot_clear_or_compact_it() -> None:
    journal = open_journal(SimDisk(random.Random(1)))
    with pytest.raises(SafetyStop):
        journal.clear()
    with pytest.raises(SafetyStop):
        journal.deleteEntriesTo(0)


def test_a_missing_oldest_segment_is_noticed() -> None:
    disk = SimDisk(random.Random(1))
    journal = open_journal(disk)
    for index in range(1, 100):
        journal.add(b"x" * 50, index, 1)
        journal.sync()
    del disk.names[str(disk.list(Path("/sim"))[0])]

    with pytest.raises(DamagedLog, match=r"what comes before entry \d+ is missing"):
        open_journal(disk)


def test_a_flipped_bit_in_the_middle_is_noticed() -> None:
    disk = SimDisk(random.Random(1))
    journal = open_journal(disk)
    for index in range(1, 100):
        journal.add(b"x" * 50, index, 1)
        journal.sync()
    disk.names[str(disk.list(Path("/sim"))[1])].now[300] ^= 4

    with pytest.raises(DamagedLog):
        open_journal(disk)
