"""The flows in memory: states folded from the log, each perhaps ahead of it by what is on its way to commit.

A projection that a command left half-changed, or whose append failed, is *spoiled*: it takes no more commands and is
folded anew once its appends in flight have ended.
"""

import asyncio
from collections import OrderedDict
from itertools import islice

import msgspec

from argyll.flow import apply
from argyll.model.events import decode_payload
from argyll.model.flow import FlowState
from argyll.model.plan import plan_from_raw
from argyll.store import Store

SNAPSHOT_AFTER_EVENTS = 512
"""A flow that took more events than this to fold gets a snapshot, so the next load is short."""

_encode_snapshot = msgspec.msgpack.Encoder().encode
_decode_snapshot = msgspec.msgpack.Decoder(FlowState).decode


class Projection:
    """One flow in memory. `in_flight` counts its appends that are not committed yet."""

    __slots__ = ("in_flight", "last_append", "spoiled", "state")

    def __init__(self, state: FlowState) -> None:
        self.state = state
        self.in_flight = 0
        self.last_append: asyncio.Future[int] | None = None
        self.spoiled = False

    async def committed(self) -> bool:
        """Wait until everything appended so far is committed. False when it failed: the state shows what never
        happened."""
        last = self.last_append
        if last is None:
            return not self.spoiled
        if not last.done():
            await asyncio.wait([last])
        return not (self.spoiled or last.cancelled() or last.exception() is not None)


class FlowProjections:
    """Projections by flow id, least recently used first out; only those with nothing in flight can leave."""

    def __init__(self, store: Store, entries: int) -> None:
        self._store, self._entries = store, entries
        self._flows: OrderedDict[str, Projection] = OrderedDict()

    def cached(self, flow_id: str) -> Projection | None:
        """The projection, if it is in memory."""
        return self._flows.get(flow_id)

    def get(self, flow_id: str) -> Projection | None:
        """The projection, folded from the store if need be; None for an unknown flow."""
        projection = self._flows.get(flow_id)
        if projection is not None:
            self._flows.move_to_end(flow_id)
            return projection
        state = self.load(flow_id)
        if state is None:
            return None
        projection = Projection(state)
        self.put(projection)
        return projection

    def put(self, projection: Projection) -> None:
        """Keep a projection, and let the least recently used go when there are too many."""
        self._flows[projection.state.id] = projection
        excess = len(self._flows) - self._entries
        if excess > 0:
            idle = (flow_id for flow_id, p in self._flows.items() if not p.in_flight and p is not projection)
            for flow_id in list(islice(idle, excess)):
                del self._flows[flow_id]

    def drop(self, projection: Projection) -> None:
        """Forget a projection, if it is still the one in memory."""
        if self._flows.get(projection.state.id) is projection:
            del self._flows[projection.state.id]

    def spoil(self) -> None:
        """Nothing in memory is to be relied on: everything is folded anew when it is wanted next."""
        for flow_id, projection in list(self._flows.items()):
            projection.spoiled = True
            if not projection.in_flight:
                del self._flows[flow_id]

    def load(self, flow_id: str) -> FlowState | None:
        """The committed state of a flow, from snapshot and events."""
        aggregate = ("flow", flow_id)
        if not self._store.next_sequence(aggregate):
            return None
        state: FlowState | None = None
        snapshot = self._store.snapshot(aggregate)
        if snapshot is not None:
            state = _decode_snapshot(snapshot[1])
            state.plan = plan_from_raw(state.plan.raw)
        folded = 0
        for record in self._store.read_events(aggregate, state.sequence if state is not None else 0):
            state = apply(state, decode_payload(record.type, record.data), record.timestamp_us)
            folded += 1
        if state is not None and folded > SNAPSHOT_AFTER_EVENTS:
            self._store.save_snapshot(aggregate, state.sequence, _encode_snapshot(state))
        return state

    def __len__(self) -> int:
        return len(self._flows)
