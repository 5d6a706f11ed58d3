"""The replicated log of a cluster: `ReplicatedLog` over a `RaftNode`, with real connections, clocks, files and threads.

It drives the node and waits for it; everything that decides anything is in the node.
"""

import asyncio
import logging
import random
import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Literal

from argyll.store.applied import AppliedIndex
from argyll.store.errors import (
    ListenFailed,
    NoLeader,
    NoOtherNode,
    NotLeader,
    Overloaded,
    StoreClosed,
    StoreError,
    StoreFailed,
    TransferFailed,
)
from argyll.store.log import LogStatus, Outcome
from argyll.store.pace import SyncPace
from argyll.store.raft.frames import Received
from argyll.store.raft.host import check_release, now_s
from argyll.store.raft.journal import Batch, Journal
from argyll.store.raft.network import Network
from argyll.store.raft.node import RaftNode
from argyll.store.raft.options import ClusterConfig
from argyll.store.raft.proposals import Proposal
from argyll.store.raft.transfer import FileMachine, TransferringMachine, Worker
from argyll.store.records import COMMAND_ID_BYTES, StoreOptions
from argyll.store.wal import Wal

logger = logging.getLogger(__name__)


class PySyncObjLog:
    """`ReplicatedLog` of several nodes. Open it with `PySyncObjLog.open`."""

    def __init__(self, options: StoreOptions, cluster: ClusterConfig, machine: FileMachine, directory: Path) -> None:
        self._options = options
        self._cluster = cluster
        self._loop = asyncio.get_running_loop()
        self._helper = ThreadPoolExecutor(1, "argyll-wal-spare")
        self._transfers = ThreadPoolExecutor(1, "argyll-state-transfer")
        self._writer: ThreadPoolExecutor | None = None
        self._wal = Wal(directory, segment_bytes=options.segment_bytes, helper=self._helper)
        self._machine = TransferringMachine(machine, directory, Worker(self._loop, self._transfers, self._kick))
        self._network = Network(cluster, self, options.max_append_bytes)
        self._timer: asyncio.TimerHandle | None = None
        self._is_scheduled = False
        self._writing: Future[None] | None = None
        self._closing = False
        self._closed = False
        self._failure: StoreFailed | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._idle = asyncio.Event()
        self._applied = AppliedIndex(0)
        self._pace: SyncPace
        self._journal: Journal
        self._node: RaftNode

    @classmethod
    async def open(
        cls, directory: Path, machine: FileMachine, options: StoreOptions, cluster: ClusterConfig
    ) -> "PySyncObjLog":
        """Check the log in `directory`, bring the machine up to what is known as committed, connect to the others.

        Does not wait for them: `read_barrier` does. Raises `OpenError`, `ListenFailed` among them, and OSError.
        """
        check_release()
        directory.mkdir(exist_ok=True)
        log = cls(options, cluster, machine, directory)
        try:
            log._start(directory)
            await log._listen()
        except BaseException:
            await log._network.close()
            log._release_files()
            raise
        log._on_timer()
        return log

    def _start(self, directory: Path) -> None:
        machine = self._machine
        self._pace = SyncPace(directory, self._options.fsync)
        self._journal = Journal(self._wal, base_index=machine.applied_index, base_term=machine.applied_term)
        self._node = RaftNode(
            self._cluster.node_id,
            self._cluster.others,
            self._journal,
            machine,
            self._cluster.raft,
            chance=random.Random().random,
            session=self._options.new_session(),
            send=self._network.send,
            room=self._network.has_room,
            fail=self._fail,
        )
        self._applied.value = self._node.host.applied_index
        self._node.on_applied = self._applied.advance

    async def _listen(self) -> None:
        try:
            await self._network.start()
        except OSError as error:
            cluster = self._cluster
            address = cluster.listen or cluster.members[cluster.node_id]
            raise ListenFailed(cluster.node_id, address, error) from error

    def propose(self, command: bytes, *, command_id: bytes, context: object = None) -> asyncio.Future[int]:
        """See `ReplicatedLog.propose`; on any node, and across changes of the leader.

        Fails with `NoLeader` (not recorded) or `OutcomeUnknown` when it is not committed within `proposal_timeout_ms`.
        """
        future: asyncio.Future[int] = self._loop.create_future()
        refusal = self._refusal(len(command))
        if refusal is not None:
            future.set_exception(refusal)
            return future
        assert len(command_id) == COMMAND_ID_BYTES, "a command id has 16 bytes"
        deadline_s = now_s() + self._cluster.raft.proposal_timeout_ms / 1000
        self._node.propose(Proposal(command_id, command, context, deadline_s, partial(_settle, future)))
        self._kick()
        return future

    async def read_barrier(self, timeout_ms: int) -> int:
        """See `ReplicatedLog.read_barrier`. Raises `NoLeader` when no leader confirms it in time."""
        self._raise_if_unusable()
        started_s = now_s()
        confirmed: asyncio.Future[int] = self._loop.create_future()
        self._node.read(partial(_settle, confirmed))
        self._kick()
        self._applied.watch(confirmed)
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                index = await confirmed
        except TimeoutError:
            raise NoLeader(timeout_ms, self._node.quorum_in_words()) from None
        finally:
            self._applied.unwatch(confirmed)
        left_ms = max(1, timeout_ms - round((now_s() - started_s) * 1000))
        await self._applied.wait(index, left_ms)
        return index

    async def wait_applied(self, index: int, timeout_ms: int) -> None:
        """See `ReplicatedLog.wait_applied`."""
        await self._applied.wait(index, timeout_ms)

    async def transfer_leadership(self, to: str | None = None) -> None:
        """See `ReplicatedLog.transfer_leadership`. Raises `NotLeader`, `TransferFailed` too."""
        self._raise_if_unusable()
        others = self._cluster.others
        if not others:
            raise NoOtherNode
        if not self._node.host.is_leader:
            raise NotLeader(self._node.host.leader)
        target = to or self._node.best_follower
        if target is None or target not in others:
            raise TransferFailed(to or "another node", "no such node is connected" if to is None else "it is no member")
        done: asyncio.Future[None] = self._loop.create_future()

        def tell(error: Exception | None) -> None:
            if not done.done():
                done.set_result(None) if error is None else done.set_exception(error)

        self._node.hand_over(target, tell)
        self._kick()
        await done

    def release(self, index: int) -> None:
        """See `ReplicatedLog.release`."""
        if self._failure is None and not self._closed:
            self._node.release(index)

    def status(self) -> LogStatus:
        """See `ReplicatedLog.status`."""
        node, wal = self._node, self._wal
        host = node.host
        role: Literal["leader", "follower", "candidate", "closed", "failed"] = node.role
        if self._closing:
            role = "closed"
        elif self._failure is not None:
            role = "failed"
        return LogStatus(
            role=role,
            term=host.term,
            leader=host.leader,
            first_index=self._journal.first_index,
            last_index=self._journal.last_index,
            commit_index=host.commit_index,
            applied_index=self._applied.value,
            segments=wal.segment_count,
            bytes=wal.size_bytes,
            in_flight_appends=node.waiting,
            in_flight_bytes=node.waiting_bytes,
            fsync="inline" if self._pace.is_inline else "thread",
            fsyncs=self._pace.syncs,
            fsync_last_us=self._pace.last_us,
            fsync_worst_us=self._pace.worst_us,
            cut_bytes=wal.cut_bytes,
            failure=str(self._failure) if self._failure else None,
            node_id=node.node_id,
            has_quorum=host.connected_count + 1 >= host.quorum,
            may_vote=self._journal.may_vote,
            peers=node.peers(),
        )

    async def close(self) -> None:
        """See `ReplicatedLog.close`. Leadership is not handed over: call `transfer_leadership` before."""
        self._closing = True
        while self._failure is None and self._node.unanswered and not self._closed:
            self._idle.clear()
            await self._idle.wait()
        if self._closed:
            return
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        await self._network.close()
        if self._writing is not None:
            await asyncio.wait([asyncio.wrap_future(self._writing)])
        self._node.stop(StoreClosed())
        self._applied.fail(StoreClosed())
        self._save_vote()
        self._release_files()

    def position(self) -> tuple[int, int]:
        """See `NetworkUser.position`."""
        return self._journal.last_index, self._node.host.term

    def connected(self, peer: str, last_index: int, term: int) -> None:
        """See `NetworkUser.connected`."""
        logger.info("%s: connected to %s", self._node.node_id, peer)
        self._node.connected(peer, last_index, term)
        self._kick()

    def disconnected(self, peer: str) -> None:
        """See `NetworkUser.disconnected`."""
        if not self._closed:
            logger.info("%s: lost the connection to %s", self._node.node_id, peer)
            self._node.disconnected(peer)
            self._kick()

    def received(self, peer: str, received: Received) -> None:
        """See `NetworkUser.received`."""
        self._node.receive(peer, received)
        self._kick()

    def _kick(self) -> None:
        if not self._is_scheduled and self._writing is None:
            self._is_scheduled = True
            self._loop.call_soon(self._turn)

    def _on_timer(self) -> None:
        self._timer = self._loop.call_later(self._cluster.raft.tick_ms / 1000, self._on_timer)
        self._kick()

    def _turn(self) -> None:
        """One tick of the node; the disk is waited for here or in the writer thread."""
        self._is_scheduled = False
        if self._closed or self._failure is not None or self._writing is not None:
            return
        try:
            batch = self._node.begin()
            if batch is None or self._pace.is_inline:
                if batch is not None:
                    self._write(batch)
                self._finish(batch)
                return
        except Exception as error:  # noqa: BLE001 - a node that cannot go on must stop acknowledging, whatever it is
            self._fail(error)
            return
        writer = self._writer = self._writer or ThreadPoolExecutor(1, "argyll-wal")
        self._writing = writer.submit(self._write, batch)
        self._writing.add_done_callback(lambda writing: self._loop.call_soon_threadsafe(self._written, writing, batch))

    def _write(self, batch: Batch) -> None:
        started = time.perf_counter_ns()
        self._journal.write(batch)
        self._pace.took((time.perf_counter_ns() - started) // 1000)

    def _written(self, writing: Future[None], batch: Batch) -> None:
        self._writing = None
        error = writing.exception()
        if error is not None:
            self._fail(error)
        elif not self._closed and self._failure is None:
            try:
                self._finish(batch)
            except Exception as failure:  # noqa: BLE001 - as in `_turn`
                self._fail(failure)
        else:
            self._journal.written(batch)

    def _finish(self, batch: Batch | None) -> None:
        self._node.finish(batch)
        if self._node.is_dirty:
            self._kick()
        if self._closing and not self._node.unanswered:
            self._idle.set()

    def _fail(self, error: BaseException) -> None:
        """Stop for good: nobody knows what the disk holds, or a rule was broken. The others go on without this node."""
        if self._failure is not None:
            return
        doing = "writing the log" if isinstance(error, OSError) else "applying the log"
        self._failure = error if isinstance(error, StoreFailed) else StoreFailed(doing, error)
        logger.error("%s: %s", self._node.node_id, self._failure, exc_info=error)
        if self._timer is not None:
            self._timer.cancel()
        self._leaving = self._loop.create_task(self._network.close())
        self._node.stop(self._failure)
        self._applied.fail(self._failure)
        self._idle.set()

    def _save_vote(self) -> None:
        """A closed log keeps what it learned last, such as its commit index; losing it would be no harm."""
        if self._failure is not None:
            return
        self._journal.onOneSecondTimer()
        try:
            self._journal.sync()
        except OSError as error:
            logger.warning("%s: the last commit index was not saved: %s", self._node.node_id, error)

    def _release_files(self) -> None:
        if self._writer is not None:
            self._writer.shutdown()
        self._transfers.shutdown()
        self._wal.close()
        self._helper.shutdown()

    def _raise_if_unusable(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._closing:
            raise StoreClosed

    def _refusal(self, size: int) -> StoreError | None:
        if self._failure is not None:
            return self._failure
        if self._closing:
            return StoreClosed()
        waiting, waiting_bytes = self._node.waiting, self._node.waiting_bytes
        limit = self._options.max_in_flight_appends
        if waiting >= limit:
            return Overloaded("max_in_flight_appends", limit, waiting + 1)
        limit = self._options.max_in_flight_bytes
        if waiting_bytes and waiting_bytes + size > limit:
            return Overloaded("max_in_flight_bytes", limit, waiting_bytes + size)
        return None


def _settle(future: asyncio.Future[int], outcome: Outcome) -> None:
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
