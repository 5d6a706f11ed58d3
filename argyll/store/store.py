"""The store: appends with an expected sequence, histories, snapshots, the flow list, over a replicated log.

It orders nothing itself (the log does) and decides nothing about flows (the engine does). All methods belong to the
event loop the store was opened on.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING

from argyll.store.directory import DataDirectory
from argyll.store.embedded import EmbeddedLog
from argyll.store.errors import Conflict, EntryTooLarge, NotAStore, OpenFailed, StoreClosed, StoreError, StoreFailed
from argyll.store.flows import FlowPage, FlowQuery
from argyll.store.log import LogStatus, ReplicatedLog
from argyll.store.memory import MemoryLog
from argyll.store.records import Aggregate, Append, Committed, Record, StoreOptions, check_append, prepare
from argyll.store.state import State
from argyll.store.wal import sync_directory

if TYPE_CHECKING:
    from argyll.store.raft import ClusterConfig

READ_PAGE = 2_000
"""Events that `Store.events` reads between two turns of the loop."""
_COMMAND_ID = Struct(">8sQ")


class _Lane:
    """The appends of one aggregate in flight, each built on the one before."""

    __slots__ = ("in_flight", "last_command", "next_sequence", "refused")

    def __init__(self, next_sequence: int) -> None:
        self.next_sequence = next_sequence
        self.last_command: bytes | None = None
        self.in_flight = 0
        self.refused: list[tuple[StoreError, asyncio.Future[int]]] | None = None
        """Once one append is refused, so is every later one until its maker had the chance to learn of it: what was
        decided on top of a refused append must not pass because a stranger's append gave it the right sequence."""


class Store:
    """One node's store. Open it with `Store.open`, or `Store.in_memory` for tests."""

    def __init__(
        self, state: State, log: ReplicatedLog, options: StoreOptions, directory: DataDirectory | None
    ) -> None:
        self._state = state
        self._log = log
        self._options = options
        self._directory = directory
        self._loop = asyncio.get_running_loop()
        self._session = options.new_session()
        self._commands = 0
        self._lanes: dict[Aggregate, _Lane] = {}
        self._listeners: list[Callable[[Committed], None]] = []
        self._flush_timer: asyncio.TimerHandle | None = None
        self._flush_soon = False
        self._checkpointing: asyncio.Future[bool] | None = None
        self._closed = False
        self._reset_listeners: list[Callable[[], None]] = []
        state.on_applied = self._on_applied
        state.on_reset = self._on_reset

    @classmethod
    async def open(cls, directory: Path, *, options: StoreOptions | None = None) -> "Store":
        """Open or create a store and replay its log.

        Raises `DirectoryLocked`, `NewerFormat`, `NotAStore`, `DamagedLog`, `DamagedState`, `UnreadableEntry`, `OpenFailed`
        (all `OpenError`), `StoreFailed` when the disk refuses during the replay.
        """
        options = options or StoreOptions()
        try:
            held = DataDirectory.open(directory, now_us=options.now_us())
            try:
                return await cls._open_held(held, options)
            except BaseException:
                held.close()
                raise
        except OSError as error:
            raise OpenFailed(directory, error) from error

    @classmethod
    async def _open_held(cls, held: DataDirectory, options: StoreOptions) -> "Store":
        if held.raft_directory.exists():
            raise NotAStore(held.path, "it belongs to a node of a cluster: start it with its cluster's members")
        state = State(held.state_file, options)
        try:
            log = await EmbeddedLog.open(held.log_directory, state, options)
            sync_directory(held.path)
        except BaseException:
            with suppress(StoreError):
                state.close()
            raise
        return cls(state, log, options, held)

    @classmethod
    async def open_cluster(
        cls, directory: Path, *, cluster: "ClusterConfig", options: StoreOptions | None = None
    ) -> "Store":
        """Open or create this node's store of a cluster; does not wait for the other nodes.

        Reads work at once and show what this node knows; appends wait for a leader, `read_barrier` too. What another
        node appended reaches the listeners with no context, and after a long absence everything may change at once
        (`listen_reset`). A directory that `open` used goes on as the first node of a new cluster whose other nodes have
        empty directories; `open` refuses it from then on. Raises what `open` does.
        """
        options = options or StoreOptions()
        try:
            held = DataDirectory.open(directory, now_us=options.now_us())
            try:
                return await cls._open_member(held, cluster, options)
            except BaseException:
                held.close()
                raise
        except OSError as error:
            raise OpenFailed(directory, error) from error

    @classmethod
    async def _open_member(cls, held: DataDirectory, cluster: "ClusterConfig", options: StoreOptions) -> "Store":
        # The library underneath is of no use, and of no weight, to a single node.
        from argyll.store.raft import PySyncObjLog

        state = State(held.state_file, options)
        try:
            if not held.raft_directory.exists() and held.log_directory.exists():
                await cls._finish_embedded(held, state, options)
            log = await PySyncObjLog.open(held.raft_directory, state, options, cluster)
            sync_directory(held.path)
        except BaseException:
            with suppress(StoreError):
                state.close()
            raise
        return cls(state, log, options, held)

    @classmethod
    async def _finish_embedded(cls, held: DataDirectory, state: State, options: StoreOptions) -> None:
        """Bring everything the log of the single node holds into the state: the cluster's log begins behind it."""
        await (await EmbeddedLog.open(held.log_directory, state, options)).close()
        state.flush()
        if not state.checkpoint():
            raise OpenFailed(held.path, OSError("somebody else reads state.db"))

    @classmethod
    async def in_memory(cls, *, options: StoreOptions | None = None) -> "Store":
        """A store that keeps nothing beyond the process."""
        options = options or StoreOptions()
        state = State(None, options)
        return cls(state, MemoryLog(state), options, None)

    def append(self, append: Append) -> asyncio.Future[int]:
        """Append a batch; the future gives the aggregate's new next sequence once it is durable and applied here.

        May be called many times in one turn of the loop. Fails with `Conflict`, `EntryTooLarge`, `Overloaded`,
        `StoreClosed` (not recorded), `StoreFailed`, `OutcomeUnknown` (see there). After a failure, every append of
        that aggregate made before the maker could see it fails with `Conflict` too: react in the turn the future
        wakes you. Raises ValueError for an append that is wrong in itself.
        """
        check_append(append)
        aggregate = append.aggregate
        lane = self._lanes.get(aggregate)
        if lane is None:
            if self._closed:
                return self._closed_future()
            lane = _Lane(self._state.next_sequence(aggregate))
        if lane.refused is not None or append.expected_sequence != lane.next_sequence:
            return self._refuse(aggregate, lane, Conflict(aggregate, append.expected_sequence, lane.next_sequence))
        command, prepared = prepare(append, lane.last_command)
        if len(command) > self._options.max_append_bytes:
            limit = self._options.max_append_bytes
            return self._refuse(aggregate, lane, EntryTooLarge(aggregate, len(command), limit))
        self._commands += 1
        command_id = _COMMAND_ID.pack(self._session, self._commands)
        future = self._log.propose(command, command_id=command_id, context=prepared)
        if future.done() and isinstance(refusal := future.exception(), StoreError):
            return self._refuse(aggregate, lane, refusal)
        self._lanes[aggregate] = lane
        lane.next_sequence += prepared.count
        lane.last_command = command_id
        lane.in_flight += 1
        future.add_done_callback(lambda _: self._settle(aggregate, lane))
        return future

    def listen(self, callback: Callable[[Committed], None]) -> None:
        """Call back for every append applied from now on: on the loop, in log order, once each, before its future."""
        self._listeners.append(callback)

    def listen_reset(self, callback: Callable[[], None]) -> None:
        """Call back when this node took over another's state whole: histories grew without a call to `listen`.

        Everything derived from earlier reads and notices has to be read again.
        """
        self._reset_listeners.append(callback)

    def next_sequence(self, aggregate: Aggregate) -> int:
        """The next sequence of what is committed and applied here; 0 for an unknown aggregate."""
        return self._readable.next_sequence(aggregate)

    async def events(self, aggregate: Aggregate, start: int = 0, limit: int | None = None) -> list[Record]:
        """Events from sequence `start` on, at most `limit`, read in pages so that the loop keeps turning."""
        records: list[Record] = []
        wanted = self._readable.next_sequence(aggregate) - start if limit is None else limit
        while wanted > 0:
            page = self._readable.events(aggregate, start + len(records), min(READ_PAGE, wanted))
            records += page
            wanted -= len(page)
            if len(page) < READ_PAGE:
                break
            await asyncio.sleep(0)
        return records

    def read_events(self, aggregate: Aggregate, start: int = 0, limit: int | None = None) -> list[Record]:
        """As `events`, at once: for histories short enough to read in one turn of the loop."""
        return self._readable.events(aggregate, start, limit)

    def snapshot(self, aggregate: Aggregate) -> tuple[int, bytes] | None:
        """The newest snapshot saved on this node and the next sequence at which it was taken."""
        return self._readable.snapshot(aggregate)

    def save_snapshot(self, aggregate: Aggregate, sequence: int, data: bytes) -> None:
        """Keep a snapshot on this node unless a newer one is kept. Raises ValueError for one ahead of the history."""
        self._readable.save_snapshot(aggregate, sequence, data)
        self._schedule_flush()

    def query_flows(self, query: FlowQuery) -> FlowPage:
        """A page of the root flows. Raises `InvalidCursor`; ValueError for a limit out of range."""
        self._readable.flush()
        return self._readable.flows.query(query)

    def flow_status(self, flow_id: str) -> str | None:
        """A flow's indexed status, child flows too; None for a flow never indexed."""
        return self._readable.flows.status(flow_id)

    def active_flows(self) -> list[str]:
        """Ids of all active flows, child flows too, in id order."""
        self._readable.flush()
        return self._readable.flows.active()

    def status(self) -> LogStatus:
        """The log as operators see it."""
        return self._log.status()

    async def read_barrier(self, timeout_ms: int) -> int:
        """Wait until reads here see everything acknowledged anywhere before this call; gives the log index reached."""
        return await self._log.read_barrier(timeout_ms)

    async def wait_applied(self, index: int, timeout_ms: int) -> None:
        """Wait until this node has applied a log index. Raises `BarrierTimeout`."""
        await self._log.wait_applied(index, timeout_ms)

    async def transfer_leadership(self, to: str | None = None) -> None:
        """Hand leadership to another node, the one furthest if None. Raises `NoOtherNode`, `NotLeader`, `TransferFailed`."""
        await self._log.transfer_leadership(to)

    async def close(self) -> None:
        """Finish the appends in flight, write everything out, release the directory. Safe to call twice."""
        await self._log.close()
        if self._closed:
            return
        self._closed = True
        if self._flush_timer is not None:
            self._flush_timer.cancel()
        if self._checkpointing is not None:
            await asyncio.wait([self._checkpointing])
        try:
            self._state.close()
        finally:
            if self._directory is not None:
                self._directory.close()

    @property
    def _readable(self) -> State:
        if self._closed:
            raise StoreClosed
        return self._state

    def _closed_future(self) -> asyncio.Future[int]:
        future: asyncio.Future[int] = self._loop.create_future()
        future.set_exception(StoreClosed())
        return future

    def _refuse(self, aggregate: Aggregate, lane: _Lane, error: StoreError) -> asyncio.Future[int]:
        """Told once the appends in flight are applied, so that a reload sees what a conflict was lost against."""
        future: asyncio.Future[int] = self._loop.create_future()
        self._lanes[aggregate] = lane
        if lane.refused is None:
            lane.refused = []
            if not lane.in_flight:
                self._loop.call_soon(self._tell_refused, aggregate, lane)
        lane.refused.append((error, future))
        return future

    def _settle(self, aggregate: Aggregate, lane: _Lane) -> None:
        """Runs before the append's maker wakes up. If it failed, all that follows in its lane fails when it is applied."""
        lane.in_flight -= 1
        if lane.in_flight:
            return
        if lane.refused:
            self._tell_refused(aggregate, lane)
        else:
            self._leave(aggregate, lane)

    def _tell_refused(self, aggregate: Aggregate, lane: _Lane) -> None:
        # Scheduled first, the lane is open again when those told now wake up, and not before.
        self._loop.call_soon(self._reopen, aggregate, lane)
        refused, lane.refused = lane.refused or [], []
        for error, future in refused:
            if future.done():
                continue
            if self._closed:
                error = StoreClosed()
            elif isinstance(error, Conflict):
                error = Conflict(aggregate, error.expected, self._state.next_sequence(aggregate))
            future.set_exception(error)

    def _reopen(self, aggregate: Aggregate, lane: _Lane) -> None:
        if lane.refused:
            self._tell_refused(aggregate, lane)
        else:
            self._leave(aggregate, lane)

    def _leave(self, aggregate: Aggregate, lane: _Lane) -> None:
        if self._lanes.get(aggregate) is lane:
            del self._lanes[aggregate]

    def _on_applied(self, committed: list[Committed]) -> None:
        self._schedule_flush()
        for notice in committed:
            for listener in self._listeners:
                try:
                    listener(notice)
                except Exception as error:  # noqa: BLE001 - one listener's fault must not undo a commit or starve the others
                    message = f"a commit listener failed on {notice.aggregate}"
                    self._loop.call_exception_handler({"message": message, "exception": error})

    def _on_reset(self) -> None:
        for listener in self._reset_listeners:
            try:
                listener()
            except Exception as error:  # noqa: BLE001 - as for commits
                self._loop.call_exception_handler({"message": "a reset listener failed", "exception": error})

    def _schedule_flush(self) -> None:
        if self._checkpointing is not None:
            return
        if self._state.waiting_appends >= self._options.flush_appends:
            if not self._flush_soon:
                self._flush_soon = True
                self._loop.call_soon(self._flush_slice)
        elif self._flush_timer is None:
            self._flush_timer = self._loop.call_later(self._options.flush_delay_ms / 1000, self._flush_rest)

    def _flush_rest(self) -> None:
        self._flush_timer = None
        self._flush_slice()

    def _flush_slice(self) -> None:
        """Write some rows and leave the rest to later turns: a slice is short, a backlog is not."""
        self._flush_soon = False
        if self._closed or self._checkpointing is not None:
            return
        # A failure is not lost: the state keeps it and refuses the next entry with it.
        with suppress(StoreFailed):
            self._state.flush(self._options.flush_appends)
            if self._state.bytes_since_checkpoint >= self._options.checkpoint_bytes:
                self._start_checkpoint()
            if self._state.has_waiting:
                self._schedule_flush()

    def _start_checkpoint(self) -> None:
        """Sync the database in a thread; row writing rests meanwhile, or SQLite's log would never be reused."""
        if self._checkpointing is None and self._directory is not None:
            self._state.bytes_since_checkpoint = 0
            applied = self._state.applied_index
            self._checkpointing = self._loop.run_in_executor(None, self._state.checkpoint)
            self._checkpointing.add_done_callback(lambda done: self._checkpointed(applied, done))

    def _checkpointed(self, applied: int, done: asyncio.Future[bool]) -> None:
        self._checkpointing = None
        if done.cancelled():
            return
        if self._state.has_waiting:
            self._schedule_flush()
        error = done.exception()
        if error is not None:
            message = "the checkpoint of state.db failed; the log keeps what it covers and the next one tries again"
            self._loop.call_exception_handler({"message": message, "exception": error})
            return
        if done.result():
            self._log.release(applied)
