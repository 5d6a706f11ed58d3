"""The state machine: what the log's commands amount to, kept in SQLite.

Applying is two-staged. The answer (next sequence or conflict) comes from memory at once; the rows wait in a backlog and
go to SQLite in batches, which is safe because the log holds them durably and is replayed from `applied_index`.
Everything is synchronous and runs on one thread, save `checkpoint`.
"""

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from argyll.store.errors import Conflict, DamagedState, NewerFormat, OpenError, OpenFailed, StoreFailed
from argyll.store.flows import FlowChange, FlowIndex
from argyll.store.log import Command, Outcome
from argyll.store.records import (
    MAX_SEQUENCE,
    Aggregate,
    Committed,
    PreparedAppend,
    Record,
    StoreOptions,
    aggregate_name,
    decode_append,
    read_frames,
)
from argyll.store.wal import sync_directory

FORMAT = 1
BACKLOG_LIMIT = 8_192
"""Appends that may wait for SQLite; beyond it, each entry applied writes as many rows as it brings, and more."""
_SEQUENCE_BITS = 32
_NO_COMMAND = b""

# One row per append, in log order; `position` holds aggregate and first sequence. Clustering the rows by position instead
# would save an index but dirty one page per row when many flows run, which costs four times as much.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS aggregates (name TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS appends (
    append INTEGER PRIMARY KEY, position INTEGER NOT NULL UNIQUE, count INTEGER NOT NULL, timestamp_us INTEGER NOT NULL,
    command_id BLOB NOT NULL, events BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS snapshots (aggregate INTEGER PRIMARY KEY, sequence INTEGER NOT NULL, data BLOB NOT NULL);
INSERT OR IGNORE INTO meta VALUES ('format', 1), ('applied_index', 0), ('applied_term', 0), ('last_number', 0);
"""


class _AggregateState:
    __slots__ = ("last_command", "last_mark", "next_sequence", "number")

    def __init__(self, number: int, next_sequence: int, last_command: bytes) -> None:
        self.number = number
        """0 until its first append."""
        self.next_sequence = next_sequence
        self.last_command = last_command
        self.last_mark = 0
        """Mark of its last append; the rows are in SQLite once `_flushed_mark` has reached it."""


class _Batch:
    """What one log entry adds to SQLite."""

    __slots__ = ("aggregates", "flows", "index", "mark", "rows", "term")

    def __init__(self, index: int, term: int, mark: int) -> None:
        self.index = index
        self.term = term
        self.mark = mark
        self.rows: list[tuple[int, int, int, bytes, bytes]] = []
        self.aggregates: list[tuple[str, int]] = []
        self.flows: list[FlowChange] = []


class _Snapshot(NamedTuple):
    sequence: int
    data: bytes


class State:
    """The applied log. `on_applied` is told of every accepted append of an entry, in log order."""

    def __init__(self, path: Path | None, options: StoreOptions) -> None:
        """Open or create the database; None keeps it in memory. Raises `DamagedState`, `NewerFormat`, `OpenFailed`."""
        self._path = path
        self._options = options
        self.on_applied: Callable[[list[Committed]], None] | None = None
        self.on_reset: Callable[[], None] | None = None
        """Told when everything was replaced at once."""
        self._aggregates: dict[Aggregate, _AggregateState] = {}
        self._backlog: deque[_Batch] = deque()
        self._backlog_rows = 0
        self._mark = 0
        self._flushed_mark = 0
        self._snapshots: dict[Aggregate, _Snapshot] = {}
        self._failure: StoreFailed | None = None
        self.bytes_since_checkpoint = 0
        self._file_in_use = threading.Lock()
        """Held by whoever works on the file itself in another thread, so that it is not replaced meanwhile."""
        self._open()

    def _open(self) -> None:
        path = self._path or Path(":memory:")
        try:
            self._db = _connect(self._path)
            self._db.executescript(_SCHEMA)
            meta = dict(self._db.execute("SELECT key, value FROM meta").fetchall())
            self.flows = FlowIndex(self._db)
        except sqlite3.OperationalError as error:
            raise OpenFailed(path, error) from error
        except sqlite3.DatabaseError as error:
            raise DamagedState(path, str(error)) from error
        if meta["format"] > FORMAT:
            raise NewerFormat(path, meta["format"], FORMAT, "a newer release")
        self._applied_index: int = meta["applied_index"]
        self._applied_term: int = meta["applied_term"]
        self._last_number: int = meta["last_number"]

    @property
    def applied_index(self) -> int:
        """The last log entry whose rows are in SQLite."""
        return self._applied_index

    @property
    def applied_term(self) -> int:
        """Term of that entry."""
        return self._applied_term

    @property
    def waiting_appends(self) -> int:
        """Applied appends whose rows are not in SQLite yet."""
        return self._backlog_rows

    @property
    def has_waiting(self) -> bool:
        """Whether `flush` has anything to do."""
        return bool(self._backlog or self._snapshots)

    def apply(self, index: int, term: int, commands: Sequence[Command]) -> list[Outcome]:
        """Apply one entry: per command the new next sequence, or `Conflict`. Raises `StoreFailed`, ValueError."""
        if self._failure is not None:
            raise self._failure
        self._mark += 1
        batch = _Batch(index, term, self._mark)
        outcomes: list[Outcome] = []
        committed: list[Committed] | None = None if self.on_applied is None else []
        for command_id, body, context in commands:
            prepared = context if isinstance(context, PreparedAppend) else decode_append(body)
            outcomes.append(self._apply_append(batch, command_id, prepared, committed))
        self._backlog.append(batch)
        self._backlog_rows += len(batch.rows)
        if self._backlog_rows > BACKLOG_LIMIT:
            # At least as much as came in, so that it never grows; not all of it, which would hold the loop up.
            self.flush(max(self._options.flush_appends, 2 * len(batch.rows)))
        if committed and self.on_applied is not None:
            self.on_applied(committed)
        return outcomes

    def next_sequence(self, aggregate: Aggregate) -> int:
        """The aggregate's next sequence; 0 when it has no events."""
        return self._state(aggregate, None).next_sequence

    def events(self, aggregate: Aggregate, start: int, limit: int | None) -> list[Record]:
        """Events from sequence `start` on, at most `limit`."""
        return list(islice(self._records(aggregate, start), limit))

    def snapshot(self, aggregate: Aggregate) -> tuple[int, bytes] | None:
        """The newest snapshot kept and the sequence it stands for."""
        waiting = self._snapshots.get(aggregate)
        if waiting is not None:
            return waiting.sequence, waiting.data
        number = self._state(aggregate, None).number
        row = self._db.execute("SELECT sequence, data FROM snapshots WHERE aggregate = ?", (number,)).fetchone()
        return None if row is None else (row[0], row[1])

    def save_snapshot(self, aggregate: Aggregate, sequence: int, data: bytes) -> None:
        """Keep a snapshot unless a newer one is kept. Raises ValueError for one that is ahead of the history."""
        known = self.next_sequence(aggregate)
        if not 0 < sequence <= known:
            raise ValueError(f"{aggregate}: snapshot at sequence {sequence}, history ends at {known}")
        kept = self.snapshot(aggregate)
        if kept is None or kept[0] < sequence:
            self._snapshots[aggregate] = _Snapshot(sequence, data)

    def flush(self, at_least: int | None = None) -> None:
        """Write waiting rows, whole entries until `at_least` appends are written (None: all). Raises `StoreFailed`."""
        if self._failure is not None:
            raise self._failure
        if not self.has_waiting:
            return
        batches = self._take_batches(at_least)
        try:
            with self._transaction():
                self._write(batches)
        except sqlite3.Error as error:
            self._failure = StoreFailed(f"writing {self._path or 'the in-memory state'}", error)
            raise self._failure from error
        if batches:
            self._flushed_mark = batches[-1].mark
            self._applied_index = batches[-1].index
            self._applied_term = batches[-1].term
            self.flows.forget_waiting(self._flushed_mark)
        self._evict()

    def checkpoint(self) -> bool:
        """Make everything flushed so far durable in the database file itself. May run in another thread.

        False when somebody reading the file held it up: then nothing is promised, and a later one has to do it.
        """
        if self._path is None:
            return True
        with self._file_in_use, closing(_connect(self._path)) as db:
            busy, frames, written = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return not busy and written == frames

    def export(self, file: Path) -> tuple[int, int]:
        """Write everything flushed so far into a new file; gives index and term of its last entry. May run in a thread.

        Raises sqlite3.Error, OSError.
        """
        assert self._path is not None, "a state in memory has no file to copy"
        with self._file_in_use, closing(_connect(self._path)) as db:
            db.execute("VACUUM INTO ?", (str(file),))
        return read_position(file)

    def check(self, file: Path) -> tuple[int, int]:
        """Whether another node's state is whole; gives index and term of its last entry. Raises sqlite3.Error."""
        return read_position(file)

    def take_over(self, file: Path) -> None:
        """Replace everything by another node's state in `file`, which is whole, checked and durable. Raises `StoreFailed`."""
        assert self._path is not None, "a state in memory has no file to replace"
        try:
            with self._file_in_use:
                self._db.close()
                for suffix in ("-wal", "-shm"):
                    # Left there, SQLite would take them for the new file's.
                    self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
                file.replace(self._path)
                sync_directory(self._path.parent)
            self._aggregates.clear()
            self._backlog.clear()
            self._snapshots.clear()
            self._backlog_rows = self.bytes_since_checkpoint = 0
            self._flushed_mark = self._mark
            self._open()
        except (sqlite3.Error, OSError, OpenError) as error:
            self._failure = StoreFailed("taking over the state of another node", error)
            raise self._failure from error
        if self.on_reset is not None:
            self.on_reset()

    def close(self) -> None:
        """Flush if possible and close the database."""
        try:
            if self._failure is None:
                self.flush()
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            self._db.close()

    def _apply_append(
        self, batch: _Batch, command_id: bytes, append: PreparedAppend, committed: list[Committed] | None
    ) -> Outcome:
        aggregate = append.aggregate
        state = self._aggregates.get(aggregate) or self._state(aggregate, append.name)
        first = append.expected_sequence
        if state.last_command == command_id:
            return state.next_sequence
        # An append made on top of one in flight counts only if that one was accepted: the sequence alone cannot tell,
        # another node's append of the same length may have taken its place.
        if state.next_sequence != first or (append.after is not None and append.after != state.last_command):
            return Conflict(aggregate, first, state.next_sequence)
        if not state.number:
            self._last_number += 1
            state.number = self._last_number
            batch.aggregates.append((append.name, state.number))
        position = state.number << _SEQUENCE_BITS | first
        batch.rows.append((position, append.count, append.timestamp_us, command_id, append.frames))
        state.next_sequence = first + append.count
        state.last_command = command_id
        state.last_mark = batch.mark
        if append.index is not None:
            change = FlowChange(state.number, aggregate[1], append.timestamp_us, append.index, batch.mark)
            batch.flows.append(change)
            self.flows.expect(change)
        if committed is not None:
            source = append.source
            committed.append(
                Committed(
                    aggregate,
                    first,
                    append.timestamp_us,
                    list(read_frames(append.frames)) if source is None else source.events,
                    None if source is None else source.context,
                    append.index,
                )
            )
        return state.next_sequence

    def _state(self, aggregate: Aggregate, name: str | None) -> _AggregateState:
        state = self._aggregates.get(aggregate)
        if state is None:
            state = self._load(name or aggregate_name(aggregate))
            self._aggregates[aggregate] = state
        return state

    def _load(self, name: str) -> _AggregateState:
        row = self._db.execute("SELECT number FROM aggregates WHERE name = ?", (name,)).fetchone()
        if row is None:
            return _AggregateState(0, 0, _NO_COMMAND)
        first = row[0] << _SEQUENCE_BITS
        last = self._db.execute(
            "SELECT position, count, command_id FROM appends WHERE position BETWEEN ? AND ? ORDER BY position DESC LIMIT 1",
            (first, first | MAX_SEQUENCE),
        ).fetchone()
        return _AggregateState(row[0], (last[0] & MAX_SEQUENCE) + last[1], last[2])

    def _records(self, aggregate: Aggregate, start: int) -> Iterator[Record]:
        state = self._state(aggregate, None)
        if state.last_mark > self._flushed_mark:
            self.flush()
        if start >= state.next_sequence:
            return
        first = state.number << _SEQUENCE_BITS
        rows = self._db.execute(
            "SELECT position, timestamp_us, events FROM appends WHERE position BETWEEN"
            " (SELECT max(position) FROM appends WHERE position BETWEEN ? AND ?) AND ? ORDER BY position",
            (first, first | max(start, 0), first | MAX_SEQUENCE),
        )
        for position, timestamp_us, frames in rows:
            sequence = position & MAX_SEQUENCE
            for kind, data in read_frames(frames):
                if sequence >= start:
                    yield Record(sequence, timestamp_us, kind, data)
                sequence += 1

    def _take_batches(self, at_least: int | None) -> list[_Batch]:
        wanted = self._backlog_rows if at_least is None else at_least
        taken: list[_Batch] = []
        rows = 0
        while self._backlog and (rows < wanted or at_least is None):
            batch = self._backlog.popleft()
            rows += len(batch.rows)
            taken.append(batch)
        self._backlog_rows -= rows
        return taken

    def _write(self, batches: list[_Batch]) -> None:
        execute_many = self._db.executemany
        rows = [row for batch in batches for row in batch.rows]
        aggregates = [aggregate for batch in batches for aggregate in batch.aggregates]
        if rows:
            self.bytes_since_checkpoint += sum(len(row[4]) + 64 for row in rows)
            execute_many("INSERT INTO appends VALUES (NULL, ?, ?, ?, ?, ?)", rows)
        if aggregates:
            execute_many("INSERT INTO aggregates VALUES (?, ?)", aggregates)
            self._db.execute("UPDATE meta SET value = ? WHERE key = 'last_number'", (aggregates[-1][1],))
        self.flows.write(
            [change for batch in batches for change in batch.flows],
            first_new=aggregates[0][1] if aggregates else self._last_number + 1,
        )
        if batches:
            position = [(batches[-1].index, "applied_index"), (batches[-1].term, "applied_term")]
            execute_many("UPDATE meta SET value = ? WHERE key = ?", position)
        if self._snapshots:
            self._write_snapshots()

    def _write_snapshots(self) -> None:
        rows = [(self._state(aggregate, None).number, *kept) for aggregate, kept in self._snapshots.items()]
        self._db.executemany("INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?)", rows)
        self.bytes_since_checkpoint += sum(len(kept.data) for kept in self._snapshots.values())
        self._snapshots.clear()

    @contextmanager
    def _transaction(self) -> Generator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _evict(self) -> None:
        """Forget aggregates beyond the cache size, oldest first, whose rows are all in SQLite."""
        excess = len(self._aggregates) - self._options.cached_aggregates
        if excess <= 0:
            return
        oldest = list(islice(self._aggregates.items(), excess))
        for aggregate, state in oldest:
            if state.last_mark <= self._flushed_mark:
                del self._aggregates[aggregate]


def read_position(file: Path) -> tuple[int, int]:
    """Check a closed state file; gives index and term of the last entry in it. Raises sqlite3.Error."""
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as db:
        (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(f"{file}: {found}")
        meta = dict(db.execute("SELECT key, value FROM meta").fetchall())
    if meta["format"] > FORMAT:
        raise sqlite3.DatabaseError(f"{file} has format {meta['format']}, this release reads {FORMAT}")
    return meta["applied_index"], meta["applied_term"]


def _connect(path: Path | None) -> sqlite3.Connection:
    db = sqlite3.connect(path or ":memory:", isolation_level=None, cached_statements=512)
    db.execute("PRAGMA journal_mode = WAL")
    # Only a checkpoint syncs: what a power cut takes from SQLite's own log is replayed from ours.
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute("PRAGMA cache_size = -65536")
    db.execute("PRAGMA temp_store = MEMORY")
    return db
