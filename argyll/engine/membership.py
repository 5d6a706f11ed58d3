"""Keeps the log's word on who is there true: this node joins, and the leader strikes off who fell silent.

Presence is in the log, so every node sees the same at the same place of it; what this node sees of connections only
decides what it proposes. Nothing here touches flows.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping

from argyll.engine.cluster import ClusterRecord
from argyll.model.catalog import Cluster, Presence
from argyll.model.events import NodeJoined, NodeLeaving, NodeLeft, NodePayload
from argyll.store import LogStatus, PeerStatus, StoreError

log = logging.getLogger(__name__)

POLL_S = 0.1
QUIET_MS = 500
"""A connected node that has not answered the leader for this long counts as silent."""
LOST_AFTER_S = 0.8
"""How long a node is silent before the leader strikes it off."""
NAP_S = 0.5
"""A look that comes later than this after the one before proves that this node slept itself: its waiting starts anew."""


class Watch:
    """How long other nodes have been silent, as far as this node was awake to hear them."""

    def __init__(self) -> None:
        self._since_s: dict[str, float] = {}
        self._looked_s = 0.0

    def look(self, members: Iterable[str], peers: Mapping[str, PeerStatus], now_s: float) -> set[str]:
        """Those of `members` that are lost. One that is no peer any more is as silent as one that fell."""
        if now_s - self._looked_s > NAP_S:
            self._since_s.clear()
        self._looked_s = now_s
        silent = {member for member in members if _is_silent(peers.get(member))}
        self._since_s = {member: self._since_s.get(member, now_s) for member in silent}
        return {member for member, since_s in self._since_s.items() if now_s - since_s >= LOST_AFTER_S}


def _is_silent(peer: PeerStatus | None) -> bool:
    if peer is None or not peer.is_connected:
        return True
    return peer.match_index is not None and peer.last_contact_ms is not None and peer.last_contact_ms > QUIET_MS


class Membership:
    """One node's part in saying who is there. `now_s` is a monotonic clock."""

    def __init__(
        self, record: ClusterRecord, node_id: str, status: Callable[[], LogStatus], now_s: Callable[[], float]
    ) -> None:
        self._record, self._node_id, self._status, self._now_s = record, node_id, status, now_s
        self._watch = Watch()
        self._lost: set[str] = set()
        self._proposing: asyncio.Task[None] | None = None
        self._stays = True

    async def run(self) -> None:
        """Join, and look after the others for as long as this node is there."""
        try:
            while True:
                try:
                    self.look()
                except Exception:
                    # Without looking, a dead node's work would wait for ever: the next look may go better.
                    log.exception("looking for the other nodes failed")
                await asyncio.sleep(POLL_S)
        finally:
            if self._proposing is not None:
                self._proposing.cancel()

    def look(self) -> None:
        """See who is there, and propose what the log does not say yet. Does not wait: looking must not stop meanwhile."""
        status = self._status()
        self._lost = self._watch.look(self._others(), {peer.id: peer for peer in status.peers}, self._now_s())
        is_free = self._proposing is None or self._proposing.done()
        if is_free and status.leader is not None and self._due(self._record.state):
            self._proposing = asyncio.get_running_loop().create_task(self._propose())

    async def _propose(self) -> None:
        try:
            await self._record.change(self._due)
        except StoreError as error:
            log.info("who is there is not recorded yet: %s", error)

    def _due(self, cluster: Cluster) -> list[NodePayload]:
        said: list[NodePayload] = []
        if self._stays and _presence(cluster, self._node_id) != "joined":
            said.append(NodeJoined(self._node_id))
        if self._status().role == "leader":
            still = sorted(node_id for node_id in self._lost if _presence(cluster, node_id) in ("joined", "leaving"))
            said += [NodeLeft(node_id, f"not heard by {self._node_id}") for node_id in still]
        return said

    async def leaving(self) -> None:
        """Take no more work: the others share it. Raises `StoreError`."""
        self._stays = False
        await self._record.change(
            lambda cluster: [NodeLeaving(self._node_id)] if _presence(cluster, self._node_id) == "joined" else []
        )

    async def left(self) -> None:
        """What is still under way here is the others' from now on. Raises `StoreError`."""
        await self._record.change(
            lambda cluster: [NodeLeft(self._node_id, "stopped")] if _presence(cluster, self._node_id) != "left" else []
        )

    def _others(self) -> list[str]:
        return [
            node_id
            for node_id, node in self._record.state.nodes.items()
            if node_id != self._node_id and node.presence in ("joined", "leaving")
        ]


def _presence(cluster: Cluster, node_id: str) -> Presence:
    node = cluster.nodes.get(node_id)
    return node.presence if node is not None else ""
