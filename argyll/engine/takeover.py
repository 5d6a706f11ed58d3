"""Takes up flows: all of them when the node starts, and what comes to it when nodes come and go.

A flow is taken up from its state alone: calls whose node is gone are claimed anew, what waits is woken when due, and
children are asked for their outcome. Taking up again what is in order changes nothing.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable
from functools import partial

from argyll.engine.dispatch import until_available
from argyll.engine.flows import Flows
from argyll.engine.ownership import Ownership
from argyll.flow import Effect, Reclaim, waiting_children
from argyll.model.flow import FlowState
from argyll.store import Store

log = logging.getLogger(__name__)

SLICE = 64
"""Flows taken up at a time: their appends share a commit."""


class TakeOver:
    """`in_progress` holds the tokens of calls that this process makes; `perform` carries out effects."""

    def __init__(
        self,
        store: Store,
        flows: Flows,
        ownership: Ownership,
        in_progress: Collection[str],
        perform: Callable[[Effect, FlowState], None],
    ) -> None:
        self._store, self._flows, self._ownership = store, flows, ownership
        self._in_progress, self._perform = in_progress, perform
        self._changed = asyncio.Event()
        self._owners: tuple[str, ...] = ()
        self._present: frozenset[str] = frozenset()
        self.waiting: set[str] = set()
        """Flows that may hold calls of this node's last life: nothing of theirs is claimed before those are found."""

    async def start(self) -> None:
        """Take up what this node owns, and what it was calling when it ended last."""
        self._remember()
        flows = self._store.active_flows()
        self.waiting.update(flows)
        try:
            await self._slices(flows, self._resume)
        finally:
            self.waiting.clear()

    async def follow(self) -> None:
        """Take up what comes to this node, each time `changed` says that nodes came or went."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            before, gone = self._owners, self._present - self._ownership.present
            self._remember()
            flows = [flow_id for flow_id in self._store.active_flows() if self._ownership.owns(flow_id)]
            came = [flow_id for flow_id in flows if not self._ownership.owned_under(before, flow_id)]
            await self._slices(came, self._take_up)
            if gone:
                rest = set(flows).difference(came)
                await self._slices(sorted(rest), partial(self._take_up_left, gone))

    def changed(self) -> None:
        """Nodes came or went."""
        self._changed.set()

    def _remember(self) -> None:
        self._owners, self._present = self._ownership.owners, self._ownership.present

    async def _slices(self, flows: list[str], take: Callable[[str], Awaitable[None]]) -> None:
        for first in range(0, len(flows), SLICE):
            await asyncio.gather(*(self._guarded(flow_id, take) for flow_id in flows[first : first + SLICE]))

    async def _guarded(self, flow_id: str, take: Callable[[str], Awaitable[None]]) -> None:
        try:
            await take(flow_id)
        except Exception:
            # One flow that cannot be read must not keep the others from running.
            log.exception("flow %s could not be taken up", flow_id)

    async def _resume(self, flow_id: str) -> None:
        """After a start: calls of this node that this process does not make are orphans too, whoever owns the flow."""
        me = self._ownership.node_id
        owned = self._ownership.owns(flow_id)
        if owned or self._holds_calls(flow_id, (me,)):

            def is_orphan(node_id: str, token: str) -> bool:
                if node_id == me:
                    return token not in self._in_progress
                return self._ownership.owns(flow_id) and self._ownership.is_gone(node_id)

            self.waiting.discard(flow_id)
            await until_available(lambda: self._flows.execute(flow_id, Reclaim(is_orphan)))
        if owned:
            self._drive_children(flow_id)

    async def _take_up(self, flow_id: str) -> None:
        if not self._ownership.owns(flow_id):
            return  # it went on to another node meanwhile

        def is_orphan(node_id: str, token: str) -> bool:
            return self._ownership.owns(flow_id) and self._ownership.is_gone(node_id)

        await until_available(lambda: self._flows.execute(flow_id, Reclaim(is_orphan)))
        self._drive_children(flow_id)

    async def _take_up_left(self, gone: Collection[str], flow_id: str) -> None:
        if self._holds_calls(flow_id, gone):
            await self._take_up(flow_id)

    def _holds_calls(self, flow_id: str, nodes: Collection[str]) -> bool:
        projection = self._flows.projections.cached(flow_id)
        state = projection.state if projection is not None else self._flows.projections.load(flow_id)
        return state is not None and any(
            work.node_id in nodes
            for execution in state.executions.values()
            for work in execution.work_items.values()
            if work.status in ("active", "compensating")
        )

    def _drive_children(self, flow_id: str) -> None:
        projection = self._flows.projections.get(flow_id)
        if projection is not None:
            effects: Iterable[Effect] = list(waiting_children(projection.state))
            for effect in effects:
                self._perform(effect, projection.state)
