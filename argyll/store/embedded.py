"""The log of a single node: a write-ahead log with group commit.

Everything proposed while the disk is busy shares the next write and sync; there is no timer and no lingering. It never
looks inside a command and never retries a failed sync.
"""

import asyncio
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from argyll.store.applied import AppliedIndex
from argyll.store.commands import decode_commands, encode_commands
from argyll.store.errors import NoOtherNode, Overloaded, StoreClosed, StoreError, StoreFailed, UnreadableEntry
from argyll.store.log import Command, LogStatus, StateMachine
from argyll.store.pace import SyncPace
from argyll.store.records import COMMAND_ID_BYTES, StoreOptions
from argyll.store.wal import Entry, Wal, encode_record

MAX_ENTRY_COMMANDS = 256
MAX_COMMIT_COMMANDS = 1_024
MAX_ENTRY_BYTES = 1 << 20
MAX_COMMIT_BYTES = 8 << 20
_TERM = 1


class _Proposal(NamedTuple):
    command: Command
    future: asyncio.Future[int]


class _Batch(msgspec.Struct):
    """One entry of a commit in flight."""

    index: int
    proposals: list[_Proposal]


class EmbeddedLog:
    """`ReplicatedLog` of one node. Open it with `EmbeddedLog.open`."""

    def __init__(
        self, wal: Wal, machine: StateMachine, options: StoreOptions, helper: ThreadPoolExecutor, pace: SyncPace
    ) -> None:
        self._wal = wal
        self._pace = pace
        self._machine = machine
        self._options = options
        self._helper = helper
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Proposal] = deque()
        self._in_flight_bytes = 0
        self._in_flight: list[_Batch] = []
        self._writer: ThreadPoolExecutor | None = None
        self._scheduled = False
        self._closing = False
        self._closed = False
        self._failure: StoreFailed | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._applied = AppliedIndex(0)

    @classmethod
    async def open(cls, directory: Path, machine: StateMachine, options: StoreOptions) -> "EmbeddedLog":
        """Check the log in `directory`, bring the machine up to its end, start. Raises `OpenError`, OSError."""
        directory.mkdir(exist_ok=True)
        helper = ThreadPoolExecutor(1, "argyll-wal-spare")
        wal = Wal(directory, segment_bytes=options.segment_bytes, helper=helper)
        try:
            log = cls(wal, machine, options, helper, SyncPace(directory, options.fsync))
            wal.open(log._replay, after=machine.applied_index)
        except BaseException:
            wal.close()
            helper.shutdown()
            raise
        log._applied = AppliedIndex(wal.last_index)
        return log

    def propose(self, command: bytes, *, command_id: bytes, context: object = None) -> asyncio.Future[int]:
        """See `ReplicatedLog.propose`."""
        future: asyncio.Future[int] = self._loop.create_future()
        refusal = self._refusal(len(command))
        if refusal is not None:
            future.set_exception(refusal)
            return future
        assert len(command_id) == COMMAND_ID_BYTES, "a command id has 16 bytes"
        self._in_flight_bytes += len(command)
        self._waiting.append(_Proposal(Command(command_id, command, context), future))
        if not self._scheduled and not self._in_flight:
            self._scheduled = True
            self._idle.clear()
            self._loop.call_soon(self._commit)
        return future

    async def read_barrier(self, timeout_ms: int) -> int:
        """See `ReplicatedLog.read_barrier`: a single node has applied whatever it acknowledged."""
        self._raise_if_unusable()
        return self._applied.value

    async def wait_applied(self, index: int, timeout_ms: int) -> None:
        """See `ReplicatedLog.wait_applied`."""
        await self._applied.wait(index, timeout_ms)

    async def transfer_leadership(self, to: str | None = None) -> None:
        """See `ReplicatedLog.transfer_leadership`."""
        raise NoOtherNode

    def release(self, index: int) -> None:
        """See `ReplicatedLog.release`."""
        self._wal.release(index)

    def status(self) -> LogStatus:
        """See `ReplicatedLog.status`."""
        role: Literal["leader", "closed", "failed"] = "leader"
        if self._closing:
            role = "closed"
        elif self._failure is not None:
            role = "failed"
        return LogStatus(
            role=role,
            term=_TERM,
            leader=None,
            first_index=self._wal.first_index,
            last_index=self._wal.last_index,
            commit_index=self._applied.value,
            applied_index=self._applied.value,
            segments=self._wal.segment_count,
            bytes=self._wal.size_bytes,
            in_flight_appends=self._in_flight_count(),
            in_flight_bytes=self._in_flight_bytes,
            fsync="inline" if self._pace.is_inline else "thread",
            fsyncs=self._pace.syncs,
            fsync_last_us=self._pace.last_us,
            fsync_worst_us=self._pace.worst_us,
            cut_bytes=self._wal.cut_bytes,
            failure=str(self._failure) if self._failure else None,
        )

    async def close(self) -> None:
        """See `ReplicatedLog.close`."""
        self._closing = True
        await self._idle.wait()
        if self._closed:
            return
        self._closed = True
        self._fail_waiters(StoreClosed())
        if self._writer is not None:
            self._writer.shutdown()
        self._wal.close()
        self._helper.shutdown()

    def _replay(self, entry: Entry) -> None:
        try:
            self._machine.apply(entry.index, entry.term, decode_commands(entry.payload))
        except ValueError as error:
            raise UnreadableEntry(self._wal.directory, entry.index, str(error)) from error

    def _raise_if_unusable(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._closing:
            raise StoreClosed

    def _in_flight_count(self) -> int:
        return len(self._waiting) + sum(len(batch.proposals) for batch in self._in_flight)

    def _refusal(self, size: int) -> StoreError | None:
        if self._failure is not None:
            return self._failure
        if self._closing:
            return StoreClosed()
        if len(self._waiting) >= self._options.max_in_flight_appends:
            limit = self._options.max_in_flight_appends
            return Overloaded("max_in_flight_appends", limit, len(self._waiting) + 1)
        if self._in_flight_bytes + size > self._options.max_in_flight_bytes and self._in_flight_bytes:
            limit = self._options.max_in_flight_bytes
            return Overloaded("max_in_flight_bytes", limit, self._in_flight_bytes + size)
        return None

    def _commit(self) -> None:
        """Write what waits as one group, on the loop or in the writer thread."""
        self._scheduled = False
        if not self._waiting or self._failure is not None:
            self._idle.set()
            return
        self._in_flight, records = self._take_group()
        first, last = self._in_flight[0].index, self._in_flight[-1].index
        if not self._pace.is_inline:
            writer = self._writer = self._writer or ThreadPoolExecutor(1, "argyll-wal")
            written = writer.submit(self._write, records, first, last)
            written.add_done_callback(partial(self._loop.call_soon_threadsafe, self._written))
            return
        try:
            self._write(records, first, last)
        except OSError as error:
            self._fail(StoreFailed("writing the log", error))
        else:
            self._finish_group()

    def _take_group(self) -> tuple[list[_Batch], bytes]:
        durable_index = index = self._wal.last_index
        batches: list[_Batch] = []
        records: list[bytes] = []
        commands = size = 0
        while self._waiting and commands < MAX_COMMIT_COMMANDS and size < MAX_COMMIT_BYTES:
            proposals = self._take_entry()
            index += 1
            payload = encode_commands([proposal.command for proposal in proposals])
            records.append(encode_record(Entry(index, _TERM, payload), durable_index=durable_index))
            batches.append(_Batch(index, proposals))
            commands += len(proposals)
            size += len(payload)
        return batches, b"".join(records)

    def _take_entry(self) -> list[_Proposal]:
        taken: list[_Proposal] = []
        size = 0
        while self._waiting and len(taken) < MAX_ENTRY_COMMANDS and size < MAX_ENTRY_BYTES:
            proposal = self._waiting.popleft()
            taken.append(proposal)
            size += len(proposal.command.body)
        return taken

    def _write(self, records: bytes, first_index: int, last_index: int) -> None:
        started = time.perf_counter_ns()
        self._wal.append(records, first_index=first_index, last_index=last_index)
        self._pace.took((time.perf_counter_ns() - started) // 1000)

    def _written(self, written: Future[None]) -> None:
        error = written.exception()
        if error is not None:
            self._fail(StoreFailed("writing the log", error))
        else:
            self._finish_group()

    def _finish_group(self) -> None:
        batches, self._in_flight = self._in_flight, []
        try:
            for batch in batches:
                self._apply(batch)
        except Exception as error:  # noqa: BLE001 - a machine that cannot apply must stop acknowledging, whatever it is
            self._in_flight = [batch for batch in batches if batch.index > self._applied.value]
            self._fail(error if isinstance(error, StoreFailed) else StoreFailed("applying the log", error))
            return
        if self._waiting and self._failure is None:
            self._scheduled = True
            self._loop.call_soon(self._commit)
        else:
            self._idle.set()

    def _apply(self, batch: _Batch) -> None:
        proposals = batch.proposals
        outcomes = self._machine.apply(batch.index, _TERM, [proposal.command for proposal in proposals])
        self._applied.advance(batch.index)
        for (command, future), outcome in zip(proposals, outcomes, strict=True):
            self._in_flight_bytes -= len(command.body)
            if future.done():
                continue
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

    def _fail(self, failure: StoreFailed) -> None:
        """Stop for good: after a failed sync nobody knows what the disk holds, so nothing may be acknowledged on it."""
        self._failure = failure
        in_flight, self._in_flight = self._in_flight, []
        for batch in in_flight:
            for proposal in batch.proposals:
                if not proposal.future.done():
                    proposal.future.set_exception(failure)
        self._fail_waiters(failure)
        self._idle.set()

    def _fail_waiters(self, error: StoreError) -> None:
        while self._waiting:
            future = self._waiting.popleft().future
            if not future.done():
                future.set_exception(error)
        self._in_flight_bytes = 0
        self._applied.fail(error)
