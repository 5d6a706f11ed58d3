"""States on their way between nodes, as files: exported and checked in a thread, read and written in pieces.

It knows that a state is one file; what is in it is the state machine's business.
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Protocol, TypeVar

from argyll.store.log import StateMachine
from argyll.store.raft.snapshots import Incoming, Snapshot
from argyll.store.wal import sync_directory

_T = TypeVar("_T")
_INCOMING = "incoming.state"
_OUTGOING = "outgoing-{}.state"


class FileMachine(StateMachine, Protocol):
    """A state machine whose durable state is one file."""

    @property
    def applied_term(self) -> int:
        """Term of the entry `applied_index`; 0 if unknown."""
        ...

    def flush(self) -> None:
        """Put everything applied into the file. Raises `StoreFailed`."""
        ...

    def export(self, file: Path) -> tuple[int, int]:
        """Copy the flushed state into a new file, from any thread; gives index and term of its last entry."""
        ...

    def check(self, file: Path) -> tuple[int, int]:
        """Whether the file is a whole state, from any thread; gives the same. Raises an exception that says why not."""
        ...

    def take_over(self, file: Path) -> None:
        """Replace everything by the state in the file. Raises `StoreFailed`."""
        ...


class FileSnapshot:
    """See `Snapshot`."""

    def __init__(self, file: Path, index: int, term: int) -> None:
        self._file = file
        self._descriptor = os.open(file, os.O_RDONLY)
        self.index = index
        self.term = term
        self.size = os.fstat(self._descriptor).st_size

    def read(self, offset: int, size: int) -> bytes:
        return os.pread(self._descriptor, size, offset)

    def close(self) -> None:
        os.close(self._descriptor)
        self._file.unlink(missing_ok=True)


class FileIncoming:
    """See `Incoming`."""

    def __init__(self, file: Path, machine: FileMachine, worker: "Worker") -> None:
        self.file = file
        self._machine = machine
        self._worker = worker
        self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)

    def write(self, offset: int, data: bytes) -> None:
        written = 0
        while written < len(data):
            written += os.pwrite(self._descriptor, data[written:], offset + written)

    def finish(self, done: Callable[[Exception | None], None]) -> None:
        self._worker.run(self._make_durable, lambda result: done(result if isinstance(result, Exception) else None))

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self.file.unlink(missing_ok=True)

    def _make_durable(self) -> None:
        os.fsync(self._descriptor)
        self._machine.check(self.file)
        sync_directory(self.file.parent)


class Worker:
    """Runs something in a thread and tells the outcome on the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, executor: Executor, told: Callable[[], None]) -> None:
        """`told` is called after every outcome was."""
        self._loop = loop
        self._executor = executor
        self._told = told

    def run(self, action: Callable[[], _T], done: Callable[[_T | Exception], None]) -> None:
        def tell(outcome: _T | Exception) -> None:
            done(outcome)
            self._told()

        def act() -> None:
            outcome: _T | Exception
            try:
                outcome = action()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told on the loop and nothing goes on
                outcome = error
            self._loop.call_soon_threadsafe(tell, outcome)

        self._executor.submit(act)


class TransferringMachine:
    """A `SnapshotMachine` made of a machine with a file and a directory for files under way."""

    def __init__(self, machine: FileMachine, directory: Path, worker: Worker) -> None:
        self._machine = machine
        self._directory = directory
        self._worker = worker
        self._outgoing = 0
        self.apply = machine.apply
        for left in directory.glob("*.state*"):
            left.unlink()

    @property
    def applied_index(self) -> int:
        return self._machine.applied_index

    @property
    def applied_term(self) -> int:
        return self._machine.applied_term

    def take_snapshot(self, done: Callable[[Snapshot | Exception], None]) -> None:
        """See `SnapshotMachine.take_snapshot`."""
        self._machine.flush()
        self._outgoing += 1
        file = self._directory / _OUTGOING.format(self._outgoing)

        def export() -> Snapshot:
            index, term = self._machine.export(file)
            return FileSnapshot(file, index, term)

        self._worker.run(export, done)

    def receive_snapshot(self) -> Incoming:
        """See `SnapshotMachine.receive_snapshot`."""
        return FileIncoming(self._directory / _INCOMING, self._machine, self._worker)

    def replace(self, incoming: Incoming) -> None:
        """See `SnapshotMachine.replace`."""
        assert isinstance(incoming, FileIncoming), "what it received itself"
        self._machine.take_over(incoming.file)
