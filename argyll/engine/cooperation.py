"""What a node does because it is one of several: catch up, join, share the flows, refuse what cannot be recorded, take
its leave. For a node on its own all of it is next to nothing."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from argyll.engine.cluster import ClusterRecord
from argyll.engine.errors import LeadershipStays, OutcomeUncertain, Overloaded, Unavailable
from argyll.engine.flows import MAX_COMMAND_TRIES, NO_QUORUM_RETRY_S
from argyll.engine.membership import Membership
from argyll.engine.ownership import Ownership
from argyll.engine.takeover import TakeOver
from argyll.store import (
    BarrierTimeout,
    Conflict,
    NoLeader,
    NoOtherNode,
    NotLeader,
    OutcomeUnknown,
    Store,
    StoreError,
    TransferFailed,
)
from argyll.store import Overloaded as StoreOverloaded

log = logging.getLogger(__name__)

T = TypeVar("T")

BARRIER_TIMEOUT_MS = 5_000
"""How long a linearizable read waits until this node has caught up."""
FAREWELL_S = 2.0
"""How long a stopping node tries to hand over: once for its flows, once for what is still under way, once for leadership."""


class Cooperation:
    """This node among the others."""

    def __init__(
        self, store: Store, record: ClusterRecord, ownership: Ownership, membership: Membership, take_over: TakeOver
    ) -> None:
        self._store, self._record, self._ownership = store, record, ownership
        self._membership, self._take_over = membership, take_over

    async def begin(self, spawn: Callable[[Coroutine[None, None, None]], None]) -> None:
        """Take up what was running; in a cluster, catch up before, and go on in the background as nodes come and go."""
        if self._ownership.is_alone:
            await self._take_over.start()
            return
        await self._catch_up()
        self._record.on_nodes = self._nodes_changed
        self._nodes_changed()
        await self._take_over.start()
        spawn(self._take_over.follow())
        spawn(self._membership.run())

    async def leaving(self) -> None:
        """Leave new work to the others; what is under way goes on."""
        await self._say(self._membership.leaving)

    async def left(self) -> None:
        """Leave the rest to the others, leadership too."""
        await self._say(self._membership.left)
        if self._store.status().role == "leader":
            await self._say(self._store.transfer_leadership)

    @property
    def can_record(self) -> bool:
        """Whether what is written now is likely to be committed."""
        status = self._store.status()
        if status.failure is not None:
            return False
        return self._ownership.is_alone or (status.has_quorum and status.leader is not None)

    def check_quorum(self) -> None:
        """Refuse what could not be committed now, before anything of it is recorded. Raises `Unavailable`."""
        if not self._ownership.is_alone and not self._store.status().has_quorum:
            raise Unavailable(
                "this node does not reach enough others to record anything; nothing was recorded. Try another node, or "
                "again shortly",
                retry_after_s=NO_QUORUM_RETRY_S,
            )

    async def recorded(self, attempt: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a command that appends, again when another node was first. Raises `Unavailable`, and what it raises."""
        self.check_quorum()
        for _ in range(MAX_COMMAND_TRIES):
            try:
                return await attempt()
            except Conflict:
                continue
            except NoLeader as error:
                raise Unavailable(str(error), retry_after_s=NO_QUORUM_RETRY_S) from error
            except OutcomeUnknown as error:
                raise OutcomeUncertain(str(error), retry_after_s=NO_QUORUM_RETRY_S) from error
            except StoreOverloaded as error:
                raise Overloaded(str(error), retry_after_s=1) from error
        raise Unavailable(f"other nodes were first {MAX_COMMAND_TRIES} times; try again", retry_after_s=1)

    async def read_barrier(self) -> None:
        """Wait until reads here see everything that any node acknowledged before. Raises `Unavailable`."""
        try:
            await self._store.read_barrier(BARRIER_TIMEOUT_MS)
        except (NoLeader, BarrierTimeout) as error:
            raise Unavailable(str(error), retry_after_s=NO_QUORUM_RETRY_S) from error

    async def transfer_leadership(self, to: str | None) -> None:
        """Hand the log's leadership to another node, the one furthest if None. Raises `LeadershipStays`."""
        try:
            await self._store.transfer_leadership(to)
        except (NoOtherNode, NotLeader, TransferFailed) as error:
            raise LeadershipStays(str(error)) from error

    async def _catch_up(self) -> None:
        """Wait until this node has seen all that is committed: what it owned before may be another's."""
        while True:
            try:
                await self._store.read_barrier(BARRIER_TIMEOUT_MS)
            except (NoLeader, BarrierTimeout) as error:
                log.info("waiting for the other nodes: %s", error)
            else:
                return

    def _nodes_changed(self) -> None:
        nodes = self._record.state.nodes
        self._ownership.change(
            (node_id for node_id, node in nodes.items() if node.presence == "joined"),
            (node_id for node_id, node in nodes.items() if node.presence in ("joined", "leaving")),
        )
        self._take_over.changed()

    async def _say(self, say: Callable[[], Coroutine[None, None, None]]) -> None:
        """Tell the others, if there are any left to hear; whatever comes of it, this node stops."""
        if self._ownership.is_alone or not self._store.status().has_quorum:
            return
        try:
            await asyncio.wait_for(say(), FAREWELL_S)
        except (StoreError, TimeoutError) as error:
            log.warning("stopping without a word to the other nodes: %s", error or "they did not answer in time")
