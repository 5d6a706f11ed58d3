# ruff: noqa: N802, N803 - the capitals are the library's
"""The Raft log of one node: entries, term, vote and commit index, durable through the write-ahead log.

Everything is buffered until `sync` (or the `take`, `write`, `written` it consists of); whoever sends an acknowledgement or
a vote has to sync first. It decides nothing about the protocol.
"""

from struct import Struct
from typing import NamedTuple, overload

from pysyncobj.journal import Journal as JournalInterface

from argyll.store.errors import DamagedLog, SafetyStop
from argyll.store.raft.frames import LogEntry
from argyll.store.wal import Entry, Wal, encode_record

_ENTRY, _CUT, _META, _BASE, _RESET = range(1, 6)
_UNKNOWN_TERM = -1
_KIND_INDEX = Struct("<BQ")
_POSITION = Struct("<BQQ")
# kind, term, commit index, may vote; then the id of whom this node voted for
_META_FIELDS = Struct("<BQQB")


class Batch(NamedTuple):
    """Records on their way to the disk."""

    records: bytes
    first: int
    last: int


class Journal(JournalInterface):
    """The log as the Raft library and this package read it: a list whose first element is the base.

    The base stands for everything the state machine keeps by itself; it has an index and a term, but no payload.
    Method names with capitals inside are the library's.
    """

    def __init__(self, wal: Wal, *, base_index: int, base_term: int) -> None:
        """Read the log's files; a new log begins behind the base given. Raises `DamagedLog`, OSError."""
        self._wal = wal
        self._entries: list[LogEntry] = []
        self._numbers: list[int] = []
        """The record that holds the entry, position by position."""
        self._term = 0
        self._vote: str | None = None
        self._commit = 0
        self._saved_commit = 0
        self._may_vote = False
        self._meta_seen = False
        self._size = 0
        self._floats = False
        """While the files are read: the base was found without what preceded it, entries behind it may be gone too."""
        self._buffer: list[tuple[int, bytes]] = []
        """Terms and payloads of records that wait."""
        self._vote_record = 0
        self._durable = 0
        self._release = 0
        wal.open(self._replay, after=None)
        self._durable = self._next_record = wal.last_index
        self.is_new = not self._meta_seen and wal.first_index == 1 and wal.last_index <= 1
        if self.is_new:
            self._commit = base_index
            # In this order: a log torn in between still counts as new.
            self.reset(base_index, base_term)
            self._write_meta()
        else:
            self._check()

    @property
    def first_index(self) -> int:
        """The oldest entry kept, or the one that comes first."""
        return self._entries[0][1] + 1

    @property
    def base_index(self) -> int:
        return self._entries[0][1]

    @property
    def last_index(self) -> int:
        return self._entries[-1][1]

    @property
    def last_term(self) -> int:
        return self._entries[-1][2]

    @property
    def size_bytes(self) -> int:
        """Payload bytes of the entries kept, all of them in memory."""
        return self._size

    @property
    def may_vote(self) -> bool:
        """False while the node may have forgotten what it once acknowledged; so it begins (`standing`)."""
        return self._may_vote

    @may_vote.setter
    def may_vote(self, value: bool) -> None:
        if value != self._may_vote:
            self._may_vote = value
            self._write_meta()

    @property
    def is_dirty(self) -> bool:
        """Whether `sync` has anything to do."""
        return bool(self._buffer)

    @property
    def has_durable_vote(self) -> bool:
        """Whether term and vote may be acted upon outside of this node."""
        return self._vote_record <= self._durable

    @property
    def wal(self) -> Wal:
        """The files below, for status reports."""
        return self._wal

    def term_at(self, index: int) -> int | None:
        """The entry's term; None when it is not in the log."""
        position = index - self._entries[0][1]
        return self._entries[position][2] if 0 <= position < len(self._entries) else None

    def read(self, start: int, *, max_bytes: int, max_entries: int) -> list[LogEntry]:
        """Entries from index `start` on: at least one if there is one, otherwise within both limits."""
        position = start - self._entries[0][1]
        if position <= 0:
            return []
        taken = self._entries[position : position + max_entries]
        size = 0
        for count, entry in enumerate(taken):
            size += len(entry[0])
            if size > max_bytes and count:
                return taken[:count]
        return taken

    def first_of_term(self, index: int) -> int:
        """The first entry of the unbroken run of one term that the entry at `index` ends."""
        position = index - self._entries[0][1]
        term = self._entries[position][2]
        while position > 1 and self._entries[position - 1][2] == term:
            position -= 1
        return self._entries[position][1]

    def reset(self, base_index: int, base_term: int) -> None:
        """Forget every entry: the machine has taken over a state at the new base."""
        self._put(_POSITION.pack(_RESET, base_index, base_term), base_term)
        self._reset(base_index, base_term)
        if self._commit < base_index:
            self._commit = base_index

    def compact(self, index: int, *, keep_bytes: int) -> None:
        """Forget entries up to `index`, which the machine keeps durably, save about `keep_bytes` for nodes that lag."""
        position = min(index, self._commit) - self._entries[0][1]
        kept = self._size
        drop = 0
        while drop < position:
            kept -= len(self._entries[drop + 1][0])
            if kept < keep_bytes:
                break
            drop += 1
        if drop <= 0:
            return
        _, base_index, base_term = self._entries[drop]
        self._put(_POSITION.pack(_BASE, base_index, base_term), base_term)
        self._drop_to(base_index, base_term)
        # What is dropped may hold the records of vote and commit: written again, they outlive it.
        needed = self._numbers[1] if len(self._numbers) > 1 else self._next_record
        self._release = min(needed, self._next_record) - 1
        self._write_meta()

    def sync(self) -> None:
        """Make everything buffered durable. Raises OSError: then the journal must not be used any more."""
        batch = self.take()
        if batch is not None:
            self.write(batch)
            self.written(batch)

    def take(self) -> Batch | None:
        """What has to be written next; only one batch may be on its way."""
        if not self._buffer:
            return None
        buffer, self._buffer = self._buffer, []
        first = self._next_record - len(buffer) + 1
        durable = self._durable
        records = b"".join(
            encode_record(Entry(number, term, payload), durable_index=durable)
            for number, (term, payload) in enumerate(buffer, first)
        )
        return Batch(records, first, self._next_record)

    def write(self, batch: Batch) -> None:
        """Write and sync; may run in another thread. Raises OSError."""
        self._wal.append(batch.records, first_index=batch.first, last_index=batch.last)

    def written(self, batch: Batch) -> None:
        """The batch is durable."""
        self._durable = batch.last
        if self._release:
            self._wal.release(min(self._release, self._durable))

    def add(self, command: bytes, idx: int, term: int) -> None:
        """Append an entry."""
        self._put(_KIND_INDEX.pack(_ENTRY, idx) + command, term)
        self._add(command, idx, term, self._next_record)

    def clear(self) -> None:
        raise SafetyStop("asked to clear the log; only a snapshot does that, through `reset`")

    def deleteEntriesFrom(self, entryFrom: int) -> None:
        """Cut the log off at a position."""
        index = self._entries[entryFrom][1]
        if index <= self._commit:
            raise SafetyStop(f"asked to cut off entry {index}, but everything up to {self._commit} is committed")
        self._put(_KIND_INDEX.pack(_CUT, index), 0)
        self._cut(index)

    def deleteEntriesTo(self, entryTo: int) -> None:
        raise SafetyStop("asked to compact the log by position; that is done by `compact` alone")

    @overload
    def __getitem__(self, item: int) -> LogEntry: ...
    @overload
    def __getitem__(self, item: slice) -> list[LogEntry]: ...
    def __getitem__(self, item: int | slice) -> LogEntry | list[LogEntry]:
        return self._entries[item]

    def __len__(self) -> int:
        return len(self._entries)

    def _destroy(self) -> None:
        self._wal.close()

    def close(self) -> None:
        """Release the files; what is still buffered is lost."""
        self._destroy()

    def setRaftCommitIndex(self, raftCommitIndex: int) -> None:
        """Remember it; it reaches the disk now and then, for a start without other nodes."""
        self._commit = max(self._commit, raftCommitIndex)

    def getRaftCommitIndex(self) -> int:
        return self._commit

    def setCurrentTerm(self, term: int, votedForNodeId: str | None) -> None:
        """Remember term and vote."""
        self._term, self._vote = term, votedForNodeId
        self._write_meta()
        self._vote_record = self._next_record

    def getCurrentTerm(self) -> int:
        return self._term

    def getVotedForNodeId(self) -> str | None:
        return self._vote

    def onOneSecondTimer(self) -> None:
        """Save the commit index if it moved."""
        if self._commit != self._saved_commit:
            self._write_meta()

    def _write_meta(self) -> None:
        fields = _META_FIELDS.pack(_META, self._term, self._commit, self._may_vote)
        self._put(fields + (self._vote or "").encode(), self._term)
        self._saved_commit = self._commit

    def _put(self, payload: bytes, term: int) -> None:
        self._next_record += 1
        self._buffer.append((term, payload))

    def _replay(self, record: Entry) -> None:
        payload = record.payload
        kind = payload[0]
        if kind == _ENTRY:
            self._add(payload[_KIND_INDEX.size :], _KIND_INDEX.unpack_from(payload)[1], record.term, record.index)
        elif kind == _CUT:
            self._cut(_KIND_INDEX.unpack(payload)[1])
        elif kind == _META:
            _, self._term, self._commit, may_vote = _META_FIELDS.unpack_from(payload)
            self._may_vote = bool(may_vote)
            self._vote = payload[_META_FIELDS.size :].decode() or None
            self._saved_commit = self._commit
            self._meta_seen = True
        elif kind in {_BASE, _RESET}:
            _, index, term = _POSITION.unpack(payload)
            (self._drop_to if kind == _BASE else self._reset)(index, term)
        else:
            raise DamagedLog(
                self._wal.directory, 0, f"record {record.index} is of kind {kind}, unknown to this release"
            )

    def _add(self, payload: bytes, index: int, term: int, number: int) -> None:
        if not self._entries or (self._floats and index > self._entries[0][1] + 1):
            # The oldest segment kept begins in the middle: a later record says where the log does.
            self._entries, self._numbers = [(b"", index - 1, _UNKNOWN_TERM)], [0]
        self._floats = False
        if index != self._entries[-1][1] + 1:
            raise DamagedLog(
                self._wal.directory, 0, f"record {number} holds entry {index} behind {self._entries[-1][1]}"
            )
        self._entries.append((payload, index, term))
        self._numbers.append(number)
        self._size += len(payload)

    def _cut(self, index: int) -> None:
        if not self._entries or index <= self._entries[0][1]:
            # Of what is cut off, the beginning was in segments that are gone.
            self._entries, self._numbers, self._size = [], [], 0
            return
        keep = index - self._entries[0][1]
        self._size -= sum(len(entry[0]) for entry in self._entries[keep:])
        del self._entries[keep:], self._numbers[keep:]

    def _drop_to(self, index: int, term: int) -> None:
        position = index - self._entries[0][1] if self._entries else 0
        if not self._entries:
            self._reset(index, term)
            self._floats = True
        elif position >= len(self._entries):
            self._reset(index, term)
        elif position >= 0:
            self._size -= sum(len(entry[0]) for entry in self._entries[: position + 1])
            del self._entries[:position], self._numbers[:position]
            self._entries[0] = (b"", index, term)

    def _reset(self, index: int, term: int) -> None:
        self._entries, self._numbers, self._size = [(b"", index, term)], [0], 0
        self._floats = False

    def _check(self) -> None:
        if not self._entries or self._entries[0][2] == _UNKNOWN_TERM:
            base = self._entries[0][1] if self._entries else 0
            raise DamagedLog(self._wal.directory, 0, f"what comes before entry {base + 1} is missing")
        if not self._meta_seen:
            raise DamagedLog(self._wal.directory, 0, "term and vote are missing")
        self._commit = max(self._commit, self._entries[0][1])
        if self._commit > self._entries[-1][1]:
            found = f"the log ends at entry {self._entries[-1][1]}, entry {self._commit} was committed"
            raise DamagedLog(self._wal.directory, 0, found)
