"""Routes about the node itself: liveness, readiness, the overview, the cluster and the health of steps.

All but the transfer of leadership read what is in memory and wait for nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from argyll.model import json
from argyll.model.json import JSON
from argyll.server.answers import Answer, json_answer
from argyll.server.bodies import read_body
from argyll.server.overview import engine_overview
from argyll.server.problems import NotFound, Unavailable
from argyll.server.requests import read_transfer

if TYPE_CHECKING:
    from aiohttp.web import BaseRequest

    from argyll.engine import Engine
    from argyll.server.config import ServerConfig
    from argyll.server.hub import Hub

READY_RETRY_S = 1.0


class NodeRoutes:
    """Handlers; each takes the request and the path's parameters."""

    def __init__(self, engine: Engine, hub: Hub, config: ServerConfig) -> None:
        self._engine = engine
        self._hub = hub
        self._config = config

    async def health(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`GET /health`: 200 while the process answers, 503 once its disk has failed and only a restart can help."""
        engine, log = self._engine, self._engine.log_status()
        # The log of a node on its own names no leader: it is the only one there can be.
        leader_id = log.leader or (engine.node_id if log.role == "leader" else "")
        answer: JSON = {
            "service": "argyll-engine",
            "status": "unhealthy" if log.failure else "healthy",
            "details": {
                "backend": {
                    "type": "raft",
                    "state": log.role,
                    "leader_address": engine.config.raft_servers.get(leader_id, ""),
                    "leader_id": leader_id,
                },
                "websocket": {"clients": self._hub.connections},
            },
        }
        if log.failure:
            answer["error"] = log.failure
        return json_answer(answer, 503 if log.failure else 200, headers=[("X-Argyll-Raft-State", log.role)])

    async def ready(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`GET /ready`: 503 until the node can serve, and while too few nodes are reached to record anything."""
        if not self._engine.ready:
            log = self._engine.log_status()
            raise Unavailable(
                f"the node cannot serve (log state: {log.role}, leader: {log.leader or 'none'}, "
                f"quorum: {'yes' if log.has_quorum else 'no'}); try again shortly",
                retry_after_s=READY_RETRY_S,
            )
        return json_answer({"status": "ready"})

    async def raft(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`GET /engine/raft`: the log as this node sees it. How far the others are, the leader alone knows."""
        engine, log = self._engine, self._engine.log_status()
        presence = {node_id: node.presence for node_id, node in engine.cluster.nodes.items() if node.presence}
        servers = engine.config.raft_servers
        body: JSON = {
            "node_id": engine.node_id,
            "role": log.role,
            "term": log.term,
            "leader_id": log.leader or (engine.node_id if log.role == "leader" else None),
            "has_quorum": log.has_quorum,
            "first_index": log.first_index,
            "last_index": log.last_index,
            "commit_index": log.commit_index,
            "applied_index": log.applied_index,
            "in_flight_appends": log.in_flight_appends,
            "fsync": {
                "mode": log.fsync,
                "count": log.fsyncs,
                "last_us": log.fsync_last_us,
                "worst_us": log.fsync_worst_us,
            },
            "log_bytes": log.bytes,
            "may_vote": log.may_vote,
            "presence": presence,
            "peers": [
                {
                    "id": peer.id,
                    "address": servers.get(peer.id, ""),
                    "is_connected": peer.is_connected,
                    "match_index": peer.match_index,
                    "lag": peer.lag,
                    "last_contact_ms": peer.last_contact_ms,
                    "receives_state": peer.receives_state,
                }
                for peer in log.peers
            ],
        }
        if log.failure is not None:
            body["failure"] = log.failure
        return json_answer(body)

    async def transfer(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`POST /engine/raft/transfer`: leadership to the node named by `to`, or to the one that is furthest."""
        config = self._config
        body = await read_body(request, "max_request_bytes", config.max_request_bytes, config.body_timeout_s)
        wanted = read_transfer(body or b"{}")
        await self._engine.transfer_leadership(wanted.to)
        return json_answer({"leader_id": self._engine.log_status().leader})

    async def overview(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`GET /engine`."""
        body, _ = engine_overview(self._engine)
        return Answer(200, body)

    async def cluster(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`GET /engine/cluster`: what nodes reported, nothing filled in."""
        view = await self._engine.view(("cluster",))
        return Answer(200, view[0] if view is not None else b'{"nodes":{}}')

    async def steps_health(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`GET /engine/health`: the cluster with unreported steps as unknown."""
        return json_answer(self._engine.health_view())

    async def step_health(self, request: BaseRequest, parameters: tuple[str, ...]) -> Answer:
        """`GET /engine/health/{step}`: the worst that any node says."""
        (step_id,) = parameters
        health = self._engine.step_health(step_id)
        if health is None:
            raise NotFound(f"step not found: {step_id}")
        return Answer(200, json.encode(health))
