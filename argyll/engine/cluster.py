"""The cluster aggregate on this node: who is there and what each node says of the steps' health.

Every node writes it, so a change is decided again when another node was first.
"""

import asyncio
from collections.abc import Callable, Sequence

from argyll.engine.folding import fold
from argyll.model.catalog import Cluster, apply_cluster
from argyll.model.events import NodePayload, Payload, decode_payload
from argyll.model.json import encode
from argyll.store import Append, Committed, Conflict, NewEvent, Store

CLUSTER = ("cluster",)
MAX_TRIES = 16
"""How often a change is decided again after losing a race."""


class ClusterRecord:
    """Follows and changes the cluster aggregate. `on_nodes` is called after each commit that says who is there."""

    def __init__(self, store: Store, now_us: Callable[[], int]) -> None:
        self._store, self._now_us = store, now_us
        self._lock = asyncio.Lock()
        self.on_nodes: Callable[[], None] | None = None
        self.state = fold(store, CLUSTER, Cluster(), apply_cluster)

    async def change(self, decide: Callable[[Cluster], Sequence[Payload]]) -> None:
        """Append what `decide` makes of the committed state, nothing when that is empty. Raises `StoreError`."""
        async with self._lock:
            for tries in range(1, MAX_TRIES + 1):
                events = [NewEvent(event.event_type, encode(event)) for event in decide(self.state)]
                if not events:
                    return
                try:
                    await self._store.append(Append(CLUSTER, self.state.sequence, self._now_us(), events))
                except Conflict:
                    if tries == MAX_TRIES:
                        raise
                else:
                    return

    def on_committed(self, committed: Committed) -> None:
        """Follow the log."""
        payloads = [decode_payload(event.type, event.data) for event in committed.events]
        for payload in payloads:
            apply_cluster(self.state, payload, committed.timestamp_us)
        if self.on_nodes is not None and any(isinstance(payload, NodePayload) for payload in payloads):
            self.on_nodes()

    def reload(self) -> None:
        """The history grew without a notice: fold it again."""
        self.state = fold(self._store, CLUSTER, Cluster(), apply_cluster)
        if self.on_nodes is not None:
            self.on_nodes()
